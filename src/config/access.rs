//! `[api.auth]`: who may use an api.

use super::error::Wrong;
use super::table::Table;
use super::value::{flag, text};
use crate::auth::Keys;
use crate::http::credentials::Carriers;
use crate::http::fields::{END_TO_END, is_reserved, is_token};
use std::rc::Rc;
use toml::de::DeValue;

/// Who may use an api.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The file of keys as it is written: a path beside the configuration file.
    pub keys_file: String,
    /// Where a request carries its key. One place at least.
    pub carriers: Carriers,
    /// Whether the key goes upstream.
    pub forward: bool,
    /// The keys; none before [`Config::load_keys`](super::Config::load_keys).
    pub keys: Keys,
    /// True exactly when everybody on this host can read the file.
    pub public: bool,
}

pub(super) fn auth(t: &mut Table<'_, '_>) -> Option<Auth> {
    let keys_file = t.take("keys_file", file).unwrap_or_else(|| "keys.toml".to_owned());
    let header = t.take("header", header).unwrap_or_else(|| "Authorization".to_owned());
    let query = t.take("query", parameter).unwrap_or_default();
    let cookie = t.take("cookie", cookie).unwrap_or_default();
    let forward = t.take("forward", flag).unwrap_or(false);
    if header.is_empty() && query.is_empty() && cookie.is_empty() {
        t.missing("header", "no place is left for a key; name a header, a query or a cookie");
        return None;
    }
    let carriers = Carriers { header, query, cookie };
    Some(Auth { keys_file, carriers, forward, keys: Rc::from([]), public: false })
}

fn file(value: &DeValue<'_>) -> Result<String, Wrong> {
    match text(value)? {
        "" => Err("no file; write \"keys.toml\"".into()),
        path if path.contains('\0') => Err("no file has such a name; write \"keys.toml\"".into()),
        path => Ok(path.to_owned()),
    }
}

/// A field that nothing but keys is read from, or `Authorization`.
fn header(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if name.is_empty() {
        return Ok(String::new());
    }
    if !is_token(name.as_bytes()) {
        return Err("not the name of a field; write \"Authorization\", or \"X-Api-Key\"".into());
    }
    let is = |field: &&str| field.eq_ignore_ascii_case(name);
    let means_more =
        END_TO_END.iter().find(|field| is(field)).is_some_and(|f| *f != "Authorization");
    if means_more || is_reserved(name) {
        let what = "a field with a meaning of its own; write \"Authorization\", or \"X-Api-Key\"";
        return Err(what.into());
    }
    Ok(name.to_owned())
}

fn parameter(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        return Err("not a name; write letters, digits and -._~, like \"access_token\"".into());
    }
    Ok(name.to_owned())
}

fn cookie(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if !name.is_empty() && !is_token(name.as_bytes()) {
        return Err("not the name of a cookie; write one like \"access_token\"".into());
    }
    Ok(name.to_owned())
}
