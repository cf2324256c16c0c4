//! Jobs that may block: loading a configuration, checking files for changes, and resolving names.
//!
//! All of them wait for the operating system, for as long as a disk or a name server takes. One
//! worker handles files and another resolves names, so that a name server that does not answer
//! delays no reload. A completed job wakes the event loop.

use super::mailbox::Mailbox;
use super::resolver::{self, Name};
use super::watch::Notices;
use super::worker::Worker;
use crate::config::{Config, ConfigErrors, Renewal, Sources, Tls};
use crate::net::Resolution;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A job for a worker.
#[derive(Debug)]
pub(super) enum Job {
    /// Load this configuration file, and resolve the names in it.
    Load(PathBuf),
    /// Check whether the certificate files named here have changed.
    Look(Arc<Tls>),
    /// Check whether these files have changed, and watch them.
    Watch(Sources),
    /// Resolve a name.
    Resolve(Name),
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

/// The two workers, and the results that the process has not taken yet.
#[derive(Debug)]
pub(super) struct Jobs {
    loader: Worker<Job>,
    resolver: Worker<Job>,
    completions: Mailbox<Completion>,
    /// The names that are being resolved.
    names: BTreeSet<Name>,
}

impl Jobs {
    /// No jobs yet. `waker` is called whenever one completes.
    pub(super) fn new(waker: Arc<mio::Waker>) -> Jobs {
        let completions = Mailbox::of(waker);
        let worker = |name| {
            let completions = completions.clone();
            Worker::new(name, usize::MAX, move |job| completions.send(run(job)))
        };
        let (loader, resolver) = (worker("loader"), worker("resolver"));
        Jobs { loader, resolver, completions, names: BTreeSet::new() }
    }

    /// Queues a job for its worker.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn submit(&self, job: Job) -> io::Result<()> {
        let worker = match job {
            Job::Load(_) | Job::Look(_) | Job::Watch(_) => &self.loader,
            Job::Resolve(_) => &self.resolver,
        };
        worker.submit(job).map_err(|_| io::Error::other("cannot start a worker thread"))
    }

    /// Queues the resolution of a name, unless it is being resolved already: all loops get the
    /// answer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn resolve(&mut self, name: &Name) -> io::Result<()> {
        if self.names.contains(name) {
            return Ok(());
        }
        self.submit(Job::Resolve(name.clone()))?;
        self.names.insert(name.clone());
        Ok(())
    }

    /// Takes the oldest result that has not been taken.
    pub(super) fn next_completion(&mut self) -> Option<Completion> {
        let completion = self.completions.take();
        if let Some(Completion::Resolved(name, _)) = &completion {
            self.names.remove(name);
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
        Job::Resolve(name) => {
            let resolution = resolver::addresses_of(&name.0, name.1);
            Completion::Resolved(name, resolution)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// However many event loops ask for it.
    #[test]
    fn a_name_is_asked_for_once_at_a_time() {
        const WAKE: mio::Token = mio::Token(0);
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(8);
        let mut jobs = Jobs::new(Arc::new(mio::Waker::new(poll.registry(), WAKE).unwrap()));
        let mut next = |jobs: &mut Jobs| loop {
            match jobs.next_completion() {
                Some(completion) => return completion,
                None => poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap(),
            }
        };
        let name = ("localhost".to_owned(), 81);
        for _ in 0..2 {
            for _ in 0..3 {
                jobs.resolve(&name).unwrap();
            }
            assert!(matches!(next(&mut jobs), Completion::Resolved(of, Ok(_)) if of == name));
        }
        // The worker runs one job at a time, so if another had been queued, it would come first.
        let last = ("127.0.0.1".to_owned(), 82);
        jobs.resolve(&last).unwrap();
        assert!(matches!(next(&mut jobs), Completion::Resolved(of, Ok(_)) if of == last));
    }
}
