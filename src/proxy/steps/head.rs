//! Reading a request or response head.
//!
//! An incomplete head stays with its connection; after a complete one only the bytes that follow it
//! do. So half a head is ordinary unread input, and neither side needs a separate buffer for it.

use crate::config::Config;
use crate::conn::{Conn, Read};
use crate::http::head::{HeadError, HeadLimits, HeadSearch};
use crate::net::{Net, Ready};
use crate::pipe::Io;
use crate::work;

/// The limits on a head, the same for requests and responses.
pub(crate) fn head_limits(config: &Config) -> HeadLimits {
    HeadLimits {
        head_bytes: config.server.max_head_bytes,
        head_fields: config.server.max_head_fields,
        target_bytes: config.server.max_target_bytes,
    }
}

/// The result of a search for the end of a head.
pub(crate) enum Found<'a> {
    /// The complete head, at the start of the scratch buffer. The bytes after it were kept.
    Complete(&'a mut [u8]),
    /// More bytes arrived and were kept.
    More,
    /// There is nothing to read.
    Blocked,
    /// The peer ended or broke the connection. True if part of a head had arrived.
    Ended(bool),
    /// The bytes cannot become an acceptable head.
    Wrong(HeadError, &'a [u8]),
}

/// Looks for the end of a head in the kept bytes of a connection, and reads more if it is not
/// there. Each byte is searched once, kept once and copied to the scratch buffer once, no matter
/// how small the pieces of a head are or how many heads arrive together.
pub(crate) fn find_head<'a, N: Net>(
    conn: &mut Conn,
    search: &mut HeadSearch,
    limits: &HeadLimits,
    io: &'a mut Io<'_, N>,
) -> Found<'a> {
    let mut found =
        if conn.ahead().is_empty() { Ok(None) } else { search.find(conn.ahead(), limits) };
    if found == Ok(None) {
        if !conn.ready.has(Ready::READ) {
            return Found::Blocked;
        }
        let kept = conn.ahead().len();
        let n = match conn.read(io.net, &mut io.scratch[..limits.head_bytes - kept]) {
            Read::Bytes(n) => n,
            Read::Blocked => return Found::Blocked,
            Read::End | Read::Broken => return Found::Ended(kept > 0),
        };
        if kept == 0 {
            return find_in_scratch(conn, search, n, limits, io);
        }
        conn.keep(&io.scratch[..n], io.buffers);
        found = search.find(conn.ahead(), limits);
    }
    let end = match found {
        Ok(Some(end)) => end,
        Ok(None) => return Found::More,
        Err(_) => conn.ahead().len(),
    };
    work::note(end);
    io.scratch[..end].copy_from_slice(&conn.ahead()[..end]);
    conn.consume(end, io.buffers);
    match found {
        Ok(_) => Found::Complete(&mut io.scratch[..end]),
        Err(error) => Found::Wrong(error, &io.scratch[..end]),
    }
}

/// Looks for the end of a head in the `n` bytes just read into the scratch buffer, where it nearly
/// always is.
fn find_in_scratch<'a, N: Net>(
    conn: &mut Conn,
    search: &mut HeadSearch,
    n: usize,
    limits: &HeadLimits,
    io: &'a mut Io<'_, N>,
) -> Found<'a> {
    match search.find(&io.scratch[..n], limits) {
        Ok(Some(end)) => {
            conn.keep(&io.scratch[end..n], io.buffers);
            Found::Complete(&mut io.scratch[..end])
        }
        Ok(None) => {
            conn.keep(&io.scratch[..n], io.buffers);
            Found::More
        }
        Err(error) => Found::Wrong(error, &io.scratch[..n]),
    }
}
