//! What is said about the certificates of `[[tls.certificate]]` and `[api.upstream_tls]` that can
//! be used, and may still not do what is wanted.

use super::upstream_tls::Asks;
use super::{Config, Tls};
use crate::net::tls::Pair;
use crate::time::date::day;
use std::time::Duration;

/// How long before its end a certificate is warned of. Whoever renews it by itself does that
/// earlier: certbot a third of the validity, or 30 days.
const SOON_SECONDS: u64 = 14 * DAY_SECONDS;

const DAY_SECONDS: u64 = 24 * 3600;

/// A certificate that is not valid, or will soon not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Which one and until when: one line, with the days that are left.
    pub text: String,
    /// Whether it is valid now.
    pub is_valid: bool,
}

impl Tls {
    /// The certificates that are not valid at this time, in milliseconds since 1970, or not for
    /// long.
    pub fn expiries(&self, unix_ms: u64) -> Vec<Expiry> {
        let about = |Shown { to, file, pair }: Shown<'_>| {
            let (now, [first, last]) = (unix_ms / 1000, pair.valid());
            let what = expiry([first, last], now, to)?;
            let text = format!("{}: {file} {what}", to.key());
            Some(Expiry { text, is_valid: (first..=last).contains(&now) })
        };
        self.shown().filter_map(about).collect()
    }

    /// The certificates that are shown: the file of each, as configured, and the last second of its
    /// validity, since 1970. Each file is there once.
    pub fn certificates(&self) -> Vec<(&str, u64)> {
        let mut out: Vec<(&str, u64)> = Vec::new();
        for Shown { file, pair, .. } in self.shown() {
            if !out.iter().any(|(known, _)| *known == file) {
                out.push((file, pair.valid()[1]));
            }
        }
        out
    }

    /// What a handshake with a client takes the event loop, with the slowest of the keys, unless
    /// that is an unusual one. Measured, and rounded up. Where clients show certificates, it takes
    /// longer: those and what clients have signed are verified (P-256).
    pub fn handshake_cost(&self) -> Duration {
        let is_slow = self.pairs().any(|(_, pair)| pair.has_rsa_key());
        let own = if is_slow { 1000 } else { 300 };
        let theirs = if self.verify_client.is_some() { 200 } else { 0 };
        Duration::from_micros(own + theirs)
    }

    /// The certificates that are shown to clients, each with its file.
    fn pairs(&self) -> impl Iterator<Item = (&str, &Pair)> {
        let certificates = self.certificates.iter();
        certificates.filter_map(|own| Some((own.files[0].as_str(), own.pair.as_ref()?)))
    }

    /// All certificates that are shown.
    fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        let upstreams = self.upstreams.iter().filter_map(|own| {
            let [file, _] = own.settings.identity.as_ref()?;
            let to = match own.asks {
                Asks::Targets => To::Targets,
                Asks::AuthServer => To::AuthServers,
            };
            Some(Shown { to, file, pair: own.identity.as_ref()? })
        });
        self.pairs().map(|(file, pair)| Shown { to: To::Clients, file, pair }).chain(upstreams)
    }
}

/// A certificate that is shown.
struct Shown<'a> {
    to: To,
    file: &'a str,
    pair: &'a Pair,
}

/// Whom a certificate is shown to.
#[derive(Clone, Copy)]
enum To {
    Clients,
    Targets,
    AuthServers,
}

impl To {
    /// The key that names its file.
    const fn key(self) -> &'static str {
        match self {
            To::Clients => "tls.certificate",
            To::Targets => "api.upstream_tls.certificate",
            To::AuthServers => "api.auth.upstream_tls.certificate",
        }
    }

    const fn who(self) -> &'static str {
        match self {
            To::Clients => "clients",
            To::Targets => "targets",
            To::AuthServers => "auth servers",
        }
    }
}

impl Config {
    /// Warnings about certificates that can be used, and better were others.
    pub(super) fn about_certificates(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (file, pair) in self.tls.pairs() {
            if pair.has_rsa_key() {
                out.push(format!(
                    "tls.certificate: {file} has an RSA key: a handshake takes six times as long \
                    as with P-256, and everybody waits for it; ask for an ECDSA key (certbot: \
                    --key-type ecdsa)"
                ));
            }
            if pair.names().is_empty() && !seen.is_empty() {
                out.push(format!(
                    "tls.certificate: {file} is for no name, so nobody is shown it; only the first \
                    one is for clients that ask for none"
                ));
            }
            for name in pair.names() {
                match seen.iter().find(|(known, _)| known == name) {
                    Some((_, other)) if *other != file => out.push(format!(
                        "tls.certificate: {file} is for {name}, and not shown for it: {other} is \
                        for it, too, and comes first"
                    )),
                    Some(_) => {}
                    None => seen.push((name, file)),
                }
            }
        }
        out
    }

    /// Remarks about certificates, for `--check` only.
    pub(super) fn remarks_about_certificates(&self) -> impl Iterator<Item = String> {
        self.tls.pairs().filter(|(_, pair)| pair.is_alone()).map(|(file, _)| {
            format!(
                "tls.certificate: {file} has no certificate of its issuer; clients that do not \
                know that one refuse it, so use the whole chain (certbot: fullchain.pem)"
            )
        })
    }
}

/// What there is to say at this time about a validity, all in seconds since 1970.
fn expiry([first, last]: [u64; 2], now: u64, to: To) -> Option<String> {
    let who = to.who();
    Some(if now < first {
        format!("is not valid before {}, so {who} refuse it; look at the clock", day(first))
    } else if now > last {
        let ago = match (now - last) / DAY_SECONDS {
            0 => "within the last day".to_owned(),
            1 => "a day ago".to_owned(),
            days => format!("{days} days ago"),
        };
        format!("expired on {}, {ago}, so {who} refuse it; renew it", day(last))
    } else if last - now < SOON_SECONDS {
        let left = match (last - now) / DAY_SECONDS {
            0 => "within a day".to_owned(),
            1 => "within two days".to_owned(),
            days => format!("in {days} days"),
        };
        format!("expires on {}, {left}; renew it", day(last))
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_days() {
        let valid = [100 * DAY_SECONDS, 200 * DAY_SECONDS - 1];
        let check = |now, want: Option<&str>| {
            assert_eq!(expiry(valid, now, To::Clients).as_deref(), want);
        };
        let early = "is not valid before 1970-04-11, so clients refuse it; look at the clock";
        check(100 * DAY_SECONDS - 1, Some(early));
        check(100 * DAY_SECONDS, None);
        check(186 * DAY_SECONDS - 1, None);
        check(186 * DAY_SECONDS, Some("expires on 1970-07-19, in 13 days; renew it"));
        check(200 * DAY_SECONDS - 1, Some("expires on 1970-07-19, within a day; renew it"));
        let late = "expired on 1970-07-19, within the last day, so clients refuse it; renew it";
        check(200 * DAY_SECONDS, Some(late));
    }
}
