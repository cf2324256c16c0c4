//! The fields in which a proxy in front tells of its client, and of what that asked for.
//!
//! Servers and frameworks believe them: by some they choose who the client is, by others which path
//! it asked for, in place of the request's own. So they pass only from a trusted peer; they are
//! taken off all other requests, and out of trailers, and no file can set them.

use super::same_to_gateway;

/// These fields; a `*` stands for the rest of a name. What a gateway could not tell from one of
/// them is one as well.
pub const RESERVED: [&str; 8] = [
    // RFC 7239, and what was there before it.
    "Forwarded",
    "X-Forwarded-*",
    "X-Real-IP",
    "Front-End-Https",
    // The request as it was before somebody changed it; Symfony, IIS and others go by these.
    "X-Original-*",
    "X-Rewrite-URL",
    // Whose certificate it was (RFC 9440).
    "Client-Cert*",
    "X-SSL-Client-*",
];

/// The first letters of [`RESERVED`]. Nearly always they say that a field is not one of these.
const INITIALS: &[u8] = b"FXC";

/// True exactly when a field is one of [`RESERVED`].
pub fn is_about_client(name: &str) -> bool {
    let initial = name.as_bytes().first().map(u8::to_ascii_uppercase);
    let is_one = |field: &&str| match field.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|name| same_to_gateway(name, start)),
        None => same_to_gateway(name, field),
    };
    initial.is_some_and(|initial| INITIALS.contains(&initial)) && RESERVED.iter().any(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_letters() {
        let initials = RESERVED.map(|field| field.as_bytes()[0]);
        assert!(initials.iter().all(|initial| INITIALS.contains(initial)));
        assert!(INITIALS.iter().all(|initial| initials.contains(initial)));
    }

    #[test]
    fn about_the_client() {
        for name in [
            "x-forwarded-for",
            "X_Forwarded_Proto",
            "X-Forwarded-Port",
            "X-Forwarded-",
            "forwarded",
            "X-Real_IP",
            "FRONT_END_HTTPS",
            "Front-End-Https",
            "x-original-url",
            "X_Original_URI",
            "X.Original-Host",
            "X-Rewrite_Url",
            "Client-Cert",
            "client_cert-chain",
            "X-SSL-Client-S-DN",
        ] {
            assert!(is_about_client(name), "{name}");
        }
        for name in [
            "X-Forwarded",
            "XForwarded-For",
            "Forwarded-For",
            "X-Real-IPs",
            "X",
            "X-Original",
            "X-Rewrite-URLs",
            "Client-Cer",
            "X-SSL-Cipher",
            "Front-End-Http",
        ] {
            assert!(!is_about_client(name), "{name}");
        }
    }
}
