//! `[api.sticky]`: how clients are kept at the replica that knows them.

use crate::config::error::Wrong;
use crate::config::table::Table;
use crate::config::values::value::{count, duration, text};
use crate::http::abnf::is_token;
use std::time::Duration;
use toml::de::DeValue;

/// `[api.sticky]`: how clients are kept at the replica that knows them. See [`crate::sticky`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// What identifies a client.
    pub by: KnownBy,
    /// Maximum number of clients to remember: 1 to 10,000,000.
    pub max: usize,
    /// How long a client is remembered that sends no request.
    pub age: Duration,
}

/// What identifies a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// The value of this field, which responses introduce.
    Field(String),
    /// The value of this cookie, which responses set.
    Cookie(String),
    /// The value of this query parameter, which a stream's first event, `endpoint`, has in its URL.
    Query(String),
}

/// The field by which the Model Context Protocol names a session.
const MCP_SESSION: &str = "Mcp-Session-Id";

impl KnownBy {
    /// True exactly when a DELETE with the value ends the session.
    pub fn ends_with_delete(&self) -> bool {
        matches!(self, KnownBy::Field(name) if name.eq_ignore_ascii_case(MCP_SESSION))
    }

    /// True exactly when only the replica that knows a client can serve it.
    pub const fn is_exclusive(&self) -> bool {
        !matches!(self, KnownBy::Cookie(_))
    }
}

/// A key, and the meaning of its value.
type Key = (&'static str, fn(String) -> KnownBy);

/// The keys that say what identifies a client.
const KEYS: [Key; 3] =
    [("field", KnownBy::Field), ("cookie", KnownBy::Cookie), ("query", KnownBy::Query)];

/// Reads the table.
pub(crate) fn sticky(t: &mut Table<'_, '_>) -> Option<Sticky> {
    let mut is_wrong = false;
    let mut named = None;
    for (key, by) in KEYS {
        let is_known = named.is_some();
        let is_there = t.has(key);
        let name = t.take(key, |value| match name(value)? {
            Some(_) if is_known => {
                Err("only one of field, cookie and query may be set; leave out the others".into())
            }
            name => Ok(name),
        });
        is_wrong |= is_there && name.is_none();
        named = named.or(name.flatten().map(by));
    }
    let max = t.take("max", count(1..=10_000_000)).unwrap_or(100_000);
    let age = t.take("age", duration).unwrap_or(Duration::from_secs(3600));
    if named.is_none() && !is_wrong {
        t.missing("field", "missing; write field = \"Mcp-Session-Id\", or cookie or query");
    }
    Some(Sticky { by: named?, max, age })
}

/// Reads a name. An empty string means none.
fn name(value: &DeValue<'_>) -> Result<Option<String>, Wrong> {
    match text(value)? {
        "" => Ok(None),
        name if is_token(name.as_bytes()) => Ok(Some(name.to_owned())),
        _ => Err("not a name; write one like \"Mcp-Session-Id\"".into()),
    }
}
