//! Dot segments: resolving them, and detecting those in disguise.

use super::super::escape::{self, ESCAPE_LEN};
use super::TargetError;
use crate::work;

/// The kind of a path segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment {
    /// An ordinary name, perhaps empty.
    Name,
    /// The current segment, `.`.
    Here,
    /// The parent segment, `..`.
    Up,
}

/// Appends `path`, which begins with a slash, to `out` without its dot segments.
pub(super) fn resolve(path: &[u8], out: &mut Vec<u8>) -> Result<(), TargetError> {
    let root = out.len();
    out.reserve(path.len());
    let mut segments = path.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        work::note(segment.len() + 1);
        let kind = judge(segment)?;
        if kind == Segment::Up {
            let parent = out[root..].iter().rposition(|&byte| byte == b'/');
            let parent = root + parent.ok_or(TargetError::Climbs)?;
            work::note(out.len() - parent);
            out.truncate(parent);
        }
        // A resolved segment leaves its slash only at the end of the path.
        if kind == Segment::Name || segments.peek().is_none() {
            out.push(b'/');
        }
        if kind == Segment::Name {
            out.extend_from_slice(segment);
        }
    }
    Ok(())
}

/// Classifies a segment, or refuses it if servers would disagree.
fn judge(segment: &[u8]) -> Result<Segment, TargetError> {
    if !segment.iter().any(|byte| matches!(byte, b'.' | b'%')) {
        return Ok(Segment::Name);
    }
    // Examines a segment as an upstream might: as parts between possible slashes, each of which may
    // end in parameters. Of each part it matters only whether it is one dot, two dots, or anything
    // else.
    let (mut rest, mut part) = (segment, Part::default());
    let (mut dotted, mut whole, mut parameters) = (false, true, false);
    while let Some(byte) = next(&mut rest)? {
        match (byte.value, byte.encoded) {
            (b'/' | b'\\', true) => {
                dotted |= part.is_dots();
                (part, whole, parameters) = (Part::default(), false, false);
            }
            (b';', _) => (whole, parameters) = (false, true),
            // The WHATWG URL parser removes these from any input.
            (b'\t' | b'\n' | b'\r', _) => whole = false,
            _ if parameters => {}
            (value, _) => part.take(value),
        }
    }
    dotted |= part.is_dots();
    match (dotted, whole, part.dots) {
        (false, ..) => Ok(Segment::Name),
        (true, true, 1) => Ok(Segment::Here),
        (true, true, _) => Ok(Segment::Up),
        (true, false, _) => Err(TargetError::DisguisedDots),
    }
}

/// The relevant state of a part of a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    dots: usize,
    others: usize,
}

impl Part {
    fn take(&mut self, byte: u8) {
        let dot = usize::from(byte == b'.');
        self.dots += dot;
        self.others += 1 - dot;
    }

    fn is_dots(self) -> bool {
        self.others == 0 && matches!(self.dots, 1 | 2)
    }
}

/// One byte of a segment, decoded.
struct Byte {
    value: u8,
    /// True if the byte was percent-encoded.
    encoded: bool,
}

/// Takes the next byte of a segment.
fn next(segment: &mut &[u8]) -> Result<Option<Byte>, TargetError> {
    let (value, encoded, rest) = match *segment {
        [] => return Ok(None),
        [b'%', ..] => {
            let value = escape::first(segment).ok_or(TargetError::Escape)?;
            (value, true, &segment[ESCAPE_LEN..])
        }
        [value, rest @ ..] => (*value, false, rest),
    };
    if value.is_ascii_control() && !matches!(value, b'\t' | b'\n' | b'\r') {
        return Err(TargetError::EncodedControl);
    }
    *segment = rest;
    Ok(Some(Byte { value, encoded }))
}

#[cfg(test)]
mod tests {
    use super::TargetError::{Climbs, DisguisedDots, EncodedControl, Escape};
    use super::*;
    use fastrand::Rng;

    fn resolved(path: &str) -> Result<String, TargetError> {
        let mut out = b"before/".to_vec();
        resolve(path.as_bytes(), &mut out)?;
        let out = String::from_utf8(out).unwrap();
        Ok(out.strip_prefix("before/").unwrap().to_owned())
    }

    #[track_caller]
    fn check(path: &str, want: Result<&str, TargetError>) {
        assert_eq!(resolved(path), want.map(str::to_owned), "{path:?}");
    }

    #[test]
    fn dot_segments_go() {
        check("/", Ok("/"));
        check("/a/b", Ok("/a/b"));
        check("/a/b/", Ok("/a/b/"));
        check("/./a/./b/.", Ok("/a/b/"));
        check("/a/../b", Ok("/b"));
        check("/a/b/..", Ok("/a/"));
        check("/a/..", Ok("/"));
        check("/.", Ok("/"));
        check("/a/%2e/%2E%2e/.%2e/b", Err(Climbs));
        check("/a/c/%2e/%2E%2e/.%2e/b", Ok("/b"));
        // RFC 3986 section 5.2.4.
        check("/a/b/c/./../../g", Ok("/a/g"));
        check("/a//../b", Ok("/a/b"));
        check("//..", Ok("/"));
    }

    #[test]
    fn all_else_stays() {
        for path in [
            "//a//b//",
            "/...",
            "/.a",
            "/a.",
            "/..a",
            "/a..",
            "/.../..a/b..",
            "/%2F",
            "/a%2fb%5Cc",
            "/a;b=..",
            "/a;../b",
            "/;",
            "/a%3b..",
            "/%41%7e",
            "/%e2%82%AC",
            "/%C0%AE",
            "/%25",
            "/%252e%252e/",
            "/...;a",
            "/..%20",
            "/a%2f...",
            "/%2e%2e%2e",
            "/%2f",
            "/a%0Ab%09%0d",
            "/...%0a",
        ] {
            check(path, Ok(path));
        }
    }

    #[test]
    fn above_the_root_is_nothing() {
        for path in ["/..", "/../", "/../a", "/a/../..", "/./..", "/%2e%2E/a", "/a/b/../../../c"] {
            check(path, Err(Climbs));
        }
    }

    #[test]
    fn disguises() {
        for path in [
            "/..%2f",
            "/..%2Fa",
            "/a%2f..",
            "/a%2f../b",
            "/a%2F..%2Fb",
            "/..%5cetc",
            "/%2e%2e%5c",
            "/..;x",
            "/..;/a",
            "/..;",
            "/.;a",
            "/%2e%2e;a=b",
            "/..%3b",
            "/a;b%2f..",
            "/a%2f.%2fb",
            "/a%2f..;b",
            "/.%2f",
            "/a/b%5C%2e%2e%2fc",
            "/..%0a",
            "/.%09./a",
            "/%0D.",
            "/a%2f.%0a.",
        ] {
            check(path, Err(DisguisedDots));
        }
    }

    #[test]
    fn escapes() {
        for path in ["/%", "/%2", "/%2/", "/%g0", "/%0g", "/a%%41", "/% 41", "/%+1", "/%/../"] {
            check(path, Err(Escape));
        }
        for path in ["/%00", "/a%0b", "/%08", "/%1f", "/%7F", "/..%00", "/a%0a%00"] {
            check(path, Err(EncodedControl));
        }
    }

    /// RFC 3986 section 5.2.4 to the letter, with its input and output buffers.
    fn remove_dot_segments(path: &str) -> String {
        let (mut input, mut output) = (path.to_owned(), String::new());
        while !input.is_empty() {
            if input.starts_with("/./") || input == "/." {
                input.replace_range(..input.len().min(3), "/");
            } else if input.starts_with("/../") || input == "/.." {
                input.replace_range(..input.len().min(4), "/");
                output.truncate(output.rfind('/').unwrap_or(0));
            } else {
                let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
                output.extend(input.drain(..end));
            }
        }
        output
    }

    #[test]
    fn as_the_rfc_has_it() {
        let mut resolvable = 0;
        for seed in 0..4000 {
            let mut dice = Rng::with_seed(seed);
            let parts = ["/", "/a", "/.", "/..", "/%2e", "/.%2E", "/...", "/b%2fc", "/a;b"];
            let path: String =
                (0..=dice.usize(..7)).map(|_| parts[dice.usize(..parts.len())]).collect();
            let decoded = path.replace("%2e", ".").replace("%2E", ".");
            match resolved(&path) {
                Ok(got) => {
                    assert_eq!(got, remove_dot_segments(&decoded), "{path}");
                    assert_eq!(resolved(&got), Ok(got), "nothing is left to resolve");
                    resolvable += 1;
                }
                Err(error) => assert_eq!(error, Climbs, "{path}"),
            }
        }
        assert!(resolvable > 1000);
    }
}
