//! Detects whether a file has changed since it was last checked.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The state of a file: a different state means that the file was replaced or has changed. Default:
/// there is no file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    /// The status change time in seconds and nanoseconds. Unlike the modification time it cannot be
    /// set.
    changed: (i64, i64),
}

impl Seen {
    /// The state of a file now. Links are followed.
    pub(crate) fn of(path: &Path) -> Seen {
        let Ok(file) = fs::metadata(path) else { return Seen::default() };
        let changed = (file.ctime(), file.ctime_nsec());
        Seen { device: file.dev(), inode: file.ino(), size: file.size(), changed }
    }

    /// A made-up state, which differs for each number.
    #[cfg(test)]
    pub const fn in_state(state: u64) -> Seen {
        Seen { device: 1, inode: 1, size: state, changed: (0, 0) }
    }
}
