//! When a log writes, and how it sets space aside ahead of itself: what most commits are spared, and that none depends
//! on it.
#![cfg(not(loom))]

use std::path::Path;
use std::time::Duration;

use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, Logged, Operation, SimVfs};
use codex_storage::{Background, Batch, Database, Durability, Mode, OpenOptions, Stats, recorded_floor};

const PATH: &str = "/app.db";
const INTERVAL: Durability = Durability::Interval(Duration::from_hours(1));
const KIB: u64 = 1 << 10;

/// An empty database that was created before: the disk notes what is done to it under its name.
fn open(disk: &SimVfs, durability: Durability) -> Database {
    let vfs = Arc::new(disk.clone());
    // Nothing is handed over, synced or rewritten but by the test.
    let (mode, background) = (Some(Mode::Ledger), Background::Caller);
    let options = OpenOptions { vfs, durability, mode, background, ..OpenOptions::default() };
    let open = || options.open(Path::new(PATH), None).expect("it opens");
    drop(open());
    open()
}

fn set(database: &Database, value_len: u64) {
    let mut batch = Batch::new();
    let value = vec![7; usize::try_from(value_len).expect("a small value")];
    batch.set(b"key", &[&value]).expect("within bounds");
    database.commit(batch).expect("there is space");
}

fn aside(database: &Database) -> u64 {
    let Stats { file_bytes, log_bytes, .. } = database.stats();
    file_bytes - log_bytes
}

/// The operations of one kind on the database since the first `before` of the disk.
fn since(disk: &SimVfs, before: usize, operation: Operation) -> Vec<Logged> {
    let log = disk.log().split_off(before);
    log.into_iter()
        .filter(|logged| logged.operation == operation && *logged.path == *Path::new(PATH))
        .collect()
}

/// Limits the disk to `more` bytes beyond what is used.
fn leave(disk: &SimVfs, more: u64) {
    let used: usize = disk.files().values().map(Vec::len).sum();
    disk.set_capacity(Some(used as u64 + more));
}

#[test]
fn space_is_set_aside_for_many_commits_at_once_an_eighth_of_the_log_and_at_least_64_kib() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Sync);
    let mut steps = Vec::new();
    for len in [KIB; 150].into_iter().chain([700 * KIB; 6]).chain([KIB; 150]) {
        let before = disk.log().len();
        set(&database, len);
        match since(&disk, before, Operation::Reserve).len() {
            0 => {}
            1 => steps.push((aside(&database), (database.stats().log_bytes / 8).max(64 * KIB))),
            more => panic!("{more} steps for one commit"),
        }
        let len = disk.read_file(PATH).expect("it is there").len() as u64;
        assert_eq!(database.stats().file_bytes, len);
    }
    assert!(steps.iter().all(|(aside, expected)| aside == expected), "{steps:?}");
    // Every 56 commits of 1 KiB with what is around them, and with each of the large ones.
    assert!((8..=10).contains(&steps.len()), "{steps:?}");
    assert!(steps.last().expect("a step").0 > 400 * KIB, "{steps:?}");
}

#[test]
fn with_little_space_less_is_set_aside_and_with_hardly_any_a_commit_that_fits_is_written() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Sync);
    set(&database, 900 * KIB);
    set(&database, 900 * KIB);
    let step = aside(&database);
    assert!(step > 200 * KIB);
    leave(&disk, step);
    set(&database, step);
    let halved = (database.stats().log_bytes / 8) / 2;
    assert_eq!(aside(&database), halved);

    leave(&disk, 4 * KIB);
    let before = disk.log().len();
    set(&database, halved);
    assert_eq!(aside(&database), 0);
    assert_eq!(
        since(&disk, before, Operation::Reserve).len(),
        3,
        "an eighth, halved as long as it is 64 KiB"
    );

    disk.set_capacity(None);
    set(&database, KIB);
    assert!(aside(&database) > 200 * KIB, "there is space again");
}

#[test]
fn where_the_file_system_cannot_set_space_aside_it_is_asked_once() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Sync);
    disk.fail_always(Operation::Reserve, Fault::Before(DiskError::Io));
    let before = disk.log().len();
    (0..5).for_each(|_| set(&database, KIB));
    assert_eq!(since(&disk, before, Operation::Reserve).len(), 1);
    assert_eq!(aside(&database), 0);
    database.verify().expect("it is whole");
}

#[test]
fn of_commits_that_wait_for_their_sync_one_in_64_kib_writes_zeros_for_those_behind_it() {
    let kinds = [(Durability::Sync, 54, 1), (Durability::Sync, 57, 2), (INTERVAL, 57, 0)];
    for (durability, commits, expected) in kinds {
        let disk = SimVfs::new(1);
        let database = open(&disk, durability);
        // What is set aside behind these is more than the commits and the zeros behind them take.
        let before = disk.log().len();
        (0..2).for_each(|_| set(&database, 1000 * KIB));
        assert_eq!(since(&disk, before, Operation::Write).len(), 2, "a large frame needs no zeros");
        let len = database.stats().file_bytes;
        let before = disk.log().len();
        (0..commits).for_each(|_| set(&database, KIB));
        let writes = since(&disk, before, Operation::Write);
        let zeros = writes.iter().filter(|write| write.bytes() == Some(64 * KIB)).count();
        assert_eq!((zeros, writes.len()), (expected, commits + expected), "{durability:?}");
        assert_eq!(database.stats().file_bytes, len, "zeros are written to what was set aside");
    }
}

#[test]
fn closing_gives_back_what_was_set_aside() {
    for durability in [Durability::Sync, INTERVAL, Durability::Buffered] {
        let disk = SimVfs::new(1);
        let database = open(&disk, durability);
        (0..3).for_each(|_| set(&database, KIB));
        database.close().expect("nothing fails");
        let len = disk.read_file(PATH).expect("it is there").len() as u64;
        assert_eq!(len, database.stats().log_bytes, "{durability:?}");
        assert_eq!(
            recorded_floor(&disk, Path::new(PATH)).expect("whole"),
            Some(database.head()),
            "{durability:?}"
        );
    }
}

#[test]
fn buffered_commits_are_handed_over_once_64_kib_have_come_together() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Buffered);
    // 1,024 bytes each in a payload.
    let commit = || set(&database, KIB - 9);
    (0..64).for_each(|_| commit());
    assert_eq!((database.stats().commits, database.stats().groups), (64, 0));
    commit();
    assert_eq!((database.stats().commits, database.stats().groups), (65, 1));
    assert_eq!(database.stats().syncs, 0, "handed over is not durable");
}

#[test]
fn a_buffered_commit_too_large_for_the_frame_of_those_before_it_is_written_behind_them() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Buffered);
    set(&database, KIB);
    set(&database, 1024 * KIB);
    assert_eq!((database.stats().commits, database.stats().groups), (2, 2));
    let report = database.verify().expect("it is whole");
    assert_eq!((report.commits, report.sequence, report.frames), (2, 2, 3));
}

#[test]
fn flushing_writes_the_floor_where_more_than_one_group_waited_for_its_sync() {
    let disk = SimVfs::new(1);
    let database = open(&disk, INTERVAL);
    let floor = || recorded_floor(&disk, Path::new(PATH)).expect("whole").expect("a database").size;
    set(&database, KIB);
    database.flush().expect("nothing fails");
    assert_eq!((floor(), database.stats().syncs), (0, 1));
    database.flush().expect("nothing fails");
    assert_eq!((floor(), database.stats().syncs), (0, 1), "nothing waited");
    (0..2).for_each(|_| set(&database, KIB));
    database.flush().expect("nothing fails");
    assert_eq!((floor(), database.stats().syncs), (3, 2));
}

#[test]
fn flushing_hands_over_and_syncs_what_was_buffered() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Buffered);
    set(&database, KIB);
    database.flush().expect("nothing fails");
    assert_eq!((database.stats().groups, database.stats().syncs), (1, 1));
}

#[test]
fn a_commit_is_written_although_the_zeros_for_those_behind_it_find_no_space() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Sync);
    disk.fail_next(Operation::Write, 0, Fault::Before(DiskError::NoSpace));
    let before = disk.log().len();
    set(&database, KIB);
    assert_eq!(since(&disk, before, Operation::Write).len(), 2, "the zeros in vain, then the frame");
    assert_eq!(database.verify().expect("it is whole").commits, 1);
}
