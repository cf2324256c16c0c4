//! Heads: where they end, what they contain, and how long their bodies are.

use super::{LIMITS, in_pieces};
use crate::http::framing::BodyLength;
use crate::http::head::{
    FieldStore, Fields, HeadError, HeadSearch, RequestHead, ResponseHead, unfold,
};

/// Bytes that may be a head, of a request or of a response. However they arrive, the head ends at
/// the same place, and what is accepted conforms to the grammar.
pub fn head(bytes: &[u8]) {
    for (search, line_end) in [(HeadSearch::request(), &b"\r\n"[..]), (HeadSearch::response(), b"")]
    {
        let whole = found(search.clone(), bytes, [bytes.len()]);
        // The search leaves the request line of a whole head to the parser.
        let refused = match whole {
            Ok(Some(end)) => {
                let bytes = &bytes[..end];
                !line_end.is_empty()
                    && RequestHead::parse(bytes, &mut FieldStore::new(), &LIMITS).is_err()
            }
            Ok(None) => false,
            Err(_) => true,
        };
        in_pieces(bytes, |pieces| {
            let got = found(search.clone(), bytes, pieces.iter().map(|piece| piece.end));
            assert!(got == whole || got.is_err() && refused, "{got:?}, whole {whole:?}");
        });
        let Ok(Some(end)) = whole else {
            continue;
        };
        assert_eq!(Some(end), naive_end(bytes, line_end));
        if line_end.is_empty() {
            judge_response(&unfolded(&bytes[..end]));
        } else {
            judge_request(&bytes[..end]);
        }
    }
}

/// Where the search finds the end as the bytes up to each of `ends` arrive.
fn found(
    mut search: HeadSearch,
    bytes: &[u8],
    ends: impl IntoIterator<Item = usize>,
) -> Result<Option<usize>, HeadError> {
    for end in ends {
        if let Some(found) = search.find(&bytes[..end], &LIMITS)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The end of the first empty line after a non-empty one. `line_end` is empty if LF alone may end a
/// line.
fn naive_end(bytes: &[u8], line_end: &[u8]) -> Option<usize> {
    let (mut end, mut begun) = (0, false);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        end += line.len();
        let empty = line == b"\r\n" || line_end.is_empty() && line == b"\n";
        if empty && begun {
            return Some(end);
        }
        begun |= !empty;
    }
    None
}

/// A response head with its folded lines joined, line by line.
fn unfolded(head: &[u8]) -> Vec<u8> {
    let mut want: Vec<u8> = Vec::new();
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let blanks = line.iter().take_while(|byte| b" \t".contains(byte)).count();
        if blanks > 0 {
            while want.pop_if(|byte| b" \t\r\n".contains(byte)).is_some() {}
            want.push(b' ');
            want.extend_from_slice(&line[blanks..]);
        } else {
            want.extend_from_slice(line);
        }
    }
    let mut got = head.to_vec();
    let len = unfold(&mut got);
    assert_eq!(got[..len], want);
    want
}

fn judge_request(bytes: &[u8]) {
    let mut store = FieldStore::new();
    let Ok(head) = RequestHead::of_wire(bytes, &mut store, &LIMITS) else {
        return;
    };
    let tchars = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(head.method.bytes().all(tchars) && head.method != "CONNECT");
    assert!(head.target.path == "*" || head.target.path.starts_with('/'));
    assert!(head.length != BodyLength::UntilClose);
    judge_fields(bytes, head.fields);
    let mut store = FieldStore::new();
    assert!(RequestHead::of_wire(&bytes[..bytes.len() - 1], &mut store, &LIMITS).is_err());
}

fn judge_response(bytes: &[u8]) {
    for request_was_head in [false, true] {
        let mut store = FieldStore::new();
        let Ok(head) = ResponseHead::of_wire(bytes, &mut store, &LIMITS, request_was_head) else {
            continue;
        };
        assert!((100..1000).contains(&head.status));
        assert!(head.length.is_empty() || !request_was_head && head.status >= 200);
        assert!(!head.persistent || head.length != BodyLength::UntilClose);
        judge_fields(bytes, head.fields);
    }
}

fn judge_fields(bytes: &[u8], fields: Fields<'_, '_>) {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !matches!(*line, [] | [b'\r']));
    assert_eq!(fields.iter().count(), lines.count() - 1, "each line is a field");
    for (name, value) in fields.iter() {
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':'));
        assert!(value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control()));
    }
}

/// What field lines, separated by LF, declare about the length of a body. The rules in short: a
/// length is one number, a coding is `chunked`, and a request never has both. In a response a
/// length may be repeated, and the coding takes precedence.
pub fn framing(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').filter(|l| !l.is_empty()).collect();
    for version in ["1.1", "1.0"] {
        let says = Says::of(&lines);
        let length = says.in_request(version);
        check_request(&wire(&format!("POST / HTTP/{version}\r\nHost: a"), &lines), length);
        for (status, request_was_head) in
            [(200, false), (200, true), (304, false), (204, false), (103, false), (599, false)]
        {
            let wire = wire(&format!("HTTP/{version} {status} "), &lines);
            let length = says.in_response();
            let want = match status {
                103 | 204 => Some(BodyLength::Empty),
                _ if status == 304 || request_was_head => length.map(|_| BodyLength::Empty),
                _ => length,
            };
            check_response(&wire, request_was_head, want);
        }
    }
}

fn wire(start: &str, lines: &[&[u8]]) -> Vec<u8> {
    let mut wire = start.as_bytes().to_vec();
    for line in lines {
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b"\r\n\r\n");
    wire
}

fn check_request(wire: &[u8], want: Option<BodyLength>) {
    let mut store = FieldStore::new();
    match RequestHead::of_wire(wire, &mut store, &LIMITS) {
        Ok(head) => assert_eq!(Some(head.length), want),
        Err(HeadError::Framing(error)) => assert!(want.is_none(), "{error:?}, not {want:?}"),
        // Something else is wrong with the request.
        Err(_) => {}
    }
}

fn check_response(wire: &[u8], request_was_head: bool, want: Option<BodyLength>) {
    let mut store = FieldStore::new();
    match ResponseHead::of_wire(wire, &mut store, &LIMITS, request_was_head) {
        Ok(head) => {
            assert_eq!(Some(head.length), want);
            let coded = head.fields.get("Transfer-Encoding").is_some();
            let faulty = coded && (wire.starts_with(b"HTTP/1.0") || has_length(head.fields));
            assert!(!(faulty && head.persistent), "section 6.1: must be closed");
        }
        Err(HeadError::Framing(error)) => assert!(want.is_none(), "{error:?}, not {want:?}"),
        Err(_) => {}
    }
}

fn has_length(fields: Fields<'_, '_>) -> bool {
    fields.get("Content-Length").is_some()
}

/// The values of the lines that declare how long a body is.
struct Says {
    codings: Vec<Vec<u8>>,
    lengths: Vec<Vec<u8>>,
}

impl Says {
    fn of(lines: &[&[u8]]) -> Says {
        let values = |name: &str| -> Vec<Vec<u8>> {
            let lines = lines.iter().filter_map(|line| {
                let colon = line.iter().position(|&byte| byte == b':')?;
                let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
                let value: Vec<u8> = line[colon + 1..].iter().copied().skip_while(blank).collect();
                let kept = value.iter().rposition(|byte| !blank(byte)).map_or(0, |at| at + 1);
                let same = line[..colon].eq_ignore_ascii_case(name.as_bytes());
                same.then(|| value[..kept].to_vec())
            });
            lines.collect()
        };
        Says { codings: values("Transfer-Encoding"), lengths: values("Content-Length") }
    }

    /// The length of a request's body. None if it must be refused.
    fn in_request(&self, version: &str) -> Option<BodyLength> {
        match (self.codings.as_slice(), self.lengths.as_slice()) {
            ([], []) => Some(BodyLength::Empty),
            ([], [length]) => number(length).map(BodyLength::Length),
            ([coding], []) if version == "1.1" => chunked(coding),
            _ => None,
        }
    }

    /// The length of the body of a response to GET. None if it must be refused.
    fn in_response(&self) -> Option<BodyLength> {
        match self.codings.as_slice() {
            [] if self.lengths.is_empty() => Some(BodyLength::UntilClose),
            [] => {
                let all = self.lengths.join(&b',');
                let all = all.split(|&byte| byte == b',');
                let mut numbers = all.map(|text| number(text.trim_ascii()));
                let first = numbers.next().flatten()?;
                numbers.all(|other| other == Some(first)).then_some(BodyLength::Length(first))
            }
            [coding] => chunked(coding),
            _ => None,
        }
    }
}

fn chunked(coding: &[u8]) -> Option<BodyLength> {
    coding.eq_ignore_ascii_case(b"chunked").then_some(BodyLength::Chunked)
}

/// A number of at most 63 bits, with any number of leading zeros.
fn number(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    let digits = text.trim_start_matches('0');
    let number = if digits.is_empty() && !text.is_empty() { 0 } else { digits.parse().ok()? };
    i64::try_from(number).is_ok().then_some(number)
}
