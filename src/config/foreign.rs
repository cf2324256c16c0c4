//! Recognises the files of other programs, which people try in place of a TOML file when they
//! migrate.
//!
//! A file is recognised by lines that no TOML file has. Tyk's files are JSON ([`super::json`]).

/// The name of a program, the page of the book about migrating from it, and what lines of its files
/// look like.
type Program = (&'static str, &'static str, fn(&str) -> bool);

const PROGRAMS: [Program; 5] = [
    ("ingress-nginx", "docs/from/ingress-nginx.md", |line| line == "kind: Ingress"),
    ("Traefik", "docs/from/traefik.md", |line| matches!(line, "entryPoints:" | "routers:")),
    ("nginx", "docs/from/nginx.md", |line| {
        line == "server {" || line.starts_with("location ") && line.ends_with('{')
    }),
    ("HAProxy", "docs/from/haproxy.md", |line| {
        ["frontend", "backend", "listen"].iter().any(|word| is_before_a_word(word, line))
    }),
    ("Caddy", "docs/from/caddy.md", |line| is_before_a_word("reverse_proxy", line)),
];

/// True exactly when a line is `word` followed by another word. Not if it is a TOML key with an
/// invalid value or a missing `=`.
fn is_before_a_word(word: &str, line: &str) -> bool {
    let rest = line.strip_prefix(word).filter(|rest| rest.starts_with([' ', '\t']));
    rest.is_some_and(|rest| !rest.trim_start().starts_with(['=', '[', '"', '\'']))
}

/// The program whose file a text that is not TOML seems to be, and the page about it.
pub(super) fn is_of(text: &str) -> Option<(&'static str, &'static str)> {
    let lines = || text.lines().map(str::trim);
    let found = PROGRAMS.iter().find(|(_, _, is_line)| lines().any(is_line));
    found.map(|(program, page, _)| (*program, *page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn files_are_known_by_their_lines() {
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(is_of(text).map(|(program, _)| program), want, "{text}");
        };
        check("http {\n  server {\n", Some("nginx"));
        check("    location /events {\n", Some("nginx"));
        check("defaults\n  mode http\n\nfrontend www\n", Some("HAProxy"));
        check("listen stats\n", Some("HAProxy"));
        check("example.com {\n\treverse_proxy localhost:8000\n}\n", Some("Caddy"));
        check("http:\n  routers:\n", Some("Traefik"));
        check("apiVersion: networking.k8s.io/v1\nkind: Ingress\n", Some("ingress-nginx"));
        check("listen = ['127.0.0.1:80']\nbackend\n", None);
        check("[server]\nlisten ='127.0.0.1:80'\n", None);
        for value in ["['127.0.0.1:80']", "\"127.0.0.1:80\"", "= 127.0.0.1:80"] {
            check(&format!("[server]\nlisten {value}\n"), None);
            check(&format!("[[api]]\nreverse_proxy {value}\n"), None);
        }
    }

    /// Each page is in the book, and has a line that is recognised.
    #[test]
    fn pages_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (program, page, is_line) in PROGRAMS {
            let text = fs::read_to_string(root.join(page)).unwrap();
            assert!(text.lines().map(str::trim).any(is_line), "{program}");
        }
    }
}
