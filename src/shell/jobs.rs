//! Jobs that may block: loading a configuration, checking files for changes, and resolving names.
//!
//! All of them wait for the operating system, for as long as a disk or a name server takes. One
//! worker handles files. Each name has a thread of its own, so that a name server that does not
//! answer delays no other name and no reload. A completed job wakes the event loop.

use super::mailbox::Mailbox;
use super::resolver::{self, Name};
use super::watch::Notices;
use super::worker::{self, Worker};
use crate::config::{Config, ConfigErrors, Renewal, Sources, Tls};
use crate::descriptors::NAMES_AT_ONCE;
use crate::net::Resolution;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A job for the worker.
#[derive(Debug)]
pub(super) enum Job {
    /// Load this configuration file, and resolve the names in it.
    Load(PathBuf),
    /// Check whether the certificate files named here have changed.
    Look(Arc<Tls>),
    /// Check whether these files have changed, and watch them.
    Watch(Sources),
}

/// The result of a job.
#[derive(Debug)]
pub(super) enum Completion {
    /// A configuration was loaded, or has errors.
    Loaded(Box<Result<Config, ConfigErrors>>),
    /// The certificate files were checked. None if none had changed.
    Looked(Option<Box<Renewal>>),
    /// Files were checked, and are watched if they can be.
    Watched(Sources, Option<Notices>),
    /// A name was resolved, or could not be.
    Resolved(Name, Resolution),
}

/// The jobs, and the results that the process has not taken yet.
#[derive(Debug)]
pub(super) struct Jobs {
    loader: Worker<Job>,
    /// Resolves a name.
    ask: fn(&str, u16) -> Resolution,
    completions: Mailbox<Completion>,
    /// The names that are being resolved, at most [`NAMES_AT_ONCE`].
    names: BTreeSet<Name>,
    /// Names that wait for one of these, oldest first.
    waiting: VecDeque<Name>,
}

impl Jobs {
    /// No jobs yet. `waker` is called whenever one completes.
    pub(super) fn new(waker: Arc<mio::Waker>) -> Jobs {
        Jobs::asking(resolver::addresses_of, waker)
    }

    fn asking(ask: fn(&str, u16) -> Resolution, waker: Arc<mio::Waker>) -> Jobs {
        let completions = Mailbox::of(waker);
        let loaded = completions.clone();
        let loader = Worker::new("loader", usize::MAX, move |job| loaded.send(run(job)));
        Jobs { loader, ask, completions, names: BTreeSet::new(), waiting: VecDeque::new() }
    }

    /// Queues a job for the worker.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn submit(&self, job: Job) -> io::Result<()> {
        self.loader.submit(job).map_err(|_| io::Error::other("cannot start a worker thread"))
    }

    /// Starts to resolve a name, or queues it if many others are being resolved. Does nothing if it
    /// is among them already: all loops get the answer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn resolve(&mut self, name: &Name) -> io::Result<()> {
        if self.names.contains(name) || self.waiting.contains(name) {
            return Ok(());
        }
        if self.names.len() >= NAMES_AT_ONCE {
            self.waiting.push_back(name.clone());
            return Ok(());
        }
        self.begin_to_resolve(name.clone())
    }

    fn begin_to_resolve(&mut self, name: Name) -> io::Result<()> {
        let (ask, completions, asked) = (self.ask, self.completions.clone(), name.clone());
        let thread = worker::thread("resolver").spawn(move || {
            let resolution = ask(&asked.0, asked.1);
            completions.send(Completion::Resolved(asked, resolution));
        });
        thread.map_err(|_| io::Error::other("cannot start a thread to resolve it"))?;
        self.names.insert(name);
        Ok(())
    }

    /// Takes the oldest result that has not been taken.
    pub(super) fn next_completion(&mut self) -> Option<Completion> {
        let completion = self.completions.take();
        if let Some(Completion::Resolved(name, _)) = &completion {
            self.names.remove(name);
            if let Some(next) = self.waiting.pop_front()
                && let Err(error) = self.begin_to_resolve(next.clone())
            {
                let resolution = Err(error.to_string());
                self.completions.send(Completion::Resolved(next, resolution));
            }
        }
        completion
    }
}

fn run(job: Job) -> Completion {
    match job {
        Job::Load(path) => Completion::Loaded(Box::new(resolver::load(&path))),
        Job::Look(tls) => Completion::Looked(tls.look().map(Box::new)),
        Job::Watch(sources) => {
            // First, so that changes made during the check are noticed.
            let notices = Notices::of(&sources).ok();
            Completion::Watched(sources.look(), notices)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Address;
    use std::time::Duration;

    /// Jobs, and the poll that they wake up.
    struct Waiting {
        jobs: Jobs,
        poll: mio::Poll,
        events: mio::Events,
    }

    impl Waiting {
        fn asking(ask: fn(&str, u16) -> Resolution) -> Waiting {
            let poll = mio::Poll::new().unwrap();
            let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
            let jobs = Jobs::asking(ask, Arc::new(waker));
            Waiting { jobs, poll, events: mio::Events::with_capacity(8) }
        }

        fn resolve(&mut self, host: &str, port: u16) {
            self.jobs.resolve(&(host.to_owned(), port)).unwrap();
        }

        /// Waits for the next name to be resolved.
        fn next(&mut self) -> Name {
            loop {
                match self.jobs.next_completion() {
                    Some(Completion::Resolved(name, Ok(_))) => return name,
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
                self.poll.poll(&mut self.events, Some(Duration::from_secs(60))).unwrap();
                assert!(!self.events.is_empty(), "nothing more is resolved");
            }
        }
    }

    /// However many event loops ask for it.
    #[test]
    fn a_name_is_asked_for_once_at_a_time() {
        let mut waiting = Waiting::asking(resolver::addresses_of);
        for _ in 0..2 {
            for _ in 0..3 {
                waiting.resolve("localhost", 81);
            }
            assert_eq!(waiting.next(), ("localhost".to_owned(), 81));
        }
        waiting.resolve("127.0.0.1", 82);
        assert_eq!(waiting.next(), ("127.0.0.1".to_owned(), 82));
        assert!(waiting.jobs.next_completion().is_none());
    }

    /// This holds for any number of other names, and while names without an answer take all places
    /// but one.
    #[test]
    fn a_name_without_an_answer_delays_no_other() {
        fn ask(host: &str, port: u16) -> Resolution {
            if host == "silent.example" {
                loop {
                    std::thread::park();
                }
            }
            Ok(vec![Address::Tcp(([127, 0, 0, 1], port).into())])
        }
        let mut waiting = Waiting::asking(ask);
        for port in (1..).take(NAMES_AT_ONCE - 1) {
            waiting.resolve("silent.example", port);
        }
        let others = 1..=100;
        for port in others.clone() {
            waiting.resolve("a.example", port);
        }
        assert!(waiting.jobs.names.len() <= NAMES_AT_ONCE);
        for port in others {
            assert_eq!(waiting.next(), ("a.example".to_owned(), port));
        }
    }
}
