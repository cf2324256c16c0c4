//! Warnings about certificates in `[[tls.certificate]]` and `[api.upstream_tls]`, and about
//! revocation lists in `client_crl`, that can be used but may not do what is wanted.

use crate::config::tables::upstream_tls::Asks;
use crate::config::{Config, Tls};
use crate::net::tls::{Pair, RevocationList, RevocationLists};
use crate::time::date::day;
use std::time::Duration;

/// How long before its expiry a certificate is warned of. Automatic renewal is earlier: certbot
/// renews after two thirds of the validity, or 30 days before the expiry.
const SOON_SECONDS: u64 = 14 * DAY_SECONDS;

const DAY_SECONDS: u64 = 24 * 3600;

/// How much longer a revocation list may make a handshake without a warning.
const LIST_COST_MAX: Duration = Duration::from_millis(1);

/// A certificate or revocation list that is not valid, or soon will not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Which one, and when it expires: one line, with the number of days left.
    pub text: String,
    /// Whether it is valid at present.
    pub is_valid: bool,
    /// When it becomes valid, expires or has expired, in seconds since 1970.
    pub at: u64,
}

impl Tls {
    /// The certificates and revocation lists that are not valid at this time, in milliseconds since
    /// 1970, or expire soon after it.
    pub fn expiries(&self, unix_ms: u64) -> Vec<Expiry> {
        let about = |Shown { to, file, pair }: Shown<'_>| {
            let (now, [first, last]) = (unix_ms / 1000, pair.valid());
            let what = expiry([first, last], now, to)?;
            let text = format!("{}: {file} {what}", to.key());
            let at = if now < first { first } else { last };
            Some(Expiry { text, is_valid: (first..=last).contains(&now), at })
        };
        self.shown().filter_map(about).chain(self.overdue(unix_ms / 1000)).collect()
    }

    /// The revocation lists that are due for replacement at this time, in seconds since 1970.
    fn overdue(&self, now: u64) -> impl Iterator<Item = Expiry> {
        self.lists()
            .flat_map(|(file, lists)| lists.all().iter().map(move |list| (file, list)))
            .filter_map(move |(file, RevocationList { issuer, updates, .. })| {
                let what = overdue(*updates, now)?;
                let text = format!("tls.client_crl: the list of {issuer} in {file} {what}");
                Some(Expiry { text, is_valid: now < updates[1], at: updates[1] })
            })
    }

    /// The revocation lists for clients' certificates, if there are any, with their file.
    fn lists(&self) -> impl Iterator<Item = (&str, &RevocationLists)> {
        let verify = self.verify_client.iter();
        verify.filter_map(|own| Some((own.client_crl.as_deref()?, own.revoked.as_ref()?)))
    }

    /// The revocation lists for clients' certificates: the issuer of each, and when it has to be
    /// replaced, in seconds since 1970. Each issuer occurs once, with the list that expires first.
    pub fn revocation_lists(&self) -> Vec<(&str, u64)> {
        first_to_expire(self.lists().flat_map(|(_, own)| own.all()))
    }

    /// Warnings about the revocation lists for clients' certificates.
    pub(crate) fn about_lists(&self) -> Vec<String> {
        let mut out = Vec::new();
        let authorities = self.verify_client.as_ref().map_or(&[][..], |own| &own.authorities);
        for (file, lists) in self.lists() {
            out.extend(lists.missing(authorities).into_iter().map(|authority| {
                format!(
                    "tls.client_crl: {file} has no list of {authority}, so the clients that it has \
                    issued certificates to are refused"
                )
            }));
            let cost = list_cost(lists);
            if cost > LIST_COST_MAX {
                out.push(format!(
                    "tls.client_crl: the largest list in {file} has {} KB, which takes each \
                    handshake {} ms, and everybody waits for it; let the authority split it \
                    (issuingDistributionPoint), or issue certificates for a shorter time",
                    lists.largest() / 1000,
                    cost.as_millis()
                ));
            }
        }
        out
    }

    /// The certificates that the proxy shows: the file of each, as configured, and the last second
    /// of its validity, since 1970. Each file occurs once.
    pub fn certificates(&self) -> Vec<(&str, u64)> {
        let mut out: Vec<(&str, u64)> = Vec::new();
        for Shown { file, pair, .. } in self.shown() {
            if !out.iter().any(|(known, _)| *known == file) {
                out.push((file, pair.valid()[1]));
            }
        }
        out
    }

    /// How long a handshake with a client occupies the event loop, with the slowest of the keys
    /// unless that is of an unusual kind. Measured, and rounded up. Where clients show
    /// certificates, a handshake takes longer: it verifies their certificate, their signature
    /// (P-256), and the revocation lists of their issuer.
    pub fn handshake_cost(&self) -> Duration {
        let is_slow = self.pairs().any(|(_, pair)| pair.has_rsa_key());
        let own = if is_slow { 1000 } else { 300 };
        let theirs = if self.verify_client.is_some() { 200 } else { 0 };
        let lists = self.lists().map(|(_, lists)| list_cost(lists)).sum::<Duration>();
        Duration::from_micros(own + theirs) + lists
    }

    /// The certificates for clients, each with its file.
    fn pairs(&self) -> impl Iterator<Item = (&str, &Pair)> {
        let certificates = self.certificates.iter();
        certificates.filter_map(|own| Some((own.files[0].as_str(), own.pair.as_ref()?)))
    }

    /// All certificates that the proxy shows.
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

/// A certificate that the proxy shows.
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
    /// Describes the revocation lists, one line each, for `--check`.
    pub fn told_of_lists(&self) -> String {
        let mut out = String::new();
        for (file, lists) in self.tls.lists() {
            for RevocationList { issuer, updates, revoked } in lists.all() {
                let many = if *revoked == 1 { "" } else { "s" };
                let until = day(updates[1]);
                out += &format!(
                    "{issuer} has revoked {revoked} certificate{many}: {file}, until {until}\n"
                );
            }
        }
        out
    }

    /// Warnings about certificates that can be used, but should be replaced.
    pub(crate) fn about_certificates(&self) -> Vec<String> {
        let mut out = self.tls.about_lists();
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
    pub(crate) fn remarks_about_certificates(&self) -> impl Iterator<Item = String> {
        self.tls.pairs().filter(|(_, pair)| pair.is_alone()).map(|(file, _)| {
            format!(
                "tls.certificate: {file} has no certificate of its issuer; clients that do not \
                know that one refuse it, so use the whole chain (certbot: fullchain.pem)"
            )
        })
    }
}

/// The warning, if any, about a certificate with this validity at this time, all in seconds since
/// 1970.
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

/// The issuers of revocation lists, each with the time at which the first of its lists expires.
fn first_to_expire<'l>(lists: impl Iterator<Item = &'l RevocationList>) -> Vec<(&'l str, u64)> {
    let mut out: Vec<(&str, u64)> = Vec::new();
    for RevocationList { issuer, updates: [_, next], .. } in lists {
        match out.iter_mut().find(|(known, _)| known == issuer) {
            Some((_, first)) => *first = (*first).min(*next),
            None => out.push((issuer, *next)),
        }
    }
    out
}

/// How much longer revocation lists make a handshake: each handshake verifies a list's signature,
/// which covers all its bytes. Measured, and rounded up.
fn list_cost(lists: &RevocationLists) -> Duration {
    Duration::from_micros((100 + lists.largest() as u64 / 500) * lists.times() as u64)
}

/// The warning, if any, at this time about a revocation list that was `issued` then and has to be
/// replaced by `next`, all in seconds since 1970. Some lists are valid for hours and others for a
/// year, so the warning begins with the last tenth of the validity.
fn overdue([issued, next]: [u64; 2], now: u64) -> Option<String> {
    let soon = (next.saturating_sub(issued) / 10).min(SOON_SECONDS);
    let (day, away) = (day(next), hours_or_days(next.abs_diff(now)));
    if now >= next {
        return Some(format!(
            "expired on {day}, {away} ago, so everybody whose certificate it is about is \
            refused; replace it"
        ));
    }
    (next - now < soon).then(|| format!("expires on {day}, in {away}; replace it"))
}

/// A time in words.
fn hours_or_days(seconds: u64) -> String {
    match seconds / 3600 {
        0 => "less than an hour".to_owned(),
        hours @ 1..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hours_of_a_list() {
        let updates = [100 * DAY_SECONDS, 110 * DAY_SECONDS];
        let check = |now, want: Option<&str>| assert_eq!(overdue(updates, now).as_deref(), want);
        check(0, None);
        check(109 * DAY_SECONDS, None);
        check(109 * DAY_SECONDS + 1, Some("expires on 1970-04-21, in 23 h; replace it"));
        let late = "expired on 1970-04-21, less than an hour ago, so everybody whose \
            certificate it is about is refused; replace it";
        check(110 * DAY_SECONDS, Some(late));
        assert_eq!(overdue([0, 1000 * DAY_SECONDS], 985 * DAY_SECONDS), None);
        assert!(overdue([0, 1000 * DAY_SECONDS], 987 * DAY_SECONDS).is_some());
        assert_eq!(overdue([5, 0], 0).as_deref().map(|text| &text[..7]), Some("expired"));
    }

    /// Of parts of a list the newest comes first, and another one may expire earlier.
    #[test]
    fn the_list_that_expires_first() {
        let list = |issuer: &str, next| RevocationList {
            issuer: issuer.to_owned(),
            updates: [0, next],
            revoked: 0,
        };
        let lists = [list("a", 30), list("b", 25), list("a", 10), list("a", 20)];
        assert_eq!(first_to_expire(lists.iter()), [("a", 10), ("b", 25)]);
    }

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
