//! What the process may still open once it has confined itself, and the error for everything else.
//!
//! Like the user that the process runs as, this applies to the whole process, and for good. The
//! system enforces it. This module keeps its own copy, so that errors can say what to do about it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static CONFINES: OnceLock<Confines> = OnceLock::new();

static CONFINED: OnceLock<Confined> = OnceLock::new();

/// How often something outside was named.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// What may be opened. All paths are absolute, without symbolic links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confines {
    /// Files, and folders with everything below them, that can be read.
    pub readable: Vec<Known>,
    /// Folders in which sockets can be created and removed.
    pub sockets: Vec<Known>,
    /// Files that are allowed by themselves, not through their folder: another file in their place
    /// cannot be read.
    pub pinned: Vec<Known>,
}

/// A file or a folder, and its identity. Another one that takes its name is not allowed.
pub type Known = (PathBuf, Identity);

/// A file or a folder with its current identity.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux confines"))]
pub fn known(path: PathBuf) -> Known {
    let identity = identity(&path);
    (path, identity)
}

/// The identity of a file: device and inode. None if there is no file.
pub type Identity = Option<[u64; 2]>;

/// Returns the identity of the file that now has this name.
pub fn identity(path: &Path) -> Identity {
    fs::metadata(path).ok().map(|file| [file.dev(), file.ino()])
}

/// Notes that the process is confined from now on.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux confines"))]
pub fn set(confines: Confines) {
    // Only the first call counts.
    let _ = CONFINES.set(confines);
}

/// What the system confines after the process has requested it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confined {
    /// True if the system confines its files.
    pub files: bool,
    /// True if the system confines its system calls.
    pub calls: bool,
}

/// Notes what the system actually confines.
pub fn note(confined: Confined) {
    // Only the first call counts.
    let _ = CONFINED.set(confined);
}

/// What the system confines, and how often a file or a socket outside was named. None if nothing
/// was requested.
pub fn state() -> Option<(Confined, u64)> {
    CONFINED.get().map(|confined| (*confined, REFUSED.load(Ordering::Relaxed)))
}

/// Checks whether a file may be read.
///
/// # Errors
/// If it is outside. A file that does not exist is not refused here; opening it fails anyway.
pub fn may_read(path: &Path) -> io::Result<()> {
    CONFINES.get().map_or(Ok(()), |confines| within(&confines.readable, path, TO_READ))
}

/// Checks whether a socket may be created at this path.
///
/// # Errors
/// If it is outside.
pub fn may_bind(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder.unwrap_or(path),
    };
    CONFINES.get().map_or(Ok(()), |confines| within(&confines.sockets, folder, TO_LISTEN))
}

/// What to do about a file that is outside, or whose folder was replaced after the start.
const TO_READ: [&str; 2] = [
    "name its folder in server.sandbox_folders, and restart",
    "restart; server.sandbox_folders may name the one above it",
];

/// What to do about a socket.
const TO_LISTEN: [&str; 2] = ["restart"; 2];

fn within(allowed: &[Known], path: &Path, [name, replace]: [&str; 2]) -> io::Result<()> {
    let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
    let mut above = allowed.iter().filter(|(folder, _)| real.starts_with(folder)).peekable();
    let is_named = above.peek().is_some();
    if above.any(|(folder, was)| identity(folder) == *was) {
        return Ok(());
    }
    REFUSED.fetch_add(1, Ordering::Relaxed);
    Err(io::Error::other(if is_named {
        format!(
            "in a folder that was replaced after the start, which the sandbox does not allow; \
            {replace}"
        )
    } else {
        format!("outside the folders that the sandbox allows, which are fixed at the start; {name}")
    }))
}

/// The warning about a file of the resolver that another one has replaced. It is returned only
/// once.
pub fn replaced() -> Option<String> {
    static SAID: AtomicBool = AtomicBool::new(false);
    let confines = CONFINES.get()?;
    let file = confines.replaced()?;
    (!SAID.swap(true, Ordering::Relaxed)).then(|| {
        format!(
            "sandbox: {} is another file than at the start, which cannot be read; names may not \
            resolve, so restart",
            file.display()
        )
    })
}

impl Confines {
    fn replaced(&self) -> Option<&Path> {
        let other = |(path, was): &&Known| identity(path) != *was;
        self.pinned.iter().find(other).map(|(path, _)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_and_names_are_whole() {
        let below = [known(fs::canonicalize("/proc/self").unwrap())];
        assert!(within(&below, Path::new("/proc/self/status"), TO_READ).is_ok());
        assert!(within(&below, &below[0].0, TO_READ).is_ok());
        assert!(within(&below, Path::new("/nowhere"), TO_READ).is_ok());
        let wrong = within(&below, Path::new("/proc/self/root"), TO_READ).unwrap_err();
        assert!(wrong.to_string().ends_with("and restart"), "{wrong}");
        assert!(within(&[known(PathBuf::from("/pro"))], Path::new("/proc"), TO_READ).is_err());
    }

    #[test]
    fn another_folder_of_the_same_name_is_not_let_through() {
        let other = (PathBuf::from("/dev"), Some([1, 1]));
        let wrong =
            within(std::slice::from_ref(&other), Path::new("/dev/null"), TO_READ).unwrap_err();
        assert!(wrong.to_string().starts_with("in a folder that was replaced"), "{wrong}");
        let whole = known(PathBuf::from("/"));
        assert!(within(&[other, whole], Path::new("/dev/null"), TO_READ).is_ok());
    }

    #[test]
    fn another_file_of_the_same_name_is_noticed() {
        let (here, nowhere) = (PathBuf::from("/dev/null"), PathBuf::from("/nowhere"));
        let pinned = |of: [Identity; 2]| Confines {
            pinned: vec![(here.clone(), of[0]), (nowhere.clone(), of[1])],
            ..Confines::default()
        };
        let now = identity(&here);
        assert!(now.is_some() && pinned([now, None]).replaced().is_none());
        assert_eq!(pinned([Some([1, 1]), None]).replaced(), Some(here.as_path()));
        assert_eq!(pinned([now, Some([1, 1])]).replaced(), Some(nowhere.as_path()));
    }
}
