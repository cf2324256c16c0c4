//! Confinement (`server.sandbox`): what this process has no use for, it cannot do any more, whoever
//! has got hold of it.
//!
//! Three parts of Linux serve that, and none can be undone. `capabilities`: of the privileges of
//! root a few are left. `files`: Landlock lets it open what its configuration and the system's
//! resolver need, and nothing else. `calls`: a filter of seccomp answers all other system calls
//! with EPERM. It never kills, because who is confined may be a thousand streams.
//!
//! Capabilities are of the thread that gives them up, and of those that it starts then; before
//! Linux 7.0 so is what Landlock confines. So both come first, before there is another thread: a
//! name server that does not answer may hold a thread for longer than the start takes. Calls come
//! last, when privileges have been given up, and for all threads.
//!
//! A system that can do none of it runs it as it is, and the log says so: the same unit and the
//! same image serve everybody.

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

/// A sandbox that is closed for files, and not yet for system calls.
#[derive(Debug)]
pub struct Sandbox {
    /// What there is to say of the files.
    #[cfg(target_os = "linux")]
    files: Result<String, String>,
    /// Whether it has privileges of root for good.
    #[cfg(target_os = "linux")]
    is_privileged: Result<bool, String>,
}

impl Sandbox {
    /// Lets this thread, and all that it will start, open only what `config` needs, which was read
    /// from `file`, and have no privileges but those that it needs. Nothing may have been logged
    /// yet, as that starts a thread.
    #[cfg(target_os = "linux")]
    pub fn of_files(config: &Config, file: Option<&Path>) -> Sandbox {
        sys::prepare_usage();
        let is_privileged = capabilities::give_up(config).map_err(|error| error.to_string());
        Sandbox { files: files::confine(config, file), is_privileged }
    }

    /// Lets all threads make only the system calls that are needed when everything is open, and
    /// says what is confined.
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

    /// Says that nothing is confined.
    #[cfg(not(target_os = "linux"))]
    pub fn close(&self) {
        confines::note(Confined { files: false, calls: false });
        log::warn!("sandbox: this system cannot confine a process; on Linux it would be");
    }
}
