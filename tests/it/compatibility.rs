//! The names that configurations, dashboards and scripts depend on (`tests/compatibility`). New
//! names are added to these lists by `make golden`, and none is ever removed.
//!
//! The names are taken from what users see: the manual, the file with every key, and the output in
//! the transcripts. docs/compatibility.md has the promise.

use crate::golden;
use crate::manual::{keys_of_file, keys_of_key_file};
use millstream::testing::{
    Answered, Asked, CHECK_RESULTS, CONFINED, CONNECTION_STATES, Cause, Failure, Handshake,
    Outcome, ProxyHeader, Veto,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

type Names = BTreeSet<String>;

#[test]
fn nothing_disappears() {
    let transcripts = golden::texts();
    let lists = [
        ("keys", keys()),
        ("words", words()),
        ("metrics", metrics(&transcripts)),
        ("fields", fields(&transcripts)),
        ("paths", paths(&transcripts)),
        ("options", options()),
    ];
    for (name, now) in lists {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = file.join(format!("tests/compatibility/{name}.txt"));
        let recorded = fs::read_to_string(&file).unwrap_or_default();
        let recorded: Names = recorded.lines().map(str::to_owned).collect();
        let gone: Vec<&String> = recorded.difference(&now).collect();
        assert!(gone.is_empty(), "{name}: {gone:?} are gone; docs/compatibility.md is a promise");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let lines: String = now.iter().map(|name| format!("{name}\n")).collect();
            fs::write(&file, lines).unwrap();
        } else {
            let new: Vec<&String> = now.difference(&recorded).collect();
            assert!(new.is_empty(), "{name}: `make golden` records {new:?}");
        }
    }
}

/// Keys with their defaults. A key without a default has only an example as its value.
fn keys() -> Names {
    let keys = keys_of_file().into_iter().chain(keys_of_key_file());
    let lines = keys.map(|(key, default)| match default {
        Some(default) => format!("{key} = {default}"),
        None => key,
    });
    lines.collect()
}

fn words() -> Names {
    let of = |kind: &'static str| move |word: &str| format!("{kind} {word}");
    let mut words = Names::new();
    words.extend(Outcome::ALL.map(Outcome::word).map(of("reason")));
    words.extend(Cause::ALL.map(Cause::word).map(of("reason")));
    words.extend(Failure::ALL.map(Failure::word).map(of("failure")));
    words.extend(Handshake::ALL.map(Handshake::word).map(of("handshake")));
    words.extend(Veto::ALL.map(Veto::word).map(of("veto")));
    words.extend(ProxyHeader::ALL.map(ProxyHeader::word).map(of("proxy_header")));
    words.extend(Asked::ALL.map(Asked::word).map(of("asked")));
    words.extend(Answered::ALL.map(Answered::word).map(of("answered")));
    words.extend(CONNECTION_STATES.map(of("connection")));
    words.extend(CHECK_RESULTS.map(of("check")));
    words.extend(CONFINED.map(of("confined")));
    let manual = include_str!("../../doc/millstream.1");
    let (_, section) = manual.split_once("\n.Ss Streams\n").unwrap();
    let (section, _) = section.split_once("\n.Ss ").unwrap();
    let lists = section.split("\n.Bl ").skip(1);
    for (kind, list) in ["state", "wait", "until"].into_iter().zip(lists) {
        let items = list.lines().filter_map(|line| line.strip_prefix(".It Li "));
        words.extend(items.map(of(kind)));
    }
    words
}

/// Metric families with their types, and labels with their families.
fn metrics(transcripts: &str) -> Names {
    let mut found = Names::new();
    for line in transcripts.lines().map(str::trim_start) {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            found.insert(family.trim_end_matches("\\n").to_owned());
        } else if line.starts_with("millstream_")
            && let Some((name, labels)) = line.split_once('{')
        {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let before_values = labels.split("=\"").map(|part| part.rsplit(',').next().unwrap());
            let labels = before_values.filter(|label| label.chars().all(is_of_name));
            found.extend(labels.map(|label| format!("{name}{{{label}}}")));
        }
    }
    found
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c == '_'
}

/// Fields of access log lines, and fields of `/streams`.
fn fields(transcripts: &str) -> Names {
    let mut found = Names::new();
    for line in transcripts.lines() {
        let (_, event) = line.split_once(" access ").unwrap_or_default();
        if event.starts_with('{') {
            found.extend(json_names(event).map(|name| format!("access {name}")));
        } else if event.starts_with("event=") {
            // The fields that log.fields adds come last. Their names are whatever the configuration
            // says.
            let (event, _) = event.split_once(" http_").unwrap_or((event, ""));
            let names = event.split(' ').filter_map(|field| Some(field.split_once('=')?.0));
            let names = names.filter(|name| name.chars().all(is_of_name));
            found.extend(names.map(|name| format!("access {name}")));
        } else if line.trim_start().starts_with("{\"total\":") {
            found.extend(json_names(line).map(|name| format!("streams {name}")));
        }
    }
    found
}

fn json_names(line: &str) -> impl Iterator<Item = &str> {
    let before_colons = line.split("\":").map(|part| part.rsplit('"').next().unwrap());
    before_colons.filter(|name| !name.is_empty() && name.chars().all(is_of_name))
}

/// Paths of the admin listener, with the methods that they accept.
fn paths(transcripts: &str) -> Names {
    let (mut found, mut asked) = (Names::new(), String::new());
    for line in transcripts.lines() {
        let Some((_, said)) = line.split_once(" admin") else { continue };
        if let Some((_, request)) = said.split_once(" > ") {
            let request = request.split(" HTTP/").next().unwrap();
            let request = request.split('?').next().unwrap();
            asked = match request.strip_prefix("DELETE /streams/") {
                Some(_) => "DELETE /streams/ID".to_owned(),
                None => request.to_owned(),
            };
        } else if said.contains(" < HTTP/1.1 ") {
            let asked = std::mem::take(&mut asked);
            if !asked.is_empty() && !said.contains(" < HTTP/1.1 4") {
                found.insert(asked);
            }
        }
    }
    found
}

fn options() -> Names {
    let (usage, _) = millstream::arguments::HELP.split_once("\nExample:").unwrap();
    let words = usage.split([' ', '\n', ',', '[', ':']);
    let is_option = |word: &&str| word.len() > 1 && word.starts_with('-');
    words.filter(is_option).map(str::to_owned).collect()
}
