//! An event log against a list of all events ever appended.

use crate::event_log::model::Model;
use crate::event_log::{EventLog, Limits, Reading};
use crate::time::Tick;
use std::time::Duration;

/// The first three bytes are the limits, and each two bytes after them are a step: an event of some
/// length, or time that passes. The log holds the same events as the list, both for a reader that
/// begins with the oldest and for one that continues where it was.
pub fn event_log(bytes: &[u8]) {
    let [size, events, age, steps @ ..] = bytes else { return };
    let limits = Limits {
        bytes: usize::from(*size) << (size & 7),
        events: 1 + usize::from(*events),
        age: Duration::from_secs(u64::from(*age)),
    };
    let (mut log, mut model) = (EventLog::new(limits), Model::new(limits));
    let (mut seconds, mut reader) = (0, 0);
    for (number, step) in steps.chunks_exact(2).take(100).enumerate() {
        seconds += u64::from(step[0] >> 6);
        let now = Tick::from_millis(seconds * 1000);
        if step[0] % 8 == 0 {
            log.expire(now);
            model.expire(now);
        } else {
            let len = 1 + (usize::from(step[1]) << (step[0] % 8));
            let event = vec![b'a' + u8::try_from(number % 26).unwrap_or(0); len];
            log.append(&event, Some(&event[..1]), now);
            model.append(&event, now);
            assert_eq!(log.find(&event[..1]), Some(log.end()));
        }
        if number % 8 < 7 {
            continue;
        }
        let positions = model.positions();
        assert_eq!(Some(&log.end()), positions.last());
        assert_eq!(log.oldest(), positions[0]);
        let most = usize::from(step[1]);
        let all = (model.held(), model.plain(), log.end());
        assert_eq!(rest(&log, log.oldest(), most), Some(all));
        match rest(&log, reader, most) {
            Some((chunks, plain, end)) => {
                assert!(model.held().ends_with(&chunks) && model.plain().ends_with(&plain));
                reader = end;
            }
            None => {
                assert!(reader < log.oldest());
                reader = log.oldest();
            }
        }
    }
}

/// What is read from a position on, with and without framing, and the position after it. None if
/// the position is lost.
fn rest(log: &EventLog, mut position: u64, most: usize) -> Option<(Vec<u8>, Vec<u8>, u64)> {
    let (mut chunks, mut plain) = (Vec::new(), Vec::new());
    loop {
        match log.read(position, most) {
            Reading::Run(run) => {
                chunks.extend_from_slice(run.bytes());
                run.payloads().for_each(|payload| plain.extend_from_slice(payload));
                position = run.next();
            }
            Reading::Nothing => return Some((chunks, plain, position)),
            Reading::Lost => return None,
        }
    }
}
