//! Parsers of HTTP/1.1 as they should not be, but are. Whatever we accept must mean the same to
//! them as to everyone else.

use super::strict::Framing;

/// The habits of lenient parsers. Each has been seen in some server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// A CR by itself ends a line.
    bare_cr: bool,
    /// All punctuation in names is the same, as in a gateway's variables.
    gateway: bool,
    /// The last of several fields, or of a list, counts, not the first.
    last: bool,
    /// Content-Length takes precedence over Transfer-Encoding.
    length_first: bool,
}

impl Habits {
    /// Every combination of habits. The one about gateways is only for servers.
    pub(super) fn all(of_servers: bool) -> impl Iterator<Item = Habits> {
        let habits = (0..16).map(|bits: u8| Habits {
            bare_cr: bits & 1 != 0,
            last: bits & 2 != 0,
            length_first: bits & 4 != 0,
            gateway: bits & 8 != 0,
        });
        habits.filter(move |habits| of_servers || !habits.gateway)
    }
}

/// What such a parser sees at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The words of the start line.
    pub(super) start: Vec<Vec<u8>>,
    pub(super) host: Option<Vec<u8>>,
    /// [`Framing::UntilClose`] if nothing is declared.
    pub(super) framing: Framing,
    /// Where the head ends.
    pub(super) len: usize,
}

impl Reading {
    pub(super) fn of(bytes: &[u8], habits: Habits) -> Reading {
        let mut at = 0;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        while at < bytes.len() {
            let line = next_line(bytes, &mut at, habits);
            let folded = matches!(line, [b' ' | b'\t', ..]);
            match (lines.last_mut(), line) {
                (None, []) => {}
                (Some(_), []) => break,
                (Some(last), _) if folded => last.extend_from_slice(line),
                _ => lines.push(line.to_vec()),
            }
        }
        let mut lines = lines.into_iter();
        let start = lines.next().unwrap_or_default();
        let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        let words = start.split(is_space).filter(|word| !word.is_empty());
        let fields: Vec<(Vec<u8>, Vec<u8>)> =
            lines.filter_map(|line| field(&line, habits)).collect();
        Reading {
            start: words.map(<[u8]>::to_vec).collect(),
            host: pick(&fields, b"host", habits),
            framing: framing(&fields, habits),
            len: at,
        }
    }
}

fn next_line<'b>(bytes: &'b [u8], at: &mut usize, habits: Habits) -> &'b [u8] {
    let rest = &bytes[*at..];
    let ends = |&byte: &u8| byte == b'\n' || habits.bare_cr && byte == b'\r';
    let end = rest.iter().position(ends).unwrap_or(rest.len());
    let crlf = rest[end..].starts_with(b"\r\n");
    *at += (end + 1 + usize::from(crlf)).min(rest.len());
    let line = &rest[..end];
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Name and value, without anything invisible around them. A NUL ends a string in C.
fn field(line: &[u8], habits: Habits) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let visible = |text: &[u8]| -> Vec<u8> {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let seen = |byte: &u8| byte.is_ascii_graphic() || *byte >= 0x80;
        let start = text.iter().position(seen).unwrap_or(text.len());
        let end = text.iter().rposition(seen).map_or(start, |at| at + 1);
        text[start..end].to_ascii_lowercase()
    };
    let mut name = visible(&line[..colon]);
    if habits.gateway {
        let punctuation = |byte: &&mut u8| !byte.is_ascii_alphanumeric();
        name.iter_mut().filter(punctuation).for_each(|byte| *byte = b'-');
    }
    Some((name, visible(&line[colon + 1..])))
}

fn pick(fields: &[(Vec<u8>, Vec<u8>)], name: &[u8], habits: Habits) -> Option<Vec<u8>> {
    let mut values = fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value);
    let value = if habits.last { values.next_back() } else { values.next() };
    value.cloned()
}

fn framing(fields: &[(Vec<u8>, Vec<u8>)], habits: Habits) -> Framing {
    let chunked = fields.iter().any(|(name, value)| {
        name == b"transfer-encoding" && value.windows(7).any(|word| word == b"chunked")
    });
    let length = pick(fields, b"content-length", habits).and_then(|value| {
        let mut parts = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let part = if habits.last { parts.next_back() } else { parts.next() }?;
        let digits = part.strip_prefix(b"+").unwrap_or(part);
        let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        str::from_utf8(&digits[..len]).ok()?.parse().ok().map(Framing::Length)
    });
    match length {
        Some(length) if habits.length_first || !chunked => length,
        _ if chunked => Framing::Chunked,
        _ => Framing::UntilClose,
    }
}
