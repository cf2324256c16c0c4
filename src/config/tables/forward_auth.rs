//! `url` in `[api.auth]`, and the keys that go with it: the auth server, which decides which
//! requests are let in.

use super::fields::{is_about_more, names};
use super::health::{FAIL_TIMEOUT, Health};
use super::retry::RetryOn;
use super::upstream_tls::{UpstreamTls, upstream_tls};
use crate::config::error::Wrong;
use crate::config::table::Table;
use crate::config::values::value::{duration, limit, text};
use crate::config::{Backend, Target};
use crate::http::abnf::is_token;
use crate::http::fields::is_reserved;
use std::time::Duration;
use toml::de::DeValue;

/// Maximum number of fields that are copied from the auth server's response.
const PASS_MAX: usize = 32;

/// Maximum number of idle connections to keep, as for targets.
const IDLE_MAX: usize = 1024;

/// An auth server has no alternative, so it is never passed over.
static HEALTH: Health =
    Health { max_fails: None, fail_timeout: FAIL_TIMEOUT, checks: None, has_vain_keys: false };

/// `url` in `[api.auth]`: a server that decides which requests are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuth {
    /// The server.
    pub target: [Target; 1],
    /// The path and query to request, as they are sent.
    pub path_and_query: String,
    /// The TLS settings for `https://`.
    pub tls: UpstreamTls,
    /// How long the server may take to answer, from when the answer is needed.
    pub timeout: Duration,
    /// The names of the fields that a request gets from the answer, and has only if the answer has
    /// them.
    pub pass: Vec<String>,
    /// How often it is asked again about open streams and other requests. None: never.
    pub recheck: Option<Duration>,
}

impl ForwardAuth {
    /// The server as a backend, for the api with this name.
    pub fn backend<'a>(&'a self, api: &'a str) -> Backend<'a> {
        Backend {
            name: api,
            is_auth_server: true,
            targets: &self.target,
            tls: &self.tls,
            idle_max: IDLE_MAX,
            max: None,
            health: &HEALTH,
            retry_on: RetryOn::CONNECT,
            checked: None,
        }
    }

    /// True exactly when its answers to a question are valid as those of `other` as well.
    pub fn answers_like(&self, other: &ForwardAuth) -> bool {
        self.target[0].is_same_place(&other.target[0])
            && self.path_and_query == other.path_and_query
            && self.tls == other.tls
            && self.pass == other.pass
    }
}

/// Reads the auth server's keys of an api with these targets. None if there is no URL.
pub(crate) fn forward_auth(t: &mut Table<'_, '_>, targets: &[Target]) -> Option<ForwardAuth> {
    let is_there = t.has("url");
    let url = t.take("url", |value| match url(value)? {
        Some((server, _)) if targets.iter().any(|target| target.is_same_place(&server)) => {
            Err("target_url has this URL, too; write that of the auth server".into())
        }
        url => Ok(url),
    });
    // If it is invalid, that error was recorded already.
    let is_off = !is_there || url == Some(None);
    let only = |is: bool| if is && is_off { Err(Wrong::from(WITHOUT_URL)) } else { Ok(()) };
    let timeout = t.take("timeout", duration);
    let pass = t.take("pass", |v| {
        let names = pass(v)?;
        only(!names.is_empty()).map(|()| names)
    });
    let recheck = t.take("recheck", |v| {
        let every = limit(v)?;
        only(every.is_some()).map(|()| every)
    });
    let tls = t.table_if_any("upstream_tls", upstream_tls);
    let (target, path_and_query) = url.flatten()?;
    Some(ForwardAuth {
        target: [target],
        path_and_query,
        tls: tls.unwrap_or_default(),
        timeout: timeout.unwrap_or(Duration::from_secs(5)),
        pass: pass.unwrap_or_default(),
        recheck: recheck.flatten(),
    })
}

const WITHOUT_URL: &str =
    "there is no url, so no auth server is asked; write that, or leave this out";

/// Reads the auth server and the path and query to request. An empty string means that there is no
/// auth server.
fn url(value: &DeValue<'_>) -> Result<Option<(Target, String)>, Wrong> {
    let url = text(value)?;
    if url.is_empty() {
        return Ok(None);
    }
    let target = Target::parse(url)?;
    // The path of a target is a prefix, but this one is complete, so its trailing slash is kept.
    let path = url.split('?').next().unwrap_or_default();
    let slash = if target.path.is_empty() || path.ends_with('/') { "/" } else { "" };
    let query = target.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let path_and_query = format!("{}{slash}{query}", target.path);
    Ok(Some((target, path_and_query)))
}

/// Reads the names of fields that only the auth server's answer may set in a request.
fn pass(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let names = names(value, "[\"X-User\"]", |value| {
        let name = text(value)?;
        if !is_token(name.as_bytes()) {
            return Err("not a field name; write one like \"X-User\"".into());
        }
        if is_reserved(name) || is_about_more(name) {
            return Err("this field has another meaning; write one like \"X-User\"".into());
        }
        Ok(name.to_owned())
    })?;
    if names.len() > PASS_MAX {
        return Err(format!("more than {PASS_MAX} fields; write fewer").into());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        for (text, want) in [
            ("http://a", "/"),
            ("http://a/", "/"),
            ("http://a/verify", "/verify"),
            ("http://a/verify/", "/verify/"),
            ("http://a:81/b/c?rd=https://d/", "/b/c?rd=https://d/"),
            ("http://a/b/?c=d", "/b/?c=d"),
            ("http://a?c", "/?c"),
            ("unix:/run/a.sock:/b", "/b"),
            ("unix:/run/a.sock", "/"),
        ] {
            let value = format!("'{text}'");
            let read = url(DeValue::parse(&value).unwrap().get_ref());
            let Ok(Some((_, path))) = read else { panic!("{text}") };
            assert_eq!(path, want, "{text}");
        }
    }
}
