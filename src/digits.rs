//! Numbers as text, for what is written for each message: the formatting machinery costs several
//! times as much.
//!
//! Tested against that machinery.

/// The digits of a number, without zeros in front, to a base of 10 or 16.
pub fn digits(mut number: u64, base: u64) -> impl Iterator<Item = u8> {
    // As many as 64 bits have, to the smaller base.
    let mut digits = [b'0'; 20];
    let mut first = digits.len() - 1;
    loop {
        let digit = u32::try_from(number % base).ok().and_then(|digit| char::from_digit(digit, 16));
        digits[first] = digit.and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'0');
        number /= base;
        if number == 0 {
            return digits.into_iter().skip(first);
        }
        first -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for number in [0, 1, 9, 10, 15, 16, 255, 4096, 1_000_000, u64::MAX - 1, u64::MAX] {
            let mut out = String::new();
            out.extend(digits(number, 10).map(char::from));
            out.push(' ');
            out.extend(digits(number, 16).map(char::from));
            assert_eq!(out, format!("{number} {number:x}"));
        }
    }
}
