//! Formats numbers and addresses for text that is written for each message, several times faster
//! than the standard formatting machinery.
//!
//! Tested against that machinery.

use std::io::Write;
use std::net::IpAddr;

/// Maximum number of digits: those of a 64-bit number in base 10.
const DIGITS_MAX: usize = 20;

/// The lower-case hexadecimal digits.
pub const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of a hexadecimal digit in either case. None for any other byte.
#[inline]
pub const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The digits of a number, without leading zeros.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    digits: [u8; DIGITS_MAX],
    first: usize,
}

impl Digits {
    /// Formats a number in base 10.
    pub fn decimal(number: u64) -> Digits {
        Digits::to_base::<10>(number)
    }

    /// Formats a number in base 16, in lower case.
    pub fn hexadecimal(number: u64) -> Digits {
        Digits::to_base::<16>(number)
    }

    /// The base is a constant, so that the compiler can replace the division.
    fn to_base<const BASE: u64>(mut number: u64) -> Digits {
        let (mut digits, mut first) = ([b'0'; DIGITS_MAX], DIGITS_MAX);
        loop {
            first -= 1;
            #[expect(clippy::cast_possible_truncation, reason = "less than the base")]
            let digit = (number % BASE) as usize;
            digits[first] = HEX_DIGITS[digit];
            number /= BASE;
            if number == 0 {
                return Digits { digits, first };
            }
        }
    }

    /// The digits as ASCII bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[self.first..]
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Appends the digits one by one: for so few, that is faster than checking that they are UTF-8.
    pub fn push_to(&self, out: &mut String) {
        for &digit in self.as_bytes() {
            out.push(char::from(digit));
        }
    }
}

/// The text of an IP address.
#[derive(Clone, Copy, Debug)]
pub struct AddressText {
    text: [u8; ADDRESS_MAX],
    len: usize,
}

/// The length of the longest address, an IPv4 address mapped to IPv6.
const ADDRESS_MAX: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

impl AddressText {
    /// Formats an address.
    pub fn of(address: IpAddr) -> AddressText {
        let (mut text, mut len) = ([0; ADDRESS_MAX], 0);
        match address {
            IpAddr::V4(address) => {
                let mut put = |byte: u8| {
                    text[len] = byte;
                    len += 1;
                };
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        put(b'.');
                    }
                    if octet >= 100 {
                        put(b'0' + octet / 100);
                    }
                    if octet >= 10 {
                        put(b'0' + octet / 10 % 10);
                    }
                    put(b'0' + octet % 10);
                }
            }
            IpAddr::V6(address) => {
                let mut room = text.as_mut_slice();
                // There is room for every address.
                let _ = write!(room, "{address}");
                len = ADDRESS_MAX - room.len();
            }
        }
        AddressText { text, len }
    }

    /// The address as ASCII bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in [
            "0.0.0.0",
            "192.0.2.7",
            "10.20.100.209",
            "255.255.255.255",
            "::",
            "::1",
            "2001:db8::7",
            "::ffff:255.255.255.255",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert_eq!(AddressText::of(text.parse().unwrap()).as_str(), text);
        }
    }

    #[test]
    fn hexadecimal_digits() {
        for byte in 0..=u8::MAX {
            assert_eq!(hex_value(byte).map(u32::from), char::from(byte).to_digit(16), "{byte:#x}");
        }
    }

    #[test]
    fn numbers() {
        for number in [0, 1, 9, 10, 15, 16, 255, 4096, 1_000_000, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::decimal(number).as_str(), format!("{number}"));
            assert_eq!(Digits::hexadecimal(number).as_bytes(), format!("{number:x}").as_bytes());
            let mut text = "a".to_owned();
            Digits::decimal(number).push_to(&mut text);
            assert_eq!(text, format!("a{number}"));
        }
    }
}
