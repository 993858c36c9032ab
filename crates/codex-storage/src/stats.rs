//! What a database says about itself.

use std::time::Duration;

use crate::database::Shared;
use crate::format::Mode;
use crate::log::writer::{Log, LogCounters};
use crate::recovery::Recovery;
use crate::table::ViewTotals;

/// Figures of an open database.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// What the database keeps.
    pub mode: Mode,
    /// Whether frames are encrypted.
    pub encrypted: bool,
    /// The last commit that readers see.
    pub sequence: u64,
    /// Live records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub live_bytes: u64,
    /// An estimate of the memory that live records take, in bytes: keys, values, and
    /// [`Stats::RECORD_MEMORY_OVERHEAD`] for each.
    pub memory_bytes: u64,
    /// Length of the log with its header, in bytes.
    pub log_bytes: u64,
    /// Length of the file: the log and space set aside, in bytes.
    pub file_bytes: u64,
    /// What a rewrite would leave of the file, in bytes; the log's length in ledger mode.
    pub rewritten_bytes: u64,
    /// Commits since the database was opened.
    pub commits: u64,
    /// Groups that they were written in.
    pub groups: u64,
    /// Syncs of the file.
    pub syncs: u64,
    /// The moving average of what writing and syncing a group takes.
    pub write_time: Duration,
    /// Open views.
    pub views: u64,
    /// The state that the oldest of them shows.
    pub oldest_view: Option<u64>,
    /// Superseded versions that are kept for views.
    pub superseded_versions: u64,
    /// What opening found.
    pub recovery: Recovery,
    /// The latest failure in the background, with its causes; it stopped no commit unless writes report it too.
    pub background_error: Option<String>,
}

impl Stats {
    /// What a record takes in memory beyond key and value, in bytes: 32 that stand before them, 22 and 17 in the tree
    /// and the hash table at their usual fill, and what the allocator adds. Measured by the growth of a process that
    /// loads a million records of 116 bytes: 88.
    pub const RECORD_MEMORY_OVERHEAD: u64 = 88;
}

/// The part that only the engine knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogStatus {
    log_bytes: u64,
    file_bytes: u64,
    counters: LogCounters,
}

impl LogStatus {
    pub(crate) fn of(log: &Log) -> Self {
        Self { log_bytes: log.end().offset, file_bytes: log.allocated(), counters: log.counters() }
    }
}

pub(crate) fn stats(shared: &Shared, log: LogStatus) -> Stats {
    let (shown, held, ViewTotals { views, oldest, superseded }) = {
        let table = shared.core.table().read();
        (table.shown(), table.totals(), table.view_totals())
    };
    Stats {
        mode: shared.mode,
        encrypted: shared.encrypted,
        sequence: shown.at.0,
        records: shown.totals.records,
        live_bytes: shown.totals.bytes,
        memory_bytes: held.bytes + held.records * Stats::RECORD_MEMORY_OVERHEAD,
        log_bytes: log.log_bytes,
        file_bytes: log.file_bytes,
        rewritten_bytes: match shared.mode {
            Mode::Snapshot => crate::snapshot::rewritten_len(held),
            Mode::Ledger => log.log_bytes,
        },
        commits: log.counters.commits,
        groups: log.counters.groups,
        syncs: log.counters.syncs,
        write_time: shared.core.pacing().write_time(),
        views,
        oldest_view: oldest.map(|sequence| sequence.0),
        superseded_versions: superseded,
        recovery: shared.recovery.clone(),
        background_error: shared.background_error(),
    }
}
