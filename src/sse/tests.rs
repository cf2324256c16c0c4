//! Where events are to end, against a naive reader, at every cut.

use super::*;
use crate::trial::{Dice, in_one_piece, in_pieces};
use std::ops::Range;

/// Scans `body` piece by piece, and holds what is said behind each against the naive reader.
fn scan(body: &[u8], pieces: &[Range<usize>], event_max: usize) {
    let within = naive::within(body, event_max);
    let boundaries = naive::read(&body[..within]).boundaries;
    let (mut plain, mut scanner) = (Scanner::new(), Scanner::with_ids());
    assert!(scanner.between());
    for piece in pieces {
        let text = body.escape_ascii();
        let what = format!("{text} cut at {pieces:?}, behind {piece:?}, at most {event_max}");
        let last = boundaries.iter().rfind(|end| (piece.start + 1..=piece.end).contains(end));
        let found = scanner.scan(&body[piece.clone()], event_max);
        assert_eq!(found, last.map(|end| end - piece.start), "{what}");
        assert_eq!(plain.scan(&body[piece.clone()], event_max), found, "{what}");
        let naive = naive::read(&body[..piece.end.min(within)]);
        let between = piece.end == 0 || naive.boundaries.last() == Some(&piece.end);
        for scanner in [&plain, &scanner] {
            assert_eq!(scanner.between(), between, "{what}");
            assert_eq!(scanner.is_opaque(), piece.end > within, "{what}");
            assert_eq!(scanner.events(), naive.events.len() as u64, "{what}");
        }
        assert_eq!(scanner.last_id(), naive::sendable(&naive.last_id), "{what}");
        assert_eq!(scanner.retry(), naive.retry.map(Duration::from_millis), "{what}");
        assert_eq!((plain.last_id(), plain.retry()), (None, None));
    }
}

fn check(body: &[u8]) {
    for event_max in [usize::MAX, 0, 1, 7, 12] {
        in_pieces(body.len(), |pieces| scan(body, pieces, event_max));
    }
}

/// Scans all of `body` at once, having checked it in pieces.
fn scanned(body: &[u8]) -> (Scanner, Option<usize>) {
    check(body);
    let mut scanner = Scanner::with_ids();
    let boundary = scanner.scan(body, usize::MAX);
    (scanner, boundary)
}

#[test]
fn boundaries_and_events() {
    for (body, boundary, between, events) in [
        ("", None, true, 0),
        ("data: x\n\n", Some(9), true, 1),
        ("data: x\r\n\r\n", Some(11), true, 1),
        ("data: x\r\r", Some(9), true, 1),
        ("data: x\n\r\n", Some(10), true, 1),
        ("data: x\r\n\r", Some(10), true, 1),
        ("data: x\r\n", None, false, 0),
        ("data\n\n", Some(6), true, 1),
        ("data:\n\n", Some(7), true, 1),
        ("data:x\ndata:y\n\n", Some(15), true, 1),
        ("data:x\n\ndata:y\n\ndata", Some(16), false, 2),
        // No data: blocks like any other, but no events.
        ("\n", Some(1), true, 0),
        ("\r\n", Some(2), true, 0),
        ("event: x\n\n", Some(10), true, 0),
        ("dat\n\n", Some(5), true, 0),
        ("datax: y\n\n", Some(10), true, 0),
        ("data x\n\n", Some(8), true, 0),
        ("Data: x\n\n", Some(9), true, 0),
        (" data: x\n\n", Some(10), true, 0),
        ("\u{feff}data: x\n\n", Some(12), true, 0),
        ("x\n", None, false, 0),
        // Comments end nothing and begin nothing.
        (":", None, false, 0),
        (":\n", Some(2), true, 0),
        (":x\r", Some(3), true, 0),
        (":data: x\n\n", Some(10), true, 0),
        ("data: x\n:\n", None, false, 0),
        ("data: x\n:\n\n:\n:y", Some(13), false, 1),
        // Characters that end lines elsewhere do not here.
        ("data: x\u{85}\u{2028}\u{b}\u{c}", None, false, 0),
    ] {
        let (scanner, found) = scanned(body.as_bytes());
        let came = (found, scanner.between(), scanner.events());
        assert_eq!(came, (boundary, between, events), "{body:?}");
    }
}

#[test]
fn ids_and_reconnection_times() {
    for (body, id, retry) in [
        ("id: 1\n\n", Some("1"), None),
        ("id: 1\n", None, None),
        ("id:1\n\nid:2\n", Some("1"), None),
        ("id:1\n\nid\n\n", None, None),
        ("id:1\n\nid:\n\n", None, None),
        ("id:1\n\nid: \n\n", None, None),
        ("id:1\n\nid:2\0\n\n", Some("1"), None),
        ("id:1\n\nid:2\x7f\n\n", None, None),
        ("id:1\n\nid:2\x01\n\ndata:x\n\n", None, None),
        ("id:1\n\nid:2\x01\nid:3\n\n", Some("3"), None),
        ("id:  1\n\n", None, None),
        ("id:1 \n\n", None, None),
        ("id:\t1\n\n", None, None),
        ("id:1\t2 3\n\n", Some("1\t2 3"), None),
        ("id:\u{e9}\n\n", Some("\u{e9}"), None),
        ("idx:1\n\n", None, None),
        ("ID:1\n\n", None, None),
        ("retry:10\n", None, Some(10)),
        ("retry: 10\n\n", None, Some(10)),
        ("retry:  10\n\n", None, None),
        ("retry: 010", None, None),
        ("retry: 010\r", None, Some(10)),
        ("retry:1\nretry\nretry:\nretry:x\nretry:1.5\nretry:-1\nretry: \n", None, Some(1)),
        ("retry:99999999999999999999\n", None, Some(u64::MAX)),
        ("retrying:1\n", None, None),
    ] {
        let (scanner, _) = scanned(body.as_bytes());
        assert_eq!(scanner.last_id(), id.map(str::as_bytes), "{body:?}");
        assert_eq!(scanner.retry(), retry.map(Duration::from_millis), "{body:?}");
    }
}

#[test]
fn an_id_that_is_too_long_is_none() {
    let id = |len: usize, end: &str| {
        let body = format!("id: 1\n\nid: {}{end}\n\n", "x".repeat(len)).into_bytes();
        scan(&body, &in_one_piece(body.len()), usize::MAX);
        let hundreds: Vec<_> = (0..body.len()).step_by(100).collect();
        let pieces: Vec<_> = hundreds.iter().map(|&at| at..body.len().min(at + 100)).collect();
        scan(&body, &pieces, usize::MAX);
        let mut scanner = Scanner::with_ids();
        scanner.scan(&body, usize::MAX);
        scanner.last_id().map(<[u8]>::len)
    };
    assert_eq!(id(ID_MAX, ""), Some(ID_MAX));
    assert_eq!(id(ID_MAX + 1, ""), None);
    assert_eq!(id(5000, ""), None);
    // This is no id at all, so the other one stands.
    assert_eq!(id(5000, "\0"), Some(1));
    let zeros = format!("retry: {}7\n", "0".repeat(5000));
    let mut scanner = Scanner::with_ids();
    scanner.scan(zeros.as_bytes(), usize::MAX);
    assert_eq!(scanner.retry(), Some(Duration::from_millis(7)));
}

#[test]
fn a_block_that_is_too_long_is_opaque() {
    for (body, event_max, boundary, opaque, events) in [
        ("data:x\n\n", 8, Some(8), false, 1),
        ("data:x\n\n", 7, None, true, 0),
        ("data:x\n\ndata:y\n\n", 8, Some(16), false, 2),
        ("data:x\n\ndata:yy\n\ndata:z\n\n", 8, Some(8), true, 1),
        // Two lines of one block.
        ("data:x\ndata:y\n\n", 14, None, true, 0),
        ("data:x\ndata:y\n\n", 15, Some(15), false, 1),
        // A LF that belongs to a CR is a byte of the block, unless the CR has ended it.
        ("data:x\r\r\n", 8, Some(9), false, 1),
        ("data:x\r\n\r\n", 8, None, true, 0),
        ("data:x\r\n", 7, None, true, 0),
        ("data:x\r\n\r\n", 9, Some(10), false, 1),
        // Comments are blocks of their own, or part of one.
        (":xxxxxx\n:xxxxxx\n", 8, Some(16), false, 0),
        ("x\n:xxxxxx\n", 8, None, true, 0),
        (":xxxxxx", 7, None, false, 0),
        (":xxxxxxx", 7, None, true, 0),
        ("", 0, None, false, 0),
        ("\n", 0, None, true, 0),
    ] {
        in_pieces(body.len(), |pieces| scan(body.as_bytes(), pieces, event_max));
        let mut scanner = Scanner::new();
        let found = scanner.scan(body.as_bytes(), event_max);
        let came = (found, scanner.is_opaque(), scanner.events());
        assert_eq!(came, (boundary, opaque, events), "{body:?}");
        if opaque {
            assert_eq!(scanner.scan(b"\n\ndata:x\n\n", usize::MAX), None);
            assert!(scanner.is_opaque() && !scanner.between());
            assert_eq!(scanner.events(), events);
        }
    }
}

#[test]
fn a_new_body_begins_anew() {
    for end in ["", "d", "data:x\n", "data:x\r", "\r", "id:2", "id:2\n", "retry:2", ":", "id: 2 "] {
        for event_max in [usize::MAX, 40] {
            let mut scanner = Scanner::with_ids();
            scanner.scan(b"retry:1\nid:1\ndata:x\n\n", usize::MAX);
            scanner.scan(end.as_bytes(), usize::MAX);
            scanner.scan(&b"y".repeat(40), event_max);
            scanner.restart();
            assert!(scanner.between());
            assert_eq!(scanner.scan(b":\n", 2), Some(2), "{end:?}");
            assert_eq!(scanner.scan(b"\n", 1), Some(1), "{end:?}");
            assert_eq!(scanner.last_id(), Some(&b"1"[..]), "{end:?}");
            assert_eq!(scanner.retry(), Some(Duration::from_millis(1)), "{end:?}");
            assert_eq!(scanner.events(), 1);
            assert_eq!(scanner.scan(b"id:3\nretry:3\ndata\n\n", 19), Some(19), "{end:?}");
            assert_eq!(scanner.last_id(), Some(&b"3"[..]), "{end:?}");
            assert_eq!(scanner.retry(), Some(Duration::from_millis(3)), "{end:?}");
            assert_eq!(scanner.events(), 2);
        }
    }
}

#[test]
fn random_bodies_agree_with_the_naive_reader() {
    let alphabet = b"\r\n:di ataretry\0 1x";
    let words = [
        "data",
        "id",
        "retry",
        ":",
        ": ",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        "1",
        "data:x\n\n",
        "id:1\n",
        "\nid: 2",
        "retry:3\r",
    ];
    let (mut events, mut ids, mut times) = (0, 0, 0);
    for seed in 0..1_500 {
        let mut dice = Dice::new(seed);
        let mut body = Vec::new();
        for _ in 0..dice.below(24) {
            match dice.below(3) {
                0 => body.push(alphabet[dice.index(alphabet.len())]),
                _ => body.extend_from_slice(words[dice.index(words.len())].as_bytes()),
            }
        }
        let event_max = if dice.below(2) == 0 { usize::MAX } else { dice.index(20) };
        in_pieces(body.len(), |pieces| scan(&body, pieces, event_max));
        let reading = naive::read(&body);
        events += reading.events.len();
        ids += usize::from(!reading.last_id.is_empty());
        times += usize::from(reading.retry.is_some());
    }
    let seen = (events, ids, times);
    assert!(events > 300 && ids > 300 && times > 200, "only {seen:?} events, ids and times");
}

#[test]
fn the_naive_reader_reads_the_standards_examples() {
    let check = |body: &str, want: &[(&str, &str, &str)]| {
        let want = want.iter().map(|(id, kind, data)| naive::Event {
            id: id.as_bytes().to_vec(),
            kind: kind.as_bytes().to_vec(),
            data: data.as_bytes().to_vec(),
        });
        assert_eq!(naive::events(body.as_bytes()), want.collect::<Vec<_>>(), "{body:?}");
    };
    check("data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "message", "YHOO\n+2\n10")]);
    check(
        ": test stream\n\ndata: first event\nid: 1\n\n\
         data:second event\nid\n\ndata:  third event\n\n",
        &[
            ("1", "message", "first event"),
            ("", "message", "second event"),
            ("", "message", " third event"),
        ],
    );
    check("data\n\ndata\ndata\n\ndata:", &[("", "message", ""), ("", "message", "\n")]);
    check("data:test\n\ndata: test\n\n", &[("", "message", "test"), ("", "message", "test")]);
    check("event: add\ndata: 73\n\ndata: 1\n\n", &[("", "add", "73"), ("", "message", "1")]);
    check("event: add\n\ndata: 1\n\n", &[("", "message", "1")]);
    check("id: 7\n\ndata: 1\r\rdata: 2\r\n\r\n", &[("7", "message", "1"), ("7", "message", "2")]);
    check("\u{feff}data: 1\n\n\u{feff}data: 2\n\n", &[("", "message", "1")]);
}

#[test]
fn a_byte_order_mark() {
    for (start, len) in [
        (&b""[..], None),
        (b"\xef", None),
        (b"\xef\xbb", None),
        (b"\xef\xbb\xbf", Some(3)),
        (b"\xef\xbb\xbfdata", Some(3)),
        (b"\xef\xbbd", Some(0)),
        (b"\xfe\xff", Some(0)),
        (b"d", Some(0)),
    ] {
        assert_eq!(byte_order_mark(start), len, "{}", start.escape_ascii());
    }
}
