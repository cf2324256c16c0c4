//! The PROXY protocol (HAProxy's doc/proxy-protocol.txt): the header in which a load balancer names
//! the client of a connection (versions 1 and 2), and in which we do (version 2).
//!
//! A header precedes everything else, even TLS, and is not answered. It is read in steps, each of
//! which asks for the minimum number of bytes that the header must still have ([`Found::Missing`]).
//! So no byte after the header is read. Version 2 states its length. For version 1, each step asks
//! for the shortest possible end.
//!
//! Bytes that cannot be a header are refused at the first one that shows it. A header is always
//! required: if a connection could begin without one, every client could send its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Maximum length of a header of version 1 in bytes, with its line end.
pub const LINE_MAX: usize = 107;

/// Maximum length of what follows the first 16 bytes of a header of version 2: addresses, and data
/// about TLS, which may include a client's certificate.
pub const PAYLOAD_MAX: usize = 4080;

/// How version 1 begins.
const LINE_START: &[u8] = b"PROXY ";

/// The shortest header of version 1.
const LINE_MIN: usize = b"PROXY UNKNOWN\r\n".len();

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of the fixed part of version 2, which states the length of the rest.
const FIXED: usize = 16;

/// `PP2_TYPE_CRC32C`: the checksum of the header.
const TYPE_CRC32C: u8 = 0x03;

/// `PP2_TYPE_SSL`: data about TLS between the client and the sender of the header.
const TYPE_SSL: u8 = 0x20;

/// `PP2_CLIENT_SSL`: the client speaks TLS.
const CLIENT_SSL: u8 = 0x01;

/// The content of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its version: 1 or 2.
    pub version: u8,
    /// The client's address and port. None if the sender says that the connection is its own, or
    /// does not state the client's address. It may do so for any client.
    pub client: Option<SocketAddr>,
    /// True if the client speaks TLS with the sender of the header. None if the header does not
    /// say.
    pub is_tls: Option<bool>,
}

/// What was found in the bytes received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The beginning of a header, of which at least this many bytes are missing.
    Missing(usize),
    /// A whole header.
    Whole(Header),
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// They begin with something else.
    Absent,
    /// They begin like one, but are not one.
    Malformed,
    /// It is longer than [`LINE_MAX`], or its rest is longer than [`PAYLOAD_MAX`].
    TooLong,
}

/// Examines the bytes received on a connection: none, or as many as earlier calls asked for, or
/// fewer.
///
/// # Errors
/// Why they are not a header and cannot become one.
pub fn find(bytes: &[u8]) -> Result<Found, Wrong> {
    let is_line = begins(bytes, LINE_START);
    if !is_line && !begins(bytes, SIGNATURE) {
        return Err(Wrong::Absent);
    }
    if bytes.is_empty() {
        return Ok(Found::Missing(LINE_MIN));
    }
    if is_line { find_line(bytes) } else { find_binary(bytes) }
}

/// True if `bytes` begin with `start`, or with as much of it as they are long.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let n = bytes.len().min(start.len());
    bytes[..n] == start[..n]
}

fn find_line(bytes: &[u8]) -> Result<Found, Wrong> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let missing = match end.map(|end| bytes.split_at(end)) {
        Some((line, rest @ (b"\r" | b"\r\n"))) => {
            let header = line_of(line).ok_or(Wrong::Malformed)?;
            if rest == b"\r\n" {
                return Ok(Found::Whole(header));
            }
            1
        }
        Some(_) => return Err(Wrong::Malformed),
        None => missing_of_line(bytes).ok_or(Wrong::Malformed)?,
    };
    let missing = missing.max(LINE_MIN.saturating_sub(bytes.len()));
    if bytes.len() + missing > LINE_MAX { Err(Wrong::TooLong) } else { Ok(Found::Missing(missing)) }
}

/// The minimum number of bytes missing from a line without an end. None if it has too many fields,
/// or an empty one.
fn missing_of_line(line: &[u8]) -> Option<usize> {
    const LINE_END: usize = 2;
    if begins(line, b"PROXY UNKNOWN") {
        return Some(LINE_END);
    }
    if line.windows(2).any(|pair| pair == b"  ") {
        return None;
    }
    // A space, and one character after it, for each field that has not begun yet.
    let spaces = line.iter().filter(|byte| **byte == b' ').count();
    let fields = 5_usize.checked_sub(spaces)?;
    Some(2 * fields + usize::from(line.ends_with(b" ")) + LINE_END)
}

/// Reads a line without its end.
fn line_of(line: &[u8]) -> Option<Header> {
    let rest = str::from_utf8(line.strip_prefix(LINE_START)?).ok()?;
    let unknown = Header { version: 1, client: None, is_tls: None };
    // The rest must be ignored; a receiver need not understand it.
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(unknown);
    }
    let mut fields = rest.split(' ');
    let family = fields.next()?;
    let [from, to] = [(); 2].map(|()| fields.next().and_then(|text| address(family, text)));
    let (from, _) = (from?, to?);
    let [port, other] = [(); 2].map(|()| fields.next().and_then(port));
    let (client, _) = (SocketAddr::new(from, port?), other?);
    fields.next().is_none().then_some(Header { client: Some(client), ..unknown })
}

fn address(family: &str, text: &str) -> Option<IpAddr> {
    match family {
        "TCP4" => text.parse().ok().map(IpAddr::V4),
        "TCP6" => text.parse().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// A port, without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    if is_plain && !has_zeros { text.parse().ok() } else { None }
}

fn find_binary(bytes: &[u8]) -> Result<Found, Wrong> {
    let Some((fixed, payload)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Found::Missing(FIXED - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let kind = kind_of(command, family, length)?;
    match length.checked_sub(payload.len()) {
        // No call asks for more.
        None => Err(Wrong::Malformed),
        Some(0) => header_of(kind, bytes).map(Found::Whole),
        Some(missing) => Ok(Found::Missing(missing)),
    }
}

/// The kind of connection that a header of version 2 describes.
#[derive(Clone, Copy)]
enum Kind {
    /// The sender's own connection, whatever else the header says.
    Local,
    /// A client whose address takes this many bytes and is unusable or unknown.
    Other(usize),
    /// A client with an IPv4 address.
    Tcp4,
    /// A client with an IPv6 address.
    Tcp6,
}

/// The number of bytes of addresses and ports, by family.
const TCP4: usize = 12;
const TCP6: usize = 36;
const UNIX: usize = 216;

/// Checks the fixed part as soon as it has arrived.
fn kind_of(command: u8, family: u8, length: usize) -> Result<Kind, Wrong> {
    let kind = match (command, family) {
        (0x20, _) => Kind::Local,
        (0x21, 0x00) => Kind::Other(0),
        (0x21, 0x11) => Kind::Tcp4,
        (0x21, 0x21) => Kind::Tcp6,
        // Datagrams, and the Unix sockets of another process.
        (0x21, 0x12) => Kind::Other(TCP4),
        (0x21, 0x22) => Kind::Other(TCP6),
        (0x21, 0x31 | 0x32) => Kind::Other(UNIX),
        _ => return Err(Wrong::Malformed),
    };
    let least = match kind {
        Kind::Local => 0,
        Kind::Other(least) => least,
        Kind::Tcp4 => TCP4,
        Kind::Tcp6 => TCP6,
    };
    if length > PAYLOAD_MAX {
        return Err(Wrong::TooLong);
    }
    if length < least { Err(Wrong::Malformed) } else { Ok(kind) }
}

/// Reads a whole header.
fn header_of(kind: Kind, header: &[u8]) -> Result<Header, Wrong> {
    let payload = header.get(FIXED..).unwrap_or_default();
    let (client, length) = match kind {
        Kind::Local => return Ok(Header { version: 2, client: None, is_tls: None }),
        Kind::Other(length) => (None, length),
        Kind::Tcp4 => {
            let from = payload.first_chunk::<4>().map(|from| IpAddr::from(*from));
            (from.zip(port_at(payload, 8)), TCP4)
        }
        Kind::Tcp6 => {
            let from = payload.first_chunk::<16>().map(|from| IpAddr::from(*from));
            (from.zip(port_at(payload, 32)), TCP6)
        }
    };
    let is_tls = is_tls(header, FIXED + length).ok_or(Wrong::Malformed)?;
    Ok(Header { version: 2, client: client.map(SocketAddr::from), is_tls })
}

fn port_at(payload: &[u8], at: usize) -> Option<u16> {
    payload.get(at..)?.first_chunk().map(|port| u16::from_be_bytes(*port))
}

/// Whether the client speaks TLS, if the values after the addresses, from this offset on, say so.
/// None if they are truncated, repeat something, or have a checksum that is wrong.
fn is_tls(header: &[u8], place: usize) -> Option<Option<bool>> {
    let mut values = header.get(place..)?;
    let (mut is_tls, mut is_summed) = (None, false);
    while let Some((&[kind, high, low], rest)) = values.split_first_chunk::<3>() {
        let (value, behind) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        values = behind;
        if kind == TYPE_CRC32C {
            // It is computed with its own four bytes as zeros.
            let (at, sum) = (header.len() - behind.len() - 4, <[u8; 4]>::try_from(value).ok()?);
            let [before, after] = [header.get(..at)?, behind];
            let parts = before.iter().chain(&[0; 4]).chain(after);
            if std::mem::replace(&mut is_summed, true)
                || crc32c(parts.copied()) != u32::from_be_bytes(sum)
            {
                return None;
            }
        } else if kind == TYPE_SSL {
            // The first byte has the client's flags, and the next four the result of its
            // verification.
            let client = value.first_chunk::<5>()?[0];
            if is_tls.replace(client & CLIENT_SSL != 0).is_some() {
                return None;
            }
        }
    }
    values.is_empty().then_some(is_tls)
}

/// The checksum CRC-32C (RFC 9260 appendix A).
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let sum = bytes.fold(!0, |sum: u32, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            // The polynomial, with its bits reversed.
            sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    });
    !sum
}

/// The header of our own connections, which have no client.
pub const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Appends a header of version 2 for a connection from `client` to our address `own`, if these are
/// known.
pub fn write(out: &mut Vec<u8>, client: Option<SocketAddr>, own: Option<SocketAddr>) {
    let start = |out: &mut Vec<u8>, family: u8, length: usize| {
        out.extend_from_slice(SIGNATURE);
        let [.., high, low] = length.to_be_bytes();
        out.extend_from_slice(&[0x21, family, high, low]);
    };
    let Some(client) = client else { return start(out, 0x00, 0) };
    let [from, to] = [Some(client), own].map(|address| {
        address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip().to_canonical())
    });
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            start(out, 0x11, TCP4);
            out.extend_from_slice(&[from.octets(), to.octets()].concat());
        }
        // Both must be of the same family.
        _ => {
            start(out, 0x21, TCP6);
            for address in [from, if own.is_some() { to } else { Ipv6Addr::UNSPECIFIED.into() }] {
                let octets = match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                };
                out.extend_from_slice(&octets);
            }
        }
    }
    let own = own.map_or(0, |own| own.port());
    for port in [client.port(), own] {
        out.extend_from_slice(&port.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
