//! Message heads: finding the end of one, and parsing it.
//!
//! A [`HeadSearch`] follows a head as its bytes arrive, and refuses at once anything that cannot
//! become one: a TLS handshake is refused without waiting for a timeout. When the head is complete,
//! [`RequestHead::parse`] or [`ResponseHead::parse`] returns everything it says, or the reason for
//! refusing it. Start lines are parsed here, field lines by httparse, which gets only lines whose
//! ends were checked. Nothing is copied: a parsed head borrows its bytes.
//!
//! Tested on every head split at every position, against a naive search, and against known
//! smuggling attacks on other proxies. [`super::forward`] tests that a head written anew is parsed
//! in the same way again.

mod error;
mod fold;
mod request;
mod response;
mod search;
mod start;

#[cfg(test)]
mod tests;

use super::fields::split;
pub use super::fields::{CONNECTION_OPTIONS_MAX, FieldStore, Fields};
pub use super::version::Version;
pub use error::HeadError;
pub use fold::unfold;
pub use request::RequestHead;
pub use response::ResponseHead;
pub use search::HeadSearch;
pub use start::METHOD_MAX;

use memchr::memchr;

/// The most interim responses before a final one (RFC 9110 section 15.2). A server that sends more
/// is broken.
pub const INTERIMS_MAX: u8 = 32;

/// The limits on a head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Maximum size of a head in bytes, with its empty line. Below 4 GiB.
    pub head_bytes: usize,
    /// Maximum number of field lines; never more than [`FIELDS_MAX`](super::fields::FIELDS_MAX).
    pub head_fields: usize,
    /// Maximum length of a request target in bytes.
    pub target_bytes: usize,
}

/// The start line of a head that a [`HeadSearch`] found, without its end, and what follows it: the
/// field lines and the empty line. Empty lines may precede a request.
fn split_start(mut head: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest;
    }
    let end = memchr(b'\n', head).ok_or(HeadError::NotOneHead)?;
    let line = &head[..end];
    Ok((line.strip_suffix(b"\r").unwrap_or(line), &head[end + 1..]))
}

/// Parses field lines up to and including the empty line.
fn fields<'h, 'b>(
    bytes: &'b [u8],
    store: &'h mut FieldStore<'b>,
    limits: &HeadLimits,
) -> Result<Fields<'h, 'b>, HeadError> {
    let fields = store.parse(bytes, limits.head_fields)?;
    if has_too_many_options(fields) { Err(HeadError::TooManyOptions) } else { Ok(fields) }
}

/// True if `Connection` lists more than [`CONNECTION_OPTIONS_MAX`] options. Empty ones count: they
/// mean nothing but cost as much. The length alone nearly always rules this out.
fn has_too_many_options(fields: Fields<'_, '_>) -> bool {
    let values = || fields.all("Connection");
    let bytes: usize = values().map(|value| value.len() + 1).sum();
    bytes > CONNECTION_OPTIONS_MAX
        && values().flat_map(|value| split(value, b',')).nth(CONNECTION_OPTIONS_MAX).is_some()
}
