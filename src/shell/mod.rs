//! The shell: everything between the operating system and the proxy.
//!
//! In reading order:
//!
//! - [`process`] owns what a process has once: signals, the configuration file, the user it runs
//!   as, worker threads and logs. It has the `loops`, each an `event_loop`, which owns a poll, a
//!   proxy and a `clock`. They talk by `mailbox`; `inquiries` has what all are asked.
//! - [`sys`] and [`service`] talk to the operating system and to the service manager; `listeners`
//!   opens what a configuration listens on.
//! - `worker` is a thread that runs queued work off the event loop. `jobs` has one for
//!   configuration files, which `watch` knows to have changed, and one for host names, which
//!   [`resolver`] looks up; [`logger`] has one for standard error, and `output` one for the access
//!   log on standard output.
//! - [`sandbox`] gives up what the process has no use for.
//! - [`arguments`] reads the command line; [`remote`] is what it does with a process that runs, and
//!   `client` how that is asked.

pub mod arguments;
mod client;
pub mod clock;
mod event_loop;
mod inquiries;
mod jobs;
mod listeners;
pub mod logger;
mod loops;
mod mailbox;
mod output;
pub mod process;
pub mod remote;
pub mod resolver;
mod room;
pub mod sandbox;
pub mod service;
mod stop;
pub mod sys;
mod watch;
mod worker;
