//! Confinement (`server.sandbox`): takes away everything this process does not need, so that an
//! attacker who takes it over cannot use that either.
//!
//! It uses three Linux mechanisms, none of which can be undone. `capabilities` drops all but a few
//! of root's privileges. `files`: Landlock allows opening only what the configuration and the
//! system's resolver need. `calls`: a seccomp filter fails all other system calls with EPERM. It
//! never kills the process, because that could break a thousand streams.
//!
//! Capabilities belong to the thread that drops them and to the threads it then starts; before
//! Linux 7.0 the same is true of Landlock. So both come first, before there is another thread: a
//! name server that does not answer can block a thread for longer than startup takes. System calls
//! come last, when privileges have been dropped, and for all threads.
//!
//! On a system that supports none of this the process runs unconfined, and the log says so, so that
//! one systemd unit and one image work everywhere.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod files;

#[cfg(target_os = "linux")]
use super::sys;
use crate::config::Config;
use crate::confines::{self, Confined};
use std::path::Path;

/// A sandbox that confines files, but not system calls yet.
#[derive(Debug)]
pub struct Sandbox {
    /// The folders that can be read, or why files cannot be confined.
    #[cfg(target_os = "linux")]
    files: Result<String, String>,
    /// Whether it keeps some of root's privileges for as long as it runs.
    #[cfg(target_os = "linux")]
    is_privileged: Result<bool, String>,
}

impl Sandbox {
    /// Lets this thread and all threads it starts open only the files that `config`, which was read
    /// from `file`, needs, and drops all privileges that it does not need. Nothing may have been
    /// logged before, because that starts a thread.
    #[cfg(target_os = "linux")]
    pub fn of_files(config: &Config, file: Option<&Path>) -> Sandbox {
        sys::prepare_usage();
        let is_privileged = capabilities::give_up(config).map_err(|error| error.to_string());
        Sandbox { files: files::confine(config, file), is_privileged }
    }

    /// Lets all threads make only the system calls that are needed once everything is open, and
    /// logs what is confined.
    #[cfg(target_os = "linux")]
    pub fn close(&self) {
        match &self.files {
            Ok(folders) => log::info!("sandbox: files can be read in {folders}"),
            Err(why) => log::warn!("sandbox: this system cannot confine files: {why}"),
        }
        match &self.is_privileged {
            Ok(false) => {}
            Ok(true) => log::info!(
                "sandbox: privileges that the process was started with stay: it can listen on low \
                ports and pass over file modes; set server.user to give them up"
            ),
            Err(why) => log::warn!("sandbox: this system cannot take privileges away: {why}"),
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

    /// Logs that nothing is confined.
    #[cfg(not(target_os = "linux"))]
    pub fn close(&self) {
        confines::note(Confined { files: false, calls: false });
        log::warn!("sandbox: this system cannot confine a process; on Linux it would be");
    }
}
