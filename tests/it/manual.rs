//! The manual pages and completions list everything that the program accepts: each key with its
//! default, and each option.

use crate::tidy::files_below;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const EVERY_KEY: &str = include_str!("../../conf/millstream.toml");
const COMMAND: &str = include_str!("../../doc/millstream.1");
const KEYS: &str = include_str!("../../doc/millstream.toml.5");
const COMPLETIONS: [&str; 3] = [
    include_str!("../../conf/completions/millstream.bash"),
    include_str!("../../conf/completions/_millstream"),
    include_str!("../../conf/completions/millstream.fish"),
];

/// Keys with their table, and their defaults, if any.
pub(crate) type Keys = BTreeMap<String, Option<String>>;

/// If the comment of a key says "Required" or "No default", its value is only an example.
pub(crate) fn keys_of_file() -> Keys {
    let (mut keys, mut table, mut comment) = (Keys::new(), "", String::new());
    for line in EVERY_KEY.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
        } else if line.starts_with('[') {
            table = line.trim_matches(['[', ']']);
            comment.clear();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let example = ["Required", "No default"].iter().any(|word| comment.contains(word));
            keys.insert(format!("{table}.{key}"), (!example).then(|| value.to_owned()));
            comment.clear();
        }
    }
    keys
}

/// In the section KEYS, headings begin with the names of tables in brackets, and each item is a
/// key, optionally with `=` and a default.
fn keys_of_page() -> Keys {
    keys_of_section("KEYS", Vec::new())
}

/// The keys of a key file.
pub(crate) fn keys_of_key_file() -> Keys {
    keys_of_section("KEYS FILE", vec!["key"])
}

fn keys_of_section(heading: &str, mut tables: Vec<&'static str>) -> Keys {
    let (_, section) = KEYS.split_once(&format!("\n.Sh {heading}\n")).unwrap();
    let (section, _) = section.split_once("\n.Sh ").unwrap();
    let mut keys = Keys::new();
    for line in section.lines() {
        if let Some(heading) = line.strip_prefix(".Ss ") {
            let (list, _) = heading.split_once(':').unwrap();
            tables = list.split(" and ").map(|table| table.trim_matches(['[', ']'])).collect();
        } else if let Some(item) = line.strip_prefix(".It Va ") {
            let item = item.replace("\\(dq", "\"");
            let (key, default) = match item.split_once(" No = ") {
                Some((key, default)) => (key, Some(default.to_owned())),
                None => (item.as_str(), None),
            };
            for table in &tables {
                keys.insert(format!("{table}.{key}"), default.clone());
            }
        }
    }
    keys
}

#[test]
fn the_page_has_every_key_and_its_default() {
    let (file, page) = (keys_of_file(), keys_of_page());
    assert!(file.len() > 20);
    for (key, default) in &file {
        let said = page.get(key).unwrap_or_else(|| panic!("{key} is not in millstream.toml.5"));
        assert_eq!(said, default, "the default of {key} in millstream.toml.5");
    }
    let more: Vec<_> = page.keys().filter(|key| !file.contains_key(*key)).collect();
    assert!(more.is_empty(), "not in conf/millstream.toml: {more:?}");
}

#[test]
fn every_option_is_in_the_page_and_completed() {
    let words = millstream::arguments::HELP.split([' ', '\n', ',', '[']);
    let options: Vec<_> = words.filter_map(|word| word.strip_prefix("--")).collect();
    assert!(options.len() > 4, "{options:?}");
    for option in options {
        let [bash, zsh, fish] = COMPLETIONS;
        let escaped = option.replace('-', "\\-");
        assert!(COMMAND.contains(&format!("\\-{escaped}")), "--{option} is not in millstream.1");
        assert!(bash.contains(&format!("--{option}")), "--{option} in bash");
        assert!(zsh.contains(&format!("--{option}")), "--{option} in zsh");
        assert!(fish.contains(&format!("-l {option}")), "--{option} in fish");
    }
}

/// What the section WHERE KEYS MEET says of each pair of keys.
fn pairs_of_page() -> BTreeMap<String, String> {
    let (_, section) = KEYS.split_once("\n.Sh WHERE KEYS MEET\n").unwrap();
    let (_, list) = section.split_once("\n.It Va ").unwrap();
    let (list, _) = list.split_once("\n.El\n").unwrap();
    let items = list.split("\n.It Va ").map(|item| {
        let (keys, text) = item.split_once('\n').unwrap();
        (keys.replace(" , ", ", "), text.replace('\n', " ").replace("\\(dq", "\""))
    });
    items.collect()
}

/// The transcripts in tests/golden/meet say the same in comments where it happens, with both keys
/// in their configuration.
#[test]
fn where_keys_meet_a_transcript_shows_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/meet");
    let mut shown = BTreeMap::new();
    for file in files_below(&folder) {
        let transcript = fs::read_to_string(&file).unwrap();
        let (_, rest) = transcript.split_once("\n---\n").unwrap();
        let (config, conversation) = rest.split_once("\n---\n").unwrap();
        for line in conversation.lines().filter_map(|line| line.strip_prefix("# ")) {
            let (keys, text) = line.split_once(": ").unwrap();
            for key in keys.split(", ") {
                let name = key.rsplit('.').next().unwrap();
                assert!(config.contains(&format!("\n{name} = ")), "{file:?} does not set {key}");
            }
            let former = shown.insert(keys.to_owned(), text.to_owned());
            assert_eq!(former, None, "{keys} is shown twice");
        }
    }
    assert!(shown.len() > 30, "{}", shown.len());
    assert_eq!(pairs_of_page(), shown);
}
