//! The arguments of what reads and changes records.

use std::ffi::OsString;

use clap::Args;

use super::At;

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The record's key
    pub(crate) key: OsString,
    /// The value as JSON; `-` reads it from standard input
    // So that `-1e-5` is a value, which clap does not take for a number; `check` refuses options.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: OsString,
    /// Store the value's bytes exactly, not as JSON
    #[arg(long)]
    pub(crate) raw: bool,
    /// For how long, as in 60s, '1h 30m' or 7d; then the key is absent
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Ttl {
    /// The record's key
    pub(crate) key: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The record's key
    pub(crate) key: OsString,
    /// Write the value's bytes exactly, without a newline
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The records' keys
    #[arg(value_name = "KEY", required_unless_present = "range", conflicts_with = "range")]
    pub(crate) keys: Vec<OsString>,
    #[command(flatten)]
    pub(crate) range: Range,
    /// Delete what --prefix, --glob, --from or --to choose without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only say how many would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Has {
    /// The record's key
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// End each key with a zero byte, and write its bytes as they are
    #[arg(short = '0', long = "null")]
    pub(crate) null: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// End each key and each value with a zero byte, and write their bytes as they are
    #[arg(short = '0', long = "null")]
    pub(crate) null: bool,
}

/// Which records, and in which order.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    #[command(flatten)]
    pub(crate) range: Range,
    /// From the last to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) at: At,
}

/// Which records.
#[derive(Debug, Args)]
#[group(id = "range", multiple = true)]
pub(crate) struct Range {
    /// Only keys that begin with this
    #[arg(long)]
    pub(crate) prefix: Option<OsString>,
    /// Only keys that match, as in 'user:*': `*`, `?`, `[a-z]`, and `\` before one of these
    #[arg(long, value_name = "PATTERN")]
    pub(crate) glob: Option<OsString>,
    /// Only keys from this one on
    #[arg(long, value_name = "KEY")]
    pub(crate) from: Option<OsString>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    pub(crate) to: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Count {
    /// Only keys that begin with this
    #[arg(long)]
    pub(crate) prefix: Option<OsString>,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Say that every record shall go
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only say how many would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
}
