//! Upgrade (RFC 9110 section 7.8): which protocols a client may offer an upstream, and whether the
//! upstream accepted one of them.
//!
//! After 101 (Switching Protocols) bytes are passed on unread. So only protocols that the operator
//! lists are offered; names are compared whole and case-insensitively. A protocol that could carry
//! requests past the proxy (HTTP itself, or TLS with HTTP inside) cannot be listed. A request that
//! also offers an unlisted protocol is forwarded as a plain request, and a switch to a protocol
//! that was not offered is an error.

use super::abnf::is_token;
use super::fields::{Fields, elements};

/// Maximum number of protocols that can be listed: an offer has a bit for each.
pub const PROTOCOLS_MAX: usize = 8;

/// The listed protocols that a request offers, one bit each. If it is empty, nothing is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer(u8);

impl Offer {
    /// No offer.
    pub const NOTHING: Offer = Offer(0);

    /// Creates an offer from the protocols in an Upgrade field. Empty unless all of them are
    /// listed.
    pub fn of(protocols: Option<&[u8]>, listed: &[String]) -> Offer {
        let bit = |protocol: &[u8]| {
            let is = |own: &String| protocol.eq_ignore_ascii_case(own.as_bytes());
            listed.iter().take(PROTOCOLS_MAX).position(is).map(|at| 1 << at)
        };
        let mut bits = elements(protocols.unwrap_or_default()).map(bit);
        Offer(bits.try_fold(0, |bits, bit: Option<u8>| Some(bits | bit?)).unwrap_or(0))
    }

    /// True if a 101 with these protocols accepts the offer, or a part of it.
    pub fn is_met_by(self, protocols: Option<&[u8]>, listed: &[String]) -> bool {
        let taken = Offer::of(protocols, listed);
        taken != Offer::NOTHING && self.0 | taken.0 == self.0
    }
}

/// The protocols in a head's Upgrade field, if `Connection` lists `upgrade`.
pub fn protocols<'b>(fields: Fields<'_, 'b>) -> Option<&'b [u8]> {
    let protocols = fields.only("Upgrade")?;
    let is_asked = fields.lists("Connection", "upgrade") && elements(protocols).next().is_some();
    is_asked.then_some(protocols)
}

/// The protocols that a 426 asks for and that are listed, as a list (RFC 9110 section 15.5.22). Its
/// `Connection` need not say `upgrade`: nothing else can be meant.
pub fn required(fields: Fields<'_, '_>, listed: &[String]) -> Vec<u8> {
    let is_listed =
        |protocol: &&[u8]| listed.iter().any(|own| protocol.eq_ignore_ascii_case(own.as_bytes()));
    let named: Vec<&[u8]> = fields.elements("Upgrade").filter(is_listed).collect();
    named.join(&b", "[..])
}

/// True if `protocol` is a name, or a name, a slash and a version.
pub fn is_protocol(protocol: &str) -> bool {
    let mut parts = protocol.split('/');
    let parts = [parts.next(), parts.next(), parts.next()];
    let is = |part: Option<&str>| part.is_none_or(|part| is_token(part.as_bytes()));
    parts[2].is_none() && parts.into_iter().all(is)
}

/// True if this protocol could carry requests: HTTP in any version, or a protocol that HTTP runs
/// over. `h2c-14` is a draft of `h2c`.
pub fn carries_requests(protocol: &str) -> bool {
    let name = protocol.split(['/', '-', '.', '_']).next().unwrap_or_default();
    let carriers = ["http", "https", "h2", "h2c", "h3", "hq", "spdy", "tls", "ssl", "quic"];
    carriers.iter().any(|carrier| name.eq_ignore_ascii_case(carrier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_and_switches() {
        let listed = ["websocket", "irc/6.9", "tcp"].map(str::to_owned);
        let check = |offered: Option<&str>, taken: Option<&str>, want| {
            let offer = Offer::of(offered.map(str::as_bytes), &listed);
            let met = offer.is_met_by(taken.map(str::as_bytes), &listed);
            assert_eq!(met, want, "{offered:?} {taken:?}");
        };
        check(None, Some("websocket"), false);
        check(Some("websocket"), Some("WebSocket"), true);
        check(Some("WEBSOCKET"), Some("websocket"), true);
        check(Some("websocket"), Some("tcp"), false);
        check(Some("websocket"), Some("websocket, tcp"), false);
        check(Some("websocket"), Some("h2c"), false);
        check(Some("websocket"), None, false);
        check(Some("websocket, IRC/6.9"), Some("irc/6.9"), true);
        check(Some("tcp,irc/6.9"), Some("irc/6.9, tcp"), true);
        check(Some("tcp,tcp"), Some("tcp"), true);
    }

    #[test]
    fn what_is_not_listed_spoils_the_offer() {
        let listed = ["websocket", "irc/6.9"].map(str::to_owned);
        for protocols in [
            "",
            ",",
            "h2c",
            "websocket, h2c",
            "websocket/13",
            "websocket-x",
            "xwebsocket",
            "irc",
            "irc/6",
            "irc/6.9.1",
            "web socket",
            "websocket;q=1",
            "\"websocket\"",
            "websocket/",
        ] {
            let offer = Offer::of(Some(protocols.as_bytes()), &listed);
            assert_eq!(offer, Offer::NOTHING, "{protocols}");
        }
        assert_eq!(Offer::of(Some(b"websocket"), &[]), Offer::NOTHING);
    }

    #[test]
    fn names_of_protocols() {
        for protocol in ["websocket", "irc/6.9", "connect-udp", "x~"] {
            assert!(is_protocol(protocol) && !carries_requests(protocol), "{protocol}");
        }
        for protocol in ["", "/", "a/", "/a", "a b", "a/b/c", "a,b", "a/b c", "ä"] {
            assert!(!is_protocol(protocol), "{protocol}");
        }
        for protocol in
            ["h2c", "H2C", "h2", "h2c-14", "HTTP/2.0", "http", "TLS/1.0", "tls", "h3-29", "SPDY/3"]
        {
            assert!(is_protocol(protocol) && carries_requests(protocol), "{protocol}");
        }
    }
}
