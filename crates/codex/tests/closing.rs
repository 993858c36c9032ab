//! What closing promises, to every clone and to the next opening.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use codex::{Batch, Durability, EncryptionKey, ErrorKind, Mode, Options, Store};
use tempfile::TempDir;

const DURABILITIES: [Durability; 3] =
    [Durability::Sync, Durability::Interval(Duration::from_hours(1)), Durability::Buffered];

fn options(mode: Mode, durability: Durability) -> Options {
    Options::new().mode(mode).durability(durability).encryption_key(EncryptionKey::from_bytes([7; 32]))
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    (folder, path)
}

fn each(test: impl Fn(&dyn Fn() -> Store, Durability)) {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for durability in DURABILITIES {
            let (_folder, path) = folder();
            test(&|| options(mode, durability).open(&path).expect("nobody has it open"), durability);
        }
    }
}

fn batch(key: &str) -> Batch {
    let mut batch = Batch::new();
    batch.set(key, &1).expect("a number");
    batch
}

#[test]
fn every_write_after_a_close_is_refused_for_all_clones_and_writes_nothing() {
    each(|open, durability| {
        let store = open();
        store.set("k", &1).expect("open");
        let clone = store.clone();
        store.close().expect("the disk is whole");
        let refusals = [
            ("set", clone.set("k", &2).map(drop)),
            ("set_bytes", clone.set_bytes("k", b"2").map(drop)),
            ("set_many", clone.set_many([("k", &2)]).map(drop)),
            ("delete", clone.delete("k").map(drop)),
            ("delete absent", clone.delete("absent").map(drop)),
            ("delete_many", clone.delete_many(["k"]).map(drop)),
            ("clear", clone.clear()),
            ("commit", clone.commit(batch("k")).map(drop)),
            ("commit nothing", clone.commit(Batch::new()).map(drop)),
            ("submit", clone.submit(batch("k")).map(drop)),
            ("compare_and_swap", clone.compare_and_swap("k", Some(b"1"), None).map(drop)),
            ("flush", clone.flush()),
            ("compact", clone.compact()),
            ("backup", clone.backup("copy.db")),
            ("verify", clone.verify().map(drop)),
        ];
        for (call, result) in refusals {
            let kind = result.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Validation), "{call}, {durability:?}");
        }
        for store in [&store, &clone] {
            store.close().expect("a second close is Ok");
        }
        assert_eq!(open().get::<u8>("k").expect("a number"), Some(1));
    });
}

#[test]
fn views_and_iterators_go_on_after_a_close_and_a_drop_and_hold_no_lock() {
    each(|open, durability| {
        let store = open();
        let numbers: Vec<u32> = (0..1000).collect();
        store.set_many(numbers.iter().map(|number| (number.to_be_bytes(), number))).expect("open");
        let view = store.view();
        let mut range = store.range(..);
        assert_eq!(range.next().expect("a record").expect("whole").0, 0_u32.to_be_bytes());
        store.close().expect("the disk is whole");
        // What is in memory can still be asked for.
        assert_eq!((store.len(), store.get::<u32>(7_u32.to_be_bytes()).expect("a number")), (1000, Some(7)));
        let head = store.head();
        drop(store);
        let again = open();
        assert_eq!(again.head(), head, "{durability:?}");
        again.clear().expect("open");
        assert_eq!(range.count(), 999, "{durability:?}");
        assert_eq!(view.range(..).rev().count(), 1000);
        assert!(view.get::<u32>(999_u32.to_be_bytes()).expect("a number").is_some());
    });
}

#[test]
fn dropping_the_last_clone_does_all_that_close_does() {
    each(|open, durability| {
        let store = open();
        let clone = store.clone();
        drop(store);
        clone.set("k", &1).expect("the other clone has it open");
        let pending: Vec<_> =
            (0..50).map(|number| clone.submit(batch(&format!("{number}"))).expect("open")).collect();
        // Given away: they take place all the same.
        drop(pending);
        let head = {
            drop(clone);
            let store = open();
            assert_eq!(store.len(), 51, "{durability:?}");
            assert_eq!(store.stats().torn_bytes, 0);
            store.head()
        };
        let store = open();
        assert_eq!(store.head(), head, "the floor was written, so that an opening writes nothing");
        store.verify().expect("whole");
    });
}

#[test]
fn a_close_waits_for_commits_in_flight_and_each_is_told_what_became_of_it() {
    each(|open, durability| {
        let store = open();
        let (started, begun) = mpsc::channel();
        let counts = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|writer| {
                    let (store, started) = (store.clone(), started.clone());
                    scope.spawn(move || {
                        for number in 0_u32.. {
                            let result = store.set(format!("{writer} {number}"), &number);
                            if number == 5 {
                                started.send(()).expect("the test waits for it");
                            }
                            if let Err(error) = result {
                                assert_eq!(error.kind(), ErrorKind::Validation, "closed, and nothing else");
                                return number;
                            }
                        }
                        unreachable!("it is closed long before")
                    })
                })
                .collect();
            (0..8).for_each(|_| begun.recv().expect("a writer"));
            store.close().expect("the disk is whole");
            writers.into_iter().map(|writer| writer.join().expect("it ends")).collect::<Vec<u32>>()
        });
        let again = open();
        assert_eq!(
            again.len(),
            counts.iter().sum::<u32>() as usize,
            "{durability:?}: acknowledged and no other"
        );
        for (writer, count) in counts.into_iter().enumerate() {
            assert!(
                count > 5 && again.has(format!("{writer} {}", count - 1)).expect("a key"),
                "{durability:?}"
            );
        }
    });
}

#[test]
fn flush_makes_durable_what_the_system_does_not_have_yet() {
    each(|open, durability| {
        let store = open();
        store.set("k", &1).expect("open");
        store.flush().expect("the disk is whole");
        let stats = store.stats();
        assert!(stats.syncs >= 1 && stats.groups == 1, "{durability:?}: {stats:?}");
        store.flush().expect("the disk is whole");
        assert_eq!(store.stats().syncs, stats.syncs, "{durability:?}: nothing to sync is not synced");
    });
}

#[test]
fn a_rotation_that_fails_at_opening_stops_nothing_and_is_reported() {
    let (_folder, path) = folder();
    let options = || options(Mode::Snapshot, Durability::Sync).backups(codex::BackupPolicy::keep(2));
    options().open(&path).expect("a new database").set("k", &1).expect("open");
    // Nothing can be given this name.
    let obstacle = path.with_file_name("app.db.bak.1");
    std::fs::create_dir_all(obstacle.join("in the way")).expect("a folder of our own");
    let store = options().open(&path).expect("a failed copy stops no opening");
    let said = store.stats().background_error.expect("it is reported");
    assert!(said.contains("app.db.bak.1"), "{said}");
    store.set("k", &2).expect("open");
    assert_eq!(store.rotate_backup().expect_err("it is still there").kind(), ErrorKind::Io);
    let leftover = std::fs::read_dir(obstacle.parent().expect("a folder")).expect("it is there");
    let names = leftover.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| name.contains(".tmp-")).count(), 0);
    std::fs::remove_dir_all(obstacle).expect("a folder of our own");
    store.rotate_backup().expect("nothing is in the way");
    assert_eq!(store.backups().expect("a rotation").len(), 1);
}
