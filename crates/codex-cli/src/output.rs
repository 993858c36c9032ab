//! Everything that the command prints, as text or as JSON.
//!
//! Standard output holds results only; notes and errors go to standard error. A closed pipe is never a panic.

use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::color;
use crate::exit::Failure;
use crate::progress::Bars;

/// Where results go, and how they look.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    bars: Bars,
    stream: BufWriter<Stdout>,
}

impl Output {
    /// Results as text, or with `json` as one JSON object a line.
    pub(crate) fn new(format: Format, notes: Notes) -> Self {
        let wanted = format == Format::Text && notes == Notes::On;
        Self {
            json: format == Format::Json,
            quiet: notes == Notes::Off,
            bars: if wanted { Bars::on_terminal() } else { Bars::off() },
            stream: BufWriter::with_capacity(BUFFER_LEN, io::stdout()),
        }
    }

    /// Whether programs read along.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the text, or the object where JSON is asked for; an empty text prints nothing.
    pub(crate) fn result(&mut self, text: &str, object: &impl Serialize) -> Result<(), Failure> {
        if self.json {
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
        serde_json::to_writer(&mut self.stream, object).map_err(|error| Failure::output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Prints bytes exactly.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).map_err(Failure::output)
    }

    /// Where whole records are written; its errors are a [`Failure::output`].
    pub(crate) fn stream(&mut self) -> &mut impl Write {
        &mut self.stream
    }

    /// Hands on what has been printed. A program that reads along sees it now.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stream.flush().map_err(Failure::output)
    }

    /// Where long work shows how far it is.
    pub(crate) fn bars(&self) -> &Bars {
        &self.bars
    }

    /// Says something beside the result, unless programs read along or it was not wanted.
    pub(crate) fn note(&mut self, note: &str) {
        if !self.json && !self.quiet {
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
    /// For programs.
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
        Format::Text => anstream::stderr().write_all(failure.styled(color::ERROR, color::HINT).as_bytes()),
        Format::Json => io::stderr().write_all(failure.json().as_bytes()),
    };
}

const BUFFER_LEN: usize = 64 * 1024;
