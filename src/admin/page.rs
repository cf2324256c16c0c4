//! The live page, and the Content-Security-Policy that permits only what the page does.

use crate::base64;
use sha2::{Digest, Sha256};

/// The page: one file with one style and one script, which fetches only from this listener.
pub const PAGE: &str = include_str!("page.html");

/// The Content-Security-Policy, which names the style and the script by their hashes, so that
/// nothing injected into the page can run.
pub fn policy() -> String {
    let [style, script] = ["style", "script"].map(|tag| {
        let text = between(PAGE, &format!("<{tag}>"), &format!("</{tag}>"));
        base64(&Sha256::digest(text.as_bytes()))
    });
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(behind).map_or("", |(inner, _)| inner)
}

fn base64(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64::encode(bytes, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Outcome;
    use std::collections::BTreeSet;

    /// Each outcome of a stream or tunnel has a colour.
    #[test]
    fn each_end_has_a_colour() {
        let table = between(PAGE, "const COLOURS = {", "}");
        let known: BTreeSet<&str> =
            table.split(',').filter_map(|entry| Some(entry.split_once(':')?.0.trim())).collect();
        let ends = Outcome::ALL.into_iter().filter(|end| end.ends_what_was_open());
        assert_eq!(known, ends.map(Outcome::word).collect());
    }

    /// What the policy names occurs once, and what it forbids does not occur.
    #[test]
    fn the_page_keeps_to_its_policy() {
        for tag in ["<style", "</style>", "<script", "</script>"] {
            assert_eq!(PAGE.matches(tag).count(), 1, "{tag}");
        }
        for inline in [" style=", " onclick=", " onload=", "javascript:", "innerHTML", "eval("] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        assert!(!PAGE.contains("src=") && !PAGE.contains("@import"));
        let policy = policy();
        assert_eq!(policy.matches("'sha256-").count(), 2);
        let empty = base64(&Sha256::digest(b""));
        assert!(!policy.contains(&empty), "{policy}");
    }
}
