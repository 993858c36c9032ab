//! What the two engines promise beyond the log: a rewrite gives space back and loses nothing, a checkpoint spares
//! reading, and an interrupted one of either leaves nothing behind.
#![cfg(not(loom))]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::sync::Arc;
use codex_storage::vfs::Vfs;
use codex_storage::vfs::sim::{DiskError, Fault, Logged, Operation, SimVfs};
use codex_storage::{
    Background, Batch, Damage, Database, Durability, Mode, OpenOptions, Result, StorageError,
};

const PATH: &str = "/folder/app.db";
const CHECKPOINT: &str = "/folder/app.db.ckpt";

fn open_with(disk: &SimVfs, mode: Mode, durability: Durability) -> Result<Database> {
    let vfs = Arc::new(disk.clone());
    // Nothing is rewritten but when a test asks for it.
    let background = Background::Caller;
    let options = OpenOptions { vfs, durability, background, mode: Some(mode), ..OpenOptions::default() };
    options.open(Path::new(PATH), Some(&Unlock::from(EncryptionKey::from_bytes([7; 32]))))
}

fn open(disk: &SimVfs, mode: Mode) -> Database {
    open_with(disk, mode, Durability::Sync).expect("it opens")
}

fn set(database: &Database, key: &str, value: &[u8]) {
    let mut batch = Batch::new();
    batch.set(key.as_bytes(), &[value]).expect("within bounds");
    database.commit(batch).expect("the disk is whole");
}

fn value(database: &Database, key: &str) -> Option<Vec<u8>> {
    database.get(key.as_bytes()).map(|(record, _)| record.value().to_vec())
}

fn temporaries(disk: &SimVfs) -> usize {
    disk.file_names().iter().filter(|path| path.to_string_lossy().contains(".tmp-")).count()
}

#[test]
fn rewrites_under_concurrent_commits_keep_every_commit_and_shrink_the_file() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let disk = SimVfs::new(1);
        let database = open_with(&disk, Mode::Snapshot, durability).expect("a new database");
        for round in 0..50_u8 {
            set(&database, "superseded", &vec![round; 40_000]);
        }
        let before = database.stats().log_bytes;
        let done = AtomicBool::new(false);
        let counts = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (database, done) = (&database, &done);
                    scope.spawn(move || {
                        let mut count = 0_u32;
                        while !done.load(Ordering::Acquire) || count < 20 {
                            set(database, &format!("{writer} {count}"), &count.to_le_bytes());
                            set(database, &format!("last {writer}"), &count.to_le_bytes());
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            for _ in 0..5 {
                database.compact().expect("the disk is whole");
                database.verify().expect("the file is whole after a rewrite");
            }
            done.store(true, Ordering::Release);
            writers.into_iter().map(|writer| writer.join().expect("it ends")).collect::<Vec<_>>()
        });
        let judge = |database: &Database| {
            for (writer, &count) in counts.iter().enumerate() {
                for number in 0..count {
                    let found = value(database, &format!("{writer} {number}"));
                    assert_eq!(found.as_deref(), Some(&number.to_le_bytes()[..]), "{durability:?}");
                }
                let last = value(database, &format!("last {writer}"));
                assert_eq!(last.as_deref(), Some(&(count - 1).to_le_bytes()[..]), "{durability:?}");
            }
            let written: u32 = counts.iter().sum();
            assert_eq!(database.record_count(), u64::from(written) + 5, "{durability:?}");
            assert_eq!(database.view().sequence().0, 50 + 2 * u64::from(written), "no commit twice, no gap");
        };
        judge(&database);
        database.compact().expect("the disk is whole");
        let stats = database.stats();
        assert!(stats.log_bytes < before / 2, "{} of {before} bytes", stats.log_bytes);
        assert!(stats.log_bytes <= stats.rewritten_bytes + 1024, "{stats:?}");
        database.close().expect("the disk is whole");
        let len = disk.read_file(PATH).expect("it is there").len() as u64;
        assert_eq!(len, stats.log_bytes, "no space is left set aside");
        judge(&open(&disk, Mode::Snapshot));
        assert_eq!(temporaries(&disk), 0);
    }
}

#[test]
fn a_rewrite_that_fails_stops_no_commit_and_leaves_the_old_file_whole() {
    for kind in [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename] {
        let disk = SimVfs::new(1);
        let database = open(&disk, Mode::Snapshot);
        (0..10).for_each(|round| set(&database, "a", &[round; 1000]));
        let head = database.head();
        disk.fail_next(kind, 0, Fault::Before(DiskError::Io));
        let error = database.compact().expect_err("a disk error");
        assert!(matches!(error, StorageError::Io { .. }), "{kind:?}: {error:?}");
        assert_eq!(temporaries(&disk), 0, "{kind:?}");
        assert_eq!(database.head(), head, "{kind:?}: still the old file");
        set(&database, "b", b"1");
        database.verify().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        database.compact().expect("the disk is whole again");
        database.close().expect("the disk is whole again");
        let database = open(&disk, Mode::Snapshot);
        assert_eq!(
            (value(&database, "a"), value(&database, "b")),
            (Some(vec![9; 1000]), Some(b"1".to_vec()))
        );
    }
}

#[test]
fn the_temporary_of_an_interrupted_rewrite_or_checkpoint_is_removed_and_the_log_read() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let begin = || {
            let disk = SimVfs::new(1);
            let database = open(&disk, mode);
            (0..10).for_each(|round| set(&database, "a", &[round; 1000]));
            (disk, database)
        };
        let maintain = |database: &Database| match mode {
            Mode::Snapshot => database.compact(),
            Mode::Ledger => database.checkpoint(),
        };
        let (disk, database) = begin();
        let before = disk.operations();
        maintain(&database).expect("nothing fails");
        let operations = disk.operations() - before;
        let mut left = 0;
        for operation in 0..operations {
            let (disk, database) = begin();
            disk.stop_at(operation);
            // The machine may be off before the end, or just behind it.
            drop(maintain(&database));
            let disk = disk.process_crash();
            left += temporaries(&disk);
            let database = open(&disk, mode);
            assert_eq!(temporaries(&disk), 0, "{mode}, operation {operation}");
            assert_eq!(value(&database, "a"), Some(vec![9; 1000]), "{mode}, operation {operation}");
            database.verify().unwrap_or_else(|error| panic!("{mode}, operation {operation}: {error:?}"));
        }
        assert!(left > 0, "{mode}: no stop left a temporary, so that nothing was shown");
    }
}

/// Commits wait while the files change places.
#[test]
fn the_change_to_a_rewritten_file_and_the_first_commits_in_it_find_written_space() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Snapshot);
    for number in 0..100 {
        set(&database, &format!("{number}"), &vec![7; 30_000]);
    }
    let begin = disk.operations();
    database.compact().expect("the disk is whole");
    let renewed = disk.operations();
    let log = disk.log();
    let index = log.iter().position(|logged| logged.number >= begin && logged.operation == Operation::Rename);
    let (before, _) = log.split_at(index.expect("the file is replaced"));
    let mut last: Vec<_> = before
        .rsplitn(3, |logged| logged.operation == Operation::Sync)
        .nth(1)
        .expect("it is synced before, and again under the lock")
        .iter()
        .filter(|logged| logged.operation == Operation::Write)
        .map(Logged::bytes)
        .collect();
    last.sort_unstable();
    assert_eq!(last, [Some(4096), Some(4096)], "what waits for the lock is the header");
    for number in 0..10 {
        set(&database, &format!("{number}"), b"1");
    }
    let log = disk.log();
    let commits: Vec<_> =
        log.iter().filter(|logged| logged.number >= renewed).map(|logged| logged.operation).collect();
    assert_eq!(commits, [Operation::Write, Operation::Sync].repeat(10));
    database.close().expect("the disk is whole");
    open(&disk, Mode::Snapshot).verify().expect("whole");
}

#[test]
fn with_a_checkpoint_opening_reads_only_the_tail() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Ledger);
    for number in 0..200 {
        set(&database, &format!("{number}"), b"before");
    }
    database.checkpoint().expect("the disk is whole");
    for number in 0..3 {
        set(&database, &format!("{number}"), b"after");
    }
    let head = database.head();
    database.close().expect("the disk is whole");
    let checkpoint = disk.read_file(CHECKPOINT).expect("it is there");

    let database = open(&disk, Mode::Ledger);
    let recovery = database.stats().recovery;
    assert_eq!((recovery.frames_read, recovery.checkpoint_sequence), (3, Some(200)));
    assert_eq!(database.head(), head);
    assert_eq!(
        (value(&database, "2"), value(&database, "3")),
        (Some(b"after".to_vec()), Some(b"before".to_vec()))
    );
    assert_eq!(database.verify().expect("whole").frames, 203, "verification reads it all");
    database.close().expect("the disk is whole");

    // Derived: it may go, or rot, and costs only time.
    for flip in [None, Some(100), Some(checkpoint.len() as u64 * 8 - 200)] {
        disk.remove(Path::new(CHECKPOINT)).expect("it is there");
        if let Some(bit) = flip {
            disk.write_file(CHECKPOINT, &checkpoint).expect("the disk is whole");
            disk.flip_bit(CHECKPOINT, bit).expect("it is there");
        }
        let database = open(&disk, Mode::Ledger);
        let recovery = database.stats().recovery;
        assert_eq!((recovery.frames_read, recovery.checkpoint_sequence), (203, None));
        assert_eq!(recovery.checkpoint_damaged, flip.is_some());
        assert_eq!((database.head(), database.record_count()), (head, 200));
        database.close().expect("the disk is whole");
        disk.write_file(CHECKPOINT, &checkpoint).expect("the disk is whole");
    }

    // A log that has lost what the checkpoint covers is damage: an older whole state of the file itself.
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Ledger);
    set(&database, "0", b"before");
    database.close().expect("the disk is whole");
    let older = disk.read_file(PATH).expect("the log");
    let database = open(&disk, Mode::Ledger);
    set(&database, "1", b"after");
    database.checkpoint().expect("the disk is whole");
    database.close().expect("the disk is whole");
    disk.write_file(PATH, &older).expect("the disk is whole");
    let error = open_with(&disk, Mode::Ledger, Durability::Sync).expect_err("the log has lost a commit");
    let StorageError::Damaged { source: Damage::CheckpointContradicted, .. } = error else {
        panic!("{error:?}")
    };
    assert!(disk.read_file(PATH).expect("the log") == older, "the file is left as it is");
}

#[test]
fn a_rewritten_log_goes_on_with_the_durability_and_the_counters_of_the_one_before() {
    let interval = Durability::Interval(Duration::from_hours(1));
    for (durability, syncs) in [(Durability::Sync, 1), (interval, 0), (Durability::Buffered, 0)] {
        let disk = SimVfs::new(1);
        let database = open_with(&disk, Mode::Snapshot, durability).expect("a new database");
        (0..5).for_each(|round| set(&database, "a", &[round; 1000]));
        database.compact().expect("the disk is whole");
        let before = database.stats();
        assert_eq!(before.commits, 5, "{durability:?}");
        set(&database, "b", b"1");
        let after = database.stats();
        assert_eq!((after.commits, after.syncs), (6, before.syncs + syncs), "{durability:?}");
    }
}

#[test]
fn the_figures_of_an_open_database_are_those_of_its_file() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Snapshot);
    (0..3).for_each(|round| set(&database, "a", &[round; 1000]));
    let stats = database.stats();
    assert_eq!((stats.commits, stats.groups, stats.syncs), (3, 3, 3));
    assert_eq!(stats.log_bytes, database.head().offset);
    assert_eq!(
        stats.file_bytes,
        disk.read_file(PATH).expect("it is there").len() as u64,
        "with what is set aside"
    );
}
