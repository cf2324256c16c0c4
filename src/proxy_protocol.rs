//! The PROXY protocol: the header in which a load balancer says whose connection it passes on
//! (HAProxy's doc/proxy-protocol.txt, versions 1 and 2), and in which we do (version 2).
//!
//! A header stands in front of everything else, TLS too, and nobody answers it. It is read step by
//! step, and each step asks for as many bytes as a header must still have at least
//! ([`Found::Missing`]). So not one byte is read of what stands behind it. Version 2 says its own
//! length; of version 1 the shortest end is asked for that what is there can have.
//!
//! What cannot be a header is refused with its first byte that says so. Nothing is guessed: a
//! connection that may begin without a header would let every client say who it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Maximum length of a header of version 1 in bytes, with its line end.
pub const LINE_MAX: usize = 107;

/// Maximum length of what follows the first 16 bytes of a header of version 2: addresses, and what
/// is said of TLS, which may bring a client's certificate along.
pub const PAYLOAD_MAX: usize = 4080;

/// How version 1 begins.
const LINE_START: &[u8] = b"PROXY ";

/// The shortest header of version 1.
const LINE_MIN: usize = b"PROXY UNKNOWN\r\n".len();

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part of version 2 that says how long the rest is.
const FIXED: usize = 16;

/// `PP2_TYPE_CRC32C`: the checksum of the header.
const TYPE_CRC32C: u8 = 0x03;

/// `PP2_TYPE_SSL`: what is said of TLS between the client and who sends the header.
const TYPE_SSL: u8 = 0x20;

/// `PP2_CLIENT_SSL`: the client speaks TLS.
const CLIENT_SSL: u8 = 0x01;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its version: 1 or 2.
    pub version: u8,
    /// The client's address and port. None if the connection is the sender's own, as it says, or
    /// one of a client whose address it does not tell. That may also be said of any client.
    pub client: Option<SocketAddr>,
    /// Whether the client speaks TLS with who sends the header. None if it does not say.
    pub is_tls: Option<bool>,
}

/// What was found in the bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A header begins there, which is at least this many bytes longer.
    Missing(usize),
    /// They are a header.
    Whole(Header),
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// They begin with something else.
    Absent,
    /// They begin like one, and are none.
    Malformed,
    /// It is longer than [`LINE_MAX`], or its rest longer than [`PAYLOAD_MAX`].
    TooLong,
}

/// Looks at what has come of a connection: nothing, or what earlier calls asked for, or less.
///
/// # Errors
/// Why it is no header and does not become one.
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

/// True exactly when bytes begin with `start`, or are a part of it.
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

/// The least number of bytes that a line without an end lacks. None if it has too many fields.
fn missing_of_line(line: &[u8]) -> Option<usize> {
    const LINE_END: usize = 2;
    if begins(line, b"PROXY UNKNOWN") {
        return Some(LINE_END);
    }
    // A space, and one character behind it, for each field that does not begin yet.
    let spaces = line.iter().filter(|byte| **byte == b' ').count();
    let fields = 5_usize.checked_sub(spaces)?;
    Some(2 * fields + usize::from(line.ends_with(b" ")) + LINE_END)
}

/// Reads a line without its end.
fn line_of(line: &[u8]) -> Option<Header> {
    let rest = str::from_utf8(line.strip_prefix(LINE_START)?).ok()?;
    let unknown = Header { version: 1, client: None, is_tls: None };
    // What follows is to be ignored, and a receiver may not know what it means.
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

/// A port, without a sign and without zeros in front.
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
        // Nobody asks for more.
        None => Err(Wrong::Malformed),
        Some(0) => header_of(kind, bytes).map(Found::Whole),
        Some(missing) => Ok(Found::Missing(missing)),
    }
}

/// What a header of version 2 is about.
#[derive(Clone, Copy)]
enum Kind {
    /// The sender's own connection, whatever else is said.
    Local,
    /// A client whose address takes this many bytes, and is not to be used, or not known.
    Other(usize),
    /// A client with an address of IPv4.
    Tcp4,
    /// A client with an address of IPv6.
    Tcp6,
}

/// The bytes of addresses and ports, by family.
const TCP4: usize = 12;
const TCP6: usize = 36;
const UNIX: usize = 216;

/// Judges the fixed part as soon as it is there.
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

/// Whether the client speaks TLS, if the values behind the addresses, from this place on, say that.
/// None if they are cut, say something twice, or have a checksum that the header does not have.
fn is_tls(header: &[u8], place: usize) -> Option<Option<bool>> {
    let mut values = header.get(place..)?;
    let (mut is_tls, mut is_summed) = (None, false);
    while let Some((&[kind, high, low], rest)) = values.split_first_chunk::<3>() {
        let (value, behind) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        values = behind;
        if kind == TYPE_CRC32C {
            // It was made while its own four bytes were zero.
            let (at, sum) = (header.len() - behind.len() - 4, <[u8; 4]>::try_from(value).ok()?);
            let [before, after] = [header.get(..at)?, behind];
            let parts = before.iter().chain(&[0; 4]).chain(after);
            if std::mem::replace(&mut is_summed, true)
                || crc32c(parts.copied()) != u32::from_be_bytes(sum)
            {
                return None;
            }
        } else if kind == TYPE_SSL {
            // Its first byte says what the client has, four more whether it was verified.
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
            // The polynomial, with its bits in the order in which they come.
            sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    });
    !sum
}

/// What our own connections begin with, which are no client's.
pub const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Appends a header of version 2 for a connection of this `client`, who has connected to `own`,
/// if these are known.
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
        // Both have to be of one family.
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
