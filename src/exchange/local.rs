//! Responses that this process writes itself.

use crate::demo;
use crate::time::{Now, Tick};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::rc::Rc;

/// The source of a response that this process writes.
#[derive(Debug)]
pub enum Local {
    /// The built-in event source.
    Demo(demo::Events),
    /// A body that is known in full, from this offset on.
    Bytes(Rc<[u8]>, usize),
    /// The live page's events.
    Live(Live),
    /// Nothing yet: the shell's answer is awaited.
    Shell,
}

/// The queue of live events of one watcher.
#[derive(Debug, Default)]
pub struct Live {
    /// The unsent events. The first may be sent in part.
    events: VecDeque<Rc<[u8]>>,
    sent: usize,
}

/// The most events that a watcher may fall behind. Beyond that it misses some.
pub(super) const BACKLOG_MAX: usize = 128;

impl Live {
    /// Adds an event.
    pub fn push(&mut self, event: Rc<[u8]>) {
        if self.events.len() >= BACKLOG_MAX {
            // The first may be sent in part.
            self.events.remove(1);
        }
        self.events.push_back(event);
    }
}

impl Local {
    /// When it has something to write by itself.
    pub const fn next(&self) -> Tick {
        match self {
            Local::Demo(events) => events.next(),
            Local::Bytes(..) | Local::Live(_) | Local::Shell => Tick::NEVER,
        }
    }

    /// True when it has something to write now.
    pub fn has_more(&self) -> bool {
        match self {
            Local::Demo(_) | Local::Shell => false,
            Local::Bytes(bytes, from) => *from < bytes.len(),
            Local::Live(live) => !live.events.is_empty(),
        }
    }

    /// True when another part of this process provides what it writes.
    pub const fn is_fed(&self) -> bool {
        matches!(self, Local::Live(_) | Local::Shell)
    }

    /// True when it lasts exactly as long as its client stays.
    pub const fn ends_with_client(&self) -> bool {
        matches!(self, Local::Demo(_) | Local::Live(_))
    }

    /// Takes the next piece to write, of at most `most` bytes, and whether it is the last. None if
    /// nothing is due.
    pub fn take(&mut self, most: usize, now: Now) -> Option<(Cow<'_, [u8]>, bool)> {
        match self {
            Local::Demo(events) => {
                events.take(now).map(|event| (Cow::Owned(event.into_bytes()), false))
            }
            Local::Bytes(bytes, from) => {
                let start = *from;
                *from = bytes.len().min(start + most);
                let piece = bytes.get(start..*from).filter(|piece| !piece.is_empty())?;
                Some((Cow::Borrowed(piece), *from == bytes.len()))
            }
            Local::Live(live) => {
                let event = Rc::clone(live.events.front()?);
                let start = live.sent;
                let end = event.len().min(start + most);
                live.sent = end;
                if end == event.len() {
                    live.events.pop_front();
                    live.sent = 0;
                }
                Some((Cow::Owned(event[start..end].to_vec()), false))
            }
            Local::Shell => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { tick: Tick::ZERO, unix_ms: 0 };

    fn all(local: &mut Local, most: usize) -> (String, bool) {
        let (mut text, mut ended) = (Vec::new(), false);
        while local.has_more() {
            let (piece, end) = local.take(most, NOW).unwrap();
            assert!(!piece.is_empty() && piece.len() <= most && !ended);
            text.extend_from_slice(&piece);
            ended = end;
        }
        assert!(local.take(most, NOW).is_none());
        (String::from_utf8(text).unwrap(), ended)
    }

    #[test]
    fn pieces_are_the_whole() {
        for most in 1..12 {
            let mut bytes = Local::Bytes(b"0123456789".as_slice().into(), 0);
            assert_eq!(all(&mut bytes, most), ("0123456789".to_owned(), true));
            let mut live = Live::default();
            for event in ["abc", "defghi", "j"] {
                live.push(event.as_bytes().into());
            }
            assert_eq!(all(&mut Local::Live(live), most), ("abcdefghij".to_owned(), false));
        }
    }

    #[test]
    fn who_falls_behind_misses_events_and_sees_none_in_part() {
        let mut live = Local::Live(Live::default());
        let push = |live: &mut Local, n: usize| {
            let Local::Live(live) = live else { unreachable!() };
            live.push(format!("<{n:03}>").into_bytes().into());
        };
        push(&mut live, 0);
        assert_eq!(live.take(2, NOW).unwrap().0.as_ref(), b"<0");
        for n in 1..300 {
            push(&mut live, n);
        }
        let (text, _) = all(&mut live, 1000);
        let kept: String = (300 - BACKLOG_MAX + 1..300).map(|n| format!("<{n:03}>")).collect();
        assert_eq!(text, format!("00>{kept}"));
    }
}
