//! The parser of PROXY headers against one that has all bytes at once.

use super::in_pieces;
use crate::proxy_protocol::{Found, Header, LINE_MAX, PAYLOAD_MAX, find};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// The result of reading a header from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// A header, and how many bytes were taken.
    Header(Header, usize),
    /// Not a header. The reason is ignored, because it may depend on the pieces.
    Wrong,
    /// Everything was taken, and the header is incomplete.
    Incomplete,
}

/// The bytes are those of a connection. In whatever pieces they arrive, exactly the header is
/// taken, if there is one.
pub fn proxy_protocol(bytes: &[u8]) {
    let (naive, mut first) = (naive(bytes), None);
    in_pieces(bytes, |pieces| {
        let read = read(bytes, pieces);
        let found = match read {
            Read::Header(header, taken) => Some((header, taken)),
            Read::Wrong | Read::Incomplete => None,
        };
        assert_eq!(found, naive, "{read:?}");
        assert_eq!(*first.get_or_insert(read), read, "it depends on the pieces");
    });
}

fn read(bytes: &[u8], pieces: &[Range<usize>]) -> Read {
    let mut taken = 0;
    for there in pieces.iter().map(|piece| piece.end) {
        loop {
            match find(&bytes[..taken]) {
                Ok(Found::Whole(header)) => return Read::Header(header, taken),
                Ok(Found::Missing(_)) if taken == there => break,
                Ok(Found::Missing(missing)) => taken += missing.min(there - taken),
                Err(_) => return Read::Wrong,
            }
        }
    }
    Read::Incomplete
}

/// The header at the start of the bytes, and its length.
fn naive(bytes: &[u8]) -> Option<(Header, usize)> {
    if bytes.starts_with(b"PROXY ") {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let line = str::from_utf8(&bytes[..end]).ok()?;
        let is_whole = end + 2 <= LINE_MAX && !line.contains(['\r', '\n']);
        return is_whole.then(|| Some((naive_line(line)?, end + 2)))?;
    }
    let rest = bytes.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n")?;
    let [command, family, high, low, rest @ ..] = rest else { return None };
    let length = usize::from(*high) * 256 + usize::from(*low);
    let payload = rest.get(..length).filter(|_| length <= PAYLOAD_MAX)?;
    let header = bytes.get(..16 + length)?;
    Some((naive_binary(*command, *family, payload, header)?, header.len()))
}

fn naive_line(line: &str) -> Option<Header> {
    let of = |client: Option<SocketAddr>| Header { version: 1, client, is_tls: None };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| port.to_string() == text);
    let parts: Vec<&str> = line.split(' ').collect();
    match parts[1..] {
        ["UNKNOWN", ..] => Some(of(None)),
        [family @ ("TCP4" | "TCP6"), from, to, a, b] => {
            let [from, to] = [from, to].map(|text| text.parse::<IpAddr>().ok());
            let is_right = |address: IpAddr| address.is_ipv4() == (family == "TCP4");
            let ([from, to], [a, _]) = ([from?, to?], [port(a)?, port(b)?]);
            (is_right(from) && is_right(to)).then(|| of(Some(SocketAddr::new(from, a))))
        }
        _ => None,
    }
}

fn naive_binary(command: u8, family: u8, payload: &[u8], header: &[u8]) -> Option<Header> {
    let of = |client, is_tls| Header { version: 2, client, is_tls };
    if command == 0x20 {
        return Some(of(None, None));
    }
    let (address, length) = match (command, family) {
        (0x21, 0x00) => (0, 0),
        (0x21, 0x11) => (4, 12),
        (0x21, 0x12) => (0, 12),
        (0x21, 0x21) => (16, 36),
        (0x21, 0x22) => (0, 36),
        (0x21, 0x31 | 0x32) => (0, 216),
        _ => return None,
    };
    let of_address = |address: IpAddr, at: usize| {
        let port = u16::from(*payload.get(at)?) * 256 + u16::from(*payload.get(at + 1)?);
        Some(SocketAddr::new(address, port))
    };
    let client = match address {
        4 => of_address(<[u8; 4]>::try_from(payload.get(..4)?).ok()?.into(), 8),
        16 => of_address(<[u8; 16]>::try_from(payload.get(..16)?).ok()?.into(), 32),
        _ => None,
    };
    let (mut at, mut said, mut sums) = (length, Vec::new(), Vec::new());
    payload.get(..length)?;
    while at < payload.len() {
        let [kind, high, low] = payload.get(at..at + 3)?.try_into().ok()?;
        let size = usize::from(high) * 256 + usize::from(low);
        let value = payload.get(at + 3..at + 3 + size)?;
        at += 3 + size;
        if kind == 0x20 {
            said.push(value.get(..5)?[0] % 2 == 1);
        } else if kind == 0x03 {
            let mut zeroed = header.to_vec();
            zeroed[16 + at - size..16 + at].fill(0);
            sums.push(naive_sum(&zeroed).to_be_bytes() == value);
        }
    }
    let is_right = sums.len() < 2 && sums.iter().all(|is_right| *is_right);
    (said.len() < 2 && is_right).then(|| of(client, said.first().copied()))
}

/// The checksum CRC-32C, with the highest bits first, as its polynomial is usually written.
fn naive_sum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            sum = sum << 1 ^ if sum >> 31 == 1 { 0x1edc_6f41 } else { 0 };
        }
    }
    !sum.reverse_bits()
}
