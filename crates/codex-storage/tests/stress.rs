//! Many threads at once on one database: what must hold of every view and of every outcome, and that the file says
//! the same afterwards.
#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{Random, SimVfs};
use codex_storage::{Batch, Database, Durability, Mode, OpenOptions, Outcome, SequenceNumber, View};

const WRITERS: u64 = 24;
const READERS: u64 = 8;
const ROUNDS: u64 = 60;
const COUNTERS: usize = 3;

fn open(disk: &SimVfs, mode: Mode, durability: Durability) -> Database {
    let vfs = Arc::new(disk.clone());
    let options = OpenOptions { vfs, durability, mode: Some(mode), ..OpenOptions::default() };
    let unlock = Unlock::from(EncryptionKey::from_bytes([7; 32]));
    options.open(Path::new("/app.db"), Some(&unlock)).expect("the disk is whole")
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// A commit, and its sequence number if it took place.
fn commit(database: &Database, batch: Batch) -> Option<SequenceNumber> {
    match database.commit(batch).expect("the disk is whole") {
        Outcome::Committed { sequence, .. } => Some(sequence),
        Outcome::Conflict => None,
    }
}

/// What one writer was told.
#[derive(Default)]
struct Told {
    /// The last value of each key of its own; `None` where it deleted the key.
    own: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    sequences: Vec<u64>,
    increments: [u64; COUNTERS],
}

fn write(database: &Database, writer: u64, cells: &AtomicU64) -> Told {
    let mut random = Random::new(writer);
    let mut told = Told::default();
    for round in 0..ROUNDS {
        match random.below(4) {
            // Two cells that are equal in every state, whoever sets them.
            0 => {
                let value = cells.fetch_add(1, Ordering::AcqRel).to_le_bytes();
                let mut batch = Batch::new();
                batch.set(b"cell left", &[&value]).expect("within bounds");
                batch.set(b"cell right", &[&value]).expect("within bounds");
                told.sequences.extend(commit(database, batch).map(|sequence| sequence.0));
            }
            // A counter that only counts what took place.
            1 => {
                let counter = usize::try_from(random.below(COUNTERS as u64)).expect("a small number");
                let key = format!("counter {counter}");
                let found = database.get(key.as_bytes());
                let next = found.as_ref().map_or(0, |(record, _)| number(record.value())) + 1;
                let mut batch = Batch::new();
                batch.set(key.as_bytes(), &[&next.to_le_bytes()]).expect("within bounds");
                let seen = found.map(|(_, written_by)| written_by);
                batch.require(key.as_bytes(), seen).expect("within bounds");
                if let Some(sequence) = commit(database, batch) {
                    told.increments[counter] += 1;
                    told.sequences.push(sequence.0);
                }
            }
            // A key of its own, submitted: later commits of this thread come behind it.
            2 => {
                let key = format!("own {writer} {}", random.below(8)).into_bytes();
                let value = vec![round.to_le_bytes()[0]; 200];
                let mut batch = Batch::new();
                batch.set(&key, &[&value]).expect("within bounds");
                let pending = database.submit(batch).expect("it is open");
                if let Outcome::Committed { sequence, .. } = pending.wait().expect("the disk is whole") {
                    told.sequences.push(sequence.0);
                }
                told.own.insert(key, Some(value));
            }
            _ => {
                let key = format!("own {writer} {}", random.below(8)).into_bytes();
                let mut batch = Batch::new();
                batch.delete(&key).expect("within bounds");
                let outcome = database.commit(batch).expect("the disk is whole");
                let Outcome::Committed { sequence, removed } = outcome else { panic!("it has no condition") };
                let there = told.own.insert(key, None).flatten().is_some();
                assert_eq!(removed, u64::from(there), "nobody else touches the key");
                if there {
                    told.sequences.push(sequence.0);
                }
            }
        }
    }
    assert!(told.sequences.is_sorted_by(|a, b| a < b), "commits of one thread keep their order");
    told
}

fn check(view: &View) {
    let cell = |name: &[u8]| view.get(name).map(|record| number(record.value()));
    assert_eq!(cell(b"cell left"), cell(b"cell right"), "half a commit is seen");
    let everything = || view.range((Bound::Unbounded, Bound::Unbounded));
    let mut records: Vec<_> = everything().collect();
    assert_eq!(records.len() as u64, view.totals().records, "a view does not change while it is read");
    assert!(records.is_sorted_by(|a, b| a.key() < b.key()));
    records.reverse();
    assert!(everything().rev().eq(records), "both directions show one state");
}

fn stress(mode: Mode, durability: Durability) {
    let disk = SimVfs::new(1);
    let database = open(&disk, mode, durability);
    let cells = AtomicU64::new(0);
    let writing = AtomicU64::new(WRITERS);
    let told: Vec<Told> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (database, cells, writing) = (&database, &cells, &writing);
                scope.spawn(move || {
                    let told = write(database, writer, cells);
                    writing.fetch_sub(1, Ordering::AcqRel);
                    told
                })
            })
            .collect();
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut last = SequenceNumber(0);
                while writing.load(Ordering::Acquire) > 0 {
                    let view = database.view();
                    assert!(view.sequence() >= last, "the state goes back");
                    last = view.sequence();
                    check(&view);
                }
            });
        }
        scope.spawn(|| {
            while writing.load(Ordering::Acquire) > 0 {
                match mode {
                    Mode::Snapshot => database.compact().expect("the disk is whole"),
                    Mode::Ledger => database.checkpoint().expect("the disk is whole"),
                }
                database.verify().expect("the file is whole");
            }
        });
        writers.into_iter().map(|writer| writer.join().expect("no thread panics")).collect()
    });

    let mut sequences: Vec<u64> = told.iter().flat_map(|told| told.sequences.iter().copied()).collect();
    sequences.sort_unstable();
    assert!(sequences.iter().copied().eq(1..=sequences.len() as u64), "from 1, no gap, none twice");
    let judge = |database: &Database| {
        check(&database.view());
        assert_eq!(database.view().sequence().0, sequences.len() as u64);
        for counter in 0..COUNTERS {
            let found = database.get(format!("counter {counter}").as_bytes());
            let counted: u64 = told.iter().map(|told| told.increments[counter]).sum();
            assert_eq!(found.map_or(0, |(record, _)| number(record.value())), counted, "counter {counter}");
        }
        for (key, value) in told.iter().flat_map(|told| &told.own) {
            assert_eq!(database.get(key).map(|(record, _)| record.value().to_vec()), *value);
        }
    };
    judge(&database);
    let stats = database.stats();
    assert_eq!((stats.views, stats.superseded_versions), (0, 0));
    database.close().expect("the disk is whole");
    judge(&open(&disk, mode, durability));
}

#[test]
fn threads_in_snapshot_mode_see_whole_commits_in_one_order_and_so_does_the_file() {
    stress(Mode::Snapshot, Durability::Sync);
}

#[test]
fn threads_in_ledger_mode_see_whole_commits_in_one_order_and_so_does_the_file() {
    stress(Mode::Ledger, Durability::Sync);
}

#[test]
fn threads_that_do_not_wait_for_the_disk_see_the_same() {
    stress(Mode::Snapshot, Durability::Buffered);
    stress(Mode::Ledger, Durability::Interval(Duration::from_millis(4)));
}
