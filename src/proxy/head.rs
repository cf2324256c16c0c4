//! From the first byte of a head to its last, be it a request's or a response's.
//!
//! Of a head that is not complete, everything stays with its connection; of one that is, nothing
//! but what came behind it. So a half of a head is an ordinary piece of input that nobody wants
//! yet, and neither side needs a buffer of its own for it.

use crate::config::Config;
use crate::conn::{Conn, Read};
use crate::http::head::{HeadError, HeadLimits, HeadSearch};
use crate::net::{Net, Ready};
use crate::pipe::Io;

/// The limits on a head, of a request and of a response alike.
pub(super) fn head_limits(config: &Config) -> HeadLimits {
    HeadLimits {
        head_bytes: config.server.max_head_bytes,
        head_fields: config.server.max_head_fields,
        target_bytes: config.server.max_target_bytes,
    }
}

/// What looking for the end of a head came to.
pub(super) enum Found {
    /// The head stands in the first so many bytes of the scratch; what is behind it is kept.
    Complete(usize),
    /// More of it came, and was kept.
    More,
    /// Nothing came.
    Blocked,
    /// The peer ended or broke the connection; true if some of a head was there.
    Ended(bool),
    /// It cannot become a head that is taken; it stands in the first so many bytes of the scratch.
    Wrong(HeadError, usize),
}

/// Looks for the end of a head in what was kept of a connection, and reads on if it is not there.
pub(super) fn find_head<N: Net>(
    conn: &mut Conn,
    search: &mut HeadSearch,
    limits: &HeadLimits,
    io: &mut Io<'_, N>,
) -> Found {
    let kept = conn.ahead().len();
    io.scratch[..kept].copy_from_slice(conn.ahead());
    let mut filled = kept;
    let mut found = search.find(&io.scratch[..filled], limits);
    if found == Ok(None) {
        if !conn.ready.has(Ready::READ) {
            return Found::Blocked;
        }
        match conn.read(io.net, &mut io.scratch[kept..limits.head_bytes]) {
            Read::Bytes(n) => filled += n,
            Read::Blocked => return Found::Blocked,
            Read::End | Read::Broken => return Found::Ended(kept > 0),
        }
        found = search.find(&io.scratch[..filled], limits);
    }
    match found {
        Ok(Some(end)) => {
            conn.consume(kept, io.buffers);
            conn.keep(&io.scratch[end..filled], io.buffers);
            Found::Complete(end)
        }
        Ok(None) => {
            conn.keep(&io.scratch[kept..filled], io.buffers);
            Found::More
        }
        Err(error) => Found::Wrong(error, filled),
    }
}
