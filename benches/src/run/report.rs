//! What was found, as Markdown: a median with its spread in each cell, and the ratio to the floor
//! round by round.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::Figures;
use super::peer::Peer;
use super::scenario::Scenario;
use crate::sys::Outcome;

/// The figures of one scenario.
pub struct Table {
    scenario: &'static Scenario,
    overrides: String,
    /// By peer, then by round.
    found: BTreeMap<Peer, BTreeMap<usize, Figures>>,
    failed: Vec<String>,
}

impl Table {
    /// A table without rows.
    pub fn new(scenario: &'static Scenario, overrides: &[String]) -> Self {
        let overrides = overrides.join(" ");
        Self {
            scenario,
            overrides,
            found: BTreeMap::new(),
            failed: Vec::new(),
        }
    }

    /// Adds what a measurement found, or why it found nothing.
    pub fn add(&mut self, peer: Peer, round: usize, outcome: Outcome<Figures>) {
        match outcome {
            Ok(figures) => {
                self.found.entry(peer).or_default().insert(round, figures);
            }
            Err(error) => {
                self.failed
                    .push(format!("{}, round {}: {error}", peer.name(), round + 1))
            }
        }
    }

    /// How many measurements failed.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// The table, its heading, and what failed.
    pub fn to_markdown(&self) -> String {
        let Scenario {
            name,
            about,
            load,
            columns,
            ..
        } = self.scenario;
        let mut titles = vec!["peer"];
        for column in *columns {
            titles.push(column.title);
            titles.extend(column.ratio.then_some("× floor"));
        }
        let changed = match self.overrides.as_str() {
            "" => String::new(),
            words => format!(" (here with {words})"),
        };
        let mut text = format!("\n## {name}: {about}{changed}\n\n`load {load}`\n\n");
        text += &row(&titles);
        text += &row(&vec!["---"; titles.len()]);
        for (peer, rounds) in &self.found {
            let mut cells = vec![peer.name().to_owned()];
            for column in *columns {
                let values = rounds
                    .values()
                    .filter_map(|figures| figures.get(column.figure));
                cells.push(spread(values.map(|value| value * column.scale).collect()));
                if column.ratio {
                    cells.push(spread(self.ratios(*peer, column.figure)));
                }
            }
            text += &row(&cells);
        }
        for failure in &self.failed {
            let _infallible = write!(text, "\nFAILED: {failure}\n");
        }
        text
    }

    /// A peer's figure over the floor's of the same round, for each round that has both.
    fn ratios(&self, peer: Peer, figure: &str) -> Vec<f64> {
        let none = BTreeMap::new();
        let rounds = |peer: Peer| self.found.get(&peer).unwrap_or(&none).iter();
        let floor = |round: &usize| {
            rounds(Peer::Floor)
                .find(|(at, _)| *at == round)
                .and_then(|(_, figures)| figures.get(figure))
        };
        let ratio =
            |(round, figures): (&usize, &Figures)| Some(figures.get(figure)? / floor(round)?);
        rounds(peer)
            .filter_map(ratio)
            .filter(|ratio| ratio.is_finite())
            .collect()
    }
}

/// The host, and the peers with their versions; takes out the peers that are not installed, and
/// says so.
pub fn preamble(peers: &mut Vec<Peer>, millstream: &Path) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = processor
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let processor = processor
        .unwrap_or("unknown")
        .trim_start_matches(['\t', ' ', ':']);
    let mut text = format!(
        "# Results\n\n- host: Linux {}, {processor}, {cores} cores\n",
        kernel.trim()
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

/// The configurations that were used.
pub fn configurations(peers: &[Peer]) -> String {
    let mut text = String::new();
    for peer in peers {
        if let Some(configuration) = peer.configuration() {
            let _infallible = write!(
                text,
                "\n## {}'s configuration\n\n```\n{configuration}```\n",
                peer.name()
            );
        }
    }
    text
}

fn row(cells: &[impl AsRef<str>]) -> String {
    cells.iter().fold("|".to_owned(), |line, cell| {
        line + " " + cell.as_ref() + " |"
    }) + "\n"
}

/// The median with the smallest and the largest value.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else {
        return "–".into();
    };
    let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
    format!("{} ({}–{})", figure(median), figure(*least), figure(*most))
}

/// Three significant digits, or all that stand before the point.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::scenario;

    #[test]
    fn spreads() {
        assert_eq!(spread(vec![]), "–");
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), "2.00 (1.00–3.00)");
        assert_eq!(spread(vec![10.0, 1000.0]), "505 (10.0–1000)");
    }

    #[test]
    fn ratios_are_taken_inside_their_rounds() {
        let mut table = Table::new(scenario::named("paced").unwrap(), &[]);
        let figures = |value| Ok(Figures::from([("cpu_event_us".to_owned(), value)]));
        for (round, floor, nginx) in [(0, 1.0, 2.0), (1, 10.0, 30.0), (2, 2.0, 8.0)] {
            table.add(Peer::Floor, round, figures(floor));
            table.add(Peer::Nginx, round, figures(nginx));
        }
        table.add(Peer::Haproxy, 0, Err("no".into()));
        let text = table.to_markdown();
        assert!(
            text.contains("| nginx | 8.00 (2.00–30.0) | 3.00 (2.00–4.00) |"),
            "{text}"
        );
        assert!(text.contains("FAILED: haproxy, round 1: no"), "{text}");
    }
}
