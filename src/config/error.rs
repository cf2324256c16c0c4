//! Configuration errors and their locations, one line each.
//!
//! The format is `file:line:column: key.path: what is wrong; what would be right`, in file order.
//! Lines and columns count from one, and columns count characters. Values are not quoted, because
//! they may be secret; the location identifies them.

use super::Sources;
use std::fmt;

/// An invalid value, or a key that is not allowed.
///
/// The parser of a value creates it without knowing the file or the key.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// What is wrong and what would be right.
    pub(super) what: String,
    /// The offset of the mistake, if it is not the whole value.
    pub(super) at: Option<usize>,
}

impl<S: Into<String>> From<S> for Wrong {
    fn from(what: S) -> Wrong {
        Wrong { what: what.into(), at: None }
    }
}

/// The location of an error: in a file, or on the command line.
#[derive(Clone, Debug)]
pub(super) struct Location {
    /// The name of the file, or the command-line option.
    source: String,
    position: Option<Position>,
    /// The path of the key. Empty if there is none.
    key: String,
}

impl Location {
    /// Creates the location of a file as a whole, or of a command-line option.
    pub(super) fn whole(source: impl Into<String>) -> Location {
        Location { source: source.into(), position: None, key: String::new() }
    }

    /// Creates the location of byte `at` of `text`, which belongs to the key with path `key`.
    pub(super) fn in_file(file: &str, text: &[u8], at: usize, key: String) -> Location {
        Location { source: file.to_owned(), position: Some(Position::of(at, text)), key }
    }
}

/// A line and a column, both counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    fn of(at: usize, text: &[u8]) -> Position {
        let before = &text[..at.min(text.len())];
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        // Continuation bytes of a multi-byte character are 0b10xx_xxxx.
        let characters = before[start..].iter().filter(|&b| b & 0xC0 != 0x80).count();
        let lines = before.iter().filter(|&&b| b == b'\n').count();
        Position { line: lines + 1, column: characters + 1 }
    }
}

/// One error with its location.
#[derive(Debug)]
pub(super) struct Located {
    location: Location,
    what: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location { source, position, key } = &self.location;
        write!(f, "{source}")?;
        if let Some(Position { line, column }) = position {
            write!(f, ":{line}:{column}")?;
        }
        if !key.is_empty() {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All errors in one configuration; at least one. Displayed with one line each.
#[derive(Debug, Default)]
pub struct ConfigErrors {
    errors: Vec<Located>,
    /// The files that were read, and those that could not be.
    sources: Sources,
}

impl ConfigErrors {
    /// Creates the list with a single error.
    pub(super) fn one(location: Location, what: impl Into<String>) -> ConfigErrors {
        let mut errors = ConfigErrors::default();
        errors.add(location, what);
        errors
    }

    pub(super) fn add(&mut self, location: Location, what: impl Into<String>) {
        self.errors.push(Located { location, what: what.into() });
    }

    /// Appends the errors of another file.
    pub(super) fn append(&mut self, other: ConfigErrors) {
        self.errors.extend(other.errors);
    }

    /// The same errors, found in these files.
    pub(super) fn in_files(self, sources: Sources) -> ConfigErrors {
        ConfigErrors { sources, ..self }
    }

    /// The files that were read, and those that could not be. The errors stay as long as none of
    /// them changes. There are none unless [`Config::load`](super::Config::load) has read them.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Returns `Ok` if there are no errors, otherwise the errors as they were found.
    pub(super) fn done(self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Returns `value` if there are no errors, otherwise the errors in file order.
    pub(super) fn or<T>(self, value: Option<T>) -> Result<T, ConfigErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            Some(_) | None => {
                assert!(!self.errors.is_empty(), "nothing came out, and nothing is wrong");
                Err(self.in_order())
            }
        }
    }

    /// Sorts the errors by location. Errors at the same location stay as they were found.
    fn in_order(self) -> ConfigErrors {
        let mut errors: Vec<Located> = Vec::new();
        for error in self.errors {
            let behind = errors.partition_point(|e| e.location.position <= error.location.position);
            errors.insert(behind, error);
        }
        ConfigErrors { errors, ..self }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.errors.iter().enumerate() {
            let line_end = if n == 0 { "" } else { "\n" };
            write!(f, "{line_end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let check = |text: &str, at, line, column| {
            assert_eq!(Position::of(at, text.as_bytes()), Position { line, column }, "{text:?}");
        };
        check("", 0, 1, 1);
        check("", 9, 1, 1);
        check("ab", 1, 1, 2);
        check("ab\n", 2, 1, 3);
        check("ab\n", 3, 2, 1);
        check("a\r\nb", 3, 2, 1);
        check("ä€😀x", 9, 1, 4);
        check("\n\nä=1", 4, 3, 2);
    }

    #[test]
    fn errors_come_in_the_order_of_the_file() {
        let mut errors = ConfigErrors::default();
        let location = |at, key: &str| Location::in_file("f.toml", b"a\nb c", at, key.to_owned());
        errors.add(location(4, "x.c"), "three");
        errors.add(location(0, ""), "one");
        errors.add(location(2, "x.b"), "two");
        let text = errors.or(Some(())).unwrap_err().to_string();
        assert_eq!(text, "f.toml:1:1: one\nf.toml:2:1: x.b: two\nf.toml:2:3: x.c: three");
        let text = ConfigErrors::one(Location::whole("--to"), "no").to_string();
        assert_eq!(text, "--to: no");
    }
}
