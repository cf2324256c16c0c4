//! Checks that each event of a stream is the expected one, complete and unchanged.

use super::tally::Tally;
use crate::event;
use crate::origin::SHORT_BODY;
use crate::sys::Outcome;

/// What is known about the events of a stream.
pub struct Check {
    /// The stream's number, which each event must have.
    pub stream: u32,
    /// The sequence number of the next event, which is the number of events so far.
    pub next: u32,
    /// The beginning of an event, or of a short body, that is incomplete.
    partial: Vec<u8>,
    /// The delay of the previous event.
    last_delay: Option<u64>,
    /// The size of the first event, which all must have.
    size: Option<usize>,
    /// The first event may have any number.
    joins: bool,
}

impl Check {
    /// A stream before its first byte.
    pub fn new(stream: u32) -> Self {
        Self {
            stream,
            next: 0,
            partial: Vec::new(),
            last_delay: None,
            size: None,
            joins: false,
        }
    }

    /// The stream that all clients share, which has begun already.
    pub fn of_shared() -> Self {
        Self {
            joins: true,
            ..Self::new(0)
        }
    }

    /// The same stream before its first byte.
    pub fn anew(&self) -> Self {
        Self {
            joins: self.joins,
            ..Self::new(self.stream)
        }
    }

    /// True within an event.
    pub fn inside_event(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Checks and counts the events that end in these bytes, which were read at `now`.
    pub fn read(&mut self, mut bytes: &[u8], now: u64, tally: &mut Tally) -> Outcome<()> {
        if self.inside_event() {
            let Some(end) = end_of_event(&self.partial, bytes) else {
                self.partial.extend_from_slice(bytes);
                return Ok(());
            };
            let mut event = std::mem::take(&mut self.partial);
            event.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end..];
            self.event(&event, now, tally)?;
            event.clear();
            self.partial = event;
        }
        while let Some(end) = end_of_event(&[], bytes) {
            self.event(&bytes[..end], now, tally)?;
            bytes = &bytes[end..];
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Checks bytes of the origin's short body.
    pub fn read_short(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.partial.extend_from_slice(bytes);
        match SHORT_BODY.as_bytes().starts_with(&self.partial) {
            true => Ok(()),
            false => Err("a body that the origin did not send".into()),
        }
    }

    /// Checks the end of the origin's short body.
    pub fn end_short(&mut self) -> Outcome<()> {
        let body = std::mem::take(&mut self.partial);
        match body.len() == SHORT_BODY.len() {
            true => Ok(()),
            false => Err(format!("a body of {} bytes", body.len())),
        }
    }

    /// Checks the end of a response. `events` is the number of events that it must have had.
    pub fn end(&self, events: Option<u32>) -> Outcome<()> {
        if self.inside_event() {
            return Err("a response that ends inside an event".into());
        }
        match events {
            Some(events) if events != self.next => {
                Err(format!("a response of {} events, not {events}", self.next))
            }
            _ => Ok(()),
        }
    }

    /// Checks an event. What a proxy inserts (heartbeats, and `retry:` when it drains) is only
    /// counted.
    fn event(&mut self, event: &[u8], now: u64, tally: &mut Tally) -> Outcome<()> {
        if event.starts_with(b":") || event.starts_with(b"retry:") {
            tally.comments += 1;
            return Ok(());
        }
        let event = event.strip_suffix(b"\n").unwrap_or(event);
        let stamp = event::read(event).map_err(|mangled| mangled.to_string())?;
        if self.joins && self.size.is_none() {
            self.next = stamp.sequence;
        }
        if (stamp.stream, stamp.sequence) != (self.stream, self.next) {
            let (stream, sequence) = (stamp.stream, stamp.sequence);
            return Err(format!(
                "event {sequence} of stream {stream} in place of {}",
                self.next
            ));
        }
        let size = *self.size.get_or_insert(event.len());
        if event.len() != size {
            let (is, was) = (event.len(), size);
            return Err(format!("an event of {is} bytes behind one of {was}"));
        }
        self.next = self.next.wrapping_add(1);
        tally.events += 1;
        let delay = now.saturating_sub(stamp.sent);
        tally.delays.add(delay);
        if let Some(last) = self.last_delay.replace(delay) {
            tally.jitters.add(delay.abs_diff(last));
        }
        Ok(())
    }
}

/// The end of the event that begins with `partial` and continues in `bytes`, after its empty line.
/// The partial bytes are not searched again, because a long event arrives in many reads.
fn end_of_event(partial: &[u8], bytes: &[u8]) -> Option<usize> {
    if partial.ends_with(b"\n") && bytes.starts_with(b"\n") {
        return Some(1);
    }
    let mut from = 0;
    loop {
        let line_end = from + memchr::memchr(b'\n', &bytes[from..])?;
        if bytes.get(line_end + 1) == Some(&b'\n') {
            return Some(line_end + 2);
        }
        from = line_end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamp;

    fn event(stream: u32, sequence: u32) -> String {
        let mut chunk = Vec::new();
        event::write_chunk(
            &mut chunk,
            Stamp {
                stream,
                sequence,
                sent: 1,
            },
            50,
        );
        let chunk = String::from_utf8(chunk).unwrap();
        chunk
            .trim_start_matches("32\r\n")
            .trim_end_matches("\r\n")
            .to_owned()
    }

    /// Reads a body of stream 7, which must have two events, split at every position.
    fn check(body: &str, want: Result<u64, &str>) {
        for cut in 0..=body.len() {
            let (mut check, mut tally) = (Check::new(7), Tally::new());
            let (front, back) = body.as_bytes().split_at(cut);
            let outcome = check
                .read(front, 2, &mut tally)
                .and_then(|()| check.read(back, 2, &mut tally))
                .and_then(|()| check.end(Some(2)));
            match want {
                Ok(comments) => {
                    assert_eq!(outcome, Ok(()), "{body:?} cut at {cut}");
                    assert_eq!((tally.events, tally.comments), (2, comments));
                }
                Err(words) => {
                    let error = outcome.unwrap_err();
                    assert!(error.contains(words), "{body:?} cut at {cut}: {error}");
                }
            }
        }
    }

    #[test]
    fn only_the_whole_short_body_passes() {
        let short = |parts: &[&str]| {
            let mut check = Check::new(0);
            for part in parts {
                check.read_short(part.as_bytes())?;
            }
            check.end_short()
        };
        assert_eq!(short(&["a short", " body\n"]), Ok(()));
        for wrong in ["", "a short body", "a short body\n\n", "another body\n"] {
            assert!(short(&[wrong]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_shared_stream_begins_anywhere_and_goes_on_from_there() {
        let read = |check: &mut Check, events: &[u32]| {
            let text: String = events.iter().map(|number| event(0, *number)).collect();
            check.read(text.as_bytes(), 2, &mut Tally::new())
        };
        let mut check = Check::of_shared();
        assert_eq!(read(&mut check, &[7, 8]), Ok(()));
        assert!(read(&mut check, &[10]).is_err());
        assert_eq!(read(&mut check.anew(), &[3]), Ok(()));
    }

    #[test]
    fn only_the_right_events_in_the_right_order_pass() {
        let (first, second) = (&event(7, 0), &event(7, 1));
        check(&format!("{first}{second}"), Ok(0));
        check(&format!(":\n\n{first}: heartbeat\n\n{second}"), Ok(2));
        check(second, Err("event 1 of stream 7 in place of 0"));
        check(
            &format!("{first}{first}"),
            Err("event 0 of stream 7 in place of 1"),
        );
        check(&format!("{first}{}", event(8, 1)), Err("of stream 8"));
        check(first, Err("a response of 1 events"));
        check(&format!("{first}{}", &second[..49]), Err("inside an event"));
        check(&format!("{first}{second}data: "), Err("inside an event"));
        let shorter = format!("{}\n\n", &second[..47]);
        check(
            &format!("{first}{shorter}"),
            Err("an event of 48 bytes behind one of 49"),
        );
        check(
            &format!("{}{second}", first.replace("\n\n", "\n")),
            Err("not its own"),
        );
        check(
            &format!("{first}{}", second.replace("0001 ", "0001x")),
            Err("stamp"),
        );
    }
}
