//! A repository beside changes of keys: a backup opens with what opened the database when it was made, and a point is
//! restored from the newest backup that opens and reaches it.

mod common;

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use codex_backup::{BackupError, Repository, RestoreOptions, Retention};
use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Database, Mode, NewKey, OpenOptions, Point, StorageError};
use common::{PATH, number, open, set, temporaries, vfs};

const REPOSITORY: &str = "/backups";
const TARGET: &str = "/restored/app.db";
const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];

/// The key that a database is made with is 7.
fn key(byte: u8) -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([byte; 32]))
}

fn repository(disk: &SimVfs) -> Repository {
    Repository::open_or_create(&vfs(disk), Path::new(REPOSITORY)).expect("it is one")
}

/// Sets the next number, and backs up at the time of that number, in seconds.
fn commit_and_send(disk: &SimVfs, database: &Database) {
    let next = database.stats().sequence + 1;
    set(database, next);
    let time_ns = next * 1_000_000_000;
    repository(disk)
        .back_up(&database.durable_prefix().expect("the disk is whole"), time_ns, false)
        .expect("it continues");
}

#[derive(Debug, PartialEq, Eq)]
enum Restored {
    /// The commit that was restored, and the keys that open the result.
    Commit(u64, Vec<u8>),
    WrongKey,
    NotFound,
}

fn restore(disk: &SimVfs, with: u8, at: Option<Point>) -> Restored {
    let options = RestoreOptions { overwrite: true, at, vfs: vfs(disk), ..RestoreOptions::default() };
    match repository(disk).restore(None, Path::new(TARGET), Some(&key(with)), &options) {
        Ok(()) => {}
        Err(BackupError::Storage(StorageError::WrongKey { path })) => {
            assert!(path.to_string_lossy().contains("/backup-"), "it says which backup: {}", path.display());
            return Restored::WrongKey;
        }
        Err(BackupError::Storage(StorageError::NoSuchCommit { .. } | StorageError::NoSuchTime { .. })) => {
            return Restored::NotFound;
        }
        Err(error) => panic!("{at:?} with key {with}: {error:?}"),
    }
    let opens = |byte: &u8| {
        let options = OpenOptions { vfs: vfs(disk), create: false, ..OpenOptions::default() };
        match options.open(Path::new(TARGET), Some(&key(*byte))) {
            Ok(database) => {
                assert_eq!(number(&database), database.verify().expect("it is whole").sequence);
                true
            }
            Err(StorageError::WrongKey { .. }) => false,
            Err(error) => panic!("{error:?}"),
        }
    };
    let keys: Vec<u8> = (1..=9).filter(opens).collect();
    let options = OpenOptions { vfs: vfs(disk), read_only: true, ..OpenOptions::default() };
    let database = options.open(Path::new(TARGET), Some(&key(with))).expect("what restored it opens it");
    assert_eq!(temporaries(disk), [""; 0]);
    Restored::Commit(database.stats().sequence, keys)
}

fn at(sequence: u64) -> Point {
    Point::Sequence(sequence)
}

fn at_second(second: u64) -> Point {
    Point::Time(UNIX_EPOCH + Duration::from_secs(second))
}

#[test]
fn behind_a_changed_or_removed_key_the_new_one_reaches_every_point_and_the_old_one_what_it_knew() {
    for mode in MODES {
        let disk = SimVfs::new(1);
        let database = open(&disk, PATH, mode).expect("a new database");
        database.add_key(&NewKey::from(key(1))).expect("there is room");
        commit_and_send(&disk, &database);
        database.remove_key(2).expect("another is left");
        commit_and_send(&disk, &database);
        database.change_key(&NewKey::from(key(2))).expect("nothing fails");
        commit_and_send(&disk, &database);
        repository(&disk).verify(None).expect("it is whole");

        // All are of one file, so the newest backup gives every point, and the keys of now.
        assert_eq!(restore(&disk, 2, None), Restored::Commit(3, vec![2]), "{mode}");
        for sequence in 1..=3 {
            assert_eq!(restore(&disk, 2, Some(at(sequence))), Restored::Commit(sequence, vec![2]), "{mode}");
        }
        // Without a point it must be the newest, and never quietly an older one.
        for old in [7, 1] {
            assert_eq!(restore(&disk, old, None), Restored::WrongKey, "{mode}");
        }
        assert_eq!(restore(&disk, 7, Some(at(3))), Restored::WrongKey, "{mode}");
        assert_eq!(restore(&disk, 7, Some(at(2))), Restored::Commit(2, vec![7]), "{mode}");
        assert_eq!(restore(&disk, 7, Some(at(1))), Restored::Commit(1, vec![7]), "{mode}");
        assert_eq!(restore(&disk, 1, Some(at(2))), Restored::WrongKey, "{mode}");
        assert_eq!(restore(&disk, 1, Some(at(1))), Restored::Commit(1, vec![1, 7]), "{mode}");
        // Pruning takes the old keys away.
        repository(&disk).prune(&Retention::default(), None, false).expect("nothing fails");
        for old in [7, 1] {
            assert_eq!(restore(&disk, old, Some(at(1))), Restored::WrongKey, "{mode}");
        }
        assert_eq!(restore(&disk, 2, Some(at(1))), Restored::Commit(1, vec![2]), "{mode}");
    }
}

#[test]
fn behind_a_deep_change_the_new_key_reaches_all_of_a_ledger_and_the_old_one_what_came_before() {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, Mode::Ledger).expect("a new database");
    commit_and_send(&disk, &database);
    commit_and_send(&disk, &database);
    database.change_key_deep(&NewKey::from(key(2))).expect("nothing fails");
    commit_and_send(&disk, &database);
    for sequence in 1..=3 {
        assert_eq!(restore(&disk, 2, Some(at(sequence))), Restored::Commit(sequence, vec![2]));
    }
    for sequence in 1..=2 {
        assert_eq!(restore(&disk, 7, Some(at(sequence))), Restored::Commit(sequence, vec![7]));
    }
    assert_eq!(restore(&disk, 7, Some(at(3))), Restored::WrongKey);
    assert_eq!(restore(&disk, 7, None), Restored::WrongKey);
}

#[test]
fn behind_a_deep_change_of_a_snapshot_each_part_is_reached_with_the_key_of_its_time() {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, Mode::Snapshot).expect("a new database");
    commit_and_send(&disk, &database);
    commit_and_send(&disk, &database);
    database.change_key_deep(&NewKey::from(key(2))).expect("nothing fails");
    commit_and_send(&disk, &database);
    repository(&disk).verify(None).expect("it is whole");
    assert_eq!(restore(&disk, 2, None), Restored::Commit(3, vec![2]));
    // The rewrite sealed the state behind commit 2 anew; what it merged, the old key opens.
    assert_eq!(restore(&disk, 2, Some(at(2))), Restored::Commit(2, vec![2]));
    assert_eq!(restore(&disk, 2, Some(at(1))), Restored::WrongKey);
    assert_eq!(restore(&disk, 7, Some(at(1))), Restored::Commit(1, vec![7]));
    assert_eq!(restore(&disk, 7, Some(at(2))), Restored::Commit(2, vec![7]));
    assert_eq!(restore(&disk, 7, Some(at(3))), Restored::WrongKey);
    // Without the key at all, nothing.
    let error = repository(&disk).restore(
        None,
        Path::new("/other.db"),
        None,
        &RestoreOptions { vfs: vfs(&disk), ..RestoreOptions::default() },
    );
    assert!(matches!(error, Err(BackupError::Storage(StorageError::KeyRequired { .. }))), "{error:?}");
    assert!(!disk.file_names().iter().any(|name| name.to_string_lossy().contains("other.db")), "no trace");
}

#[test]
fn a_time_that_lies_between_two_files_backups_is_not_found_rather_than_restored_in_part() {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, Mode::Snapshot).expect("a new database");
    commit_and_send(&disk, &database);
    commit_and_send(&disk, &database);
    // Committed behind the second backup, and merged before the third.
    set(&database, 3);
    database.compact().expect("nothing fails");
    commit_and_send(&disk, &database);
    database.close().expect("nothing fails");
    // The commits' own clock is the real one, and all of them lie behind these times; that there are no commits yet is
    // what the second backup knows of the time at which it was made, and before.
    let empty = |second| {
        let options = RestoreOptions {
            overwrite: true,
            at: Some(at_second(second)),
            vfs: vfs(&disk),
            ..RestoreOptions::default()
        };
        repository(&disk).restore(None, Path::new(TARGET), Some(&key(7)), &options)
    };
    for second in [1, 2] {
        empty(second).expect("the second backup was made then");
        let options = OpenOptions { vfs: vfs(&disk), read_only: true, ..OpenOptions::default() };
        let database = options.open(Path::new(TARGET), Some(&key(7))).expect("it opens");
        assert_eq!(database.stats().sequence, 0);
    }
    let error = empty(3).expect_err("nobody knows what was there");
    assert!(matches!(error, BackupError::Storage(StorageError::NoSuchTime { .. })), "{error:?}");
}
