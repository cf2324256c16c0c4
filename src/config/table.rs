//! A TOML table as its reader sees it: keys are taken out one by one, and what is left is unknown.
//!
//! The reader is the schema: the keys that it asks for are the keys there are, so none can be
//! known and unread, or read and not suggested. A value that cannot be taken is noted with its
//! place and the reading goes on, so that one look finds all there is to find. Derived
//! deserialisation stops at the first error, and for an unknown key has no place.

use super::error::{ConfigErrors, Place, Wrong};
use toml::de::{DeTable, DeValue};

/// The file, and what is wrong with it so far.
struct Document<'t> {
    name: &'t str,
    text: &'t str,
    errors: ConfigErrors,
}

/// One table of the file, while it is read.
pub(super) struct Table<'d, 't> {
    document: &'d mut Document<'t>,
    /// The keys that nobody asked for yet.
    entries: DeTable<'t>,
    /// `server`, `api[0]`; empty for the file itself.
    path: String,
    /// The offset of its header.
    at: usize,
    /// The keys that were asked for.
    known: Vec<&'static str>,
}

/// Reads a file through `read`, which may give nothing only if it found something wrong.
pub(super) fn read<T>(
    name: &str,
    text: &str,
    read: impl FnOnce(&mut Table<'_, '_>) -> Option<T>,
) -> Result<T, ConfigErrors> {
    let entries = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let place = Place::in_file(name, text.as_bytes(), at, String::new());
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        ConfigErrors::one(place, format!("not TOML: {message}"))
    })?;
    let mut document = Document { name, text, errors: ConfigErrors::default() };
    let value = document.read(entries.into_inner(), String::new(), 0, read);
    document.errors.or(value)
}

impl<'t> Document<'t> {
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
    /// True exactly when the table has this key and nobody took it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of `key` through `read`. None if there is no such key, or if `read` refuses it,
    /// which is noted.
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

    /// As [`Table::take`], for a key that must be there.
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

    /// The table `key` through `read`; an empty one if there is none.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_, 't>) -> T,
    ) -> T {
        let (entries, at) = self.take_table(key).unwrap_or((DeTable::new(), self.at));
        let path = self.path_of(key);
        self.document.read(entries, path, at, read)
    }

    /// The table `key` through `read`. None if there is none.
    pub(super) fn table_if_any<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_, 't>) -> Option<T>,
    ) -> Option<T> {
        let (entries, at) = self.take_table(key)?;
        let path = self.path_of(key);
        self.document.read(entries, path, at, read)
    }

    /// Each of the tables `[[key]]` through `read`, in the order of the file.
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

    /// Notes that something is missing from this table.
    pub(super) fn missing(&mut self, key: &str, what: &str) {
        self.note(self.at, key, what.to_owned());
    }

    /// Where the value of `key` is, if it is there and nobody took it; else where the table is.
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
            let what = match nearest(key.get_ref(), &self.known) {
                Some(near) => format!("unknown key; did you mean \"{near}\"?"),
                None => format!("unknown key; the keys here are {}", self.known.join(", ")),
            };
            // A quoted key may hold anything, line ends too.
            let shown = key.get_ref().escape_debug().to_string();
            self.note(key.span().start, &shown, what);
        }
    }

    fn note(&mut self, at: usize, key: &str, what: String) {
        let place = self.place(at, key);
        self.document.errors.add(place, what);
    }

    fn place(&self, at: usize, key: &str) -> Place {
        let Document { name, text, .. } = *self.document;
        Place::in_file(name, text.as_bytes(), at, self.path_of(key))
    }

    /// What the header of the table `key` has between its brackets: a path without numbers.
    fn header_of(&self, key: &str) -> String {
        let path = self.path_of(key);
        let parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
        parts.collect::<Vec<_>>().join(".")
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The one of `known` that `word` is most likely to mean. None if it is far from all of them.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    // One edit for each four letters, and one more.
    let far = |known: &str| known.len().min(word.len()) / 4 + 1;
    known
        .iter()
        .filter(|known| known.len().abs_diff(word.len()) <= far(known))
        .map(|known| (edits(word.as_bytes(), known.as_bytes()), *known))
        .filter(|&(edits, known)| edits <= far(known))
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, known)| known)
}

/// How many bytes have to be inserted, removed or changed to get from `a` to `b` (Levenshtein's
/// distance): row by row, each a prefix of `a` against all prefixes of `b`.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition itself, which takes exponential time.
    fn edits_by_definition(a: &[u8], b: &[u8]) -> usize {
        match (a, b) {
            (rest, []) | ([], rest) => rest.len(),
            ([x, a @ ..], [y, b @ ..]) if x == y => edits_by_definition(a, b),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => {
                let changed = edits_by_definition(a_rest, b_rest);
                let removed = edits_by_definition(a_rest, b);
                let inserted = edits_by_definition(a, b_rest);
                1 + changed.min(removed).min(inserted)
            }
        }
    }

    #[test]
    fn edits_are_the_fewest() {
        let mut words = vec![vec![]];
        for n in 0..40 {
            let mut longer: Vec<u8> = words[n / 3].clone();
            longer.push(b"abc"[n % 3]);
            words.push(longer);
        }
        for a in &words {
            for b in &words {
                assert_eq!(edits(a, b), edits_by_definition(a, b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn near_keys_are_suggested() {
        let known = ["listen", "listen_path", "name", "host", "active"];
        let check = |word, want| assert_eq!(nearest(word, &known), want, "{word}");
        check("listen_pth", Some("listen_path"));
        check("listen-path", Some("listen_path"));
        check("lisen", Some("listen"));
        check("hots", Some("host"));
        check("Name", Some("name"));
        check("hostname", None);
        check("q", None);
        check("", None);
        check(&"listen".repeat(100_000), None);
    }
}
