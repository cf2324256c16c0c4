//! A naive reader of event streams, which sees all of a body and does what WHATWG HTML section
//! 9.2.6 says, in its order and words. Tests and the fuzzer compare the scanner with it.

/// An event as an `EventSource` dispatches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its `lastEventId`.
    pub id: Vec<u8>,
    /// Its `type`: `message` if the stream names none.
    pub kind: Vec<u8>,
    /// Its `data`: the values of the data fields, a LF between two.
    pub data: Vec<u8>,
}

/// Reads the events of a body, which may begin with a byte order mark. An incomplete event at the
/// end is discarded.
pub fn events(bytes: &[u8]) -> Vec<Event> {
    read(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).events
}

/// The result of reading a body.
#[derive(Debug, Default)]
pub struct Reading {
    /// The events dispatched.
    pub events: Vec<Event>,
    /// The offsets after complete lines at which no field line is pending, in order.
    pub boundaries: Vec<usize>,
    /// The last event ID string.
    pub last_id: Vec<u8>,
    /// The reconnection time in milliseconds, if the body sets it.
    pub retry: Option<u64>,
    // The buffers of "interpreting an event stream".
    data: Vec<u8>,
    kind: Vec<u8>,
    id: Vec<u8>,
}

/// Reads a body without byte order mark.
pub fn read(body: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let (mut rest, mut pending) = (body, false);
    while let Some(len) = rest.iter().position(|&byte| byte == b'\r' || byte == b'\n') {
        let (line, behind) = rest.split_at(len);
        pending = !line.is_empty() && (pending || line[0] != b':');
        reading.process(line);
        // A CR ends its line at once, and an LF after it belongs to it.
        let ends: &[usize] = if behind.starts_with(b"\r\n") { &[1, 2] } else { &[1] };
        for end in ends {
            rest = &behind[*end..];
            if !pending {
                reading.boundaries.push(body.len() - rest.len());
            }
        }
    }
    reading
}

/// A last event ID string, unless it is empty or cannot be sent in a header field.
pub fn sendable(id: &[u8]) -> Option<&[u8]> {
    let trimmed = id.trim_ascii();
    let controls = id.iter().any(|&byte| byte == 127 || byte < 32 && byte != 9);
    (trimmed == id && !id.is_empty() && id.len() <= super::ID_MAX && !controls).then_some(id)
}

impl Reading {
    fn process(&mut self, line: &[u8]) {
        if line.is_empty() {
            self.dispatch();
        } else if let Some(colon) = line.iter().position(|&byte| byte == b':') {
            if colon > 0 {
                let value = &line[colon + 1..];
                self.field(&line[..colon], value.strip_prefix(b" ").unwrap_or(value));
            }
        } else {
            self.field(line, b"");
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"event" => self.kind = value.to_vec(),
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"id" if !value.contains(&0) => self.id = value.to_vec(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).unwrap_or_default();
                self.retry = Some(digits.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.last_id.clone_from(&self.id);
        let (mut data, kind) = (std::mem::take(&mut self.data), std::mem::take(&mut self.kind));
        if data.pop().is_some() {
            let kind = if kind.is_empty() { b"message".to_vec() } else { kind };
            self.events.push(Event { id: self.last_id.clone(), kind, data });
        }
    }
}
