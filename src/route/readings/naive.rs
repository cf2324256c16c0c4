//! A naive search for the readings of a path: every step on every reading until nothing is new,
//! without bounds. Tests and the fuzzer compare the real one with it.

use std::collections::BTreeSet;

/// Finds all readings of `path` except itself, treating bytes as Latin-1 characters. Stops soon
/// after it has found `most`.
pub fn readings(path: &[u8], most: usize) -> BTreeSet<String> {
    let path: String = path.iter().copied().map(char::from).collect();
    let mut found = BTreeSet::new();
    let mut fresh = Vec::new();
    if path.contains(['%', ';', '\\']) || path.contains("//") {
        fresh.push(path.clone());
    }
    while found.len() <= most
        && let Some(reading) = fresh.pop()
    {
        for other in steps(&reading) {
            if other != path && found.insert(other.clone()) {
                fresh.push(other);
            }
        }
    }
    found
}

fn steps(path: &str) -> Vec<String> {
    let before = |ends: &[char]| path.split(ends).next().unwrap_or_default().to_owned();
    let segments = |change: fn(&str) -> &str| -> String {
        path.split('/').map(change).collect::<Vec<_>>().join("/")
    };
    let mut merged = path.to_owned();
    while merged.contains("//") {
        merged = merged.replace("//", "/");
    }
    let mut all = vec![
        decoded(path),
        segments(|segment| segment.split(';').next().unwrap_or_default()),
        before(&[';']),
        before(&['?', '#', '\0']),
        path.replace('\\', "/"),
        merged,
        path.replace(['\t', '\n', '\r'], ""),
        segments(|segment| segment.trim_matches([' ', '\t', '\n', '\r', '\u{c}'])),
        resolved(path),
    ];
    if let Some(rest) = path.strip_prefix("//") {
        for rest in [rest, rest.trim_start_matches('/')] {
            all.push(rest.find('/').map_or("/", |slash| &rest[slash..]).to_owned());
        }
    }
    all
}

fn decoded(path: &str) -> String {
    let mut out = String::new();
    let mut rest: Vec<char> = path.chars().collect();
    rest.reverse();
    while let Some(c) = rest.pop() {
        let digits = rest.iter().rev().take(2).filter_map(|digit| digit.to_digit(16));
        let digits: Vec<u32> = digits.collect();
        match digits[..] {
            [high, low] if c == '%' => {
                out.extend(char::from_u32(high * 16 + low));
                rest.truncate(rest.len() - 2);
            }
            _ => out.push(c),
        }
    }
    out
}

fn resolved(path: &str) -> String {
    let mut stack: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        match dots.as_str() {
            "." | ".." => {
                if dots == ".." {
                    stack.pop();
                }
                if index + 1 == segments.len() {
                    stack.push("");
                }
            }
            _ => stack.push(segment),
        }
    }
    stack.iter().flat_map(|segment| ["/", segment]).collect()
}
