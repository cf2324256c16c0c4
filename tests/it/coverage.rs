//! What the transcripts must exercise: every transition of an exchange, every deadline, and every
//! way in which a step of a session can end.

use crate::golden;
use millstream::testing::{Stage, record_coverage, recorded_coverage};
use std::fs;

const NEXT: &str = include_str!("../../src/proxy/next.rs");
const DEADLINES: &str = include_str!("../../src/proxy/deadlines.rs");

/// Deadlines that never pass, because the preceding step has already done what they are for.
const DONE_BEFORE: [&str; 6] = ["Expiry", "Recheck", "Flush", "Event", "Linger", "Drain"];

#[test]
fn the_transcripts_exercise_everything() {
    record_coverage();
    for file in golden::files() {
        let text = fs::read_to_string(&file).unwrap();
        golden::play(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    }
    let seen = recorded_coverage();
    let edges = Stage::ALL
        .into_iter()
        .flat_map(|from| from.next().iter().map(move |to| format!("Stage {from:?} {to:?}")));
    let passing = variants(DEADLINES, "Deadline").filter(|name| !DONE_BEFORE.contains(name));
    let all = edges
        .chain(variants(NEXT, "Next").map(|name| format!("Next {name}")))
        .chain(variants(NEXT, "Action").map(|name| format!("Action {name}")))
        .chain(variants(DEADLINES, "Deadline").map(|name| format!("Waits {name}")))
        .chain(passing.map(|name| format!("Deadline {name}")));
    let missing: Vec<String> = all.filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no transcript exercises {missing:#?}");
    for name in DONE_BEFORE {
        assert!(!seen.contains(&format!("Deadline {name}")), "{name} has passed");
    }
}

/// The variants of an enum of the proxy, in source order.
pub(crate) fn variants<'t>(source: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (_, body) = source.split_once(&format!("enum {name} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let names = body.lines().map(|line| line.trim_start());
    let names = names.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(line))
}
