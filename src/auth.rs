//! Keys: who owns each one, and which apis it opens.
//!
//! Only the SHA-256 of a key is stored. A key is compared with all known ones, to the last byte of
//! the last one, so that the time taken does not reveal how close a guess was. Since hashes are
//! compared, it would hardly help an attacker anyway.
//!
//! A hash without salt is enough for random keys; SECURITY.md says how random they must be.
//!
//! Tested against the plain comparison.

pub mod verdicts;

use crate::digits::hex_value;
use crate::rate::Rate;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

/// The SHA-256 of a key's bytes.
pub type Hash = [u8; 32];

/// A known key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name shown to people and in logs.
    pub name: Arc<str>,
    /// The hash that identifies it.
    pub hash: Hash,
    /// The names of the apis that it opens. None: all apis that require a key.
    pub apis: Option<Vec<String>>,
    /// Maximum number of event streams open with it. None: no limit.
    pub max_streams: Option<usize>,
    /// The rate of requests allowed with it. None: no limit.
    pub max_requests: Option<Rate>,
}

/// The keys of a file. No two have the same name or the same hash.
pub type Keys = Arc<[Arc<Key>]>;

/// The reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It has no key.
    NoKey,
    /// Its key is unknown.
    Unknown,
    /// Its key is for other apis.
    NotHere,
}

impl Denied {
    /// The status of the response.
    pub const fn status(self) -> u16 {
        match self {
            Denied::NoKey => 401,
            Denied::Unknown | Denied::NotHere => 403,
        }
    }

    /// Describes the reason in a phrase for the log.
    pub const fn what(self) -> &'static str {
        match self {
            Denied::NoKey => "no key",
            Denied::Unknown => "unknown key",
            Denied::NotHere => "key for other apis",
        }
    }
}

/// Looks up the key that was presented for an api and checks that it opens that api.
///
/// # Errors
/// See [`Denied`].
pub fn admit<'k>(
    keys: &'k [Arc<Key>],
    presented: Option<&[u8]>,
    api: &str,
) -> Result<&'k Arc<Key>, Denied> {
    let hash = hash(presented.ok_or(Denied::NoKey)?);
    let key = position(&hash, keys).and_then(|n| keys.get(n)).ok_or(Denied::Unknown)?;
    if key.opens(api) { Ok(key) } else { Err(Denied::NotHere) }
}

/// True if `held`, the key that a stream of this api was opened with, is still valid for it.
pub fn still_admits(keys: &[Arc<Key>], held: &Key, api: &str) -> bool {
    let known = keys.iter().find(|key| key.hash == held.hash && key.name == held.name);
    known.is_some_and(|key| key.opens(api))
}

impl Key {
    /// True if the key opens this api.
    fn opens(&self, api: &str) -> bool {
        self.apis.as_ref().is_none_or(|apis| apis.iter().any(|name| name == api))
    }
}

/// Hashes a key.
pub fn hash(key: &[u8]) -> Hash {
    Sha256::digest(key).into()
}

/// The index of the key with this hash, which is unique. Always compares all keys completely.
fn position(hash: &Hash, keys: &[Arc<Key>]) -> Option<usize> {
    let mut found = 0;
    for (index, key) in keys.iter().enumerate() {
        let differs = hash.iter().zip(&key.hash).fold(0, |differs, (a, b)| differs | (a ^ b));
        // 1 or 0, without a branch that would let the compiler exit early.
        let same = usize::from(black_box(differs) == 0);
        found |= same.wrapping_neg() & (index + 1);
    }
    black_box(found).checked_sub(1)
}

/// Maximum length of a key in bytes: it must fit into a request head.
const KEY_MAX: usize = 1024;

const NO_KEY: &str = "a key that cannot be sent in every field and cookie; \
    write ASCII letters, digits and punctuation, but no spaces, quotes, commas, semicolons or \
    backslashes";

/// Minimum length of a key: 16 hexadecimal digits carry at most 64 bits, and anything shorter can
/// be guessed.
const KEY_MIN: usize = 16;

/// Formats a key file's entry for a key. `name` needs no escapes.
///
/// # Errors
/// If the key is too short or too long, or some carrier could not transport it.
pub fn entry(name: &str, key: &[u8]) -> Result<String, &'static str> {
    if key.is_empty() {
        return Err("no key; write one line to standard input");
    }
    if key.len() < KEY_MIN {
        return Err("a key of fewer than 16 characters can be guessed; \
            make one with: openssl rand -hex 32");
    }
    if key.len() > KEY_MAX {
        return Err("a key of more than 1024 bytes; write a shorter one");
    }
    let fits = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte);
    if !key.iter().all(fits) {
        return Err(NO_KEY);
    }
    let hash = hex(&hash(key));
    Ok(format!("[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n"))
}

/// Formats a hash as in a key file.
pub fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses a hash of 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() {
        return None;
    }
    let (pairs, _) = text.as_bytes().as_chunks();
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = hex_value(*high)? << 4 | hex_value(*low)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str, apis: Option<&[&str]>) -> Arc<Key> {
        let apis = apis.map(|apis| apis.iter().map(|&name| name.to_owned()).collect());
        Arc::new(Key {
            name: secret.into(),
            hash: hash(secret.as_bytes()),
            apis,
            max_streams: None,
            max_requests: None,
        })
    }

    #[test]
    fn whom_a_key_admits() {
        let keys = [key("k", None), key("l", Some(&["a", "b"])), key("m", Some(&[]))];
        let check = |presented: Option<&str>, api: &str, want: Result<&str, Denied>| {
            let got = admit(&keys, presented.map(str::as_bytes), api).map(|key| &*key.name);
            assert_eq!(got, want, "{presented:?} {api}");
        };
        check(Some("k"), "a", Ok("k"));
        check(Some("l"), "b", Ok("l"));
        check(Some("l"), "c", Err(Denied::NotHere));
        check(Some("l"), "A", Err(Denied::NotHere));
        check(Some("m"), "a", Err(Denied::NotHere));
        check(Some("n"), "a", Err(Denied::Unknown));
        check(Some("K"), "a", Err(Denied::Unknown));
        check(Some(""), "a", Err(Denied::Unknown));
        check(None, "a", Err(Denied::NoKey));
        assert_eq!(admit(&[], Some(b"k"), "a"), Err(Denied::Unknown));
        assert_eq!([Denied::NoKey, Denied::Unknown].map(Denied::status), [401, 403]);
    }

    #[test]
    fn what_is_left_of_a_key() {
        let held = key("k", None);
        let check = |keys: &[Arc<Key>], want| assert_eq!(still_admits(keys, &held, "a"), want);
        check(&[key("j", None), key("k", None)], true);
        check(&[key("k", Some(&["b", "a"]))], true);
        check(&[key("k", Some(&["b"]))], false);
        check(&[key("j", None)], false);
        check(&[Arc::new(Key { name: "new".into(), ..Key::clone(&held) })], false);
        check(&[Arc::new(Key { max_streams: Some(1), ..Key::clone(&held) })], true);
        check(&[], false);
    }

    /// The example of FIPS 180-2, appendix B.1, and the hash of the empty string.
    #[test]
    fn hashes_as_text() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&hash(b"abc")), abc);
        assert!(hex(&hash(b"")).starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
        assert_eq!(from_hex(abc), Some(hash(b"abc")));
        assert_eq!(from_hex(&abc.to_uppercase()), Some(hash(b"abc")));
        for text in ["", "ba", &abc[1..], &format!("{abc}0"), &abc.replace('b', "g")] {
            assert_eq!(from_hex(text), None, "{text}");
        }
        assert_eq!(from_hex(&format!("+{}", &abc[1..])), None);
        assert_eq!(from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn entries_for_the_file() {
        let want = "[[key]]\nname = \"it's alice\"\nsha256 = \"9f9f5111f7b27a781f1f1ddde5ebc2dd";
        let entry = |key: &[u8]| entry("it's alice", key);
        assert!(entry(b"0123456789abcdef").is_ok_and(|entry| entry.starts_with(want)));
        assert!(entry(b"AZaz09-._~+/=!#$%&'()*:<>?@[]^`{|}").is_ok());
        for odd in [" ", "\t", "\r", "\"", ",", ";", "\\", "\u{e9}", "\0"] {
            assert_eq!(entry(format!("0123456789{odd}abcdef").as_bytes()), Err(NO_KEY), "{odd:?}");
        }
        assert!(entry(b"").is_err_and(|wrong| wrong.starts_with("no key")));
        for len in 1..KEY_MIN {
            assert!(entry(&vec![b'a'; len]).is_err_and(|wrong| wrong.contains("can be guessed")));
        }
        for (len, fits) in [(KEY_MIN, true), (KEY_MAX, true), (KEY_MAX + 1, false)] {
            assert_eq!(entry(&vec![b'a'; len]).is_ok(), fits, "{len}");
        }
    }

    /// A hash that differs in any single bit is a different one.
    #[test]
    fn positions_are_those_of_the_plain_comparison() {
        let known = ["a", "b", "c", "d", "e"].map(|secret| key(secret, None));
        for hash in known.iter().map(|key| &key.hash) {
            for bit in 0..256 {
                let mut other = *hash;
                other[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(position(&other, &known), None);
            }
            let plain = known.iter().position(|key| key.hash == *hash);
            assert_eq!(position(hash, &known), plain);
        }
        assert_eq!(position(&known[0].hash, &[]), None);
    }
}
