//! What a verification of an open database covers.
#![cfg(not(loom))]

use std::path::Path;

use codex_crypto::{PlaintextSealer, Unlock};
use codex_storage::format::header::{BLOCK_LEN, Header};
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::{Background, Batch, Damage, Database, Durability, OpenOptions, StorageError};

const PATH: &str = "/app.db";

fn open(disk: &SimVfs, durability: Durability) -> Database {
    let vfs = Arc::new(disk.clone());
    // Nothing happens behind the test.
    let options = OpenOptions { vfs, durability, background: Background::Caller, ..OpenOptions::default() };
    options.open(Path::new(PATH), None::<&Unlock>).expect("it opens")
}

fn set(database: &Database, key: &[u8], value: &[u8]) -> codex_storage::Result<()> {
    let mut batch = Batch::new();
    batch.set(key, &[value])?;
    database.commit(batch).map(drop)
}

#[test]
fn what_is_acknowledged_and_still_in_memory_is_covered() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Buffered);
    for number in 0..3_u8 {
        set(&database, &[number], b"value").expect("nothing fails");
    }
    let report = database.verify().expect("it is whole");
    assert_eq!((report.sequence, report.commits), (3, 3));
    assert_eq!(report.head, database.head());
}

#[test]
fn after_a_failed_sync_what_stood_before_is_still_verified() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Sync);
    set(&database, b"before", b"value").expect("nothing fails");
    disk.fail_next(Operation::Sync, 0, Fault::Before(DiskError::Io));
    set(&database, b"unknown", b"value").expect_err("the sync fails");
    let report = database.verify().expect("it is whole");
    assert_eq!((report.sequence, report.commits, report.frames), (1, 1, 1));
}

#[test]
fn header_copies_of_one_generation_that_differ_are_damage_at_the_second() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Durability::Sync);
    set(&database, b"key", b"value").expect("nothing fails");
    database.verify().expect("it is whole");
    let file = disk.read_file(PATH).expect("it is there");
    let mut header = Header::decode(file.first_chunk().expect("a header")).expect("a whole header");
    header.floor.size += 1;
    let block = header.encode(&PlaintextSealer::new(header.id));
    disk.overwrite(PATH, BLOCK_LEN as u64, &block).expect("it is there");
    match database.verify() {
        Err(StorageError::Damaged { offset, source: Damage::HeaderCopiesDiffer, .. }) => {
            assert_eq!(offset, BLOCK_LEN as u64);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_that_fills_a_frame_is_one_frame_and_a_byte_more_makes_two() {
    // Number of operations, kind, key length, length of key and value, key: 1 + 1 + 1 + 5 + 1 bytes around the value.
    let fills = (1 << 20) - 9;
    for (len, frames) in [(fills, 1), (fills + 1, 2)] {
        let database = open(&SimVfs::new(1), Durability::Sync);
        set(&database, b"k", &vec![7; len]).expect("nothing fails");
        let report = database.verify().expect("it is whole");
        assert_eq!((report.commits, report.frames), (1, frames), "a value of {len} bytes");
    }
}
