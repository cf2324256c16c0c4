//! `millstream`: an HTTP/1.1 reverse proxy made for Server-Sent Events.
//!
//! Each worker thread of the process runs one event loop; ARCHITECTURE.md is the map. These are the
//! modules in reading order, from the leaves up. Each names only those listed before it, or beside
//! it.
//!
//! 1. [`time`], [`slab`], [`wheel`], [`tasks`], [`buf`], [`digits`], [`base64`], [`json`],
//!    [`metrics`], [`descriptors`], [`confines`], [`locked`]: the basic parts. No socket, no clock.
//!    [`work`] counts what they do, and [`coverage`] records what has occurred, for tests.
//! 2. [`http`]: the supported subset of RFC 9110 and RFC 9112, [`sse`]: where events begin and end,
//!    [`event_log`]: events that many clients read, and [`route`]: host and path to an api. Slices
//!    in, values out. [`auth`] knows the owners of keys, [`quota`] limits the streams of a client
//!    or a key, [`rate`] limits the rate of requests, [`cors`] decides which pages may read what,
//!    [`sticky`] knows which replica serves a client, [`access`] describes requests in the log, and
//!    [`demo`] makes the events of the built-in source. [`proxy_protocol`] is the header that may
//!    precede all that.
//! 3. [`net`]: the seam between the proxy and the network. One side is the real network, the other
//!    is in memory, where a test can decide what goes wrong and what time it is.
//! 4. [`config`]: the contents of the configuration file, checked and typed.
//! 5. [`conn`], then [`pipe`]: a socket and what is known of it, and one direction of bytes.
//! 6. [`telemetry`]: what is reported to operators. [`pool`]: connections to upstreams. [`apis`]:
//!    what outlives a configuration.
//! 7. [`exchange`]: one request and its response. Begin with its stages ([`exchange::Stage`]) and
//!    sources ([`exchange::Source`]).
//! 8. [`session`]: a client's connection and its exchange. [`edge`]: where clients come in.
//!    [`admin`]: what the operator may ask.
//! 9. [`proxy`]: owns all of these, and moves them. Begin with `next`, which has the vocabulary,
//!    and `advance`, which acts on it; then follow a request through `request`, `connect`,
//!    `response`, `relay` and `ends`.
//! 10. [`shell`]: the process and its event loops, with signals, the configuration file, both logs
//!     and the command line. It reads the clock and passes the time to all others.
//!
//! All of them are private, so the compiler reports what is unused. The program uses only what is
//! exported below. The feature `sim` adds `testing`, which is not part of the product: the
//! simulated network, the proxy on it as the tests see it, the entry points of the fuzz targets,
//! and the names that tests need. The feature `bench` exports what is measured by itself.

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
pub use shell::loops::count_workers;
pub use shell::process::{Process, Start};
pub use shell::remote::{probe, reload};
pub use shell::sandbox::Sandbox;
pub use shell::sys::{Signals, raise_descriptor_limit, survive_file_size_limit};
pub use shell::{arguments, logger, resolver};

/// The parts that know no sockets, each measured by itself in benches/micro.
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
