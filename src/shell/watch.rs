//! Detects changes to the configuration's files (`server.reload_on_change`).
//!
//! A notice from the kernel says only that something has changed in a directory, and a file is not
//! written all at once. So a notice triggers a check, and files are loaded only when two checks, a
//! second apart, find them the same. Checks are jobs, because a disk may be slow. Without notices,
//! the files are polled.

use crate::config::Sources;
use crate::time::Tick;
use std::io;
use std::time::Duration;

/// How long the files must have been unchanged.
const QUIET: Duration = Duration::from_secs(1);

/// The time between two checks where there are no notices.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The known states of the files. See the module.
#[derive(Debug)]
pub(super) struct Changes {
    /// The files as they were before they were last loaded.
    loaded: Sources,
    /// The files at the last check.
    last: Sources,
    /// True exactly when the loaded files could not be used. A file that they need may have been
    /// missing.
    failed: bool,
    /// When they are checked next.
    look_at: Tick,
    /// True exactly when a job is checking them.
    looks: bool,
}

impl Changes {
    /// Begins with files that were loaded. They are checked at once, because that starts the
    /// notices.
    pub(super) fn since(loaded: Sources, now: Tick) -> Changes {
        Changes { last: loaded.clone(), loaded, failed: false, look_at: now, looks: false }
    }

    /// When the files are to be checked next.
    pub(super) const fn look_at(&self) -> Tick {
        if self.looks { Tick::NEVER } else { self.look_at }
    }

    /// Records a notice.
    pub(super) fn note(&mut self, now: Tick) {
        self.look_at = self.look_at.min(now.after(QUIET));
    }

    /// Records that these files were loaded, as they were then. They are checked at once, because
    /// that starts the notices.
    pub(super) fn note_loaded(&mut self, loaded: Sources, now: Tick) {
        (self.loaded, self.look_at) = (loaded, now);
    }

    /// Records that the files loaded last could not be used.
    pub(super) const fn note_failed(&mut self) {
        self.failed = true;
    }

    /// Begins a check of the files that it returns, if it is time.
    pub(super) fn begin_look(&mut self, now: Tick) -> Option<Sources> {
        if self.look_at() > now {
            return None;
        }
        (self.looks, self.look_at) = (true, Tick::NEVER);
        Some(self.loaded.clone())
    }

    /// Ends a check that could not be made.
    pub(super) fn not_looked(&mut self, now: Tick) {
        (self.looks, self.look_at) = (false, now.after(LOOK_EVERY));
    }

    /// Ends a check that found the files as in `seen`. `gives_notice` says whether notices follow.
    /// True if the files are to be loaded now.
    pub(super) fn looked(&mut self, seen: Sources, gives_notice: bool, now: Tick) -> bool {
        self.looks = false;
        let unchanged = if self.failed { seen == self.loaded } else { seen.are_as(&self.loaded) };
        let loads = !unchanged && seen.are_as(&self.last);
        if loads {
            self.loaded = seen.clone();
        } else if !unchanged {
            self.note(now);
        }
        if !gives_notice {
            self.look_at = self.look_at.min(now.after(LOOK_EVERY));
        }
        self.last = seen;
        loads
    }
}

/// Notices of changes in some directories.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct Notices(nix::sys::inotify::Inotify);

#[cfg(target_os = "linux")]
impl Notices {
    /// Starts watching the directories of these files.
    ///
    /// # Errors
    /// If one of them cannot be watched.
    pub(super) fn of(sources: &Sources) -> io::Result<Notices> {
        use nix::sys::inotify::{AddWatchFlags as Flags, InitFlags, Inotify};
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let flags = Flags::IN_CLOSE_WRITE
            | Flags::IN_ATTRIB
            | Flags::IN_CREATE
            | Flags::IN_DELETE
            | Flags::IN_MOVE
            | Flags::IN_DELETE_SELF
            | Flags::IN_MOVE_SELF
            | Flags::IN_ONLYDIR;
        for directory in sources.directories() {
            inotify.add_watch(&directory, flags)?;
        }
        Ok(Notices(inotify))
    }

    /// True if there was a notice since the last call.
    pub(super) fn take(&self) -> bool {
        let mut any = false;
        while self.0.read_events().is_ok() {
            any = true;
        }
        any
    }

    /// Passes the descriptor, which becomes readable, to `watch`.
    ///
    /// # Errors
    /// Any error of `watch`.
    pub(super) fn watch_with(
        &self,
        watch: impl FnOnce(&mut mio::unix::SourceFd<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        use std::os::fd::{AsFd, AsRawFd};
        watch(&mut mio::unix::SourceFd(&self.0.as_fd().as_raw_fd()))
    }
}

/// Other systems give no notices.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) enum Notices {}

#[cfg(not(target_os = "linux"))]
impl Notices {
    pub(super) fn of(_: &Sources) -> io::Result<Notices> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn take(&self) -> bool {
        match *self {}
    }

    pub(super) fn watch_with(
        &self,
        _: impl FnOnce(&mut mio::unix::SourceFd<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Seen;

    /// A file and the other files of its directory, in these states.
    fn files(state: u64, beside: u64) -> Sources {
        Sources::in_state(&[("a.toml", Seen::in_state(state))], Seen::in_state(beside))
    }

    fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    /// Makes the check that is due, and returns whether the files are to be loaded.
    fn look(changes: &mut Changes, seen: Sources, now: Tick) -> bool {
        assert_eq!(changes.look_at(), now);
        assert!(changes.begin_look(now).is_some());
        assert_eq!(changes.look_at(), Tick::NEVER, "one check at a time");
        changes.looked(seen, true, now)
    }

    #[test]
    fn what_is_the_same_for_a_second_is_loaded_once() {
        let mut changes = Changes::since(files(1, 1), at(0));
        assert!(!look(&mut changes, files(1, 1), at(0)));
        assert_eq!(changes.look_at(), Tick::NEVER);
        changes.note(at(500));
        changes.note(at(900));
        assert!(!look(&mut changes, files(2, 1), at(1500)));
        assert!(!look(&mut changes, files(3, 1), at(2500)), "it is still being written");
        assert!(look(&mut changes, files(3, 1), at(3500)));
        assert_eq!(changes.look_at(), Tick::NEVER);
        // Another file in the directory changes.
        changes.note(at(5000));
        assert!(!look(&mut changes, files(3, 2), at(6000)));
        assert_eq!(changes.look_at(), Tick::NEVER);
    }

    #[test]
    fn what_could_not_be_used_may_have_lacked_a_file() {
        let mut changes = Changes::since(files(1, 1), at(0));
        assert!(!look(&mut changes, files(2, 1), at(0)));
        assert!(look(&mut changes, files(2, 1), at(1000)));
        changes.note_failed();
        changes.note(at(2000));
        assert!(!look(&mut changes, files(2, 1), at(3000)));
        assert_eq!(changes.look_at(), Tick::NEVER, "no file was added or removed");
        changes.note(at(4000));
        assert!(look(&mut changes, files(2, 2), at(5000)));
    }

    #[test]
    fn without_notices_it_looks_again() {
        let mut changes = Changes::since(files(1, 1), at(0));
        assert!(changes.begin_look(at(0)).is_some());
        assert!(!changes.looked(files(1, 1), false, at(10)));
        assert_eq!(changes.look_at(), at(5010));
        assert!(changes.begin_look(at(5010)).is_some());
        assert!(!changes.looked(files(2, 1), false, at(5010)));
        assert_eq!(changes.look_at(), at(6010));
    }
}
