//! Tests of a log against a list of all events, over long runs.

use super::model::Model;
use super::*;
use fastrand::Rng;

fn limits(bytes: usize, events: usize, seconds: u64) -> Limits {
    Limits { bytes, events, age: Duration::from_secs(seconds) }
}

/// A size of any order of magnitude.
fn dice_size(dice: &mut Rng) -> usize {
    let bits = dice.u32(4..18);
    dice.usize(..1 << bits)
}

fn at(seconds: u64) -> Tick {
    Tick::from_millis(seconds * 1000)
}

/// Everything that a reader gets from `position` on, and its position after that.
fn read_on(log: &EventLog, mut position: u64, most: usize) -> (Vec<u8>, Vec<u8>, u64) {
    let (mut chunks, mut plain) = (Vec::new(), Vec::new());
    loop {
        match log.read(position, most) {
            Reading::Run(run) => {
                let several = run.chunks().count() > 1;
                assert!(run.bytes().len() <= most || !several);
                chunks.extend_from_slice(run.bytes());
                run.payloads().for_each(|payload| plain.extend_from_slice(payload));
                assert!(log.has(position) && run.next() > position);
                position = run.next();
            }
            Reading::Nothing => {
                assert!(!log.has(position) && position == log.end());
                return (chunks, plain, position);
            }
            Reading::Lost => panic!("{position} is lost in {log:?}"),
        }
    }
}

/// Compares what is held, and what each reader gets, with the model.
fn compare(log: &EventLog, model: &Model, most: usize) {
    let positions = model.positions();
    assert_eq!((log.oldest(), log.end()), (positions[0], *positions.last().unwrap()));
    let (chunks, plain, _) = read_on(log, log.oldest(), most);
    assert!(chunks == model.held() && plain == model.plain(), "{log:?}");
    if let Some(before) = log.oldest().checked_sub(1) {
        assert!(matches!(log.read(before, most), Reading::Lost) && log.has(before));
    }
    let held = chunks.len();
    assert_eq!((log.bytes, log.events), (held, positions.len() - 1));
}

#[test]
fn what_is_held_is_what_the_limits_say() {
    for seed in 0..60 {
        let mut dice = Rng::with_seed(seed);
        let limits = limits(dice_size(&mut dice), dice.usize(1..60), dice.u64(..50));
        let longest = 1 << dice.u32(1..16);
        let (mut log, mut model) = (EventLog::new(limits), Model::new(limits));
        let mut now = 0;
        for step in 0..400 {
            now += dice.u64(..3) * dice.u64(..3);
            if dice.u8(..8) == 0 {
                log.expire(at(now));
                model.expire(at(now));
            } else {
                let event = vec![b'a' + dice.u8(..26); dice.usize(1..=longest)];
                log.append(&event, None, at(now));
                model.append(&event, at(now));
                let needed: usize = event.chunks(PAYLOAD_MAX).map(|p| framed(p.len())).sum();
                assert!(log.ring.len() <= limits.bytes.max(needed) + CHUNK_MAX, "{log:?}");
            }
            if dice.u8(..4) == 0 || step == 399 {
                compare(&log, &model, dice.usize(..20_000));
            }
        }
    }
}

/// Whenever the clone was made, and however far apart its batches are.
#[test]
fn a_clone_goes_on_like_its_log() {
    for seed in 0..60 {
        let mut dice = Rng::with_seed(seed);
        let limits = limits(dice_size(&mut dice), dice.usize(1..60), dice.u64(1..50));
        let longest = 1 << dice.u32(1..15);
        let mut log = EventLog::new(limits);
        if dice.bool() {
            log.keep_latest();
        }
        let (mut copy, mut now) = (log.clone(), 0);
        let most = if dice.bool() { 1 } else { 4 };
        for step in 0..300 {
            now += dice.u64(..3);
            if dice.u8(..20) == 0 {
                copy = log.clone();
            }
            log.begin_portion();
            let before = log.end();
            for _ in 0..dice.u8(..=most) {
                let event = vec![b'a' + dice.u8(..26); dice.usize(1..=longest)];
                let (id, name) = ([dice.u8(..9)], [dice.u8(..5)]);
                let name = dice.bool().then_some(&name[..]);
                log.append_block(&event, dice.bool().then_some(&id[..]), name, at(now));
            }
            let batch = log.events_since(before).unwrap();
            copy.begin_portion();
            copy.take(&batch, at(now));
            assert_eq!((copy.end(), copy.has_ids()), (log.end(), log.has_ids()), "{step}");
            let from = log.oldest().max(copy.oldest());
            assert!(read_on(&copy, from, 999) == read_on(&log, from, 999), "{step}");
            (0..9).for_each(|id| {
                let [here, there] = [&log, &copy].map(|log| log.find(&[id]));
                let is_held = |at: &u64| *at > from;
                assert_eq!(here.filter(is_held), there.filter(is_held), "{step}");
            });
            let latest = |log: &EventLog| {
                let (mut all, mut position) = (Vec::new(), 0);
                let mut is_between = true;
                while let Reading::Run(run) = log.read_latest(position, is_between) {
                    all.extend_from_slice(run.bytes());
                    (position, is_between) = (run.next(), run.ends_between_events());
                }
                all
            };
            // Which of several names is dropped first depends on what is appended together.
            if most == 1 {
                assert!(latest(&log) == latest(&copy), "{step}");
            }
        }
        assert!(log.oldest() == 0 || log.events_since(log.oldest() - 1).is_none());
    }
}

#[test]
fn a_reader_who_stops_anywhere_goes_on_there() {
    let mut log = EventLog::new(limits(1000, 100, 9));
    for event in ["data: a\n\n", "data: b\n\n", "data: c\n\n"] {
        log.append(event.as_bytes(), None, at(0));
    }
    let Reading::Run(run) = log.read(1, 20) else { panic!("there is more") };
    assert_eq!(run.bytes(), b"9\r\ndata: b\n\n\r\n");
    assert_eq!((run.events(), run.next(), run.ends_between_events()), (1, 2, true));
    let Reading::Run(run) = log.read(1, 28) else { panic!("there is more") };
    assert_eq!(run.bytes(), b"9\r\ndata: b\n\n\r\n9\r\ndata: c\n\n\r\n");
    assert_eq!(run.payloads().collect::<Vec<_>>(), [b"data: b\n\n", b"data: c\n\n"]);
    assert_eq!((run.events(), run.next()), (2, 3));
    assert!(matches!(log.read(3, 28), Reading::Nothing));
    let Reading::Run(run) = log.read(0, 50) else { panic!("there is more") };
    for (written, framed, want) in
        [(0, true, 1), (14, true, 1), (15, true, 2), (42, true, 3), (9, false, 1), (10, false, 2)]
    {
        let (front, len) = run.front(written, framed);
        let each = if framed { 14 } else { 9 };
        assert_eq!((front.next(), len), (want as u64, each * want));
        assert_eq!((front.events(), front.bytes()), (want as u64, &run.bytes()[..14 * want]));
    }
}

#[test]
fn what_comes_together_is_held_together() {
    let mut log = EventLog::new(limits(30, 2, 9));
    log.append(b"data: a\n\n", None, at(0));
    log.begin_portion();
    let event = |n: u64| format!("data: {n}\n\n");
    (0..100).for_each(|n| log.append(event(n).as_bytes(), None, at(0)));
    assert_eq!((log.oldest(), log.end()), (1, 101), "earlier events are dropped");
    let (_, plain, _) = read_on(&log, 1, 20);
    assert_eq!(plain, (0..100).flat_map(|n| event(n).into_bytes()).collect::<Vec<_>>());
    log.begin_portion();
    log.append(b"data: b\n\n", None, at(0));
    assert_eq!((log.oldest(), log.end(), log.ring.len()), (100, 102, 30 + CHUNK_MAX));
    log.begin_portion();
    log.append(b"data: c\n\n", None, at(20));
    assert_eq!((log.oldest(), log.end()), (102, 103), "also if they are too old");
}

#[test]
fn a_long_event_is_several_chunks_and_ends_with_the_last() {
    let mut log = EventLog::new(limits(100, 100, 9));
    log.append(b"data: a\n\n", None, at(0));
    let event = vec![b'x'; PAYLOAD_MAX + 1];
    log.append(&event, None, at(0));
    assert_eq!((log.oldest(), log.end()), (1, 3), "only it is held, although it is too long");
    let Reading::Run(run) = log.read(1, 0) else { panic!("there is more") };
    assert_eq!((run.bytes().len(), run.events()), (CHUNK_MAX, 0));
    let Reading::Run(both) = log.read(1, 20_000) else { panic!("there is more") };
    assert_eq!(both.front(1, true).1, CHUNK_MAX + 6, "an event is not cut");
    assert!(!run.ends_between_events());
    let Reading::Run(run) = log.read(2, 0) else { panic!("there is more") };
    assert_eq!((run.bytes(), run.events()), (&b"1\r\nx\r\n"[..], 1));
    assert!(run.ends_between_events());
    log.append(b"data: b\n\n", None, at(0));
    assert_eq!((log.oldest(), log.end()), (3, 4), "all of its chunks are dropped together");
    assert_eq!(log.ring.len(), 100 + CHUNK_MAX, "and its memory is released");
}

#[test]
fn who_comes_back_goes_on_behind_the_last_event_with_its_id() {
    let mut log = EventLog::new(limits(1000, 5, 9));
    log.begin_behind(b"0");
    assert_eq!((log.find(b"0"), log.find(b"1")), (Some(0), None));
    for id in ["1", "2", "", "2", "3"] {
        let id = Some(id.as_bytes()).filter(|id| *id != b"3");
        log.append(b"data\n\n", id, at(0));
    }
    let found = ["0", "1", "2", "", "3"].map(|id| log.find(id.as_bytes()));
    assert_eq!(found, [Some(0), Some(1), Some(4), None, None]);
    assert_eq!((log.events_from(1), log.events_from(5)), (4, 0));
    log.append(&[b'x'; 9000], Some(b"long"), at(0));
    let found = ["0", "1", "2", "long"].map(|id| log.find(id.as_bytes()));
    assert_eq!(found, [None, None, None, Some(log.end())], "only what is held");
}

/// It has missed nothing, although the log no longer holds that event.
#[test]
fn who_has_seen_the_last_dropped_event_goes_on_with_what_is_held() {
    let mut log = EventLog::new(limits(1000, 2, 9));
    let find = |log: &EventLog| ["1", "2", "3"].map(|id| log.find(id.as_bytes()));
    for id in ["1", "2", "3"] {
        log.append(b"data\n\n", Some(id.as_bytes()), at(0));
    }
    assert_eq!(find(&log), [Some(1), Some(2), Some(3)]);
    log.append(&[b'x'; 9000], Some(b"2"), at(0));
    assert_eq!(find(&log), [None, Some(5), Some(3)], "a later event with the same id counts");
    log.expire(at(20));
    assert_eq!((log.len(), log.oldest()), (0, log.end()));
    assert_eq!(find(&log), [None, Some(5), None], "also if none is held");
    let copy = log.clone();
    // An event without an id, such as one about a gap.
    log.append(b"data\n\n", None, at(20));
    assert_eq!(find(&log), [None, Some(5), None]);
    log.expire(at(40));
    assert_eq!(find(&log), [None; 3], "its clients may or may not have seen it");
    assert_eq!(find(&copy), [None, Some(5), None]);
}

/// Everything from `position` on that a reader of the last event of each name gets.
fn read_latest_on(log: &EventLog, mut position: u64) -> (Vec<u8>, Vec<u8>) {
    let (mut chunks, mut plain, mut between) = (Vec::new(), Vec::new(), true);
    loop {
        match log.read_latest(position, between) {
            Reading::Run(run) => {
                chunks.extend_from_slice(run.bytes());
                run.payloads().for_each(|payload| plain.extend_from_slice(payload));
                assert!(run.next() > position && run.is_at_end() == (run.next() == log.end()));
                (position, between) = (run.next(), run.ends_between_events());
            }
            Reading::Nothing => return (chunks, plain),
            Reading::Lost => panic!("{position} is lost in {log:?}"),
        }
    }
}

#[test]
fn who_has_fallen_behind_gets_the_last_event_of_each_name() {
    for seed in 0..60 {
        let mut dice = Rng::with_seed(seed);
        let limits = limits(dice_size(&mut dice), dice.usize(1..30), dice.u64(..50));
        let longest = 1 << dice.u32(1..15);
        let mut log = EventLog::new(limits);
        log.keep_latest();
        // All events with their positions, names and times.
        let (mut all, mut now) = (Vec::<(u64, u8, u64, Vec<u8>)>::new(), 0);
        let mut lost = Vec::new();
        for _ in 0..200 {
            now += dice.u64(..3) * dice.u64(..2);
            let name = dice.u8(..9);
            let event = vec![b'a' + dice.u8(..26); dice.usize(1..=longest)];
            all.push((log.end(), name, now, event.clone()));
            let known = [name];
            let known = Some(&known[..]).filter(|_| name > 0);
            log.append_block(&event, None, known, at(now));
            let from = all[dice.usize(..all.len())].0;
            let is_last =
                |index: usize| all[index + 1..].iter().all(|(_, n, ..)| *n != all[index].1);
            let lasts = (0..all.len()).filter(|index| is_last(*index)).map(|index| &all[index]);
            let age = limits.age.as_secs();
            let lasts = lasts.filter(|(_, name, came, _)| *name > 0 && now - came <= age);
            // Of those that are not in the ring, only the last ones within the limits are kept.
            let mut lasts: Vec<_> = lasts.filter(|(at, ..)| !lost.contains(at)).collect();
            loop {
                let out = lasts.iter().take_while(|(position, ..)| *position < log.oldest());
                let out: Vec<usize> = out.map(|(.., event)| model::chunked(event).len()).collect();
                if out.len() <= limits.events && out.iter().sum::<usize>() <= limits.bytes {
                    break;
                }
                lost.push(lasts.remove(0).0);
            }
            lasts.retain(|(position, ..)| *position >= from);
            let plain: Vec<u8> = lasts.iter().flat_map(|(.., event)| event.clone()).collect();
            let chunks: Vec<u8> = lasts.iter().flat_map(|(.., e)| model::chunked(e)).collect();
            assert!(read_latest_on(&log, from) == (chunks, plain), "seed {seed}: {log:?}");
        }
    }
}

/// Also in a clone, which continues with later batches.
#[test]
fn what_no_client_dispatches_is_no_event() {
    let mut log = EventLog::new(limits(1000, 100, 9));
    let mut clone = log.clone();
    log.append_block(b"id: 1\n\n", Some(b"1"), None, at(0));
    log.append_block(b"data: a\n\n", None, Some(b"message"), at(0));
    log.append_block(b"retry: 5\n\n", None, None, at(0));
    log.note_retry(5);
    clone.take(&log.events_since(0).unwrap(), at(0));
    for log in [&log, &clone] {
        assert_eq!((log.events_from(0), log.events_from(2)), (1, 0));
        let Reading::Run(run) = log.read(0, 1000) else { panic!("there is more") };
        assert_eq!((run.events(), run.next()), (1, 3));
        // A reader that reads the block needs no earlier value.
        assert_eq!([0, 2, 3].map(|at| log.retry_before(at)), [None, None, Some(5)]);
    }
}

#[test]
fn in_the_long_run_nothing_is_allocated() {
    let mut log = EventLog::new(limits(3000, 50, 9));
    let mut dice = Rng::with_seed(7);
    let mut event = vec![b'x'; 300];
    let mut places = Vec::new();
    for step in 0..10_000 {
        event.resize(dice.usize(1..300), b'x');
        log.append(&event, None, at(0));
        if step >= 1000 {
            places.push((log.ring.as_ptr(), log.ring.len(), log.chunks.capacity()));
        }
    }
    places.dedup();
    assert_eq!(places.len(), 1);
}

#[test]
#[should_panic = "a position in front of what was written"]
fn nobody_is_ahead_of_a_log() {
    let log = EventLog::new(limits(10, 10, 10));
    log.read(1, 10);
}
