//! Everything that the command prints, as text or as JSON.
//!
//! Standard output holds results only; notes and errors go to standard error. A closed pipe is never a panic.

mod table;

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use self::table::Table;
use crate::color;
use crate::exit::Failure;
use crate::progress::Bars;

/// Where results go, and how they look.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    bars: Bars,
    /// Whether results go where the bars may be.
    on_terminal: bool,
    stream: BufWriter<Stdout>,
    /// Rows that wait for others, with which they form columns.
    table: Table,
    interrupted: Arc<AtomicBool>,
}

impl Output {
    pub(crate) fn new(format: Format, notes: Notes) -> Self {
        let wanted = format == Format::Text && notes == Notes::On;
        Self {
            format,
            quiet: notes == Notes::Off,
            bars: if wanted { Bars::on_terminal() } else { Bars::off() },
            on_terminal: io::stdout().is_terminal(),
            stream: BufWriter::with_capacity(BUFFER_LEN, io::stdout()),
            table: Table::default(),
            interrupted: Arc::default(),
        }
    }

    /// How results look.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// How results look from here on.
    pub(crate) fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// Whether programs read along.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// What ends the printing when it is set.
    pub(crate) fn interrupted(&self) -> &Arc<AtomicBool> {
        &self.interrupted
    }

    /// Names the columns of the rows that follow, for tables.
    pub(crate) fn columns(&mut self, names: &[&'static str]) {
        self.table = Table::new(names);
    }

    /// Prints a row: its cells with tabs between them, or in the columns of a table.
    pub(crate) fn row(&mut self, cells: &[&str]) -> Result<(), Failure> {
        if self.format == Format::Table {
            let rows = self.table.add(cells);
            return self.all(rows.as_bytes());
        }
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.all(b"\t")?;
            }
            self.all(cell.as_bytes())?;
        }
        self.all(b"\n")
    }

    /// Prints the text, or the object where JSON is asked for; an empty text prints nothing.
    pub(crate) fn result(&mut self, text: &str, object: &impl Serialize) -> Result<(), Failure> {
        if self.is_json() {
            self.object(object)
        } else if text.is_empty() {
            Ok(())
        } else {
            self.line(text)
        }
    }

    /// Prints one line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints one line of JSON.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        self.make_room();
        serde_json::to_writer(&mut self.stream, object).map_err(|error| Failure::output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Prints bytes exactly.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.end_table()?;
        self.all(bytes)
    }

    fn all(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) {
            self.table = Table::default();
            return Err(Failure::Interrupted);
        }
        self.make_room();
        self.stream.write_all(bytes).map_err(Failure::output)
    }

    /// No bar stands where results are printed, until all of them are.
    fn make_room(&self) {
        if self.on_terminal {
            self.bars.hold();
        }
    }

    /// Prints the rows that wait.
    fn end_table(&mut self) -> Result<(), Failure> {
        let rows = std::mem::take(&mut self.table).end();
        self.stream.write_all(rows.as_bytes()).map_err(Failure::output)
    }

    /// Where whole records are written; its errors are a [`Failure::output`].
    pub(crate) fn stream(&mut self) -> &mut impl Write {
        self.make_room();
        &mut self.stream
    }

    /// Hands on what has been printed. A program that reads along sees it now.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        // Of work that failed, a bar still stands.
        self.bars.clear();
        self.end_table()?;
        self.stream.flush().map_err(Failure::output)?;
        self.bars.release();
        Ok(())
    }

    /// Where long work shows how far it is.
    pub(crate) fn bars(&self) -> &Bars {
        &self.bars
    }

    /// Says something beside the result, unless programs read along or it was not wanted.
    pub(crate) fn note(&mut self, note: &str) {
        if !self.is_json() && !self.quiet {
            self.bars.clear();
            // Nobody may be reading: a note is then not worth failing for.
            let _ = writeln!(io::stderr(), "codex: {note}");
        }
    }
}

/// For whom the results are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people and line tools.
    Text,
    /// For people: the same, with rows in columns.
    Table,
    /// For programs: one object a line.
    Json,
}

/// Whether notes are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// Prints a failure on standard error.
pub(crate) fn report(failure: &Failure, format: Format) {
    // With standard error closed, the exit code still tells.
    let _ = match format {
        Format::Text | Format::Table => {
            anstream::stderr().write_all(failure.styled(color::ERROR, color::HINT).as_bytes())
        }
        Format::Json => io::stderr().write_all(failure.json().as_bytes()),
    };
}

const BUFFER_LEN: usize = 64 * 1024;
