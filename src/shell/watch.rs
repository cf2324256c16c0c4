//! Watching the files of the configuration (`server.reload_on_change`).
//!
//! A notice of the kernel says only that something has happened in a directory, and whoever writes
//! a file does not do it at once. So a notice leads to a look, and only what was the same at two
//! looks, a second apart, is loaded. Looks are jobs, because a disk may take its time. Where there
//! are no notices, the files are looked at again and again.

use crate::config::Sources;
use crate::time::Tick;
use std::io;
use std::time::Duration;

/// How long the files must have been the same.
const QUIET: Duration = Duration::from_secs(1);

/// The time between two looks where nobody gives notice.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is known of the files. See the module.
#[derive(Debug)]
pub(super) struct Changes {
    /// The files as they were before they were last loaded.
    loaded: Sources,
    /// The files at the last look.
    last: Sources,
    /// True exactly when they could not be used. Another file may be missing then.
    failed: bool,
    /// When they are looked at next.
    look_at: Tick,
    /// True exactly when a job looks.
    looks: bool,
}

impl Changes {
    /// Begins with files that were loaded. They are looked at once, for the sake of the notices.
    pub(super) fn since(loaded: Sources, now: Tick) -> Changes {
        Changes { last: loaded.clone(), loaded, failed: false, look_at: now, looks: false }
    }

    /// When the files are to be looked at next.
    pub(super) const fn look_at(&self) -> Tick {
        if self.looks { Tick::NEVER } else { self.look_at }
    }

    /// Takes note that something has happened.
    pub(super) fn note(&mut self, now: Tick) {
        self.look_at = self.look_at.min(now.after(QUIET));
    }

    /// Takes note that what was loaded last cannot be used.
    pub(super) const fn note_failed(&mut self) {
        self.failed = true;
    }

    /// Begins a look at these files, if it is time.
    pub(super) fn begin_look(&mut self, now: Tick) -> Option<Sources> {
        if self.look_at() > now {
            return None;
        }
        (self.looks, self.look_at) = (true, Tick::NEVER);
        Some(self.loaded.clone())
    }

    /// Ends a look that could not be taken.
    pub(super) fn not_looked(&mut self, now: Tick) {
        (self.looks, self.look_at) = (false, now.after(LOOK_EVERY));
    }

    /// Ends a look, that has `seen` the files and will give notice or not. True if they are to be
    /// loaded now.
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

/// Gives notice when something happens in some directories.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct Notices(nix::sys::inotify::Inotify);

#[cfg(target_os = "linux")]
impl Notices {
    /// Begins to watch the directories of these files.
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

    /// True if there was any since the last call.
    pub(super) fn take(&self) -> bool {
        let mut any = false;
        while self.0.read_events().is_ok() {
            any = true;
        }
        any
    }

    /// Lets `watch` know the descriptor that becomes readable.
    ///
    /// # Errors
    /// Those of `watch`.
    pub(super) fn watch_with(
        &self,
        watch: impl FnOnce(&mut mio::unix::SourceFd<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        use std::os::fd::{AsFd, AsRawFd};
        watch(&mut mio::unix::SourceFd(&self.0.as_fd().as_raw_fd()))
    }
}

/// Elsewhere nobody gives notice.
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

    /// Two files, and what comes and goes beside them, in these states.
    fn files(state: u64, beside: u64) -> Sources {
        Sources::in_state(&[("a.toml", Seen::in_state(state))], Seen::in_state(beside))
    }

    fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    /// Looks when it is due, and says whether the files are loaded then.
    fn look(changes: &mut Changes, seen: Sources, now: Tick) -> bool {
        assert_eq!(changes.look_at(), now);
        assert!(changes.begin_look(now).is_some());
        assert_eq!(changes.look_at(), Tick::NEVER, "one look at a time");
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
        // Something happens beside it.
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
        assert_eq!(changes.look_at(), Tick::NEVER, "nothing has come or gone");
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
