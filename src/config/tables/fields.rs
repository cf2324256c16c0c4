//! `[api.request_headers]` and `[api.response_headers]`: fields to set or remove.

use super::access::Auth;
use crate::config::Compression;
use crate::config::error::Wrong;
use crate::config::table::Table;
use crate::config::values::value::{list, text};
use crate::http::abnf::is_token;
use crate::http::changes::Changes;
use crate::http::fields::{END_TO_END, is_about_origins, is_reserved, same_to_gateway};
use toml::de::DeValue;

/// Maximum total size in bytes of the fields to set: they share one buffer with the rest of the
/// head.
const SET_MAX: usize = 16 << 10;

/// What millstream itself writes into a head, and what therefore cannot be configured here.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    /// True exactly when it is the head of a response.
    pub response: bool,
    /// True exactly when a key is forwarded in `Authorization`.
    pub authorization: bool,
    /// True exactly when millstream writes `Access-Control-*`.
    pub origins: bool,
    /// True exactly when `Accept-Encoding` is removed from requests for event streams.
    pub uncoded: bool,
    /// The fields that only the auth server's answer may set in a request.
    pub passed: &'a [String],
}

impl Written<'_> {
    pub(crate) fn into_request<'a>(
        auth: Option<&Auth>,
        passed: &'a [String],
        compression: Compression,
    ) -> Written<'a> {
        let authorization = auth.is_some_and(|auth| auth.forward);
        let uncoded = compression == Compression::Strip;
        Written { response: false, authorization, origins: false, uncoded, passed }
    }

    pub(crate) const fn into_response(cors: bool) -> Written<'static> {
        let (authorization, uncoded) = (false, false);
        Written { response: true, authorization, origins: cors, uncoded, passed: &[] }
    }
}

/// Reads a list of field names, each with `name`. None may occur twice.
pub(crate) fn names(
    value: &DeValue<'_>,
    example: &str,
    name: impl Fn(&DeValue<'_>) -> Result<String, Wrong>,
) -> Result<Vec<String>, Wrong> {
    let mut names: Vec<String> = Vec::new();
    list(value, example, |value| {
        let name = name(value)?;
        if names.iter().any(|other| same_to_gateway(&name, other)) {
            return Err("this field is already in the list; write it once".into());
        }
        names.push(name);
        Ok(())
    })?;
    Ok(names)
}

pub(crate) fn changes(t: &mut Table<'_, '_>, written: Written<'_>) -> Option<Changes> {
    let set = t.take("set", |value| set(value, written)).unwrap_or_default();
    let remove = t.take("remove", |value| {
        list(value, "[\"Cookie\"]", |value| {
            let name = name(text(value)?, written)?;
            if set.iter().any(|(field, _)| field.eq_ignore_ascii_case(&name)) {
                return Err("set replaces this field already; leave it out here".into());
            }
            Ok(name)
        })
    });
    Some(Changes { set, remove: remove.unwrap_or_default() })
}

fn set(value: &DeValue<'_>, written: Written<'_>) -> Result<Vec<(String, String)>, Wrong> {
    let example = "{ \"X-Env\" = \"prod\" }";
    let table = value.as_table().ok_or_else(|| format!("not a table; write {example}"))?;
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut bytes = 0;
    for (key, value) in table {
        let at = |start| move |wrong: Wrong| Wrong { at: wrong.at.or(Some(start)), ..wrong };
        let name = name(key.get_ref(), written).map_err(at(key.span().start))?;
        if fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            let what = "this field is already set; names are case-insensitive, so write it once";
            return Err(Wrong { what: what.to_owned(), at: Some(key.span().start) });
        }
        let start = value.span().start;
        let value = field_value(value.get_ref()).map_err(at(start))?;
        if written.uncoded
            && same_to_gateway(&name, "Accept-Encoding")
            && !value.eq_ignore_ascii_case("identity")
        {
            let what = "compression = \"strip\" asks for streams that are not compressed; write \
                \"identity\" here, or compression = \"pass\"";
            return Err(Wrong { what: what.to_owned(), at: Some(start) });
        }
        bytes += name.len() + value.len();
        fields.push((name, value));
    }
    if bytes > SET_MAX {
        return Err("more than 16KiB in all; write less".into());
    }
    Ok(fields)
}

/// Reads the name of a field to set or remove.
fn name(name: &str, written: Written<'_>) -> Result<String, Wrong> {
    if !is_token(name.as_bytes()) {
        return Err("not a field name; write one like \"X-Env\"".into());
    }
    // Only the operator knows which prefix another proxy has removed from the path.
    let prefix = !written.response && name.eq_ignore_ascii_case("X-Forwarded-Prefix");
    if is_reserved(name) && !prefix {
        return Err("millstream handles this field itself; leave it out".into());
    }
    if written.authorization && same_to_gateway(name, "Authorization") {
        return Err("auth.forward writes this field; leave one of them out".into());
    }
    if written.passed.iter().any(|field| same_to_gateway(name, field)) {
        return Err("auth.pass takes this field from the auth server; leave one of them out".into());
    }
    if written.origins && is_about_origins(name) {
        return Err("[api.cors] writes this field; leave one of them out".into());
    }
    if written.response && same_to_gateway(name, "Content-Encoding") {
        return Err("only the server that encodes the body can set this field; leave it out".into());
    }
    Ok(name.to_owned())
}

/// True exactly when a field is about the message itself, and not only about its sender.
pub(crate) fn is_about_more(name: &str) -> bool {
    let mut known = END_TO_END.iter().filter(|field| **field != "Authorization");
    known.any(|field| field.eq_ignore_ascii_case(name))
}

/// Reads a field value (RFC 9110 section 5.5) in ASCII.
fn field_value(value: &DeValue<'_>) -> Result<String, Wrong> {
    let value = text(value)?;
    let fits = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    if !value.bytes().all(fits) || value.trim() != value {
        return Err("not a field value; write one line of ASCII characters, without spaces at \
            either end"
            .into());
    }
    Ok(value.to_owned())
}
