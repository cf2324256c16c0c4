//! References in strings of a file: `${NAME}` stands for an environment variable, and
//! `${file:path}` for the contents of a file. So a secret need not be in the configuration, and one
//! configuration can serve several hosts.
//!
//! `$${` stands for `${`. Substituted text is not scanned for references. Errors name a reference,
//! and never its value.

use crate::config::error::Wrong;
use std::borrow::Cow;
use toml::de::DeValue;

/// What a reference refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// The environment variable with this name.
    Variable(&'a str),
    /// The file with this name.
    File(&'a str),
}

/// Returns the value of a reference, or says why it cannot.
pub(crate) type Resolve<'a> = dyn FnMut(Reference<'_>) -> Result<String, String> + 'a;

/// Rejects every reference.
pub(crate) fn nothing(_: Reference<'_>) -> Result<String, String> {
    Err("nothing can be referred to here".to_owned())
}

/// Substitutes the references in all strings of a value that begins at offset `at`.
///
/// # Errors
/// The first reference that is malformed or has no value, and its location.
pub(crate) fn put_in(
    value: &mut DeValue<'_>,
    at: usize,
    resolve: &mut Resolve<'_>,
) -> Result<(), Wrong> {
    match value {
        DeValue::String(text) if text.contains("${") => {
            let whole = put_into(text, resolve).map_err(|what| Wrong { what, at: Some(at) })?;
            *text = Cow::Owned(whole);
        }
        DeValue::Array(elements) => {
            for element in elements.iter_mut() {
                let at = element.span().start;
                put_in(element.get_mut(), at, resolve)?;
            }
        }
        DeValue::Table(entries) => {
            for (_, element) in entries.iter_mut() {
                let at = element.span().start;
                put_in(element.get_mut(), at, resolve)?;
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
    Ok(())
}

/// The text with its references substituted.
fn put_into(text: &str, resolve: &mut Resolve<'_>) -> Result<String, String> {
    let (mut whole, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("${") {
        let (before, reference) = (&rest[..at], &rest[at + "${".len()..]);
        if let Some(before) = before.strip_suffix('$') {
            whole.extend([before, "${"]);
            rest = reference;
            continue;
        }
        whole.push_str(before);
        let (named, behind) = reference.split_once('}').ok_or(MALFORMED)?;
        whole.push_str(&resolve(Reference::of(named).ok_or(MALFORMED)?)?);
        rest = behind;
    }
    Ok(whole + rest)
}

impl Reference<'_> {
    /// Parses the text between the braces.
    fn of(text: &str) -> Option<Reference<'_>> {
        if let Some(path) = text.strip_prefix("file:") {
            let is_name = !path.is_empty() && !path.contains(char::is_control);
            return is_name.then_some(Reference::File(path));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = !text.is_empty()
            && text.bytes().all(fits)
            && !text.starts_with(|c: char| c.is_ascii_digit());
        is_name.then_some(Reference::Variable(text))
    }
}

const MALFORMED: &str = "\"${\" begins a reference; write ${NAME} or ${file:path}, or $${ for the \
    characters themselves";

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(reference: Reference<'_>) -> Result<String, String> {
        match reference {
            Reference::Variable("HOST") => Ok("a.example".to_owned()),
            Reference::Variable("ODD") => Ok("${HOST}$${".to_owned()),
            Reference::File("dir/a b.txt") => Ok(String::new()),
            Reference::Variable(name) | Reference::File(name) => Err(format!("no {name}")),
        }
    }

    #[test]
    fn references() {
        let check = |text: &str, want: Result<&str, &str>| {
            let whole = put_into(text, &mut resolve);
            assert_eq!(whole, want.map(str::to_owned).map_err(str::to_owned), "{text}");
        };
        check("http://${HOST}:${HOST}/", Ok("http://a.example:a.example/"));
        check("${ODD}", Ok("${HOST}$${"));
        check("<${file:dir/a b.txt}>", Ok("<>"));
        check("$${HOST}$ $x {y} $$", Ok("${HOST}$ $x {y} $$"));
        check("$$${HOST}", Ok("$${HOST}"));
        check("$${${HOST}", Ok("${a.example"));
        check("${NONE}${", Err("no NONE"));
        check("${file:b}", Err("no b"));
        for wrong in ["${", "${HOST", "${}", "${1}", "${A-B}", "${file:}", "${ HOST}", "${a.b}"] {
            check(wrong, Err(MALFORMED));
        }
    }

    #[test]
    fn where_they_may_be() {
        let text = "[1, true, 'x', ['${HOST}'], { a = '${HOST}', b = { c = '${NONE}' } }]";
        let mut value = DeValue::parse(text).unwrap();
        let wrong = put_in(value.get_mut(), 0, &mut resolve).unwrap_err();
        assert_eq!((wrong.what.as_str(), wrong.at), ("no NONE", text.find("'${NONE")));
        assert_eq!(format!("{value:?}").matches("a.example").count(), 2);
    }
}
