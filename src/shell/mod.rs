//! The shell: everything between the operating system and the proxy.
//!
//! In reading order:
//!
//! - [`process`] owns everything there is one of: signals, the configuration file, the user it runs
//!   as, worker threads and logs. It runs the `loops`. Each is an `event_loop`, which owns a poll,
//!   a proxy and a `clock`. Loops communicate through a `mailbox`; `inquiries` asks all of them a
//!   question.
//! - [`sys`] and [`service`] talk to the operating system and to the service manager; `listeners`
//!   opens what a configuration listens on.
//! - `worker` is a thread that runs queued work off the event loop. `jobs` has one for
//!   configuration files, whose changes `watch` detects, and a thread for each host name, which
//!   [`resolver`] looks up; [`logger`] has one for standard error, and `output` one for the access
//!   log on standard output. Both write through `lines`.
//! - [`sandbox`] gives up privileges and access that the process does not need.
//! - [`arguments`] reads the command line; [`remote`] implements the options that talk to a running
//!   process, through `client`.

pub mod arguments;
mod client;
pub mod clock;
mod event_loop;
mod inquiries;
mod jobs;
mod lines;
mod listeners;
pub mod logger;
pub mod loops;
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
