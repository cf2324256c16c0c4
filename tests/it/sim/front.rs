//! Worlds behind a load balancer: each connection of a client begins with a PROXY header with the
//! client's address. As in all worlds, logs and origins must get this address.
//!
//! Impostors connect past the load balancer, or send something else. None of them may receive a
//! byte.

use super::plan::ADDRESSES;
use super::speech::{Leaves, listen};
use millstream::Config;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Front, Peer, SimNet};
use millstream::testing::{ListenerId, Tick};
use std::net::IpAddr;

/// The api listeners of `millstream::testing::world::PORTS`.
const LISTENERS: [ListenerId; 2] = [ListenerId(0), ListenerId(3)];

/// The address of the load balancer.
const ADDRESS: &str = "2009::1";

/// The signature of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Draws whether there is a load balancer in front. True if there is.
pub(super) fn draw(rng: &mut Rng, text: &mut String) -> bool {
    if !rng.chance(30) {
        return false;
    }
    let secured = if text.contains("listen_tls") { ", \"127.0.0.1:8443\"" } else { "" };
    let lines = format!(
        "trusted_proxies = [\"2009::/16\"]\nproxy_protocol = [\"127.0.0.1:8080\"{secured}]\n"
    );
    *text = text.replacen("flush_interval", &format!("{lines}flush_interval"), 1);
    true
}

/// Draws whether connections to origins begin with a header. True if they do.
pub(super) fn draw_announced(rng: &mut Rng, text: &mut String) -> bool {
    let announces = rng.chance(20);
    if announces {
        let path = "listen_path = \"/\"\n";
        *text = text.replacen(path, &format!("{path}send_proxy = true\n"), 1);
    }
    announces
}

/// Checks the beginning of a connection with this request: a header with the address of its client,
/// or one without an address for a check.
///
/// # Errors
/// If it has another beginning.
pub(super) fn judge_announced(told: Option<&[u8]>, client: Option<IpAddr>) -> Result<(), String> {
    let want = match client {
        None => binary(0x20, 0x00, b""),
        Some(IpAddr::V6(client)) => binary(0x21, 0x21, &[&client.octets(), &[0; 20][..]].concat()),
        Some(IpAddr::V4(_)) => return Err("clients have addresses of IPv6".to_owned()),
    };
    // The port is not compared, because only a client's own connection with a header has a known
    // one.
    let known = if client.is_some() { 16 + 16 } else { 16 };
    let is_right = |told: &[u8]| told.len() == want.len() && told[..known] == want[..known];
    match told {
        Some(told) if !is_right(told) => Err(format!("announced as {}", told.escape_ascii())),
        Some(_) | None => Ok(()),
    }
}

/// Sets up the load balancer, if there is one, and origins that expect headers, if they do.
pub(super) fn stand(net: &mut SimNet, fronted: bool, announces: bool) {
    let front = || Front { listeners: LISTENERS.to_vec(), address: ADDRESS.parse().unwrap(), says };
    net.put_in_front(fronted.then(front));
    let origins = ADDRESSES.into_iter().filter(|_| announces);
    net.expect_headers(origins.collect());
}

/// The header for a client with this address.
fn says(rng: &mut Rng, client: IpAddr) -> Vec<u8> {
    if rng.chance(40) {
        return format!("PROXY TCP6 {client} ::1 {} 443\r\n", rng.below(65_536)).into_bytes();
    }
    let IpAddr::V6(address) = client else { panic!("clients have addresses of IPv6") };
    let mut payload = [&address.octets(), &[0; 20][..]].concat();
    for _ in 0..rng.below(3) {
        let values = [&b"\x04\0\0"[..], b"\x20\0\x05\0\0\0\0\0", b"\x02\0\x09a.example"];
        let value = rng.pick(&values);
        // Only one value is about TLS.
        if value[0] != 0x20 || payload.len() == 36 {
            payload.extend(value);
        }
    }
    binary(0x21, 0x21, &payload)
}

fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, payload].concat()
}

/// A connection that must not be served.
#[derive(Debug)]
pub(crate) struct Impostor {
    rng: Rng,
    listener: ListenerId,
    address: IpAddr,
    peer: Option<Peer>,
    starts_at: Tick,
    unsent: Vec<u8>,
    piece: usize,
    /// How it leaves after sending everything, if it does.
    leaves: Option<Leaves>,
    heard: Vec<u8>,
    gone: bool,
}

/// The impostors of a world with this configuration.
pub(super) fn impostors(seed: u64, config: &Config) -> Vec<Impostor> {
    let mut dice = Rng::new(seed ^ 0x696d_706f);
    let listeners = &LISTENERS[..config.server.proxy_protocol.len()];
    let some = if listeners.is_empty() { 0 } else { dice.below(5) };
    (0..some).map(|_| Impostor::draw(&mut dice, listeners)).collect()
}

impl Impostor {
    /// Draws an impostor that connects to one of these listeners.
    fn draw(rng: &mut Rng, listeners: &[ListenerId]) -> Impostor {
        let victim = "2001::1:0".parse().unwrap();
        let is_stranger = rng.chance(30);
        let header = if is_stranger { says(rng, victim) } else { wrong(rng, victim) };
        Impostor {
            rng: Rng::new(rng.bits()),
            listener: rng.pick(listeners),
            address: if is_stranger { "2008::1" } else { ADDRESS }.parse().unwrap(),
            peer: None,
            starts_at: Tick::from_millis(rng.below(3000)),
            unsent: [&header, &b"GET /impostor HTTP/1.1\r\nHost: a\r\n\r\n"[..]].concat(),
            piece: rng.pick(&[1, 10, 1000]),
            leaves: rng.chance(30).then(|| rng.pick(&[Leaves::Closing, Leaves::Resetting])),
            heard: Vec::new(),
            gone: false,
        }
    }

    /// Returns true if it did anything.
    pub(crate) fn act(&mut self, net: &mut SimNet, now: Tick) -> bool {
        if self.gone || now < self.starts_at {
            return false;
        }
        let Some(peer) = self.peer else {
            self.peer = net.direct_client(self.listener, Some(self.address));
            self.gone = self.peer.is_none();
            return true;
        };
        let most = self.rng.size(1, self.piece).min(self.unsent.len());
        let sent = net.send(peer, &self.unsent[..most]);
        self.unsent.drain(..sent);
        if let Some(leaves) = self.leaves.filter(|_| self.unsent.is_empty()) {
            leaves.leave(net, peer);
            self.gone = true;
            return true;
        }
        let heard = listen(net, peer, "impostor", &mut self.heard, now);
        self.gone = heard.is_none();
        heard.unwrap_or(true) || sent > 0
    }

    /// When it will act by itself.
    pub(crate) fn next(&self, now: Tick) -> Tick {
        if self.gone || self.starts_at <= now { Tick::NEVER } else { self.starts_at }
    }

    /// Checks that it received nothing.
    ///
    /// # Errors
    /// If it received anything.
    pub(crate) fn judge(&self) -> Result<(), String> {
        match self.heard.as_slice() {
            [] => Ok(()),
            heard => Err(format!("an impostor was told {}", heard.escape_ascii())),
        }
    }
}

/// An invalid beginning of a connection from the load balancer.
fn wrong(rng: &mut Rng, victim: IpAddr) -> Vec<u8> {
    let right = says(rng, victim);
    match rng.below(8) {
        0 => Vec::new(),
        1 => b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
        // The request after it is not part of a header.
        2 => right[..rng.size(1, 14)].to_vec(),
        3 => format!("PROXY TCP4 {victim} ::1 1 1\r\n").into_bytes(),
        4 => format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into_bytes(),
        5 => format!("PROXY TCP6 {victim} ::1 1\r\n\r\n").into_bytes(),
        6 => binary(rng.pick(&[0x22, 0x11, 0x0d]), 0x21, &[0; 36]),
        _ => binary(0x21, 0x21, &[0; 35]),
    }
}
