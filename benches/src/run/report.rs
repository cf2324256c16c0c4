//! The results as Markdown: first a summary with a line per scenario, then where and how it was
//! measured, then all figures with their plots.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::caption::Caption;
use super::markdown;
use super::number::{Spread, digits};
use super::peer::Peer;
use super::plot;
use super::table::Table;
use crate::sys::Outcome;

/// Writes `RESULTS.md`, and a plot of each scenario in `plots/`, to a folder.
pub fn write(folder: &Path, setup: &str, tables: &[Table], peers: &[Peer]) -> Outcome<()> {
    let plots = folder.join("plots");
    let failed = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(&plots).map_err(|error| failed(&plots, error))?;
    let mut text = format!("# Results\n\n{}\n{setup}", summary(tables, peers));
    for table in tables {
        let path = plots.join(format!("{}.svg", table.scenario.name));
        fs::write(&path, plot::svg(table)).map_err(|error| failed(&path, error))?;
        text += &section(table, &picture(table));
    }
    text += &configurations(peers);
    let path = folder.join("RESULTS.md");
    fs::write(&path, text).map_err(|error| failed(&path, error))
}

/// The summary: a line for each scenario, with the first of the figures that are drawn.
pub fn summary(tables: &[Table], peers: &[Peer]) -> String {
    let mut heading = vec!["scenario".to_owned(), "figure".to_owned()];
    heading.extend(peers.iter().map(|peer| peer.name().to_owned()));
    let rows: Vec<_> = tables
        .iter()
        .filter_map(|table| summary_row(table, peers))
        .collect();
    let told = match peers.contains(&Peer::Floor) {
        true => "Ratios to the *floor*, a relay that parses nothing: medians of all rounds.",
        false => "Medians of all rounds.",
    };
    format!(
        "{told}\nLess is better where nothing else is said. **Bold** is the best proxy, and \
         each that does not\ndiffer from it. How to read all this: benches/README.md.\n\n{}",
        markdown::table(&heading, &rows, 2)
    )
}

/// None for a scenario without figures.
fn summary_row(table: &Table, peers: &[Peer]) -> Option<Vec<String>> {
    let figure = table.scenario.drawn.first()?;
    let caption = Caption::of(figure)?;
    let proxies = peers.iter().filter(|peer| peer.is_proxy());
    let spreads: Vec<_> = proxies.filter_map(|peer| table.compared(*peer)).collect();
    let alone = spreads.len() < 2;
    let spreads = spreads.into_iter();
    let order = |a: &Spread, b: &Spread| a.median.total_cmp(&b.median);
    let best = match caption.better {
        "more" => spreads.max_by(order),
        _ => spreads.min_by(order),
    };
    let mut cells = vec![table.scenario.name.to_owned()];
    let unit = if table.is_by_ratio() {
        caption.what.to_owned()
    } else {
        caption.to_string()
    };
    cells.push(match caption.better {
        "more" => format!("{unit} (more is better)"),
        _ => unit,
    });
    for peer in peers {
        let is_best =
            |own: &Spread| peer.is_proxy() && !alone && best.is_some_and(|best| best.overlaps(own));
        cells.push(match table.compared(*peer) {
            Some(own) if is_best(&own) => format!("**{}**", digits(own.median)),
            Some(own) => digits(own.median),
            None => nothing(table, *peer).into(),
        });
    }
    Some(cells)
}

/// What is shown for a missing figure.
fn nothing(table: &Table, peer: Peer) -> &'static str {
    match table.rounds(peer) == 0 && !table.failures_of(peer).is_empty() {
        true => "failed",
        false => "–",
    }
}

/// A scenario's heading, its diagram if it has one, its figures, and failures.
pub fn section(table: &Table, picture: &str) -> String {
    let scenario = table.scenario;
    let mut heading = vec!["peer".to_owned()];
    for column in scenario.columns {
        heading.push(column.title.into());
        heading.extend(column.ratio.then(|| "× floor".into()));
    }
    let changed = match table.overrides.as_str() {
        "" => String::new(),
        words => format!(" (here with {words})"),
    };
    let rows: Vec<_> = table
        .rows()
        .into_iter()
        .map(|peer| row(table, peer))
        .collect();
    let mut text = format!(
        "\n## {}: {}{changed}\n\n{picture}`load {}`\n\n{}",
        scenario.name,
        scenario.about,
        scenario.load,
        markdown::table(&heading, &rows, 1)
    );
    text += &unclear(table);
    let left_out = table.left_out();
    if !left_out.is_empty() {
        let names: Vec<_> = left_out.into_iter().map(Peer::name).collect();
        let _infallible = write!(
            text,
            "\nLeft out, as it cannot be asked: {}\n",
            names.join(", ")
        );
    }
    for failure in &table.failures {
        let (peer, round, why) = (failure.peer.name(), failure.round + 1, &failure.why);
        let _infallible = write!(text, "\nFAILED: {peer}, round {round}: {why}\n");
    }
    text
}

/// The proxies without a clear difference, and the number of rounds; empty if there are none.
fn unclear(table: &Table) -> String {
    let pairs = table.alike().into_iter().map(|(a, b)| {
        let rounds = table.rounds(a).min(table.rounds(b));
        format!("{} and {} ({rounds} rounds)", a.name(), b.name())
    });
    let pairs: Vec<_> = pairs.collect();
    let figure = table.scenario.drawn.first();
    let caption = figure.and_then(|figure| Caption::of(figure));
    match caption.filter(|_| !pairs.is_empty()) {
        Some(caption) => {
            let by = if table.is_by_ratio() { " × floor" } else { "" };
            let what = caption.what;
            format!("\nNo difference in {what}{by}: {}\n", pairs.join(", "))
        }
        None => String::new(),
    }
}

fn row(table: &Table, peer: Peer) -> Vec<String> {
    let shown = |spread: Option<Spread>| match spread {
        Some(spread) => spread.to_string(),
        None => nothing(table, peer).into(),
    };
    let mut cells = vec![peer.name().to_owned()];
    for column in table.scenario.columns {
        cells.push(shown(table.spread(peer, column.figure)));
        if column.ratio {
            cells.push(shown(table.ratio(peer, column.figure)));
        }
    }
    cells
}

fn picture(table: &Table) -> String {
    let name = table.scenario.name;
    let figures = table
        .scenario
        .drawn
        .iter()
        .filter_map(|figure| Caption::of(figure));
    let figures: Vec<_> = figures.map(|caption| caption.what).collect();
    format!("![{name}: {}](plots/{name}.svg)\n\n", figures.join("; "))
}

/// The time and the host, and the peers with their versions. Removes peers that are not installed,
/// and says so.
pub fn setup(peers: &mut Vec<Peer>, millstream: &Path) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = processor
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .unwrap_or("unknown")
        .trim_start_matches(['\t', ' ', ':']);
    let today = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let today = today.map_or_else(|_| b"unknown".to_vec(), |output| output.stdout);
    let command: Vec<_> = std::env::args().skip(1).collect();
    let mut text = format!(
        "## Host and versions\n\n- date: {}\n- host: {model}, {cores} cores\n- kernel: Linux {}\n\
         - command: `bench {}`\n",
        String::from_utf8_lossy(&today).trim(),
        kernel.trim(),
        command.join(" "),
    );
    peers.retain(|peer| {
        let version = peer.version(millstream);
        let line = version
            .as_ref()
            .map_or_else(|missing| format!("skipped: {missing}"), String::clone);
        let _infallible = writeln!(text, "- {}: {line}", peer.name());
        version.is_ok()
    });
    text.push('\n');
    text
}

/// The configurations of the peers.
fn configurations(peers: &[Peer]) -> String {
    let mut text = String::new();
    for peer in peers {
        if let Some(configuration) = peer.configuration() {
            let name = peer.name();
            let _infallible = write!(
                text,
                "\n## {name}'s configuration\n\n```\n{configuration}```\n"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Figures;
    use crate::run::scenario;

    const PEERS: [Peer; 4] = [Peer::Floor, Peer::Millstream, Peer::Nginx, Peer::Haproxy];

    fn table(scenario: &str, figure: &str, rounds: &[[f64; 3]]) -> Table {
        let mut table = Table::new(scenario::named(scenario).unwrap(), &PEERS, &[]);
        for (round, values) in rounds.iter().enumerate() {
            for (peer, value) in PEERS.into_iter().zip(values) {
                table.add(
                    peer,
                    round,
                    Ok(Figures::from([(figure.to_owned(), *value)])),
                );
            }
            table.add(Peer::Haproxy, round, Err("no".into()));
        }
        table
    }

    #[test]
    fn a_section_has_a_row_for_every_peer() {
        let table = table(
            "paced",
            "cpu_event_us",
            &[[1.0, 2.0, 2.0], [10.0, 30.0, 20.0]],
        );
        let text = section(&table, "");
        for row in [
            "| floor      | 5.50 (1.00–10.0) |             1.00 |  ",
            "| millstream | 16.0 (2.00–30.0) | 2.50 (2.00–3.00) |  ",
            "| haproxy    |           failed |           failed |  ",
            "\nFAILED: haproxy, round 2: no\n",
            "\nNo difference in CPU per event × floor: millstream and nginx (2 rounds)\n",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }

    #[test]
    fn the_best_is_bold_with_those_that_were_not_told_apart_from_it() {
        let apart = table("paced", "cpu_event_us", &[[1.0, 1.1, 1.3], [1.0, 1.2, 1.4]]);
        let alike = table("burst", "cpu_event_us", &[[1.0, 1.1, 1.3], [1.0, 1.3, 1.1]]);
        let more = table("saturate", "events_s", &[[8.0, 6.0, 4.0]]);
        let text = summary(&[apart, alike, more], &PEERS);
        for row in [
            "| paced    | CPU per event                      |  1.00 |   **1.15** |     1.35 |",
            "| burst    | CPU per event                      |  1.00 |   **1.20** | **1.20** |",
            "| saturate | events per second (more is better) |  1.00 |   **0.75** |     0.50 |",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }
}
