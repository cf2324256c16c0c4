//! The readings of a path, against a naive closure.

use crate::route::readings::{READINGS_MAX, naive, readings};
use std::collections::BTreeSet;

/// Longer paths may take too much work before they have too many readings.
const LONGEST: usize = 40;

/// The bytes, after a slash, are a path. Its readings are those of the naive closure, each once and
/// with a leading slash, and a path that is refused has too many of them.
pub fn path_readings(bytes: &[u8]) {
    let path = [b"/", &bytes[..bytes.len().min(LONGEST)]].concat();
    let want = naive::readings(&path, READINGS_MAX);
    let Ok(got) = readings(&path) else {
        assert!(want.len() > READINGS_MAX, "{:?}: {want:?}", path.escape_ascii().to_string());
        return;
    };
    assert!(got.iter().all(|reading| reading.starts_with(b"/")));
    let count = got.len();
    let latin1 = |reading: Vec<u8>| reading.into_iter().map(char::from).collect();
    let got: BTreeSet<String> = got.into_iter().map(latin1).collect();
    assert_eq!(got.len(), count, "each once");
    assert_eq!(got, want, "{:?}", path.escape_ascii().to_string());
}
