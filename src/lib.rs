//! `millstream`: an HTTP/1.1 reverse proxy made for Server-Sent Events.
//!
//! One process is one thread is one event loop. The modules, in reading order:
//!
//! 1. [`time`], [`digits`], [`slab`], [`buf`], [`wheel`], [`metrics`], [`json`], [`access`],
//!    [`descriptors`]: the plain parts. No sockets, no clock. [`work`] counts what they do, for
//!    tests.
//! 2. [`http`]: the subset of RFC 9110 and RFC 9112 that is spoken here, [`sse`]: where
//!    events begin and end, and [`route`]: host and path to an api. Slices in, values out.
//!    [`auth`] knows whose key is whose, [`cors`] which pages may read what.
//! 3. [`config`]: what the configuration file says, judged and typed.
//! 4. [`net`]: the seam between the proxy and the network, with two sides to it: the real one, and
//!    one in memory in which every test can decide what goes wrong and what time it is.
//! 5. [`conn`], [`pipe`], [`session`]: a connection, one direction of bytes, and who holds them for
//!    one request and its response. [`demo`] and [`admin`] bring the bytes where
//!    there is no upstream.
//! 6. [`proxy`]: owns all of these, and moves them.
//! 7. [`server`]: polls, turns, sleeps. The only place that reads a clock. [`sys`], [`errands`],
//!    [`names`], [`logger`], [`output`] and [`arguments`] are what it needs of the operating
//!    system, of what may take long (which a [`clerk`] does), of name servers, of standard error
//!    and output, and of who has started it.
//!
//! With the feature `sim`, `world` is the proxy on the simulated network, as the tests see it, and
//! `fuzz` has the entry points of the fuzz targets.

pub mod access;
pub mod admin;
pub mod apis;
pub mod arguments;
pub mod auth;
pub mod buf;
pub mod clerk;
pub mod config;
pub mod conn;
pub mod cors;
pub mod demo;
pub mod descriptors;
pub mod digits;
pub mod edge;
pub mod errands;
pub mod exchange;
#[cfg(feature = "sim")]
pub mod fuzz;
pub mod http;
pub mod json;
pub mod logger;
pub mod metrics;
pub mod names;
pub mod net;
pub mod output;
pub mod pipe;
pub mod pool;
pub mod proxy;
pub mod quota;
pub mod route;
pub mod server;
pub mod session;
pub mod slab;
pub mod sse;
pub mod sys;
pub mod tasks;
pub mod telemetry;
pub mod time;
#[cfg(test)]
mod trial;
pub mod wheel;
pub mod work;
#[cfg(feature = "sim")]
pub mod world;
