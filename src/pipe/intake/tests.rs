//! Tests of an intake alone: the tests take its portions, instead of an outlet or a log.

use super::super::events::Holding;
use super::super::trial::Trial;
use super::*;
use crate::sse::{byte_order_mark, naive};
use crate::testing::pieces::in_pieces;

const PLAIN: Terms = Terms {
    event_max: 1000,
    resumable: false,
    outlives_source: false,
    holding: Holding::Nothing,
    verbatim: false,
    tells_gaps: false,
};

/// Takes everything available: the payload, whether it ends between two events, and what follows.
fn take_all(
    intake: &mut Intake,
    trial: &mut Trial,
) -> Result<(Vec<u8>, Option<bool>, Rest), SourceFault> {
    let (mut payload, mut between) = (Vec::new(), None);
    loop {
        let (source, mut io) = trial.parts();
        let Some(portion) = intake.take(source, 0, &mut io)? else {
            return Ok((payload, between, Rest::More));
        };
        payload.extend_from_slice(&trial.scratch()[portion.payload.clone()]);
        if !portion.payload.is_empty() {
            between = portion.between;
        }
        if !matches!(portion.rest, Rest::More) {
            return Ok((payload, between, portion.rest));
        }
    }
}

const fn holding(whole: bool) -> Holding {
    if whole { Holding::WhileRoom } else { Holding::Nothing }
}

fn response(from: BodyLength) -> Intake {
    let mut intake = Intake::response(Tick::ZERO);
    intake.begin(from, Tick::ZERO);
    intake
}

/// Only whole events pass, however the bytes arrive and however small the portions are.
#[test]
fn only_whole_events_pass_where_that_is_wanted() {
    let text = b"\xef\xbb\xbfdata: a\n\n:\n\nid: 1\ndata: b\r\n\r\ndata: c";
    for whole in [true, false] {
        for high_water in [1, 3, 1000] {
            in_pieces(text.len(), |pieces| {
                let mut trial = Trial::new(1000, high_water);
                let mut intake = response(BodyLength::UntilClose);
                intake.watch_events(Terms { holding: holding(whole), ..PLAIN });
                let mut all = Vec::new();
                for range in pieces {
                    trial.send(&text[range.clone()]);
                    let (payload, between, rest) = take_all(&mut intake, &mut trial).unwrap();
                    assert!(matches!(rest, Rest::More));
                    all.extend(payload);
                    if whole {
                        assert_ne!(between, Some(false), "{pieces:?}");
                        assert_eq!(all.len(), naive_boundary(&text[3..range.end.max(3)]));
                    }
                }
                trial.finish();
                let (payload, between, rest) = take_all(&mut intake, &mut trial).unwrap();
                all.extend(payload);
                assert!(matches!(rest, Rest::End));
                assert!(!whole || between == Some(false));
                assert_eq!(all, text[3..]);
                assert_eq!((trial.buffers.lent(), intake.holds_any()), (0, false));
                assert_eq!(intake.taken(), text.len() as u64);
            });
        }
    }
}

/// The number of bytes up to the last boundary between two events.
fn naive_boundary(text: &[u8]) -> usize {
    naive::read(text).boundaries.last().copied().unwrap_or(0)
}

#[test]
fn what_makes_a_body_too_long_is_not_handed_on() {
    let mut trial = Trial::new(1000, 4);
    let mut intake = Intake::request(BodyLength::Chunked, 5, Tick::ZERO);
    trial.send(b"4\r\nfour\r\n1\r\n5\r\n1\r\n6\r\n0\r\n\r\n");
    let mut passed = Vec::new();
    let fault = loop {
        let (source, mut io) = trial.parts();
        match intake.take(source, 0, &mut io) {
            Ok(Some(portion)) => passed.extend_from_slice(&trial.scratch()[portion.payload]),
            Ok(None) => panic!("the body has not ended"),
            Err(fault) => break fault,
        }
    };
    assert_eq!((&passed[..], fault), (&b"four5"[..], SourceFault::TooLong));
}

/// The next request is not read in bulk, because it would have to be kept.
#[test]
fn what_is_behind_a_body_stays_with_its_connection() {
    let wire = b"1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    for (high_water, window, kept) in [(1000, 1000, 18), (13, 1000, 2), (11, 1000, 0)] {
        let mut trial = Trial::new(1000, high_water);
        trial.window = window;
        let mut intake = Intake::request(BodyLength::Chunked, 5, Tick::ZERO);
        trial.send(wire);
        let (payload, between, rest) = take_all(&mut intake, &mut trial).unwrap();
        assert_eq!((&payload[..], between), (&b"x"[..], None));
        assert!(matches!(rest, Rest::End) && intake.is_complete());
        assert_eq!(trial.conn.ahead(), &wire[11..11 + kept]);
        let all = trial.conn.ahead().len();
        trial.conn.consume(all, &mut trial.buffers);
    }
}

#[test]
fn no_more_is_taken_than_can_be_kept() {
    let mut trial = Trial::new(1000, 8);
    trial.window = 100;
    trial.send(&[b'x'; 200]);
    let mut intake = response(BodyLength::Length(150));
    for (waiting, taken) in [(5, 3), (7, 1), (0, 100), (0, 46)] {
        let (source, mut io) = trial.parts();
        let portion = intake.take(source, waiting, &mut io).unwrap().unwrap();
        assert_eq!(portion.payload.len(), taken);
    }
    assert!(intake.is_complete());
}

#[test]
fn an_end_is_one_only_where_the_body_has_ended() {
    let resumed = Terms { resumable: true, outlives_source: true, ..PLAIN };
    for (from, terms, wire, ends) in [
        (BodyLength::UntilClose, None, "some", true),
        (BodyLength::Length(4), None, "some", true),
        (BodyLength::Length(5), None, "some", false),
        (BodyLength::Chunked, None, "4\r\nsome\r\n", false),
        (BodyLength::UntilClose, Some(PLAIN), "id: 1\ndata: a\n\n", true),
        // Without an id the rest could not be requested.
        (BodyLength::UntilClose, Some(resumed), "data: a\n\n", true),
        (BodyLength::UntilClose, Some(resumed), "id: 1\ndata: a\n\n", false),
        (BodyLength::UntilClose, Some(resumed), "id: 1\ndata: a\n\ndata: b", false),
    ] {
        let mut trial = Trial::new(1000, 1000);
        let mut intake = response(from);
        if let Some(terms) = terms {
            intake.watch_events(terms);
        }
        trial.send(wire.as_bytes());
        trial.finish();
        match take_all(&mut intake, &mut trial) {
            Ok((_, _, Rest::End)) => assert!(ends, "{wire:?}"),
            other => {
                assert!(!ends && matches!(other, Err(SourceFault::Cut)), "{wire:?}: {other:?}")
            }
        }
        intake.stop(&mut trial.buffers);
        assert_eq!(trial.buffers.lent(), 0);
    }
}

/// A kept byte order mark is not part of the first line, and what only looks like one is.
#[test]
fn a_mark_that_is_kept_passes() {
    for text in [
        &b"\xef\xbb\xbfdata: a\n\n"[..],
        b"data: a\n\n",
        b"\xef\xbbdata: a\n\n",
        b"\xefdata: a\n\n",
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n",
        b"\xef\xbb",
    ] {
        let readable = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let events = u64::from(readable.starts_with(b"data"));
        for whole in [true, false] {
            in_pieces(text.len(), |pieces| {
                let mut trial = Trial::new(1000, 1000);
                let mut intake = response(BodyLength::UntilClose);
                intake.watch_events(Terms { holding: holding(whole), verbatim: true, ..PLAIN });
                let mut all = Vec::new();
                for range in pieces {
                    trial.send(&text[range.clone()]);
                    let (payload, between, _) = take_all(&mut intake, &mut trial).unwrap();
                    all.extend(payload);
                    assert!(whole || all == text[..range.end], "{pieces:?}");
                    let within_mark = !all.is_empty() && byte_order_mark(&all).is_none();
                    assert!(!within_mark || between != Some(true), "{pieces:?}");
                }
                trial.finish();
                all.extend(take_all(&mut intake, &mut trial).unwrap().0);
                assert_eq!((all.as_slice(), intake.events().unwrap().events()), (text, events));
            });
        }
    }
}

/// Clients that make others hold much must not end a shared stream.
#[test]
fn an_event_for_a_log_is_held_whatever_others_hold() {
    for holding in [Holding::WhileRoom, Holding::Always] {
        let mut trial = Trial::new(4000, 1000);
        trial.buffers.limit(0);
        let mut intake = response(BodyLength::UntilClose);
        intake.watch_events(Terms { holding, ..PLAIN });
        let mut passed = 0;
        for (bytes, of_log) in [(&b"data: a"[..], 0), (&[b'a'; 900], 0), (&[b'a'; 100], 1007)] {
            trial.send(bytes);
            passed += take_all(&mut intake, &mut trial).unwrap().0.len();
            let all = holding == Holding::WhileRoom;
            assert!(all || passed == of_log, "{passed} bytes of an event passed");
        }
        assert_eq!(passed, 1007, "an event that is too long must pass");
    }
}

#[test]
fn a_stream_goes_on_where_another_source_has_it() {
    let mut trial = Trial::new(1000, 1000);
    let mut intake = response(BodyLength::UntilClose);
    intake.watch_events(Terms { resumable: true, ..PLAIN });
    trial.send(b"id: 7\ndata: a\n\nid: 8\ndata");
    let (payload, _, _) = take_all(&mut intake, &mut trial).unwrap();
    assert_eq!(payload, b"id: 7\ndata: a\n\n");
    trial.reset();
    assert_eq!(take_all(&mut intake, &mut trial).unwrap_err(), SourceFault::Cut);
    let events = intake.events_mut().unwrap();
    assert_eq!(events.resume_from(), Some(&b"7"[..]));
    events.restart(&mut trial.buffers);
    let Trial { buffers, .. } = trial;
    assert_eq!(buffers.lent(), 0, "the unfinished event is discarded");
    let mut trial = Trial::new(1000, 1000);
    intake.begin(BodyLength::Chunked, Tick::ZERO);
    trial.send(b"10\r\nid: 8\ndata: bb\n\n\r\n0\r\n\r\n");
    let (payload, between, rest) = take_all(&mut intake, &mut trial).unwrap();
    assert_eq!((&payload[..], between), (&b"id: 8\ndata: bb\n\n"[..], Some(true)));
    assert!(matches!(rest, Rest::End));
}

#[test]
fn trailers_that_go_no_further_are_taken_out() {
    let mut trial = Trial::new(1000, 1000);
    let mut intake = response(BodyLength::Chunked);
    intake.drop_trailers(Names::and(None, ["X-Hop"].into_iter()));
    trial.send(b"1\r\nx\r\n0\r\nX-Sum: 1\r\nx-hop: 2\r\n\r\n");
    let (payload, _, rest) = take_all(&mut intake, &mut trial).unwrap();
    assert_eq!(payload, b"x");
    let Rest::Trailers(trailers) = rest else { panic!("{rest:?}") };
    assert_eq!(trailers, b"X-Sum: 1\r\n");
}
