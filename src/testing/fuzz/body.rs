//! Bodies: the chunked coding against a naive decoder, and every reader with every writer.

use super::{dice, in_pieces};
use crate::http::body::{BodyReader, BodyWriter};
use crate::http::chunk::naive::{self, Outcome};
use crate::http::chunk::{self, ChunkDecoder, ChunkError, HEADROOM, TAILROOM};
use crate::http::fields::{allowed_in_trailers, filter_trailers};
use crate::http::framing::BodyLength;
use std::ops::Range;

/// The result of decoding: payload, trailer section, and the number of bytes that belong to the
/// body. None if the body has not ended.
type Decoded = Result<Option<(Vec<u8>, Vec<u8>, usize)>, ChunkError>;

/// Bytes that may be in the chunked coding. The decoder agrees with a naive one, however they
/// arrive, and their payload, framed by us, can be decoded again. Whatever is valid in a request
/// means the same in a response.
pub fn chunk(bytes: &[u8]) {
    let [request, response] = [false, true].map(|of_response| check_chunks(bytes, of_response));
    assert!(request.is_err() || request == response, "{response:?}");
}

fn check_chunks(bytes: &[u8], of_response: bool) -> Decoded {
    let decoder = if of_response { ChunkDecoder::response } else { ChunkDecoder::request };
    let whole = decode(decoder(), bytes, std::slice::from_ref(&(0..bytes.len())));
    in_pieces(bytes, |pieces| {
        assert_eq!(decode(decoder(), bytes, pieces), whole, "{pieces:?}");
    });
    match naive::decode(bytes, of_response) {
        Outcome::Ended(payload, trailers, rest) => {
            let taken = bytes.len() - rest.len();
            assert_eq!(whole, Ok(Some((payload.clone(), trailers, taken))));
            check_framing(&payload);
        }
        Outcome::Refused => assert!(whole.is_err(), "{whole:?}"),
        // The naive decoder sees no mistake in a line before the line is complete.
        Outcome::More => assert!(!matches!(whole, Ok(Some(_))), "{whole:?}"),
    }
    whole
}

fn decode(mut decoder: ChunkDecoder, wire: &[u8], pieces: &[Range<usize>]) -> Decoded {
    let mut buf = wire.to_vec();
    let mut payload = Vec::new();
    for range in pieces {
        let piece = decoder.decode(&mut buf[range.clone()])?;
        let taken = range.start + piece.consumed;
        assert_eq!(buf[taken..], wire[taken..], "bytes after the body are untouched");
        payload.extend_from_slice(&buf[range.clone()][piece.range()]);
        if piece.ended {
            let trailers = decoder.take_trailers().unwrap_or_default();
            return Ok(Some((payload, trailers, taken)));
        }
        assert_eq!(taken, range.end, "everything is taken until the body ends");
    }
    Ok(None)
}

fn check_framing(payload: &[u8]) {
    let mut dice = dice(payload);
    let (mut wire, mut rest) = (Vec::new(), payload);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(dice.size(1, rest.len()));
        let mut buf = [&[0; HEADROOM], piece, &[0; TAILROOM]].concat();
        let framed = chunk::frame(&mut buf, HEADROOM..HEADROOM + piece.len());
        wire.extend_from_slice(&buf[framed]);
        rest = behind;
    }
    wire.extend_from_slice(chunk::LAST_CHUNK);
    let want = Outcome::Ended(payload.to_vec(), Vec::new(), Vec::new());
    assert_eq!(naive::decode(&wire, false), want);
}

/// A body passes through a reader and a writer, as in a pipe. The first byte gives its framing
/// before and after, and the second its length where that must be known. The payload is not
/// changed, a cut stays a cut, and nothing after the body is taken.
pub fn body(bytes: &[u8]) {
    let [kinds, length, wire @ ..] = bytes else {
        return;
    };
    let from = match kinds & 3 {
        0 => BodyLength::Empty,
        1 => BodyLength::Length(u64::from(*length)),
        2 => BodyLength::Chunked,
        _ => BodyLength::UntilClose,
    };
    let Some(naive) = Naive::read(from, wire) else {
        in_pieces(wire, |pieces| assert!(relay(from, BodyLength::Chunked, wire, pieces).is_err()));
        return;
    };
    let to = match kinds >> 2 & 3 {
        0 if naive.ended && naive.payload.is_empty() => BodyLength::Empty,
        1 if naive.ended => BodyLength::Length(naive.payload.len() as u64),
        3 => BodyLength::UntilClose,
        _ => BodyLength::Chunked,
    };
    in_pieces(wire, |pieces| {
        let relayed = relay(from, to, wire, pieces).expect("it is well-formed");
        assert_eq!((relayed.ended, relayed.taken), (naive.ended, naive.taken));
        let again = Naive::read(to, &relayed.wire).expect("what was written can be read");
        assert_eq!(again.payload, naive.payload, "{from:?} to {to:?}");
        // A body that ends with its connection is ended by the pipe.
        assert!(again.ended == naive.ended || to == BodyLength::UntilClose);
        check_trailers(&naive.trailers, &again.trailers, to);
    });
}

fn check_trailers(sent: &[u8], passed: &[u8], to: BodyLength) {
    let mut want = Vec::new();
    if to == BodyLength::Chunked {
        filter_trailers(sent, None, &mut want);
    }
    assert_eq!(passed, want);
    for line in passed.split_inclusive(|&byte| byte == b'\n') {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        assert!(allowed_in_trailers(str::from_utf8(name).unwrap()));
    }
}

/// A body, parsed as a whole.
struct Naive {
    payload: Vec<u8>,
    trailers: Vec<u8>,
    /// The number of bytes that belong to the body.
    taken: usize,
    ended: bool,
}

impl Naive {
    /// None if it is malformed.
    fn read(length: BodyLength, wire: &[u8]) -> Option<Naive> {
        let plain = |len: usize, ended| Naive {
            payload: wire[..len].to_vec(),
            trailers: Vec::new(),
            taken: len,
            ended,
        };
        match length {
            BodyLength::Empty => Some(plain(0, true)),
            BodyLength::Length(bytes) => {
                let len = usize::try_from(bytes).unwrap_or(usize::MAX);
                Some(plain(len.min(wire.len()), len <= wire.len()))
            }
            BodyLength::UntilClose => Some(plain(wire.len(), true)),
            BodyLength::Chunked => match naive::decode(wire, true) {
                Outcome::Ended(payload, trailers, rest) => {
                    let taken = wire.len() - rest.len();
                    Some(Naive { payload, trailers, taken, ended: true })
                }
                Outcome::Refused => None,
                Outcome::More => {
                    let payload = payload_so_far(wire)?;
                    let taken = wire.len();
                    Some(Naive { payload, trailers: Vec::new(), taken, ended: false })
                }
            },
        }
    }
}

/// The payload of a chunked body that has not ended, which the naive decoder does not return. None
/// if there is a mistake in its last line, which the naive decoder does not see.
fn payload_so_far(wire: &[u8]) -> Option<Vec<u8>> {
    let mut buf = wire.to_vec();
    let piece = ChunkDecoder::response().decode(&mut buf).ok()?;
    Some(buf.drain(piece.range()).collect())
}

struct Relayed {
    wire: Vec<u8>,
    taken: usize,
    ended: bool,
}

/// Reads into a buffer after some headroom, and writes from that buffer, as a pipe does.
fn relay(
    from: BodyLength,
    to: BodyLength,
    wire: &[u8],
    pieces: &[Range<usize>],
) -> Result<Relayed, ChunkError> {
    let (mut reader, mut writer) = (BodyReader::response(from), BodyWriter::new(to));
    let mut relayed = Relayed { wire: Vec::new(), taken: 0, ended: false };
    let mut scratch = vec![0; HEADROOM + wire.len() + TAILROOM];
    let mut end_written = false;
    for range in pieces.iter().filter(|range| !range.is_empty()) {
        if reader.ended() {
            break;
        }
        let window = HEADROOM..HEADROOM + range.len();
        scratch[window.clone()].copy_from_slice(&wire[range.clone()]);
        let piece = reader.read(&mut scratch[window])?;
        relayed.taken += piece.consumed;
        let trailers = if piece.ended { reader.take_trailers() } else { None };
        end_written = piece.ended && trailers.is_none();
        let Range { start, end } = piece.range();
        let framed = writer.frame(&mut scratch, HEADROOM + start..HEADROOM + end, end_written);
        relayed.wire.extend_from_slice(&scratch[framed]);
        if let Some(raw) = trailers {
            let mut filtered = Vec::new();
            filter_trailers(&raw, None, &mut filtered);
            writer.end_with(&filtered, &mut relayed.wire);
            end_written = true;
        }
    }
    relayed.ended = reader.eof().is_ok();
    if relayed.ended && !end_written {
        let framed = writer.frame(&mut scratch, HEADROOM..HEADROOM, true);
        relayed.wire.extend_from_slice(&scratch[framed]);
    }
    Ok(relayed)
}
