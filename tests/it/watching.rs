//! Alerts and the dashboard use only metrics that exist, with labels and values that they can have.
//!
//! The manual is the reference: it lists exactly the metric families that are exported, and exactly
//! the words of causes, outcomes, failures and states. `tests/watch/run` tests them with a real
//! Prometheus.

const COMMAND: &str = include_str!("../../doc/millstream.1");
const RULES: &str = include_str!("../../conf/prometheus/millstream.rules.yml");
const DASHBOARD: &str = include_str!("../../conf/grafana/millstream.json");
const WATCHED: [(&str, &str); 2] = [("rules", RULES), ("dashboard", DASHBOARD)];

/// The items in the manual.
fn items() -> Vec<&'static str> {
    let items = COMMAND.lines().filter_map(|line| line.strip_prefix(".It Li "));
    items.flat_map(|item| item.split(" , ")).collect()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c == '_'
}

/// The names of metrics in a text.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c| !is_of_name(c));
    words.filter(|word| word.starts_with("millstream_") || word.starts_with("process_"))
}

#[test]
fn metrics_are_asked_for_that_there_are() {
    let items = items();
    for (file, text) in WATCHED {
        let mut asked = 0;
        for name in metrics(text) {
            let parts = ["_bucket", "_sum", "_count"];
            let family = parts.iter().find_map(|part| name.strip_suffix(part));
            let exists = items.contains(&name) || family.is_some_and(|name| items.contains(&name));
            assert!(exists, "{file}: there is no metric {name}");
            asked += 1;
        }
        assert!(asked > 15, "{file}: {asked}");
    }
}

/// The values that a label is compared with are possible.
#[test]
fn labels_are_compared_with_words_that_there_are() {
    let (items, mut compared) = (items(), 0);
    for (file, text) in WATCHED {
        let text = text.replace("\\\"", "\"");
        for label in ["reason", "state", "kind", "asked", "result"] {
            for rest in text.split(&format!("{label}=")).skip(1) {
                let (words, _) = rest.trim_start_matches(['~', '"']).split_once('"').unwrap();
                for word in words.split('|') {
                    // Some words are only listed in a sentence.
                    let is_said = COMMAND.contains(&format!("\n.Li {word} "))
                        || COMMAND.contains(&format!("\n.Li {word}\n"));
                    let exists = items.contains(&word) || is_said;
                    assert!(exists, "{file}: {label} is never {word}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 8, "{compared}");
}
