//! The words in logs, streams and metrics, for readers of the book: `make golden` generates
//! docs/words.md from sections of millstream(1).

use super::assert_written;
use std::fmt::Write as _;

#[test]
fn the_page_with_every_word_is_that_of_the_manual() {
    assert_written("docs/words.md", &page());
}

const BEGINNING: &str = "# Reasons, states and metrics

This page is written by `make golden` from millstream(1). These words
[do not change](compatibility.md).
";

fn page() -> String {
    const MANUAL: &str = include_str!("../../../doc/millstream.1");
    let (_, sections) = MANUAL.split_once("\n.Ss Reasons\n").unwrap();
    let (sections, _) = sections.split_once("\n.Sh ").unwrap();
    let mut page = BEGINNING.to_owned();
    page.push_str("\n## Reasons\n\n");
    let (mut depth, mut in_code) = (0, false);
    for line in sections.lines() {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        match name {
            ".Ed" => (in_code, _) = (false, page.push_str("```\n")),
            _ if in_code => page.push_str(&format!("{}\n", plain(line))),
            ".Bd" => (in_code, _) = (true, page.push_str("\n```text\n")),
            ".Ss" => page.push_str(&format!("\n## {rest}\n\n")),
            ".Pp" => page.push('\n'),
            ".Bl" => (depth, _) = (depth + 1, page.push('\n')),
            ".El" => depth -= 1,
            ".It" => {
                let indent = "  ".repeat(depth - 1);
                let _ = writeln!(page, "{indent}- {}:", inline(rest));
            }
            _ => {
                let text = match name {
                    ".Pq" => {
                        let (inner, behind) = match rest.rsplit_once(' ') {
                            Some((inner, mark @ ("," | ";" | "."))) => (inner, mark),
                            _ => (rest, ""),
                        };
                        format!("({}){behind}", inline(inner))
                    }
                    ".Va" | ".Li" | ".Ql" | ".Sx" | ".Xr" => inline(line.trim_start_matches('.')),
                    _ => {
                        assert!(!name.starts_with('.'), "{line}");
                        plain(line)
                    }
                };
                let _ = writeln!(page, "{}{text}", "  ".repeat(depth));
            }
        }
    }
    // The next paragraph begins after the list.
    while page.contains("\n\n\n") {
        page = page.replace("\n\n\n", "\n\n");
    }
    page
}

/// A line of text with its escapes resolved.
fn plain(text: &str) -> String {
    text.replace("\\(dq", "\"").replace("\\-", "-").replace("\\&", "").replace("\\(ha", "^")
}

/// The arguments of a macro, which begin with its name. Names are put in backticks; the rest stays
/// as it is.
fn inline(words: &str) -> String {
    let mut text = String::new();
    let (mut name, mut names) = ("", Vec::new());
    let flush = |text: &mut String, name: &str, names: &mut Vec<&str>| {
        if names.is_empty() {
            return;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        let said = plain(&std::mem::take(names).join(" "));
        match name {
            "" | "No" => text.push_str(&said),
            "Sx" => *text += &format!("[{said}](#{})", said.to_lowercase()),
            "Xr" => *text += &format!("{}({})", &said[..said.len() - 2], &said[said.len() - 1..]),
            _ => *text += &format!("`{said}`"),
        }
    };
    for word in words.split(' ') {
        match word {
            "Va" | "Li" | "Ql" | "Sx" | "Xr" | "No" => {
                flush(&mut text, name, &mut names);
                name = word;
            }
            "," | ";" | ":" | "." | ")" => {
                flush(&mut text, name, &mut names);
                text.push_str(word);
            }
            _ => names.push(word),
        }
    }
    flush(&mut text, name, &mut names);
    text
}
