//! Figures for the `metrics` facade: one set for each open database, with its id as a label.

use std::fmt;

use codex_crypto::DatabaseId;
use metrics::{
    Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::Event;
use crate::stats::Stats;

pub(super) struct Meters {
    openings: Counter,
    torn_bytes: Counter,
    commits: Counter,
    conflicts: Counter,
    group_commits: Histogram,
    group_bytes: Histogram,
    sync_seconds: Histogram,
    rewrite_seconds: Histogram,
    checkpoint_seconds: Histogram,
    background_failures: Counter,
    writes_stopped: Gauge,
    records: Gauge,
    live_bytes: Gauge,
    memory_bytes: Gauge,
    log_bytes: Gauge,
    file_bytes: Gauge,
    views: Gauge,
}

impl Meters {
    pub(super) fn of(database: DatabaseId) -> Self {
        let labels = vec![Label::new("database", format!("{database:?}"))];
        let counter = |name: &'static str, unit: Unit, text: &'static str| {
            describe_counter!(name, unit, text);
            counter!(name, labels.clone())
        };
        let gauge = |name: &'static str, unit: Unit, text: &'static str| {
            describe_gauge!(name, unit, text);
            gauge!(name, labels.clone())
        };
        let histogram = |name: &'static str, unit: Unit, text: &'static str| {
            describe_histogram!(name, unit, text);
            histogram!(name, labels.clone())
        };
        Self {
            openings: counter("codex_openings_total", Unit::Count, "Openings of the database"),
            torn_bytes: counter("codex_torn_bytes_total", Unit::Bytes, "Torn ends that openings found"),
            commits: counter("codex_commits_total", Unit::Count, "Commits that were written"),
            conflicts: counter("codex_conflicts_total", Unit::Count, "Commits whose conditions did not hold"),
            group_commits: histogram("codex_group_commits", Unit::Count, "Commits in a group"),
            group_bytes: histogram("codex_group_bytes", Unit::Bytes, "Length of a group in the log"),
            sync_seconds: histogram("codex_sync_seconds", Unit::Seconds, "How long a sync took"),
            rewrite_seconds: histogram("codex_rewrite_seconds", Unit::Seconds, "How long a rewrite took"),
            checkpoint_seconds: histogram(
                "codex_checkpoint_seconds",
                Unit::Seconds,
                "How long a checkpoint took",
            ),
            background_failures: counter(
                "codex_background_failures_total",
                Unit::Count,
                "Failures of work behind the commits",
            ),
            writes_stopped: gauge("codex_writes_stopped", Unit::Count, "1 once a failure has stopped writes"),
            records: gauge("codex_records", Unit::Count, "Live records"),
            live_bytes: gauge("codex_live_bytes", Unit::Bytes, "Keys and values of live records"),
            memory_bytes: gauge("codex_memory_bytes", Unit::Bytes, "Memory that live records take"),
            log_bytes: gauge("codex_log_bytes", Unit::Bytes, "Length of the log"),
            file_bytes: gauge("codex_file_bytes", Unit::Bytes, "Length of the file"),
            views: gauge("codex_open_views", Unit::Count, "Open views"),
        }
    }

    pub(super) fn count(&self, event: &Event<'_>) {
        match *event {
            Event::Opened { .. } => {
                self.openings.increment(1);
                self.writes_stopped.set(0);
            }
            Event::Recovered { recovery, .. } => self.torn_bytes.increment(recovery.torn_bytes),
            Event::GroupWritten { commits, bytes, .. } => {
                self.commits.increment(commits);
                self.group_commits.record(as_f64(commits));
                self.group_bytes.record(as_f64(bytes));
            }
            Event::Synced { took } => self.sync_seconds.record(took),
            Event::Conflicted => self.conflicts.increment(1),
            Event::Rewritten { took, .. } => self.rewrite_seconds.record(took),
            Event::CheckpointWritten { took, .. } => self.checkpoint_seconds.record(took),
            Event::BackgroundFailed { .. } => self.background_failures.increment(1),
            Event::WritesStopped { .. } => self.writes_stopped.set(1),
            Event::KeysChanged { .. } | Event::Closed { .. } => {}
        }
    }

    pub(super) fn show(&self, stats: &Stats) {
        self.records.set(as_f64(stats.records));
        self.live_bytes.set(as_f64(stats.live_bytes));
        self.memory_bytes.set(as_f64(stats.memory_bytes));
        self.log_bytes.set(as_f64(stats.log_bytes));
        self.file_bytes.set(as_f64(stats.file_bytes));
        self.views.set(as_f64(stats.views));
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are 64-bit floating-point numbers")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
