//! Which pages of other origins may read an api (WHATWG Fetch, "HTTP-CORS protocol").
//!
//! A browser sends a *preflight* before any request that a form could not send, and checks each
//! response before the page may see it. This protects only against pages: a request from an
//! unlisted origin is served like any other, but its page cannot read the response.
//!
//! Serialised origins are compared byte by byte. `null` is an origin like any other, shared by
//! every sandboxed frame, so it has to be listed explicitly.
//!
//! Without a policy the upstream decides ([`grants`]).
//!
//! Tested against tables.

pub mod grants;

pub use crate::http::fields::Field;

use crate::http::fields::{ALLOW_CREDENTIALS, ALLOW_ORIGIN, EXPOSE_HEADERS, OriginFields};

/// The CORS policy of an api.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The allowed origins, serialised. Ignored if `any`.
    pub origins: Vec<String>,
    /// True if every origin is allowed.
    pub any: bool,
    /// The allowed methods, as a list.
    pub methods: String,
    /// The request fields that a page may send in addition to those that are always allowed, as a
    /// list.
    pub headers: String,
    /// The response fields that a page may read in addition to those that are always allowed, as a
    /// list that may be empty. None: the upstream decides.
    pub expose: Option<String>,
    /// True if a page may send cookies. Never together with `any`.
    pub credentials: bool,
    /// How many seconds a browser may cache a preflight. Empty: the field is omitted.
    pub max_age: String,
}

/// The permission granted to the page that sent a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grant {
    /// Nothing: it was not sent by a page, or the page's origin is not listed.
    #[default]
    Nothing,
    /// To read the response, whatever the origin.
    Any,
    /// To read the response. Holds the index of the origin in the list.
    Origin(u16),
}

/// A response cached for one origin must not be reused for another.
const VARY_ORIGIN: Field<'_> = ("Vary", "Origin");

impl Policy {
    /// Determines what a request with this Origin is granted. If every origin is allowed, this does
    /// not depend on Origin, so that one cached response serves all of them.
    pub fn grant(&self, origin: Option<&[u8]>) -> Grant {
        if self.any {
            return Grant::Any;
        }
        let mut listed = (0..=u16::MAX).zip(&self.origins);
        let found = listed.find(|(_, listed)| Some(listed.as_bytes()) == origin);
        found.map_or(Grant::Nothing, |(number, _)| Grant::Origin(number))
    }

    /// The fields of a response other than that to a preflight.
    pub fn fields(&self, grant: Grant) -> Vec<Field<'_>> {
        let mut fields = self.common_fields(grant);
        if let Some(exposed) = &self.expose
            && !exposed.is_empty()
            && grant != Grant::Nothing
        {
            fields.push((EXPOSE_HEADERS, exposed));
        }
        fields
    }

    /// Combines [`fields`](Self::fields) with the rule for which of the upstream's fields they
    /// replace.
    pub fn origin_fields(&self, grant: Grant) -> OriginFields<'_> {
        OriginFields { fields: self.fields(grant), keeps_exposed: self.expose.is_none() }
    }

    /// The fields of every response, including that to a preflight.
    fn common_fields(&self, grant: Grant) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        let origin = match grant {
            Grant::Nothing => None,
            Grant::Any => Some("*"),
            Grant::Origin(number) => self.origins.get(usize::from(number)).map(String::as_str),
        };
        if let Some(origin) = origin {
            fields.push((ALLOW_ORIGIN, origin));
            if self.credentials {
                fields.push((ALLOW_CREDENTIALS, "true"));
            }
        }
        if !self.any {
            fields.push(VARY_ORIGIN);
        }
        fields
    }

    /// The fields of the response to a preflight.
    pub fn preflight_fields(&self, grant: Grant) -> Vec<Field<'_>> {
        let mut fields = self.common_fields(grant);
        if grant == Grant::Nothing {
            return fields;
        }
        let more = [
            ("Access-Control-Allow-Methods", &self.methods),
            ("Access-Control-Allow-Headers", &self.headers),
            ("Access-Control-Max-Age", &self.max_age),
        ];
        let told = more.into_iter().filter(|(_, value)| !value.is_empty());
        fields.extend(told.map(|(name, value)| (name, value.as_str())));
        fields
    }
}

/// Checks that `text` is an origin as browsers serialise it: `null`, or a scheme, a host, and a
/// port other than the scheme's default, all in lower case.
///
/// # Errors
/// If no browser would send it; the text says why.
pub fn check_origin(text: &str) -> Result<(), &'static str> {
    if text == "null" {
        return Ok(());
    }
    let (scheme, rest) = text.split_once("://").ok_or(NO_ORIGIN)?;
    let scheme_fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let begins = scheme.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || !scheme.chars().all(scheme_fits) || rest.is_empty() {
        return Err(NO_ORIGIN);
    }
    if rest.contains(['/', '?', '#', '@']) {
        return Err("an origin has no path; write only the scheme, the host and an optional port");
    }
    let (host, port) = match rest.find(']') {
        Some(bracket) => rest.split_at(bracket + 1),
        None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
    };
    let host_fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(host_fits) {
        return Err(NO_ORIGIN);
    }
    let own = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    match port {
        "" => Ok(()),
        port if port == own => Err("browsers leave out the scheme's own port; leave it out too"),
        port => {
            let digits = port.strip_prefix(':').ok_or(NO_ORIGIN)?;
            let canonical = digits.parse::<u16>().is_ok_and(|port| port.to_string() == digits);
            if canonical { Ok(()) } else { Err(NO_ORIGIN) }
        }
    }
}

const NO_ORIGIN: &str = "not an origin; \
    write one in lower case, like \"https://app.example\" or \"http://localhost:3000\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(origins: &[&str], credentials: bool) -> Policy {
        Policy {
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
            any: origins == ["*"],
            methods: "GET, POST".to_owned(),
            headers: String::new(),
            expose: None,
            credentials,
            max_age: "60".to_owned(),
        }
    }

    fn lines(fields: Vec<Field<'_>>) -> String {
        let lines = fields.into_iter().map(|(name, value)| {
            let name = name.strip_prefix("Access-Control-").unwrap_or(name);
            format!("{name}: {value}")
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_is_granted() {
        let check =
            |origins: &[&str], credentials, sent: Option<&str>, want: &str, before: &str| {
                let policy = policy(origins, credentials);
                let grant = policy.grant(sent.map(str::as_bytes));
                assert_eq!(lines(policy.fields(grant)), want, "{sent:?}");
                assert_eq!(
                    lines(policy.preflight_fields(grant)),
                    format!("{want}{before}"),
                    "{sent:?}"
                );
            };
        let before = "; Allow-Methods: GET, POST; Max-Age: 60";
        let listed = ["https://a.example", "null"];
        let a = "Allow-Origin: https://a.example; Vary: Origin";
        check(&listed, false, Some("https://a.example"), a, before);
        let credentials = "Allow-Origin: null; Allow-Credentials: true; Vary: Origin";
        check(&listed, true, Some("null"), credentials, before);
        for other in [
            "https://A.example",
            "https://a.example:443",
            "https://a.example.",
            "http://a.example",
            "https://a.example/",
            "https://a.example.evil",
            "a.example",
            "*",
            "",
        ] {
            check(&listed, false, Some(other), "Vary: Origin", "");
        }
        check(&listed, false, None, "Vary: Origin", "");
        check(&["*"], false, Some("https://b.example"), "Allow-Origin: *", before);
        check(&["*"], false, Some("null"), "Allow-Origin: *", before);
        check(&["*"], false, None, "Allow-Origin: *", before);
    }

    #[test]
    fn what_is_exposed() {
        let check = |expose: Option<&str>, sent: &str, want: &str, replaced: bool| {
            let expose = expose.map(str::to_owned);
            let policy = Policy { expose, ..policy(&["https://a.example"], false) };
            let grant = policy.grant(Some(sent.as_bytes()));
            assert_eq!(lines(policy.fields(grant)), want, "{sent}");
            let before = policy.preflight_fields(grant);
            assert!(before.iter().all(|(name, _)| *name != EXPOSE_HEADERS));
            assert_eq!(policy.origin_fields(grant).keeps_exposed, !replaced);
        };
        let granted = "Allow-Origin: https://a.example; Vary: Origin";
        check(None, "https://a.example", granted, false);
        check(Some(""), "https://a.example", granted, true);
        let exposed = format!("{granted}; Expose-Headers: X-A, X-B");
        check(Some("X-A, X-B"), "https://a.example", &exposed, true);
        check(Some("X-A, X-B"), "https://b.example", "Vary: Origin", true);
    }

    #[test]
    fn origins() {
        for text in [
            "null",
            "https://app.example",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "https://a.example:80",
            "chrome-extension://abcdef",
            "https://xn--e1afmkfd.example",
        ] {
            assert_eq!(check_origin(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "*",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/a",
            "https://App.example",
            "HTTPS://app.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:",
            "https://app.example:08",
            "https://app.example:65536",
            "https://app.example:x",
            "https://u@app.example",
            "https://*.example",
            "https://ä.example",
            "https://a b",
            "https://a\r\nX: y",
            "https://[::1]x",
            "://a",
        ] {
            assert!(check_origin(text).is_err(), "{text}");
        }
    }
}
