//! What a repository promises: increments, nothing half, nothing changed unseen, and every backup restorable.

mod common;

use std::path::{Path, PathBuf};

use codex_backup::{BackupError, Repository, RestoreOptions, Retention, Sent};
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::vfs::{Access, Lock, Vfs as _};
use codex_storage::{Database, Mode, Point, StorageError};
use common::{PATH, number, number_in, open, set, temporaries, unlock, vfs};

const REPOSITORY: &str = "/backups";
const TARGET: &str = "/folder/restored.db";
const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];

fn back_up(disk: &SimVfs, database: &Database) -> Result<Sent, BackupError> {
    let repository = Repository::open_or_create(&vfs(disk), Path::new(REPOSITORY))?;
    repository.back_up(&database.durable_prefix()?, 1, false)
}

fn repository(disk: &SimVfs) -> Repository {
    Repository::open(&vfs(disk), Path::new(REPOSITORY)).expect("it is one")
}

fn restore(disk: &SimVfs, at: Option<Point>) -> Result<(), BackupError> {
    let options = RestoreOptions { overwrite: true, at, vfs: vfs(disk), ..RestoreOptions::default() };
    repository(disk).restore(None, Path::new(TARGET), Some(&unlock()), &options)
}

/// A database at 3, and a repository with a backup at 1 and one at 2.
fn begin(mode: Mode) -> (SimVfs, Database, Vec<Sent>) {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, mode).expect("a new database");
    let mut sent = Vec::new();
    for number in 1..=2 {
        set(&database, number);
        sent.push(back_up(&disk, &database).expect("nothing fails"));
    }
    set(&database, 3);
    (disk, database, sent)
}

fn repository_files(disk: &SimVfs) -> Vec<PathBuf> {
    let names = disk.file_names().into_iter().map(|name| name.as_path().to_path_buf());
    names.filter(|path| path.starts_with(REPOSITORY)).collect()
}

#[test]
fn only_what_is_new_travels_and_every_backup_can_be_restored() {
    for mode in MODES {
        let (disk, database, sent) = begin(mode);
        let frame = sent[1].backup.bytes - sent[0].backup.bytes;
        assert_eq!(sent[0].sent_bytes, sent[0].backup.bytes - 8192);
        assert_eq!(sent[1].sent_bytes, frame, "one commit is one frame");
        let third = back_up(&disk, &database).expect("nothing fails");
        assert_eq!((third.sent_bytes, third.backup.number, third.backup.sequence), (frame, 3, 3));
        let again = back_up(&disk, &database).expect("nothing fails");
        assert_eq!((again.sent_bytes, again.backup.number), (0, 4));
        let report = repository(&disk).verify(Some(&sent[0].backup.receipt)).expect("it is whole");
        assert_eq!((report.backups, report.pieces), (4, 3));
        restore(&disk, None).expect("it is whole");
        assert_eq!(number_in(&disk, TARGET), 3);
        for sequence in 1..=3 {
            restore(&disk, Some(Point::Sequence(sequence))).expect("it is there");
            assert_eq!(number_in(&disk, TARGET), sequence, "{mode}");
        }
        let error = restore(&disk, Some(Point::Sequence(4))).expect_err("nobody made it");
        assert!(
            matches!(error, BackupError::Storage(StorageError::NoSuchCommit { sequence: 4, .. })),
            "{error:?}"
        );
        assert_eq!(number_in(&disk, TARGET), 3, "it was left");
        assert_eq!(temporaries(&disk), [""; 0]);
    }
}

#[test]
fn what_a_rewrite_merged_is_restored_from_the_backups_before_it() {
    let (disk, database, _) = begin(Mode::Snapshot);
    back_up(&disk, &database).expect("nothing fails");
    set(&database, 4);
    database.compact().expect("nothing fails");
    set(&database, 5);
    back_up(&disk, &database).expect("nothing fails");
    repository(&disk).verify(None).expect("it is whole");
    for sequence in [1, 2, 3, 5] {
        restore(&disk, Some(Point::Sequence(sequence))).expect("a backup has it");
        assert_eq!(number_in(&disk, TARGET), sequence);
    }
    // The state of a base is one that was.
    restore(&disk, Some(Point::Sequence(4))).expect("the base is it");
    assert_eq!(number_in(&disk, TARGET), 4);
}

#[test]
fn a_database_that_does_not_continue_its_backup_is_refused_unless_that_is_said() {
    for mode in MODES {
        let (disk, database, sent) = begin(mode);
        database.close().expect("nothing fails");
        restore(&disk, Some(Point::Sequence(1))).expect("it is there");
        let fork = open(&disk, TARGET, mode).expect("it opens");
        for commits in 0..3 {
            let error = back_up(&disk, &fork).expect_err("it went on apart");
            assert!(matches!(error, BackupError::NotContinued { .. }), "{mode}, {commits}: {error:?}");
            set(&fork, 10 + commits);
        }
        let prefix = fork.durable_prefix().expect("the disk is whole");
        let sent = (repository(&disk).back_up(&prefix, 1, true).expect("that is said"), sent);
        assert_eq!(sent.0.sent_bytes, sent.0.backup.bytes - sent.1[0].backup.bytes, "the first is shared");
        fork.close().expect("nothing fails");
        repository(&disk).verify(Some(&sent.1[1].backup.receipt)).expect("it is whole");
        restore(&disk, None).expect("it is whole");
        assert_eq!(number_in(&disk, TARGET), 12, "{mode}");
    }
}

#[test]
fn another_process_keeps_a_writer_out_and_readers_let_each_other_in() {
    let (disk, database, _) = begin(Mode::Ledger);
    let lock = disk.open(Path::new("/backups/lock"), Access::Write).expect("it is there");
    let held = |result: Result<(), BackupError>, is: bool| match result {
        Err(BackupError::RepositoryLocked { path }) => assert!(is && path == Path::new(REPOSITORY)),
        result => assert!(result.is_ok() && !is, "{result:?}"),
    };
    for (kind, readers_wait) in [(Lock::Exclusive, true), (Lock::Shared, false)] {
        assert!(lock.try_lock(kind).expect("it can be locked"));
        held(back_up(&disk, &database).map(|_| ()), true);
        held(repository(&disk).prune(&Retention::default(), None, false).map(|_| ()), true);
        held(repository(&disk).list().map(|_| ()), readers_wait);
        held(repository(&disk).verify(None).map(|_| ()), readers_wait);
        held(restore(&disk, None), readers_wait);
        lock.unlock().expect("it is locked");
    }
}

#[test]
fn every_flipped_bit_cut_and_missing_file_is_found_by_verify_and_never_restored() {
    for mode in MODES {
        let (disk, database, _) = begin(mode);
        database.close().expect("nothing fails");
        for path in repository_files(&disk) {
            let name = path.to_string_lossy().into_owned();
            let file = path.file_name().expect("a name").to_string_lossy().into_owned();
            if file == "lock" || file == "codex-repository.json" {
                continue;
            }
            let bytes = disk.read_file(&path).expect("it is there");
            let mut changed: Vec<Option<Vec<u8>>> = vec![None];
            for at in (0..bytes.len()).step_by(if bytes.len() > 1000 { 97 } else { 1 }) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 4;
                changed.extend([Some(flipped), Some(bytes[..at].to_vec())]);
            }
            for change in changed {
                let removed = change.is_none();
                disk.remove(&path).expect("it is there");
                if let Some(change) = &change {
                    disk.write_file(&path, change).expect("the disk is whole");
                }
                match repository(&disk).verify(None) {
                    Err(BackupError::RepositoryDamaged { files, .. }) => {
                        assert!(files.iter().any(|(named, _)| name.ends_with(named)), "{name}: {files:?}");
                    }
                    // A manifest that is gone was pruned, for all that the files say.
                    result => assert!(removed && file.starts_with("backup-"), "{name}: {result:?}"),
                }
                match restore(&disk, None) {
                    Ok(()) => {
                        let restored = number_in(&disk, TARGET);
                        assert!(restored == 2 || removed && restored == 1, "{name}: {restored}");
                    }
                    Err(BackupError::RepositoryDamaged { .. } | BackupError::Read { .. }) => {}
                    Err(error) => panic!("{name}: {error:?}"),
                }
                assert_eq!(temporaries(&disk), [""; 0]);
                if change.is_some() {
                    disk.remove(&path).expect("it is there");
                }
                disk.write_file(&path, &bytes).expect("the disk is whole");
            }
        }
        repository(&disk).verify(None).expect("all is as it was");
    }
}

#[test]
fn a_receipt_notices_a_repository_that_was_rolled_back() {
    let (disk, database, sent) = begin(Mode::Ledger);
    let before: Vec<_> = repository_files(&disk);
    let third = back_up(&disk, &database).expect("nothing fails");
    repository(&disk).verify(Some(&third.backup.receipt)).expect("it is there");
    for path in repository_files(&disk).iter().filter(|path| !before.contains(path)) {
        disk.remove(path).expect("it is there");
    }
    repository(&disk).verify(Some(&sent[1].backup.receipt)).expect("the files agree with each other");
    let error = repository(&disk).verify(Some(&third.backup.receipt)).expect_err("it was rolled back");
    let BackupError::RepositoryDamaged { files, .. } = &error else { panic!("{error:?}") };
    assert_eq!(files[0].0, third.backup.receipt);
}

#[test]
fn pruning_keeps_what_is_named_and_the_newest_restores() {
    for mode in MODES {
        let (disk, database, _) = begin(mode);
        back_up(&disk, &database).expect("nothing fails");
        // What an interrupted backup left.
        let folder = repository_files(&disk)[1].parent().expect("a folder").to_path_buf();
        let orphan = folder.join(format!("piece-{}", "0".repeat(64)));
        disk.write_file(&orphan, b"half").expect("the disk is whole");
        let all = repository_files(&disk);
        let dry = repository(&disk).prune(&Retention::default(), None, true).expect("nothing fails");
        assert_eq!((dry.kept.len(), dry.removed.len(), dry.pieces), (1, 2, 1));
        assert_eq!(repository_files(&disk), all, "a dry run removes nothing");
        let two = Retention { last: 2, ..Retention::default() };
        let pruned = repository(&disk).prune(&two, None, false).expect("nothing fails");
        assert_eq!((pruned.kept.len(), pruned.removed.len(), pruned.pieces), (2, 1, 1));
        assert!(disk.read_file(&orphan).is_err());
        repository(&disk).verify(None).expect("it is whole");
        restore(&disk, None).expect("it is whole");
        assert_eq!(number_in(&disk, TARGET), 3);
        set(&database, 4);
        assert_eq!(back_up(&disk, &database).expect("nothing fails").backup.number, 4);
    }
}

#[test]
fn a_crash_or_fault_at_any_operation_leaves_whole_backups_and_the_next_one_goes_on() {
    for mode in MODES {
        let (disk, database, _) = begin(mode);
        let prefix = database.durable_prefix().expect("the disk is whole");
        let before = disk.operations();
        repository(&disk).back_up(&prefix, 1, false).expect("nothing fails");
        let operations = disk.operations() - before;
        let judge = |disk: &SimVfs, done: bool, place: &str| {
            let repository = repository(disk);
            repository.verify(None).unwrap_or_else(|error| panic!("{place}: {error:?}"));
            let newest = repository.list().expect("it is whole")[0].sequence;
            assert!(newest == 3 || newest == 2 && !done, "{place}: {newest}");
            restore(disk, None).unwrap_or_else(|error| panic!("{place}: {error:?}"));
            assert_eq!(number_in(disk, TARGET), newest, "{place}");
            let database = open(disk, PATH, mode).expect("it opens");
            assert_eq!(number(&database), 3);
            back_up(disk, &database).unwrap_or_else(|error| panic!("{place}: {error:?}"));
            repository.verify(None).unwrap_or_else(|error| panic!("{place}: {error:?}"));
            assert_eq!(temporaries(disk), [""; 0], "{place}");
        };
        for operation in 0..operations {
            let (disk, database, _) = begin(mode);
            let prefix = database.durable_prefix().expect("the disk is whole");
            let repository = repository(&disk);
            disk.stop_at(operation);
            let result = repository.back_up(&prefix, 1, false);
            for seed in 0..3 {
                let place = format!("{mode}, stop at {operation}, seed {seed}");
                judge(&disk.crash(seed), result.is_ok(), &place);
            }
            for fault in [Fault::Before(DiskError::Io), Fault::Midway(DiskError::NoSpace)] {
                let (disk, database, _) = begin(mode);
                let prefix = database.durable_prefix().expect("the disk is whole");
                let repository = self::repository(&disk);
                disk.fail_at(operation, fault);
                let result = repository.back_up(&prefix, 1, false);
                disk.clear_faults();
                database.close().expect("the disk is whole again");
                judge(&disk, result.is_ok(), &format!("{mode}, {fault:?} at {operation}"));
            }
        }
    }
}

/// Work on a repository of some disk.
type Run<'a> = dyn Fn(&SimVfs) -> Result<(), BackupError> + 'a;

/// A name that a killed backup or a failed prune gave or took is not durable, and the next one builds on it.
#[test]
fn a_power_loss_after_a_killed_backup_or_a_failed_prune_leaves_no_backup_without_its_pieces() {
    let (begun, database, _) = begin(Mode::Ledger);
    let prefix = database.durable_prefix().expect("the disk is whole");
    let opened = |disk: &SimVfs| Repository::open(&vfs(disk), Path::new(REPOSITORY));
    let back_up = |disk: &SimVfs| opened(disk)?.back_up(&prefix, 2, false).map(drop);
    let prune = |disk: &SimVfs| opened(disk)?.prune(&Retention::default(), None, false).map(drop);
    let runs: [&Run<'_>; 2] = [&back_up, &prune];
    // The folder's sync behind each name that is given or taken.
    let syncs = |run: &Run<'_>, disk: SimVfs| {
        run(&disk).expect("nothing fails");
        let names = [Operation::Rename, Operation::Remove];
        let log = disk.log().into_iter().filter(move |logged| names.contains(&logged.operation));
        log.map(|logged| logged.number + 1).collect::<Vec<_>>()
    };
    for run in runs {
        for first in syncs(run, begun.snapshot()) {
            for killed in [false, true] {
                let mut disk = begun.snapshot();
                if killed {
                    disk.stop_at(first);
                    run(&disk).expect_err("it is killed");
                    disk = disk.process_crash();
                } else {
                    disk.fail_at(first, Fault::Before(DiskError::Io));
                    run(&disk).expect_err("it fails");
                }
                for second in syncs(run, disk.snapshot()) {
                    let disk = disk.snapshot();
                    disk.stop_at(second);
                    run(&disk).expect_err("the power fails");
                    for seed in 0..50 {
                        let place = format!("{first}, {second}, {killed}, seed {seed}");
                        let verified = repository(&disk.crash(seed)).verify(None);
                        verified.unwrap_or_else(|error| panic!("{place}: {error:?}"));
                    }
                }
            }
        }
    }
}
