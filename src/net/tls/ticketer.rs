//! Server-side tickets with keys from a file, so that they survive restarts and work on other
//! machines.
//!
//! A ticket consists of the name of its key, 16 bytes; a salt, 32 bytes; and the library's session
//! state, encrypted with ChaCha20-Poly1305. The name and the encryption key are derived with HKDF
//! and SHA-256 (RFC 5869), the latter with the salt. So each ticket has its own key: its nonce may
//! be zero, and machines that share a file for a long time need not count the tickets that they
//! have issued.
//!
//! Anyone who learns a key can read recorded TLS 1.2 connections that used its tickets. So keys
//! should be replaced: those after the first only decrypt.

use super::TicketKeys;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use std::fmt;

/// How long clients may keep a ticket, in seconds. The library's own keys last as long.
const LIFETIME: u32 = 12 * 3600;

const NAME: usize = 16;
const SALT: usize = 32;

/// Longer tickets are not ours. Ours have one or two hundred bytes.
const SEALED_MAX: usize = 4096;

/// Encrypts and decrypts tickets. See the module docs.
pub(super) struct Ticketer {
    /// The keys with their names. The first one encrypts.
    keys: Vec<([u8; NAME], Box<[u8]>)>,
    random: SystemRandom,
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticketer").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Ticketer {
    pub(super) fn new(keys: &TicketKeys) -> Ticketer {
        let named = |key: &[u8]| {
            let mut name = [0; NAME];
            derive(&[], key, b"millstream ticket name", &mut name)?;
            Some((name, key.into()))
        };
        Ticketer { keys: keys.iter().filter_map(named).collect(), random: SystemRandom::new() }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (name, key) = self.keys.first()?;
        let mut salt = [0; SALT];
        self.random.fill(&mut salt).ok()?;
        let mut ticket = [name.as_slice(), &salt, plain].concat();
        let (nonce, sealed) = (Nonce::assume_unique_for_key([0; 12]), &mut ticket[NAME + SALT..]);
        let tag = sealing(&salt, key)?.seal_in_place_separate_tag(nonce, Aad::from(name), sealed);
        ticket.extend_from_slice(tag.ok()?.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (salt, sealed) = rest.split_at_checked(SALT)?;
        if sealed.len() > SEALED_MAX {
            return None;
        }
        // Names are not secret: each ticket contains one.
        let (_, key) = self.keys.iter().find(|(known, _)| known == name)?;
        let (mut sealed, nonce) = (sealed.to_vec(), Nonce::assume_unique_for_key([0; 12]));
        let opened = sealing(salt, key)?.open_in_place(nonce, Aad::from(name), &mut sealed);
        let len = opened.ok()?.len();
        sealed.truncate(len);
        Some(sealed)
    }
}

/// The key of one ticket.
fn sealing(salt: &[u8], key: &[u8]) -> Option<LessSafeKey> {
    let mut own = [0; 32];
    derive(salt, key, b"millstream ticket key", &mut own)?;
    UnboundKey::new(&CHACHA20_POLY1305, &own).ok().map(LessSafeKey::new)
}

/// HKDF with SHA-256.
fn derive(salt: &[u8], key: &[u8], purpose: &[u8], out: &mut [u8]) -> Option<()> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let extracted = Salt::new(HKDF_SHA256, salt).extract(key);
    let purpose = [purpose];
    extracted.expand(&purpose, Length(out.len())).ok()?.fill(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticketer(bytes: &[u8]) -> Ticketer {
        let line = |byte: &u8| {
            let mut text = Vec::new();
            crate::base64::encode(&[*byte; 48], &mut text);
            text.push(b'\n');
            text
        };
        let text: Vec<u8> = bytes.iter().flat_map(line).collect();
        Ticketer::new(&TicketKeys::read(&text).unwrap())
    }

    #[test]
    fn who_has_the_key_opens() {
        let (one, other) = (ticketer(&[1]), ticketer(&[2]));
        for plain in [&b""[..], b"what was agreed", &[7; 1000]] {
            let ticket = one.encrypt(plain).unwrap();
            assert_ne!(one.encrypt(plain).unwrap(), ticket);
            assert_eq!(ticketer(&[1]).decrypt(&ticket).as_deref(), Some(plain));
            assert_eq!(other.decrypt(&ticket), None);
            // Keys that were first before still decrypt, but no longer encrypt.
            let rotated = ticketer(&[2, 1]);
            assert_eq!(rotated.decrypt(&ticket).as_deref(), Some(plain));
            let newer = rotated.encrypt(plain).unwrap();
            assert_eq!(one.decrypt(&newer), None);
            assert_eq!(other.decrypt(&newer).as_deref(), Some(plain));
        }
    }

    #[test]
    fn what_was_changed_or_cut_is_no_ticket() {
        let one = ticketer(&[1]);
        let ticket = one.encrypt(b"what was agreed").unwrap();
        for at in 0..ticket.len() {
            assert_eq!(one.decrypt(&ticket[..at]), None, "{at}");
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(one.decrypt(&changed), None, "{at}");
        }
        assert_eq!(one.decrypt(&one.encrypt(&[0; SEALED_MAX]).unwrap()), None);
    }

    #[test]
    fn no_key_is_shown() {
        assert!(!format!("{:?}", ticketer(&[65])).contains("65"));
    }
}
