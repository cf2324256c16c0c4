//! What the tests of the leaves share: a seeded die, and the ways in which bytes arrive in pieces.
//!
//! A failing test names its seed or its cut, and the same seed fails again: the die is an
//! xorshift generator, the same on every machine.

use std::ops::Range;

/// A die that falls the same way every time it is thrown from the same seed.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for this seed. Any seed will do, zero included.
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// An index into a slice of this length, which is not zero.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}

/// The way in which `len` bytes arrive in one piece.
#[expect(clippy::single_range_in_vec_init, reason = "one piece is what is meant")]
pub(crate) fn in_one_piece(len: usize) -> [Range<usize>; 1] {
    [0..len]
}

/// Calls `arrive` with ways to cut `len` bytes into pieces: whole, at each position in two, byte
/// by byte, and at random in 16 ways.
pub(crate) fn in_pieces(len: usize, mut arrive: impl FnMut(&[Range<usize>])) {
    for cut in 0..=len {
        arrive(&[0..cut, cut..len]);
    }
    let bytes: Vec<_> = (0..len).map(|at| at..at + 1).collect();
    arrive(&bytes);
    for seed in 0..16 {
        let mut dice = Dice::new(seed);
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < len {
            let end = len.min(start + dice.index(9));
            pieces.push(start..end);
            start = end;
        }
        arrive(&pieces);
    }
}
