//! What restore promises: the old database or the restored one, never neither.

mod common;

use std::path::Path;

use codex_backup::{BackupError, RestoreOptions, copy, restore};
use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::vfs::replace::Existing;
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::{Mode, StorageError};
use common::{PATH, files, number, number_in, open, set, temporaries, unlock, vfs};

const BACKUP: &str = "/elsewhere/backup.db";
const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];

/// A database at 2, in ledger mode with a checkpoint, and a backup of it at 1.
fn begin(mode: Mode) -> SimVfs {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, mode).expect("a new database");
    set(&database, 1);
    vfs(&disk).create_directories(Path::new("/elsewhere")).expect("the disk is whole");
    let prefix = database.durable_prefix().expect("the disk is whole");
    copy(&prefix, &vfs(&disk), Path::new(BACKUP), Existing::Refuse).expect("nothing fails");
    set(&database, 2);
    if mode == Mode::Ledger {
        database.checkpoint().expect("nothing fails");
    }
    database.close().expect("nothing fails");
    disk
}

fn run(disk: &SimVfs, target: &str, overwrite: bool) -> Result<(), BackupError> {
    let options = RestoreOptions { overwrite, vfs: vfs(disk), ..RestoreOptions::default() };
    restore(Path::new(BACKUP), Path::new(target), Some(&unlock()), &options)
}

#[test]
fn a_backup_is_restored_to_a_new_path_with_its_folders_and_over_an_old_database() {
    for mode in MODES {
        let disk = begin(mode);
        let backup = disk.read_file(BACKUP).expect("it is there");
        run(&disk, "/new/deep/app.db", false).expect("nothing is in the way");
        assert_eq!(number_in(&disk, "/new/deep/app.db"), 1);
        let error = run(&disk, PATH, false).expect_err("a database is in the way");
        assert!(matches!(&error, BackupError::TargetExists { path } if path == Path::new(PATH)), "{error:?}");
        assert_eq!(number_in(&disk, PATH), 2, "{mode}");
        run(&disk, PATH, true).expect("it may be replaced");
        // The checkpoint of the old database would contradict it.
        assert!(!disk.files().contains_key(&files().checkpoint()));
        assert_eq!(number_in(&disk, PATH), 1, "{mode}");
        let database = open(&disk, PATH, mode).expect("it opens for writing");
        set(&database, 3);
        database.verify().expect("it is whole");
        assert!(disk.read_file(BACKUP).expect("it is there") == backup, "the backup is left as it is");
    }
}

#[test]
fn without_its_key_or_with_damage_a_backup_replaces_nothing() {
    for mode in MODES {
        let disk = begin(mode);
        let before = disk.files();
        let options = RestoreOptions { overwrite: true, vfs: vfs(&disk), ..RestoreOptions::default() };
        let with = |unlock: Option<&Unlock>| restore(Path::new(BACKUP), Path::new(PATH), unlock, &options);
        let error = with(None).expect_err("it is encrypted");
        assert!(matches!(error, BackupError::Storage(StorageError::KeyRequired { .. })), "{error:?}");
        let other = Unlock::from(EncryptionKey::from_bytes([8; 32]));
        let error = with(Some(&other)).expect_err("this is not its key");
        assert!(matches!(error, BackupError::Storage(StorageError::WrongKey { .. })), "{error:?}");
        assert!(disk.files() == before, "{mode}: a file has changed");

        let len = disk.read_file(BACKUP).expect("it is there").len() as u64;
        // Each byte of the log, and one of each kind in the header.
        for byte in [0, 20, 100, 2100, 4096 + 100].into_iter().chain(8192..len) {
            let disk = begin(mode);
            disk.flip_bit(BACKUP, byte * 8 + 3).expect("it is there");
            let rotten = disk.files();
            match run(&disk, PATH, true) {
                Err(BackupError::Storage(StorageError::Damaged { path, .. })) => {
                    assert_eq!(path, Path::new(BACKUP), "{mode}, byte {byte}");
                    assert!(disk.files() == rotten, "{mode}, byte {byte}: a file has changed");
                }
                // One copy of the header stands in for the other; the restored database has two good ones.
                Ok(()) if byte < 8192 => assert_eq!(number_in(&disk, PATH), 1, "{mode}, byte {byte}"),
                result => panic!("{mode}, byte {byte}: {result:?}"),
            }
        }
    }
}

#[test]
fn a_backup_that_is_open_or_a_target_that_is_open_is_not_touched() {
    for (path, name) in [(PATH, "the target"), (BACKUP, "the backup")] {
        let disk = begin(Mode::Snapshot);
        let held = open(&disk, path, Mode::Snapshot).expect("it opens");
        let before = number(&held);
        let error = run(&disk, PATH, true).expect_err("it is open");
        assert!(
            matches!(&error, BackupError::Storage(StorageError::Locked { path: of }) if of == Path::new(path)),
            "{name}: {error:?}"
        );
        assert_eq!(number(&held), before);
        held.verify().expect("it is whole");
        assert_eq!(temporaries(&disk), [""; 0], "{name}");
    }
}

#[test]
fn a_crash_or_fault_at_any_operation_leaves_the_old_database_or_the_restored_one() {
    for mode in MODES {
        let disk = begin(mode);
        let before = disk.operations();
        run(&disk, PATH, true).expect("nothing fails");
        let operations = disk.operations() - before;
        let judge = |disk: &SimVfs, done: bool, place: &str| {
            let database = open(disk, PATH, mode).unwrap_or_else(|error| panic!("{place}: {error:?}"));
            let found = number(&database);
            assert!(found == 1 || !done && found == 2, "{place}: {found}");
            database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
            set(&database, 3);
            database.close().unwrap_or_else(|error| panic!("{place}: {error:?}"));
            assert_eq!(number_in(disk, PATH), 3, "{place}");
            assert_eq!(temporaries(disk), [""; 0], "{place}");
        };
        for operation in 0..operations {
            let disk = begin(mode);
            disk.stop_at(operation);
            let result = run(&disk, PATH, true);
            for seed in 0..4 {
                let place = format!("{mode}, stop at {operation}, seed {seed}");
                judge(&disk.crash(seed), result.is_ok(), &place);
            }
            for fault in [Fault::Before(DiskError::Io), Fault::Midway(DiskError::NoSpace)] {
                let disk = begin(mode);
                disk.fail_at(operation, fault);
                let result = run(&disk, PATH, true);
                disk.clear_faults();
                judge(&disk, result.is_ok(), &format!("{mode}, {fault:?} at {operation}"));
            }
        }
    }
}

#[test]
fn the_old_checkpoint_is_durably_gone_before_the_restored_log_has_its_name() {
    let disk = begin(Mode::Ledger);
    run(&disk, PATH, true).expect("nothing fails");
    let log = disk.log();
    let last = |operation| log.iter().rposition(|logged| logged.operation == operation).expect("it was done");
    let (removed, renamed) = (last(Operation::Remove), last(Operation::Rename));
    assert!(
        log[removed..renamed].iter().any(|logged| logged.operation == Operation::SyncDirectory),
        "{:#?}",
        &log[removed..]
    );
}
