//! The errors in a configuration and where they are: one line for each error.
//!
//! A line is `file:line:column: key.path: what is wrong; what would be right`. Lines are in the
//! order of the file. Lines and columns count from one, and a column is a character. Values are not
//! repeated, because one may be a secret; the position shows which is meant.

use std::fmt;

/// An invalid value, or a key in a wrong place.
///
/// The code that checks a value makes it, and knows nothing of files and keys.
#[derive(Debug)]
pub(super) struct Wrong {
    /// What is wrong, and what would be right.
    pub(super) what: String,
    /// The offset of the error, if it is not the value as a whole.
    pub(super) at: Option<usize>,
}

impl<S: Into<String>> From<S> for Wrong {
    fn from(what: S) -> Wrong {
        Wrong { what: what.into(), at: None }
    }
}

/// A place in a file, or on the command line.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The name of the file, or the option of the command line.
    source: String,
    position: Option<Position>,
    /// The path of the key. Empty if there is none.
    key: String,
}

impl Place {
    /// An option of the command line, or a file as a whole.
    pub(super) fn whole(source: impl Into<String>) -> Place {
        Place { source: source.into(), position: None, key: String::new() }
    }

    /// The place of byte `at` of `text`. It belongs to the key with this path.
    pub(super) fn in_file(file: &str, text: &[u8], at: usize, key: String) -> Place {
        Place { source: file.to_owned(), position: Some(Position::of(at, text)), key }
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
        // The first byte of a multi-byte character is the one that is not 0b10xx_xxxx.
        let characters = before[start..].iter().filter(|&b| b & 0xC0 != 0x80).count();
        let lines = before.iter().filter(|&&b| b == b'\n').count();
        Position { line: lines + 1, column: characters + 1 }
    }
}

/// An error and its place.
#[derive(Debug)]
pub(super) struct Misplaced {
    place: Place,
    what: String,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { source, position, key } = &self.place;
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

/// All errors of a configuration, at least one. It is displayed as one line for each.
#[derive(Debug, Default)]
pub struct ConfigErrors {
    errors: Vec<Misplaced>,
}

impl ConfigErrors {
    /// A single error.
    pub(super) fn one(place: Place, what: impl Into<String>) -> ConfigErrors {
        let mut errors = ConfigErrors::default();
        errors.add(place, what);
        errors
    }

    pub(super) fn add(&mut self, place: Place, what: impl Into<String>) {
        self.errors.push(Misplaced { place, what: what.into() });
    }

    /// Appends the errors of another file.
    pub(super) fn append(&mut self, other: ConfigErrors) {
        self.errors.extend(other.errors);
    }

    /// `Ok` if there is no error. Errors stay in the order in which they were found.
    pub(super) fn done(self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }

    /// `value` if there is no error. Errors are sorted by place.
    pub(super) fn or<T>(self, value: Option<T>) -> Result<T, ConfigErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            Some(_) | None => {
                assert!(!self.errors.is_empty(), "nothing came out, and nothing is wrong");
                Err(self.in_order())
            }
        }
    }

    /// Sorts by place. Errors at the same place stay in the order in which they were found.
    fn in_order(self) -> ConfigErrors {
        let mut errors: Vec<Misplaced> = Vec::new();
        for error in self.errors {
            let behind = errors.partition_point(|e| e.place.position <= error.place.position);
            errors.insert(behind, error);
        }
        ConfigErrors { errors }
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
        let place = |at, key: &str| Place::in_file("f.toml", b"a\nb c", at, key.to_owned());
        errors.add(place(4, "x.c"), "three");
        errors.add(place(0, ""), "one");
        errors.add(place(2, "x.b"), "two");
        let text = errors.or(Some(())).unwrap_err().to_string();
        assert_eq!(text, "f.toml:1:1: one\nf.toml:2:1: x.b: two\nf.toml:2:3: x.c: three");
        let text = ConfigErrors::one(Place::whole("--to"), "no").to_string();
        assert_eq!(text, "--to: no");
    }
}
