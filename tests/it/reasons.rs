//! The words for outcomes of requests, causes of refusals, and failures of targets: the manual
//! explains each of them, and a transcript shows it.

use crate::golden;
use millstream::testing::{Cause, Failure, Handshake, Outcome, ProxyHeader};
use std::collections::BTreeSet;

const MANUAL: &str = include_str!("../../doc/millstream.1");

/// All words, without duplicates: a body can be malformed before the response begins and after.
fn words() -> BTreeSet<&'static str> {
    let outcomes = Outcome::ALL.map(Outcome::word).into_iter();
    outcomes.chain(Cause::ALL.map(Cause::word)).collect()
}

#[test]
fn the_manual_explains_each_reason_and_no_other() {
    let (_, section) = MANUAL.split_once("\n.Ss Reasons\n").unwrap();
    let (section, _) = section.split_once("\n.Ss ").unwrap();
    let items = section.lines().filter_map(|line| line.strip_prefix(".It Li "));
    let explained: Vec<&str> = items.flat_map(|item| item.split(" , ")).collect();
    let different: BTreeSet<&str> = explained.iter().copied().collect();
    assert_eq!(explained.len(), different.len(), "a word is explained twice");
    assert_eq!(different, words());
}

#[test]
fn each_reason_has_a_transcript() {
    let transcripts = golden::texts();
    let shown = |word: &&str| {
        let forms = [format!(" reason={word} "), format!(",\"reason\":\"{word}\",")];
        // If an error was withheld, the word for it follows a comma.
        let spared = [format!(" reason={word},"), format!(" reason=spared,{word} ")];
        forms.iter().chain(&spared).any(|form| transcripts.contains(form))
    };
    let missing: Vec<&str> = words().into_iter().filter(|word| !shown(word)).collect();
    assert!(missing.is_empty(), "no transcript shows {missing:?}");
}

/// The live page, the alerts and the manual agree on which ends of streams are problems.
#[test]
fn a_stream_that_was_cut_is_the_same_everywhere() {
    let rules = include_str!("../../conf/prometheus/millstream.rules.yml");
    let (_, query) = MANUAL.split_once("# streams that were cut\n").unwrap();
    let (query, _) = query.split_once("\n#").unwrap();
    let failures = Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure());
    let failures: BTreeSet<&str> = failures.map(Outcome::word).collect();
    for (place, text) in [("the alerts", rules), ("the manual", query)] {
        let mut words = BTreeSet::new();
        for labels in text.split("streams_closed_total{").skip(1) {
            let (labels, _) = labels.split_once('}').unwrap();
            let (_, value) = labels.split_once("reason=").unwrap_or_default();
            words.extend(value.split('"').nth(1).into_iter().flat_map(|words| words.split('|')));
        }
        assert_eq!(words, failures, "{place}");
    }
}

/// A metric has the word as a label of a failed target.
#[test]
fn each_failure_of_a_target_has_a_transcript() {
    let transcripts = golden::texts();
    let lines = transcripts.lines().map(str::trim_start);
    let samples: Vec<&str> =
        lines.filter(|line| line.starts_with("millstream_upstream_failures_total{")).collect();
    let shown = |word: &&str| {
        let label = format!(",reason=\"{word}\"}} ");
        samples.iter().any(|s| s.contains(&label) && !s.ends_with(" 0\\n"))
    };
    let missing: Vec<&str> =
        Failure::ALL.map(Failure::word).into_iter().filter(|word| !shown(word)).collect();
    assert!(missing.is_empty(), "no transcript shows {missing:?}");
}

/// A limit is named after its key: what follows the dot in a word is a key of the configuration.
#[test]
fn a_limit_is_called_by_its_key() {
    let keys = include_str!("../../conf/millstream.toml").lines().chain(["max_streams = 0"]);
    let keys: BTreeSet<&str> = keys.filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    let limits: Vec<&str> =
        words().into_iter().filter_map(|word| Some(word.rsplit_once('.')?.1)).collect();
    assert!(limits.len() > 10 && limits.iter().all(|key| keys.contains(key)), "{limits:?}");
}

/// A metric has the word as a label.
#[test]
fn each_end_of_a_handshake_has_a_transcript() {
    each_is_counted("millstream_handshakes_total", &Handshake::ALL.map(Handshake::word));
}

/// A metric has the word as a label.
#[test]
fn what_comes_for_a_proxy_header_has_a_transcript() {
    each_is_counted("millstream_proxy_headers_total", &ProxyHeader::ALL.map(ProxyHeader::word));
}

/// For each of the results, a transcript has a nonzero sample with this name.
fn each_is_counted(name: &str, results: &[&str]) {
    let transcripts = golden::texts();
    let shown = |word: &&&str| {
        let sample = format!("{name}{{result=\"{word}\"}} ");
        let mut lines = transcripts.lines().map(str::trim_start);
        lines.any(|line| line.starts_with(&sample) && !line.ends_with(" 0\\n"))
    };
    let missing: Vec<&&str> = results.iter().filter(|word| !shown(word)).collect();
    assert!(missing.is_empty(), "no transcript shows {missing:?}");
}
