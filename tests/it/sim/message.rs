//! A small independent HTTP parser, which shares no code with the proxy.

/// A head, and its length.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) length: usize,
}

impl Head {
    /// Parses the head at the start of `bytes`, if it is complete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Head>, String> {
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no text")?;
        let mut lines = text.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or(format!("no field: {line:?}"))?;
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Ok(Some(Head { first_line, fields, length: end + 4 }))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let value = values.next();
        assert!(value.is_none() || values.next().is_none() || name == "via", "{name} twice");
        value
    }

    /// The framing of its body. `bodiless` says that there is none because of the request or the
    /// status.
    pub(crate) fn body(&self, bodiless: bool, of_request: bool) -> Result<Body, String> {
        let chunked = self.get("transfer-encoding").map(|v| v == "chunked");
        let length = self.get("content-length").map(|v| v.parse::<usize>());
        match (chunked, length) {
            (Some(_), Some(_)) => Err("two framings".to_owned()),
            (Some(false), None) => Err("an unknown transfer coding".to_owned()),
            _ if bodiless => Ok(Body::Length(0)),
            (Some(true), None) => Ok(Body::Chunked(Chunk::Size)),
            (None, Some(Ok(n))) => Ok(Body::Length(n)),
            (None, Some(Err(_))) => Err("a Content-Length that is no number".to_owned()),
            (None, None) if of_request => Ok(Body::Length(0)),
            (None, None) => Ok(Body::UntilClose),
        }
    }
}

/// A body that is being read.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Length(usize),
    Chunked(Chunk),
    UntilClose,
    Ended,
}

/// The position in the chunked coding.
#[derive(Clone, Debug)]
pub(crate) enum Chunk {
    Size,
    Data(usize),
    DataEnd,
    Trailers,
    Ended,
}

impl Body {
    /// Moves what can be decoded from the start of `wire` to the end of `body`.
    pub(crate) fn read(&mut self, wire: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<(), String> {
        loop {
            match self {
                Body::Ended => return Ok(()),
                Body::UntilClose => {
                    body.append(wire);
                    return Ok(());
                }
                Body::Length(left) => {
                    let n = wire.len().min(*left);
                    body.extend(wire.drain(..n));
                    *left -= n;
                    if *left > 0 {
                        return Ok(());
                    }
                    *self = Body::Ended;
                }
                Body::Chunked(chunk) => {
                    if !chunk.read(wire, body)? {
                        return Ok(());
                    }
                    if matches!(chunk, Chunk::Ended) {
                        *self = Body::Ended;
                    }
                }
            }
        }
    }
}

impl Chunk {
    /// Returns true if it made progress.
    fn read(&mut self, wire: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<bool, String> {
        match self {
            Chunk::Size => {
                let Some(end) = wire.windows(2).position(|w| w == b"\r\n") else {
                    return Ok(false);
                };
                let line = String::from_utf8_lossy(&wire[..end]).into_owned();
                let n = usize::from_str_radix(&line, 16).map_err(|_| format!("size {line:?}"))?;
                wire.drain(..end + 2);
                *self = if n == 0 { Chunk::Trailers } else { Chunk::Data(n) };
                Ok(true)
            }
            Chunk::Data(left) => {
                let n = wire.len().min(*left);
                body.extend(wire.drain(..n));
                *left -= n;
                if *left == 0 {
                    *self = Chunk::DataEnd;
                }
                Ok(n > 0)
            }
            Chunk::DataEnd if wire.len() >= 2 => {
                if !wire.starts_with(b"\r\n") {
                    return Err("a chunk without its CRLF".to_owned());
                }
                wire.drain(..2);
                *self = Chunk::Size;
                Ok(true)
            }
            Chunk::DataEnd => Ok(false),
            Chunk::Trailers => {
                let Some(end) = wire.windows(2).position(|w| w == b"\r\n") else {
                    return Ok(false);
                };
                let line: Vec<u8> = wire.drain(..end + 2).take(end).collect();
                match line.as_slice() {
                    b"" => *self = Chunk::Ended,
                    TRAILER => {}
                    other => return Err(format!("a trailer: {}", other.escape_ascii())),
                }
                Ok(true)
            }
            Chunk::Ended => Ok(false),
        }
    }
}

/// The only field in trailer sections here.
const TRAILER: &[u8] = b"X-Sum: 1";

/// `bytes` in chunks of at most `most` bytes each, and the last chunk, with this number of
/// trailers.
pub(crate) fn chunked(bytes: &[u8], most: usize, trailers: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in bytes.chunks(most.max(1)) {
        wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
        wire.extend(chunk);
        wire.extend(b"\r\n");
    }
    wire.extend(b"0\r\n");
    for _ in 0..trailers {
        wire.extend(TRAILER);
        wire.extend(b"\r\n");
    }
    wire.extend(b"\r\n");
    wire
}
