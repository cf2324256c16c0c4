//! What may take long, done beside the loop: reading a configuration, resolving a name.
//!
//! Both ask the system and block until it answers, for as long as a name server likes. One clerk
//! reads, another one resolves, so that a name server that says nothing keeps nobody from reading
//! the configuration again. Each does one thing after the other, and wakes the loop when there is
//! an answer.

use super::resolver;
use super::worker::Clerk;
use crate::config::{Config, ConfigErrors};
use crate::net::Resolution;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
#[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};

/// Something to be done.
#[derive(Debug)]
pub(super) enum Errand {
    /// A configuration is read, and the names in it are resolved.
    Load(PathBuf),
    /// A name is resolved, for whoever has these numbers.
    Resolve {
        /// Whose name it is; comes back with the answer.
        whose: (u64, usize),
        /// The name.
        host: String,
        /// The port, which the addresses get.
        port: u16,
    },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    /// A configuration, or what is wrong with it.
    Loaded(Box<Result<Config, ConfigErrors>>),
    /// The addresses of a name, or why there are none.
    Resolved((u64, usize), Resolution),
}

/// Who does them, and what is done.
#[derive(Debug)]
pub(super) struct Errands {
    reader: Clerk<Errand>,
    resolver: Clerk<Errand>,
    done: Tray,
}

/// Where what is done is put down and picked up.
#[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
#[derive(Clone, Debug, Default)]
struct Tray(Arc<Mutex<VecDeque<Done>>>);

impl Errands {
    /// No errands yet. The waker is called when one is done.
    pub(super) fn new(waker: mio::Waker) -> Errands {
        let (done, waker) = (Tray::default(), Arc::new(waker));
        let clerk = |name| {
            let (tray, waker) = (done.clone(), Arc::clone(&waker));
            Clerk::new(name, usize::MAX, move |errand| {
                tray.put(perform(errand));
                // It cannot be woken when the process is ending.
                let _ = waker.wake();
            })
        };
        Errands { reader: clerk("reader"), resolver: clerk("resolver"), done }
    }

    /// Has something done.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn send(&self, errand: Errand) -> io::Result<()> {
        let clerk = match errand {
            Errand::Load(_) => &self.reader,
            Errand::Resolve { .. } => &self.resolver,
        };
        clerk.post(errand).map_err(|_| io::Error::other("there can be no thread for it"))
    }

    /// What is done, if anything is.
    pub(super) fn take(&self) -> Option<Done> {
        self.done.take()
    }
}

impl Tray {
    fn put(&self, done: Done) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(done);
    }

    fn take(&self) -> Option<Done> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

fn perform(errand: Errand) -> Done {
    match errand {
        Errand::Load(path) => Done::Loaded(Box::new(resolver::load(&path))),
        Errand::Resolve { whose, host, port } => {
            Done::Resolved(whose, resolver::addresses_of(&host, port))
        }
    }
}
