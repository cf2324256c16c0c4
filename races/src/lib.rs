//! All interleavings of millstream's threads on their shared state (`src/locked.rs`), and all
//! values that they may see in an atomic: loom tries each once. What is only behind a lock needs no
//! model: the compiler does not let anyone past it.
#![cfg(test)]

#[path = "../../src/locked.rs"]
mod locked;

use locked::{Passing, Places};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread::{self, JoinHandle};

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) {
    threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
}

/// Two threads pass values to a third, which sleeps until it is woken. If it slept while a value
/// waits, it would never be woken again.
#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let (passing, waker) = (Arc::new(Passing::default()), Arc::new(Notify::new()));
        let count = [2, 1];
        let threads = [0, 1].map(|thread| {
            let (passing, waker) = (Arc::clone(&passing), Arc::clone(&waker));
            thread::spawn(move || {
                for n in 0..count[thread] {
                    if passing.put([(thread, n)]) {
                        waker.notify();
                    }
                }
            })
        });
        let mut next = [0, 0];
        while next != count {
            waker.wait();
            for (thread, n) in passing.take_all() {
                assert_eq!(n, next[thread], "of thread {thread}");
                next[thread] += 1;
            }
        }
        join(threads);
    });
}

/// The same if values are taken one by one, and more may be added in between.
#[test]
fn no_wake_up_is_lost_between_two_values() {
    loom::model(|| {
        let (passing, waker) = (Arc::new(Passing::default()), Arc::new(Notify::new()));
        let thread = {
            let (passing, waker) = (Arc::clone(&passing), Arc::clone(&waker));
            thread::spawn(move || {
                for n in 0..3 {
                    if passing.put([n]) {
                        waker.notify();
                    }
                }
            })
        };
        let mut next = 0;
        while next < 3 {
            waker.wait();
            while let Some(n) = passing.take() {
                assert_eq!(n, next);
                next += 1;
            }
        }
        join([thread]);
    });
}

/// However many threads compete, no more have a place than there are places, and all places are
/// given back.
#[test]
fn no_place_is_taken_twice() {
    loom::model(|| {
        let (places, holders) = (Arc::new(Places::default()), Arc::new(AtomicUsize::new(0)));
        let threads = [(); 2].map(|()| {
            let (places, holders) = (Arc::clone(&places), Arc::clone(&holders));
            thread::spawn(move || {
                for _ in 0..2 {
                    if places.take(1) {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        places.leave();
                    }
                }
            })
        });
        join(threads);
        assert_eq!(places.taken(), 0);
    });
}

/// A client whose connection one loop has closed may connect to another loop at once, and must find
/// its former place free. The kernel orders the two, as this flag does.
#[test]
fn a_place_that_was_left_is_there() {
    loom::model(|| {
        let (places, closed) = (Arc::new(Places::default()), Arc::new(AtomicBool::new(false)));
        assert!(places.take(1));
        let thread = {
            let (places, closed) = (Arc::clone(&places), Arc::clone(&closed));
            thread::spawn(move || {
                places.leave();
                closed.store(true, Ordering::Release);
            })
        };
        if closed.load(Ordering::Acquire) {
            assert!(places.take(1));
        }
        join([thread]);
    });
}
