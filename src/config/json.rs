//! Errors for a JSON file in place of a TOML file: Tyk's files are JSON.

use super::error::{ConfigErrors, Location};
use super::unknown::{Hints, NOTHING, Schema, TYK_OAS};
use std::ops::Range;

/// True exactly when a text that is not TOML begins like JSON.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let inner = text.strip_prefix('[').unwrap_or(text).trim_start();
    inner.starts_with('{')
}

/// Creates the errors for a JSON file, which stops being TOML at `at`: one for the file, and one
/// for each key that has a counterpart in this schema.
pub(super) fn refuse(name: &str, text: &str, at: usize, schema: &Schema) -> ConfigErrors {
    let mut errors = ConfigErrors::default();
    let location = |at, key: &str| Location::in_file(name, text.as_bytes(), at, key.to_owned());
    let what = match is_from_tyk(text) {
        Some(file) => format!("this is {file}; docs/from/tyk.md says what to write instead"),
        None => "this is JSON; the files in conf/ show what to write".to_owned(),
    };
    errors.add(location(at, ""), format!("not TOML: {what}"));
    let mut seen: Vec<&str> = Vec::new();
    let mut left_out = 0;
    let (part, hints): (_, &Hints) = match extension(text) {
        Some(part) => (part, TYK_OAS),
        None => (0..text.len(), &[]),
    };
    for (at, key) in keys(text).filter(|(at, _)| part.contains(at)) {
        if at >= left_out
            && !seen.contains(&key)
            && let Some(what) = schema.in_place_of_tyks(key, hints)
        {
            // What is below it has no equivalent either.
            if what == NOTHING {
                left_out = end_of_value(text, at);
            }
            errors.add(location(at, key), what);
            seen.push(key);
        }
    }
    errors
}

/// The name of what Tyk adds to an OpenAPI document. The rest of it describes the service.
const EXTENSION: &str = "x-tyk-api-gateway";

/// The range of that extension in an OAS definition.
fn extension(text: &str) -> Option<Range<usize>> {
    let (at, _) = keys(text).find(|(_, key)| *key == EXTENSION)?;
    Some(at + 1..end_of_value(text, at))
}

/// The offset behind the value of the name at `at` if that is an object or a list, or else behind
/// the name.
fn end_of_value(text: &str, at: usize) -> usize {
    let end_of_name = at + 1 + end_of_string(&text[at + 1..]).unwrap_or(0);
    let (mut depth, mut i) = (0, end_of_name + 1);
    while let Some(byte) = text.as_bytes().get(i) {
        match byte {
            b'"' => i += 1 + end_of_string(&text[i + 1..]).unwrap_or(0),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        i += 1;
        if depth <= 0 && matches!(byte, b',' | b'}' | b']') {
            break;
        }
    }
    i
}

/// The offset of a string's closing quote in `inside`, which begins behind its opening quote.
fn end_of_string(inside: &str) -> Option<usize> {
    let mut escaped = false;
    inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}

/// Which of Tyk's files a JSON text is, if any, judging by keys that other programs hardly use.
fn is_from_tyk(text: &str) -> Option<&'static str> {
    const GATEWAY: [&str; 3] = ["http_server_options", "node_secret", "app_path"];
    const DEFINITION: [&str; 3] = ["listen_path", "use_keyless", EXTENSION];
    let has = |marks: [&str; 3]| keys(text).any(|(_, key)| marks.contains(&key));
    if has(GATEWAY) {
        Some("the configuration of a Tyk gateway")
    } else {
        has(DEFINITION).then_some("an API definition of Tyk")
    }
}

/// The names in a JSON text (the strings followed by a colon), each with its offset.
fn keys(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find('"')?;
            let inside = &text[start + 1..];
            let end = end_of_string(inside)?;
            at = start + 1 + end + 1;
            if text[at..].trim_start().starts_with(':') {
                return Some((start, &inside[..end]));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        let check = |text: &str, want: &[(usize, &str)]| {
            assert_eq!(keys(text).collect::<Vec<_>>(), want, "{text}");
        };
        check("", &[]);
        check("{\"a\":1,\n\"b\" : [\"c\", \"d\"]}", &[(1, "a"), (8, "b")]);
        check("{\"a\": \"b\\\":\", \"c\\\\\": {\"ä\":2}", &[(1, "a"), (14, "c\\\\"), (22, "ä")]);
        check("{\"a\": \"b", &[(1, "a")]);
        check("\"", &[]);
    }

    #[test]
    fn values_end() {
        let check = |text: &str, want: &str| {
            let end = end_of_value(text, text.find('"').unwrap());
            assert_eq!(&text[..end], want);
        };
        check(r#"{"a": 1, "b": 2}"#, r#"{"a": 1,"#);
        check(r#"{"a": "}", "b": 2}"#, r#"{"a": "}","#);
        check(r#"{"a": {"b": {}, "c": [1]}, "d": 2}"#, r#"{"a": {"b": {}, "c": [1]}"#);
        check(r#"{"a": [{"b": 1}, {"c": 2}], "d": 2}"#, r#"{"a": [{"b": 1}, {"c": 2}]"#);
        check(r#"{"a": 1}"#, r#"{"a": 1}"#);
        check(r#"{"a": {"#, r#"{"a": {"#);
    }

    #[test]
    fn files_of_tyk_are_recognised() {
        let check = |text, want| assert_eq!(is_from_tyk(text), want, "{text}");
        check(r#"{"proxy": {"listen_path": "/"}}"#, Some("an API definition of Tyk"));
        check(r#"[{"use_keyless": true}]"#, Some("an API definition of Tyk"));
        check(r#"{"info": {}, "x-tyk-api-gateway": {}}"#, Some("an API definition of Tyk"));
        let gateway = r#"{"listen_port": 8080, "node_secret": "a"}"#;
        check(gateway, Some("the configuration of a Tyk gateway"));
        check(r#"{"app_path": "/"}"#, Some("the configuration of a Tyk gateway"));
        check(r#"{"apps": {"http": {"servers": {"listen": [":80"]}}}}"#, None);
        check(r#"{"a": "listen_path"}"#, None);
    }

    #[test]
    fn json_is_recognised() {
        for text in ["{}", " \n{\"a\": 1}", "[{\"a\": 1}]", "[\n  {", "\u{feff}{"] {
            assert!(is_json(text), "{text}");
        }
        for text in ["", "a = {", "[a]", "[[api]]", "[\"a\"]", "# {"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
