//! `[api.auth]` and `[api.cors]`: who may use an api, and which pages may read its responses.

use super::fields::{is_about_more, names};
use super::forward_auth::ForwardAuth;
use crate::auth::Keys;
use crate::config::Api;
use crate::config::error::Wrong;
use crate::config::files::readers::Readers;
use crate::config::table::Table;
use crate::config::values::value::{flag, list, text, whole_seconds};
use crate::cors::{self, Policy};
use crate::http::abnf::is_token;
use crate::http::credentials::Carriers;
use crate::http::fields::{is_reserved, same_to_gateway};
use std::sync::Arc;
use toml::de::DeValue;

/// `[api.auth]`: how an api checks keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The key file, as configured, relative to the configuration file.
    pub keys_file: String,
    /// Where a request may carry its key; at least one carrier has a name.
    pub carriers: Carriers,
    /// Whether the key is forwarded to the upstream.
    pub forward: bool,
    /// The keys. Empty before [`Config::load_keys`](crate::config::Config::load_keys).
    pub keys: Keys,
    /// Who can read the key file.
    pub readers: Readers,
}

impl Api {
    /// True exactly when not everybody is let in.
    pub(crate) const fn is_guarded(&self) -> bool {
        self.client_certificate || self.auth.is_some() || self.forward_auth.is_some()
    }
}

/// Reads whether clients need a certificate. `is_asked` says whether they are asked for one.
pub(crate) fn client_certificate(value: &DeValue<'_>, is_asked: bool) -> Result<bool, Wrong> {
    match flag(value)? {
        true if !is_asked => Err("no client is asked for a certificate; write listen_tls in \
            [server] and, in [tls], client_ca and verify_client = \"require\" or \"optional\""
            .into()),
        needed => Ok(needed),
    }
}

/// Reads how clients' keys are checked. If clients need a certificate, or an auth server is
/// `asked`, they need no key unless there is a `keys_file`.
pub(crate) fn auth(
    t: &mut Table<'_, '_>,
    needs_certificate: bool,
    asked: Option<&ForwardAuth>,
) -> Option<Auth> {
    if (needs_certificate || asked.is_some()) && !t.has("keys_file") {
        let why = if needs_certificate { WITH_CERTIFICATE } else { WITH_URL };
        for key in ["keys_file", "header", "query", "cookie", "forward"] {
            t.take(key, |_| -> Result<(), Wrong> { Err(why.into()) });
        }
        return None;
    }
    let keys_file = t.take("keys_file", file).unwrap_or_else(|| "keys.toml".to_owned());
    let headers = t.take("header", key_fields).unwrap_or_else(|| vec!["Authorization".to_owned()]);
    let query = t.take("query", parameter).unwrap_or_default();
    let cookie = t.take("cookie", cookie).unwrap_or_default();
    let passed = asked.iter().flat_map(|asked| &asked.pass);
    let is_passed = passed.into_iter().any(|name| same_to_gateway(name, "Authorization"));
    let forward = t.take("forward", |value| match flag(value)? {
        true if is_passed => {
            Err("pass takes Authorization from the auth server; leave it out there".into())
        }
        forward => Ok(forward),
    });
    let forward = forward.unwrap_or(false);
    if headers.is_empty() && query.is_empty() && cookie.is_empty() {
        t.missing("header", "nothing is left to carry the key; set header, query or cookie");
        return None;
    }
    let carriers = Carriers { headers, query, cookie };
    Some(Auth { keys_file, carriers, forward, keys: Arc::from([]), readers: Readers::Few })
}

const WITH_CERTIFICATE: &str = "it is for keys, and client_certificate alone asks for none; write \
    keys_file, too, or leave this out";
const WITH_URL: &str = "it is for keys, and url alone asks for none; write keys_file, too, or \
    leave this out";

fn file(value: &DeValue<'_>) -> Result<String, Wrong> {
    match text(value)? {
        "" => Err("no file name; write \"keys.toml\"".into()),
        path if path.contains(char::is_control) => {
            Err("not a file name; write \"keys.toml\"".into())
        }
        path => Ok(path.to_owned()),
    }
}

/// Reads the names of fields that carry keys: one, or a list of them. An empty string means none.
fn key_fields(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    if value.as_str() == Some("") {
        return Ok(Vec::new());
    }
    if value.is_str() {
        return Ok(vec![header(value)?]);
    }
    names(value, "\"Authorization\", or [\"Authorization\", \"X-Api-Key\"]", header)
}

/// Reads the name of a field that carries nothing but keys, or `Authorization`.
fn header(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if !is_token(name.as_bytes()) {
        return Err("not a field name; write \"Authorization\", or \"X-Api-Key\"".into());
    }
    if is_about_more(name) || is_reserved(name) {
        let what = "this field has another meaning; write \"Authorization\", or \"X-Api-Key\"";
        return Err(what.into());
    }
    Ok(name.to_owned())
}

pub(crate) fn parameter(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        return Err("not a name; write letters, digits and -._~, like \"access_token\"".into());
    }
    Ok(name.to_owned())
}

fn cookie(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value)?;
    if !name.is_empty() && !is_token(name.as_bytes()) {
        return Err("not a cookie name; write one like \"access_token\"".into());
    }
    Ok(name.to_owned())
}

/// Maximum length in bytes of a list of methods or fields: it becomes one field line.
const LIST_MAX: usize = 1024;

/// Maximum length of an origin in bytes.
const ORIGIN_MAX: usize = 255;

pub(crate) fn cors(t: &mut Table<'_, '_>) -> Option<Policy> {
    let origins = t.require("origins", "[\"https://app.example\"]", origins);
    let methods = t.take("methods", methods).unwrap_or_else(|| "GET".to_owned());
    let allowed = t.take("headers", headers).unwrap_or_default();
    let exposed = t.take("expose", headers);
    let any = origins.as_ref().is_some_and(|origins| *origins == ["*"]);
    let all = any || methods == "*" || allowed == "*" || exposed.as_deref() == Some("*");
    let credentials = t.take("credentials", |value| match flag(value)? {
        true if all => {
            Err("browsers do not accept \"*\" with credentials; write the names, or false".into())
        }
        credentials => Ok(credentials),
    });
    let max_age = t.take("max_age", whole_seconds).map_or(0, |age| age.as_secs());
    Some(Policy {
        origins: origins?,
        any,
        methods,
        headers: allowed,
        expose: exposed,
        credentials: credentials.unwrap_or(false),
        max_age: if max_age == 0 { String::new() } else { max_age.to_string() },
    })
}

fn origins(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let example = "[\"https://app.example\"], or [\"*\"]";
    let origins = some_origins(value, example, |origin| {
        if origin == "*" { Ok(()) } else { cors::check_origin(origin) }
    })?;
    if origins.is_empty() {
        return Err("no page may read anything; write an origin, or leave out [api.cors]".into());
    }
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        return Err("\"*\" cannot stand beside others; write it alone, or leave it out".into());
    }
    Ok(origins)
}

/// Reads the origins of the pages that may send requests.
pub(crate) fn allowed_origins(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    some_origins(value, "[\"https://app.example\"]", |origin| match origin {
        "*" => Err("\"*\" is no origin; leave the key out to allow every page"),
        _ => cors::check_origin(origin),
    })
}

/// Reads a list of at most 1000 different origins, each of which passes `check`.
fn some_origins(
    value: &DeValue<'_>,
    example: &str,
    check: impl Fn(&str) -> Result<(), &'static str>,
) -> Result<Vec<String>, Wrong> {
    let mut origins: Vec<String> = Vec::new();
    list(value, example, |value| {
        let origin = text(value)?;
        check(origin)?;
        if origin.len() > ORIGIN_MAX {
            return Err("an origin of more than 255 bytes; write a shorter one".into());
        }
        if origins.iter().any(|other| other == origin) {
            return Err("this origin is already in the list; write it once".into());
        }
        origins.push(origin.to_owned());
        Ok(())
    })?;
    if origins.len() > 1000 {
        return Err("more than 1000 origins; write fewer".into());
    }
    Ok(origins)
}

fn methods(value: &DeValue<'_>) -> Result<String, Wrong> {
    let what = "not a method; write it in capitals, like \"GET\"";
    let is_method = |text: &str| {
        is_token(text.as_bytes()) && !text.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    tokens(value, "[\"GET\", \"POST\"]", is_method, what)
}

fn headers(value: &DeValue<'_>) -> Result<String, Wrong> {
    let what = "not a field name; write one like \"Content-Type\"";
    tokens(value, "[\"Content-Type\"]", |text| is_token(text.as_bytes()), what)
}

/// Reads a list of names and formats it as a field value.
fn tokens(
    value: &DeValue<'_>,
    example: &str,
    is_name: impl Fn(&str) -> bool,
    what: &'static str,
) -> Result<String, Wrong> {
    let names = list(value, example, |value| match text(value)? {
        name if is_name(name) => Ok(name.to_owned()),
        _ => Err(what.into()),
    })?;
    if names.len() > 1 && names.iter().any(|name| name == "*") {
        return Err("\"*\" cannot stand beside others; write it alone, or leave it out".into());
    }
    let joined = names.join(", ");
    if joined.len() > LIST_MAX {
        return Err("a list of more than 1024 bytes; write fewer names".into());
    }
    Ok(joined)
}
