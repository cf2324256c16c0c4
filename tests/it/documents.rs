//! The READMEs and docs/: configurations are valid, links have a target, and the keys that are
//! named exist.

mod commands;
mod keys;
mod words;

use crate::tidy::files_below;
use millstream::Config;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const EVERY_KEY: &str = include_str!("../../conf/millstream.toml");
const TARGET: &str = "target_url = 'http://127.0.0.1:8000'\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the book outside docs.
const OTHERS: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benches/README.md",
    "benches/RESULTS.md",
    "conf/front/README.md",
];

/// Checks a page that is generated from another file.
fn assert_written(name: &str, page: &str) {
    let file = root().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, page).unwrap();
    }
    assert!(fs::read_to_string(&file).unwrap() == page, "`make golden` writes {name}");
}

/// Each document and its text.
fn documents() -> impl Iterator<Item = (PathBuf, String)> {
    pages().into_iter().chain(OTHERS.map(|name| root().join(name))).map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        (file, text)
    })
}

/// The pages in docs.
fn pages() -> Vec<PathBuf> {
    let mut pages = files_below(&root().join("docs"));
    pages.retain(|file| file.extension().is_some_and(|e| e == "md"));
    pages
}

/// The code blocks in a document with their languages, and the text around them.
fn blocks(text: &str) -> (Vec<(&str, &str)>, String) {
    let mut parts = text.split("```");
    let mut rest = parts.next().unwrap().to_owned();
    let mut blocks = Vec::new();
    while let Some(block) = parts.next() {
        blocks.push(block.split_once('\n').unwrap());
        rest += parts.next().expect("each block has an end");
    }
    (blocks, rest)
}

/// Each configuration shown is valid and causes no warning. One without an api is completed with an
/// api, and one without `[[api]]` is taken as a part of one.
#[test]
fn configurations_are_right() {
    let mut examples = 0;
    for (file, text) in documents() {
        let (blocks, _) = blocks(&text);
        for (_, example) in blocks.into_iter().filter(|(language, _)| *language == "toml") {
            examples += 1;
            if example.starts_with("# wrong.toml\n") {
                assert!(Config::parse("x.toml", example).is_err(), "{}", file.display());
                continue;
            }
            let target = if example.contains("target_url") { "" } else { TARGET };
            let api = format!("[[api]]\nname = 'a'\nlisten_path = '/'\n{target}");
            let text = match example {
                _ if example.contains("[[api]]") => example.to_owned(),
                _ if example.contains("[[key]]") => continue,
                _ if example.contains("[server]") => format!("{example}{api}"),
                _ => format!("{api}{example}"),
            };
            let text = without_references(&text);
            let config = Config::parse("x.toml", &text)
                .unwrap_or_else(|errors| panic!("{}: {errors}\n{text}", file.display()));
            let mut said = [config.warnings(None, 1), config.remarks()].concat();
            // The key file is not read here.
            said.retain(|what| !what.starts_with("keys.toml: "));
            // Every file with TLS causes this remark.
            said.retain(|what| !what.starts_with("server.listen_tls: HTTP/1.1 is spoken there"));
            assert!(said.is_empty(), "{}: {said:?} about\n{text}", file.display());
        }
    }
    assert!(examples > 8, "{examples}");
}

/// The values of a list of strings in a line of TOML, which may be a comment.
fn listed<'a>(line: &'a str, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let line = line.trim_start_matches([' ', '#']);
    let values = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(" = [")).unwrap_or("");
    values.split('#').next().unwrap().split('"').skip(1).step_by(2)
}

/// Clients in a network that `trusted_proxies` lists are believed about their addresses. A wide one
/// has clients in it: those of a cloud's nodes, or of a bridge's gateway.
#[test]
fn trusted_proxies_that_are_shown_are_few() {
    let files = files_below(&root().join("conf"));
    let files = files.into_iter().chain(documents().map(|(file, _)| file));
    let mut shown = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for network in text.lines().flat_map(|line| listed(line, "trusted_proxies")) {
            shown += 1;
            let length = network.split_once('/').map(|(_, length)| length.parse::<u32>().unwrap());
            let least = if network.contains(':') { 120 } else { 24 };
            let is_small = length.is_none_or(|length| length >= least);
            assert!(is_small, "{}: {network}", file.display());
        }
    }
    assert!(shown > 4, "{shown}");
}

/// The systemd unit cannot open ports below 1024. A page that shows one says what can, and the
/// socket unit has the line, perhaps as a comment.
#[test]
fn low_ports_are_opened_by_the_socket_unit() {
    const SOCKET: &str = include_str!("../../conf/millstream.socket");
    let mut low = 0;
    for (file, text) in documents() {
        for line in text.lines() {
            for address in listed(line, "listen").chain(listed(line, "listen_tls")) {
                let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                if port.is_some_and(|port: u16| port < 1024) {
                    low += 1;
                    let opens = format!("ListenStream={address}");
                    let is_there = |line: &str| line.trim_start_matches("# ") == opens;
                    assert!(text.contains("`millstream.socket`"), "{}", file.display());
                    assert!(SOCKET.lines().any(is_there), "{}: {opens}", file.display());
                }
            }
        }
    }
    assert_eq!(low, 4);
}

/// No controller may serve an Ingress without a class.
#[test]
fn each_ingress_has_a_class() {
    let mut shown = 0;
    for (file, text) in documents() {
        let (blocks, _) = blocks(&text);
        for (_, block) in blocks.iter().filter(|(_, block)| block.contains("kind: Ingress\n")) {
            shown += 1;
            assert!(block.contains("\n  ingressClassName: "), "{}: {block}", file.display());
        }
    }
    assert_eq!(shown, 2);
}

/// What documents say about the memory of an idle stream is what was measured.
#[test]
fn an_idle_stream_costs_what_was_measured() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let results = read("benches/RESULTS.md");
    let row = results.lines().find(|line| line.contains("| memory per stream, bytes ")).unwrap();
    // The columns before it: an empty one, scenario, figure, direct, floor.
    let measured = row.split('|').nth(5).unwrap().trim().trim_matches('*');
    for (page, says) in [
        ("docs/internals.md", format!("An idle stream costs {measured} bytes,")),
        ("docs/measure.md", format!("| memory of an idle stream | {measured} B |")),
        ("docs/scale.md", format!("| idle stream, no TLS | {measured} B |")),
    ] {
        assert!(read(page).contains(&says), "{page}: {says}");
    }
}

/// Replaces each reference to a variable or file by a digit.
fn without_references(text: &str) -> String {
    let mut parts = text.split("${");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + "1" + part.split_once('}').unwrap().1)
}

/// A page that the contents do not list cannot be found.
#[test]
fn the_contents_list_every_page() {
    let docs = root().join("docs");
    let contents = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed = |page: &PathBuf| {
        let name = page.strip_prefix(&docs).unwrap().to_str().unwrap();
        name == "SUMMARY.md" || contents.contains(&format!("]({name})"))
    };
    let missing: Vec<PathBuf> = pages().into_iter().filter(|page| !listed(page)).collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

/// The README does not repeat what the book says.
#[test]
fn the_readme_is_two_screens() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 100, "{lines} lines");
}

#[test]
fn what_stands_behind_a_front_is_right() {
    const BEHIND: &str = include_str!("../../conf/front/millstream.toml");
    let config = Config::parse("x.toml", BEHIND).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!([config.warnings(None, 1), config.remarks()].concat(), [""; 0]);
}

/// Each front removes or sets the fields that the manual lists for `trusted_proxies`, because
/// millstream forwards them from a trusted proxy.
#[test]
fn fronts_remove_what_only_a_proxy_may_send() {
    const MANUAL: &str = include_str!("../../doc/millstream.toml.5");
    let (_, list) = MANUAL.split_once(".Po Li X-Forwarded-*").unwrap();
    let (list, _) = list.split_once("\n.Pc").unwrap();
    let listed = list.split_whitespace().filter(|word| word.len() > ".Li".len());
    let fields: Vec<String> = ["X-Forwarded-*"].into_iter().chain(listed).map(plain).collect();
    assert_eq!(fields.len(), 9, "{fields:?}");
    let files = ["Caddyfile", "envoy.yaml", "haproxy.cfg", "nginx.conf", "traefik-dynamic.yml"];
    for file in files {
        let text = fs::read_to_string(root().join("conf/front").join(file)).unwrap();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let lines: Vec<String> = lines.map(plain).collect();
        let mut words = Vec::new();
        for line in &lines {
            let split = line.split(|c: char| !c.is_alphanumeric() && c != '-');
            words.extend(split.map(|word| word.trim_start_matches('-')));
        }
        for field in &fields {
            let found = match field.strip_suffix('*') {
                Some(start) => words.iter().any(|word| word.starts_with(start)),
                None => words.contains(&field.as_str()),
            };
            // Traefik always sets this one itself.
            let is_set = file.starts_with("traefik") && field == "x-real-ip";
            assert!(found || is_set, "{file}: {field}");
        }
    }
}

/// The fronts that remove a field by its full name have the same list, except for what Traefik
/// always sets itself. `tests/interop/fronts` tries each of these names.
#[test]
fn fronts_that_need_full_names_have_the_same() {
    let of_traefik =
        ["X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-IP"].map(plain);
    let set_by_nginx = ["X-Forwarded-For", "X-Forwarded-Proto"].map(plain);
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let nginx = read("conf/front/nginx.conf");
    let names = nginx.lines().filter_map(|line| {
        line.trim().strip_prefix("proxy_set_header ")?.strip_suffix(" \"\";").map(plain)
    });
    let nginx: BTreeSet<String> = names.collect();
    let traefik = read("conf/front/traefik-dynamic.yml");
    let names = traefik.lines().filter_map(|line| line.trim().strip_suffix(": \"\"").map(plain));
    assert_eq!(nginx, names.chain(of_traefik).collect());
    let fronts = read("tests/interop/fronts");
    let (_, tried) = fronts.split_once("OF_PROXIES = \"\"\"").unwrap();
    let tried = tried.split("\"\"\"").next().unwrap().split_whitespace().map(plain);
    assert_eq!(tried.collect::<BTreeSet<_>>(), nginx.into_iter().chain(set_by_nginx).collect());
}

/// The name of a field, or a regular expression for it, in lower case with hyphens.
fn plain(text: &str) -> String {
    text.to_lowercase().replace(['.', '_'], "-")
}

/// The configurations for Kubernetes and Compose. `make kubernetes` tests everything around them.
#[test]
fn what_is_mounted_is_right() {
    let manifests = include_str!("../../conf/kubernetes/millstream.yaml");
    let (_, block) = manifests.split_once("  millstream.toml: |\n").unwrap();
    let lines = block.lines().take_while(|line| *line != "---");
    let mounted: String = lines.map(|line| format!("{}\n", line.trim_start())).collect();
    let compose = include_str!("../../conf/compose/millstream/millstream.toml");
    let events = include_str!("../../conf/compose/events/events.toml");
    for text in [mounted.as_str(), compose, events] {
        let config = Config::parse("x.toml", text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!([config.warnings(None, 1), config.remarks()].concat(), [""; 0], "{text}");
    }
}

/// The page for users of Tyk shows the actual output of `--check` for the files there.
#[test]
fn files_of_tyk_are_told_what_is_shown() {
    let text = fs::read_to_string(root().join("docs/from/tyk.md")).unwrap();
    let (blocks, _) = blocks(&text);
    let files = blocks.into_iter().filter(|(language, _)| *language == "json");
    let said = files.map(|(_, json)| match Config::parse("apps/sse.json", json) {
        Ok(_) => panic!("JSON is no configuration"),
        Err(errors) => errors.to_string(),
    });
    let said: Vec<String> = said.collect();
    assert!(said[0].contains("this is the configuration of a Tyk gateway"), "{said:?}");
    let shown = text.lines().filter_map(|line| line.strip_prefix("millstream: "));
    let shown: Vec<&str> = shown.collect();
    assert!(shown.len() > 1);
    for line in shown {
        assert!(said[1].lines().any(|said| said == line), "{line}");
    }
}

/// Links to files, and to headings.
#[test]
fn links_lead_somewhere() {
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    let mut links = 0;
    for (file, text) in documents() {
        let (_, prose) = blocks(&text);
        let anchors: Vec<_> = prose.lines().filter(|l| l.starts_with('#')).map(anchor).collect();
        for link in prose.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            links += 1;
            let link = link.replace('\n', "");
            if let Some(heading) = link.strip_prefix('#') {
                assert!(anchors.iter().any(|a| a == heading), "{}: {link}", file.display());
            } else if !link.contains("://") {
                let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
                let page = file.parent().unwrap().join(path);
                assert!(page.is_file(), "{}: {link}", file.display());
                let text = fs::read_to_string(page).unwrap();
                let found = heading.is_empty()
                    || text.lines().any(|l| l.starts_with('#') && anchor(l) == heading);
                assert!(found, "{}: {link}", file.display());
            }
        }
    }
    assert!(links > 20, "{links}");
}

/// In the pages for users of other proxies, the last column of a table names only existing keys of
/// this one.
#[test]
fn keys_are_named_that_exist() {
    let keys: Vec<&str> =
        EVERY_KEY.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    let of_keys_file = ["name", "sha256", "apis"];
    let (mut named, mut wrong) = (0, Vec::new());
    for (file, text) in documents().filter(|(file, _)| file.starts_with(root().join("docs/from"))) {
        let (_, prose) = blocks(&text);
        for row in prose.lines().filter_map(|line| line.strip_prefix("| ")) {
            let (_, ours) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
            for code in ours.split('`').skip(1).step_by(2) {
                let key = code.split(" = ").next().unwrap().rsplit('.').next().unwrap();
                let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                if is_key {
                    named += 1;
                    if !keys.contains(&key) && !of_keys_file.contains(&key) {
                        wrong.push(format!("{}: {code} in\n{row}", file.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(named > 100, "{named}");
}
