//! Event streams: the scanner against a reader that does what the standard says.

use super::in_pieces;
use crate::sse::{Scanner, byte_order_mark, naive};
use std::ops::Range;
use std::time::Duration;

/// A body behind one byte, whose square is the most bytes that a block may have. However the body
/// arrives, the boundaries, events, ids and times are those that a naive reader finds; and when the
/// same body comes once more, it is read as it was the first time.
pub fn sse(bytes: &[u8]) {
    let [root, start @ ..] = bytes else {
        return;
    };
    let event_max = usize::from(*root).pow(2);
    let body = &start[byte_order_mark(start).unwrap_or(0)..];
    assert_eq!(naive::events(start), naive::read(body).events);
    let within = naive::within(body, event_max);
    let naive = naive::read(&body[..within]);
    in_pieces(body, |pieces| {
        let mut scanner = Scanner::with_ids();
        check_boundaries(&mut scanner, body, pieces, event_max, &naive.boundaries);
        for times in 1..=2 {
            assert_eq!(scanner.is_opaque(), within < body.len());
            let between = body.is_empty() || naive.boundaries.last() == Some(&body.len());
            assert_eq!(scanner.between(), between);
            assert_eq!(scanner.events(), times * naive.events.len() as u64);
            assert_eq!(scanner.last_id(), naive::sendable(&naive.last_id));
            assert_eq!(scanner.retry(), naive.retry.map(Duration::from_millis));
            if times == 1 {
                scanner.restart();
                assert!(scanner.between());
                assert_eq!(scanner.scan(body, event_max), naive.boundaries.last().copied());
            }
        }
    });
}

fn check_boundaries(
    scanner: &mut Scanner,
    body: &[u8],
    pieces: &[Range<usize>],
    event_max: usize,
    boundaries: &[usize],
) {
    let mut plain = Scanner::new();
    for piece in pieces {
        let passed = boundaries.partition_point(|end| *end <= piece.end);
        let last = boundaries[..passed].last().filter(|end| **end > piece.start);
        let found = scanner.scan(&body[piece.clone()], event_max);
        assert_eq!(found, last.map(|end| end - piece.start), "{piece:?}");
        assert_eq!(plain.scan(&body[piece.clone()], event_max), found, "{piece:?}");
        assert_eq!(plain.between(), scanner.between(), "{piece:?}");
    }
    assert_eq!(plain.events(), scanner.events());
}
