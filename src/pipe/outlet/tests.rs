//! Tests of an outlet alone: the tests put its portions into the scratch buffer, instead of an
//! intake or a log.

use super::super::trial::Trial;
use super::*;

const MORE: Rest = Rest::More;

fn outlet(to: BodyLength) -> Outlet {
    Outlet::new(to, false, Tick::ZERO)
}

fn give(outlet: &mut Outlet, payload: &[u8], between: Option<bool>, rest: Rest, trial: &mut Trial) {
    let range = HEADROOM..HEADROOM + payload.len();
    trial.scratch()[range.clone()].copy_from_slice(payload);
    let (sink, mut io) = trial.parts();
    outlet.give(Portion { payload: range, between, rest }, sink, &mut io).unwrap();
}

fn write(outlet: &mut Outlet, trial: &mut Trial) -> Moved {
    let (sink, mut io) = trial.parts();
    outlet.write_pending(sink, &mut io).unwrap()
}

#[test]
fn all_goes_out_in_order_however_little_is_taken() {
    for capacity in [1, 2, 7, 1000] {
        let mut trial = Trial::new(capacity, 1000);
        let mut outlet = outlet(BodyLength::Chunked);
        outlet.queue(b"HEAD", &mut trial.buffers, Tick::ZERO);
        give(&mut outlet, b"one", None, MORE, &mut trial);
        give(&mut outlet, b"", None, MORE, &mut trial);
        let trailers = Rest::Trailers(b"X: y\r\n".to_vec());
        give(&mut outlet, b"two", None, trailers, &mut trial);
        assert_eq!((outlet.flow(), outlet.given()), (Flow::Draining, 6));
        let mut heard = Vec::new();
        while !outlet.flow().is_over() {
            assert_eq!(write(&mut outlet, &mut trial), Moved::Yes);
            heard.extend(trial.hear());
        }
        assert_eq!(heard, b"HEAD3\r\none\r\n3\r\ntwo\r\n0\r\nX: y\r\n\r\n");
        assert_eq!((outlet.flow(), trial.buffers.lent()), (Flow::Finished, 0));
        assert!(outlet.ends_properly());
    }
}

/// An event takes one write and no buffer.
#[test]
fn what_the_sink_takes_is_not_kept() {
    let mut trial = Trial::new(1000, 1000);
    let mut outlet = outlet(BodyLength::UntilClose);
    give(&mut outlet, b"data: a\n\n", Some(true), MORE, &mut trial);
    assert_eq!((trial.hear(), outlet.pending().len()), (b"data: a\n\n".to_vec(), 0));
    assert_eq!(trial.buffers.lent(), 0);
    assert_eq!(write(&mut outlet, &mut trial), Moved::No);
}

#[test]
fn bytes_are_gathered_for_as_long_as_they_may_be() {
    let interval = Duration::from_millis(100);
    let mut trial = Trial::new(1000, 10);
    trial.flush_interval = Some(interval);
    let mut outlet = outlet(BodyLength::UntilClose);
    let due = Tick::ZERO.after(interval);
    give(&mut outlet, b"ab", None, MORE, &mut trial);
    trial.now = Tick::ZERO.after(interval / 2);
    give(&mut outlet, b"cd", None, MORE, &mut trial);
    assert_eq!(write(&mut outlet, &mut trial), Moved::No);
    assert_eq!(outlet.flush_deadline(trial.now, 10), due);
    assert!(!outlet.is_behind() && !outlet.wants_sink(trial.now, 10));
    trial.now = due;
    assert_eq!(outlet.flush_deadline(trial.now, 10), Tick::NEVER);
    assert_eq!((write(&mut outlet, &mut trial), trial.hear()), (Moved::Yes, b"abcd".to_vec()));
    // Many bytes do not wait, and neither does an end.
    give(&mut outlet, b"0123456789", None, MORE, &mut trial);
    assert!(outlet.wants_sink(trial.now, 10) && !outlet.has_room(10));
    assert_eq!((write(&mut outlet, &mut trial), trial.hear().len()), (Moved::Yes, 10));
    give(&mut outlet, b"e", None, MORE, &mut trial);
    give(&mut outlet, b"f", None, Rest::End, &mut trial);
    assert_eq!((write(&mut outlet, &mut trial), trial.hear()), (Moved::Yes, b"ef".to_vec()));
    assert_eq!(outlet.flow(), Flow::Finished);
}

#[test]
fn something_is_put_in_only_between_two_events() {
    let interval = Duration::from_secs(10);
    let mut trial = Trial::new(1000, 1000);
    let mut outlet = outlet(BodyLength::UntilClose);
    assert!(!outlet.is_between_events(), "it was not declared an event stream");
    outlet.watch_events();
    assert!(outlet.is_between_events());
    let alone = Tick::ZERO.after(ALONE_MAX);
    assert_eq!(outlet.heartbeat_deadline(interval), alone, "the client has nothing but a head");
    let often = Duration::from_millis(7);
    assert_eq!(outlet.heartbeat_deadline(often), Tick::ZERO.after(often));
    let between =
        |outlet: &Outlet| (outlet.is_between_events(), outlet.heartbeat_deadline(interval));
    trial.now = Tick::ZERO.after(Duration::from_secs(1));
    let beats = trial.now.after(interval);
    give(&mut outlet, b"data: a\n\nda", Some(false), MORE, &mut trial);
    assert_eq!(between(&outlet), (false, Tick::NEVER));
    // An empty portion does not change whether the client is between two events.
    give(&mut outlet, b"", Some(true), MORE, &mut trial);
    assert_eq!(between(&outlet), (false, Tick::NEVER));
    give(&mut outlet, b"ta: b\n\n", Some(true), MORE, &mut trial);
    assert_eq!(between(&outlet), (true, beats));
    let (_, mut io) = trial.parts();
    outlet.put_in(b":\n", false, &mut io);
    assert_eq!(between(&outlet), (true, Tick::NEVER), "it waits for the sink");
    trial.now = Tick::ZERO.after(Duration::from_secs(2));
    assert_eq!(write(&mut outlet, &mut trial), Moved::Yes);
    assert_eq!(between(&outlet), (true, trial.now.after(interval)));
    assert_eq!(outlet.given(), 18, "inserted bytes do not count as given");
    outlet.drain();
    assert_eq!(between(&outlet), (false, Tick::NEVER));
}

#[test]
#[should_panic = "something is put in within an event"]
fn to_put_in_within_an_event_is_our_own_mistake() {
    let mut trial = Trial::new(1000, 1000);
    let mut outlet = outlet(BodyLength::UntilClose);
    outlet.watch_events();
    give(&mut outlet, b"data", Some(false), MORE, &mut trial);
    let (_, mut io) = trial.parts();
    outlet.put_in(b":\n", false, &mut io);
}

#[test]
fn a_sink_is_stuck_from_when_it_last_took_anything() {
    let at = |secs| Tick::ZERO.after(Duration::from_secs(secs));
    let limit = Duration::from_secs(60);
    let mut trial = Trial::new(4, 1000);
    let mut outlet = outlet(BodyLength::UntilClose);
    assert_eq!(outlet.stuck_deadline(at(0), 1000, limit), Tick::NEVER);
    trial.now = at(1);
    give(&mut outlet, b"0123456789", None, MORE, &mut trial);
    assert_eq!(outlet.stuck_deadline(at(1), 1000, limit), at(61));
    trial.now = at(2);
    assert_eq!(write(&mut outlet, &mut trial), Moved::No);
    assert_eq!(outlet.stuck_deadline(at(2), 1000, limit), at(61));
    trial.hear();
    assert_eq!(write(&mut outlet, &mut trial), Moved::Yes);
    assert_eq!(outlet.stuck_deadline(at(2), 1000, limit), at(62));
    assert!(outlet.is_behind());
    outlet.abandon(&mut trial.buffers);
    assert_eq!(outlet.stuck_deadline(at(2), 1000, limit), Tick::NEVER);
    assert_eq!((outlet.flow(), trial.buffers.lent()), (Flow::Abandoned, 0));
}

#[test]
fn a_sink_that_is_gone_is_told() {
    let mut trial = Trial::new(1000, 1000);
    let mut outlet = outlet(BodyLength::UntilClose);
    outlet.queue(b"HEAD", &mut trial.buffers, Tick::ZERO);
    trial.reset();
    let (sink, mut io) = trial.parts();
    assert_eq!(outlet.write_pending(sink, &mut io), Err(SinkGone));
    outlet.abandon(&mut trial.buffers);
    assert_eq!(trial.buffers.lent(), 0);
}

/// An empty body needs an explicit end unless its head announces that it is empty.
#[test]
fn an_empty_body_is_ended_by_its_head_or_by_itself() {
    for (to, flow) in [
        (BodyLength::Empty, Flow::Draining),
        (BodyLength::Length(0), Flow::Draining),
        (BodyLength::Chunked, Flow::Open),
        (BodyLength::UntilClose, Flow::Open),
    ] {
        assert_eq!(Outlet::new(to, true, Tick::ZERO).flow(), flow);
        assert_eq!(Outlet::new(to, false, Tick::ZERO).flow(), Flow::Open);
    }
}
