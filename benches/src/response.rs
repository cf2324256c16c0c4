//! Parses HTTP/1.1 responses for the load, piece by piece, wherever the reads have split them.
//!
//! It knows a status, the chunked coding and Content-Length, and ignores the rest: the peers' HTTP
//! is not tested here, only the bytes of bodies. An invalid response is an error in words.

use crate::sys::Outcome;

/// What comes next in the response's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The head is complete and its status is 200.
    Head,
    /// Bytes of the body.
    Body(&'a [u8]),
    /// The response is complete.
    End,
}

/// The state of parsing a response. Each request needs a new one.
#[derive(Debug)]
pub enum Response {
    /// Within the head. Contains the bytes so far.
    Head(Vec<u8>),
    /// Within a chunk-size line.
    Size {
        /// The size so far.
        size: usize,
    },
    /// Within the data of a chunk.
    Chunk {
        /// The bytes still missing.
        left: usize,
    },
    /// Within the CRLF after a chunk.
    ChunkEnd,
    /// Within the CRLF after the last chunk. Trailers are not expected.
    Trailer,
    /// Within a body with a length.
    Length {
        /// The bytes still missing.
        left: usize,
    },
    /// After the end.
    Over,
}

impl Response {
    /// A response before its first byte.
    pub fn new() -> Self {
        Self::Head(Vec::new())
    }

    /// Takes the next piece from the front of `input`; `None` if nothing is left.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Outcome<Option<Piece<'a>>> {
        loop {
            match self {
                Self::Head(text) => return Self::head(std::mem::take(text), input, self),
                Self::Length { left: 0 } => {
                    *self = Self::Over;
                    return Ok(Some(Piece::End));
                }
                Self::Chunk { left: 0 } => *self = Self::ChunkEnd,
                Self::Chunk { left } | Self::Length { left } => return Ok(take(left, input)),
                Self::Over if input.is_empty() => return Ok(None),
                Self::Over => return Err("bytes after the end of a response".into()),
                Self::Size { .. } | Self::ChunkEnd | Self::Trailer => {
                    let Some((&byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    if self.framing(byte)? {
                        return Ok(Some(Piece::End));
                    }
                }
            }
        }
    }

    fn head<'a>(
        mut text: Vec<u8>,
        input: &mut &'a [u8],
        state: &mut Self,
    ) -> Outcome<Option<Piece<'a>>> {
        let before = text.len();
        text.extend_from_slice(input);
        let Some(end) = memchr::memmem::find(&text, b"\r\n\r\n").map(|at| at + 4) else {
            *input = &[];
            *state = Self::Head(text);
            return Ok(None);
        };
        *input = &input[end - before..];
        *state = Self::after_head(&String::from_utf8_lossy(&text[..end]))?;
        Ok(Some(Piece::Head))
    }

    fn after_head(head: &str) -> Outcome<Self> {
        let (status_line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        if !status_line.starts_with("HTTP/1.1 200") {
            return Err(format!("the answer {status_line:?}"));
        }
        for (name, value) in fields.lines().filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                let left = value
                    .trim()
                    .parse()
                    .map_err(|_| format!("the length {value:?}"))?;
                return Ok(Self::Length { left });
            }
            if name.eq_ignore_ascii_case("transfer-encoding") && value.trim() == "chunked" {
                return Ok(Self::Size { size: 0 });
            }
        }
        Err("a response that tells no length and is not chunked".into())
    }

    /// Reads one byte of the chunked framing. True if it ends the response.
    fn framing(&mut self, byte: u8) -> Outcome<bool> {
        let next = match (&*self, byte) {
            (Self::Size { size: 0 }, b'\n') => Self::Trailer,
            (&Self::Size { size }, b'\n') => Self::Chunk { left: size },
            (&Self::Size { size }, b'\r') => Self::Size { size },
            (&Self::Size { size }, _) => match char::from(byte).to_digit(16) {
                Some(digit) if size < 1 << 40 => Self::Size {
                    size: size << 4 | digit as usize,
                },
                _ => return Err("a chunk size that is no number".into()),
            },
            (Self::ChunkEnd, b'\n') => Self::Size { size: 0 },
            (Self::ChunkEnd, b'\r') => Self::ChunkEnd,
            (Self::Trailer, b'\r') => Self::Trailer,
            (Self::Trailer, b'\n') => Self::Over,
            _ => return Err("a chunk that does not end where it should".into()),
        };
        *self = next;
        Ok(matches!(self, Self::Over))
    }
}

fn take<'a>(left: &mut usize, input: &mut &'a [u8]) -> Option<Piece<'a>> {
    if input.is_empty() {
        return None;
    }
    let (body, rest) = input.split_at(input.len().min(*left));
    *left -= body.len();
    *input = rest;
    Some(Piece::Body(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `wire` in two parts, split at every position: the result must not depend on the split.
    fn check(wire: &str, want: Result<(&str, bool), &str>) {
        for cut in 0..=wire.len() {
            let (mut response, mut body, mut ended) = (Response::new(), Vec::new(), false);
            let mut read = |mut part: &[u8]| -> Outcome<()> {
                while let Some(piece) = response.next(&mut part)? {
                    match piece {
                        Piece::Head => {}
                        Piece::Body(bytes) => body.extend_from_slice(bytes),
                        Piece::End => ended = true,
                    }
                }
                Ok(())
            };
            let (front, back) = wire.as_bytes().split_at(cut);
            let outcome = read(front).and_then(|()| read(back));
            match want {
                Ok(want) => {
                    assert_eq!(outcome, Ok(()), "{wire:?} cut at {cut}");
                    assert_eq!(
                        (String::from_utf8(body).unwrap().as_str(), ended),
                        want,
                        "{wire:?} {cut}"
                    );
                }
                Err(words) => assert!(outcome.unwrap_err().contains(words), "{wire:?} {cut}"),
            }
        }
    }

    #[test]
    fn responses() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(chunked, Ok(("", false)));
        let two = format!("{chunked}5\r\nhello\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n");
        check(&two, Ok(("helloabcdefghijklmnopqrstuvwxyz", false)));
        check(&format!("{chunked}2\r\nhi\r\n0\r\n\r\n"), Ok(("hi", true)));
        check(
            &format!("{chunked}2\r\nhi\r\n0\r\n\r\nx"),
            Err("after the end"),
        );
        check(&format!("{chunked}2\r\nhiho"), Err("does not end"));
        check(&format!("{chunked}x\r\n"), Err("no number"));
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            Ok(("abc", true)),
        );
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            Ok(("ab", false)),
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            Ok(("", true)),
        );
        check("HTTP/1.1 200 OK\r\n\r\n", Err("no length"));
        check("HTTP/1.1 502 Bad Gateway\r\n\r\n", Err("502"));
    }
}
