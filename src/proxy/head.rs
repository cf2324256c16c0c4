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
use crate::work;

/// The limits on a head, of a request and of a response alike.
pub(super) fn head_limits(config: &Config) -> HeadLimits {
    HeadLimits {
        head_bytes: config.server.max_head_bytes,
        head_fields: config.server.max_head_fields,
        target_bytes: config.server.max_target_bytes,
    }
}

/// What looking for the end of a head came to.
pub(super) enum Found<'a> {
    /// This is the head; what is behind it is kept.
    Complete(&'a mut [u8]),
    /// More of it came, and was kept.
    More,
    /// Nothing came.
    Blocked,
    /// The peer ended or broke the connection; true if some of a head was there.
    Ended(bool),
    /// This cannot become a head that is taken.
    Wrong(HeadError, &'a [u8]),
}

/// Looks for the end of a head in what was kept of a connection, and reads on if it is not there.
/// However small the pieces are in which a head comes, or how many heads come in one, each byte is
/// searched once, kept once and copied to the scratch once.
pub(super) fn find_head<'a, N: Net>(
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

/// Looks for the end of a head that begins with the `n` bytes of the scratch, which were read just
/// now: nearly always it is among them.
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
