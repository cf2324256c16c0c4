//! The fields in which a proxy in front describes its client and the original request.
//!
//! Servers and frameworks trust them: some fields determine who the client is, others override the
//! path of the request. So they are passed on only from a trusted peer. They are removed from all
//! other requests and from trailers, and a configuration cannot set them.

use super::same_to_gateway;

/// The reserved fields. A trailing `*` matches any rest of a name. Names that CGI-style gateways
/// would confuse with one of these are reserved, too.
pub const RESERVED: [&str; 9] = [
    // RFC 7239 and its predecessors.
    "Forwarded",
    "X-Forwarded-*",
    "X-Real-IP",
    "Front-End-Https",
    // The request before another proxy rewrote it; Symfony, IIS and others use these.
    "X-Original-*",
    "X-Rewrite-URL",
    CERTIFICATE[0],
    CERTIFICATE[1],
    CERTIFICATE[2],
];

/// The fields about the client's certificate: those of RFC 9440, of nginx and HAProxy, and of
/// ingress-nginx and Apache, which Keycloak and others trust.
const CERTIFICATE: [&str; 3] = ["Client-Cert*", "X-SSL-Client-*", "SSL-Client-*"];

/// The first letters of [`RESERVED`], which rule out nearly every other field.
const INITIALS: &[u8] = b"FXCS";

/// True if a field is in [`RESERVED`].
pub fn is_about_client(name: &str) -> bool {
    let initial = name.as_bytes().first().map(u8::to_ascii_uppercase);
    initial.is_some_and(|initial| INITIALS.contains(&initial)) && is_one_of(&RESERVED, name)
}

/// True if a field is one of [`RESERVED`] and about the client's certificate.
pub fn is_about_certificate(name: &str) -> bool {
    is_one_of(&CERTIFICATE, name)
}

fn is_one_of(fields: &[&str], name: &str) -> bool {
    fields.iter().any(|field| match field.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|name| same_to_gateway(name, start)),
        None => same_to_gateway(name, field),
    })
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
            "ssl-client-verify",
            "SSL_CLIENT_CERT",
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
            "SSL-Client",
            "Front-End-Http",
        ] {
            assert!(!is_about_client(name), "{name}");
        }
    }

    #[test]
    fn about_the_certificate() {
        for name in ["Client-Cert", "client_cert-chain", "X-SSL-Client-S-DN", "x.ssl_client_x"] {
            assert!(is_about_certificate(name) && is_about_client(name), "{name}");
        }
        for name in ["X-SSL-Client", "Client-Cer", "Client", "X-Forwarded-For", ""] {
            assert!(!is_about_certificate(name), "{name}");
        }
    }
}
