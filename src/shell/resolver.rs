//! Names and their addresses: asked of the system's resolver, which blocks until it has an answer,
//! for as long as a name server likes.

use crate::config::{Config, ConfigErrors};
use crate::descriptors;
use crate::net::{Address, Resolution};
use std::collections::VecDeque;
use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;
#[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
use std::sync::Mutex;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// Addresses of one name that are used. More are left out.
const ADDRESSES_MAX: usize = 64;

/// Names that are asked for at the same time.
const AT_ONCE: usize = 16;

/// How long the names of a configuration may take to resolve, all of them together.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Enough for the system's resolver.
const STACK: usize = 512 * 1024;

/// A name and the port that its addresses get.
type Name = (String, u16);

/// Resolves the names of a configuration. Blocks for [`RESOLVE_TIMEOUT`] at most.
pub fn resolve(config: &mut Config) {
    config.resolve(|names| addresses_of_all(names, RESOLVE_TIMEOUT));
}

/// Reads a configuration file, and resolves the names in it.
///
/// # Errors
/// If a file cannot be read, or is wrong.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let mut config = Config::load(path)?;
    resolve(&mut config);
    Ok(config)
}

/// The addresses of a name. Blocks until the system answers.
///
/// # Errors
/// If there are none.
pub(super) fn addresses_of(host: &str, port: u16) -> Resolution {
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|error| format!("cannot resolve {host}: {}", one_line(&error)))?;
    let mut addresses = Vec::new();
    for address in found.map(Address::Tcp) {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(format!("cannot resolve {host}: it has no address"));
    }
    Ok(addresses)
}

fn one_line(error: &io::Error) -> String {
    descriptors::explain(error).lines().collect::<Vec<_>>().join("; ")
}

/// The addresses of several names, in their order. Blocks until all are answered, but not for
/// longer than `patience`: what is not answered by then is an error.
fn addresses_of_all(names: Vec<Name>, patience: Duration) -> Vec<Resolution> {
    addresses_by(addresses_of, names, patience)
}

fn addresses_by(
    ask: fn(&str, u16) -> Resolution,
    names: Vec<Name>,
    patience: Duration,
) -> Vec<Resolution> {
    let late = |(host, _): &Name| Err(format!("cannot resolve {host}: no answer in {patience:?}"));
    let answers = names.iter().map(late).collect();
    let waiting: VecDeque<_> = names.into_iter().enumerate().collect();
    let (threads, open) = (waiting.len().min(AT_ONCE), waiting.len());
    let questions = Arc::new(Questions {
        state: State { waiting, answers, open }.into(),
        answered: Condvar::new(),
    });
    for _ in 0..threads {
        let questions = Arc::clone(&questions);
        let thread = Builder::new().name("names".to_owned()).stack_size(STACK);
        // With fewer threads it takes longer, and without any all answers are late.
        let _ = thread.spawn(move || questions.work(ask));
    }
    let waited =
        questions.answered.wait_timeout_while(questions.state(), patience, |state| state.open > 0);
    let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
    // Whoever is still waiting for the system then has nothing more to ask.
    state.waiting.clear();
    std::mem::take(&mut state.answers)
}

/// What is asked, and what the answers are.
struct Questions {
    #[expect(clippy::disallowed_types, reason = "it is between threads, and held for a moment")]
    state: Mutex<State>,
    answered: Condvar,
}

struct State {
    waiting: VecDeque<(usize, Name)>,
    /// Empty once nobody waits for them any more.
    answers: Vec<Resolution>,
    /// How many are not answered.
    open: usize,
}

impl Questions {
    /// Asks for one name after the other until none is left.
    fn work(&self, ask: fn(&str, u16) -> Resolution) {
        let mut state = self.state();
        while let Some((index, (host, port))) = state.waiting.pop_front() {
            drop(state);
            let answer = ask(&host, port);
            state = self.state();
            state.open -= 1;
            if let Some(place) = state.answers.get_mut(index) {
                *place = answer;
            }
            self.answered.notify_all();
        }
    }

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

    /// The system refuses this name without asking anyone, so the test needs no network.
    #[test]
    fn what_cannot_be_resolved_is_an_error_of_one_line() {
        let error = addresses_of("a\0b", 80).unwrap_err();
        assert!(error.starts_with("cannot resolve a"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
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

    /// However many there are, and whatever the name server does.
    #[test]
    fn nobody_is_waited_for_longer_than_that() {
        fn ask(_: &str, _: u16) -> Resolution {
            loop {
                std::thread::park();
            }
        }
        let names = vec![name("a.example"); 2 * AT_ONCE];
        for answer in addresses_by(ask, names, Duration::from_millis(50)) {
            assert_eq!(answer, Err("cannot resolve a.example: no answer in 50ms".to_owned()));
        }
    }
}
