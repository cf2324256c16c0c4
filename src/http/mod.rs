//! HTTP/1.1 as this proxy speaks it: the subset of RFC 9110 and RFC 9112, in prose.
//!
//! Everything here takes slices and gives values. Nothing reads a socket, a clock or a
//! configuration, and nothing remembers anything beyond the message at hand.
//!
//! **One reading.** A proxy is attacked where it and the server behind it read the same bytes
//! differently. So a request is either read in the only way there is, or refused. Nothing is
//! repaired: no bare line ends, no folded lines, no space before a colon, no second Host, no
//! second opinion about the length of a body. What passes is then written anew ([`forward`]) from
//! what was understood, so what was not understood cannot travel. Responses are held to the same
//! rules, except that LF alone may end a line of their heads.
//!
//! **What is spoken.** HTTP/1.1, and HTTP/1.0 as far as a client or an upstream may still use it;
//! any other version is answered 505. All methods, CONNECT excepted (405). The origin, absolute
//! and asterisk forms of the request target. Bodies with a length, bodies in the chunked coding
//! alone, and responses that end with their connection. Persistent connections, pipelining,
//! `Expect: 100-continue`, interim responses, trailers, and Upgrade to another protocol, but for
//! those that would carry HTTP past the proxy unread.
//!
//! **What is not.** Other transfer codings (501), HTTP/0.9, `h2c`, user information in
//! targets, and registered names with percent escapes or punctuation in them.
//!
//! In reading order:
//!
//! - [`abnf`]: the characters of the grammars;
//! - [`head`]: where a head ends, and what it says, its [`version`] among that;
//! - [`target`] and [`authority`]: the request target and Host;
//! - [`fields`]: names, lists, and how far a field travels;
//! - [`escape`], percent-encoding;
//! - [`query`] and [`cookie`]: single parameters and pairs, and [`credentials`]: the key among
//!   them;
//! - [`framing`]: how long a body is, and whether the connection lives on; [`keep_alive`]: for how
//!   long;
//! - [`upgrade`]: which other protocols may be spoken instead;
//! - [`chunk`] and [`body`]: reading a body, and writing it in another framing;
//! - [`forward`]: the heads that are sent on, with [`changes`] by the operator, and
//!   [`reply`]: those that are our own.

pub mod abnf;
pub mod authority;
pub mod body;
pub mod changes;
pub mod chunk;
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
