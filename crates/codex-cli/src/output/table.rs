//! Rows in columns, for people.
//!
//! A column is as wide as its widest cell in the first [`ROWS_MAX`] rows, and grows with later ones, so that a table of any
//! length is printed in little memory. A cell that is very wide pushes only its own row aside.

use unicode_width::UnicodeWidthStr;

/// Rows that wait, and the columns that they form.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: Vec<&'static str>,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
    len: usize,
}

impl Table {
    pub(super) fn new(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), widths: Vec::new(), rows: Vec::new(), len: 0 }
    }

    /// Takes a row, and gives what is to be printed now.
    pub(super) fn add(&mut self, cells: &[&str]) -> String {
        self.len += cells.iter().map(|cell| cell.len()).sum::<usize>();
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
        if self.rows.len() < ROWS_MAX && self.len < LEN_MAX { String::new() } else { self.print() }
    }

    /// Gives what has not been printed.
    pub(super) fn end(mut self) -> String {
        self.print()
    }

    fn print(&mut self) -> String {
        let mut rows = std::mem::take(&mut self.rows);
        self.len = 0;
        if rows.is_empty() {
            return String::new();
        }
        let names = std::mem::take(&mut self.names);
        let has_names = !names.is_empty();
        if has_names {
            rows.insert(0, names.into_iter().map(str::to_owned).collect());
        }
        for row in &rows {
            self.widths.resize(self.widths.len().max(row.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width()).min(WIDTH_MAX);
            }
        }
        if has_names {
            rows.insert(1, self.widths.iter().map(|width| "-".repeat(*width)).collect());
        }
        rows.iter().fold(String::new(), |mut text, row| {
            for (index, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
                text.push_str(cell);
                if index + 1 < row.len() {
                    // Between columns are two spaces, and behind the last one none.
                    text.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
                }
            }
            text.push('\n');
            text
        })
    }
}

/// So many rows wait for each other, or so many bytes of them.
const ROWS_MAX: usize = 200;
const LEN_MAX: usize = 64 * 1024;

/// What a column takes at most, so that one wide cell does not part all others.
const WIDTH_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["key", "value"]);
        for cells in [["a", "1"], ["日本:1", "{\"a\":1}"], ["b", ""]] {
            assert_eq!(table.add(&cells), "");
        }
        let expected = "key     value\n------  -------\na       1\n日本:1  {\"a\":1}\nb       \n";
        assert_eq!(table.end(), expected);
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        assert_eq!(Table::new(&["key"]).end(), "");
    }

    #[test]
    fn a_wide_cell_pushes_its_own_row_aside_only() {
        let mut table = Table::new(&["key", "value"]);
        let wide = "x".repeat(1000);
        table.add(&[&wide, "1"]);
        table.add(&["a", "2"]);
        let text = table.end();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], format!("{wide}  1"));
        assert_eq!(lines[3], format!("a{}2", " ".repeat(WIDTH_MAX + 1)));
    }

    #[test]
    fn a_long_table_is_printed_in_pieces_with_one_head() {
        let mut table = Table::new(&["key", "value"]);
        let mut text = String::new();
        let mut waiting_max = 0;
        for number in 0..1000 {
            text += &table.add(&[&number.to_string(), "v"]);
            waiting_max = waiting_max.max(table.rows.len());
        }
        text += &table.end();
        assert_eq!(text.lines().count(), 1002);
        assert!(waiting_max < ROWS_MAX, "{waiting_max}");
        assert_eq!(text.matches("key").count(), 1);
        assert!(text.contains("\n999  v\n"), "{text}");
    }
}
