//! The tables of the file, one module each: their keys, defaults and limits, and the types that
//! the proxy reads.

pub(super) mod access;
pub(super) mod admin;
pub(super) mod backend;
pub(super) mod clients;
pub(super) mod drain;
pub(super) mod fields;
pub(super) mod forward_auth;
pub(super) mod health;
pub(super) mod listen;
pub(super) mod log;
pub(super) mod retry;
pub(super) mod share;
pub(super) mod sticky;
pub(super) mod target;
pub(super) mod targets;
pub(super) mod tls;
pub(super) mod trusted;
pub(super) mod upstream_tls;
pub(super) mod verify_client;
pub(super) mod workers;
