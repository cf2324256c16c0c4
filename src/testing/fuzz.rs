//! Entry points of the fuzz targets. They take bytes, and panic if something is wrong.
//!
//! Each function compares a part of the program with something that is too simple to be wrong in
//! the same way: a naive decoder, an ordered map, two other parsers of HTTP. For all of them, it
//! must not matter in which pieces bytes arrive.
//!
//! fuzz/fuzz_targets has a file of four lines for each of them. tests/it/corpus.rs replays what the
//! fuzzer found, and mutations of it, whenever the tests run, so none of this needs a nightly
//! compiler.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an oracle says what is wrong by panicking"
)]

mod agreement;
mod body;
mod config;
mod event_log;
mod head;
mod lenient;
mod path;
mod proxy;
mod proxy_protocol;
mod readings;
mod script;
mod sse;
mod strict;
mod tls;
mod wheel;
mod x509;

pub use agreement::agreement;
pub use body::{body, chunk};
pub use config::config;
pub use event_log::event_log;
pub use head::{framing, head};
pub use path::route;
pub use proxy::proxy;
pub use proxy_protocol::proxy_protocol;
pub use readings::path_readings;
pub use sse::sse;
pub use tls::tls;
pub use wheel::wheel;
pub use x509::x509;

use crate::http::head::HeadLimits;
use crate::testing::rng::Rng;
use std::ops::Range;

/// A target: its name, which is also that of its corpus, and its entry point.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 15] = [
    ("head", head),
    ("framing", framing),
    ("chunk", chunk),
    ("body", body),
    ("sse", sse),
    ("route", route),
    ("path_readings", path_readings),
    ("config", config),
    ("wheel", wheel),
    ("agreement", agreement),
    ("proxy", proxy),
    ("tls", tls),
    ("x509", x509),
    ("proxy_protocol", proxy_protocol),
    ("event_log", event_log),
];

/// Small enough that an input of 4 KiB can exceed each of them.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 3000, head_fields: 40, target_bytes: 600 };

/// A random number generator seeded by an input (FNV-1a), so that the same input fails in the same
/// way again.
fn dice(bytes: &[u8]) -> Rng {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::new(hash)
}

/// Calls `arrive` with some of the ways in which `bytes` may arrive: one by one, in two pieces,
/// and in many.
fn in_pieces(bytes: &[u8], mut arrive: impl FnMut(&[Range<usize>])) {
    let (mut dice, len) = (dice(bytes), bytes.len());
    let single: Vec<_> = (0..len).map(|at| at..at + 1).collect();
    arrive(&single);
    for _ in 0..3 {
        let cut = dice.size(0, len);
        arrive(&[0..cut, cut..len]);
    }
    for longest in [3, 20, 300] {
        let (mut pieces, mut start) = (Vec::new(), 0);
        while start < len {
            let end = len.min(start + dice.size(0, longest));
            pieces.push(start..end);
            start = end;
        }
        arrive(&pieces);
    }
}
