//! The blocks of an event stream, one by one, without anything meant for only one client.
//!
//! An empty line ends a block: an event, or fields that only change the last event ID. For a log,
//! which many clients read, a block is rewritten: without comments, which keep a connection alive,
//! and with lines that end in LF.

use super::FieldKind;
use memchr::{memchr, memchr2};

/// A block, as it is written into a log.
#[derive(Debug)]
pub struct Block<'a> {
    /// Its lines, and the empty line. Empty if no lines are left.
    pub text: &'a mut Vec<u8>,
    /// The value of its last `id` that counts. None if it has none.
    pub id: Option<&'a [u8]>,
    /// The name of the event, `message` if it has no other. None if the block is not an event.
    pub name: Option<&'a [u8]>,
    /// The reconnection time in milliseconds, if the block sets it.
    pub retry: Option<u64>,
}

/// Calls `each` with the blocks of `bytes`, which begin between two events. An unfinished block at
/// the end is ignored. `id` lines are left out unless `keeps_ids` is set. `text` is a buffer.
pub fn each_block(
    bytes: &[u8],
    text: &mut Vec<u8>,
    keeps_ids: bool,
    mut each: impl FnMut(Block<'_>),
) {
    text.clear();
    let (mut rest, mut id) = (bytes, None);
    let (mut name_of_event, mut has_data, mut retry): (&[u8], _, _) = (b"", false, None);
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        let (line, behind) = rest.split_at(end);
        rest = behind.strip_prefix(b"\r\n").unwrap_or(&behind[1..]);
        if line.is_empty() {
            if !text.is_empty() || id.is_some() {
                if !text.is_empty() {
                    text.push(b'\n');
                }
                let name = if name_of_event.is_empty() { b"message" } else { name_of_event };
                each(Block { text, id, name: has_data.then_some(name), retry });
            }
            text.clear();
            (id, name_of_event, has_data, retry) = (None, b"", false, None);
            continue;
        }
        let (name, value) = field(line);
        if name.is_empty() && line[0] == b':' {
            continue;
        }
        if is(name, FieldKind::Retry) && value.iter().all(u8::is_ascii_digit) && value != b"" {
            let number = str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            retry = Some(number.unwrap_or(u64::MAX));
        }
        let is_id = is(name, FieldKind::Id);
        if is_id && memchr(0, value).is_none() {
            id = Some(value);
        } else if name == b"event" {
            name_of_event = value;
        }
        has_data |= is(name, FieldKind::Data);
        if keeps_ids || !is_id {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }
}

/// The name and the value of a field.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr(b':', line) else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

fn is(name: &[u8], kind: FieldKind) -> bool {
    kind.name().strip_suffix(b":") == Some(name)
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use fastrand::Rng;

    /// The blocks, as text, and their ids.
    fn blocks(bytes: &[u8]) -> Vec<(String, Option<String>)> {
        let mut found = Vec::new();
        let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        each_block(bytes, &mut Vec::new(), true, |block| {
            found.push((string(block.text), block.id.map(string)));
        });
        found
    }

    #[test]
    fn what_a_log_gets() {
        let check = |bytes: &str, want: &[(&str, Option<&str>)]| {
            let want: Vec<_> =
                want.iter().map(|(text, id)| ((*text).to_owned(), id.map(str::to_owned))).collect();
            assert_eq!(blocks(bytes.as_bytes()), want, "{bytes:?}");
        };
        check("", &[]);
        check("data: a\n\ndata: b\n", &[("data: a\n\n", None)]);
        check("data: a\n\ndata: b", &[("data: a\n\n", None)]);
        check("data: a\n\n", &[("data: a\n\n", None)]);
        check("data: a\n\ndata: b\n\n", &[("data: a\n\n", None), ("data: b\n\n", None)]);
        check(": hello\n\ndata: a\n: b\nid: 7\n\n", &[("data: a\nid: 7\n\n", Some("7"))]);
        check(
            "retry: 5\n\nretry: 5\ndata: a\n\n",
            &[("retry: 5\n\n", None), ("retry: 5\ndata: a\n\n", None)],
        );
        check("id: 1\n\n", &[("id: 1\n\n", Some("1"))]);
        check("id: 1\nid:  2 \ndata\n\n", &[("id: 1\nid:  2 \ndata\n\n", Some(" 2 "))]);
        check("id: 1\nid\ndata:\n\n", &[("id: 1\nid\ndata:\n\n", Some(""))]);
        check("id: 1\nid: a\0\ndata:\n\n", &[("id: 1\nid: a\0\ndata:\n\n", Some("1"))]);
        check(
            "data: a\r\n\r\nid: 1\rdata: b\r\r",
            &[("data: a\n\n", None), ("id: 1\ndata: b\n\n", Some("1"))],
        );
        // The LF belongs to an earlier CR.
        check("\ndata: a\r\n\n", &[("data: a\n\n", None)]);
        check("ID: 1\n data: x\nevent: y\n\n", &[("ID: 1\n data: x\nevent: y\n\n", None)]);
    }

    /// A client that reads the blocks sees the events that it would have seen in the stream.
    #[test]
    fn a_client_sees_the_same_events() {
        const PARTS: [&[u8]; 15] = [
            b"data",
            b"data:",
            b"id: ",
            b"id",
            b"retry: 1",
            b":",
            b" ",
            b"\n",
            b"\n",
            b"\r",
            b"\r\n",
            b"event: e",
            b"event",
            b"x",
            b"\0",
        ];
        for seed in 0..3000 {
            let mut dice = Rng::with_seed(seed);
            let parts = (0..dice.usize(..40)).flat_map(|_| PARTS[dice.usize(..PARTS.len())]);
            let mut stream: Vec<u8> = parts.copied().collect();
            stream.extend_from_slice(b"\n\n");
            let mut text = Vec::new();
            let (mut ids, mut names) = (Vec::new(), Vec::new());
            let (mut without, mut retry) = (Vec::new(), None);
            each_block(&stream, &mut Vec::new(), false, |block| without.append(block.text));
            each_block(&stream, &mut Vec::new(), true, |block| {
                text.extend_from_slice(block.text);
                ids.extend(block.id.map(<[u8]>::to_vec));
                names.extend(block.name.map(<[u8]>::to_vec));
                retry = block.retry.or(retry);
            });
            let (want, got) = (naive::read(&stream), naive::read(&text));
            assert_eq!(got.events, want.events, "{stream:?}");
            assert_eq!(got.last_id, want.last_id, "{stream:?}");
            assert_eq!(ids.last().unwrap_or(&Vec::new()), &want.last_id, "{stream:?}");
            let kinds: Vec<Vec<u8>> = want.events.iter().cloned().map(|event| event.kind).collect();
            assert_eq!(names, kinds, "{stream:?}");
            assert_eq!(got.retry, want.retry, "{stream:?}");
            assert_eq!(retry, want.retry, "{stream:?}");
            let (want, got) = (got.events, naive::read(&without));
            assert_eq!((got.last_id.as_slice(), got.events.len()), (&b""[..], want.len()));
            assert!(got.events.iter().zip(&want).all(|(got, want)| got.data == want.data));
        }
    }
}
