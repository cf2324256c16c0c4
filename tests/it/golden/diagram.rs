//! The diagram of an exchange's stages: `doc/exchange.svg`, drawn from the tables [`Stage::next`]
//! and [`Stage::has`].
//!
//! The positions of boxes and arrows are chosen here by hand; the tables say which exist and what
//! they contain. The test fails if a stage or an arrow has no position here, or a position has
//! none.

use super::text::difference;
use millstream::testing::{SourceKind, Stage};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const STYLE: &str = include_str!("diagram.css");

/// What a stage's client has been sent, the left edge and width of its box, and the vertical
/// position of its middle.
const BOXES: [(Stage, &str, i32, i32, i32); 9] = [
    (Stage::Unanswered, "nothing, or interims", 24, 176, 266),
    (Stage::Reply, "all of a local reply", 264, 204, 58),
    (Stage::Body, "the head of a body with an end", 264, 204, 162),
    (Stage::Stream, "the head of an event stream", 264, 204, 266),
    (Stage::Early, "a head of ours, before theirs", 264, 204, 384),
    (Stage::Held, "a head of ours, no upstream", 264, 204, 502),
    (Stage::Tunnel, "a 101 (Switching Protocols)", 264, 204, 618),
    (Stage::Resuming, "a stream without its upstream", 536, 204, 278),
    (Stage::Delivering, "all, sent or pending", 808, 148, 162),
];

/// The corners of each arrow.
const ARROWS: [(Stage, Stage, &[Point]); 17] = [
    (Stage::Unanswered, Stage::Reply, &[(200, 266), (232, 266), (232, 58), (264, 58)]),
    (Stage::Unanswered, Stage::Body, &[(200, 266), (232, 266), (232, 162), (264, 162)]),
    (Stage::Unanswered, Stage::Stream, &[(200, 266), (264, 266)]),
    (Stage::Unanswered, Stage::Early, &[(200, 266), (232, 266), (232, 384), (264, 384)]),
    (Stage::Unanswered, Stage::Held, &[(200, 266), (232, 266), (232, 502), (264, 502)]),
    (Stage::Unanswered, Stage::Tunnel, &[(200, 266), (232, 266), (232, 618), (264, 618)]),
    (Stage::Body, Stage::Reply, &[(366, 127), (366, 93)]),
    (Stage::Body, Stage::Delivering, &[(468, 150), (808, 150)]),
    (Stage::Stream, Stage::Resuming, &[(468, 258), (536, 258)]),
    (
        Stage::Stream,
        Stage::Delivering,
        &[(430, 231), (430, 212), (772, 212), (772, 176), (808, 176)],
    ),
    (Stage::Early, Stage::Stream, &[(366, 338), (366, 301)]),
    (Stage::Early, Stage::Held, &[(366, 430), (366, 445)]),
    (Stage::Early, Stage::Delivering, &[(468, 384), (890, 384), (890, 197)]),
    (Stage::Held, Stage::Stream, &[(468, 490), (502, 490), (502, 293), (468, 293)]),
    (Stage::Held, Stage::Delivering, &[(468, 514), (930, 514), (930, 197)]),
    (Stage::Resuming, Stage::Stream, &[(536, 282), (468, 282)]),
    (Stage::Resuming, Stage::Delivering, &[(740, 278), (848, 278), (848, 197)]),
];

/// The meanings of the kinds of sources.
const KINDS: [(SourceKind, &str); 9] = [
    (SourceKind::None, "nowhere yet, or nowhere any more"),
    (SourceKind::Local, "this process"),
    (SourceKind::Log, "a log that others read, too"),
    (SourceKind::Authorizing, "an upstream, once it is let in"),
    (SourceKind::Queued, "an upstream, once a connection is free"),
    (SourceKind::Connecting, "an upstream, once it is connected to"),
    (SourceKind::Awaiting, "an upstream, once its head is there"),
    (SourceKind::Upstream, "an upstream"),
    (SourceKind::Waiting, "an upstream that is asked again later"),
];

const WIDTH: i32 = 980;
const HEIGHT: i32 = 800;

/// The distances from the left and from the top.
type Point = (i32, i32);

#[test]
fn the_stages_of_an_exchange() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("doc/exchange.svg");
    let got = draw();
    let text = fs::read_to_string(&file).unwrap_or_default();
    if got != text && std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, got).unwrap();
    } else {
        let how = "`make golden` draws it anew";
        assert!(got == text, "doc/exchange.svg:\n{}\n{how}", difference(&text, &got));
    }
}

fn draw() -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">The stages of an exchange</title>\n\
         <desc id=\"desc\">{}</desc>\n<style>\n{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n",
        describe()
    );
    let mut places: Vec<_> = ARROWS.iter().collect();
    for from in Stage::ALL {
        for &to in from.next() {
            let place = places.iter().position(|(a, b, _)| (*a, *b) == (from, to));
            let place = place.unwrap_or_else(|| panic!("no place for {from:?} -> {to:?}"));
            draw_arrow(&mut out, places.remove(place).2);
        }
    }
    assert!(places.is_empty(), "not in the tables: {places:?}");
    for stage in Stage::ALL {
        let mut places = BOXES.iter().filter(|place| place.0 == stage);
        let place = places.next().unwrap_or_else(|| panic!("no place for {stage:?}"));
        draw_box(&mut out, *place);
    }
    draw_legend(&mut out);
    out.push_str("</svg>\n");
    out
}

/// The tables in words, for users who cannot see the diagram.
fn describe() -> String {
    let mut out = String::new();
    for stage in Stage::ALL {
        let kinds: Vec<String> = kinds_of(stage).map(|kind| format!("{kind:?}")).collect();
        let next: Vec<String> = stage.next().iter().map(|next| format!("{next:?}")).collect();
        let _ = write!(out, "{stage:?}, with the source {}", kinds.join(" or "));
        match &next[..] {
            [] => out.push_str(", is the last. "),
            _ => {
                let _ = write!(out, ", goes on to {}. ", next.join(", "));
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn kinds_of(stage: Stage) -> impl Iterator<Item = SourceKind> {
    SourceKind::ALL.into_iter().filter(move |kind| stage.has(*kind))
}

fn draw_box(out: &mut String, (stage, has, x, width, middle): (Stage, &str, i32, i32, i32)) {
    let rows = rows_of(stage, width - 20);
    let height = 48 + 22 * i32::try_from(rows.len()).unwrap();
    let (top, centre) = (middle - height / 2, x + width / 2);
    let class = if stage.is_stream() { "stage stream" } else { "stage" };
    let _ = writeln!(out, "<g class=\"{class}\">");
    let _ = writeln!(out, "{}", rect(x, top, width, height, 8));
    if stage.next().is_empty() {
        let _ = writeln!(out, "{}", rect(x + 4, top + 4, width - 8, height - 8, 5));
    }
    let _ =
        writeln!(out, "<text class=\"name\" x=\"{centre}\" y=\"{}\">{stage:?}</text>", top + 22);
    let _ = writeln!(out, "<text class=\"quiet\" x=\"{centre}\" y=\"{}\">{has}</text>", top + 37);
    for (row, y) in rows.iter().zip((top + 43..).step_by(22)) {
        let all: i32 = row.iter().map(|kind| width_of(*kind) + 6).sum();
        let mut left = centre - (all - 6) / 2;
        for &kind in row {
            draw_kind(out, kind, left, y);
            left += width_of(kind) + 6;
        }
    }
    out.push_str("</g>\n");
}

/// The sources of a stage, arranged in rows that fit.
fn rows_of(stage: Stage, room: i32) -> Vec<Vec<SourceKind>> {
    let (mut rows, mut used) = (vec![Vec::new()], 0);
    for kind in kinds_of(stage) {
        if used + width_of(kind) > room {
            rows.push(Vec::new());
            used = 0;
        }
        used += width_of(kind) + 6;
        rows.last_mut().unwrap().push(kind);
    }
    rows
}

fn width_of(kind: SourceKind) -> i32 {
    i32::try_from(format!("{kind:?}").len()).unwrap() * 13 / 2 + 12
}

fn draw_kind(out: &mut String, kind: SourceKind, x: i32, y: i32) {
    let width = width_of(kind);
    let _ = writeln!(out, "<g class=\"kind\">{}", rect(x, y, width, 17, 8));
    let (x, y) = (x + width / 2, y + 12);
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\">{kind:?}</text></g>");
}

fn draw_legend(out: &mut String) {
    let (x, mut y) = (536, 540);
    let _ = writeln!(out, "<g class=\"legend\">");
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\">Where the rest of the response may come from:</text>"
    );
    y += 10;
    for kind in SourceKind::ALL {
        let means = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, means)| *means);
        let means = means.unwrap_or_else(|| panic!("no words for {kind:?}"));
        draw_kind(out, kind, x, y);
        let _ =
            writeln!(out, "<text class=\"quiet\" x=\"{}\" y=\"{}\">{means}</text>", x + 88, y + 13);
        y += 21;
    }
    y += 8;
    for line in [
        "Blue: the client has an event stream. Two frames: nothing follows.",
        "An exchange may be over after any stage.",
    ] {
        let _ = writeln!(out, "<text class=\"quiet\" x=\"{x}\" y=\"{}\">{line}</text>", y + 10);
        y += 17;
    }
    out.push_str("</g>\n");
}

fn rect(x: i32, y: i32, width: i32, height: i32, round: i32) -> String {
    format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>")
}

/// A line with round corners and an arrowhead.
fn draw_arrow(out: &mut String, points: &[Point]) {
    let (&(x, y), rest) = points.split_first().unwrap();
    let _ = write!(out, "<path class=\"arrow\" d=\"M{x} {y}");
    let mut from = (x, y);
    for pair in rest.windows(2) {
        let (before, behind) = (towards(pair[0], from, 10), towards(pair[0], pair[1], 10));
        let _ = write!(out, "L{} {}Q{} {}", before.0, before.1, pair[0].0, pair[0].1);
        let _ = write!(out, " {} {}", behind.0, behind.1);
        from = pair[0];
    }
    let tip = *rest.last().unwrap();
    let base = towards(tip, from, 9);
    let (dx, dy) = ((tip.1 - base.1) / 2, (tip.0 - base.0) / 2);
    let _ = writeln!(out, "L{} {}\"/>", base.0, base.1);
    let _ = writeln!(
        out,
        "<path class=\"tip\" d=\"M{} {}L{} {}L{} {}Z\"/>",
        tip.0,
        tip.1,
        base.0 + dx,
        base.1 + dy,
        base.0 - dx,
        base.1 - dy
    );
}

/// The point at this distance from one point on the straight way to another.
fn towards(from: Point, to: Point, distance: i32) -> Point {
    (from.0 + (to.0 - from.0).signum() * distance, from.1 + (to.1 - from.1).signum() * distance)
}
