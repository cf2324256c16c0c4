//! The key file that an api's `auth.keys_file` names: the owner of each key and the apis it opens.

use crate::auth::{self, Hash, Key, Keys};
use crate::config::error::{ConfigErrors, Wrong};
use crate::config::table::{self, Format, Table};
use crate::config::unknown;
use crate::config::values::rate::rate;
use crate::config::values::reference::Resolve;
use crate::config::values::value::{count, list, printable, text};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What must not occur twice in the file.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    hashes: BTreeSet<Hash>,
}

const FORMAT: Format =
    Format { every_table: "[[key]]", tyk: unknown::OF_KEYS, others: unknown::OF_KEYS };

/// Reads a key file. `apis` are the names of all apis.
pub(crate) fn read(
    name: &str,
    text: &str,
    apis: &[&str],
    resolve: &mut Resolve<'_>,
) -> Result<Keys, ConfigErrors> {
    let mut seen = Seen::default();
    table::read(name, text, FORMAT, resolve, |t| {
        Some(t.tables("key", |t| key(t, &mut seen, apis)).into())
    })
}

fn key(t: &mut Table<'_, '_>, seen: &mut Seen, apis: &[&str]) -> Option<Arc<Key>> {
    let name = t.require("name", "\"alice\"", |v| seen.name(text(v)?));
    let hash = t.require("sha256", "what millstream --hash-key prints", |v| seen.hash(text(v)?));
    let apis = t.take("apis", |v| list(v, "[\"clock\"]", |v| api(text(v)?, apis)));
    let max_streams = t.take("max_streams", count(0..=10_000_000)).filter(|n| *n != 0);
    let max_requests = t.take("max_requests", rate).flatten();
    Some(Arc::new(Key { name: name?.into(), hash: hash?, apis, max_streams, max_requests }))
}

fn api(name: &str, apis: &[&str]) -> Result<String, Wrong> {
    if apis.contains(&name) {
        return Ok(name.to_owned());
    }
    let known: Vec<String> = apis.iter().take(8).map(|name| format!("\"{name}\"")).collect();
    let more = if apis.len() > known.len() { ", ..." } else { "" };
    Err(format!("no api has this name; there are {}{more}", known.join(", ")).into())
}

impl Seen {
    fn name(&mut self, name: &str) -> Result<String, Wrong> {
        let name = printable(name)?;
        if !self.names.insert(name.clone()) {
            return Err("a key above has this name; write another one".into());
        }
        Ok(name)
    }

    fn hash(&mut self, digits: &str) -> Result<Hash, Wrong> {
        let hash = auth::from_hex(digits).ok_or(NO_HASH)?;
        if !self.hashes.insert(hash) {
            return Err("a key above has this hash; it is the same key, so write it once".into());
        }
        Ok(hash)
    }
}

const NO_HASH: &str =
    "not a SHA-256; write 64 hexadecimal digits, as millstream --hash-key prints them";
