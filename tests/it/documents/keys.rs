//! The page with every key, docs/keys.md, which `make golden` generates from conf/millstream.toml.

use super::{EVERY_KEY, assert_written};
use std::fmt::Write as _;

#[test]
fn the_page_with_every_key_is_that_of_the_file() {
    assert_written("docs/keys.md", &page());
}

/// A section for each table of the file, and a row for each key. A comment belongs to the line
/// after it; if that is empty, the comment is a paragraph by itself.
fn page() -> String {
    let mut page = "# Every key\n\n".to_owned();
    let (mut comment, mut in_table) = (Vec::new(), false);
    for line in EVERY_KEY.lines().chain([""]) {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if line.starts_with('[') {
            let _ = write!(page, "\n## {line}\n");
            if !comment.is_empty() {
                let _ = write!(page, "\n{}\n", paragraph(&comment));
            }
            (comment, in_table) = (Vec::new(), false);
        } else if let Some((key, value)) = line.split_once(" = ") {
            if !in_table {
                page.push_str("\n| key | default | |\n|---|---|---|\n");
            }
            page.push_str(&row(key, value, &comment));
            (comment, in_table) = (Vec::new(), true);
        } else if !comment.is_empty() {
            let gap = if in_table { "\n" } else { "" };
            let _ = writeln!(page, "{gap}{}", paragraph(&comment));
            (comment, in_table) = (Vec::new(), false);
        }
    }
    let (first, rest) = page.split_once("\n## ").unwrap();
    let first = first.trim_end();
    format!("{first}\n\n{SOURCE}\n\n## {rest}")
}

const SOURCE: &str = "This page is written by `make golden` from \
    [conf/millstream.toml](../conf/millstream.toml), which can be copied and changed. \
    millstream.toml(5) has the same keys, and says what becomes of a stream that two of them are \
    about.";

/// If a value is only an example, the beginning of its comment says so.
fn row(key: &str, value: &str, comment: &[&str]) -> String {
    let text = cell(comment);
    let (default, text) = if let Some(text) = text.strip_prefix("Required. ") {
        (format!("required, such as `{value}`"), text)
    } else if let Some(text) = text.strip_prefix("No default. ") {
        (format!("none; such as `{value}`"), text)
    } else {
        (format!("`{value}`"), text.as_str())
    };
    format!("| `{key}` | {default} | {text} |\n")
}

fn paragraph(comment: &[&str]) -> String {
    let lines: Vec<String> = comment.iter().map(|line| escape(line)).collect();
    lines.join("\n").trim().to_owned()
}

/// Lines that begin with a value explain that value.
fn cell(comment: &[&str]) -> String {
    let mut text = String::new();
    for line in comment {
        let is_of_value = line.starts_with('"') && line.contains("\": ");
        if !text.is_empty() {
            text.push_str(if is_of_value { "<br>" } else { " " });
        }
        text.push_str(&escape(line));
    }
    text
}

/// Escapes markup outside of backticks.
fn escape(line: &str) -> String {
    let mut escaped = String::new();
    let mut in_code = false;
    for c in line.chars() {
        in_code ^= c == '`';
        match c {
            '|' => escaped.push_str("\\|"),
            '*' if !in_code => escaped.push_str("\\*"),
            '<' if !in_code => escaped.push_str("&lt;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
