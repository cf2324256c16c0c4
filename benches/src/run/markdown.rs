//! Markdown tables with aligned columns, so they are readable as plain text, too.

/// A table: a heading, and rows with the same number of cells. The first `words` columns are text,
/// aligned to the left; the others are numbers, aligned to the right.
pub fn table(heading: &[String], rows: &[Vec<String>], words: usize) -> String {
    let all = || std::iter::once(heading).chain(rows.iter().map(Vec::as_slice));
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: Vec<_> = (0..heading.len()).map(width).collect();
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column < words {
            true => "-".repeat(*width),
            false => "-".repeat(width - 1) + ":",
        });
    let rule: Vec<_> = rule.collect();
    let mut text = line(heading, &widths, words) + &line(&rule, &widths, words);
    for row in rows {
        text += &line(row, &widths, words);
    }
    text
}

fn line(cells: &[String], widths: &[usize], words: usize) -> String {
    let mut line = "|".to_owned();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line += &match column < words {
            true => format!(" {cell:<width$} |"),
            false => format!(" {cell:>width$} |"),
        };
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        let rows = [
            words(&["floor", "least", "1 µs"]),
            words(&["a", "–", "1,000 µs"]),
        ];
        let want = "| peer  | what  |     time |\n\
                    | ----- | ----- | -------: |\n\
                    | floor | least |     1 µs |\n\
                    | a     | –     | 1,000 µs |\n";
        assert_eq!(table(&words(&["peer", "what", "time"]), &rows, 2), want);
    }
}
