//! Metrics say what the figures of the database say. They are tested here because the command's tests are built with every
//! feature of the libraries.

#![expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::{Background, Batch, Database, OpenOptions};
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Keeps the values, by name and label.
#[derive(Debug, Default)]
struct Recorded {
    numbers: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    histograms: Mutex<BTreeMap<String, Arc<Values>>>,
}

#[derive(Debug, Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().expect("nobody panicked").push(value);
    }
}

impl Recorded {
    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        self.numbers.lock().expect("nobody panicked").entry(text(key)).or_default().clone()
    }

    fn counter(&self, name: &str, database: &Database) -> u64 {
        let name = named(name, database);
        self.numbers.lock().expect("nobody panicked")[&name].load(Ordering::Acquire)
    }

    fn gauge(&self, name: &str, database: &Database) -> f64 {
        f64::from_bits(self.counter(name, database))
    }

    fn histogram(&self, name: &str, database: &Database) -> Vec<f64> {
        let histograms = self.histograms.lock().expect("nobody panicked");
        histograms[&named(name, database)].0.lock().expect("nobody panicked").clone()
    }
}

fn text(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    format!("{} {}", key.name(), labels.join(","))
}

fn named(name: &str, database: &Database) -> String {
    format!("{name} database={:?}", database.log_head().id)
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let mut histograms = self.histograms.lock().expect("nobody panicked");
        Histogram::from_arc(histograms.entry(text(key)).or_default().clone())
    }
}

/// A database on a simulated disk, whose background does what is due when it is told to.
fn open(disk: &SimVfs, recorded: &Recorded) -> Database {
    let options =
        OpenOptions { vfs: Arc::new(disk.clone()), background: Background::Caller, ..OpenOptions::default() };
    let opened = metrics::with_local_recorder(recorded, || options.open(Path::new("/app.db"), None));
    opened.expect("it is whole")
}

fn batch(count: u8) -> Batch {
    let mut batch = Batch::new();
    for number in 0..count {
        batch.set(&[number], &[b"value"]).expect("within bounds");
    }
    batch
}

#[test]
fn metrics_agree_with_the_figures_of_the_database() {
    let (disk, recorded) = (SimVfs::new(1), Recorded::default());
    let database = open(&disk, &recorded);
    let empty = database.stats().log_bytes;
    for count in 1..=3 {
        database.commit(batch(count)).expect("the disk is whole");
    }
    database.tend().expect("the disk is whole");
    let stats = database.stats();
    assert_eq!(recorded.counter("codex_openings_total", &database), 1);
    assert_eq!(recorded.counter("codex_commits_total", &database), stats.commits);
    assert_eq!(recorded.histogram("codex_group_commits", &database), [1.0; 3]);
    let written: f64 = recorded.histogram("codex_group_bytes", &database).iter().sum();
    assert_eq!(written.to_bits(), ((stats.log_bytes - empty) as f64).to_bits());
    assert_eq!(recorded.histogram("codex_sync_seconds", &database).len() as u64, stats.syncs);
    for (name, figure) in [
        ("codex_records", stats.records),
        ("codex_live_bytes", stats.live_bytes),
        ("codex_memory_bytes", stats.memory_bytes),
        ("codex_log_bytes", stats.log_bytes),
        ("codex_file_bytes", stats.file_bytes),
    ] {
        assert_eq!(recorded.gauge(name, &database).to_bits(), (figure as f64).to_bits(), "{name}");
    }
}

#[test]
fn stopped_writes_are_seen_until_the_database_is_opened_again() {
    let (disk, recorded) = (SimVfs::new(1), Recorded::default());
    let database = open(&disk, &recorded);
    let stopped = |database: &Database| recorded.gauge("codex_writes_stopped", database) > 0.0;
    assert!(!stopped(&database));
    disk.fail_next(Operation::Sync, 0, Fault::Before(DiskError::Io));
    let failed = database.commit(batch(1)).expect_err("the sync fails");
    assert!(failed.outcome_is_unknown());
    assert!(stopped(&database));
    drop(database);
    let database = open(&disk, &recorded);
    assert!(!stopped(&database));
    assert_eq!(recorded.counter("codex_background_failures_total", &database), 1, "closing by a drop");
    assert_eq!(recorded.counter("codex_openings_total", &database), 2);
}
