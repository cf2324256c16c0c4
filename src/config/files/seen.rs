//! Whether a file has changed since it was last looked at.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What shows that a file is another one, or has changed: where it is, and when that or its
/// contents last changed. Default: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    /// In seconds and nanoseconds. Unlike the time of modification it cannot be set.
    changed: (i64, i64),
}

impl Seen {
    /// Looks at a file. A link leads to another one.
    pub(crate) fn of(path: &Path) -> Seen {
        let Ok(file) = fs::metadata(path) else { return Seen::default() };
        let changed = (file.ctime(), file.ctime_nsec());
        Seen { device: file.dev(), inode: file.ino(), size: file.size(), changed }
    }

    /// A file that is in this state, whatever that is.
    #[cfg(test)]
    pub const fn in_state(state: u64) -> Seen {
        Seen { device: 1, inode: 1, size: state, changed: (0, 0) }
    }
}
