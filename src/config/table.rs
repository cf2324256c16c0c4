//! A TOML table while it is read: keys are taken out one by one, and those left over are unknown.
//!
//! The reader is the schema: the keys that it asks for are the known keys, so no key can be known
//! but unread, or read but not suggested. An invalid value is recorded with its location and
//! reading continues, so that all errors are reported at once. Derived deserialisation stops at the
//! first error, and has no location for an unknown key.

use super::error::{ConfigErrors, Location, Wrong};
use super::foreign;
use super::json;
use super::unknown::{Hints, Known, Schema};
use super::values::reference::{self, Resolve};
use toml::de::{DeTable, DeValue};

/// The file, and the errors found in it so far.
struct Document<'t> {
    name: &'t str,
    text: &'t str,
    /// Returns the values of references in its strings.
    resolve: &'t mut Resolve<'t>,
    errors: ConfigErrors,
    /// The tables read so far, and their keys.
    tables: Vec<Known>,
    unknown: Vec<Unknown>,
}

/// A key that the reader did not ask for.
struct Unknown {
    key: String,
    location: Location,
    /// The index of its table in [`Document::tables`].
    table: usize,
}

/// What suggestions for unknown keys need to know about a format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// A file that contains every table, valid or not.
    pub(super) every_table: &'static str,
    /// Hints for Tyk's keys. See [`Schema`].
    pub(super) tyk: &'static Hints,
    /// Hints for other keys. See [`Schema`].
    pub(super) others: &'static Hints,
}

/// One table of the file while it is read.
pub(super) struct Table<'d, 't> {
    document: &'d mut Document<'t>,
    /// The keys that the reader has not asked for yet.
    entries: DeTable<'t>,
    /// The path of the table, such as `server` or `api[0]`. Empty for the file itself.
    path: String,
    /// The offset of the table's header.
    at: usize,
    /// The keys that the reader has asked for.
    known: Vec<&'static str>,
}

/// Reads a file with `read`, which may return None only if it recorded an error.
pub(super) fn read<T>(
    name: &str,
    text: &str,
    format: Format,
    resolve: &mut Resolve<'_>,
    mut read: impl FnMut(&mut Table<'_, '_>) -> Option<T>,
) -> Result<T, ConfigErrors> {
    let entries = match DeTable::parse(text) {
        Ok(entries) => entries.into_inner(),
        Err(error) if json::is_json(text) => {
            let at = error.span().map_or(0, |span| span.start);
            return Err(json::refuse(name, text, at, &schema(format, read)));
        }
        Err(error) => {
            let span = error.span().unwrap_or_default();
            let what = if let Some((program, page)) = foreign::is_of(text) {
                format!("this is a file of {program}; {page} says what to write instead")
            } else if let Some(key) = text.get(span.clone())
                && error.message() == "duplicate key"
            {
                format!("{key} is already defined; write it once")
            } else {
                error.message().lines().collect::<Vec<_>>().join("; ")
            };
            let location = Location::in_file(name, text.as_bytes(), span.start, String::new());
            return Err(ConfigErrors::one(location, format!("not TOML: {what}")));
        }
    };
    let mut document = Document::new(name, text, resolve);
    let value = document.read(entries, String::new(), 0, &mut read);
    if !document.unknown.is_empty() {
        let schema = schema(format, read);
        for Unknown { key, location, table } in std::mem::take(&mut document.unknown) {
            let meant = schema.what_is_meant(&key, &document.tables[table].keys);
            document.errors.add(location, format!("unknown key; {meant}"));
        }
    }
    document.errors.or(value)
}

/// Collects the keys that `read` asks for in a file that has every table.
pub(super) fn schema<T>(
    format: Format,
    read: impl FnOnce(&mut Table<'_, '_>) -> Option<T>,
) -> Schema {
    let Format { every_table, tyk, others } = format;
    let mut nothing = reference::nothing;
    let mut document = Document::new("", every_table, &mut nothing);
    if let Ok(entries) = DeTable::parse(every_table) {
        document.read(entries.into_inner(), String::new(), 0, read);
    }
    Schema { tables: document.tables, tyk, others }
}

impl<'t> Document<'t> {
    fn new(name: &'t str, text: &'t str, resolve: &'t mut Resolve<'t>) -> Document<'t> {
        let errors = ConfigErrors::default();
        Document { name, text, resolve, errors, tables: Vec::new(), unknown: Vec::new() }
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
    /// True exactly when the table has this key and it was not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// True exactly when the table has a table `key` that has this key, and none was taken yet.
    pub(super) fn has_in(&self, table: &str, key: &str) -> bool {
        let table = self.entries.get(table).and_then(|value| value.get_ref().as_table());
        table.is_some_and(|table| table.contains_key(key))
    }

    /// Takes the value of `key` and converts it with `read`. None if there is no such key, or if
    /// `read` rejects the value; then the error is recorded.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (mut value, at) = self.remove(key)?;
        let whole = reference::put_in(&mut value, at, self.document.resolve);
        match whole.and_then(|()| read(&value)) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.note(wrong.at.unwrap_or(at), key, wrong.what);
                None
            }
        }
    }

    /// Like [`Table::take`], for a key that is required.
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

    /// Reads the table `key` with `read`, or an empty table if it is missing.
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

    /// Reads each of the tables `[[key]]` with `read`, in file order.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'_, 't>) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        let array = match self.remove(key) {
            Some((DeValue::Array(array), _)) if !array.is_empty() => array,
            Some((_, at)) => {
                let header = self.header_of(key);
                self.note(
                    at,
                    key,
                    format!("not a list of tables; write [[{header}]], two brackets"),
                );
                return values;
            }
            None => return values,
        };
        for (n, element) in array.into_iter().enumerate() {
            let start = element.span().start;
            let path = format!("{}[{n}]", self.path_of(key));
            let DeValue::Table(entries) = element.into_inner() else {
                let header = self.header_of(key);
                self.note(start, key, format!("not a table; write [[{header}]], two brackets"));
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

    /// The location of the value of `key` if it exists and was not taken, otherwise that of the
    /// table.
    pub(super) fn location_of(&self, key: &str) -> Location {
        self.location(self.entries.get(key).map_or(self.at, |value| value.span().start), key)
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
            // A quoted key may contain anything, even line ends.
            let shown = key.get_ref().escape_debug().to_string();
            let location = self.location(key.span().start, &shown);
            let (key, table) = (key.get_ref().to_string(), self.document.tables.len());
            self.document.unknown.push(Unknown { key, location, table });
        }
        let is_list = self.path.ends_with(']');
        let (header, keys) = (without_numbers(&self.path), std::mem::take(&mut self.known));
        self.document.tables.push(Known { header, is_list, keys });
    }

    fn note(&mut self, at: usize, key: &str, what: String) {
        let location = self.location(at, key);
        self.document.errors.add(location, what);
    }

    fn location(&self, at: usize, key: &str) -> Location {
        let document = &self.document;
        Location::in_file(document.name, document.text.as_bytes(), at, self.path_of(key))
    }

    /// The text between the brackets of the header of table `key`.
    fn header_of(&self, key: &str) -> String {
        without_numbers(&self.path_of(key))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The path of a table as written in its header: `api.auth` for `api[0].auth`.
fn without_numbers(path: &str) -> String {
    let parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
    parts.collect::<Vec<_>>().join(".")
}
