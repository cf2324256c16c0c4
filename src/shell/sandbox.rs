//! Confinement (`server.sandbox`): what this process has no use for, it cannot do any more, whoever
//! has got hold of it.
//!
//! Two parts of Linux serve that, and neither can be undone. `files`: Landlock lets it open what
//! its configuration and the system's resolver need, and nothing else. `calls`: a filter of seccomp
//! answers all other system calls with EPERM. It never kills, because who is confined may be a
//! thousand streams.
//!
//! Before Linux 7.0 Landlock confines the thread that asks for it, and those that it starts then.
//! So files come first, before there is another thread: a name server that does not answer may hold
//! a thread for longer than the start takes. Calls come last, when privileges have been given up,
//! and for all threads.
//!
//! A system that can do neither runs it as it is, and the log says so: the same unit and the same
//! image serve everybody.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;

#[cfg(target_os = "linux")]
use super::sys;
use crate::config::Config;
use crate::confines::{self, Confined};
use std::path::Path;

/// A sandbox that is closed for files, and not yet for system calls.
#[derive(Debug)]
pub struct Sandbox {
    /// What there is to say of the files.
    #[cfg(target_os = "linux")]
    files: Result<String, String>,
}

impl Sandbox {
    /// Lets this thread, and all that it will start, open only what `config` needs, which was read
    /// from `file`. Nothing may have been logged yet, as that starts a thread.
    #[cfg(target_os = "linux")]
    pub fn of_files(config: &Config, file: Option<&Path>) -> Sandbox {
        sys::prepare_usage();
        Sandbox { files: files::confine(config, file) }
    }

    /// Lets all threads make only the system calls that are needed when everything is open, and
    /// says what is confined.
    #[cfg(target_os = "linux")]
    pub fn close(&self) {
        match &self.files {
            Ok(folders) => log::info!("sandbox: files can be read in {folders}"),
            Err(why) => log::warn!("sandbox: this system cannot confine files: {why}"),
        }
        let calls = calls::confine();
        confines::note(Confined { files: self.files.is_ok(), calls: calls.is_ok() });
        match calls {
            Ok(count) => log::info!("sandbox: all but {count} system calls end with EPERM"),
            Err(why) => log::warn!("sandbox: this system cannot confine system calls: {why}"),
        }
    }

    /// Does nothing: there is no sandbox on this system.
    #[cfg(not(target_os = "linux"))]
    pub const fn of_files(_: &Config, _: Option<&Path>) -> Sandbox {
        Sandbox {}
    }

    /// Says that nothing is confined.
    #[cfg(not(target_os = "linux"))]
    pub fn close(&self) {
        confines::note(Confined { files: false, calls: false });
        log::warn!("sandbox: this system cannot confine a process; on Linux it would be");
    }
}
