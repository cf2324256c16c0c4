//! The results of a scenario as a diagram: a strip for each figure, with a row for each peer.
//!
//! A row has a dot at the median, a stroke for each round, a line from the smallest round to the
//! largest, and at its right end the median and its ratio to the floor as numbers. A dotted line
//! through all rows is the floor. The SVG is self-contained; it works on light and dark
//! backgrounds, and with screen readers.

mod scale;
mod strip;
mod svg;

use super::peer::Peer;
use super::table::Table;
use strip::{LEFT, RIGHT, Strip};
use svg::Svg;

const STYLE: &str = include_str!("plot/style.css");
/// The height of the scenario's name in pixels, and that of a line of its description.
const TITLE: usize = 50;
const LINE: usize = 18;
/// The number of characters that fit into a line of the description.
const LINE_MAX: usize = 115;
/// The legend.
const LEGEND: usize = 22;
const SIGNS: &str = "● median  ·  | one round";
const SIGNS_OF_FLOOR: &str = "  ·  ┊ floor, a relay that parses nothing  ·  × floor: ratio to it, \
                              round by round";

/// The diagram of a table, as SVG.
pub fn svg(table: &Table) -> String {
    let figures = table.scenario.drawn.iter();
    let strips: Vec<_> = figures
        .filter_map(|figure| Strip::of(table, figure))
        .collect();
    let (width, strip) = ((LEFT + RIGHT) as usize, Strip::height(table));
    let (name, about) = (table.scenario.name, table.scenario.about);
    let lines = lines(about);
    let title = TITLE + LINE * lines.len();
    let height = title + strip * strips.len() + LEGEND;
    let told: Vec<_> = strips.iter().map(Strip::in_words).collect();
    let mut svg = Svg::new(
        width,
        height,
        &format!("{name}: {about}"),
        &told.join(" "),
        STYLE,
    );
    svg.rectangle("ground", (0.0, 0), (LEFT + RIGHT, height));
    let changed = match table.overrides.as_str() {
        "" => String::new(),
        words => format!("  with {words}"),
    };
    svg.text_and_note(LEFT, 32, "name", name, &changed);
    for (number, line) in lines.iter().enumerate() {
        svg.text(LEFT, 53 + LINE * number, "quiet", line);
    }
    for (number, shown) in strips.iter().enumerate() {
        shown.draw(&mut svg, title + strip * number);
    }
    let has_floor = table.rows().contains(&Peer::Floor);
    let signs = [SIGNS, if has_floor { SIGNS_OF_FLOOR } else { "" }];
    svg.text(LEFT, height - 16, "quiet", &signs.concat());
    svg.end()
}

/// The words of a text, in lines that fit.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        match lines[last].chars().count() + 1 + word.chars().count() {
            _ if lines[last].is_empty() => lines[last] += word,
            ..=LINE_MAX => lines[last] += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Figures;
    use crate::run::scenario;

    /// Panics unless all elements are closed, and in the right order.
    fn check_balance(svg: &str) {
        let mut open = Vec::new();
        for piece in svg.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{piece}");
            let name = tag.split(' ').next().unwrap().trim_end_matches('/');
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "{piece}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "{piece}");
            for entity in piece.split('&').skip(1) {
                assert!(
                    ["amp;", "lt;", "gt;"]
                        .iter()
                        .any(|known| entity.starts_with(known))
                );
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn every_peer_has_a_row_in_every_strip() {
        let peers = [
            Peer::Direct,
            Peer::Floor,
            Peer::Millstream,
            Peer::Nginx,
            Peer::Haproxy,
        ];
        let scenario = scenario::named("paced").unwrap();
        let mut table = Table::new(scenario, &peers, &["--seconds".into(), "<&>\u{1b}".into()]);
        for round in 0..3 {
            table.add(Peer::Direct, round, Ok(Figures::new()));
            for (peer, value) in [
                (Peer::Floor, 20.0),
                (Peer::Millstream, 0.0),
                (Peer::Nginx, 3e5),
            ] {
                let figures = scenario
                    .drawn
                    .iter()
                    .map(|figure| ((*figure).to_owned(), value));
                table.add(peer, round, Ok(figures.collect::<Figures>()));
            }
            table.add(
                Peer::Haproxy,
                round,
                Err("<b>\"bad\"</b> & worse ".repeat(20)),
            );
        }
        table.add(Peer::Nginx, 3, Err("late".into()));
        let svg = svg(&table);
        check_balance(&svg);
        for peer in peers {
            let row = format!("<title>{} ", peer.name());
            assert_eq!(
                svg.matches(&row).count(),
                scenario.drawn.len(),
                "{}",
                peer.name()
            );
        }
        assert_eq!(
            svg.matches(">✗ failed: &lt;b&gt;").count(),
            scenario.drawn.len()
        );
        assert_eq!(
            svg.matches(">✗ 1 of 4 rounds failed<").count(),
            scenario.drawn.len()
        );
        assert_eq!(svg.matches(">not measured<").count(), scenario.drawn.len());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn words_go_to_the_next_line_when_there_is_no_room() {
        assert_eq!(lines("a few words"), ["a few words"]);
        let words = "word ".repeat(50);
        let lines = lines(&words);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() <= LINE_MAX));
        assert_eq!(lines.join(" "), words.trim_end());
    }

    #[test]
    fn a_table_without_figures_is_drawn_too() {
        let table = Table::new(scenario::named("idle").unwrap(), &[Peer::Floor], &[]);
        check_balance(&svg(&table));
    }
}
