//! Tests of event boundaries: compared with a naive reader, split at every position.

use super::*;
use crate::testing::pieces::{in_one_piece, in_pieces};
use fastrand::Rng;
use std::ops::Range;

/// Scans `body` piece by piece and compares the state after each piece with the naive reader's.
fn scan(body: &[u8], pieces: &[Range<usize>]) {
    let boundaries = naive::read(body).boundaries;
    let (mut plain, mut scanner) = (Scanner::new(), Scanner::with_ids());
    assert!(scanner.between());
    for piece in pieces {
        let what = format!("{} cut at {pieces:?}, behind {piece:?}", body.escape_ascii());
        let last = boundaries.iter().rfind(|end| (piece.start + 1..=piece.end).contains(end));
        let found = scanner.scan(&body[piece.clone()]);
        assert_eq!(found, last.map(|end| end - piece.start), "{what}");
        assert_eq!(plain.scan(&body[piece.clone()]), found, "{what}");
        let naive = naive::read(&body[..piece.end]);
        let between = piece.end == 0 || naive.boundaries.last() == Some(&piece.end);
        for scanner in [&plain, &scanner] {
            assert_eq!(scanner.between(), between, "{what}");
            assert_eq!(scanner.events(), naive.events.len() as u64, "{what}");
        }
        assert_eq!(scanner.last_id(), naive::sendable(&naive.last_id), "{what}");
        assert_eq!(scanner.retry(), naive.retry.map(Duration::from_millis), "{what}");
        assert_eq!((plain.last_id(), plain.retry()), (None, None));
    }
}

fn check(body: &[u8]) {
    in_pieces(body.len(), |pieces| scan(body, pieces));
}

/// Scans all of `body` at once, after checking it in pieces.
fn scanned(body: &[u8]) -> (Scanner, Option<usize>) {
    check(body);
    let mut scanner = Scanner::with_ids();
    let boundary = scanner.scan(body);
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
        // Blocks without data are not events.
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
        // Comments neither begin nor end anything.
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
fn a_body_that_was_asked_for_behind_an_id_has_that_until_it_says_more() {
    let mut scanner = Scanner::with_ids();
    scanner.begin_behind(b"5");
    assert_eq!((scanner.last_id(), scanner.has_ids()), (Some(&b"5"[..]), true));
    scanner.scan(b": a\n\nevent: b\n\nid: 6\ndata\n");
    scanner.restart();
    assert_eq!(scanner.last_id(), Some(&b"5"[..]));
    for (body, last) in [("data: a\n\n", None), ("id\n\n", None), ("id: 6\n\ndata\n\n", Some("6"))]
    {
        let mut scanner = Scanner::with_ids();
        scanner.begin_behind(b"5");
        scanner.scan(body.as_bytes());
        assert_eq!(scanner.last_id(), last.map(str::as_bytes), "{body:?}");
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
        scan(&body, &in_one_piece(body.len()));
        let hundreds: Vec<_> = (0..body.len()).step_by(100).collect();
        let pieces: Vec<_> = hundreds.iter().map(|&at| at..body.len().min(at + 100)).collect();
        scan(&body, &pieces);
        let mut scanner = Scanner::with_ids();
        scanner.scan(&body);
        scanner.last_id().map(<[u8]>::len)
    };
    assert_eq!(id(ID_MAX, ""), Some(ID_MAX));
    assert_eq!(id(ID_MAX + 1, ""), None);
    assert_eq!(id(5000, ""), None);
    // This id is ignored, so the previous one stays.
    assert_eq!(id(5000, "\0"), Some(1));
    let zeros = format!("retry: {}7\n", "0".repeat(5000));
    let mut scanner = Scanner::with_ids();
    scanner.scan(zeros.as_bytes());
    assert_eq!(scanner.retry(), Some(Duration::from_millis(7)));
}

#[test]
fn no_line_and_no_block_is_too_long() {
    let long = "y".repeat(70_000);
    for (body, events, id) in [
        (format!("id:1\ndata:{long}\n\nid:2\ndata:x\n\n"), 2, Some("2")),
        (format!("id:1\n{}\n:c\n", "data:x\n".repeat(10_000)), 1, Some("1")),
        (format!("id:1\ndata:x\n\n:{long}\n\n"), 1, Some("1")),
        (format!("id:1\n{long}:x\ndata:x\r\r"), 1, Some("1")),
        // An id that is too long to be sent, and then one that is not.
        (format!("id:1\n\nid:{long}\ndata:x\n\n"), 1, None),
        (format!("id:1\n\nid:{long}\ndata:x\n\ndata:x\n\nid:3\n\n"), 2, Some("3")),
        (format!("retry:{long}\ndata\n\nid:4\n\n"), 1, Some("4")),
    ] {
        let pieces: Vec<_> = (0..body.len()).step_by(9999).map(|at| at..at + 9999).collect();
        let mut scanner = Scanner::with_ids();
        for piece in pieces {
            scanner.scan(&body.as_bytes()[piece.start..piece.end.min(body.len())]);
        }
        let start = &body[..20];
        assert!(scanner.between(), "{start}");
        assert_eq!(
            (scanner.events(), scanner.last_id()),
            (events, id.map(str::as_bytes)),
            "{start}"
        );
    }
}

#[test]
fn a_new_body_begins_anew() {
    for end in ["", "d", "data:x\n", "data:x\r", "\r", "id:2", "id:2\n", "retry:2", ":", "id: 2 "] {
        for behind in [0, 40] {
            let mut scanner = Scanner::with_ids();
            scanner.scan(b"retry:1\nid:1\ndata:x\n\n");
            scanner.scan(end.as_bytes());
            scanner.scan(&b"y".repeat(behind));
            scanner.restart();
            assert!(scanner.between());
            assert_eq!(scanner.scan(b":\n"), Some(2), "{end:?}");
            assert_eq!(scanner.scan(b"\n"), Some(1), "{end:?}");
            assert_eq!(scanner.last_id(), Some(&b"1"[..]), "{end:?}");
            assert_eq!(scanner.retry(), Some(Duration::from_millis(1)), "{end:?}");
            assert_eq!(scanner.events(), 1);
            assert_eq!(scanner.scan(b"id:3\nretry:3\ndata\n\n"), Some(19), "{end:?}");
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
        let mut dice = Rng::with_seed(seed);
        let mut body = Vec::new();
        for _ in 0..dice.u64(..24) {
            match dice.u64(..3) {
                0 => body.push(alphabet[dice.usize(..alphabet.len())]),
                _ => body.extend_from_slice(words[dice.usize(..words.len())].as_bytes()),
            }
        }
        check(&body);
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
