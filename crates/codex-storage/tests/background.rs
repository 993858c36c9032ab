//! What the database's thread does although no caller waits for it: handing over, syncing, and the floor.
//!
//! The thread keeps its own periods, of milliseconds here, so that the tests look again until it has done its work; only
//! what it measures is a clock of the tests.
#![cfg(not(loom))]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_storage::clock::Clock;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::watch::Announcement;
use codex_storage::{
    Batch, Database, Durability, Mode, OpenOptions, Operation as Change, Result, StorageError, recorded_floor,
};

const PATH: &str = "/app.db";
const INTERVAL: Durability = Durability::Interval(Duration::from_millis(4));
const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn wall_ns(&self) -> u64 {
        self.monotonic().as_secs()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Acquire))
    }
}

fn open_with(disk: &SimVfs, mode: Mode, durability: Durability, clock: Arc<Hand>) -> Result<Database> {
    let vfs = Arc::new(disk.clone());
    let options = OpenOptions { vfs, clock, durability, mode: Some(mode), ..OpenOptions::default() };
    options.open(Path::new(PATH), None)
}

fn open(disk: &SimVfs, mode: Mode, durability: Durability) -> Database {
    open_with(disk, mode, durability, Arc::default()).expect("it opens")
}

fn set(database: &Database, key: &[u8]) -> Result<()> {
    let mut batch = Batch::new();
    batch.set(key, &[b"1"]).expect("within bounds");
    database.commit(batch).map(drop)
}

#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..30_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not within half a minute: {what}");
}

#[test]
fn a_buffered_commit_is_handed_to_the_system_by_itself() {
    for mode in MODES {
        let disk = SimVfs::new(1);
        let database = open(&disk, mode, Durability::Buffered);
        set(&database, b"k").expect("the disk is whole");
        until("the commit is written", || database.stats().groups == 1);
        assert_eq!(database.stats().syncs, 0, "handed over is not durable");
        assert!(open(&disk.process_crash(), mode, Durability::Sync).has(b"k"), "{mode}");
    }
}

#[test]
fn an_interval_commit_is_durable_by_itself() {
    for mode in MODES {
        let disk = SimVfs::new(1);
        let database = open(&disk, mode, INTERVAL);
        set(&database, b"k").expect("the disk is whole");
        until("the commit is synced", || database.stats().syncs >= 1);
        for seed in 0..10 {
            assert!(open(&disk.crash(seed), mode, Durability::Sync).has(b"k"), "{mode}, seed {seed}");
        }
    }
}

#[test]
fn submitted_commits_that_nobody_waits_for_take_place_in_their_order() {
    for mode in MODES {
        let disk = SimVfs::new(1);
        let database = open(&disk, mode, Durability::Sync);
        for number in 0..100_u8 {
            let mut batch = Batch::new();
            batch.set(b"last", &[&[number]]).expect("within bounds");
            drop(database.submit(batch).expect("it is open"));
        }
        until("they are all visible", || database.view().sequence().0 == 100);
        assert_eq!(database.get(b"last").map(|(record, _)| record.value().to_vec()), Some(vec![99]));
    }
}

#[test]
fn a_failed_sync_in_the_background_stops_writes_and_is_told_to_the_next_write_flush_and_close() {
    for mode in MODES {
        let disk = SimVfs::new(1);
        let database = open(&disk, mode, INTERVAL);
        disk.fail_always(Operation::Sync, Fault::Before(DiskError::Io));
        set(&database, b"k").expect("the system has taken it");
        until("the sync has failed", || database.stats().background_error.is_some());
        let said = database.stats().background_error.expect("it is kept");
        assert!(said.contains("sync /app.db"), "{said}");
        disk.clear_faults();

        let StorageError::Shared(error) = set(&database, b"after").expect_err("writes are stopped") else {
            panic!("a group's error is shared")
        };
        assert!(matches!(*error, StorageError::WritesStopped { .. }), "{error:?}");
        assert!(!database.has(b"after"));
        let error = database.flush().expect_err("writes are stopped");
        assert!(matches!(error, StorageError::WritesStopped { .. }), "{error:?}");
        let floor = recorded_floor(&disk, Path::new(PATH)).expect("the disk is whole");
        let error = database.close().expect_err("what was acknowledged may be lost");
        assert!(matches!(error, StorageError::WritesStopped { .. }), "{error:?}");
        assert_eq!(recorded_floor(&disk, Path::new(PATH)).expect("whole"), floor, "no floor is written");
        database.close().expect("a second close is Ok");
        let database = open(&disk, mode, Durability::Sync);
        database.verify().expect("what is there is whole");
        set(&database, b"again").expect("the disk is whole");
    }
}

#[test]
fn after_a_second_without_commits_the_floor_says_so_and_a_reopening_writes_nothing() {
    for mode in MODES {
        for durability in [INTERVAL, Durability::Buffered] {
            let disk = SimVfs::new(1);
            let clock = Arc::new(Hand::default());
            let database = open_with(&disk, mode, durability, clock.clone()).expect("a new database");
            set(&database, b"k").expect("the disk is whole");
            database.flush().expect("the disk is whole");
            let floor = || recorded_floor(&disk, Path::new(PATH)).expect("the disk is whole");
            // The head waits for a write that goes on, so that both copies of the header are there then.
            until("the floor is the log's end", || {
                clock.0.fetch_add(2, Ordering::AcqRel);
                floor() == Some(database.head())
            });
            let disk = disk.process_crash();
            let database = open(&disk, mode, durability);
            let written = disk.log().iter().filter(|logged| logged.operation == Operation::Write).count();
            assert_eq!(written, 0, "{mode}, {durability:?}: {:#?}", disk.log());
            assert!(database.has(b"k"));
        }
    }
}

#[test]
fn what_has_expired_is_deleted_by_itself_while_nobody_writes() {
    for mode in MODES {
        let disk = SimVfs::new(1);
        let clock = Arc::new(Hand::default());
        let database = open_with(&disk, mode, Durability::Sync, clock.clone()).expect("a new database");
        let mut watch = database.watch(b"");
        let mut batch = Batch::new();
        batch.set_until(b"k", &[b"1"], 1_000).expect("within bounds");
        database.commit(batch).expect("the disk is whole");
        // The thread has nothing left to do before that time.
        until("the thread rests", || {
            clock.0.fetch_add(2, Ordering::AcqRel);
            recorded_floor(&disk, Path::new(PATH)).expect("the disk is whole") == Some(database.head())
        });
        assert_eq!(database.stats().sequence, 1);
        clock.0.store(1_000_000, Ordering::Release);
        until("it is deleted", || database.stats().sequence == 2);
        let Some(Announcement::Commit(_, set)) = watch.take() else { panic!("it was set") };
        assert!(matches!(&set[..], [Change::Set(_)]), "{set:?}");
        let Some(Announcement::Commit(_, deleted)) = watch.take() else { panic!("it was deleted") };
        assert!(matches!(&deleted[..], [Change::Delete(record)] if record.key() == b"k"), "{deleted:?}");
    }
}
