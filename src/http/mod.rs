//! HTTP/1.1: the subset of RFC 9110 and RFC 9112 that this proxy supports.
//!
//! Everything here takes slices and returns values. Nothing reads a socket, a clock or a
//! configuration, and no state outlives a message.
//!
//! **One reading.** Attacks on a proxy exploit that it and the server behind it read the same bytes
//! differently. So a request that can be read in more than one way is refused. Nothing is repaired:
//! no bare line ends, no folded lines, no space before a colon, no second Host, no conflicting body
//! lengths. Heads that go out are written anew ([`forward`]) from what was parsed, so nothing else
//! is passed on. Responses follow the same rules, except where a deviation has exactly one reading:
//! LF alone may end a line, for example.
//!
//! **Supported.** HTTP/1.1, and HTTP/1.0 where a client or an upstream still uses it; any other
//! version is answered with 505. All methods except CONNECT (405). The origin, absolute and
//! asterisk forms of the request target. Bodies with a length, bodies in the chunked coding alone,
//! and responses that end with their connection. Persistent connections, pipelining, `Expect:
//! 100-continue`, interim responses, trailers, and Upgrade to other protocols, except those that
//! could carry HTTP requests past the proxy.
//!
//! **Not supported.** Other transfer codings (501), HTTP/0.9, `h2c`, user information in targets,
//! and registered names with percent escapes or punctuation in them.
//!
//! In reading order:
//!
//! - [`abnf`]: the characters of the grammars;
//! - [`head`]: finding the end of a head and parsing it, with its [`version`];
//! - [`target`] and [`authority`]: the request target and Host;
//! - [`fields`]: names, lists, and which fields are forwarded;
//! - [`escape`]: decoding of percent escapes;
//! - [`query`] and [`cookie`]: single parameters and pairs, and [`credentials`]: the key in them;
//! - [`framing`]: the length of a body, and whether the connection persists; [`keep_alive`]: how
//!   long it may be idle;
//! - [`upgrade`]: switching to other protocols;
//! - [`chunk`] and [`body`]: reading a body, and writing it in another framing;
//! - [`forward`]: the heads that are forwarded, with the operator's [`changes`], and [`reply`]: our
//!   own responses.

pub mod abnf;
pub mod authority;
pub mod body;
pub mod changes;
pub mod chunk;
pub mod client_address;
pub mod client_cert;
pub mod cookie;
pub mod credentials;
pub mod escape;
pub mod fields;
pub mod forward;
pub mod framing;
pub mod head;
pub mod keep_alive;
pub mod query;
pub mod reply;
pub mod target;
pub mod upgrade;
pub mod version;
