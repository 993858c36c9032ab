//! What is seen of a database from outside, beside the process that has it open.
#![cfg(not(loom))]

use std::path::{Path, PathBuf};

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::files::Files;
use codex_storage::sync::Arc;
use codex_storage::vfs::Vfs as _;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{
    Background, Batch, Database, HeaderCopy, LogTail, Mode, OpenOptions, StorageError, files_beside, inspect,
};

const PATH: &str = "/folder/app.db";
const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];

fn unlock() -> Unlock {
    EncryptionKey::from_bytes([7; 32]).into()
}

fn open(disk: &SimVfs, mode: Mode, unlock: Option<&Unlock>) -> Database {
    let vfs = Arc::new(disk.clone());
    let background = Background::Caller;
    let options = OpenOptions { mode: Some(mode), vfs, background, ..OpenOptions::default() };
    options.open(Path::new(PATH), unlock).expect("nothing fails")
}

fn set(database: &Database, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.set(key, &[value]).expect("within bounds");
    database.commit(batch).expect("nothing fails");
}

fn tail(disk: &SimVfs) -> LogTail {
    LogTail::open(Arc::new(disk.clone()), Path::new(PATH)).expect("there is a database")
}

#[test]
fn a_tail_counts_every_commit_of_a_writer_that_has_the_database_open() {
    for (mode, key) in MODES.into_iter().flat_map(|mode| [(mode, None), (mode, Some(unlock()))]) {
        let disk = SimVfs::new(1);
        let database = open(&disk, mode, key.as_ref());
        set(&database, b"before", b"1");
        let mut tail = tail(&disk);
        let before = tail.poll().expect("it reads");
        assert_eq!(
            (before.sequence, before.commits, before.groups, before.group_bytes),
            (1, 0, 0, 0),
            "{mode}"
        );
        for number in 1..=5 {
            set(&database, b"key", b"value");
            let now = tail.poll().expect("it reads");
            assert_eq!((now.sequence, now.commits, now.groups), (1 + number, number, number), "{mode}");
            assert_eq!(now.log_bytes, database.stats().log_bytes, "{mode}");
            assert_eq!(now.file_bytes, database.stats().file_bytes, "{mode}");
            assert_eq!(now.group_bytes, now.log_bytes - before.log_bytes, "{mode}");
        }
        // One commit of several frames counts once, and all its bytes do.
        set(&database, b"large", &vec![1; 3 << 20]);
        let now = tail.poll().expect("it reads");
        assert_eq!((now.sequence, now.commits, now.groups), (7, 6, 6), "{mode}");
        assert_eq!(now.group_bytes, database.stats().log_bytes - before.log_bytes, "{mode}");
    }
}

#[test]
fn a_tail_begins_at_the_floor_with_the_commit_that_ends_there() {
    for (mode, key) in MODES.into_iter().flat_map(|mode| [(mode, None), (mode, Some(unlock()))]) {
        let disk = SimVfs::new(1);
        for (number, len) in (1..).zip([3, 3 << 20, 5]) {
            let database = open(&disk, mode, key.as_ref());
            set(&database, b"key", &vec![1; len]);
            database.close().expect("nothing fails");
            let floor = inspect(&disk, Path::new(PATH)).expect("a header").floor;
            let reading = tail(&disk).poll().expect("it reads");
            assert_eq!((reading.sequence, reading.log_bytes), (number, floor.offset), "{mode}, {len} bytes");
            assert_eq!((reading.commits, reading.time_ns), (0, 0), "{mode}: nothing behind the floor");
        }
    }
}

#[test]
fn a_tail_goes_on_in_the_file_that_a_rewrite_or_a_restore_puts_in_place_and_counts_nothing_twice() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Snapshot, None);
    set(&database, b"key", b"1");
    let old = disk.read_file(PATH).expect("it is there");
    let mut tail = tail(&disk);
    set(&database, b"key", b"2");
    assert_eq!(tail.poll().expect("it reads").commits, 1);
    database.compact().expect("nothing fails");
    set(&database, b"key", b"3");
    let now = tail.poll().expect("it reads");
    assert_eq!((now.sequence, now.commits, now.groups, now.replaced), (3, 2, 2, 1));
    assert_eq!(now.log_bytes, database.stats().log_bytes);

    // An older state in its place, and one commit more.
    drop(database);
    disk.write_file(PATH, &old).expect("the file is replaced");
    let now = tail.poll().expect("it reads");
    assert_eq!((now.sequence, now.commits, now.replaced), (1, 2, 2));
    set(&open(&disk, Mode::Snapshot, None), b"key", b"4");
    assert_eq!(tail.poll().expect("it reads").commits, 3);
}

#[test]
fn a_tail_ends_before_a_frame_that_is_cut_short_or_garbled() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Ledger, None);
    set(&database, b"key", b"1");
    let one = database.stats().log_bytes;
    set(&database, b"key", b"2");
    let two = database.stats().log_bytes;
    let bytes = disk.read_file(PATH).expect("it is there");
    drop(database);
    let len = |offset: u64| usize::try_from(offset).expect("a small file");
    let mut garbled = bytes.clone();
    garbled[len(one) + 20] ^= 1;
    for (what, content) in [("cut", &bytes[..len(two) - 1]), ("garbled", &garbled[..])] {
        disk.write_file(PATH, content).expect("the file is replaced");
        let reading = tail(&disk).poll().expect("it reads");
        assert_eq!((reading.sequence, reading.log_bytes), (1, one), "{what}");
    }
}

#[test]
fn the_state_of_both_header_copies_is_told_and_nothing_is_mended() {
    for (mode, key) in MODES.into_iter().flat_map(|mode| [(mode, None), (mode, Some(unlock()))]) {
        let disk = SimVfs::new(1);
        let database = open(&disk, mode, key.as_ref());
        let created = disk.read_file(PATH).expect("it is there");
        set(&database, b"key", b"1");
        database.close().expect("nothing fails");
        let whole = disk.read_file(PATH).expect("it is there");
        let found = inspect(&disk, Path::new(PATH)).expect("a header");
        assert_eq!((found.mode, found.encrypted, found.floor.size), (mode, key.is_some(), 1));
        assert_eq!(found.file_bytes, whole.len() as u64);
        assert_eq!(found.copies, [HeaderCopy::Current; 2]);

        for index in 0..2 {
            let copy = index * 4096..(index + 1) * 4096;
            for state in [HeaderCopy::Older, HeaderCopy::Damaged] {
                let mut bytes = whole.clone();
                bytes[copy.clone()].copy_from_slice(&created[copy.clone()]);
                bytes[copy.start + 300] ^= u8::from(state == HeaderCopy::Damaged);
                disk.write_file(PATH, &bytes).expect("the file is replaced");
                let found = inspect(&disk, Path::new(PATH)).expect("a header");
                let mut copies = [HeaderCopy::Current; 2];
                copies[index] = state;
                assert_eq!((found.copies, found.floor.size), (copies, 1), "{mode}, copy {index}");
                assert!(disk.read_file(PATH).expect("it is there") == bytes);
            }
        }
    }
}

#[test]
fn what_is_no_database_is_not_inspected() {
    let disk = SimVfs::new(1);
    let error = inspect(&disk, Path::new("/app.db")).expect_err("nothing is there");
    assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}");
    disk.write_file("/app.db", b"some text").expect("a new file");
    disk.create_directories(Path::new("/folder")).expect("a new folder");
    for error in [
        inspect(&disk, Path::new("/app.db")).expect_err("no database"),
        inspect(&disk, Path::new("/folder")).expect_err("a folder"),
        LogTail::open(Arc::new(disk.clone()), Path::new("/app.db")).expect_err("no database"),
    ] {
        assert!(matches!(error, StorageError::NotADatabase { .. }), "{error:?}");
    }
}

#[test]
fn only_files_of_this_database_are_found_beside_it() {
    let disk = SimVfs::new(1);
    drop(open(&disk, Mode::Ledger, None));
    let random = "0123456789abcdef";
    let ours = ["app.db", "app.db.ckpt", "app.db.torn", "app.db.bak.1"]
        .map(|name| format!("/folder/.{name}.tmp-{random}"));
    let others = [
        format!("/folder/.other.db.tmp-{random}"),
        "/folder/.app.db.tmp-".to_owned(),
        "/folder/app.db.bak.01".to_owned(),
    ];
    for name in ours.iter().chain(&others) {
        disk.write_file(name, b"left").expect("a new file");
    }
    for name in ["/folder/app.db.bak.10", "/folder/app.db.bak.2"] {
        disk.write_file(name, b"a backup").expect("a new file");
    }
    let found = files_beside(&disk, Path::new(PATH)).expect("it lists");
    let files = Files::of(PathBuf::from(PATH));
    assert_eq!(found.backups, [2, 10].map(|number| (number, files.backup(number))));
    let mut ours = ours.map(PathBuf::from);
    ours.sort_unstable();
    assert_eq!(found.temporaries, ours);
    assert_eq!(
        (&found.lock, &found.checkpoint, &found.torn),
        (&files.lock(), &files.checkpoint(), &files.torn())
    );
}
