//! Arrows point down: which modules each module may name, and what only a few may do.
//!
//! Comments may name everything, and so may tests, at the end of a file or in their own.

use super::{files_below, root};
use std::fs;

/// Leaves know no socket, clock, log or configuration, and name only each other. All modules may
/// name them.
const LEAVES: &[&str] = &[
    "access",
    "auth",
    "base64",
    "buf",
    "confines",
    "cors",
    "coverage",
    "demo",
    "descriptors",
    "digits",
    "event_log",
    "http",
    "json",
    "locked",
    "metrics",
    "proxy_protocol",
    "quota",
    "rate",
    "route",
    "slab",
    "sse",
    "sticky",
    "time",
    "wheel",
    "work",
];

/// The modules above the leaves, from the bottom up, and what else each may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("config", &["net"]),
    ("conn", &["net"]),
    ("pipe", &["conn", "net"]),
    ("tasks", &[]),
    ("telemetry", &["config", "net"]),
    ("pool", &["config", "conn", "net", "pipe", "telemetry"]),
    ("apis", &["config", "net", "pipe", "pool", "telemetry"]),
    ("admin", &["apis", "config", "pool", "telemetry"]),
    ("exchange", &["apis", "config", "conn", "net", "pipe", "pool", "telemetry"]),
    ("session", &["conn", "exchange"]),
    ("edge", &["apis", "config", "conn", "exchange", "net", "session", "tasks", "telemetry"]),
    ("proxy", BELOW_PROXY),
];

const BELOW_PROXY: &[&str] = &[
    "admin",
    "apis",
    "config",
    "conn",
    "edge",
    "exchange",
    "net",
    "pipe",
    "pool",
    "session",
    "tasks",
    "telemetry",
];

/// The process around the proxy. It may name everything but what only tests need.
const SHELL: &[&str] = &["main", "shell"];

/// What code may not name, and the exceptions.
const WORDS: &[(&[&str], &[&str])] = &[
    // The system's network is behind `Net`.
    (&["mio", "socket2", "TcpStream", "UnixStream"], &["net", "shell"]),
    // The time is an argument.
    (&["Instant", "SystemTime"], &["shell/clock"]),
    // Only a connection touches its socket, and knows which it is.
    (&["SockId", "net.accept", "net.connect", "net.connected"], &["net", "conn"]),
    (&["net.register", "net.read", "net.write"], &["net", "conn"]),
    (&["net.shutdown_write", "net.close", "net.abort"], &["net", "conn"]),
    // Every change of a stage goes through `Exchange::enter`, which asserts the table.
    (&[".stage", "*stage"], &["exchange/stage"]),
];

#[test]
fn arrows_point_down() {
    let (source, mut wrong) = (root().join("src"), Vec::new());
    for file in files_below(&source) {
        let Some(place) = file.to_str().and_then(|name| name.strip_suffix(".rs")) else { continue };
        let place = &place[source.to_str().unwrap().len() + 1..];
        let of_tests = |part: &str| matches!(part, "testing" | "tests" | "trial");
        if place != "lib" && !place.split('/').any(of_tests) {
            wrong.extend(complaints(place, &fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A violation of each rule is found.
#[test]
fn what_points_up_is_seen() {
    let wrong = [
        ("http/body", "use crate::net::Net;"),
        ("slab", "use log::warn;"),
        ("route", "use super::config::Config;"),
        ("route/path", "use super::super::config::Config;"),
        ("route/path", "use crate::{config, time};"),
        ("auth", "use crate::testing::rng::Rng;"),
        ("time", "let now = std::time::Instant::now();"),
        ("pool/idle", "use crate::session::Session;"),
        ("pool", "use crate::exchange::Exchange;"),
        ("tasks", "use crate::http::head;"),
        ("telemetry/record", "    use crate::exchange::Stage;"),
        ("conn", "use crate::pipe::Pipe;"),
        ("pipe/outlet", "fn f(proxy: &crate::proxy::Proxy<N>) {}"),
        ("session", "use crate::shell::process::Process;"),
        ("edge/authz", "use crate::proxy::Proxy;"),
        ("exchange/local", "use crate::session::Session;"),
        ("proxy/accept", "use mio::Token;"),
        ("proxy/reload", "use crate::shell::Process;"),
        ("pipe/outlet", "let sent = io.net.write(self.sock, bytes);"),
        ("proxy/tunnel", "shared.net.shutdown_write(sock);"),
        ("pool", "fn sock(&self) -> SockId {"),
        ("exchange", "self.stage = Stage::Reply;"),
        ("exchange/stream", "let stage = &mut exchange.stage;"),
        ("exchange", "*stage = Stage::Reply;"),
        ("shell/event_loop", "let now = Instant::now();"),
        ("sse", "use crate::unheard_of::Thing;"),
        ("unheard_of", ""),
    ];
    for (place, line) in wrong {
        let text = format!("//! A module.\n\n{line}\n");
        assert_eq!(complaints(place, &text).len(), 1, "{place}: {line}");
    }
    let right = [
        ("http/body", "/// As [`crate::proxy`] has it."),
        ("http/body", "let at = now; // an Instant"),
        ("http/body", "#[cfg(test)]\nmod tests {\n    use crate::testing::pieces::in_pieces;\n}"),
        ("route/path", "use super::readings;"),
        ("exchange", "if self.stage() == Stage::Reply {"),
        ("exchange/stage", "self.stage = stage;"),
        ("proxy", "self.shared.net.close_listener(listener);"),
        ("shell/event_loop", "use crate::proxy::Proxy;"),
    ];
    for (place, line) in right {
        assert_eq!(complaints(place, line), [""; 0], "{place}: {line}");
    }
}

/// What is wrong with a source file. `place` is its path below src, without `.rs`.
fn complaints(place: &str, text: &str) -> Vec<String> {
    let module = place.split('/').next().unwrap_or(place);
    let is_leaf = LEAVES.contains(&module);
    let layer = LAYERS.iter().find(|(name, _)| *name == module).map(|(_, below)| *below);
    let is_shell = SHELL.contains(&module);
    if !is_leaf && !is_shell && layer.is_none() {
        return vec![format!("src/{place}.rs is in no layer")];
    }
    let may_name = |other: &str| {
        let is_below = LEAVES.contains(&other) || layer.is_some_and(|below| below.contains(&other));
        // Tasks are independent of HTTP.
        let is_alien = module == "tasks" && other == "http";
        other == module || is_below && !is_alien || is_shell && other != "testing"
    };
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(product_code(text)) {
        let code = line.split("//").next().unwrap_or_default();
        let mut complain = |what: &str| wrong.push(format!("src/{place}.rs:{number} names {what}"));
        modules(place, code).into_iter().filter(|other| !may_name(other)).for_each(&mut complain);
        if is_leaf && names(code, "log") && code.contains("log::") {
            complain("log");
        }
        for (words, places) in WORDS {
            let is_here = |at: &&str| place.strip_prefix(at).is_some_and(is_boundary);
            if !places.iter().any(is_here) {
                words.iter().filter(|word| names(code, word)).for_each(|word| complain(word));
            }
        }
    }
    wrong
}

/// The lines before the module of tests, or of the simulator's oracles, if any.
fn product_code(text: &str) -> impl Iterator<Item = &str> {
    let apart = |attribute| matches!(attribute, "#[cfg(test)]" | "#[cfg(feature = \"sim\")]");
    let next = text.lines().skip(1).chain([""]);
    let lines = text.lines().zip(next);
    lines
        .take_while(move |(line, next)| {
            !(apart(*line) && next.starts_with("mod ") && next.ends_with('{'))
        })
        .map(|(line, _)| line)
}

/// The modules of the crate that a line names, through `crate` or the right number of `super`.
fn modules<'t>(place: &str, code: &'t str) -> Vec<&'t str> {
    let depth = place.trim_end_matches("/mod").split('/').count();
    let mut modules = Vec::new();
    for start in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in code.match_indices(&start) {
            let rest = &code[at + start.len()..];
            let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
            // A list of modules yields its brace, which is in no layer: each module needs its own
            // line.
            modules.push(&rest[..end.max(1)]);
        }
    }
    modules
}

/// True if the code contains this word as a whole. A field does not match a call.
fn names(code: &str, word: &str) -> bool {
    let is_field = word.starts_with('.');
    code.match_indices(word).any(|(at, _)| {
        let behind = &code[at + word.len()..];
        let begins = !word.starts_with(is_of_word) || !code[..at].ends_with(is_of_word);
        begins && is_boundary(behind) && !(is_field && behind.starts_with('('))
    })
}

/// True if no word continues here.
fn is_boundary(rest: &str) -> bool {
    !rest.starts_with(is_of_word)
}

const fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
