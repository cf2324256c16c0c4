//! What is said about the certificates of `[[tls.certificate]]` that can be used, and may still not
//! do what is wanted.

use super::Config;
use crate::net::tls::Pair;
use crate::time::date;

/// How long before its end a certificate is warned of. Whoever renews it by itself does that
/// earlier: certbot a third of the validity, or 30 days.
const SOON_SECONDS: u64 = 14 * DAY_SECONDS;

const DAY_SECONDS: u64 = 24 * 3600;

impl Config {
    /// Warnings about certificates that are not valid at this time, or not for long, one line each.
    /// The time is in milliseconds since 1970.
    pub fn expiries(&self, unix_ms: u64) -> Vec<String> {
        let about = |(file, pair): (&str, &Pair)| {
            let what = expiry(pair.valid(), unix_ms / 1000)?;
            Some(format!("tls.certificate: {file} {what}"))
        };
        self.pairs().filter_map(about).collect()
    }

    /// The certificates that are shown, each with its file.
    fn pairs(&self) -> impl Iterator<Item = (&str, &Pair)> {
        let certificates = self.tls.certificates.iter();
        certificates.filter_map(|own| Some((own.files[0].as_str(), own.pair.as_ref()?)))
    }

    /// Warnings about certificates that can be used, and better were others.
    pub(super) fn about_certificates(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (file, pair) in self.pairs() {
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
        self.pairs().filter(|(_, pair)| pair.is_alone()).map(|(file, _)| {
            format!(
                "tls.certificate: {file} has no certificate of its issuer; clients that do not \
                know that one refuse it, so use the whole chain (certbot: fullchain.pem)"
            )
        })
    }
}

/// What there is to say at this time about a validity, all in seconds since 1970.
fn expiry([first, last]: [u64; 2], now: u64) -> Option<String> {
    let day = |seconds: u64| date::utc(seconds * 1000)[..10].to_owned();
    Some(if now < first {
        format!("is not valid before {}, so clients refuse it; look at the clock", day(first))
    } else if now > last {
        format!("expired on {}, so clients refuse it; renew it, and reload", day(last))
    } else if last - now < SOON_SECONDS {
        let days = (last - now) / DAY_SECONDS;
        format!("expires on {}, in {days} days; renew it, and reload", day(last))
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
        let check = |now, want: Option<&str>| assert_eq!(expiry(valid, now).as_deref(), want);
        let early = "is not valid before 1970-04-11, so clients refuse it; look at the clock";
        check(100 * DAY_SECONDS - 1, Some(early));
        check(100 * DAY_SECONDS, None);
        check(186 * DAY_SECONDS - 1, None);
        check(186 * DAY_SECONDS, Some("expires on 1970-07-19, in 13 days; renew it, and reload"));
        check(
            200 * DAY_SECONDS - 1,
            Some("expires on 1970-07-19, in 0 days; renew it, and reload"),
        );
        let late = "expired on 1970-07-19, so clients refuse it; renew it, and reload";
        check(200 * DAY_SECONDS, Some(late));
    }
}
