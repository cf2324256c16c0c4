//! The ways in which servers are known to read a path.
//!
//! The path decides whether a request needs a key. The server behind the proxy may read it
//! differently, so a path that is open here may be a guarded one there. Each step below is what
//! some server does before it looks up a path; [`readings`] applies the steps in any order and
//! number.
//!
//! | step | servers that take it |
//! |---|---|
//! | every escape is decoded | nearly all; twice if a gateway in between decodes, too |
//! | `;parameters` end with their segment | Tomcat, Jetty, Undertow |
//! | `;` ends the path | filters that look for `;jsessionid`, Apache Shiro |
//! | `?`, `#` or NUL ends the path | those that decode before splitting; NUL with C strings |
//! | `\` is a slash | the URL parser of WHATWG (Node's `new URL`), IIS |
//! | slashes are merged | nginx, Apache, Tomcat, Go's mux |
//! | what follows `//` is a host | Node's `new URL(url, base)`, Python's `urlsplit`, `parse_url` |
//! | tabs and line breaks are removed | the URL parser of WHATWG, Python's `urlsplit` |
//! | blanks at the ends of segments are removed | Spring before 4.3, Windows' file systems |
//! | dot segments are resolved | nearly all |
//!
//! Each step shortens a path or turns backslashes into slashes, so the steps terminate. The number
//! of readings and the work for finding them are bounded nevertheless: a path beyond these bounds
//! is refused.
//!
//! The steps do not change the case of letters or remove dots at the ends of segments: these need
//! none of the characters that make a path ambiguous, so every path would have to be refused.
//!
//! Tested against a naive closure over strings.

#[cfg(any(test, feature = "sim"))]
pub mod naive;

use crate::http::escape;
use std::borrow::Cow;

/// Maximum number of further readings of a path.
pub const READINGS_MAX: usize = 64;

/// Maximum number of bytes examined to find the readings of one path: a base, and a number for each
/// byte of the path.
const WORK_MAX: [usize; 2] = [32 << 10, 12];

/// The error for a path with more readings than are examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyReadings;

impl From<TooManyReadings> for &'static str {
    fn from(_: TooManyReadings) -> &'static str {
        "a path with too many readings"
    }
}

/// A step: returns the result for a path that begins with a slash. None if it changes nothing.
type Step = fn(&[u8]) -> Option<Vec<u8>>;

const STEPS: [Step; 11] = [
    decoded,
    without_parameters,
    before_semicolon,
    before_query,
    with_slashes,
    merged,
    behind_authority,
    behind_authority_of_many,
    without_line_breaks,
    trimmed,
    resolved,
];

/// Finds all readings of a path that begins with a slash, without the path itself and without
/// duplicates. A path without `%`, `;`, `\` and `//` has none.
///
/// # Errors
///
/// If there are more than [`READINGS_MAX`], or finding them takes too much work.
pub fn readings(path: &[u8]) -> Result<Vec<Vec<u8>>, TooManyReadings> {
    let mut found = Readings::default();
    let ambiguous = memchr::memchr3(b'%', b';', b'\\', path).is_some() || has_double(path);
    if !ambiguous || found.find_all(path) { Ok(found.all) } else { Err(TooManyReadings) }
}

/// The readings of a path found so far.
#[derive(Debug, Default)]
struct Readings {
    all: Vec<Vec<u8>>,
    /// The number of bytes examined.
    work: usize,
}

impl Readings {
    /// Finds all readings. Returns false if that takes too much work.
    fn find_all(&mut self, path: &[u8]) -> bool {
        let [base, factor] = WORK_MAX;
        let work_max = base + factor * path.len();
        let mut within = self.take_steps(path);
        let mut next = 0;
        while within && let Some(reading) = self.all.get_mut(next) {
            // The path is not one of its own readings, so nothing else needs it meanwhile.
            let reading = std::mem::take(reading);
            within = self.take_steps(&reading) && self.work <= work_max;
            self.all[next] = reading;
            next += 1;
        }
        within
    }

    /// Adds the result of each step on `path`. Returns false if there are too many readings.
    fn take_steps(&mut self, path: &[u8]) -> bool {
        self.work += path.len();
        for reading in STEPS.iter().filter_map(|step| step(path)) {
            self.work += reading.len();
            if !self.all.contains(&reading) {
                self.all.push(reading);
            }
        }
        self.all.len() <= READINGS_MAX
    }
}

/// The host that some servers see at the beginning of a path.
pub fn authority(path: &[u8]) -> Option<&str> {
    let rest = path.strip_prefix(b"//")?;
    let rest = &rest[rest.iter().position(|&byte| byte != b'/')?..];
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let start = memchr::memrchr(b'@', &rest[..end]).map_or(0, |at| at + 1);
    str::from_utf8(&rest[start..end]).ok()
}

fn has_double(path: &[u8]) -> bool {
    memchr::memchr_iter(b'/', path).any(|slash| path.get(slash + 1) == Some(&b'/'))
}

fn decoded(path: &[u8]) -> Option<Vec<u8>> {
    match escape::decode(path) {
        Cow::Owned(read) => Some(read),
        Cow::Borrowed(_) => None,
    }
}

fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b';', path)?;
    let mut read = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(semicolon) = memchr::memchr(b';', rest) {
        let (before, from) = rest.split_at(semicolon);
        read.extend_from_slice(before);
        rest = memchr::memchr(b'/', from).map_or(&[], |slash| &from[slash..]);
    }
    read.extend_from_slice(rest);
    Some(read)
}

fn before_semicolon(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b';', path).map(|end| path[..end].to_vec())
}

fn before_query(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr3(b'?', b'#', 0, path).map(|end| path[..end].to_vec())
}

fn with_slashes(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', path)?;
    Some(path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect())
}

fn merged(path: &[u8]) -> Option<Vec<u8>> {
    if !has_double(path) {
        return None;
    }
    let mut read = path.to_vec();
    read.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    Some(read)
}

/// Removes the authority, which may be empty.
fn behind_authority(path: &[u8]) -> Option<Vec<u8>> {
    path.strip_prefix(b"//").map(behind_segment)
}

/// Removes any number of slashes and the authority after them (WHATWG URL, "special authority
/// ignore slashes state").
fn behind_authority_of_many(path: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(b"///")?;
    let start = rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len());
    Some(behind_segment(&rest[start..]))
}

fn behind_segment(rest: &[u8]) -> Vec<u8> {
    memchr::memchr(b'/', rest).map_or(b"/".to_vec(), |slash| rest[slash..].to_vec())
}

fn without_line_breaks(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr3(b'\t', b'\n', b'\r', path)?;
    let mut read = path.to_vec();
    read.retain(|byte| !matches!(byte, b'\t' | b'\n' | b'\r'));
    Some(read)
}

fn trimmed(path: &[u8]) -> Option<Vec<u8>> {
    let blank = memchr::memchr3(b' ', b'\t', 0x0c, path);
    blank.or_else(|| memchr::memchr2(b'\n', b'\r', path))?;
    let segments = path.split(|&byte| byte == b'/');
    let read = segments.map(<[u8]>::trim_ascii).collect::<Vec<_>>().join(&b'/');
    (read.len() < path.len()).then_some(read)
}

/// Resolves dot segments without leading above the root (RFC 3986 section 5.2.4).
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr2(b'.', b'%', path)?;
    let segments = || path.split(|&byte| byte == b'/').skip(1);
    if segments().all(|segment| dots(segment) == 0) {
        return None;
    }
    let mut read = Vec::with_capacity(path.len());
    let mut segments = segments().peekable();
    while let Some(segment) = segments.next() {
        let dots = dots(segment);
        if dots == 2 {
            let parent = read.iter().rposition(|&byte| byte == b'/');
            read.truncate(parent.unwrap_or(0));
        }
        if dots == 0 || segments.peek().is_none() {
            read.push(b'/');
        }
        if dots == 0 {
            read.extend_from_slice(segment);
        }
    }
    Some(read)
}

/// The number of dots that make up a segment, escaped or not: one, two, or 0 for any other segment.
fn dots(segment: &[u8]) -> usize {
    let (mut rest, mut dots) = (segment, 0);
    loop {
        rest = match rest {
            [] => return dots,
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] if dots < 2 => rest,
            _ => return 0,
        };
        dots += 1;
    }
}

#[cfg(test)]
mod tests;
