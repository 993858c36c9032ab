//! What a database tells of itself while it works: events and spans for `tracing`, figures for `metrics`.
//!
//! Both are features. Without them nothing here does anything, and the compiler drops the calls. Names, levels and fields
//! are listed in `docs/observability.md`.
//!
//! What holds at all times:
//! - [`Event`] and [`Stats`] are all that leaves this way: sizes, counts, times, sequence numbers, the path of the
//!   database, and what an error says with its causes. No record key, value or label, nothing of what unlocks.
//! - An error that a caller gets is not told a second time: only what nobody would hear of otherwise.
//! - Much is told under the I/O lock, so that it comes in the order of the log; nothing under the table lock. Who listens
//!   must not use the database from there.

#[cfg(feature = "metrics")]
mod metered;
#[cfg(feature = "tracing")]
mod traced;

use std::path::Path;
use std::time::Duration;

use codex_crypto::DatabaseId;

use crate::error::StorageError;
use crate::format::Mode;
use crate::recovery::Recovery;
use crate::stats::Stats;

/// Something that happened.
#[cfg_attr(
    not(feature = "tracing"),
    expect(dead_code, reason = "some of it is for a listener that is not built")
)]
pub(crate) enum Event<'a> {
    /// The database is open.
    Opened {
        path: &'a Path,
        mode: Mode,
        encrypted: bool,
        read_only: bool,
        records: u64,
        sequence: u64,
        took: Duration,
    },
    /// What opening found and did.
    Recovered { mode: Mode, recovery: &'a Recovery },
    /// The system has taken a group that ends with this commit.
    GroupWritten { sequence: u64, commits: u64, bytes: u64 },
    /// Everything that was written is durable.
    Synced { took: Duration },
    /// A commit's conditions did not hold.
    Conflicted,
    /// The file was rewritten with what is live.
    Rewritten { records: u64, bytes_before: u64, bytes: u64, took: Duration },
    /// A checkpoint covers the log up to this commit.
    CheckpointWritten { sequence: u64, records: u64, bytes: u64, took: Duration },
    /// What opens the database was changed. The slot, from 1, where it was one.
    KeysChanged { change: &'static str, slot: Option<usize> },
    /// Work failed that nobody waits for: behind the commits, or closing by a drop.
    BackgroundFailed { error: &'a StorageError },
    /// Nothing more is written before the database is opened again.
    WritesStopped { error: &'a StorageError },
    /// The database is closed. What failed is the caller's to hear.
    Closed { sequence: u64, took: Duration },
}

/// Work that takes its time.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Open,
    Rewrite,
    Checkpoint,
    Verify,
    Close,
}

/// The work goes on as long as this lives.
#[must_use]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    _entered: tracing::span::EnteredSpan,
}

/// Begins work in this thread.
pub(crate) fn begin(work: Work) -> Span {
    #[cfg(not(feature = "tracing"))]
    let _ = work;
    Span {
        #[cfg(feature = "tracing")]
        _entered: traced::span(work).entered(),
    }
}

/// Tells of one database. Whoever listens to metrics is asked for when this is made, so a recorder is installed before
/// the database is opened.
#[derive(Debug)]
pub(crate) struct Teller {
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "metrics have it as a label"))]
    database: DatabaseId,
    #[cfg(feature = "metrics")]
    meters: metered::Meters,
}

impl Teller {
    pub(crate) fn new(database: DatabaseId) -> Self {
        Self {
            database,
            #[cfg(feature = "metrics")]
            meters: metered::Meters::of(database),
        }
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        #[cfg(feature = "tracing")]
        traced::event(self.database, event);
        #[cfg(feature = "metrics")]
        self.meters.count(event);
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        let _ = (self, event);
    }

    /// Publishes how things stand. Figures are only asked for if they are published.
    pub(crate) fn publish(&self, figures: impl FnOnce() -> Stats) {
        #[cfg(feature = "metrics")]
        self.meters.show(&figures());
        #[cfg(not(feature = "metrics"))]
        let _ = (self, figures);
    }
}
