//! Headers of every kind, valid and invalid, cut everywhere.

use super::*;

/// A header of version 2.
fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, [command, family].as_slice(), &length, payload].concat()
}

fn value(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [[kind].as_slice(), &u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// The addresses 192.0.2.7:51234 and 10.0.0.1:443.
const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0xc8, 0x22, 1, 0xbb];

/// The addresses `[2001:db8::7]:51234` and `[::1]:443`.
fn v6() -> Vec<u8> {
    let [from, to]: [Ipv6Addr; 2] = ["2001:db8::7", "::1"].map(|text| text.parse().unwrap());
    [&from.octets(), &to.octets(), [0xc8, 0x22, 1, 0xbb].as_slice()].concat()
}

/// The header of a client with this address and port 51234, or without an address if it is
/// `nobody`.
fn header(version: u8, client: &str, is_tls: Option<bool>) -> Header {
    let address = client.parse().map(|address| SocketAddr::new(address, 51234));
    Header { version, client: address.ok(), is_tls }
}

/// Reads a connection as the proxy does, with at most `most` bytes in each read. Also returns how
/// many bytes were taken.
fn read(wire: &[u8], most: usize) -> (Result<Header, Wrong>, usize) {
    let mut taken = 0;
    loop {
        match find(&wire[..taken]) {
            Ok(Found::Whole(header)) => return (Ok(header), taken),
            Ok(Found::Missing(n)) => {
                assert!(n > 0, "it asks for nothing");
                let n = n.min(most).min(wire.len() - taken);
                assert!(n > 0, "it asks for more than there is: {}", wire.escape_ascii());
                taken += n;
            }
            Err(wrong) => return (Err(wrong), taken),
        }
    }
}

/// Checks that exactly the header is taken, whatever follows it and in whatever pieces it arrives.
fn check(wire: &[u8], want: Header) {
    for behind in [b"".as_slice(), b"GET / HTTP/1.1\r\n\r\n", b"\r\n", wire] {
        let all = [wire, behind].concat();
        for most in 1..=wire.len() {
            assert_eq!(read(&all, most), (Ok(want), wire.len()), "{}", all.escape_ascii());
        }
    }
    // Every prefix is the beginning of one.
    for cut in 0..wire.len() {
        match find(&wire[..cut]) {
            Ok(Found::Missing(n)) => assert!(cut + n <= wire.len(), "{cut} and {n} more"),
            other => panic!("{other:?} after {cut} bytes of {}", wire.escape_ascii()),
        }
    }
}

/// Checks that it is refused, in whatever pieces it arrives.
fn refuse(wire: &[u8], want: Wrong) {
    for most in 1..=wire.len() {
        assert_eq!(read(wire, most).0, Err(want), "{}", wire.escape_ascii());
    }
}

#[test]
fn lines() {
    let check = |line: &str, client| check(line.as_bytes(), header(1, client, None));
    check("PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n", "192.0.2.7");
    check("PROXY TCP4 255.255.255.255 255.255.255.255 51234 65535\r\n", "255.255.255.255");
    check("PROXY TCP4 0.0.0.0 0.0.0.0 51234 0\r\n", "0.0.0.0");
    check("PROXY TCP6 2001:db8::7 ::1 51234 443\r\n", "2001:db8::7");
    check("PROXY TCP6 :: :: 51234 0\r\n", "::");
    check("PROXY TCP6 ::ffff:192.0.2.7 ::1 51234 1\r\n", "::ffff:192.0.2.7");
    let whole = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    check(&format!("PROXY TCP6 {whole} {whole} 51234 65535\r\n"), whole);
    check("PROXY UNKNOWN\r\n", "nobody");
    check(&format!("PROXY UNKNOWN {whole} {whole} 65535 65535\r\n"), "nobody");
    check("PROXY UNKNOWN whatever that may be\r\n", "nobody");
}

#[test]
fn lines_that_are_none() {
    for line in [
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 443 1\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 443 \r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 51234 443\r\n",
        "PROXY  TCP4 192.0.2.7 10.0.0.1 51234 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 65536\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 051 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 +51 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 -51 443\r\n",
        "PROXY TCP4 192.0.2.07 10.0.0.1 51 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.256 51 443\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 51 443\r\n",
        "PROXY TCP4 2001:db8::7 ::1 51234 443\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 51234 443\r\n",
        "PROXY TCP6 [2001:db8::7] [::1] 51234 443\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 51234 443\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 51234 443\r\n",
        "PROXY tcp4 192.0.2.7 10.0.0.1 51234 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 \r\n.....................",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\n......",
        "PROXY TCP4 192.0.2.7 10.0.0.1 51234\r443\r\n",
        "PROXY TCP4 192.0.2.7\r\nPROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n",
        "PROXY UNKNOWN \r\r\n",
        "PROXY \u{e9}...................\r\n",
        "PROXY UNKNOWN \r.",
    ] {
        refuse(line.as_bytes(), Wrong::Malformed);
    }
}

#[test]
fn an_empty_field_is_refused_at_once() {
    for line in ["PROXY  ", "PROXY TCP4  ", "PROXY TCP4 192.0.2.7  "] {
        assert_eq!(find(line.as_bytes()), Err(Wrong::Malformed), "{line:?}");
    }
    assert!(find(b"PROXY UNKNOWN  ").is_ok());
}

#[test]
fn what_begins_otherwise_is_refused_at_once() {
    for (wire, after) in [
        ("GET / HTTP/1.1\r\n\r\n", 1),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}", 1),
        ("PROXX TCP4 192.0.2.7 10.0.0.1 51234 443\r\n", 5),
        ("proxy TCP4 192.0.2.7 10.0.0.1 51234 443\r\n", 1),
        ("PROXY\tTCP4 192.0.2.7 10.0.0.1 51234 443\r\n", 6),
        ("PROXY\r\n..............", 6),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", 5),
        ("\r\n\r\n\0\r\nQUIT\r\n..............", 12),
    ] {
        refuse(wire.as_bytes(), Wrong::Absent);
        assert_eq!(read(wire.as_bytes(), 1), (Err(Wrong::Absent), after), "{wire:?}");
    }
}

#[test]
fn lines_that_are_too_long() {
    let unknown = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
    check(unknown(LINE_MAX).as_bytes(), header(1, "nobody", None));
    for length in [LINE_MAX + 1, LINE_MAX + 2, 200] {
        refuse(unknown(length).as_bytes(), Wrong::TooLong);
    }
    refuse(format!("PROXY TCP4 {}", "1".repeat(200)).as_bytes(), Wrong::TooLong);
}

#[test]
fn binaries() {
    check(&binary(0x21, 0x11, &V4), header(2, "192.0.2.7", None));
    check(&binary(0x21, 0x21, &v6()), header(2, "2001:db8::7", None));
    // The sender's own connection, in every form.
    check(&binary(0x20, 0x00, b""), header(2, "nobody", None));
    check(&binary(0x20, 0x11, &V4), header(2, "nobody", None));
    check(&binary(0x20, 0xff, b"whatever"), header(2, "nobody", None));
    // Clients without a usable address.
    check(&binary(0x21, 0x00, b""), header(2, "nobody", None));
    check(&binary(0x21, 0x12, &V4), header(2, "nobody", None));
    check(&binary(0x21, 0x22, &v6()), header(2, "nobody", None));
    check(&binary(0x21, 0x31, &[b'/'; 216]), header(2, "nobody", None));
    check(&binary(0x21, 0x32, &[b'/'; 216]), header(2, "nobody", None));
}

#[test]
fn what_is_said_of_tls() {
    let ssl = |client: u8| value(TYPE_SSL, &[client, 0, 0, 0, 0]);
    let check = |values: &[Vec<u8>], is_tls| {
        let v4 = [V4.as_slice(), &values.concat()].concat();
        check(&binary(0x21, 0x11, &v4), header(2, "192.0.2.7", is_tls));
        check(
            &binary(0x21, 0x21, &[v6(), values.concat()].concat()),
            header(2, "2001:db8::7", is_tls),
        );
        check(&binary(0x21, 0x00, &values.concat()), header(2, "nobody", is_tls));
    };
    check(&[value(0x04, b"")], None);
    check(&[value(0x01, b"h2"), value(0xea, &[1; 30])], None);
    check(&[ssl(0)], Some(false));
    check(&[ssl(1)], Some(true));
    check(&[ssl(7)], Some(true));
    check(&[ssl(6)], Some(false));
    let version = value(0x21, b"TLSv1.3");
    let with_version = value(TYPE_SSL, &[[1, 0, 0, 0, 0].as_slice(), &version].concat());
    check(&[value(0x02, b"a.example"), with_version, value(0x04, &[0; 9])], Some(true));
    // The sender's own connection says nothing about a client.
    let local = binary(0x20, 0x11, &[V4.as_slice(), &ssl(1)].concat());
    self::check(&local, header(2, "nobody", None));
}

/// A header whose payload is `before`, a checksum and `behind`.
fn summed(family: u8, before: &[u8], behind: &[u8]) -> Vec<u8> {
    let payload = [before, &value(TYPE_CRC32C, &[0; 4]), behind].concat();
    let mut wire = binary(0x21, family, &payload);
    let at = FIXED + before.len() + 3;
    let sum = crc32c(wire.iter().copied()).to_be_bytes();
    wire[at..at + 4].copy_from_slice(&sum);
    wire
}

#[test]
fn a_checksum_that_is_wrong_is_refused() {
    // The usual check value of CRC catalogues.
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    assert_eq!(crc32c(std::iter::empty()), 0);
    let ssl = value(TYPE_SSL, &[1, 0, 0, 0, 0]);
    let (v6, other) = ([v6(), ssl.clone()].concat(), value(0x04, &[7; 9]));
    for (family, before, behind, want) in [
        (0x11, V4.as_slice(), b"".as_slice(), header(2, "192.0.2.7", None)),
        (0x11, &V4, &ssl, header(2, "192.0.2.7", Some(true))),
        (0x21, &v6, b"", header(2, "2001:db8::7", Some(true))),
        (0x00, b"", &other, header(2, "nobody", None)),
    ] {
        let wire = summed(family, before, behind);
        check(&wire, want);
        // Each byte counts, except for the type of the checksum. Some changes are invalid in other
        // ways.
        let kind = FIXED + before.len();
        for at in (FIXED..wire.len()).filter(|at| *at != kind) {
            let mut wrong = wire.clone();
            wrong[at] ^= 0x10;
            let found = find(&wrong);
            assert!(!matches!(found, Ok(Found::Whole(_))), "{at} of {}", wire.escape_ascii());
        }
    }
    let whole = summed(0x11, &V4, b"");
    for values in [
        value(TYPE_CRC32C, &[0; 3]),
        value(TYPE_CRC32C, &[0; 5]),
        value(TYPE_CRC32C, &[0; 4]),
        [&whole[FIXED + V4.len()..], &whole[FIXED + V4.len()..]].concat(),
    ] {
        refuse(&binary(0x21, 0x11, &[V4.as_slice(), &values].concat()), Wrong::Malformed);
    }
}

#[test]
fn binaries_that_are_none() {
    let malformed = |wire: &[u8]| refuse(wire, Wrong::Malformed);
    for command in (0..=255).filter(|command| !matches!(command, 0x20 | 0x21)) {
        malformed(&binary(command, 0x11, &V4));
    }
    let known = [0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32];
    for family in (0..=255).filter(|family| !known.contains(family)) {
        malformed(&binary(0x21, family, &[0; 216]));
    }
    for (family, length) in [(0x11, 11), (0x12, 11), (0x21, 35), (0x22, 35), (0x31, 215)] {
        malformed(&binary(0x21, family, &vec![0; length]));
        malformed(&binary(0x21, family, b""));
    }
    for values in [
        b"\x20".as_slice(),
        b"\x20\0",
        b"\x20\0\x05\x01\0\0\0",
        b"\x20\0\x04\x01\0\0\0",
        b"\x20\0\0",
        b"\x04\0\x01",
        b"\x04\xff\xff",
        b"\x04\0\0\x04",
        b"\x20\0\x05\x01\0\0\0\0\x20\0\x05\0\0\0\0\0",
    ] {
        malformed(&binary(0x21, 0x11, &[V4.as_slice(), values].concat()));
    }
}

#[test]
fn binaries_that_are_too_long() {
    let padded = |length: usize| value(0x04, &vec![0; length - 3]);
    check_long(&binary(0x21, 0x00, &padded(PAYLOAD_MAX)));
    refuse(&binary(0x21, 0x00, &padded(PAYLOAD_MAX + 1)), Wrong::TooLong);
    refuse(&binary(0x20, 0x00, &vec![0; usize::from(u16::MAX)]), Wrong::TooLong);
    // This is known before the first byte of the rest is read.
    assert_eq!(read(&binary(0x20, 0, &vec![0; 65_535]), usize::MAX), (Err(Wrong::TooLong), FIXED));
}

fn check_long(wire: &[u8]) {
    for most in [1, 100, usize::MAX] {
        assert_eq!(read(wire, most), (Ok(header(2, "nobody", None)), wire.len()));
    }
}

/// A written header is read with the same content.
#[test]
fn what_we_say() {
    let check = |client: &str, own: &str, want: &str| {
        let (mut wire, client) = (Vec::new(), client.parse().ok());
        write(&mut wire, client, own.parse().ok());
        let want = Header { version: 2, client: want.parse().ok(), is_tls: None };
        assert_eq!(read(&wire, usize::MAX), (Ok(want), wire.len()), "{client:?} to {own}");
        wire
    };
    let v4 = check("192.0.2.7:51234", "10.0.0.1:443", "192.0.2.7:51234");
    assert_eq!(v4, binary(0x21, 0x11, &V4));
    let v6 = check("[2001:db8::7]:51234", "[::1]:443", "[2001:db8::7]:51234");
    assert_eq!(v6, binary(0x21, 0x21, &self::v6()));
    // An IPv4 address, in either form.
    check("[::ffff:192.0.2.7]:51234", "[::ffff:10.0.0.1]:443", "192.0.2.7:51234");
    check("192.0.2.7:51234", "[::1]:443", "[::ffff:192.0.2.7]:51234");
    check("[2001:db8::7]:51234", "10.0.0.1:443", "[2001:db8::7]:51234");
    check("192.0.2.7:0", "somewhere", "192.0.2.7:0");
    check("[2001:db8::7]:0", "somewhere", "[2001:db8::7]:0");
    assert_eq!(check("somebody", "10.0.0.1:443", "nobody"), binary(0x21, 0x00, b""));
    assert_eq!(LOCAL, binary(0x20, 0x00, b""));
}
