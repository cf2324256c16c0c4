//! The results of a scenario: figures by peer and round, or why there are none.

use std::collections::BTreeMap;

use super::Figures;
use super::number::Spread;
use super::peer::Peer;
use super::scenario::Scenario;
use crate::sys::Outcome;

/// The figures of one scenario.
pub struct Table {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The peers to be measured, in the order in which they are shown.
    peers: Vec<Peer>,
    /// The measurements that failed.
    pub failures: Vec<Failure>,
    /// Options of the load that are not the scenario's.
    pub overrides: String,
    /// By peer and round.
    found: BTreeMap<Peer, BTreeMap<usize, Figures>>,
}

/// A measurement without results.
pub struct Failure {
    /// The peer.
    pub peer: Peer,
    /// The round, counted from 0.
    pub round: usize,
    /// What went wrong.
    pub why: String,
}

impl Table {
    /// An empty table for these peers.
    pub fn new(scenario: &'static Scenario, peers: &[Peer], overrides: &[String]) -> Self {
        Self {
            scenario,
            peers: peers.to_vec(),
            failures: Vec::new(),
            overrides: overrides.join(" "),
            found: BTreeMap::new(),
        }
    }

    /// Adds the results of a measurement, or why it failed.
    pub fn add(&mut self, peer: Peer, round: usize, outcome: Outcome<Figures>) {
        match outcome {
            Ok(figures) => {
                self.found.entry(peer).or_default().insert(round, figures);
            }
            Err(why) => self.failures.push(Failure { peer, round, why }),
        }
    }

    /// The peers that were measured, or should have been.
    pub fn rows(&self) -> Vec<Peer> {
        let peers = self.peers.iter().copied();
        peers.filter(|peer| !self.lacks(*peer)).collect()
    }

    /// The peers that were not measured, because they cannot do what the scenario needs.
    pub fn left_out(&self) -> Vec<Peer> {
        let peers = self.peers.iter().copied();
        peers.filter(|peer| self.lacks(*peer)).collect()
    }

    fn lacks(&self, peer: Peer) -> bool {
        self.rounds(peer) == 0 && self.failures_of(peer).is_empty()
    }

    /// True if a peer failed in some of its rounds. If it failed in all, that is its result.
    pub fn has_gaps(&self) -> bool {
        self.peers.iter().any(|peer| self.rounds(*peer) > 0 && !self.failures_of(*peer).is_empty())
    }

    /// The number of a peer's rounds with results.
    pub fn rounds(&self, peer: Peer) -> usize {
        self.found.get(&peer).map_or(0, BTreeMap::len)
    }

    /// The failed measurements of a peer.
    pub fn failures_of(&self, peer: Peer) -> Vec<&Failure> {
        let of_peer = |failure: &&Failure| failure.peer == peer;
        self.failures.iter().filter(of_peer).collect()
    }

    /// A peer's figure in each round that has it, in the unit in which it is shown.
    pub fn values(&self, peer: Peer, figure: &str) -> Vec<f64> {
        let mut columns = self.scenario.columns.iter();
        let shown = columns.find(|column| column.figure == figure);
        let scale = shown.map_or(1.0, |column| column.scale);
        let rounds = self.found.get(&peer).into_iter().flat_map(BTreeMap::values);
        let values = rounds.filter_map(|figures| figures.get(figure));
        values.map(|value| value * scale).collect()
    }

    /// The spread of these values.
    pub fn spread(&self, peer: Peer, figure: &str) -> Option<Spread> {
        Spread::of(self.values(peer, figure))
    }

    /// The value by which peers are compared: the first of the figures that are drawn, or its ratio
    /// to the floor if the tables have one.
    pub fn compared(&self, peer: Peer) -> Option<Spread> {
        let figure = *self.scenario.drawn.first()?;
        match self.is_by_ratio() {
            true => self.ratio(peer, figure),
            false => self.spread(peer, figure),
        }
    }

    /// True if peers are compared by their ratio to the floor.
    pub fn is_by_ratio(&self) -> bool {
        let Some(figure) = self.scenario.drawn.first() else {
            return false;
        };
        let mut columns = self.scenario.columns.iter();
        let has_ratio = columns.any(|column| column.figure == *figure && column.ratio);
        has_ratio && self.spread(Peer::Floor, figure).is_some()
    }

    /// The pairs of proxies without a clear difference.
    pub fn alike(&self) -> Vec<(Peer, Peer)> {
        let proxies = self.peers.iter().copied().filter(|peer| peer.is_proxy());
        let found = proxies.filter_map(|peer| Some((peer, self.compared(peer)?)));
        let found: Vec<_> = found.collect();
        let mut pairs = Vec::new();
        for (index, (peer, spread)) in found.iter().enumerate() {
            let others = found[index + 1..].iter();
            let alike = others.filter(|(_, other)| spread.overlaps(other));
            pairs.extend(alike.map(|(other, _)| (*peer, *other)));
        }
        pairs
    }

    /// The peers for which more rounds may show a difference, and the floor that they are compared
    /// with.
    pub fn unclear(&self) -> Vec<Peer> {
        let alike = self.alike();
        let is_unclear = |peer: &Peer| alike.iter().any(|(a, b)| a == peer || b == peer);
        let is_needed = |peer: &Peer| *peer == Peer::Floor && !alike.is_empty();
        let peers = self.peers.iter().copied();
        peers
            .filter(|peer| is_unclear(peer) || is_needed(peer))
            .collect()
    }

    /// A peer's figure divided by the floor's in the same round, for the rounds that have both.
    pub fn ratio(&self, peer: Peer, figure: &str) -> Option<Spread> {
        let floor = self.found.get(&Peer::Floor)?;
        let ratio = |(round, figures): (&usize, &Figures)| {
            Some(figures.get(figure)? / floor.get(round)?.get(figure)?)
        };
        let ratios = self.found.get(&peer)?.iter().filter_map(ratio);
        Spread::of(ratios.filter(|ratio| ratio.is_finite()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::scenario;

    #[test]
    fn what_overlaps_is_unclear() {
        let peers = [
            Peer::Floor,
            Peer::Millstream,
            Peer::Nginx,
            Peer::Haproxy,
            Peer::Go,
        ];
        let mut table = Table::new(scenario::named("short").unwrap(), &peers, &[]);
        let figures = |value| Ok(Figures::from([("cpu_response_us".to_owned(), value)]));
        for (round, values) in [[1.0, 1.2, 1.3, 2.0], [2.0, 2.6, 2.4, 4.4]]
            .into_iter()
            .enumerate()
        {
            for (peer, value) in peers.into_iter().zip(values) {
                table.add(peer, round, figures(value));
            }
        }
        assert!(table.alike() == [(Peer::Millstream, Peer::Nginx)]);
        assert!(table.unclear() == peers[..3]);
        table.add(Peer::Nginx, 2, Err("no".into()));
        let mut clear = Table::new(table.scenario, &peers, &[]);
        clear.add(Peer::Floor, 0, figures(1.0));
        clear.add(Peer::Nginx, 0, figures(1.5));
        assert!(clear.unclear().is_empty());
    }

    #[test]
    fn ratios_are_taken_inside_their_rounds() {
        let peers = [Peer::Direct, Peer::Floor, Peer::Nginx, Peer::Haproxy];
        let mut table = Table::new(scenario::named("paced").unwrap(), &peers, &[]);
        let figures = |value| Ok(Figures::from([("cpu_event_us".to_owned(), value)]));
        for (round, floor, nginx) in [(0, 1.0, 2.0), (1, 10.0, 30.0), (2, 2.0, 8.0)] {
            table.add(Peer::Floor, round, figures(floor));
            table.add(Peer::Nginx, round, figures(nginx));
        }
        table.add(Peer::Nginx, 3, figures(7.0));
        table.add(Peer::Haproxy, 0, Err("no".into()));
        let ratio = table.ratio(Peer::Nginx, "cpu_event_us").unwrap();
        assert_eq!(ratio.to_string(), "3.00 (2.00–4.00)");
        assert_eq!(table.ratio(Peer::Haproxy, "cpu_event_us"), None);
        assert_eq!(
            (table.rounds(Peer::Nginx), table.rounds(Peer::Haproxy)),
            (4, 0)
        );
        assert_eq!(table.failures_of(Peer::Haproxy)[0].why, "no");
        assert!(table.rows() == peers[1..] && table.left_out() == peers[..1]);
    }
}
