//! What the process may still open once it has confined itself, and what is said of the rest.
//!
//! Like the user it runs as, that is one thing for the whole process, and for good. The system
//! enforces it; here it is known, so that whoever reads an error learns what to do about it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static CONFINES: OnceLock<Confines> = OnceLock::new();

static CONFINED: OnceLock<Confined> = OnceLock::new();

/// How often something was named that is outside.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// What may be opened. All paths are absolute, and no link leads to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confines {
    /// Files, and folders with all below, that can be read.
    pub readable: Vec<Known>,
    /// Folders in which sockets can be made and removed.
    pub sockets: Vec<Known>,
    /// Files of `readable` that stand for themselves.
    pub pinned: Vec<Known>,
}

/// A file or a folder, and which one it was. Another one that takes its name is not let through.
pub type Known = (PathBuf, Identity);

/// What a file or a folder is now.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux confines"))]
pub fn known(path: PathBuf) -> Known {
    let identity = identity(&path);
    (path, identity)
}

/// Which file it is: device and inode. None: there is none.
pub type Identity = Option<[u64; 2]>;

/// Tells which file has a name now.
pub fn identity(path: &Path) -> Identity {
    fs::metadata(path).ok().map(|file| [file.dev(), file.ino()])
}

/// From now on the process is confined.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux confines"))]
pub fn set(confines: Confines) {
    // There is only the first time.
    let _ = CONFINES.set(confines);
}

/// What the system confines of a process that has asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confined {
    /// Whether the system confines its files.
    pub files: bool,
    /// Whether the system confines its system calls.
    pub calls: bool,
}

/// Notes what the system does of what it was asked for.
pub fn note(confined: Confined) {
    // There is only the first time.
    let _ = CONFINED.set(confined);
}

/// What the system confines, and how often a file or a socket was named that is outside. None if it
/// was not asked.
pub fn state() -> Option<(Confined, u64)> {
    CONFINED.get().map(|confined| (*confined, REFUSED.load(Ordering::Relaxed)))
}

/// Judges whether a file may be read.
///
/// # Errors
/// If it is outside. A file that is not there is nowhere, and for others to complain about.
pub fn may_read(path: &Path) -> io::Result<()> {
    CONFINES.get().map_or(Ok(()), |confines| within(&confines.readable, path, TO_READ))
}

/// Judges whether a socket may be made at this path.
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

/// What to do about a file that is outside, or in another folder than at the start.
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
            "in a folder that is another one than at the start, which the sandbox does not let \
            through; {replace}"
        )
    } else {
        format!("outside of what the sandbox lets through, which is decided at the start; {name}")
    }))
}

/// What is to be said of files of the resolver that others have taken the place of. It is said
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
        assert!(wrong.to_string().starts_with("in a folder that is another one"), "{wrong}");
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
