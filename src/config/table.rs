//! A TOML table while it is read: keys are taken one by one, and what is left is unknown.
//!
//! The reader is the schema: the keys that it asks for are the keys that exist, so no key can be
//! known but not read, or read but never suggested. An invalid value is recorded with its place and
//! reading goes on, so that one run finds all errors. Derived deserialisation stops at the first
//! error, and gives no place for an unknown key.

use super::error::{ConfigErrors, Place, Wrong};
use super::json;
use super::unknown::{Hints, Known, Schema};
use toml::de::{DeTable, DeValue};

/// The file, and the errors found so far.
struct Document<'t> {
    name: &'t str,
    text: &'t str,
    errors: ConfigErrors,
    /// The tables that were read, and their keys.
    tables: Vec<Known>,
    unknown: Vec<Unknown>,
}

/// A key that no reader asked for.
struct Unknown {
    key: String,
    place: Place,
    /// The index in [`Document::tables`] of its table.
    table: usize,
}

/// What is needed to suggest a known key for an unknown one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// A file in which every table occurs, even if it is invalid otherwise.
    pub(super) every_table: &'static str,
    /// See [`Schema`].
    pub(super) tyk: &'static Hints,
    /// See [`Schema`].
    pub(super) others: &'static Hints,
}

/// A table of the file while it is read.
pub(super) struct Table<'d, 't> {
    document: &'d mut Document<'t>,
    /// The keys that no reader has asked for yet.
    entries: DeTable<'t>,
    /// The path of the table: `server`, `api[0]`. Empty for the file itself.
    path: String,
    /// The offset of its header.
    at: usize,
    /// The keys that readers asked for.
    known: Vec<&'static str>,
}

/// Reads a file with `read`, which may return nothing only if it recorded an error.
pub(super) fn read<T>(
    name: &str,
    text: &str,
    format: Format,
    mut read: impl FnMut(&mut Table<'_, '_>) -> Option<T>,
) -> Result<T, ConfigErrors> {
    let entries = match DeTable::parse(text) {
        Ok(entries) => entries.into_inner(),
        Err(error) if json::is_json(text) => {
            let at = error.span().map_or(0, |span| span.start);
            return Err(json::refuse(name, text, at, &schema(format, read)));
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let place = Place::in_file(name, text.as_bytes(), at, String::new());
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            return Err(ConfigErrors::one(place, format!("not TOML: {message}")));
        }
    };
    let mut document = Document::new(name, text);
    let value = document.read(entries, String::new(), 0, &mut read);
    if !document.unknown.is_empty() {
        let schema = schema(format, read);
        for Unknown { key, place, table } in std::mem::take(&mut document.unknown) {
            let meant = schema.what_is_meant(&key, &document.tables[table].keys);
            document.errors.add(place, format!("unknown key; {meant}"));
        }
    }
    document.errors.or(value)
}

/// The tables and keys that `read` asks for in a file that has every table.
pub(super) fn schema<T>(
    format: Format,
    read: impl FnOnce(&mut Table<'_, '_>) -> Option<T>,
) -> Schema {
    let Format { every_table, tyk, others } = format;
    let mut document = Document::new("", every_table);
    if let Ok(entries) = DeTable::parse(every_table) {
        document.read(entries.into_inner(), String::new(), 0, read);
    }
    Schema { tables: document.tables, tyk, others }
}

impl<'t> Document<'t> {
    fn new(name: &'t str, text: &'t str) -> Document<'t> {
        let errors = ConfigErrors::default();
        Document { name, text, errors, tables: Vec::new(), unknown: Vec::new() }
    }

    fn read<T>(
        &mut self,
        entries: DeTable<'t>,
        path: String,
        at: usize,
        read: impl FnOnce(&mut Table<'_, 't>) -> T,
    ) -> T {
        let mut table = Table { document: self, entries, path, at, known: Vec::new() };
        let value = read(&mut table);
        table.refuse_the_rest();
        value
    }
}

impl<'t> Table<'_, 't> {
    /// True exactly when the table has this key and no reader has taken it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reads the value of `key` with `read`. None if there is no such key, or if `read` rejects the
    /// value, which is recorded.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (value, at) = self.remove(key)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.note(wrong.at.unwrap_or(at), key, wrong.what);
                None
            }
        }
    }

    /// Like [`Table::take`], for a required key.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, Wrong>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key, &format!("missing; write {key} = {example}"));
        }
        self.take(key, read)
    }

    /// Reads the table `key` with `read`. A missing table is read as an empty one.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_, 't>) -> T,
    ) -> T {
        let (entries, at) = self.take_table(key).unwrap_or((DeTable::new(), self.at));
        let path = self.path_of(key);
        self.document.read(entries, path, at, read)
    }

    /// Reads the table `key` with `read`. None if it is missing.
    pub(super) fn table_if_any<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_, 't>) -> Option<T>,
    ) -> Option<T> {
        let (entries, at) = self.take_table(key)?;
        let path = self.path_of(key);
        self.document.read(entries, path, at, read)
    }

    /// Reads each of the tables `[[key]]` with `read`, in the order of the file.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'_, 't>) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        let array = match self.remove(key) {
            Some((DeValue::Array(array), _)) if !array.is_empty() => array,
            Some((_, at)) => {
                self.note(at, key, format!("not a list of tables; write [[{key}]], two brackets"));
                return values;
            }
            None => return values,
        };
        for (n, element) in array.into_iter().enumerate() {
            let start = element.span().start;
            let path = format!("{}[{n}]", self.path_of(key));
            let DeValue::Table(entries) = element.into_inner() else {
                self.note(start, key, format!("not a table; write [[{key}]], two brackets"));
                continue;
            };
            values.extend(self.document.read(entries, path, start, &mut read));
        }
        values
    }

    /// Records that something is missing from this table.
    pub(super) fn missing(&mut self, key: &str, what: &str) {
        self.note(self.at, key, what.to_owned());
    }

    /// The place of the value of `key` if the table has it and no reader has taken it; otherwise
    /// the place of the table.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.place(self.entries.get(key).map_or(self.at, |value| value.span().start), key)
    }

    fn take_table(&mut self, key: &'static str) -> Option<(DeTable<'t>, usize)> {
        match self.remove(key)? {
            (DeValue::Table(entries), at) => Some((entries, at)),
            (DeValue::Array(_), at) => {
                let header = self.header_of(key);
                self.note(at, key, format!("there is only one; write [{header}], one bracket"));
                None
            }
            (_, at) => {
                let header = self.header_of(key);
                self.note(at, key, format!("not a table; write [{header}] and its keys below it"));
                None
            }
        }
    }

    fn remove(&mut self, key: &'static str) -> Option<(DeValue<'t>, usize)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let value = self.entries.remove(key)?;
        let at = value.span().start;
        Some((value.into_inner(), at))
    }

    fn refuse_the_rest(&mut self) {
        for (key, _) in std::mem::take(&mut self.entries) {
            // A quoted key may contain anything, even line feeds.
            let shown = key.get_ref().escape_debug().to_string();
            let place = self.place(key.span().start, &shown);
            let (key, table) = (key.get_ref().to_string(), self.document.tables.len());
            self.document.unknown.push(Unknown { key, place, table });
        }
        let is_list = self.path.ends_with(']');
        let (header, keys) = (without_numbers(&self.path), std::mem::take(&mut self.known));
        self.document.tables.push(Known { header, is_list, keys });
    }

    fn note(&mut self, at: usize, key: &str, what: String) {
        let place = self.place(at, key);
        self.document.errors.add(place, what);
    }

    fn place(&self, at: usize, key: &str) -> Place {
        let Document { name, text, .. } = *self.document;
        Place::in_file(name, text.as_bytes(), at, self.path_of(key))
    }

    /// What the header of the table `key` has between its brackets.
    fn header_of(&self, key: &str) -> String {
        without_numbers(&self.path_of(key))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The path of a table as in its header: `api.auth` for `api[0].auth`.
fn without_numbers(path: &str) -> String {
    let parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
    parts.collect::<Vec<_>>().join(".")
}
