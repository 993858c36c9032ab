//! What opening creates, refuses and leaves alone.
#![cfg(not(loom))]

use std::path::Path;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, Mode, OpenOptions, StorageError};

const PATH: &str = "/folder/app.db";

fn options(disk: &SimVfs) -> OpenOptions {
    OpenOptions { vfs: Arc::new(disk.clone()), ..OpenOptions::default() }
}

#[test]
fn a_database_that_is_missing_is_created_only_for_writing_and_only_where_that_is_wanted() {
    let disk = SimVfs::new(1);
    let reading = OpenOptions { read_only: true, ..options(&disk) };
    let not_wanted = OpenOptions { create: false, ..options(&disk) };
    for options in [reading, not_wanted] {
        let error = options.open(Path::new(PATH), None).expect_err("nothing is there");
        assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}");
        assert!(disk.file_names().is_empty(), "nothing was created");
    }
    options(&disk).open(Path::new(PATH), None).expect("it is created");
}

#[test]
fn nothing_is_created_beside_a_file_that_is_no_database() {
    for content in [&b""[..], b"some text", &[0; 10_000]] {
        let disk = SimVfs::new(1);
        disk.write_file("/app.db", content).expect("a new file");
        let error = options(&disk).open(Path::new("/app.db"), None).expect_err("no database");
        assert!(matches!(error, StorageError::NotADatabase { .. }), "{error:?}");
        assert_eq!(disk.file_names(), [Path::new("/app.db")]);
        assert_eq!(disk.read_file("/app.db").expect("it is there"), content);
    }
}

#[test]
fn opening_for_writing_and_closing_without_a_commit_neither_changes_nor_syncs_the_file() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let disk = SimVfs::new(1);
        let options = OpenOptions { mode: Some(mode), ..options(&disk) };
        let database = options.open(Path::new(PATH), None).expect("a new database");
        let mut batch = Batch::new();
        batch.set(b"key", &[b"value"]).expect("within bounds");
        database.commit(batch).expect("nothing fails");
        database.close().expect("nothing fails");

        let before = disk.log().len();
        let database = options.open(Path::new(PATH), None).expect("it opens");
        assert!(database.has(b"key"));
        database.close().expect("nothing fails");
        let log = disk.log().split_off(before);
        let changes =
            log.iter().filter(|logged| logged.operation.changes_disk() && *logged.path == *Path::new(PATH));
        assert_eq!(changes.count(), 0, "{mode}: {log:#?}");
    }
}

#[test]
fn a_database_says_whether_it_is_encrypted_and_of_which_mode_it_is() {
    let key = Unlock::from(EncryptionKey::from_bytes([7; 32]));
    for (unlock, encrypted) in [(None, false), (Some(&key), true)] {
        let disk = SimVfs::new(1);
        let ledger = OpenOptions { mode: Some(Mode::Ledger), ..options(&disk) };
        let database = ledger.open(Path::new(PATH), unlock).expect("a new database");
        assert_eq!(database.stats().encrypted, encrypted);
        drop(database);
        let snapshot = OpenOptions { mode: Some(Mode::Snapshot), ..options(&disk) };
        let error = snapshot.open(Path::new(PATH), unlock).expect_err("it is a ledger");
        assert!(matches!(error, StorageError::WrongMode { found: Mode::Ledger, .. }), "{error:?}");
        assert!(error.to_string().contains("ledger"), "{error}");
    }
}
