//! Buffers for bytes that wait, lent by a pool and returned to it.
//!
//! A session owns no buffer while nothing waits in it, so a process with very many idle streams has
//! few buffers. [`Buf`] is a contiguous window over a fixed block: bytes are added at its end and
//! removed at its front, and one system call can take them all. A ring would avoid the occasional
//! move in [`Buf::append`], but would split the bytes in two.
//!
//! The bytes of a former borrower can never be read: only the window is visible, it is empty when a
//! buffer is lent, and it grows only by appended bytes.
//!
//! A connection has at most four buffers: for what was read ahead, for what waits in each
//! direction, and for an unfinished event. `max_connections` bounds these. Bytes beyond the usual
//! size, and all held events, count towards one limit for the process, `max_held_bytes`: an event
//! may use an eighth of what the others leave, and is otherwise passed on as it arrives.
//!
//! The more is held, the less is read at once. A reader with nothing pending reads up to 64 KiB,
//! because a system call costs as much as some thousand bytes; if its sink accepts none of it, that
//! is what it holds. So all bodies together may hold half a megabyte beyond 8 KiB each, and each
//! read takes at most an eighth of what is left of that ([`BufPool::share`]): the first bodies that
//! stall hold 64 KiB, and by the twentieth it is 8. The rest of a large buffer moves into a smaller
//! one.
//!
//! Some small buffers are kept when they are returned, limited by their bytes. Freeing them left
//! holes of half a kilobyte between exchanges: 604 bytes per idle stream instead of 515.
//!
//! Tested against a queue of bytes.

use crate::work;
use memmap2::MmapMut;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Blocks larger than this get their own mapping, which returns to the system when they are freed.
/// The allocator would keep their pages for as long as anything above them is in use.
const MAPPED_BEYOND: usize = 4096;

/// The memory of a buffer.
enum Block {
    Allocated(Box<[u8]>),
    Mapped(MmapMut),
}

impl Block {
    /// The system provides zero pages for large blocks, which use memory only once they are written
    /// to.
    fn new(len: usize) -> Block {
        let mapped = (len > MAPPED_BEYOND).then(|| MmapMut::map_anon(len).ok()).flatten();
        mapped.map_or_else(|| Block::Allocated(vec![0; len].into_boxed_slice()), Block::Mapped)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Block::Allocated(block) => block,
            Block::Mapped(block) => block,
        }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Block::Allocated(block) => block,
            Block::Mapped(block) => block,
        }
    }
}

/// A window over a fixed block of memory: the bytes that wait.
pub struct Buf {
    block: Block,
    /// The window is `block[start..end]`. An empty one starts at zero.
    start: u32,
    end: u32,
}

const _: () = assert!(size_of::<Buf>() <= 32);

impl Buf {
    fn new(block: usize) -> Buf {
        assert!(u32::try_from(block).is_ok(), "a block is smaller than 4 GiB");
        Buf { block: Block::new(block), start: 0, end: 0 }
    }

    /// The waiting bytes, oldest first.
    pub fn bytes(&self) -> &[u8] {
        &self.block[self.start as usize..self.end as usize]
    }

    /// The number of waiting bytes.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// True if no byte is waiting.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The number of bytes that [`Buf::append`] can still take.
    pub fn room(&self) -> usize {
        self.block.len() - self.len()
    }

    /// Appends `bytes`, moving the waiting bytes to the front of the block if necessary.
    ///
    /// # Panics
    ///
    /// If there is no [`Buf::room`] for them: the reader must check first.
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "{} bytes for a room of {}", bytes.len(), self.room());
        if bytes.len() > self.block.len() - self.end as usize {
            work::note(self.len());
            self.block.copy_within(self.start as usize..self.end as usize, 0);
            self.end -= self.start;
            self.start = 0;
        }
        work::note(bytes.len());
        self.block[self.end as usize..][..bytes.len()].copy_from_slice(bytes);
        self.end += narrow(bytes.len());
    }

    /// Removes the `n` oldest bytes, which were sent.
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

    /// Removes all bytes.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

impl fmt::Debug for Buf {
    /// Shows counts but never contents, which belong to a peer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buf").field("len", &self.len()).field("room", &self.room()).finish()
    }
}

/// Converts a length within a block, which always fits: no block is larger.
#[expect(clippy::cast_possible_truncation, reason = "a block is smaller than 4 GiB")]
pub fn narrow(len: usize) -> u32 {
    debug_assert!(u32::try_from(len).is_ok());
    len as u32
}

/// The sizes of small buffers. Most buffers briefly hold a head: some hundred bytes from a program,
/// a thousand from a browser.
const SMALL: [usize; 2] = [512, 2048];

/// Maximum number of bytes that all buffers together may have beyond the usual size.
const EXTRA_MAX: usize = 512 * 1024;

/// The divisor for the share of the remaining allowance that one buffer may take: an eighth, so
/// that something is left for the next.
const EXTRA_SHARE: usize = 8;

/// Unused buffers of one size, the most recently used last.
#[derive(Debug)]
struct Shelf {
    block: usize,
    spare_max: usize,
    #[expect(clippy::vec_box, reason = "the boxes are what is lent")]
    spare: Vec<Box<Buf>>,
}

impl Shelf {
    const fn new(block: usize, spare_bytes: usize) -> Shelf {
        Shelf { block, spare_max: spare_bytes / block, spare: Vec::new() }
    }
}

/// A pool that lends buffers and keeps a few of those returned.
///
/// Small buffers are for heads, those of the usual size for bytes that a slow peer has not taken,
/// and larger ones for bulk reads. Anything that fits none of them gets a buffer of its exact size,
/// which is freed when it is returned.
///
/// Unfinished events that are held use its buffers, too. Held events, and whatever other buffers
/// have beyond the usual size, count towards one limit for the process ([`BufPool::limit`]): close
/// to it, less is read at once and less is held.
#[derive(Debug)]
pub struct BufPool {
    shelves: [Shelf; 6],
    usual: usize,
    largest: usize,
    lent: usize,
    lent_bytes: usize,
    /// The bytes beyond the usual size in buffers that hold no event.
    extra: usize,
    /// The bytes of buffers that hold an event.
    held: usize,
    /// The number of bytes that wait within the network.
    beside: usize,
    /// The number of bytes that wait elsewhere, and count as well.
    pub apart: usize,
    /// The limit on the sum of `extra`, `held`, `beside` and `apart`.
    held_max: usize,
}

impl BufPool {
    /// Creates a pool whose buffers have `usual` bytes, `bulk` for bulk reads, and at most
    /// `largest`. Of each size it keeps up to `spare_bytes` unused, or a quarter of that for sizes
    /// above the usual: freeing them and asking the system again costs time.
    pub fn new(usual: usize, bulk: usize, largest: usize, spare_bytes: usize) -> BufPool {
        let [smallest, small] = SMALL;
        let bulk = bulk.max(usual);
        let [twice, four_times] = [2, 4].map(|times| (times * usual).min(bulk));
        let blocks = [smallest.min(usual), small.min(usual), usual, twice, four_times, bulk];
        let spare = |block| if block > usual { spare_bytes / 4 } else { spare_bytes };
        let shelves = blocks.map(|block| Shelf::new(block, spare(block)));
        let [lent, lent_bytes, extra, held, beside, apart] = [0; 6];
        let held_max = usize::MAX;
        BufPool { shelves, usual, largest, lent, lent_bytes, extra, held, beside, apart, held_max }
    }

    /// Sets the limit on the bytes held beyond the usual size.
    pub fn limit(&mut self, held_max: usize) {
        self.held_max = held_max;
    }

    /// Sets the number of bytes that wait within the network. It changes with each read and write.
    pub const fn count_beside(&mut self, bytes: usize) {
        self.beside = bytes;
    }

    /// Raises the size of the largest buffer to `largest` if that is more.
    pub fn grow(&mut self, largest: usize) {
        self.largest = self.largest.max(largest);
    }

    /// Appends `bytes` to the buffer in `slot`. Lends a new buffer if there is none, and a larger
    /// one if there is not enough room.
    ///
    /// # Panics
    ///
    /// If the largest buffer of this pool has no room for them.
    pub fn append(&mut self, slot: &mut Option<Box<Buf>>, bytes: &[u8]) {
        if let Some(small) = slot.take_if(|buf| buf.room() < bytes.len()) {
            // At least twice as large, or bytes that arrive one by one would be copied each time.
            let needed = small.len() + bytes.len();
            let mut larger = self.lend(needed.max((2 * small.block.len()).min(self.largest)));
            larger.append(small.bytes());
            self.give_back(small);
            *slot = Some(larger);
        }
        slot.get_or_insert_with(|| self.lend(bytes.len())).append(bytes);
    }

    /// Moves the contents of an oversized buffer into a usual one once they fit, and before that
    /// into a smaller one once they fill only a quarter.
    pub fn shrink(&mut self, slot: &mut Option<Box<Buf>>) {
        let usual = self.usual;
        let is_wide = |buf: &mut Box<Buf>| {
            let (block, len) = (buf.block.len(), buf.len());
            block > usual && (len <= usual || block >= 4 * len)
        };
        if let Some(wide) = slot.take_if(is_wide) {
            let mut smaller = self.lend(wide.len());
            smaller.append(wide.bytes());
            self.give_back(wide);
            *slot = Some(smaller);
        }
    }

    /// Lends an empty buffer for `len` bytes: a spare one if there is one, otherwise a new one.
    ///
    /// # Panics
    ///
    /// If `len` exceeds the largest buffer.
    pub fn lend(&mut self, len: usize) -> Box<Buf> {
        assert!(len <= self.largest, "a buffer for {len} bytes, of {} at most", self.largest);
        let buf = self.take_out(len);
        self.extra += buf.block.len().saturating_sub(self.usual);
        buf
    }

    /// Takes a buffer back and drops its contents. Frees it if there are enough spare ones.
    ///
    /// # Panics
    ///
    /// If it cannot be a buffer of this pool.
    pub fn give_back(&mut self, buf: Box<Buf>) {
        let block = buf.block.len();
        assert!(block <= self.largest, "a buffer of another pool");
        self.put_back(buf);
        self.extra -= block.saturating_sub(self.usual);
    }

    fn take_out(&mut self, len: usize) -> Box<Buf> {
        let shelf = self.shelves.iter_mut().find(|shelf| shelf.block >= len);
        let block = shelf.as_ref().map_or(len, |shelf| shelf.block);
        self.lent += 1;
        self.lent_bytes += block;
        let spare = shelf.and_then(|shelf| shelf.spare.pop());
        spare.unwrap_or_else(|| Box::new(Buf::new(block)))
    }

    fn put_back(&mut self, mut buf: Box<Buf>) {
        let block = buf.block.len();
        assert!(self.lent > 0, "more buffers came back than were lent");
        self.lent -= 1;
        self.lent_bytes -= block;
        let shelf = self.shelves.iter_mut().find(|shelf| shelf.block == block);
        if let Some(shelf) = shelf.filter(|shelf| shelf.spare.len() < shelf.spare_max) {
            buf.clear();
            shelf.spare.push(buf);
        }
    }

    /// True if an event of `len` bytes may be held in place of the contents of `slot`. An event may
    /// use an eighth of what the others leave, so that something is left for the next.
    pub fn may_hold(&self, slot: Option<&Buf>, len: usize) -> bool {
        len <= self.most_held(slot.map_or(0, |buf| buf.block.len()))
    }

    /// Maximum length of an event that already occupies `own` bytes.
    const fn most_held(&self, own: usize) -> usize {
        self.held_max.saturating_sub(self.held_bytes() - own) / EXTRA_SHARE
    }

    /// Appends `bytes` to a held event, whatever [`BufPool::may_hold`] says.
    pub fn hold(&mut self, slot: &mut Option<Box<Buf>>, bytes: &[u8]) {
        if let Some(small) = slot.take_if(|buf| buf.room() < bytes.len()) {
            // At least twice as large, or events that arrive in pieces would be copied each time.
            let most = self.most_held(small.block.len());
            let needed = small.len() + bytes.len();
            let most = if needed > most { needed + needed / 4 } else { most };
            let mut larger = self.begin_hold(needed.max((2 * small.block.len()).min(most)));
            larger.append(small.bytes());
            self.let_go(small);
            *slot = Some(larger);
        }
        slot.get_or_insert_with(|| self.begin_hold(bytes.len())).append(bytes);
    }

    /// Removes the first `n` bytes of a held event, which were passed on. A small rest of a large
    /// event moves into a smaller buffer.
    pub fn pass(&mut self, slot: &mut Option<Box<Buf>>, n: usize) {
        let Some(mut buf) = slot.take() else { return };
        buf.consume(n);
        if buf.is_empty() {
            return self.let_go(buf);
        }
        let [smallest, ..] = SMALL;
        if buf.block.len() > smallest && buf.block.len() >= 4 * buf.len() {
            let mut smaller = self.begin_hold(buf.len());
            smaller.append(buf.bytes());
            self.let_go(buf);
            buf = smaller;
        }
        *slot = Some(buf);
    }

    fn begin_hold(&mut self, len: usize) -> Box<Buf> {
        let buf = self.take_out(len);
        self.held += buf.block.len();
        buf
    }

    /// Returns the buffer of a held event.
    pub fn let_go(&mut self, buf: Box<Buf>) {
        self.held -= buf.block.len();
        self.put_back(buf);
    }

    /// The bytes that count towards the limit: those of held events, those beyond the usual size,
    /// and those that wait elsewhere.
    pub const fn held_bytes(&self) -> usize {
        self.extra + self.held + self.beside + self.apart
    }

    /// The number of buffers lent. Always equals the number of those that sessions hold.
    pub const fn lent(&self) -> usize {
        self.lent
    }

    /// The bytes of all buffers lent, used or not, and those that wait elsewhere.
    pub const fn lent_bytes(&self) -> usize {
        self.lent_bytes + self.beside + self.apart
    }

    /// The number of bytes that a caller may read at once if it might have to hold them all. Falls
    /// to 0 as more is held.
    pub fn share(&self) -> usize {
        let left = self.held_max.saturating_sub(self.held_bytes());
        let used = self.extra + self.beside + self.apart;
        EXTRA_MAX.saturating_sub(used).min(left) / EXTRA_SHARE
    }

    /// The size of the largest buffer.
    pub const fn largest(&self) -> usize {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use std::collections::VecDeque;

    #[test]
    fn a_buffer_is_a_bounded_queue_of_bytes() {
        for (seed, block) in (0..).zip([1, 2, 3, 7, 16, 61]) {
            let mut dice = Rng::with_seed(seed);
            let mut stream = (0..=255_u8).cycle();
            let mut buf = Buf::new(block);
            let mut model = VecDeque::new();
            for step in 0..2000 {
                if dice.u64(..2) == 0 {
                    let n = dice.usize(..buf.room() + 1);
                    let bytes: Vec<u8> = stream.by_ref().take(n).collect();
                    buf.append(&bytes);
                    model.extend(bytes);
                } else if dice.u64(..50) == 0 {
                    buf.clear();
                    model.clear();
                } else {
                    let n = dice.usize(..buf.len() + 1);
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
        let mut pool = BufPool::new(8, 8, 20, 16);
        let lent: Vec<_> = (0..5).map(|_| pool.lend(3)).collect();
        assert_eq!((pool.lent(), pool.lent_bytes(), pool.largest()), (5, 40, 20));
        for mut buf in lent {
            buf.append(b"secret");
            pool.give_back(buf);
        }
        let spare = |pool: &BufPool| pool.shelves.iter().map(|s| s.spare.len()).sum::<usize>();
        assert_eq!((pool.lent(), pool.lent_bytes(), spare(&pool)), (0, 0, 2));
        for _ in 0..3 {
            let buf = pool.lend(8);
            assert_eq!((buf.bytes(), buf.room()), (&b""[..], 8));
        }
        assert_eq!((pool.lent(), spare(&pool)), (3, 0));
    }

    #[test]
    fn a_buffer_has_the_size_that_is_needed() {
        let mut pool = BufPool::new(4000, 4000, 9000, 8000);
        for (needed, size) in [(1, 512), (512, 512), (513, 2048), (2049, 4000), (4001, 4001)] {
            let buf = pool.lend(needed);
            assert_eq!((buf.room(), pool.lent_bytes()), (size, size), "{needed}");
            pool.give_back(buf);
        }
        let mut slot = None;
        let mut all = Vec::new();
        for piece in [[b'a'; 700], [b'b'; 700], [b'c'; 700]].repeat(4) {
            pool.append(&mut slot, &piece);
            all.extend_from_slice(&piece);
            assert_eq!(slot.as_ref().map(|buf| buf.bytes()), Some(&*all));
            assert_eq!((pool.lent(), pool.lent_bytes() >= all.len()), (1, true));
        }
        pool.give_back(slot.take().unwrap());
        assert_eq!((pool.lent(), pool.lent_bytes()), (0, 0));
    }

    #[test]
    fn what_is_left_of_much_has_a_smaller_buffer() {
        let mut pool = BufPool::new(4000, 24_000, 30_000, 8000);
        let mut slot = None;
        pool.append(&mut slot, &[b'x'; 23_000]);
        for (left, bytes) in [(6001, 24_000), (6000, 8000), (4001, 8000), (4000, 4000), (9, 4000)] {
            let buf = slot.as_mut().unwrap();
            buf.consume(buf.len() - left);
            pool.shrink(&mut slot);
            assert_eq!((slot.as_ref().unwrap().len(), pool.lent_bytes()), (left, bytes));
        }
        assert_eq!((pool.lent(), pool.share()), (1, EXTRA_MAX / EXTRA_SHARE));
    }

    #[test]
    fn the_more_is_held_the_less_may_be_read_at_once() {
        let mut pool = BufPool::new(8192, 65_536, 65_536, 0);
        let mut held = Vec::new();
        let mut before = usize::MAX;
        while pool.share() > 8192 {
            assert!(pool.share() < before);
            before = pool.share();
            held.push(pool.lend(pool.share().min(65_536)));
        }
        held.extend((0..100).map(|_| pool.lend(8192)));
        assert!(pool.lent_bytes() <= EXTRA_MAX + held.len() * 8192);
        held.into_iter().for_each(|buf| pool.give_back(buf));
        assert_eq!(pool.share(), 65_536);
    }

    #[test]
    fn what_is_held_of_events_has_one_limit() {
        let mut pool = BufPool::new(100, 800, 800, 0);
        pool.limit(80_000);
        let mut dice = Rng::with_seed(1);
        let mut slots: [Option<Box<Buf>>; 40] = [const { None }; 40];
        let mut models: [VecDeque<u8>; 40] = [const { VecDeque::new() }; 40];
        let (mut refused, mut longest) = (0, 0);
        for step in 0..4_000_u32 {
            let at = dice.usize(..slots.len());
            let (slot, model) = (&mut slots[at], &mut models[at]);
            let bytes = vec![step.to_le_bytes()[0]; 1 + dice.usize(..900)];
            if dice.u64(..5) == 0 {
                let n = dice.usize(..model.len() + 1);
                pool.pass(slot, n);
                model.drain(..n);
            } else if pool.may_hold(slot.as_deref(), model.len() + bytes.len()) {
                pool.hold(slot, &bytes);
                model.extend(bytes);
            } else {
                refused += 1;
                model.clear();
                slot.take().into_iter().for_each(|buf| pool.let_go(buf));
            }
            longest = longest.max(model.len());
            let held = slots.iter().flatten().map(|buf| buf.block.len()).sum::<usize>();
            assert_eq!((pool.held_bytes(), pool.lent_bytes()), (held, held));
            assert!(held <= 80_000, "{held} bytes");
            let bytes: Vec<u8> = slots[at].iter().flat_map(|buf| buf.bytes()).copied().collect();
            assert!(bytes.iter().eq(&models[at]));
        }
        assert!(refused > 100 && longest > 2_000, "{refused} refused, {longest} bytes at most");
        slots.into_iter().flatten().for_each(|buf| pool.let_go(buf));
        assert_eq!((pool.lent(), pool.lent_bytes(), pool.held_bytes()), (0, 0, 0));
    }

    #[test]
    fn what_is_read_at_once_ends_at_the_limit_too() {
        let mut pool = BufPool::new(8192, 65_536, 65_536, 0);
        pool.limit(80_000);
        assert_eq!(pool.share(), 10_000);
        let mut slot = None;
        pool.hold(&mut slot, &[0; 65_536]);
        assert_eq!(pool.share(), (80_000 - 65_536) / 8);
        let large = pool.lend(30_000);
        assert_eq!(
            (pool.share(), pool.may_hold(None, 1), pool.may_hold(None, 0)),
            (0, false, true)
        );
        pool.give_back(large);
        pool.let_go(slot.take().unwrap());
        assert_eq!(pool.share(), 10_000);
    }

    #[test]
    #[should_panic = "a buffer for 9 bytes, of 8 at most"]
    fn there_is_a_largest_buffer() {
        BufPool::new(8, 8, 8, 16).append(&mut Some(Box::new(Buf::new(4))), b"123456789");
    }

    #[test]
    #[should_panic = "a buffer of another pool"]
    fn a_foreign_buffer_is_refused() {
        let mut pool = BufPool::new(8, 8, 8, 16);
        drop(pool.lend(8));
        pool.give_back(BufPool::new(9, 9, 9, 18).lend(9));
    }
}
