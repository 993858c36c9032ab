//! What a hot copy promises.

mod common;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use codex_backup::{BackupError, Source, copy};
use codex_storage::vfs::File;
use codex_storage::vfs::replace::Existing;
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::{Batch, Mode, Prefix, StorageError};
use common::{PATH, number, number_in, open, set, temporaries, vfs};

const COPY: &str = "/folder/copy.db";

/// Runs `between` before each piece of the copy, and once more before it is verified.
struct Watched<'a, F> {
    prefix: &'a Prefix,
    between: F,
}

impl<F: Fn()> Source for Watched<'_, F> {
    fn len(&self) -> u64 {
        self.prefix.len()
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        (self.between)();
        self.prefix.read_at(target, offset)
    }

    fn verify(&self, copy: &dyn File, path: &Path) -> Result<(), StorageError> {
        (self.between)();
        self.prefix.verify(copy, path).map(|_| ())
    }
}

#[test]
fn a_copy_holds_what_was_there_when_it_began_although_commits_and_a_rewrite_go_on() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let disk = SimVfs::new(1);
        let database = open(&disk, PATH, mode).expect("a new database");
        let mut batch = Batch::new();
        // Three pieces of a copy.
        batch.set(b"large", &[&vec![7; 2_500_000]]).expect("within bounds");
        database.commit(batch).expect("the disk is whole");
        set(&database, 1);
        let prefix = database.durable_prefix().expect("the disk is whole");
        let between = || {
            for later in 2..5 {
                set(&database, later);
            }
            if mode == Mode::Snapshot {
                database.compact().expect("the disk is whole");
            }
        };
        let source = Watched { prefix: &prefix, between };
        copy(&source, &vfs(&disk), Path::new(COPY), Existing::Refuse).expect("the copy is made");
        assert_eq!(number(&database), 4, "commits went on");
        assert_eq!(number_in(&disk, COPY), 1, "{mode}");
        let copied = open(&disk, COPY, mode).expect("it opens for writing");
        assert_eq!(copied.head(), prefix.floor(), "{mode}");
        assert_eq!(copied.stats().recovery.frames_read, prefix.floor().size);
        database.verify().expect("the database is whole");
    }
}

#[test]
fn a_copy_has_its_name_only_once_it_is_verified() {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, Mode::Ledger).expect("a new database");
    set(&database, 1);
    let prefix = database.durable_prefix().expect("the disk is whole");
    let seen = AtomicBool::new(false);
    let between = || {
        assert!(!disk.files().contains_key(Path::new(COPY)));
        // The disk rots under the copy, after its last byte was written and before it is read back.
        if let [temporary] = temporaries(&disk).as_slice()
            && disk.read_file(temporary).expect("it is there").len() as u64 == prefix.len()
        {
            disk.flip_bit(temporary, (prefix.len() - 20) * 8).expect("it is there");
            seen.store(true, Ordering::Release);
        }
    };
    let error = copy(&Watched { prefix: &prefix, between }, &vfs(&disk), Path::new(COPY), Existing::Refuse);
    assert!(seen.load(Ordering::Acquire), "there was one temporary");
    let Err(BackupError::Verify { path, source }) = error else { panic!("{error:?}") };
    assert_eq!(path, Path::new(COPY));
    assert!(matches!(source, StorageError::Damaged { .. }), "{source:?}");
    assert!(!disk.files().contains_key(Path::new(COPY)));
    assert_eq!(temporaries(&disk), [""; 0]);
}

#[test]
fn an_existing_target_is_left_as_it_is() {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, Mode::Ledger).expect("a new database");
    disk.write_file(COPY, b"something").expect("the disk is whole");
    let prefix = database.durable_prefix().expect("the disk is whole");
    let error = copy(&prefix, &vfs(&disk), Path::new(COPY), Existing::Refuse).expect_err("it is in the way");
    assert!(matches!(&error, BackupError::TargetExists { path } if path == Path::new(COPY)), "{error:?}");
    assert_eq!(disk.read_file(COPY).expect("it is there"), b"something");
}

#[test]
fn a_copy_that_fails_at_any_operation_leaves_nothing_or_a_whole_copy_and_stops_no_commit() {
    let begin = || {
        let disk = SimVfs::new(1);
        let database = open(&disk, PATH, Mode::Snapshot).expect("a new database");
        set(&database, 1);
        let prefix = database.durable_prefix().expect("the disk is whole");
        (disk, database, prefix)
    };
    let (disk, _database, prefix) = begin();
    let before = disk.operations();
    copy(&prefix, &vfs(&disk), Path::new(COPY), Existing::Refuse).expect("nothing fails");
    let operations = disk.operations() - before;
    assert!(operations > 5, "{operations}");
    for operation in 0..operations {
        for fault in [Fault::Before(DiskError::Io), Fault::Midway(DiskError::NoSpace)] {
            let place = format!("operation {operation}, {fault:?}");
            let (disk, database, prefix) = begin();
            let number = disk.operations() + operation;
            disk.fail_at(operation, fault);
            let result = copy(&prefix, &vfs(&disk), Path::new(COPY), Existing::Refuse);
            disk.clear_faults();
            if disk.files().contains_key(Path::new(COPY)) {
                assert_eq!(number_in(&disk, COPY), 1, "{place}");
            } else {
                assert!(result.is_err(), "{place}: it says that there is a copy");
            }
            // A file that was created and said not to be is the next copy's to remove.
            let failed = disk.log().into_iter().find(|logged| logged.number == number).expect("it was begun");
            if failed.operation != Operation::Create {
                assert_eq!(temporaries(&disk), [""; 0], "{place}");
            }
            set(&database, 2);
            database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
        }
    }
    // What is acknowledged is durable.
    let (disk, _database, prefix) = begin();
    copy(&prefix, &vfs(&disk), Path::new(COPY), Existing::Refuse).expect("nothing fails");
    for seed in 0..20 {
        assert_eq!(number_in(&disk.crash(seed), COPY), 1);
    }
    assert!(disk.log().iter().any(|logged| logged.operation == Operation::SyncDirectory));
}
