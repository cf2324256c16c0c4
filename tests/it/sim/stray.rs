//! A client without TLS that must be redirected (`redirect_to_https`): it must be told the right
//! location, and its request must not go further.

use super::message::Head;
use super::speech::{Speech, listen};
use millstream::Config;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Peer, SimNet};
use millstream::testing::{Redirect, Tick};
use std::net::IpAddr;

/// The hosts in requests, as sent and as expected in the location.
const HOSTS: [(&str, &str); 4] = [
    ("a.example", "a.example"),
    ("b.example:8080", "b.example"),
    ("192.0.2.1:80", "192.0.2.1"),
    ("[2001:db8::1]:8080", "[2001:db8::1]"),
];

/// The paths and queries in requests.
const TARGETS: [&str; 5] = ["/", "/0", "/1?a=b&c=%20", "/a%20b/c", "/?https://other.example"];

/// The statuses with which the proxy may refuse any client.
const REFUSALS: [&str; 2] = ["408", "503"];

/// A client with a connection.
#[derive(Debug)]
pub(crate) struct Stray {
    rng: Rng,
    /// Its unique address.
    pub(crate) address: IpAddr,
    /// Everything that it has sent.
    pub(crate) sent: Vec<u8>,
    peer: Option<Peer>,
    starts_at: Tick,
    unsent: Vec<u8>,
    heard: Vec<u8>,
    /// The location that it must be told.
    location: String,
    gone: bool,
}

/// The strays of a world with this configuration.
pub(super) fn draw(seed: u64, config: &Config) -> Vec<Stray> {
    // A separate generator, so the other parts of a world do not depend on it.
    let mut dice = Rng::new(seed ^ 0x7374_7261);
    let redirect = config.server.redirect_to_https.as_ref();
    let some = if redirect.is_some() { dice.below(4) } else { 0 };
    (0..some)
        .zip(redirect.into_iter().cycle())
        .map(|(n, to)| Stray::draw(n, to, &mut dice))
        .collect()
}

impl Stray {
    /// Draws the client of this number, in a world with this redirection.
    fn draw(number: u64, redirect: &Redirect, rng: &mut Rng) -> Stray {
        let (host, asked) = rng.pick(&HOSTS);
        let (method, target) = (rng.pick(&["GET", "HEAD", "POST"]), rng.pick(&TARGETS));
        let lie = rng.pick(&["", "X-Forwarded-Proto: https\r\n"]);
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lie}{length}\r\n");
        let origin = match redirect {
            Redirect::To(origin) => origin.clone(),
            // The port is that in `draft::draw_secured`.
            Redirect::HostAsked => format!("https://{asked}:8443"),
        };
        Stray {
            rng: Rng::new(rng.bits()),
            address: format!("2004::1:{number}").parse().unwrap(),
            sent: Vec::new(),
            peer: None,
            starts_at: Tick::from_millis(rng.below(3000)),
            unsent: request.into_bytes(),
            heard: Vec::new(),
            location: origin + target,
            gone: false,
        }
    }

    /// Returns true if it did anything.
    pub(crate) fn act(&mut self, net: &mut SimNet, now: Tick) -> bool {
        if self.gone || now < self.starts_at {
            return false;
        }
        let Some(peer) = self.peer else {
            self.peer = Speech::Http.connect(net, self.address);
            self.gone = self.peer.is_none();
            return true;
        };
        let most = self.rng.size(1, 200).min(self.unsent.len());
        let sent = net.send(peer, &self.unsent[..most]);
        self.sent.extend(self.unsent.drain(..sent));
        let heard = listen(net, peer, "stray", &mut self.heard, now);
        self.gone = heard.is_none();
        heard.unwrap_or(true) || sent > 0
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        if self.gone || self.starts_at <= now { Tick::NEVER } else { self.starts_at }
    }

    /// Checks that it was told where to go. `owed` says that nothing in the world prevents that.
    ///
    /// # Errors
    /// If it was told something else.
    pub(crate) fn judge(&self, owed: bool) -> Result<(), String> {
        let Some(head) = Head::parse(&self.heard)? else {
            return if owed { Err("a stray was told nothing".to_owned()) } else { Ok(()) };
        };
        let status = head.first_line.split(' ').nth(1).unwrap_or_default();
        let refused = !owed && REFUSALS.contains(&status);
        let told = (status, head.get("location"));
        if !refused && told != ("308", Some(&*self.location)) {
            return Err(format!("a stray was told {told:?}, not {}", self.location));
        }
        Ok(())
    }
}
