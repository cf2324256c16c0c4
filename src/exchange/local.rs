//! Responses that this process writes itself.

use super::Log;
use crate::demo;
use crate::time::{Now, Tick};
use std::borrow::Cow;
use std::rc::Rc;

/// The source of a response that this process writes.
#[derive(Debug)]
pub enum Local {
    /// The built-in event source.
    Demo(demo::Events),
    /// A body that is known in full, from this offset on.
    Bytes(Rc<[u8]>, usize),
    /// What goes before the events of a log, from this offset on.
    Preface(Box<[u8]>, usize, Rc<Log>),
    /// Nothing yet: the shell's answer is awaited.
    Shell,
}

/// What is behind a piece of a response.
#[derive(Clone, Debug)]
pub enum Behind {
    /// There may be more.
    More,
    /// Nothing: it is the last.
    End,
    /// The events of this log.
    Log(Rc<Log>),
}

impl Local {
    /// When it has something to write by itself.
    pub const fn next(&self) -> Tick {
        match self {
            Local::Demo(events) => events.next(),
            Local::Bytes(..) | Local::Preface(..) | Local::Shell => Tick::NEVER,
        }
    }

    /// True when it has something to write now.
    pub fn has_more(&self) -> bool {
        match self {
            Local::Demo(_) | Local::Shell => false,
            Local::Bytes(bytes, from) => *from < bytes.len(),
            Local::Preface(bytes, from, _) => *from < bytes.len(),
        }
    }

    /// True when another part of this process provides what it writes.
    pub const fn is_fed(&self) -> bool {
        matches!(self, Local::Shell)
    }

    /// True when it lasts exactly as long as its client stays.
    pub const fn ends_with_client(&self) -> bool {
        matches!(self, Local::Demo(_) | Local::Preface(..))
    }

    /// The log whose events are behind what it writes, if there is one.
    pub const fn log_behind(&self) -> Option<&Rc<Log>> {
        if let Local::Preface(.., log) = self { Some(log) } else { None }
    }

    /// Takes the next piece to write, of at most `most` bytes, and what is behind it. None if
    /// nothing is due.
    pub fn take(&mut self, most: usize, now: Now) -> Option<(Cow<'_, [u8]>, Behind)> {
        match self {
            Local::Demo(events) => {
                events.take(now).map(|event| (Cow::Owned(event.into_bytes()), Behind::More))
            }
            Local::Bytes(bytes, from) => take_piece(bytes, from, most, || Behind::End),
            Local::Preface(bytes, from, log) => {
                take_piece(bytes, from, most, || Behind::Log(Rc::clone(log)))
            }
            Local::Shell => None,
        }
    }
}

/// Takes the next piece of some bytes. `last` says what is behind the last.
fn take_piece<'a>(
    bytes: &'a [u8],
    from: &mut usize,
    most: usize,
    last: impl FnOnce() -> Behind,
) -> Option<(Cow<'a, [u8]>, Behind)> {
    let start = *from;
    *from = bytes.len().min(start + most);
    let piece = bytes.get(start..*from).filter(|piece| !piece.is_empty())?;
    let behind = if *from == bytes.len() { last() } else { Behind::More };
    Some((Cow::Borrowed(piece), behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::Limits;
    use crate::exchange::LogState;
    use std::time::Duration;

    const NOW: Now = Now { tick: Tick::ZERO, unix_ms: 0 };

    fn all(local: &mut Local, most: usize) -> (String, Behind) {
        let (mut text, mut last) = (Vec::new(), Behind::More);
        while local.has_more() {
            let (piece, behind) = local.take(most, NOW).unwrap();
            assert!(!piece.is_empty() && piece.len() <= most && matches!(last, Behind::More));
            text.extend_from_slice(&piece);
            last = behind;
        }
        assert!(local.take(most, NOW).is_none());
        (String::from_utf8(text).unwrap(), last)
    }

    #[test]
    fn pieces_are_the_whole() {
        let limits = Limits { bytes: 9, events: 9, age: Duration::ZERO };
        let log = Log::new(limits, LogState::Open, &Rc::default());
        for most in 1..12 {
            let (text, behind) = all(&mut Local::Bytes(b"0123456789".as_slice().into(), 0), most);
            assert!(text == "0123456789" && matches!(behind, Behind::End));
            let mut preface = Local::Preface((*b"abcdefghij").into(), 0, Rc::clone(&log));
            let (text, behind) = all(&mut preface, most);
            assert!(
                text == "abcdefghij"
                    && matches!(behind, Behind::Log(own) if Rc::ptr_eq(&own, &log))
            );
        }
    }
}
