//! The event `endpoint`, the first of a stream, with which servers of the Model Context Protocol
//! tell a client where to send its messages (transport HTTP+SSE, revision 2024-11-05). Its data is
//! a URL, and a query parameter of that URL is the session id.
//!
//! Nothing is held back for it: the beginning of the stream is copied as it passes, up to
//! [`BYTES_MAX`], until the first event is complete.
//!
//! Tested with every stream cut at every byte.

use super::{BYTE_ORDER_MARK, Scanner};
use crate::http::query;

/// How much of a stream is searched, in bytes.
const BYTES_MAX: usize = 4096;

/// The search for the event. See the module docs.
#[derive(Debug, Default)]
pub struct Endpoint {
    scanner: Scanner,
    beginning: Vec<u8>,
}

impl Endpoint {
    /// Takes the next bytes of the stream.
    pub fn scan(&mut self, bytes: &[u8]) {
        if !self.is_over() {
            let more = &bytes[..bytes.len().min(BYTES_MAX - self.beginning.len())];
            self.beginning.extend_from_slice(more);
            self.scanner.scan(more);
        }
    }

    /// True if the first event is complete or too long.
    pub fn is_over(&self) -> bool {
        self.scanner.events() > 0 || self.beginning.len() >= BYTES_MAX
    }

    /// The value of this parameter in the URL, if the first event is complete and has exactly one
    /// that is not empty.
    pub fn parameter(&self, name: &str) -> Option<Vec<u8>> {
        if self.scanner.events() == 0 {
            return None;
        }
        let url = data_of_endpoint(&self.beginning)?;
        let (_, rest) = url.split_once('?')?;
        let query = rest.split_once('#').map_or(rest, |(query, _)| query);
        let mut values = query::values(query, name);
        let value = values.next().filter(|value| !value.is_empty())?;
        values.next().is_none().then(|| value.into_owned())
    }
}

/// The data of the first event, if it is named `endpoint`.
fn data_of_endpoint(stream: &[u8]) -> Option<String> {
    // What follows the event may end within a character.
    let stream = stream.strip_prefix(BYTE_ORDER_MARK).unwrap_or(stream);
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n");
    let (mut name, mut data) = (String::new(), None::<String>);
    for line in text.split(['\n', '\r']) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => match data {
                Some(data) => return Some(data).filter(|_| name == "endpoint"),
                None => name.clear(),
            },
            "event" => value.clone_into(&mut name),
            "data" => {
                let former = data.take().map_or_else(String::new, |data| data + "\n");
                data = Some(former + value);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_says_it() {
        let check = |stream: &str, want: Option<&str>| {
            for at in 0..=stream.len() {
                let mut endpoint = Endpoint::default();
                let (first, rest) = stream.as_bytes().split_at(at);
                endpoint.scan(first);
                let early = endpoint.parameter("s");
                endpoint.scan(rest);
                let got = endpoint.parameter("s");
                let got = got.as_deref().map(|value| str::from_utf8(value).unwrap());
                assert_eq!(got, want, "{stream:?} at {at}");
                assert!(early.is_none() || early.as_deref() == want.map(str::as_bytes));
            }
        };
        check("event: endpoint\ndata: /messages/?s=7f\n\n", Some("7f"));
        check("event:endpoint\r\ndata:http://a/b?x=1&s=%37f&y#s=2\r\n\r\n", Some("7f"));
        check("data: /?s=1\revent: endpoint\r\r", Some("1"));
        check("\u{feff}: ping\n\nid: 1\nevent: endpoint\ndata: ?s=1\n\ndata: \u{e9}", Some("1"));
        check("event: endpoint\n\ndata: ?s=1\n\n", None);
        check("event: other\ndata: ?s=1\n\nevent: endpoint\ndata: ?s=1\n\n", None);
        check("data: ?s=1\n\n", None);
        check("event: endpoint\ndata: ?s=1\n", None);
        check("event: endpoint\ndata: ?s=1&s=2\n\n", None);
        check("event: endpoint\ndata: ?s=\n\n", None);
        check("event: endpoint\ndata: /s=1\n\n", None);
        check("event: endpoint\ndata: ?t=1\n\n", None);
        check("event: endpoint\ndata: ?a=\ndata: &s=1\n\n", Some("1"));
    }

    #[test]
    fn a_stream_that_takes_too_long_is_left_alone() {
        let mut endpoint = Endpoint::default();
        let long = format!("event: endpoint\ndata: ?s=1&t={}\n\n", "x".repeat(BYTES_MAX));
        for byte in long.as_bytes() {
            endpoint.scan(&[*byte]);
        }
        assert!(endpoint.is_over() && endpoint.parameter("s").is_none());
        assert!(endpoint.beginning.capacity() <= 2 * BYTES_MAX);
    }
}
