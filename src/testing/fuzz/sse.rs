//! Event streams: the scanner against a parser that follows the standard literally.

use super::in_pieces;
use crate::sse::endpoint::Endpoint;
use crate::sse::{Scanner, byte_order_mark, naive};
use std::ops::Range;
use std::time::Duration;

/// However a body arrives, the boundaries, events, ids and times are those that a naive parser
/// finds, and if the same body follows, it is scanned in the same way. The data of its first event
/// does not depend on the pieces, either.
pub fn sse(start: &[u8]) {
    let body = &start[byte_order_mark(start).unwrap_or(0)..];
    let naive = naive::read(body);
    assert_eq!(naive::events(start), naive.events);
    let endpoint = |pieces: &[Range<usize>]| {
        let mut endpoint = Endpoint::default();
        pieces.iter().for_each(|piece| endpoint.scan(&body[piece.clone()]));
        (endpoint.is_over(), endpoint.parameter("s"))
    };
    let whole = 0..body.len();
    let said = endpoint(&[whole]);
    in_pieces(body, |pieces| {
        assert_eq!(endpoint(pieces), said);
        let mut scanner = Scanner::with_ids();
        check_boundaries(&mut scanner, body, pieces, &naive.boundaries);
        for times in 1..=2 {
            let between = body.is_empty() || naive.boundaries.last() == Some(&body.len());
            assert_eq!(scanner.between(), between);
            assert_eq!(scanner.events(), times * naive.events.len() as u64);
            assert_eq!(scanner.last_id(), naive::sendable(&naive.last_id));
            assert_eq!(scanner.retry(), naive.retry.map(Duration::from_millis));
            if times == 1 {
                scanner.restart();
                assert!(scanner.between());
                assert_eq!(scanner.scan(body), naive.boundaries.last().copied());
            }
        }
    });
}

fn check_boundaries(
    scanner: &mut Scanner,
    body: &[u8],
    pieces: &[Range<usize>],
    boundaries: &[usize],
) {
    let mut plain = Scanner::new();
    for piece in pieces {
        let passed = boundaries.partition_point(|end| *end <= piece.end);
        let last = boundaries[..passed].last().filter(|end| **end > piece.start);
        let found = scanner.scan(&body[piece.clone()]);
        assert_eq!(found, last.map(|end| end - piece.start), "{piece:?}");
        assert_eq!(plain.scan(&body[piece.clone()]), found, "{piece:?}");
        assert_eq!(plain.between(), scanner.between(), "{piece:?}");
    }
    assert_eq!(plain.events(), scanner.events());
}
