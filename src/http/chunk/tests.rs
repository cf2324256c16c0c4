//! The chunked decoder, compared with a naive one, with its input split at every position.

use super::*;
use crate::testing::pieces::{in_one_piece, in_pieces};
use fastrand::Rng;

/// The payload, the trailer section, and the bytes after the body. None until it has ended.
type Outcome = Result<Option<(Vec<u8>, Vec<u8>, Vec<u8>)>, ChunkError>;

/// Decodes `wire` piece by piece, each piece in a buffer of its own.
fn decode(mut decoder: ChunkDecoder, wire: &[u8], pieces: &[Range<usize>]) -> Outcome {
    let mut payload = Vec::new();
    for range in pieces {
        let mut buf = wire[range.clone()].to_vec();
        let piece = decoder.decode(&mut buf)?;
        assert_eq!(buf[piece.consumed..], wire[range.start + piece.consumed..range.end]);
        assert!(piece.range().end <= piece.consumed);
        payload.extend_from_slice(&buf[piece.range()]);
        if piece.ended {
            let trailers = decoder.take_trailers().unwrap_or_default();
            assert_eq!(decoder.take_trailers(), None);
            let again = decoder.decode(b"5\r\nagain\r\n".to_vec().as_mut()).unwrap();
            assert_eq!(again, Piece { start: 0, payload: 0, consumed: 0, ended: true });
            return Ok(Some((payload, trailers, wire[range.start + piece.consumed..].to_vec())));
        }
        assert_eq!(piece.consumed, buf.len());
        assert_eq!(decoder.take_trailers(), None);
    }
    Ok(None)
}

/// Decodes `wire` in all ways it can arrive and compares the outcome with the naive decoder's, as
/// the body of a request and of a response. Whatever is valid in a request must mean the same in a
/// response.
fn check(wire: &[u8]) -> Outcome {
    let request = check_one(wire, false);
    let response = check_one(wire, true);
    assert!(request.is_err() || response == request, "{}", wire.escape_ascii());
    request
}

fn check_one(wire: &[u8], of_response: bool) -> Outcome {
    let decoder = if of_response { ChunkDecoder::response } else { ChunkDecoder::request };
    let whole = decode(decoder(), wire, &in_one_piece(wire.len()));
    in_pieces(wire.len(), |pieces| {
        let wire_text = wire.escape_ascii();
        assert_eq!(decode(decoder(), wire, pieces), whole, "{wire_text} cut at {pieces:?}");
    });
    match naive::decode(wire, of_response) {
        naive::Outcome::Ended(payload, trailers, rest) => {
            assert_eq!(whole, Ok(Some((payload, trailers, rest))), "{}", wire.escape_ascii());
        }
        naive::Outcome::Refused => assert!(whole.is_err(), "{}", wire.escape_ascii()),
        // The naive decoder sees no mistake in a line before the line is complete.
        naive::Outcome::More => assert!(!matches!(whole, Ok(Some(_))), "{}", wire.escape_ascii()),
    }
    whole
}

#[track_caller]
fn accept(wire: &str, payload: &str, trailers: &str, rest: &str) {
    let [payload, trailers, rest] = [payload, trailers, rest].map(|text| text.as_bytes().to_vec());
    assert_eq!(check(wire.as_bytes()), Ok(Some((payload, trailers, rest))), "{wire:?}");
}

#[test]
fn bodies_and_trailers() {
    accept("0\r\n\r\n", "", "", "");
    accept("5\r\nhello\r\n0\r\n\r\n", "hello", "", "");
    accept("1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "hello", "", "");
    accept("0\r\n\r\nGET / HTTP/1.1\r\n", "", "", "GET / HTTP/1.1\r\n");
    accept("2\r\n\r\n\r\n0\r\n\r\n\r\n", "\r\n", "", "\r\n");
    accept("a\r\n0123456789\r\n0\r\n\r\n", "0123456789", "", "");
    accept("00A\r\n0123456789\r\n000\r\n\r\n", "0123456789", "", "");
    accept("0000000000000001\r\nx\r\n0\r\n\r\n", "x", "", "");
    accept("0\r\nA: b\r\n\r\nC: d", "", "A: b\r\n", "C: d");
    accept("0;x\r\nA:\r\nb-_~:\t c:\"d\u{e9} \r\n\r\n", "", "A:\r\nb-_~:\t c:\"d\u{e9} \r\n", "");
}

#[test]
fn extensions_are_dropped() {
    for extensions in [
        ";a",
        ";a=b",
        ";a;b;c=d",
        " ; a = b ; c",
        "\t;\ta\t=\tb",
        ";a=\"\"",
        ";a=\"b;c=d\\\"\\\\ \t\u{e9}\"",
        ";a=\"b\" ;c",
        ";!#$%&'*+-.^_`|~09azAZ=0",
    ] {
        accept(&format!("1{extensions}\r\nx\r\n0{extensions}\r\n\r\n"), "x", "", "");
    }
}

#[test]
fn blanks_at_the_end_of_a_line() {
    for blanks in [" ", "   ", "\t", " \t ", ";a  ", ";a=b ", ";a=\"b\" \t", " ; a = b ; c "] {
        let wire = format!("1{blanks}\r\nx\r\n0{blanks}\r\nA: b\r\n\r\n");
        assert_eq!(check(wire.as_bytes()), Err(ChunkError::Extension), "{wire:?}");
        let want = (b"x".to_vec(), b"A: b\r\n".to_vec(), Vec::new());
        assert_eq!(check_one(wire.as_bytes(), true), Ok(Some(want)), "{wire:?}");
    }
    for (line, error) in [
        // A size in two pieces could be two sizes.
        ("5 5\r\n", ChunkError::Extension),
        // Peers disagree about whether a blank before the size is ignored.
        (" 5\r\n", ChunkError::Size),
        ("5 \n", ChunkError::BareLf),
        ("5 \r \n", ChunkError::BareCr),
        ("5 \x0b\r\n", ChunkError::Extension),
        ("5; \r\n", ChunkError::Extension),
        ("5;a= \r\n", ChunkError::Extension),
        (" \r\n", ChunkError::Size),
    ] {
        assert_eq!(check_one(line.as_bytes(), true), Err(error), "{line:?}");
    }
    let longest = " ".repeat(usize::from(LINE_MAX) - 3);
    let line = format!("1{longest}\r\nx\r\n0\r\n\r\n");
    assert!(check_one(line.as_bytes(), true).is_ok_and(|ended| ended.is_some()));
    let line = line.replacen(' ', "  ", 1);
    assert_eq!(check_one(line.as_bytes(), true), Err(ChunkError::LineTooLong));
    let padded = format!("1{longest}\r\nx\r\n").repeat(75);
    assert_eq!(check_one(padded.as_bytes(), true), Err(ChunkError::Padding));
}

#[test]
fn what_is_not_the_grammar_is_refused() {
    use ChunkError::*;
    for (wire, error) in [
        // RFC 9112 section 7.1: chunk-size = 1*HEXDIG
        ("\r\n", Size),
        (";a\r\n", Size),
        (" 5\r\n", Size),
        ("g\r\n", Size),
        ("5g\r\n", Size),
        ("-5\r\n", Size),
        ("+5\r\n", Size),
        ("0x5\r\n", Size),
        ("5_0\r\n", Size),
        ("5,\r\n", Size),
        ("5\0\r\n", Size),
        ("\u{ff15}\r\n", Size),
        ("5\r\nhello\r\n\r\n", Size),
        ("00000000000000005\r\n", SizeTooLong),
        ("8000000000000000\r\n", SizeTooLarge),
        ("ffffffffffffffff\r\n", SizeTooLarge),
        // The same section: CRLF, and nothing else, ends lines and data.
        ("5\nhello", BareLf),
        ("\n", BareLf),
        ("5\rhello", BareCr),
        ("5\r\r\n", BareCr),
        ("5;a\nb\r\n", BareLf),
        ("5;a\rb\r\n", BareCr),
        ("5;a=\"\n\"\r\n", BareLf),
        ("5\r\nhello0\r\n", DataEnd),
        ("5\r\nhello\n0\r\n", DataEnd),
        ("5\r\nhello\r0\r\n", DataEnd),
        ("5\r\nhello!\r\n", DataEnd),
        ("0\r\n\r0", BareCr),
        ("0\r\n\n", BareLf),
        // Section 7.1.1: extensions. Whitespace belongs to the semicolon or "=" after it.
        ("5 \r\n", Extension),
        ("5 5\r\n", Extension),
        ("5;\r\n", Extension),
        ("5; \r\n", Extension),
        ("5;;a\r\n", Extension),
        ("5;a \r\n", Extension),
        ("5;a b\r\n", Extension),
        ("5;a=\r\n", Extension),
        ("5;a= \r\n", Extension),
        ("5;a==b\r\n", Extension),
        ("5;a=b=c\r\n", Extension),
        ("5;=b\r\n", Extension),
        ("5;a=b c\r\n", Extension),
        ("5;a,b\r\n", Extension),
        ("5;a\0\r\n", Extension),
        ("5;\u{e9}\r\n", Extension),
        ("5;a=\"b\r\n", Extension),
        ("5;a=\"b\\\r\n", Extension),
        ("5;a=\"\0\"\r\n", Extension),
        ("5;a=\"\x7f\"\r\n", Extension),
        ("5;a=\"b\"c\r\n", Extension),
        ("5;a=b\"c\"\r\n", Extension),
        // Section 7.1.2, and section 5 for field lines.
        ("0\r\n: b\r\n\r\n", TrailerName),
        ("0\r\nA\r\n\r\n", TrailerName),
        ("0\r\nA : b\r\n\r\n", TrailerName),
        ("0\r\nA\0: b\r\n\r\n", TrailerName),
        ("0\r\nA\u{e9}: b\r\n\r\n", TrailerName),
        ("0\r\n A: b\r\n\r\n", TrailerFold),
        ("0\r\nA: b\r\n c\r\n\r\n", TrailerFold),
        ("0\r\nA: b\r\n\tc\r\n\r\n", TrailerFold),
        ("0\r\nA: b\0\r\n\r\n", TrailerValue),
        ("0\r\nA: b\x7f\r\n\r\n", TrailerValue),
        ("0\r\nA: b\rC: d\r\n\r\n", BareCr),
        ("0\r\nA: b\nC: d\r\n\r\n", BareLf),
        ("0\r\nA\n\r\n", BareLf),
    ] {
        assert_eq!(check(wire.as_bytes()), Err(error), "{wire:?}");
        assert!(!error.what().is_empty());
    }
}

#[test]
fn an_unfinished_body_is_no_mistake() {
    let wire = b"00b ;a=\"\\\"\" ; b = c\r\nhello world\r\n1;d\r\n!\r\n0\r\nA-b: c\r\nD:\r\n\r\n";
    for end in 0..wire.len() {
        assert_eq!(check(&wire[..end]), Ok(None), "{}", wire[..end].escape_ascii());
    }
    assert_eq!(check(b"7fffffffffffffff\r\nand so on"), Ok(None));
}

/// The outcome of a valid wire, without trying every way to split it.
fn ends(wire: &[u8]) -> Result<(), ChunkError> {
    assert!(decode(ChunkDecoder::request(), wire, &in_one_piece(wire.len()))?.is_some());
    Ok(())
}

#[test]
fn limits_are_exact() {
    let line = |len: usize| format!("0;{}\r\n\r\n", "a".repeat(len - 4)).into_bytes();
    assert_eq!(ends(&line(256)), Ok(()));
    assert_eq!(ends(&line(257)), Err(ChunkError::LineTooLong));

    let trailers = |len: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(len - 4)).into_bytes();
    assert_eq!(ends(&trailers(8192)), Ok(()));
    assert_eq!(ends(&trailers(8193)), Err(ChunkError::TrailersTooLong));

    let lines = |lines: usize| format!("0\r\n{}\r\n", "A:\r\n".repeat(lines)).into_bytes();
    assert_eq!(ends(&lines(64)), Ok(()));
    assert_eq!(ends(&lines(65)), Err(ChunkError::TrailersTooMany));
}

#[test]
fn small_chunks_are_fine_and_padded_ones_are_not() {
    let many =
        |chunk: &str, times: usize| ends(format!("{}0\r\n\r\n", chunk.repeat(times)).as_bytes());
    assert_eq!(many("1\r\nx\r\n", 50_000), Ok(()));
    assert_eq!(many("0000000000000001\r\nx\r\n", 50_000), Ok(()));
    assert_eq!(many("1;last=0;index=12345678901234\r\nx\r\n", 50_000), Ok(()));
    let signed = format!(";chunk-signature={}\r\n", "0".repeat(64));
    assert_eq!(many(&format!("40{signed}{}\r\n", "x".repeat(64)), 5_000), Ok(()));
    // A debt of 85 - 33 bytes with each chunk.
    let padded = format!("1{signed}x\r\n");
    assert_eq!(many(&padded, 16 * 1024 / (padded.len() - 3 - 33)), Ok(()));
    assert_eq!(many(&padded, 16 * 1024 / (padded.len() - 3 - 33) + 1), Err(ChunkError::Padding));
}

#[test]
fn random_wires_agree_with_the_naive_decoder() {
    let words = [
        "0",
        "1",
        "2",
        "5",
        "A",
        "f",
        ";",
        "=",
        "\"",
        "\\",
        " ",
        "\t",
        "\r\n",
        "\r",
        "\n",
        ":",
        "x",
        "hello",
        "1\r\nx\r\n",
        "5\r\nhello\r\n",
        "0\r\n",
        "0\r\n\r\n",
        ";a=b",
        "A: b\r\n",
        "\u{e9}",
    ];
    let valid = "3;a=\"b\\c\";d\r\nfoo\r\n1 ; e = f\r\n!\r\n0;g\r\nH: i\r\nJ:\r\n\r\nrest";
    let mut ended = 0;
    for seed in 0..3_000 {
        let mut dice = Rng::with_seed(seed);
        let mut wire = Vec::new();
        if dice.u64(..2) == 0 {
            for _ in 0..dice.u64(..12) {
                wire.extend_from_slice(words[dice.usize(..words.len())].as_bytes());
            }
        } else {
            wire.extend_from_slice(valid.as_bytes());
            let at = dice.usize(..valid.len());
            let word = words[dice.usize(..words.len())].bytes();
            wire.splice(at..at + dice.usize(..2), word);
        }
        ended += usize::from(matches!(check(&wire), Ok(Some(_))));
    }
    assert!(ended > 300, "only {ended} of the wires were valid");
}

#[test]
fn what_is_framed_reads_back() {
    for size in (1..5_000).chain([0xffff, 0x10000, 0xfffff]) {
        let payload = HEADROOM..HEADROOM + size;
        let mut buf = vec![b'-'; payload.end + TAILROOM];
        buf[payload.clone()].fill(b'x');
        let framed = frame(&mut buf, payload);
        let naive = [format!("{size:x}\r\n").as_bytes(), &vec![b'x'; size], b"\r\n"].concat();
        assert_eq!(buf[framed.clone()], naive);
        assert!(buf[..framed.start].iter().chain(&buf[framed.end..]).all(|&b| b == b'-'));
        let piece = ChunkDecoder::request().decode(&mut buf[framed.clone()]).unwrap();
        let start = framed.len() - size - 2;
        assert_eq!(piece, Piece { start, payload: size, consumed: framed.len(), ended: false });
        assert!(buf[framed][piece.range()].iter().all(|&b| b == b'x'));
    }
}

#[test]
#[should_panic = "a chunk of size zero ends the body"]
fn to_frame_nothing_is_our_own_mistake() {
    frame(&mut [0; 40], 20..20);
}
