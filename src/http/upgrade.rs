//! Upgrade (RFC 9110 section 7.8): what a client may offer an upstream, and whether the upstream
//! has taken one of those.
//!
//! After 101 (Switching Protocols) bytes pass unread. So a protocol in which requests could pass
//! that nobody judges (HTTP itself, or TLS with HTTP inside) is not offered, and a switch to
//! something that was not offered is nonsense.

use super::fields::{Fields, elements, is_token};

/// What a request offers, as far as it has to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nothing, or nothing that may be.
    Nothing,
    /// WebSocket, and nothing else.
    WebSocket,
    /// Something else, or a choice.
    Other,
}

impl Offer {
    /// What these protocols are.
    pub fn of(protocols: Option<&[u8]>) -> Offer {
        match protocols {
            None => Offer::Nothing,
            Some(protocols) if is_websocket(protocols) => Offer::WebSocket,
            Some(_) => Offer::Other,
        }
    }

    /// True exactly when a 101 with these protocols takes the offer.
    pub fn is_met_by(self, protocols: Option<&[u8]>) -> bool {
        match self {
            Offer::Nothing => false,
            Offer::WebSocket => protocols.is_some_and(is_websocket),
            Offer::Other => protocols.is_some(),
        }
    }
}

fn is_websocket(protocols: &[u8]) -> bool {
    protocols.eq_ignore_ascii_case(b"websocket")
}

/// The protocols that a head's Upgrade field lists: if `Connection` lists `upgrade`, and none of
/// them is HTTP or TLS.
pub fn protocols<'b>(fields: Fields<'_, 'b>) -> Option<&'b [u8]> {
    let protocols = fields.only("Upgrade").filter(|_| fields.lists("Connection", "upgrade"))?;
    let some = elements(protocols).next().is_some();
    (some && elements(protocols).all(is_foreign)).then_some(protocols)
}

/// True exactly when `protocol` is well-formed and neither HTTP nor TLS.
fn is_foreign(protocol: &[u8]) -> bool {
    let mut parts = protocol.split(|&byte| byte == b'/');
    let name = parts.next().unwrap_or_default();
    let hidden = ["HTTP", "TLS", "h2", "h2c", "h3"];
    is_token(name)
        && parts.all(is_token)
        && !hidden.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_and_switches() {
        let check = |offered: Option<&str>, taken: Option<&str>, want| {
            let offer = Offer::of(offered.map(str::as_bytes));
            let met = offer.is_met_by(taken.map(str::as_bytes));
            assert_eq!(met, want, "{offered:?} {taken:?}");
        };
        check(None, Some("websocket"), false);
        check(Some("websocket"), Some("WebSocket"), true);
        check(Some("websocket"), Some("irc"), false);
        check(Some("websocket"), None, false);
        check(Some("websocket, irc/1"), Some("irc/1"), true);
        check(Some("irc"), None, false);
    }
}
