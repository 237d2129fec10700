//! Tables that fit the terminal.

use super::look::{Look, Tone, harmless, wrap};

/// Between two columns.
const GAP: usize = 2;
/// The last column is not made narrower than this.
const NARROWEST: usize = 16;

/// One field.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { text: harmless(text.as_ref()), tone }
    }

    fn length(&self) -> usize {
        self.text.chars().count()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(Tone::Plain, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// The rows under their headings. A column in which every field is empty is left out; the last
/// column is folded where the line is too long.
pub(super) fn table(look: Look, heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let used = |column: &usize| {
        rows.iter().any(|row| row.get(*column).is_some_and(|cell| !cell.text.is_empty()))
    };
    let columns: Vec<usize> = (0..heads.len()).filter(used).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(Cell::length);
        cells.chain(heads.get(column).map(|head| head.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = columns.iter().map(|column| width(*column)).collect();
    let head: Vec<Cell> = columns
        .iter()
        .filter_map(|column| heads.get(*column))
        .map(|head| Cell::new(Tone::Dim, head))
        .collect();
    let mut text = String::new();
    line(look, &mut text, &head, &widths);
    for row in rows {
        let cells: Vec<Cell> =
            columns.iter().map(|it| row.get(*it).cloned().unwrap_or_else(|| "".into())).collect();
        line(look, &mut text, &cells, &widths);
    }
    text
}

fn line(look: Look, text: &mut String, cells: &[Cell], widths: &[usize]) {
    let Some((last, cells)) = cells.split_last() else { return };
    let mut line = String::new();
    let mut indent = 0;
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&look.paint(cell.tone, &cell.text));
        let pad = width.saturating_sub(cell.length()) + GAP;
        line.push_str(&" ".repeat(pad));
        indent += width + GAP;
    }
    let room = look.width.saturating_sub(indent).max(NARROWEST);
    for (number, part) in wrap(&last.text, room).iter().enumerate() {
        if number > 0 {
            line.push_str(&" ".repeat(indent));
        }
        line.push_str(&look.paint(last.tone, part));
        text.push_str(line.trim_end());
        text.push('\n');
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_fit_and_empty_ones_are_left_out() {
        let rows = [
            vec!["a".into(), "".into(), "one two three four five six seven".into()],
            vec!["long".into(), "".into(), "x\x1b[31m".into()],
        ];
        expect![[r#"
            NAME  WHAT
            a     one two three
                  four five six
                  seven
            long  x�[31m
        "#]]
        .assert_eq(&table(Look::plain(22), &["NAME", "NONE", "WHAT"], &rows));
    }
}
