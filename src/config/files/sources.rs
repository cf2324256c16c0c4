//! The files that a configuration was read from, and whether they have changed since.

use super::seen::Seen;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The most links that are followed on the way to a file, as in Linux.
const LINKS_MAX: usize = 40;

/// Files as they were when they were read or checked. Certificates are not among them: they are
/// renewed separately ([`super::renewal`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<(PathBuf, Seen)>,
    /// The folder of the configuration file. It changes when a file in it is added or removed.
    folder: Seen,
}

impl Sources {
    /// The configuration file, which is about to be read.
    pub(crate) fn of(path: &Path) -> Sources {
        let mut sources = Sources { folder: Seen::of(folder_of(path)), ..Sources::default() };
        sources.add(path, Seen::of(path));
        sources
    }

    /// Adds another file, as it was before it was read.
    pub(crate) fn add(&mut self, path: &Path, seen: Seen) {
        if self.files.iter().all(|(known, _)| known != path) {
            self.files.push((path.to_owned(), seen));
        }
    }

    /// Files in these states.
    #[cfg(test)]
    pub fn in_state(files: &[(&str, Seen)], folder: Seen) -> Sources {
        let files = files.iter().map(|(path, seen)| (PathBuf::from(path), *seen)).collect();
        Sources { files, folder }
    }

    /// The configuration file. None if the configuration was not read from a file.
    pub(crate) fn first(&self) -> Option<&Path> {
        self.files.first().map(|(path, _)| path.as_path())
    }

    /// The same files as they are now. Blocks for as long as the disk takes.
    pub fn look(&self) -> Sources {
        let files = self.files.iter().map(|(path, _)| (path.clone(), Seen::of(path)));
        let first = self.first().map(|path| Seen::of(folder_of(path)));
        Sources { files: files.collect(), folder: first.unwrap_or_default() }
    }

    /// True exactly when both have the same files in the same states.
    pub fn are_as(&self, others: &Sources) -> bool {
        self.files == others.files
    }

    /// The directories in which a change to one of the files shows: those of the files, and of all
    /// links on the way to them.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let mut directories = BTreeSet::new();
        for (path, _) in &self.files {
            follow(path, &mut directories);
        }
        directories
    }
}

/// The directories in which a change to this file shows: its own, and those of all links on the way
/// to it.
pub fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    follow(path, &mut folders);
    folders
}

/// The folder of a file. That of a plain name is the working directory.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Adds the directories of all links on the way to a file, and the file's own.
fn follow(path: &Path, directories: &mut BTreeSet<PathBuf>) {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match first_link(&path) {
            Some((link, next)) => {
                directories.insert(folder_of(&link).to_owned());
                path = next;
            }
            None => break,
        }
    }
    directories.insert(folder_of(&path).to_owned());
}

/// The first link on the way to a file, and the path to the file with that link resolved.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut so_far = PathBuf::new();
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        so_far.push(component);
        if component == Component::ParentDir {
            continue;
        }
        if let Ok(target) = fs::read_link(&so_far) {
            let next = folder_of(&so_far).join(target).join(rest.as_path());
            return Some((so_far, next));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::files::scratch::Scratch;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_shows() {
        let scratch = Scratch::new();
        let (path, keys) = (scratch.join("a.toml"), scratch.join("keys.toml"));
        fs::write(&path, "1").unwrap();
        let mut sources = Sources::of(&path);
        sources.add(&keys, Seen::of(&keys));
        sources.add(&keys, Seen::of(&keys));
        assert_eq!(sources.files.len(), 2);
        assert!(sources.look().are_as(&sources));
        // A new file is a change, and so is a replaced one.
        fs::write(&keys, "2").unwrap();
        let with_keys = sources.look();
        assert!(!with_keys.are_as(&sources) && with_keys != sources);
        fs::write(scratch.join("b.toml"), "1").unwrap();
        let beside = sources.look();
        assert!(beside.are_as(&with_keys) && beside != with_keys);
        fs::rename(scratch.join("b.toml"), &path).unwrap();
        assert!(!sources.look().are_as(&with_keys));
    }

    /// As Kubernetes mounts a ConfigMap: a new version is one renamed link.
    #[test]
    fn links_are_followed_to_what_changes() {
        let scratch = Scratch::new();
        for version in ["v1", "v2"] {
            fs::create_dir(scratch.join(version)).unwrap();
            fs::write(scratch.join(version).join("a.toml"), version).unwrap();
        }
        symlink("v1", scratch.join("..data")).unwrap();
        symlink("..data/a.toml", scratch.join("a.toml")).unwrap();
        let sources = Sources::of(&scratch.join("a.toml"));
        let want = [scratch.to_path_buf(), scratch.join("v1")];
        assert_eq!(sources.directories().into_iter().collect::<Vec<_>>(), want);
        symlink("v2", scratch.join("new")).unwrap();
        fs::rename(scratch.join("new"), scratch.join("..data")).unwrap();
        assert!(!sources.look().are_as(&sources));
        assert!(sources.directories().contains(&scratch.join("v2")));
        // A circle of links is not followed for ever.
        symlink("b", scratch.join("c")).unwrap();
        symlink("c", scratch.join("b")).unwrap();
        let circle = Sources::of(&scratch.join("b"));
        assert!(circle.directories().into_iter().eq([scratch.to_path_buf()]));
    }

    #[test]
    fn folders() {
        assert_eq!(folder_of(Path::new("a.toml")), Path::new("."));
        assert_eq!(folder_of(Path::new("b/a.toml")), Path::new("b"));
        assert_eq!(folder_of(Path::new("/")), Path::new("/"));
    }
}
