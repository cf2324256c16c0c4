//! The events that are sent: each contains its stream, its number in the stream, and the time from
//! which its delay is measured.
//!
//!     data: 0000002a 00000007 0000000df8475800 xyzabcdefghijklm…
//!
//! The filler after the stamp depends on the stream and the sequence number. It has 26 variants, so
//! a byte from another event, or a changed one, is detected in any place, except one from every
//! 26th event. A missing end is detected by the size, which only the reader of a stream knows. With
//! fixed widths and one alphabet, writing an event takes a few copies and reading it one
//! comparison, so neither end is the bottleneck.

use std::fmt;

/// The size of an event without filler, the shortest with a stamp.
pub const SMALLEST: usize = FILLER + 2;
/// The size of the longest event.
pub const LONGEST: usize = 64 * 1024;

const PREFIX: &[u8] = b"data: ";
/// Where the filler begins: after the prefix and three numbers of 8, 8 and 16 digits, each with a
/// space.
const FILLER: usize = 6 + 9 + 9 + 17;
const LETTERS: &[u8; LONGEST + 26] = &letters();

/// The identity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The stream, as numbered in its request.
    pub stream: u32,
    /// 0 for the first event of a stream, and one more for each that follows.
    pub sequence: u32,
    /// When it was written, in nanoseconds of CLOCK_MONOTONIC; if the peer accepted no bytes when
    /// the event was due, the time at which it was due. So a peer that holds up the origin is
    /// charged for every event that it has delayed, and not for only one of them.
    pub sent: u64,
}

/// Bytes that are not, or no longer, an event from the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangled {
    /// Longer or shorter than any event, or without `data:`.
    Shape,
    /// The stamp is not three hexadecimal numbers.
    Stamp,
    /// The filler is that of another event.
    Filler,
}

impl fmt::Display for Mangled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "bytes that are no event",
            Self::Stamp => "an event whose stamp is broken",
            Self::Filler => "an event with bytes that are not its own",
        })
    }
}

/// Appends an event of `size` bytes, including its empty line, as one chunk.
pub fn write_chunk(out: &mut Vec<u8>, stamp: Stamp, size: usize) {
    let size = size.clamp(SMALLEST, LONGEST);
    write_size_line(out, size);
    out.extend_from_slice(PREFIX);
    write_hex(out, u64::from(stamp.stream), 8);
    out.push(b' ');
    write_hex(out, u64::from(stamp.sequence), 8);
    out.push(b' ');
    write_hex(out, stamp.sent, 16);
    out.push(b' ');
    out.extend_from_slice(filler_of(stamp, size - SMALLEST));
    out.extend_from_slice(b"\n\n\r\n");
}

/// Parses an event. `event` ends before the LF of the empty line.
pub fn read(event: &[u8]) -> Result<Stamp, Mangled> {
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    if event.len() < FILLER || event.len() > LONGEST || !event.starts_with(PREFIX) {
        return Err(Mangled::Shape);
    }
    let number = |from: usize, digits: usize| -> Option<u64> {
        let digits = &event[from..from + digits];
        digits.iter().try_fold(0, |value, &digit| {
            Some(value << 4 | u64::from(hex_value(digit)?))
        })
    };
    let stamp = || -> Option<Stamp> {
        let spaced = [14, 23, 40].iter().all(|&at| event[at] == b' ');
        let (stream, sequence) = (number(6, 8)? as u32, number(15, 8)? as u32);
        spaced.then_some(Stamp {
            stream,
            sequence,
            sent: number(24, 16)?,
        })
    };
    let stamp = stamp().ok_or(Mangled::Stamp)?;
    let filler = &event[FILLER..];
    if filler != filler_of(stamp, filler.len()) {
        return Err(Mangled::Filler);
    }
    Ok(stamp)
}

fn filler_of(stamp: Stamp, length: usize) -> &'static [u8] {
    let start = (stamp.stream.wrapping_mul(7).wrapping_add(stamp.sequence) % 26) as usize;
    &LETTERS[start..start + length]
}

fn write_size_line(out: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    write_hex(out, size as u64, digits);
    out.extend_from_slice(b"\r\n");
}

fn write_hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * place) & 15) as usize]);
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

const fn letters<const N: usize>() -> [u8; N] {
    let mut letters = [0; N];
    let mut at = 0;
    while at < N {
        letters[at] = b'a' + (at % 26) as u8;
        at += 1;
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stamp: Stamp, size: usize) -> Vec<u8> {
        let mut chunk = Vec::new();
        write_chunk(&mut chunk, stamp, size);
        let size_line = format!("{size:x}\r\n");
        let event = chunk.strip_prefix(size_line.as_bytes()).unwrap();
        let event = event.strip_suffix(b"\n\r\n").unwrap();
        assert_eq!(event.len() + 1, size);
        event.to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for size in [SMALLEST, SMALLEST + 1, 100, 1000, LONGEST] {
            for (stream, sequence, sent) in
                [(0, 0, 0), (42, 7, 60_000_000_000), (u32::MAX, 25, u64::MAX)]
            {
                let stamp = Stamp {
                    stream,
                    sequence,
                    sent,
                };
                assert_eq!(read(&event(stamp, size)), Ok(stamp), "{stamp:?} {size}");
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let stamp = Stamp {
            stream: 3,
            sequence: 4,
            sent: 5,
        };
        let whole = event(stamp, 100);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x80;
            assert!(read(&changed).is_err(), "byte {at}");
        }
        let other = event(
            Stamp {
                sequence: 5,
                ..stamp
            },
            100,
        );
        let mixed = [&whole[..60], &other[60..]].concat();
        assert_eq!(read(&mixed), Err(Mangled::Filler));
        assert_eq!(read(b": heartbeat"), Err(Mangled::Shape));
    }
}
