//! Jobs that may block: loading a configuration, looking at files that may have changed, and
//! resolving a name.
//!
//! All ask the operating system and wait for its answer, for as long as a disk or a name server
//! takes. One worker loads files and another resolves names, so that a name server that does not
//! answer delays no reload. A job that completes wakes the event loop.

use super::mailbox::Mailbox;
use super::resolver::{self, NameQuery};
use super::watch::Notices;
use super::worker::Worker;
use crate::config::{Config, ConfigErrors, Renewal, Sources, Tls};
use crate::net::Resolution;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A job for a worker.
#[derive(Debug)]
pub(super) enum Job {
    /// Load this configuration file, and resolve the names in it.
    Load(PathBuf),
    /// Look whether the files that these terms name have changed.
    Look(Arc<Tls>),
    /// Look whether these files have changed, and watch them.
    Watch(Sources),
    /// Resolve a name.
    Resolve(NameQuery),
}

/// The result of a job.
#[derive(Debug)]
pub(super) enum Completion {
    /// A configuration was loaded, or is wrong.
    Loaded(Box<Result<Config, ConfigErrors>>),
    /// The files of certificates were looked at, and some had changed.
    Looked(Option<Box<Renewal>>),
    /// Files were looked at, and are watched if they can be.
    Watched(Sources, Option<Notices>),
    /// A name was resolved, or could not be.
    Resolved(NameQuery, Resolution),
}

/// The two workers, and the results that the process has not taken yet.
#[derive(Debug)]
pub(super) struct Jobs {
    loader: Worker<Job>,
    resolver: Worker<Job>,
    completions: Mailbox<Completion>,
}

impl Jobs {
    /// No jobs yet. `waker` is called whenever one completes.
    pub(super) fn new(waker: Arc<mio::Waker>) -> Jobs {
        let completions = Mailbox::of(waker);
        let worker = |name| {
            let completions = completions.clone();
            Worker::new(name, usize::MAX, move |job| completions.send(run(job)))
        };
        Jobs { loader: worker("loader"), resolver: worker("resolver"), completions }
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

    /// Takes the oldest result that has not been taken.
    pub(super) fn next_completion(&self) -> Option<Completion> {
        self.completions.take()
    }
}

fn run(job: Job) -> Completion {
    match job {
        Job::Load(path) => Completion::Loaded(Box::new(resolver::load(&path))),
        Job::Look(tls) => Completion::Looked(tls.look().map(Box::new)),
        Job::Watch(sources) => {
            // First, so that what changes meanwhile is noticed.
            let notices = Notices::of(&sources).ok();
            Completion::Watched(sources.look(), notices)
        }
        Job::Resolve(query) => {
            let resolution = resolver::addresses_of(&query.host, query.port);
            Completion::Resolved(query, resolution)
        }
    }
}
