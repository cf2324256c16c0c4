//! Resolves host names to addresses, by the system's resolver. It blocks until there is an answer,
//! for as long as a name server takes.

use super::worker;
use crate::config::{Config, ConfigErrors};
use crate::confines;
use crate::descriptors::{self, NAMES_AT_ONCE};
use crate::net::{Address, Resolution};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
#[expect(clippy::disallowed_types, reason = "shared between threads, locked only briefly")]
use std::sync::Mutex;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// The most addresses of a name that are used. The rest is ignored. (musl returns 48 at most.)
const ADDRESSES_MAX: usize = 64;

/// How long resolving all names of a configuration may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A host name, and the port for its addresses.
pub(super) type Name = (String, u16);

/// Resolves the names of a configuration. Blocks for at most five seconds; a name without an answer
/// by then has no addresses.
pub fn resolve(config: &mut Config) {
    config.resolve(|names| addresses_of_all(names, RESOLVE_TIMEOUT));
}

/// Reads a configuration file and resolves the names in it. Blocks.
///
/// # Errors
/// If a file cannot be read, or has errors.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let mut config = Config::load(path)?;
    resolve(&mut config);
    Ok(config)
}

/// Returns the addresses of a name. Blocks until the system answers.
///
/// # Errors
/// If it has none, or cannot be resolved.
pub(super) fn addresses_of(host: &str, port: u16) -> Resolution {
    let found = (host, port).to_socket_addrs();
    if let Some(what) = confines::replaced() {
        log::warn!("{what}");
    }
    let found = found.map_err(|error| format!("cannot resolve {host}: {}", one_line(&error)))?;
    let addresses = some_of(found);
    if addresses.is_empty() {
        return Err(format!("cannot resolve {host}: it has no address"));
    }
    Ok(addresses)
}

/// The addresses to use, each once: those of the first one's family come first. If there are too
/// many, they are the same ones in whatever order the name server has put them.
fn some_of(found: impl IntoIterator<Item = SocketAddr>) -> Vec<Address> {
    let mut found = found.into_iter().peekable();
    let Some(first) = found.peek().copied() else { return Vec::new() };
    let mut sorted = BTreeSet::new();
    sorted.extend(found.map(|address| (address.is_ipv4() != first.is_ipv4(), address)));
    sorted.into_iter().take(ADDRESSES_MAX).map(|(_, address)| Address::Tcp(address)).collect()
}

fn one_line(error: &io::Error) -> String {
    descriptors::explain(error).lines().collect::<Vec<_>>().join("; ")
}

/// Returns the addresses of several names, in the same order. Blocks until all are answered, but
/// for at most `timeout`: a name without an answer by then is an error.
pub(super) fn addresses_of_all(names: Vec<Name>, timeout: Duration) -> Vec<Resolution> {
    addresses_by(addresses_of, names, timeout)
}

fn addresses_by(
    ask: fn(&str, u16) -> Resolution,
    names: Vec<Name>,
    timeout: Duration,
) -> Vec<Resolution> {
    let late = |(host, _): &Name| Err(format!("cannot resolve {host}: no answer in {timeout:?}"));
    let answers = names.iter().map(late).collect();
    let waiting: VecDeque<_> = names.into_iter().enumerate().collect();
    let (threads, open) = (waiting.len().min(NAMES_AT_ONCE), waiting.len());
    let questions = Arc::new(Questions {
        state: State { waiting, answers, open }.into(),
        answered: Condvar::new(),
    });
    for _ in 0..threads {
        let questions = Arc::clone(&questions);
        // With fewer threads this takes longer; with none, every name times out.
        let _ = worker::thread("names").spawn(move || questions.work(ask));
    }
    let waited =
        questions.answered.wait_timeout_while(questions.state(), timeout, |state| state.open > 0);
    let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
    // Then the threads exit as soon as the system answers them.
    state.waiting.clear();
    std::mem::take(&mut state.answers)
}

/// The names to be resolved and their answers, shared between the threads that resolve them.
struct Questions {
    #[expect(clippy::disallowed_types, reason = "shared between threads, locked only briefly")]
    state: Mutex<State>,
    answered: Condvar,
}

struct State {
    /// Names that no thread has taken yet, each with its index among the answers.
    waiting: VecDeque<(usize, Name)>,
    /// An answer for each name. Empty after the timeout, when they were taken.
    answers: Vec<Resolution>,
    /// How many names have no answer yet.
    open: usize,
}

impl Questions {
    /// Resolves one name after another until none is left.
    fn work(&self, ask: fn(&str, u16) -> Resolution) {
        let mut state = self.state();
        while let Some((index, (host, port))) = state.waiting.pop_front() {
            drop(state);
            let answer = ask(&host, port);
            state = self.state();
            state.open -= 1;
            if let Some(slot) = state.answers.get_mut(index) {
                *slot = answer;
            }
            self.answered.notify_all();
        }
    }

    /// Locks the state. No code panics while holding the lock, so poisoning is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Name {
        (host.to_owned(), 81)
    }

    #[test]
    fn local_names_have_local_addresses() {
        let addresses = addresses_of("localhost", 81).unwrap();
        let local =
            |a: &Address| matches!(a, Address::Tcp(a) if a.ip().is_loopback() && a.port() == 81);
        assert!(!addresses.is_empty() && addresses.iter().all(local), "{addresses:?}");
    }

    /// The system rejects this name without a query, so the test needs no network.
    #[test]
    fn an_unknown_name_is_an_error_of_one_line() {
        let error = addresses_of("a\0b", 80).unwrap_err();
        assert!(error.starts_with("cannot resolve a"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn of_many_addresses_the_same_ones_are_used() {
        let v4 = (0..100).map(|n| SocketAddr::from(([10, 0, 0, n], 80)));
        let v6 = SocketAddr::from(([0_u16; 8], 80));
        let (all, backwards) = (v4.clone().chain([v6]), v4.clone().rev().chain([v6]));
        let used = some_of(all);
        assert!(used.len() == ADDRESSES_MAX && used == some_of(backwards));
        assert_eq!(some_of([v6].into_iter().chain(v4))[0], Address::Tcp(v6));
        assert_eq!(some_of([v6, v6]), [Address::Tcp(v6)]);
    }

    #[test]
    fn answers_come_in_the_order_of_the_names() {
        assert!(addresses_of_all(Vec::new(), Duration::MAX).is_empty());
        let mut names = vec![name("a\0b"), name("localhost")];
        names.extend((0..100).map(|port| ("127.0.0.1".to_owned(), port)));
        let answers = addresses_of_all(names, Duration::MAX);
        assert!(answers[0].is_err() && answers[1].is_ok());
        for (port, answer) in (0..100).zip(&answers[2..]) {
            let address = Address::Tcp(([127, 0, 0, 1], port).into());
            assert_eq!(answer.as_deref(), Ok(&[address][..]));
        }
    }

    /// However many names there are, and whatever the name server does.
    #[test]
    fn no_answer_is_waited_for_beyond_the_timeout() {
        fn ask(_: &str, _: u16) -> Resolution {
            loop {
                std::thread::park();
            }
        }
        let names = vec![name("a.example"); 2 * NAMES_AT_ONCE];
        for answer in addresses_by(ask, names, Duration::from_millis(50)) {
            assert_eq!(answer, Err("cannot resolve a.example: no answer in 50ms".to_owned()));
        }
    }
}
