//! The timer wheel against an ordered map.

use crate::time::Tick;
use crate::wheel::Wheel;
use crate::wheel::model::Model;

/// Three bytes are a step: what is done, for which owner, and how far ahead. The wheel behaves like
/// an ordered map of rounded moments, and is never early.
pub fn wheel(bytes: &[u8]) {
    let start = bytes.first().map_or(0, |&byte| distance(byte).min(FAR));
    let mut now = start;
    let (mut wheel, mut model) = (Wheel::new(Tick::from_millis(start)), Model::new(start));
    for step in bytes.chunks_exact(3) {
        let (index, away) = (u32::from(step[1] % 40), distance(step[2]));
        match step[0] % 8 {
            0..4 => {
                let at = Tick::from_millis(
                    now.saturating_add(away).saturating_sub(u64::from(step[1] / 40)),
                );
                wheel.at_most(index, at);
                model.at_most(index, at);
                assert!(wheel.armed(index) <= at);
            }
            4 => {
                wheel.disarm(index);
                model.disarm(index);
            }
            5 => {
                let next = wheel.next();
                if next != Tick::NEVER {
                    now = now.max(next.as_millis());
                    assert!(expire(&mut wheel, &mut model, now, 1 + usize::from(step[1])) > 0);
                }
            }
            6 => {
                now += away.min(FAR);
                expire(&mut wheel, &mut model, now, usize::from(step[1]));
            }
            _ => {
                now += u64::from(step[2]);
                expire(&mut wheel, &mut model, now, usize::MAX);
            }
        }
        assert_eq!(wheel.armed(index), model.armed(index));
        assert_eq!(wheel.next(), model.next());
    }
}

/// Beyond the wheel's reach. The clock never jumps farther.
const FAR: u64 = 1 << 30;

/// A distance of any order of magnitude, up to half of `u64::MAX`.
fn distance(byte: u8) -> u64 {
    let (exponent, mantissa) = (byte >> 3, u64::from(byte & 7));
    if exponent == 31 { u64::MAX / 2 } else { ((8 + mantissa) << exponent.min(24)) / 8 - 1 }
}

fn expire(wheel: &mut Wheel, model: &mut Model, now: u64, max: usize) -> usize {
    let (now, promises) = (Tick::from_millis(now), model.promises.clone());
    let mut due = Vec::new();
    let reported = wheel.expire(now, max, |index| due.push(index));
    assert_eq!(due, model.expire(now, max));
    assert_eq!(reported, due.len());
    for index in due {
        assert!(Tick::from_millis(promises[&index].0) <= now, "never early");
    }
    reported
}
