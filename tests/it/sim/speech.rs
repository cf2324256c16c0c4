//! The protocol of a client in a simulated world, and what only clients with TLS do.

use super::client::Client;
use super::endless::Endless;
use super::hostile::Hostile;
use crate::journal;
use millstream::testing::rng::Rng;
use millstream::testing::sim::{Heard, Peer, SimNet};
use millstream::testing::{ListenerId, Tick};
use std::net::IpAddr;

/// The protocol of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP at an HTTP listener.
    Http,
    /// TLS at a TLS listener.
    Tls,
    /// Plain HTTP at a TLS listener.
    NoTls,
}

impl Speech {
    /// Connects a client. None if the listener is closed.
    pub(crate) fn connect(self, net: &mut SimNet, from: IpAddr) -> Option<Peer> {
        // Listeners of `millstream::testing::world::PORTS`.
        let [http, tls] = [0, 3].map(ListenerId);
        match self {
            Speech::Http => net.client(http, Some(from)),
            Speech::Tls => net.secured_client(tls, Some(from)),
            Speech::NoTls => net.client(tls, Some(from)),
        }
    }
}

/// Appends what a client receives to `heard`. True if there was anything. None at the end of the
/// connection, which the client then closes.
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

/// How a client leaves before it has received everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// It closes the connection.
    Closing,
    /// It resets the connection.
    Resetting,
    /// It shuts down its side without close_notify.
    Truncating,
    /// It sends close_notify, and no more.
    Announcing,
    /// It sends close_notify, and resets the connection.
    AnnouncingAndResetting,
}

impl Leaves {
    /// Draws one of the ways that exist only with TLS.
    pub(crate) fn secured(dice: &mut Rng) -> Leaves {
        let ways = [Leaves::Truncating, Leaves::Announcing, Leaves::AnnouncingAndResetting];
        dice.pick(&ways)
    }

    /// Lets the client leave.
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

/// What a client does to its TLS records.
#[derive(Debug)]
pub(crate) struct Records {
    dice: Rng,
    /// How often it may still update its keys; no more often than is accepted.
    changes: u32,
    /// True if it inserts invalid records.
    spoils: bool,
}

impl Records {
    pub(crate) fn draw(seed: u64) -> Records {
        Records { dice: Rng::new(seed), changes: 8, spoils: false }
    }

    /// The same for a hostile client, which may insert invalid records.
    pub(crate) fn spoiled(self, spoils: bool) -> Records {
        Records { spoils, ..self }
    }

    /// Sometimes updates the keys or inserts an invalid record.
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

/// Makes clients use TLS, except for some hostile ones, which use plain HTTP at the TLS listener.
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
