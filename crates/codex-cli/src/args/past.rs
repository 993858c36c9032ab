//! The arguments of what reads the past of a ledger.

use std::ffi::OsString;

use clap::Args;

/// A point of the past, instead of now.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// As it was at this point: a sequence number, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "POINT")]
    pub(crate) at: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The record's key
    pub(crate) key: OsString,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Only from this commit on: a sequence number, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "POINT")]
    pub(crate) since: Option<OsString>,
    /// Only up to this commit or time
    #[arg(long, value_name = "POINT")]
    pub(crate) until: Option<OsString>,
    /// Only what was done to keys that match, as in 'user:*'
    #[arg(long, value_name = "PATTERN")]
    pub(crate) key: Option<OsString>,
    /// Newest first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// At most this many commits
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The earlier point: a sequence number, or a time such as 2026-01-31T12:00:00Z
    #[arg(value_name = "A")]
    pub(crate) from: OsString,
    /// The later point; now, if it is left out
    #[arg(value_name = "B")]
    pub(crate) to: Option<OsString>,
}
