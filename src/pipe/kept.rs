//! A request body that is kept while it passes, so that it can be sent again.
//!
//! It counts towards the memory that is held for all clients together ([`BufPool::may_hold`]). A
//! body that is too long for that, or longer than its own limit, is given up: the rest of it
//! passes, and the request can be sent only once. So can a request with trailer fields, which are
//! not kept.

use crate::buf::{Buf, BufPool};
use crate::http::framing::BodyLength;
use crate::work;

/// The body, as far as it has passed. See the module docs.
#[derive(Debug)]
pub struct Kept {
    /// How it is framed.
    length: BodyLength,
    /// Never an empty buffer.
    bytes: Option<Box<Buf>>,
    /// How many of the bytes have passed since the request was last sent.
    passed: usize,
    /// The maximum number of bytes.
    max: usize,
    /// True if everything that has passed was kept.
    whole: bool,
}

impl Kept {
    /// Starts keeping a body that is framed as `length`, as long as it has at most `max` bytes.
    pub const fn new(length: BodyLength, max: usize) -> Kept {
        let whole = match length {
            BodyLength::Length(n) => n <= max as u64,
            BodyLength::Empty | BodyLength::Chunked | BodyLength::UntilClose => true,
        };
        Kept { length, bytes: None, passed: 0, max, whole }
    }

    /// How the body is framed.
    pub const fn length(&self) -> BodyLength {
        self.length
    }

    /// True if the request can be sent again.
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// True if a buffer is held.
    #[cfg(feature = "sim")]
    pub const fn holds_any(&self) -> bool {
        self.bytes.is_some()
    }

    /// Keeps bytes that pass for the first time.
    pub fn note(&mut self, bytes: &[u8], buffers: &mut BufPool) {
        if !self.whole || bytes.is_empty() {
            return;
        }
        let len = self.len() + bytes.len();
        if len > self.max || !buffers.may_hold(self.bytes.as_deref(), len) {
            return self.give_up(buffers);
        }
        buffers.hold(&mut self.bytes, bytes);
        self.passed = len;
    }

    /// Gives up the body: it will not be sent again. Bytes that must pass once more still do.
    pub fn give_up(&mut self, buffers: &mut BufPool) {
        self.whole = false;
        if !self.has_left() {
            self.discard(buffers);
        }
    }

    /// Notes that the body ends with trailer fields, which are not kept. Its buffer is returned
    /// later.
    pub const fn lose_trailers(&mut self) {
        self.whole = false;
    }

    /// Returns the buffer, whatever it contains.
    pub fn discard(&mut self, buffers: &mut BufPool) {
        (self.whole, self.passed) = (false, 0);
        if let Some(bytes) = self.bytes.take() {
            buffers.let_go(bytes);
        }
    }

    /// Lets all of it pass once more.
    pub const fn rewind(&mut self) {
        self.passed = 0;
    }

    /// True if bytes must pass once more.
    pub fn has_left(&self) -> bool {
        self.passed < self.len()
    }

    /// Copies into `out` the bytes that must pass once more, as far as there is room. Returns how
    /// many.
    pub fn take(&mut self, out: &mut [u8], buffers: &mut BufPool) -> usize {
        let left = self.bytes.as_ref().map_or(&[][..], |buf| &buf.bytes()[self.passed..]);
        let n = left.len().min(out.len());
        work::note(n);
        out[..n].copy_from_slice(&left[..n]);
        self.passed += n;
        if !self.whole && !self.has_left() {
            self.discard(buffers);
        }
        n
    }

    fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, |buf| buf.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(held_max: usize) -> BufPool {
        let mut buffers = BufPool::new(8192, 65_536, 65_536, 65_536);
        buffers.limit(held_max);
        buffers
    }

    fn taken(kept: &mut Kept, room: usize, buffers: &mut BufPool) -> Vec<u8> {
        let mut out = vec![0; room];
        let n = kept.take(&mut out, buffers);
        out[..n].to_vec()
    }

    #[test]
    fn it_passes_again_as_often_as_it_must_and_goes_on() {
        let mut buffers = buffers(1 << 20);
        let mut kept = Kept::new(BodyLength::Chunked, 10);
        for piece in [&b"ab"[..], b"", b"cde"] {
            kept.note(piece, &mut buffers);
            assert!(kept.is_whole() && !kept.has_left());
        }
        for _ in 0..2 {
            kept.rewind();
            let pieces = [0; 2].map(|_| taken(&mut kept, 3, &mut buffers));
            assert_eq!(pieces, [&b"abc"[..], b"de"]);
            assert!(!kept.has_left());
        }
        kept.note(b"fghij", &mut buffers);
        kept.rewind();
        assert_eq!(taken(&mut kept, 99, &mut buffers), b"abcdefghij");
        assert_eq!(buffers.lent(), 1);
        kept.note(b"k", &mut buffers);
        assert!(!kept.is_whole() && !kept.has_left());
        assert_eq!((buffers.lent(), buffers.held_bytes()), (0, 0));
    }

    #[test]
    fn what_is_on_its_way_again_arrives_though_it_is_given_up() {
        let mut buffers = buffers(1 << 20);
        let mut kept = Kept::new(BodyLength::Chunked, 10);
        kept.note(b"abcde", &mut buffers);
        kept.rewind();
        assert_eq!(taken(&mut kept, 2, &mut buffers), b"ab");
        kept.give_up(&mut buffers);
        assert!(!kept.is_whole() && kept.has_left());
        assert_eq!(taken(&mut kept, 9, &mut buffers), b"cde");
        assert!(!kept.has_left());
        assert_eq!((buffers.lent(), buffers.held_bytes()), (0, 0));
    }

    #[test]
    fn a_body_that_is_too_long_is_not_begun() {
        let whole = |length| Kept::new(length, 10).is_whole();
        assert!(whole(BodyLength::Length(10)) && whole(BodyLength::Chunked));
        assert!(!whole(BodyLength::Length(11)));
        let mut buffers = buffers(1 << 20);
        let mut kept = Kept::new(BodyLength::Length(11), 10);
        kept.note(b"a", &mut buffers);
        assert_eq!(buffers.lent(), 0);
    }

    #[test]
    fn it_is_given_up_where_too_much_is_held() {
        let mut buffers = buffers(8 * 1000);
        let mut kept = Kept::new(BodyLength::Chunked, 1 << 20);
        kept.note(&[b'a'; 900], &mut buffers);
        assert!(kept.is_whole());
        kept.note(&[b'a'; 900], &mut buffers);
        assert!(!kept.is_whole());
        assert_eq!((buffers.lent(), buffers.held_bytes()), (0, 0));
    }
}
