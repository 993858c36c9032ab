//! An encrypted database on a simulated disk, and what can be said of it.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code, reason = "shared by several test programs")]

use std::path::Path;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::files::Files;
use codex_storage::sync::Arc;
use codex_storage::vfs::Vfs;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, Database, Mode, OpenOptions, Result};

pub(crate) const PATH: &str = "/folder/app.db";

pub(crate) fn unlock() -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([7; 32]))
}

pub(crate) fn vfs(disk: &SimVfs) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

pub(crate) fn files() -> Files {
    Files::of(PATH.into())
}

pub(crate) fn open(disk: &SimVfs, path: &str, mode: Mode) -> Result<Database> {
    let options = OpenOptions { vfs: vfs(disk), mode: Some(mode), ..OpenOptions::default() };
    options.open(Path::new(path), Some(&unlock()))
}

/// Commits one record: the key `n`, and a number.
pub(crate) fn set(database: &Database, number: u64) {
    let mut batch = Batch::new();
    batch.set(b"n", &[&number.to_le_bytes()]).expect("within bounds");
    database.commit(batch).expect("the disk is whole");
}

pub(crate) fn number(database: &Database) -> u64 {
    let (record, _) = database.get(b"n").expect("the record is there");
    u64::from_le_bytes(record.value().try_into().expect("eight bytes"))
}

/// The number in a database that is opened by itself, and verified.
pub(crate) fn number_in(disk: &SimVfs, path: &str) -> u64 {
    let options = OpenOptions { vfs: vfs(disk), read_only: true, create: false, ..OpenOptions::default() };
    let database = options.open(Path::new(path), Some(&unlock())).expect("it opens");
    database.verify().expect("it is whole");
    number(&database)
}

/// The names of temporary files.
pub(crate) fn temporaries(disk: &SimVfs) -> Vec<String> {
    let names = disk.file_names().into_iter().map(|path| path.to_string_lossy().into_owned());
    names.filter(|name| name.contains(".tmp-")).collect()
}
