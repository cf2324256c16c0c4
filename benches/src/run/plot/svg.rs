//! The few elements of a plot, as text.

use std::fmt::{Display, Write};

/// A diagram that is being written.
pub struct Svg(String);

impl Svg {
    /// An empty diagram of this size, with a description for users who cannot see it.
    pub fn new(width: usize, height: usize, title: &str, description: &str, style: &str) -> Self {
        let mut svg = Self(String::new());
        svg.line(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title desc\">"
        ));
        svg.line(format_args!(
            "<title id=\"title\">{}</title>",
            Escaped(title)
        ));
        svg.line(format_args!(
            "<desc id=\"desc\">{}</desc>",
            Escaped(description)
        ));
        svg.line(format_args!("<style>\n{style}</style>"));
        svg
    }

    /// Text that begins at `x`, with its baseline at `y`. Classes may align its end instead.
    pub fn text(&mut self, x: f64, y: usize, classes: &str, text: &str) {
        let text = Escaped(text);
        self.line(format_args!(
            "<text class=\"{classes}\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"
        ));
    }

    /// Text, followed by more in a less prominent style.
    pub fn text_and_note(&mut self, x: f64, y: usize, classes: &str, text: &str, note: &str) {
        let (text, note) = (Escaped(text), Escaped(note));
        self.line(format_args!(
            "<text class=\"{classes}\" x=\"{x:.1}\" y=\"{y}\">{text}\
             <tspan class=\"quiet\">{note}</tspan></text>"
        ));
    }

    /// A box with round corners.
    pub fn rectangle(&mut self, class: &str, corner: (f64, usize), size: (f64, usize)) {
        let ((x, y), (width, height)) = (corner, size);
        self.line(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"{height}\" rx=\"6\"/>"
        ));
    }

    /// A vertical line.
    pub fn upright(&mut self, class: &str, x: f64, top: usize, bottom: usize) {
        self.line(format_args!(
            "<path class=\"{class}\" d=\"M{x:.1} {top}V{bottom}\"/>"
        ));
    }

    /// A horizontal line.
    pub fn level(&mut self, y: usize, left: f64, right: f64) {
        self.line(format_args!("<path d=\"M{left:.1} {y}H{right:.1}\"/>"));
    }

    /// A dot.
    pub fn dot(&mut self, x: f64, y: usize, radius: usize) {
        self.line(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"{radius}\"/>"
        ));
    }

    /// A group of elements, with its own title.
    pub fn group(&mut self, classes: &str, title: &str, draw: impl FnOnce(&mut Self)) {
        self.line(format_args!("<g class=\"{classes}\">"));
        self.line(format_args!("<title>{}</title>", Escaped(title)));
        draw(self);
        self.line(format_args!("</g>"));
    }

    /// The complete text.
    pub fn end(self) -> String {
        self.0 + "</svg>\n"
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _infallible = writeln!(self.0, "{line}");
    }
}

/// Text with all special characters escaped.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                // XML does not allow these, not even escaped.
                control if control.is_control() => f.write_char(' ')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
