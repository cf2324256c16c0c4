//! Records which transitions, deadlines and actions occur, so that a test can find those that no
//! transcript covers.
//!
//! A test starts a recording, and takes what its thread has noted since ([`note`]). Without the
//! feature `sim` nothing is recorded, and this compiles to nothing.

use std::fmt::Debug;
#[cfg(any(test, feature = "sim"))]
use std::{
    cell::Cell,
    collections::BTreeSet,
    fmt::{self, Write as _},
};

#[cfg(any(test, feature = "sim"))]
thread_local! {
    static SEEN: Cell<Option<BTreeSet<String>>> = const { Cell::new(None) };
}

/// Notes that these values, of this `kind`, have occurred. Only the names of their variants count.
#[cfg(any(test, feature = "sim"))]
pub fn note(kind: &str, values: &[&dyn Debug]) {
    let Some(mut seen) = SEEN.take() else { return };
    let mut line = kind.to_owned();
    for value in values {
        line.push(' ');
        // Only the name of a variant is needed.
        let _ = write!(Name(&mut line), "{value:?}");
    }
    seen.insert(line);
    SEEN.set(Some(seen));
}

/// Does nothing without the feature `sim`.
#[cfg(not(any(test, feature = "sim")))]
#[inline(always)]
pub const fn note(_kind: &str, _values: &[&dyn Debug]) {}

/// Starts a recording in this thread.
#[cfg(any(test, feature = "sim"))]
pub fn start() {
    SEEN.set(Some(BTreeSet::new()));
}

/// Takes what this thread has noted since the start: a kind and names, separated by spaces.
#[cfg(any(test, feature = "sim"))]
pub fn take() -> BTreeSet<String> {
    SEEN.take().unwrap_or_default()
}

/// Accepts text up to the end of the first word.
#[cfg(any(test, feature = "sim"))]
struct Name<'a>(&'a mut String);

#[cfg(any(test, feature = "sim"))]
impl fmt::Write for Name<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
        self.0.push_str(&text[..end]);
        if end == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_noted_and_only_behind_a_start() {
        note("Shape", &[&Some(1)]);
        start();
        note("Shape", &[&Some("x"), &None::<u8>]);
        note("Shape", &[&Ok::<u8, u8>(1)]);
        note("Shape", &[&Ok::<u8, u8>(2)]);
        let seen: Vec<String> = take().into_iter().collect();
        assert_eq!(seen, ["Shape Ok", "Shape Some None"]);
        note("Shape", &[&Some(1)]);
        assert!(take().is_empty());
    }
}
