//! The keys for tickets, as read from a file. A program without TLS has this type, too.

use crate::base64;
use std::fmt;

/// The minimum and maximum length of a key in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 32..=1024;

/// Maximum number of keys.
const KEYS_MAX: usize = 64;

/// The keys of tickets, at least one: the first one encrypts, and all of them decrypt. They are
/// never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKeys(Vec<Vec<u8>>);

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.0.len())
    }
}

impl TicketKeys {
    /// Reads a file of keys, one per line, in base64. Empty lines and lines that begin with `#` are
    /// skipped.
    ///
    /// # Errors
    /// What is wrong with the file, and in which line.
    pub fn read(text: &[u8]) -> Result<TicketKeys, String> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let wrong = |what| Err(format!("line {number} {what}"));
            let Some(key) = base64::decode(line) else {
                return wrong("is not base64; write a line of `openssl rand -base64 48`");
            };
            if !LENGTHS.contains(&key.len()) {
                return wrong(
                    "is not a key of 32 to 1024 bytes; `openssl rand -base64 48` makes one",
                );
            }
            if keys.contains(&key) {
                return wrong("repeats a key above");
            }
            if keys.len() == KEYS_MAX {
                return wrong("is one key too many: 64 are possible");
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err("no key in it; `openssl rand -base64 48` makes one".to_owned());
        }
        Ok(TicketKeys(keys))
    }

    /// The keys, in their order.
    #[cfg(feature = "tls")]
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_keys() {
        let line = |byte: u8, len: usize| {
            let mut text = Vec::new();
            base64::encode(&vec![byte; len], &mut text);
            String::from_utf8(text).unwrap()
        };
        let read = |text: &str| TicketKeys::read(text.as_bytes());
        let [one, two] = [line(1, 48), line(2, 80)];
        let text = format!("# of today\r\n{one}\r\n\n  # of yesterday\n {two} ");
        assert_eq!(read(&text).unwrap().0, [vec![1; 48], vec![2; 80]]);
        assert_eq!(format!("{:?}", read(&text).unwrap()), "TicketKeys(2)");
        let check = |text: &str, want: &str| {
            let wrong = read(text).unwrap_err();
            assert!(wrong.starts_with(want), "{text}: {wrong}");
            assert!(!wrong.contains(&one[..8]), "{wrong}");
        };
        for empty in ["", "\n\n", "# nothing\n"] {
            check(empty, "no key in it; ");
        }
        check(&format!("{one}\nsecret!\n"), "line 2 is not base64; ");
        check(&format!("{one}\n{}\n", line(3, 31)), "line 2 is not a key of 32 to 1024 bytes; ");
        check(&line(3, 1025), "line 1 is not a key of 32 to 1024 bytes; ");
        check(&format!("{one}\n\n{one}"), "line 3 repeats a key above");
        let many: String = (0..65).map(|byte| line(byte, 32) + "\n").collect();
        check(&many, "line 65 is one key too many: 64 are possible");
    }

    /// The ticket key files of nginx are 48 or 80 random bytes.
    #[test]
    fn a_file_that_is_no_text() {
        let wrong = TicketKeys::read(&[200; 48]).unwrap_err();
        assert!(wrong.starts_with("line 1 is not base64; "), "{wrong}");
    }
}
