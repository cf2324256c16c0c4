//! An event stream whose head waits for the first event.
//!
//! Until a client gets the head, another target can still be asked. So if `retry_on` lists
//! `first_event_timeout`, the head is held back, and the body stays with its connection, until the
//! first event has arrived. The bytes that have arrived are read here only to find that event.

use crate::buf::BufPool;
use crate::http::body::BodyReader;
use crate::http::framing::BodyLength;
use crate::pipe::events::{Events, Holding, Terms};

/// The head, and the search for the first event after it. See the module docs.
#[derive(Debug)]
pub struct Lookahead {
    head: Box<[u8]>,
    body: BodyReader,
    events: Events,
    /// True if the head need not wait any longer: an event has arrived, or none can arrive.
    over: bool,
}

impl Lookahead {
    /// Begins the search after this `head`, which announces a body of `length`.
    pub fn new(head: &[u8], length: BodyLength) -> Lookahead {
        let terms = Terms {
            event_max: 0,
            resumable: false,
            outlives_source: false,
            holding: Holding::Nothing,
            verbatim: true,
            tells_gaps: false,
        };
        Lookahead {
            head: head.into(),
            body: BodyReader::response(length),
            events: Events::new(terms),
            over: false,
        }
    }

    /// Does not search: the head need not wait.
    pub fn over(head: &[u8]) -> Lookahead {
        Lookahead { over: true, ..Lookahead::new(head, BodyLength::Empty) }
    }

    /// The head.
    pub const fn head(&self) -> &[u8] {
        &self.head
    }

    /// True if the head need not wait any longer: an event has arrived, or none can arrive.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Reads the next bytes of the body. Modifies `bytes`.
    pub fn read(&mut self, bytes: &mut [u8], buffers: &mut BufPool) {
        self.over = match self.body.read(bytes) {
            Ok(piece) => {
                self.events.admit(&bytes[piece.range()], buffers);
                self.events.events() > 0 || piece.ended
            }
            Err(_) => true,
        };
    }

    /// True if the body may end where the connection does.
    pub fn may_end(&mut self) -> bool {
        self.body.eof().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of bytes of `body` that must arrive until the head need not wait any longer,
    /// whatever the pieces in which they arrive.
    fn found_after(length: BodyLength, body: &[u8]) -> Option<usize> {
        let mut buffers = BufPool::new(8192, 65_536, 65_536, 0);
        let mut found = Vec::new();
        for size in 1..=body.len() {
            let mut lookahead = Lookahead::new(b"head", length);
            let mut read = 0;
            let mut pieces = body.chunks(size).take_while(|piece| {
                read += piece.len();
                lookahead.read(&mut piece.to_vec(), &mut buffers);
                !lookahead.is_over()
            });
            let all = pieces.by_ref().count() == body.len().div_ceil(size);
            found.push((!all).then(|| read.next_multiple_of(size).min(body.len())));
        }
        let first = found[0];
        for (size, found) in (1..).zip(found) {
            let expected = first.map(|first| first.next_multiple_of(size).min(body.len()));
            assert_eq!(found, expected, "in pieces of {size}");
        }
        first
    }

    #[test]
    fn the_first_event_is_found_in_any_framing_and_any_pieces() {
        let close = BodyLength::UntilClose;
        assert_eq!(found_after(close, b": a\n\n: b\n\ndata: c\n\ndata: d\n\n"), Some(19));
        assert_eq!(found_after(close, b"\xEF\xBB\xBFdata: c\n\ndata: d\n\n"), Some(12));
        assert_eq!(found_after(close, b": a\n\ndata: b\n"), None);
        let chunked = BodyLength::Chunked;
        assert_eq!(
            found_after(chunked, b"4\r\n: a\n\r\n9\r\n\ndata: b\n\r\n1\r\n\n\r\n"),
            Some(27)
        );
        assert_eq!(found_after(BodyLength::Length(12), b"data: a\n\n: bdata"), Some(9));
    }

    #[test]
    fn it_is_not_waited_for_where_none_can_come() {
        assert_eq!(found_after(BodyLength::Chunked, b"2\r\n:\n\r\n0\r\n\r\n"), Some(12));
        assert_eq!(found_after(BodyLength::Chunked, b"2\r\n:\n\r\nx"), Some(8));
        assert_eq!(found_after(BodyLength::Length(4), b": a\n"), Some(4));
        let ends = |length| Lookahead::new(b"", length).may_end();
        assert!(ends(BodyLength::UntilClose) && !ends(BodyLength::Chunked));
        assert!(!ends(BodyLength::Length(4)));
    }
}
