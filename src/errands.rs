//! What may take long, done beside the loop: reading a configuration, resolving a name.
//!
//! Both ask the system and block until it answers, for as long as a name server likes. One thread
//! does them one after the other, and wakes the loop when there is an answer. It is started by the
//! first errand; most processes never have one.

use crate::config::{Config, ConfigErrors, addresses_of};
use crate::mailbox::Mailbox;
use crate::net::Address;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

/// Enough for the system's resolver.
const STACK: usize = 512 * 1024;

/// Something to be done.
#[derive(Debug)]
pub enum Errand {
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
pub enum Done {
    /// A configuration, or what is wrong with it.
    Loaded(Box<Result<Config, ConfigErrors>>),
    /// The addresses of a name, or why there are none.
    Resolved((u64, usize), Result<Vec<Address>, String>),
}

/// The thread and its two queues.
#[derive(Debug)]
pub struct Errands {
    waker: Arc<mio::Waker>,
    started: bool,
    todo: Mailbox<Errand>,
    done: Mailbox<Done>,
}

impl Errands {
    /// No errands yet. The waker is called when one is done.
    pub fn new(waker: mio::Waker) -> Errands {
        let (todo, done) = (Mailbox::new(usize::MAX), Mailbox::new(usize::MAX));
        Errands { waker: Arc::new(waker), started: false, todo, done }
    }

    /// Has something done.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn send(&mut self, errand: Errand) -> io::Result<()> {
        if !self.started {
            self.start()?;
        }
        self.todo.post(errand).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// What is done, if anything is.
    pub fn take(&self) -> Option<Done> {
        self.done.take()
    }

    fn start(&mut self) -> io::Result<()> {
        let (todo, done) = (self.todo.clone(), self.done.clone());
        let waker = Arc::clone(&self.waker);
        let run = move || {
            while let Some(errand) = todo.wait() {
                // Nobody listens any more, or can be woken: the process is ending.
                if done.post(perform(errand)).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("errands".to_owned()).stack_size(STACK).spawn(run)?;
        self.started = true;
        Ok(())
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        self.todo.close();
        self.done.close();
    }
}

fn perform(errand: Errand) -> Done {
    match errand {
        Errand::Load(path) => Done::Loaded(Box::new(Config::load(&path))),
        Errand::Resolve { whose, host, port } => Done::Resolved(whose, addresses_of(&host, port)),
    }
}
