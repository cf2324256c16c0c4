//! The notation of bytes and times in transcripts, and the differences of two transcripts.

use millstream::testing::Tick;
use std::fmt::Write as _;

/// Longer runs of one byte are written with a count.
const RUN: usize = 40;

/// Bytes as lines of text, broken after each line feed. Long runs of one byte are written with a
/// count.
pub(super) fn escape(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for piece in bytes.split_inclusive(|&b| b == b'\n') {
        let mut line = String::new();
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            let edge = rest.len() == piece.len() || rest.len() == 1;
            match byte {
                b'\r' => line.push_str("\\r"),
                b'\n' => line.push_str("\\n"),
                b'\\' => line.push_str("\\\\"),
                b' ' if !edge => line.push(' '),
                0x21..=0x7e => line.push(char::from(byte)),
                other => {
                    let _ = write!(line, "\\x{other:02x}");
                }
            }
            let run = rest.iter().take_while(|&&b| b == byte).count();
            let skip = if run > RUN { run } else { 1 };
            if run > RUN {
                let _ = write!(line, "\\*{run};");
            }
            rest = &rest[skip..];
        }
        lines.push(line);
    }
    lines
}

pub(super) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b'\\') => bytes.push(b'\\'),
            Some(b'x') => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).map_err(|e| e.to_string())?);
            }
            // `\*NNN;` repeats the byte before it NNN times, to keep long texts readable.
            Some(b'*') => {
                let digits: String =
                    rest.by_ref().map(char::from).take_while(|c| *c != ';').collect();
                let n = digits.parse::<usize>().map_err(|e| e.to_string())?;
                let last = *bytes.last().ok_or("nothing to repeat")?;
                bytes.extend(std::iter::repeat_n(last, n.saturating_sub(1)));
            }
            other => return Err(format!("unknown escape {other:?} in {text}")),
        }
    }
    Ok(bytes)
}

pub(super) fn parse_time(text: &str) -> Option<Tick> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "ms" => Some(Tick::from_millis(number)),
        "s" => Some(Tick::from_millis(number * 1000)),
        "" if number == 0 => Some(Tick::ZERO),
        _ => None,
    }
}

pub(super) fn print_time(at: Tick) -> String {
    match at.as_millis() {
        0 => "t=0".to_owned(),
        ms if ms % 1000 == 0 => format!("t={}s", ms / 1000),
        ms => format!("t={ms}ms"),
    }
}

/// The first lines that differ between two texts.
pub(super) fn difference(want: &str, got: &str) -> String {
    let mut out = String::new();
    let (want, got): (Vec<_>, Vec<_>) = (want.lines().collect(), got.lines().collect());
    let same = want.iter().zip(&got).take_while(|(a, b)| a == b).count();
    for line in want.iter().skip(same).take(12) {
        let _ = writeln!(out, "  - {line}");
    }
    for line in got.iter().skip(same).take(12) {
        let _ = writeln!(out, "  + {line}");
    }
    out
}
