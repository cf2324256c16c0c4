//! A parser of HTTP/1.1 that accepts only the grammar, and shares no code with the proxy.

use crate::http::chunk::naive::{self, Outcome};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A head and its length.
#[derive(Debug)]
pub(super) struct Head<'b> {
    /// Method, target and version; or version, status and reason.
    pub(super) start: [&'b [u8]; 3],
    /// Names in lower case.
    pub(super) fields: Vec<(String, &'b [u8])>,
    pub(super) len: usize,
}

impl<'b> Head<'b> {
    /// The head at the start of `bytes`. None if it is incomplete.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Option<Head<'b>>, String> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = lines(&bytes[..end]);
        let mut parts = lines.next().unwrap_or_default().splitn(3, |&byte| byte == b' ');
        let start = [(); 3].map(|()| parts.next());
        let [Some(a), Some(b), Some(c)] = start else {
            return Err("a start line without three parts".to_owned());
        };
        if !bytes.starts_with(b"HTTP/") && (c.contains(&b' ') || a.is_empty() || b.is_empty()) {
            return Err(format!("a request line: {:?}", c.escape_ascii().to_string()));
        }
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Some(Head { start: [a, b, c], fields, len: end + 4 }))
    }

    pub(super) fn values(&self, name: &str) -> Vec<&'b [u8]> {
        self.fields.iter().filter(|(own, _)| own == name).map(|&(_, value)| value).collect()
    }

    /// True if a field of this name lists `element`.
    pub(super) fn lists(&self, name: &str, element: &str) -> bool {
        let is = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(element.as_bytes());
        self.values(name).iter().any(|value| value.split(|&byte| byte == b',').any(is))
    }

    /// The status of a response. None for a request.
    pub(super) fn status(&self) -> Option<u16> {
        let digits = self.start[1];
        let is_response = self.start[0].starts_with(b"HTTP/") && digits.len() == 3;
        is_response.then(|| str::from_utf8(digits).ok()?.parse().ok()).flatten()
    }

    /// The framing of the body of this request.
    pub(super) fn of_request(&self) -> Result<Framing, String> {
        self.declared().map(|declared| declared.unwrap_or(Framing::Nothing))
    }

    /// The framing of the body of this response.
    pub(super) fn of_response(&self, request_was_head: bool) -> Result<Framing, String> {
        let status = self.status().ok_or("no status")?;
        let declared = self.declared()?;
        if (status < 200 || status == 204) && declared.is_some() {
            return Err(format!("a {status} that declares a body"));
        }
        let bodiless = request_was_head || status < 200 || matches!(status, 204 | 304);
        Ok(if bodiless { Framing::Nothing } else { declared.unwrap_or(Framing::UntilClose) })
    }

    fn declared(&self) -> Result<Option<Framing>, String> {
        let lengths = self.values("content-length");
        match (self.values("transfer-encoding").as_slice(), lengths.as_slice()) {
            ([], []) => Ok(None),
            ([], [length]) if length.iter().all(u8::is_ascii_digit) => {
                let number = str::from_utf8(length).ok().and_then(|text| text.parse().ok());
                number.map(|n| Some(Framing::Length(n))).ok_or_else(|| "a length".to_owned())
            }
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
            other => Err(format!("two framings, or none that is known: {other:?}")),
        }
    }
}

/// Lines separated by CRLF. A lone CR or LF stays in its line, and is refused there.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = bytes.windows(2).position(|two| two == b"\r\n");
        rest = end.map(|end| &bytes[end + 2..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

fn field(line: &[u8]) -> Result<(String, &[u8]), String> {
    let wrong = || format!("not a field: {:?}", line.escape_ascii().to_string());
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(wrong)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let tchar = |&b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let text = |&b: &u8| b == b'\t' || !b.is_ascii_control();
    if name.is_empty() || !name.iter().all(tchar) || !value.iter().all(text) {
        return Err(wrong());
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value.trim_ascii()))
}

/// How many of the `bytes` belong to a body. None if it has not ended.
pub(super) fn body(framing: Framing, bytes: &[u8]) -> Result<Option<usize>, String> {
    match framing {
        Framing::Nothing => Ok(Some(0)),
        Framing::Length(len) => {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            Ok((len <= bytes.len()).then_some(len))
        }
        Framing::Chunked => match naive::decode(bytes, false) {
            Outcome::Ended(_, _, rest) => Ok(Some(bytes.len() - rest.len())),
            Outcome::More => Ok(None),
            Outcome::Refused => Err("malformed chunks".to_owned()),
        },
        Framing::UntilClose => Ok(None),
    }
}
