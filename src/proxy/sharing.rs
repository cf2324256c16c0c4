//! `[api.share]`: one upstream stream for many clients.
//!
//! [`share`] decides which requests may share a stream. A [`feed`] has that stream and fills a log,
//! and [`followers`] are woken when the log has changed; [`feeds`] knows all feeds by the names of
//! their streams. [`fresh`] clients begin with their own stream. A [`mirror`] fills its log from
//! one in another event loop.

pub(super) mod feed;
pub(super) mod feeds;
pub(super) mod followers;
pub(super) mod fresh;
pub(super) mod mirror;
pub(super) mod share;
#[cfg(feature = "sim")]
pub(super) mod together;
