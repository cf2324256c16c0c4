//! The shell: everything between the operating system and the proxy.
//!
//! In reading order:
//!
//! - [`process`] owns what a process has once: signals, the configuration file, the service
//!   manager, the user it runs as, worker threads and logs.
//! - [`sys`] and [`service`] talk to the operating system and to the service manager; `listeners`
//!   opens what a configuration listens on.
//! - `worker` is a thread that runs queued work off the event loop; `jobs`, [`logger`] and `output`
//!   use one each for files and names, for standard error, and for standard output. [`resolver`]
//!   looks up names.
//! - [`arguments`] reads the command line.

pub mod arguments;
mod jobs;
mod listeners;
pub mod logger;
mod output;
pub mod process;
pub mod resolver;
pub mod service;
pub mod sys;
mod worker;
