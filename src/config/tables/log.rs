//! `[log]`: the log and the access log.

use super::access::parameter;
use crate::access::{Field, Form};
use crate::config::error::Wrong;
use crate::config::table::Table;
use crate::config::values::value::{list, text};
use crate::config::{Api, Log};
use crate::http::abnf::is_token;
use crate::http::fields::same_to_gateway;
use toml::de::DeValue;

/// The most fields that the access log can show. Each open stream keeps their values.
const FIELDS_MAX: usize = 16;

/// Fields that may carry a key, even if no api expects one there.
const SECRET: [&str; 4] = ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key"];

pub(crate) fn log(t: &mut Table<'_, '_>, apis: &[Api]) -> Log {
    let level = t.take("level", level).unwrap_or(log::LevelFilter::Info);
    let format = t.take("format", form).unwrap_or(Form::Text);
    let access = t.take("access", access).unwrap_or(Some(format));
    let redacted = |value: &DeValue<'_>| list(value, "[\"token\"]", redacted);
    let redact_query = t.take("redact_query", redacted).unwrap_or_default();
    let fields = t.take("fields", |value| fields(value, apis)).unwrap_or_default();
    Log { level, format, access, redact_query, fields }
}

fn fields(value: &DeValue<'_>, apis: &[Api]) -> Result<Vec<Field>, Wrong> {
    let mut fields: Vec<Field> = Vec::new();
    list(value, "[\"traceparent\"]", |value| {
        let field = Field::new(text(value)?);
        if !is_token(field.name.as_bytes()) {
            return Err("not a field name; write one like \"traceparent\"".into());
        }
        if fields.iter().any(|other| other.label == field.label) {
            return Err("a field with this name is already in the list; write it once".into());
        }
        let keys = apis.iter().filter_map(|api| api.auth.as_ref());
        let mut keys = keys.flat_map(|auth| &auth.carriers.headers).map(String::as_str);
        let is = |secret: &str| same_to_gateway(&field.name, secret);
        if SECRET.into_iter().any(is) || keys.any(is) {
            return Err("this field may carry a key, which must not be logged; leave it out".into());
        }
        let passed = apis.iter().filter_map(|api| api.forward_auth.as_ref());
        let mut passed = passed.flat_map(|auth| &auth.pass);
        if passed.any(|name| same_to_gateway(&field.name, name)) {
            return Err("auth.pass takes this field off requests, because clients can write \
                anything into it; leave it out"
                .into());
        }
        fields.push(field);
        Ok(())
    })?;
    if fields.len() > FIELDS_MAX {
        return Err(format!("more than {FIELDS_MAX} fields; write fewer").into());
    }
    Ok(fields)
}

fn level(value: &DeValue<'_>) -> Result<log::LevelFilter, Wrong> {
    text(value)?.parse().map_err(|_| {
        "not a level; write \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"".into()
    })
}

fn redacted(value: &DeValue<'_>) -> Result<String, Wrong> {
    match parameter(value)? {
        name if name.is_empty() => Err("no name; write one like \"token\"".into()),
        name => Ok(name),
    }
}

fn form(value: &DeValue<'_>) -> Result<Form, Wrong> {
    match value.as_str() {
        Some("text") => Ok(Form::Text),
        Some("json") => Ok(Form::Json),
        _ => Err("not a log format; write \"text\" or \"json\"".into()),
    }
}

fn access(value: &DeValue<'_>) -> Result<Option<Form>, Wrong> {
    match value.as_str() {
        Some("text") => Ok(Some(Form::Text)),
        Some("json") => Ok(Some(Form::Json)),
        Some("off") => Ok(None),
        _ => Err("not an access log format; write \"text\", \"json\" or \"off\"".into()),
    }
}
