//! What a client of a simulated world speaks, and what only those do that speak TLS.

use super::client::Client;
use super::endless::Endless;
use super::hostile::Hostile;
use crate::journal;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Peer, SimNet};
use millstream::testing::{ListenerId, Tick};
use std::net::IpAddr;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP, where that is spoken.
    Http,
    /// TLS, where that is spoken.
    Tls,
    /// Anything but TLS, where that is spoken.
    NoTls,
}

impl Speech {
    /// A client connects. None when the listener is closed.
    pub(crate) fn connect(self, net: &mut SimNet, from: IpAddr) -> Option<Peer> {
        // Those of `millstream::testing::world::PORTS`.
        let [http, tls] = [0, 3].map(ListenerId);
        match self {
            Speech::Http => net.client(http, Some(from)),
            Speech::Tls => net.secured_client(tls, Some(from)),
            Speech::NoTls => net.client(tls, Some(from)),
        }
    }
}

/// A client listens, and keeps what it has `heard`. True if it was anything. None if it was the
/// end, upon which it leaves.
pub(crate) fn listen(
    net: &mut SimNet,
    peer: Peer,
    who: &str,
    heard: &mut Vec<u8>,
    now: Tick,
) -> Option<bool> {
    match net.hear(peer, usize::MAX) {
        Heard::Bytes(bytes) => {
            journal::note(|| format!("{now:?} {peer:?} ({who}) hears {}", bytes.escape_ascii()));
            heard.extend(bytes);
            Some(true)
        }
        Heard::Nothing => Some(false),
        Heard::End | Heard::Reset => {
            net.leave(peer);
            None
        }
    }
}

/// How a client leaves before it has got everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// It closes the connection.
    Closing,
    /// It resets the connection.
    Resetting,
    /// It ends its side, and does not say so before.
    Truncating,
    /// It says that it ends its side, and no more.
    Announcing,
    /// It says so, and resets the connection.
    AnnouncingAndResetting,
}

impl Leaves {
    /// One of the ways that only a client has that speaks TLS.
    pub(crate) fn secured(dice: &mut Rng) -> Leaves {
        let ways = [Leaves::Truncating, Leaves::Announcing, Leaves::AnnouncingAndResetting];
        dice.pick(&ways)
    }

    /// The client leaves.
    pub(crate) fn leave(self, net: &mut SimNet, peer: Peer) {
        match self {
            Leaves::Closing => net.leave(peer),
            Leaves::Resetting => net.reset(peer),
            Leaves::Truncating => net.truncate(peer),
            Leaves::Announcing => net.announce_end(peer),
            Leaves::AnnouncingAndResetting => {
                net.announce_end(peer);
                net.reset(peer);
            }
        }
    }
}

/// What a client does to its records while it talks.
#[derive(Debug)]
pub(crate) struct Records {
    dice: Rng,
    /// How often it may still change its keys: so often that nobody minds.
    changes: u32,
    /// True exactly when it puts something between them that is none.
    spoils: bool,
}

impl Records {
    pub(crate) fn draw(seed: u64) -> Records {
        Records { dice: Rng::new(seed), changes: 8, spoils: false }
    }

    /// Those of a client that means no good, if it does.
    pub(crate) fn spoiled(self, spoils: bool) -> Records {
        Records { spoils, ..self }
    }

    /// Does something to them, now and then.
    pub(crate) fn act(&mut self, net: &mut SimNet, peer: Peer) {
        if self.changes > 0 && self.dice.chance(3) {
            self.changes -= 1;
            net.change_keys(peer);
        }
        if self.spoils && self.dice.chance(5) {
            net.inject(peer, b"\x17\x03\x03\x00\x01\x00");
        }
    }
}

/// Has clients speak TLS, and some that mean no good not, although they are asked to.
pub(super) fn secure(
    seed: u64,
    clients: &mut [Client],
    hostile: &mut [Hostile],
    endless: &mut [Endless],
) {
    let mut dice = Rng::new(seed ^ 0x746c_7323);
    for client in clients {
        (client.speech, client.records) = (Speech::Tls, Some(Records::draw(dice.bits())));
        if let Some((_, leaves)) = &mut client.leaves_at
            && dice.chance(50)
        {
            *leaves = Leaves::secured(&mut dice);
        }
    }
    for client in endless {
        (client.speech, client.records) = (Speech::Tls, Some(Records::draw(dice.bits())));
    }
    for client in hostile {
        client.speech = if dice.chance(40) { Speech::NoTls } else { Speech::Tls };
        let records = Records::draw(dice.bits()).spoiled(dice.chance(30));
        client.records = Some(records).filter(|_| client.speech == Speech::Tls);
    }
}
