//! The arguments of what works on many records: batch, import, export.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{At, Mode};

#[derive(Debug, Args)]
pub(crate) struct Batch {
    /// The file with the operations; `-` is standard input
    #[arg(id = "stream", value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file with the records; `-` is standard input
    #[arg(id = "stream", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How the records are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: Form,
    /// Take the records out of what another program keeps
    #[arg(long, value_enum, value_name = "FORM", conflicts_with_all = ["format", "key_column", "infer"])]
    pub(crate) from: Option<Origin>,
    /// Check the whole file and report what it holds; no database is opened
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) csv: Csv,
    /// Take numbers, true, false and null as such where they are written as JSON has them, and leave out empty cells
    #[arg(long, help_heading = "With --format csv")]
    pub(crate) infer: bool,
    #[command(flatten)]
    pub(crate) go: ImportGo,
}

/// Where records come from that are not JSON Lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Origin {
    /// A database of the original CodexDB, the Go program
    CodexdbGo,
}

/// How a database of the original is imported.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --from codexdb-go")]
pub(crate) struct ImportGo {
    /// Which mode the original kept the file in, if it cannot be told
    #[arg(long, requires = "from", value_enum, value_name = "MODE")]
    pub(crate) from_mode: Option<Mode>,
    /// Read the key that the original used from this file: 16, 24 or 32 bytes, or their hex digits
    #[arg(long, requires = "from", value_name = "FILE")]
    pub(crate) from_key_file: Option<PathBuf>,
    /// Import what stands before the first damage, and say what is missing
    #[arg(long, requires = "from")]
    pub(crate) partial: bool,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// One JSON object a line
    Jsonl,
    /// Rows of cells; the first one names the columns
    Csv,
}

/// How records are written as CSV.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --format csv")]
pub(crate) struct Csv {
    /// The column that holds the keys (default: key)
    #[arg(long, value_name = "NAME")]
    pub(crate) key_column: Option<String>,
}

impl Csv {
    pub(crate) fn key_column(&self) -> &str {
        self.key_column.as_deref().unwrap_or("key")
    }
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The new file; `-` is standard output
    #[arg(id = "stream", value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// How the records are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: Form,
    #[command(flatten)]
    pub(crate) csv: Csv,
    #[command(flatten)]
    pub(crate) at: At,
}
