//! A strip: one figure, with a row for each peer.

use super::scale::Scale;
use super::svg::Svg;
use crate::run::caption::Caption;
use crate::run::number::{Spread, digits};
use crate::run::peer::Peer;
use crate::run::table::Table;

/// Where text begins. All lengths are in pixels at the original size.
pub const LEFT: f64 = 20.0;
/// Where text ends. The right margin is as wide as the left one.
pub const RIGHT: f64 = 860.0;
/// Where values begin and end.
const FIRST: f64 = 132.0;
const LAST: f64 = 652.0;
/// Where the digits of the median end; those of the ratio end at the right.
const MEDIAN: f64 = 752.0;
const HEAD: usize = 34;
const ROW: usize = 28;
/// The labels of the ticks, and a margin.
const FOOT: usize = 48;
/// The number of characters of an error that fit into a row.
const ERROR_MAX: usize = 76;

/// One figure of all peers.
pub struct Strip<'a> {
    table: &'a Table,
    figure: &'a str,
    rows: Vec<Peer>,
    caption: Caption,
    scale: Scale,
}

impl<'a> Strip<'a> {
    /// The strip of a figure; none if it has no caption.
    pub fn of(table: &'a Table, figure: &'a str) -> Option<Self> {
        let rows = table.rows();
        let peers = rows.iter();
        let values: Vec<_> = peers.flat_map(|peer| table.values(*peer, figure)).collect();
        Some(Self {
            table,
            figure,
            rows,
            caption: Caption::of(figure)?,
            scale: Scale::of(&values),
        })
    }

    /// The height of a strip of this table.
    pub fn height(table: &Table) -> usize {
        HEAD + ROW * table.rows().len() + FOOT
    }

    /// Everything that is drawn, for users who cannot see it.
    pub fn in_words(&self) -> String {
        let rows = self.rows.iter();
        let rows: Vec<_> = rows.map(|peer| self.row_in_words(*peer)).collect();
        format!("{} ({}): {}.", self.caption, self.note(), rows.join("; "))
    }

    /// Draws the strip below `top`.
    pub fn draw(&self, svg: &mut Svg, top: usize) {
        let rows = top + HEAD;
        let bottom = rows + ROW * self.rows.len();
        svg.text_and_note(
            LEFT,
            top + 20,
            "head",
            &format!("{}: ", self.caption),
            &self.note(),
        );
        svg.text(MEDIAN, top + 20, "quiet right", "median");
        if self.rows.contains(&Peer::Floor) {
            svg.text(RIGHT, top + 20, "quiet right", "× floor");
        }
        let tops = || (0..).map(|row| rows + ROW * row);
        for (peer, top) in self.rows.iter().zip(tops()) {
            if *peer == Peer::Millstream {
                svg.rectangle("band", (LEFT - 10.0, top), (RIGHT - LEFT + 20.0, ROW));
            }
        }
        for (place, label) in self.scale.ticks() {
            svg.upright("grid", at(place), rows, bottom);
            svg.text(at(place), bottom + 18, "quiet middle", &label);
        }
        if let Some(floor) = self.table.spread(Peer::Floor, self.figure) {
            svg.upright("floor", self.x(floor.median), rows, bottom);
        }
        for (peer, top) in self.rows.iter().zip(tops()) {
            let class = match peer {
                Peer::Millstream => "row ours",
                _ => "row",
            };
            svg.group(class, &self.row_in_words(*peer), |svg| {
                self.draw_row(svg, *peer, top)
            });
        }
    }

    fn draw_row(&self, svg: &mut Svg, peer: Peer, top: usize) {
        let (middle, baseline) = (top + ROW / 2, top + ROW / 2 + 5);
        svg.text(LEFT, baseline, "", peer.name());
        let failed = self.failed(peer);
        let Some(spread) = self.table.spread(peer, self.figure) else {
            match failed {
                Some(failed) => svg.text(FIRST, baseline, "wrong", &shortened(&failed)),
                None => svg.text(FIRST, baseline, "note", "not measured"),
            }
            return;
        };
        self.draw_values(svg, &spread, peer, middle);
        svg.text(MEDIAN, baseline, "right", &digits(spread.median));
        if let Some(ratio) = self.table.ratio(peer, self.figure) {
            svg.text(
                RIGHT,
                baseline,
                "right",
                &format!("{} ×", digits(ratio.median)),
            );
        }
        if let Some(failed) = failed {
            // On the side without values.
            match self.scale.place(spread.least) + self.scale.place(spread.most) < 1.0 {
                true => svg.text(LAST, baseline, "wrong right", &failed),
                false => svg.text(FIRST, baseline, "wrong", &failed),
            }
        }
    }

    fn draw_values(&self, svg: &mut Svg, spread: &Spread, peer: Peer, y: usize) {
        svg.level(y, self.x(spread.least), self.x(spread.most));
        for value in self.table.values(peer, self.figure) {
            svg.upright("round", self.x(value), y - 8, y + 8);
        }
        let radius = if peer == Peer::Millstream { 6 } else { 5 };
        svg.dot(self.x(spread.median), y, radius);
    }

    fn row_in_words(&self, peer: Peer) -> String {
        let spread = self
            .table
            .spread(peer, self.figure)
            .map(|spread| spread.to_string());
        let ratio = self
            .table
            .ratio(peer, self.figure)
            .map(|ratio| format!("{ratio} × floor"));
        let mut parts: Vec<_> = [spread, ratio, self.failed(peer)]
            .into_iter()
            .flatten()
            .collect();
        if parts.is_empty() {
            parts.push("not measured".into());
        }
        format!("{} {}", peer.name(), parts.join(", "))
    }

    /// How often a peer failed, if it did; why, if all of its rounds did.
    fn failed(&self, peer: Peer) -> Option<String> {
        let failures = self.table.failures_of(peer);
        let last = failures.last()?;
        let rounds = self.table.rounds(peer) + failures.len();
        Some(match self.table.rounds(peer) {
            0 => format!("✗ failed: {}", last.why),
            _ => format!("✗ {} of {rounds} rounds failed", failures.len()),
        })
    }

    fn note(&self) -> String {
        let logarithmic = match self.scale.is_logarithmic() {
            true => ", logarithmic scale",
            false => "",
        };
        format!("{} is better{logarithmic}", self.caption.better)
    }

    fn x(&self, value: f64) -> f64 {
        at(self.scale.place(value))
    }
}

fn at(place: f64) -> f64 {
    FIRST + (LAST - FIRST) * place
}

fn shortened(error: &str) -> String {
    match error.char_indices().nth(ERROR_MAX) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.to_owned(),
    }
}
