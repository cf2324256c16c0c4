//! The files that a configuration is read from, and those that it names: their contents, who can
//! read them, and when they are read again.

pub(super) mod keys;
pub(super) mod readers;
pub(super) mod renewal;
#[cfg(test)]
pub(super) mod scratch;
pub(super) mod seen;
pub(super) mod sources;
