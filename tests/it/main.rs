//! One binary with all integration tests: transcripts, simulated worlds, real sockets, and house
//! rules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing"
)]

mod busy;
mod captures;
mod compatibility;
mod conf;
mod contract;
mod corpus;
mod coverage;
mod descriptors;
mod documents;
mod e2e;
mod flapping;
mod golden;
mod held;
mod journal;
mod manual;
mod mirrors;
mod packages;
mod ports;
mod queue;
mod reasons;
mod reuse;
mod room;
mod sim;
mod storm;
mod tidy;
mod watching;
mod work;
