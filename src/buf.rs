//! Memory for bytes that wait, lent and given back.
//!
//! A session owns no buffer while nothing waits in it, so a process with very many quiet streams
//! has few buffers. [`Buf`] is one contiguous window over a fixed block: bytes go in at its end
//! and out at its front, and what waits can be passed to one system call. A ring would save the
//! move that [`Buf::append`] makes now and then, and split what waits in two.
//!
//! What a former borrower left in a block can never be read: the window is all that is ever shown,
//! it is empty when a buffer is lent, and it grows only by what is appended.
//!
//! Tested against a queue of bytes.

use std::fmt;

/// A window over a fixed block of memory: the bytes that wait.
pub struct Buf {
    block: Box<[u8]>,
    /// The window is `block[start..end]`. It starts at zero when it is empty.
    start: u32,
    end: u32,
}

const _: () = assert!(size_of::<Buf>() == 24);

impl Buf {
    /// The system hands out zero pages for large blocks: they take room when they are written to.
    fn new(block: usize) -> Buf {
        assert!(u32::try_from(block).is_ok(), "a block is smaller than 4 GiB");
        Buf { block: vec![0; block].into_boxed_slice(), start: 0, end: 0 }
    }

    /// The bytes that wait, oldest first.
    pub fn bytes(&self) -> &[u8] {
        &self.block[self.start as usize..self.end as usize]
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// True exactly when no byte waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes [`Buf::append`] still takes.
    pub fn room(&self) -> usize {
        self.block.len() - self.len()
    }

    /// Adds `bytes` behind those that wait, which are moved to the front of the block if there is
    /// no other way.
    ///
    /// # Panics
    ///
    /// If there is no [`Buf::room`] for them: whoever reads must have asked before.
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "{} bytes for a room of {}", bytes.len(), self.room());
        if bytes.len() > self.block.len() - self.end as usize {
            self.block.copy_within(self.start as usize..self.end as usize, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.block[self.end as usize..][..bytes.len()].copy_from_slice(bytes);
        self.end += narrow(bytes.len());
    }

    /// Drops the `n` oldest bytes: they have gone out.
    ///
    /// # Panics
    ///
    /// If fewer are waiting.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "{n} bytes consumed of {}", self.len());
        self.start += narrow(n);
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops all bytes.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

impl fmt::Debug for Buf {
    /// Counts, never contents: what waits is somebody's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buf").field("len", &self.len()).field("room", &self.room()).finish()
    }
}

/// Lengths within a block fit: [`Buf::new`] has asserted it.
#[expect(clippy::cast_possible_truncation, reason = "a block is smaller than 4 GiB")]
fn narrow(len: usize) -> u32 {
    debug_assert!(u32::try_from(len).is_ok());
    len as u32
}

/// Lends buffers, and keeps a few of those that come back.
#[derive(Debug)]
pub struct BufPool {
    block: usize,
    spare_max: usize,
    lent: usize,
    /// Empty buffers, the warmest last.
    #[expect(clippy::vec_box, reason = "the boxes are what is lent")]
    spare: Vec<Box<Buf>>,
}

impl BufPool {
    /// A pool of buffers of `block` bytes each, which keeps at most `spare_max` that nobody uses.
    pub fn new(block: usize, spare_max: usize) -> BufPool {
        BufPool { block, spare_max, lent: 0, spare: Vec::new() }
    }

    /// From here on buffers have at least `block` bytes. Those that are lent stay as they are.
    pub fn grow(&mut self, block: usize) {
        if block > self.block {
            self.block = block;
            self.spare.clear();
        }
    }

    /// Adds `bytes` to the buffer in `slot`: to a new one if there is none, and to a larger one if
    /// it was lent when buffers were smaller.
    ///
    /// # Panics
    ///
    /// If there is no [`Buf::room`] for them in a buffer of this pool.
    pub fn append(&mut self, slot: &mut Option<Box<Buf>>, bytes: &[u8]) {
        if let Some(small) = slot.take_if(|buf| buf.room() < bytes.len()) {
            let mut larger = self.lend();
            larger.append(small.bytes());
            self.give_back(small);
            *slot = Some(larger);
        }
        slot.get_or_insert_with(|| self.lend()).append(bytes);
    }

    /// An empty buffer: a spare one if there is any, else a new one.
    pub fn lend(&mut self) -> Box<Buf> {
        self.lent += 1;
        self.spare.pop().unwrap_or_else(|| Box::new(Buf::new(self.block)))
    }

    /// Takes a buffer back, with or without bytes in it, which are dropped. Frees it if there are
    /// spare ones enough.
    ///
    /// # Panics
    ///
    /// If it cannot be a buffer of this pool.
    pub fn give_back(&mut self, mut buf: Box<Buf>) {
        assert!(self.lent > 0, "more buffers came back than were lent");
        assert!(buf.block.len() <= self.block, "a buffer of another pool");
        self.lent -= 1;
        if self.spare.len() < self.spare_max && buf.block.len() == self.block {
            buf.clear();
            self.spare.push(buf);
        }
    }

    /// How many buffers are out. At any time this equals the number of those that sessions hold.
    pub fn lent(&self) -> usize {
        self.lent
    }

    /// The size of each buffer, in bytes.
    pub fn block(&self) -> usize {
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Dice;
    use std::collections::VecDeque;

    #[test]
    fn a_buffer_is_a_bounded_queue_of_bytes() {
        for (seed, block) in (0..).zip([1, 2, 3, 7, 16, 61]) {
            let mut dice = Dice::new(seed);
            let mut stream = (0..=255_u8).cycle();
            let mut buf = Buf::new(block);
            let mut model = VecDeque::new();
            for step in 0..2000 {
                if dice.below(2) == 0 {
                    let n = dice.index(buf.room() + 1);
                    let bytes: Vec<u8> = stream.by_ref().take(n).collect();
                    buf.append(&bytes);
                    model.extend(bytes);
                } else if dice.below(50) == 0 {
                    buf.clear();
                    model.clear();
                } else {
                    let n = dice.index(buf.len() + 1);
                    buf.consume(n);
                    model.drain(..n);
                }
                assert_eq!(buf.bytes(), model.make_contiguous(), "block {block} step {step}");
                assert_eq!((buf.len(), buf.room()), (model.len(), block - model.len()));
                assert_eq!(buf.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    #[should_panic = "3 bytes for a room of 2"]
    fn to_append_more_than_fits_is_our_own_mistake() {
        let mut buf = Buf::new(4);
        buf.append(b"ab");
        buf.append(b"cde");
    }

    #[test]
    #[should_panic = "2 bytes consumed of 1"]
    fn to_consume_more_than_waits_is_our_own_mistake() {
        let mut buf = Buf::new(4);
        buf.append(b"a");
        buf.consume(2);
    }

    #[test]
    fn a_pool_counts_what_it_lends_and_keeps_few_spares() {
        let mut pool = BufPool::new(8, 2);
        let lent: Vec<_> = (0..5).map(|_| pool.lend()).collect();
        assert_eq!((pool.lent(), pool.spare.len(), pool.block()), (5, 0, 8));
        for mut buf in lent {
            buf.append(b"secret");
            pool.give_back(buf);
        }
        assert_eq!((pool.lent(), pool.spare.len()), (0, 2));
        for _ in 0..3 {
            let buf = pool.lend();
            assert_eq!((buf.bytes(), buf.room()), (&b""[..], 8));
        }
        assert_eq!((pool.lent(), pool.spare.len()), (3, 0));
    }

    #[test]
    #[should_panic = "a buffer of another pool"]
    fn a_foreign_buffer_is_refused() {
        let mut pool = BufPool::new(8, 2);
        drop(pool.lend());
        pool.give_back(BufPool::new(9, 2).lend());
    }
}
