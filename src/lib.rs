//! `millstream`: an HTTP/1.1 reverse proxy made for Server-Sent Events.
//!
//! One process is one thread is one event loop; ARCHITECTURE.md is the map. These are the modules
//! in reading order, from the leaves up. Each names only those that stand before it, or beside it.
//!
//! 1. [`time`], [`slab`], [`wheel`], [`tasks`], [`buf`], [`digits`], [`base64`], [`json`],
//!    [`metrics`], [`descriptors`], [`confines`]: the plain parts. No socket, no clock. [`work`]
//!    counts what they do and [`coverage`] what has occurred, for tests.
//! 2. [`http`]: the subset of RFC 9110 and RFC 9112 that is spoken here, [`sse`]: where events
//!    begin and end, [`event_log`]: events that many clients read, and [`route`]: host and path to
//!    an api. Slices in, values out. [`auth`] knows whose key is whose, [`quota`] how much each
//!    has, [`rate`] how fast that comes, [`cors`] which pages may read what, [`access`] how a
//!    request is told of, and [`demo`] the events of the built-in source. [`proxy_protocol`] is
//!    what may stand in front of all that.
//! 3. [`net`]: the seam between the proxy and the network, with two sides to it: the real one, and
//!    one in memory in which every test can decide what goes wrong and what time it is.
//! 4. [`config`]: what the configuration file says, judged and typed.
//! 5. [`conn`], then [`pipe`]: a socket and what is known of it, and one direction of bytes.
//! 6. [`telemetry`]: what operators are told. [`pool`]: connections to upstreams. [`apis`]: what
//!    outlives a configuration.
//! 7. [`exchange`]: one request and its response. Begin with its stages ([`exchange::Stage`]) and
//!    sources ([`exchange::Source`]).
//! 8. [`session`]: a client's connection and its exchange. [`edge`]: where clients come in.
//!    [`admin`]: what the operator may ask.
//! 9. [`proxy`]: owns all of these, and moves them. Begin with `next`, which has the words, and
//!    `advance`, which acts on them; then follow a request through `request`, `connect`,
//!    `response`, `relay` and `ends`.
//! 10. [`shell`]: the process and its event loop, with signals, the configuration file, both logs
//!     and the command line. It reads the clock that all others are told.
//!
//! All of them are private, so the compiler reports what nobody uses. What the program takes from
//! here is what stands below. With the feature `sim` there is `testing`, too, which is no part of
//! the product: the simulated network, the proxy on it as the tests see it, the entry points of
//! the fuzz targets, and the names that tests need. The feature `bench` has what is measured by
//! itself.

mod access;
mod admin;
mod apis;
mod auth;
mod base64;
mod buf;
mod config;
mod confines;
mod conn;
mod cors;
mod coverage;
mod demo;
mod descriptors;
mod digits;
mod edge;
mod event_log;
mod exchange;
mod http;
mod json;
mod locked;
mod metrics;
mod net;
mod pipe;
mod pool;
mod proxy;
mod proxy_protocol;
mod quota;
mod rate;
mod route;
mod session;
mod shell;
mod slab;
mod sse;
mod sticky;
mod tasks;
mod telemetry;
#[cfg(feature = "sim")]
pub mod testing;
mod time;
mod wheel;
mod work;

pub use auth::entry as key_entry;
pub use config::{Config, ConfigErrors};
pub use shell::clock::unix_ms;
pub use shell::process::{Process, Start, count_workers};
pub use shell::remote::{probe, reload};
pub use shell::sandbox::Sandbox;
pub use shell::sys::{raise_descriptor_limit, survive_file_size_limit};
pub use shell::{arguments, logger, resolver};

/// The parts that know no sockets, as benches/micro measures them, each by itself.
#[cfg(any(feature = "bench", feature = "sim"))]
pub mod leaves {
    pub use crate::http::body::{BodyReader, BodyWriter};
    pub use crate::http::chunk::{ChunkDecoder, HEADROOM, TAILROOM};
    pub use crate::http::fields::FIELDS_MAX;
    pub use crate::http::framing::BodyLength;
    pub use crate::http::{forward, head};
    pub use crate::route::{RouteSpec, Router};
    pub use crate::sse::Scanner;
    pub use crate::time::Tick;
    pub use crate::wheel::Wheel;
}
