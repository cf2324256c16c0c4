//! What upstreams grant to pages of other origins, when the decision is theirs (WHATWG Fetch, "CORS
//! check").
//!
//! While an upstream is down, a head of ours replaces its own. A browser shows the stream to the
//! page that the head names, so the head may name a page only if the upstream's last response did.
//! When the upstream is back, its stream is passed on only if it grants at least what our head told
//! the client ([`Page::may_read_latest`]).
//!
//! Only a grant by an upstream creates an entry, and there are never more than [`GRANTS_MAX`].
//!
//! An entry is for an api, an origin and a kind of credentials; the oldest is dropped to make room.
//! A held stream names its origin, never `*`. Fields that `response_headers` sets or removes are
//! part of the grant, as the client sees it. A stream whose head granted nothing is always
//! continued: a browser shows its page nothing of it, and programs that send an Origin are served
//! as before. A browser that has no credentials to send does not say whether it would send them, so
//! the decision depends on what the client was told, not on what it sent.
//!
//! Tested against tables.

use super::{VARY_ORIGIN, check_origin};
use crate::http::fields::{ALLOW_CREDENTIALS, ALLOW_ORIGIN, Field};
use std::collections::VecDeque;

/// Maximum number of grants remembered for one api's upstream. Another one replaces the oldest.
pub const GRANTS_MAX: usize = 256;

/// Maximum length of an origin that is considered, in bytes: a scheme, a host of 253 characters,
/// and a port.
pub const ORIGIN_MAX: usize = 300;

/// The credentials in a request. A script can set Authorization on a request that its browser sends
/// without credentials, but not Cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// No credentials. The browser may have been willing to send cookies but had none.
    None,
    /// Authorization without Cookie.
    Authorization,
    /// Cookie: the browser requires that credentials are allowed.
    Cookie,
}

/// The permission that an upstream gives to a page. Later variants include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpstreamGrant {
    /// To read responses to requests without credentials.
    WithoutCredentials,
    /// To read responses to requests with credentials, too.
    WithCredentials,
}

/// The page that sent a request, and what it was granted.
#[derive(Debug)]
pub struct Page {
    origin: Box<str>,
    credentials: Credentials,
    /// True if it seems to be a page of the requested origin itself, which may read the stream
    /// without a grant.
    pub is_own: bool,
    /// The grant in the head that the client received, ours or the upstream's. None: its browser
    /// shows the page nothing of the stream.
    pub told: Option<UpstreamGrant>,
    /// The grant in the upstream's latest response.
    pub latest: Option<UpstreamGrant>,
}

impl Page {
    /// Creates the page of a request with this Origin. None if no browser sends such an origin.
    pub fn of(origin: &[u8], credentials: Credentials) -> Option<Box<Page>> {
        let origin = str::from_utf8(origin).ok().filter(|text| text.len() <= ORIGIN_MAX)?;
        check_origin(origin).ok()?;
        let origin = origin.into();
        Some(Box::new(Page { origin, credentials, is_own: false, told: None, latest: None }))
    }

    /// True if the page comes from this host and port, over whatever scheme.
    pub fn is_at(&self, authority: &str) -> bool {
        self.origin.split_once("://").is_some_and(|(_, at)| at.eq_ignore_ascii_case(authority))
    }

    /// What a response grants this page, given its values of Access-Control-Allow-Origin and
    /// Access-Control-Allow-Credentials. Each counts only if it occurs exactly once.
    /// Case-sensitive.
    pub fn granted(
        &self,
        allow_origin: Option<&[u8]>,
        allow_credentials: Option<&[u8]>,
    ) -> Option<UpstreamGrant> {
        let allowed = allow_origin?;
        let named = allowed == self.origin.as_bytes();
        if named && allow_credentials == Some(b"true") {
            return Some(UpstreamGrant::WithCredentials);
        }
        let readable = (named || allowed == b"*") && self.credentials != Credentials::Cookie;
        readable.then_some(UpstreamGrant::WithoutCredentials)
    }

    /// True if the upstream's latest response grants everything that the client was told.
    pub fn may_read_latest(&self) -> bool {
        self.latest >= self.told
    }

    /// The fields of a head of ours. They always name the origin: `*` would open the upstream's
    /// events to pages that it never granted them.
    pub fn fields(&self) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        if self.told.is_some() {
            fields.push((ALLOW_ORIGIN, &*self.origin));
        }
        if self.told == Some(UpstreamGrant::WithCredentials) {
            fields.push((ALLOW_CREDENTIALS, "true"));
        }
        fields.push(VARY_ORIGIN);
        fields
    }
}

/// The last grants of an api's upstream, by origin and credentials.
#[derive(Debug, Default)]
pub struct Grants(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    origin: Box<str>,
    credentials: Credentials,
    grant: UpstreamGrant,
}

impl Grants {
    /// The last grant to a page with this origin and these credentials.
    pub fn find(&self, page: &Page) -> Option<UpstreamGrant> {
        self.0.iter().find(|entry| entry.is_of(page)).map(|entry| entry.grant)
    }

    /// Records the upstream's latest response. If it grants nothing, an earlier grant is withdrawn.
    pub fn note(&mut self, page: &Page) {
        let known = self.0.iter().position(|entry| entry.is_of(page));
        let known = known.and_then(|index| self.0.remove(index));
        let Some(grant) = page.latest else { return };
        if self.0.len() >= GRANTS_MAX {
            self.0.pop_front();
        }
        let origin = known.map_or_else(|| page.origin.clone(), |entry| entry.origin);
        self.0.push_back(Entry { origin, credentials: page.credentials, grant });
    }
}

impl Entry {
    fn is_of(&self, page: &Page) -> bool {
        self.credentials == page.credentials && self.origin == page.origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UpstreamGrant::{WithCredentials, WithoutCredentials};

    const APP: &str = "https://app.example";

    fn page(origin: &str, credentials: Credentials) -> Box<Page> {
        Page::of(origin.as_bytes(), credentials).unwrap()
    }

    #[test]
    fn pages() {
        for origin in [APP, "null", "http://localhost:3000"] {
            assert!(Page::of(origin.as_bytes(), Credentials::None).is_some(), "{origin}");
        }
        let long = format!("https://{}.example", "a".repeat(ORIGIN_MAX));
        for origin in ["", "*", "https://App.example", "https://app.example/", &long] {
            assert!(Page::of(origin.as_bytes(), Credentials::None).is_none(), "{origin}");
        }
        assert!(Page::of(b"https://\xff.example", Credentials::None).is_none());
    }

    #[test]
    fn a_page_of_the_requested_origin() {
        let check = |origin: &str, want| {
            let at = page(origin, Credentials::None).is_at("App.example:8080");
            assert_eq!(at, want, "{origin}");
        };
        check("https://app.example:8080", true);
        check("http://app.example:8080", true);
        check("https://app.example", false);
        check("https://a.app.example:8080", false);
        check("null", false);
    }

    #[test]
    fn what_a_response_grants() {
        let check = |allow_origin: Option<&str>, allow_credentials: Option<&str>, want| {
            let [origin, credentials] =
                [allow_origin, allow_credentials].map(|value| value.map(str::as_bytes));
            let sent = [Credentials::None, Credentials::Authorization, Credentials::Cookie];
            let got = sent.map(|sent| page(APP, sent).granted(origin, credentials));
            assert_eq!(got, want, "{allow_origin:?} {allow_credentials:?}");
        };
        let plain = Some(WithoutCredentials);
        check(None, None, [None; 3]);
        check(None, Some("true"), [None; 3]);
        check(Some(APP), None, [plain, plain, None]);
        check(Some(APP), Some("true"), [Some(WithCredentials); 3]);
        for not_true in ["True", "TRUE", "false", "", "1", "true, true"] {
            check(Some(APP), Some(not_true), [plain, plain, None]);
        }
        check(Some("*"), None, [plain, plain, None]);
        check(Some("*"), Some("true"), [plain, plain, None]);
        for other in [
            "https://b.example",
            "https://app.example/",
            "https://APP.example",
            "https://app.example, https://app.example",
            "null",
            "",
        ] {
            check(Some(other), Some("true"), [None; 3]);
        }
    }

    #[test]
    fn what_a_head_of_ours_says() {
        let origin = ("Access-Control-Allow-Origin", "null");
        let credentials = ("Access-Control-Allow-Credentials", "true");
        let vary = ("Vary", "Origin");
        let mut page = page("null", Credentials::None);
        for (told, want) in [
            (None, vec![vary]),
            (Some(WithoutCredentials), vec![origin, vary]),
            (Some(WithCredentials), vec![origin, credentials, vary]),
        ] {
            page.told = told;
            assert_eq!(page.fields(), want);
        }
    }

    #[test]
    fn what_is_passed_on() {
        let rising = [None, Some(WithoutCredentials), Some(WithCredentials)];
        let mut page = page(APP, Credentials::None);
        for (told, latest, may) in [
            (0, 0, true),
            (0, 2, true),
            (1, 0, false),
            (1, 1, true),
            (1, 2, true),
            (2, 0, false),
            (2, 1, false),
            (2, 2, true),
        ] {
            (page.told, page.latest) = (rising[told], rising[latest]);
            assert_eq!(page.may_read_latest(), may, "{:?} {:?}", page.told, page.latest);
        }
    }

    #[test]
    fn what_is_remembered() {
        let mut grants = Grants::default();
        let note = |grants: &mut Grants, origin: &str, credentials, latest| {
            let mut page = page(origin, credentials);
            page.latest = latest;
            grants.note(&page);
        };
        let plain = Some(WithoutCredentials);
        note(&mut grants, APP, Credentials::None, plain);
        note(&mut grants, "null", Credentials::Cookie, Some(WithCredentials));
        let find = |grants: &Grants, origin, credentials| grants.find(&page(origin, credentials));
        assert_eq!(find(&grants, APP, Credentials::None), plain);
        assert_eq!(find(&grants, "null", Credentials::Cookie), Some(WithCredentials));
        for (origin, credentials) in [
            (APP, Credentials::Cookie),
            (APP, Credentials::Authorization),
            ("null", Credentials::None),
            ("https://b.example", Credentials::None),
        ] {
            assert_eq!(find(&grants, origin, credentials), None, "{origin} {credentials:?}");
        }
        // The last response counts, even if it grants nothing.
        note(&mut grants, APP, Credentials::None, Some(WithCredentials));
        assert_eq!(find(&grants, APP, Credentials::None), Some(WithCredentials));
        note(&mut grants, APP, Credentials::None, None);
        assert_eq!(find(&grants, APP, Credentials::None), None);
        assert_eq!(grants.0.len(), 1);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut grants = Grants::default();
        let origin = |n: usize| format!("https://{n}.example");
        let note = |grants: &mut Grants, n, latest| {
            let mut page = page(&origin(n), Credentials::None);
            page.latest = latest;
            grants.note(&page);
        };
        let plain = Some(WithoutCredentials);
        (0..GRANTS_MAX).for_each(|n| note(&mut grants, n, plain));
        // A response that grants nothing takes no entry.
        (0..GRANTS_MAX).for_each(|n| note(&mut grants, GRANTS_MAX + n, None));
        note(&mut grants, 0, plain);
        note(&mut grants, GRANTS_MAX, plain);
        assert_eq!(grants.0.len(), GRANTS_MAX);
        let knows = |n| grants.find(&page(&origin(n), Credentials::None)).is_some();
        assert!(knows(0) && !knows(1) && knows(2) && knows(GRANTS_MAX));
    }
}
