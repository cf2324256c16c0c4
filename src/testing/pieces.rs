//! Shared by the tests of the leaves: the ways in which bytes can arrive in pieces.

use fastrand::Rng;
use std::ops::Range;

/// The pieces of `len` bytes that arrive at once.
#[expect(clippy::single_range_in_vec_init, reason = "one piece is what is meant")]
pub(crate) fn in_one_piece(len: usize) -> [Range<usize>; 1] {
    [0..len]
}

/// Calls `arrive` with ways to cut `len` bytes into pieces: whole, in two at each position, byte by
/// byte, and in 16 random ways.
pub(crate) fn in_pieces(len: usize, mut arrive: impl FnMut(&[Range<usize>])) {
    for cut in 0..=len {
        arrive(&[0..cut, cut..len]);
    }
    let bytes: Vec<_> = (0..len).map(|at| at..at + 1).collect();
    arrive(&bytes);
    for seed in 0..16 {
        let mut dice = Rng::with_seed(seed);
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < len {
            let end = len.min(start + dice.usize(..9));
            pieces.push(start..end);
            start = end;
        }
        arrive(&pieces);
    }
}
