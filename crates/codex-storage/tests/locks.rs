//! Who may have a database open beside whom, on real files.
#![cfg(not(loom))]

use std::fs;
use std::path::{Path, PathBuf};

use codex_storage::{Batch, Database, Mode, OpenOptions, Result, StorageError};
use tempfile::TempDir;

const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    (folder, path)
}

fn open(path: &Path, mode: Mode, read_only: bool) -> Result<Database> {
    OpenOptions { mode: Some(mode), read_only, create: !read_only, ..OpenOptions::default() }.open(path, None)
}

fn set(database: &Database, key: &[u8]) {
    let mut batch = Batch::new();
    batch.set(key, &[b"1"]).expect("within bounds");
    database.commit(batch).expect("the disk is whole");
}

#[track_caller]
fn refused(result: &Result<Database>) {
    assert!(matches!(result, Err(StorageError::Locked { .. })), "{result:?}");
}

#[test]
fn a_writer_is_alone_and_readers_are_among_themselves() {
    for mode in MODES {
        let (_folder, path) = folder();
        let writer = open(&path, mode, false).expect("nobody else");
        set(&writer, b"k");
        refused(&open(&path, mode, false));
        refused(&open(&path, mode, true));
        // By another name, it is the same database.
        #[cfg(unix)]
        {
            let link = path.with_file_name("link.db");
            std::os::unix::fs::symlink(&path, &link).expect("a link");
            refused(&open(&link, mode, false));
        }
        drop(writer);
        let readers =
            [open(&path, mode, true), open(&path, mode, true)].map(|reader| reader.expect("they share"));
        refused(&open(&path, mode, false));
        let [first, second] = readers;
        drop(first);
        refused(&open(&path, mode, false));
        second.close().expect("nothing to write");
        open(&path, mode, false).expect("nobody else again");
    }
}

#[test]
fn the_lock_stays_with_the_database_through_rewrites() {
    let (_folder, path) = folder();
    let writer = open(&path, Mode::Snapshot, false).expect("nobody else");
    set(&writer, b"k");
    for _ in 0..3 {
        writer.compact().expect("the disk is whole");
        refused(&open(&path, Mode::Snapshot, false));
        // Without the lock file, the lock on the new database file itself keeps a reader out.
        fs::rename(path.with_file_name("app.db.lock"), path.with_file_name("aside")).expect("it is there");
        refused(&open(&path, Mode::Snapshot, true));
        fs::rename(path.with_file_name("aside"), path.with_file_name("app.db.lock")).expect("it is there");
    }
    writer.close().expect("the disk is whole");
    open(&path, Mode::Snapshot, false).expect("nobody else");
}

#[test]
fn a_reader_needs_no_lock_file_and_makes_none() {
    for mode in MODES {
        let (folder, path) = folder();
        let writer = open(&path, mode, false).expect("a new database");
        set(&writer, b"k");
        writer.close().expect("the disk is whole");
        let lock = path.with_file_name("app.db.lock");
        assert!(lock.exists(), "it is never deleted");
        fs::remove_file(&lock).expect("it is there");
        let content = fs::read(&path).expect("it is there");
        let reader = open(&path, mode, true).expect("its lock on the database file is enough");
        assert!(reader.has(b"k"));
        assert!(matches!(reader.commit(Batch::new()), Err(StorageError::ReadOnly)));
        refused(&open(&path, mode, false));
        // The refused writer has made the lock file anew; the reader makes none.
        fs::remove_file(&lock).expect("a writer makes one");
        reader.close().expect("nothing to write");
        let names: Vec<_> = fs::read_dir(folder.path())
            .expect("it is there")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["app.db"]);
        assert!(fs::read(&path).expect("it is there") == content, "a reader changes no byte");
    }
}

#[test]
fn an_opening_that_fails_keeps_no_lock() {
    for mode in MODES {
        let (_folder, path) = folder();
        let writer = open(&path, mode, false).expect("a new database");
        set(&writer, b"k");
        drop(writer);
        let other = if mode == Mode::Ledger { Mode::Snapshot } else { Mode::Ledger };
        assert!(matches!(open(&path, other, false), Err(StorageError::WrongMode { .. })));
        open(&path, mode, false).expect("nobody has it");
        let whole = fs::read(&path).expect("it is there");
        let mut damaged = whole.clone();
        damaged[8192 + 50] ^= 1;
        fs::write(&path, damaged).expect("a folder of our own");
        assert!(matches!(open(&path, mode, false), Err(StorageError::Damaged { .. })));
        fs::write(&path, whole).expect("a folder of our own");
        open(&path, mode, false).expect("nobody has it");
    }
}
