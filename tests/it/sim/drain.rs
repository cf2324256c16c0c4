//! A world that drains: the times of each step, and what must be true.
//!
//! Endless clients are watched ([`Endless`]): they must be served until their time has come, and be
//! gone soon after. All others are judged by [`super::client`].

use super::endless::{Endless, Kind, PACE};
use super::terms::Terms;
use millstream::testing::rng::Rng;
use millstream::testing::{Drain, Tick};
use std::time::Duration;

/// How late the proxy may act.
const LATE: Duration = Duration::from_millis(2);

/// How long clients have for reading their last bytes.
const LINGER: Duration = Duration::from_secs(5);

/// Long enough for everything that ends by itself.
const PATIENT: Duration = Duration::from_secs(3600);

/// Long enough for a subscription to be ended properly.
const UNHURRIED: Duration = Duration::from_secs(1);

/// A drain, from the signal on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draining {
    /// When the signal comes.
    pub(crate) at: Tick,
    /// The configured times.
    pub(crate) times: Drain,
    /// When a second signal comes.
    pub(crate) again_at: Tick,
    /// The most clients that there can be when the port closes.
    pub(crate) clients: usize,
    /// True if the second signal has come.
    pub(crate) has_ended: bool,
    /// True if nothing but the drain ends endless clients.
    is_fair: bool,
}

impl Draining {
    pub(crate) fn draw(at: Tick, rng: &mut Rng, drain: Drain) -> Draining {
        let ms = Duration::from_millis;
        let delay = rng.pick(&[ms(0), ms(0), ms(1), ms(500), PATIENT]);
        let window = rng.pick(&[ms(1), ms(200), ms(1000), ms(4000), ms(30_000)]);
        let answers = rng.pick(&[ms(1), ms(500), ms(4000), ms(20_000), PATIENT]);
        let again_at = match rng.chance(10) {
            true => at.after(ms(rng.below(5000))),
            false => Tick::NEVER,
        };
        let times = Drain { delay, window, answers, ..drain };
        Draining { at, times, again_at, clients: 0, has_ended: false, is_fair: false }
    }

    /// Adds the drain to a world with this number of clients, and adapts its terms.
    pub(crate) fn come_to(&mut self, clients: usize, terms: &mut Terms) {
        self.clients = clients;
        self.is_fair = terms.kind && !terms.ends && !terms.scarce && terms.event_max > 0;
        let once = self.again_at == Tick::NEVER;
        let patient = self.times.answers == PATIENT && once;
        (terms.drains, terms.ends) = (true, true);
        terms.ends_answers |= !patient;
        terms.awaits_all = self.times.delay == PATIENT && once;
    }

    fn closes_at(&self) -> Tick {
        self.at.after(self.times.delay).min(self.again_at)
    }

    /// When all clients must be gone.
    pub(crate) fn over_at(&self) -> Tick {
        let longer = self.times.window.max(self.times.answers);
        let over = self.at.after(self.times.delay).after(longer).after(LINGER);
        over.min(self.again_at).after(LATE)
    }

    /// Checks that endless clients were served until their time had come, and no longer.
    ///
    /// # Errors
    /// If one of them was not.
    pub(crate) fn judge(&self, endless: &[Endless]) -> Result<(), String> {
        if !self.is_fair {
            return Ok(());
        }
        let mut ends = Vec::new();
        for client in endless {
            let Some(ended) = client.ended_at else { continue };
            let told = |what: &str| {
                let Endless { kind, address, .. } = client;
                Err(format!("{what}: {kind:?} of {address}, {ended:?}, {self:?}"))
            };
            let quiet = client.kind == Kind::Quiet;
            let began = if quiet { Some(client.starts_at) } else { client.answered_at };
            if began.is_none_or(|began| began >= self.closes_at()) {
                continue;
            }
            // An empty stream sent because there was no upstream ends at once, and one that began
            // with an early response ends once there is no upstream.
            let heard = |text: &[u8]| client.heard.windows(text.len()).any(|part| part == text);
            let failed = ended < self.at && heard(b"retry: ") && !heard(b"data: {}");
            if heard(b"Content-Length") || failed {
                continue;
            }
            let end = client.heard.ends_with(b"0\r\n\r\n");
            if quiet || client.kind == Kind::Subscription {
                let over = self.closes_at().after(self.times.window).min(self.again_at);
                if ended > over.after(LATE) {
                    return told("a subscription outlives the window");
                }
            }
            if quiet {
                continue;
            }
            if client.kind == Kind::Subscription {
                let properly = end && heard(b"retry: ");
                if ended < self.again_at && self.times.window >= UNHURRIED && !properly {
                    return told("a subscription was not ended properly");
                }
                ends.push(ended);
                continue;
            }
            let over = self.closes_at().after(self.times.answers).min(self.again_at);
            if ended < over {
                return told("cut before its time");
            }
            // The last bytes of an answer may take a moment.
            let late = if client.kind == Kind::Answer { LINGER } else { LATE };
            if ended > over.after(late) {
                return told("something outlives its time");
            }
            if client.kind == Kind::Answer && end {
                return told("an answer that looks complete");
            }
            let between = [&b"\r\n\r\n"[..], b"\n\n\r\n"];
            // An event that was incomplete when the port closed has been completed since.
            let whole = self.times.answers > 2 * PACE && ended < self.again_at;
            let between = between.iter().any(|end| client.heard.ends_with(end));
            if client.kind == Kind::Answer && whole && !between {
                return told("an answer was cut within an event");
            }
        }
        ends.sort_unstable();
        let window = self.times.window.mul_f64(0.9);
        for (rank, end) in (0..).zip(ends).filter(|(_, end)| *end < self.again_at) {
            let share = window * rank / u32::try_from(self.clients.max(1)).unwrap_or(u32::MAX);
            if end.after(LATE) < self.closes_at().after(share) {
                return Err(format!("the ends are not spread: {end:?} is no {rank} of {self:?}"));
            }
        }
        Ok(())
    }
}
