//! What a user of the library relies on, on real files.

use std::fs;
use std::path::{Path, PathBuf};

use codex::{Batch, Codec, Compression, Durability, EncryptionKey, ErrorKind, Mode, Options, Store};
use tempfile::TempDir;

const KEY: [u8; 32] = [7; 32];

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    (folder, path)
}

fn encrypted(mode: Mode) -> Options {
    Options::new().mode(mode).encryption_key(EncryptionKey::from_bytes(KEY))
}

fn both_modes(test: impl Fn(Options, &Path)) {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for options in [Options::new().mode(mode), encrypted(mode)] {
            let (_folder, path) = folder();
            test(options, &path);
        }
    }
}

#[test]
fn what_was_set_is_there_after_reopening() {
    both_modes(|options, path| {
        let store = options.open(path).unwrap();
        store.set("name", "Ada").unwrap();
        store.set_bytes("raw", b"\x00\xff").unwrap();
        store.set_with(Codec::Bincode, "numbers", &vec![1_u64, 2, 3]).unwrap();
        assert!(store.delete("name").unwrap());
        assert!(!store.delete("name").unwrap());
        store.set("name", "Grace").unwrap();
        let head = store.head();
        store.close().unwrap();

        let store = options.open(path).unwrap();
        assert_eq!(store.get::<String>("name").unwrap().as_deref(), Some("Grace"));
        assert_eq!(store.get_bytes("raw").unwrap().unwrap(), b"\x00\xff");
        assert_eq!(store.get::<Vec<u8>>("raw").unwrap().unwrap(), [0, 255]);
        assert_eq!(store.get::<Vec<u64>>("numbers").unwrap().unwrap(), [1, 2, 3]);
        assert_eq!(store.keys().unwrap(), [&b"name"[..], b"numbers", b"raw"]);
        assert_eq!(store.head(), head);
        assert_eq!(store.verify().unwrap().commits, 5);
        store.clear().unwrap();
        assert!(store.is_empty());
    });
}

#[test]
fn a_batch_is_applied_in_its_order_and_takes_one_sequence_number() {
    both_modes(|options, path| {
        let store = options.open(path).unwrap();
        let mut batch = Batch::new();
        batch.set("a", &1).unwrap();
        batch.delete("a");
        batch.set_bytes("b", b"2");
        assert_eq!(store.commit(batch).unwrap().sequence, 1);
        assert_eq!(store.keys().unwrap(), [b"b"]);
        assert_eq!(store.commit(Batch::new()).unwrap().sequence, 1, "nothing to write");
        assert!(!store.delete("absent").unwrap());
        assert_eq!(store.commit(Batch::new()).unwrap().sequence, 1, "nothing was deleted");
    });
}

#[test]
fn a_view_stays_as_it_was_while_commits_go_on() {
    both_modes(|options, path| {
        let store = options.open(path).unwrap();
        for number in 0..1000 {
            store.set_bytes(format!("key {number:04}"), b"old").unwrap();
        }
        let view = store.view();
        store.clear().unwrap();
        let later = store.view();
        for number in 0..2000 {
            store.set_bytes(format!("key {number:04}"), b"new").unwrap();
        }
        store.close().unwrap();
        assert_eq!((view.len(), later.len(), store.len()), (1000, 0, 2000));
        assert!(view.range(..).all(|entry| entry.unwrap().1 == b"old"));
        assert_eq!(view.range(..).rev().count(), 1000);
        assert_eq!(later.range(..).count(), 0);
        assert_eq!(store.range("key 0990".."key 1010").count(), 20);
        assert_eq!(store.prefix("key 19").next_back().unwrap().unwrap().0, b"key 1999");
        let mut both_ends = view.range(..);
        let mut count = 0;
        while let (Some(front), back) = (both_ends.next(), both_ends.next_back()) {
            count += 1 + usize::from(back.is_some());
            assert!(back.is_none_or(|back| front.unwrap().0 < back.unwrap().0));
        }
        assert_eq!(count, 1000);
    });
}

#[test]
fn compare_and_swap_lets_exactly_one_of_many_win() {
    both_modes(|options, path| {
        let store = options.open(path).unwrap();
        assert!(store.compare_and_swap("n", None, Some(b"0")).unwrap());
        assert!(!store.compare_and_swap("n", None, Some(b"1")).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        loop {
                            let old = store.get_bytes("n").unwrap().unwrap();
                            let next = std::str::from_utf8(&old).unwrap().parse::<u32>().unwrap() + 1;
                            if store
                                .compare_and_swap("n", Some(&old), Some(next.to_string().as_bytes()))
                                .unwrap()
                            {
                                break;
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(store.get_bytes("n").unwrap().unwrap(), b"100");
        assert!(store.compare_and_swap("n", Some(b"100"), None).unwrap());
        assert!(!store.has("n").unwrap());
    });
}

#[test]
fn every_durability_survives_a_close() {
    let interval = Durability::Interval(std::time::Duration::from_millis(20));
    for durability in [Durability::Sync, interval, Durability::Buffered] {
        both_modes(|options, path| {
            let options = options.durability(durability);
            let store = options.open(path).unwrap();
            for number in 0..3000_u32 {
                store.set(number.to_be_bytes(), &number).unwrap();
            }
            let pending: Vec<_> = (0..200_u32)
                .map(|number| {
                    let mut batch = Batch::new();
                    batch.set("last", &number).unwrap();
                    store.submit(batch).unwrap()
                })
                .collect();
            let sequences: Vec<_> =
                pending.into_iter().map(|pending| pending.wait().unwrap().sequence).collect();
            assert!(sequences.is_sorted());
            store.verify().unwrap();
            store.close().unwrap();
            let store = options.open(path).unwrap();
            assert_eq!(store.len(), 3001, "{durability:?}");
            assert_eq!(store.get::<u32>("last").unwrap(), Some(199));
            store.verify().unwrap();
        });
    }
}

#[test]
fn a_rewrite_keeps_everything_and_gives_space_back() {
    let (_folder, path) = folder();
    let options = encrypted(Mode::Snapshot);
    let store = options.open(&path).unwrap();
    // Less than the megabyte from which on the background rewrites by itself.
    for round in 0..15 {
        let values: Vec<_> =
            (0..500).map(|key| (format!("key {key}"), format!("{round} {key}").repeat(20))).collect();
        store.set_many(values.iter().map(|(key, value)| (key, value))).unwrap();
    }
    let before = store.stats();
    store.compact().unwrap();
    let after = store.stats();
    assert!(after.log_bytes * 10 < before.log_bytes, "{} to {}", before.log_bytes, after.log_bytes);
    assert!(after.log_bytes <= after.rewritten_bytes + 1024);
    store.set("after", &1).unwrap();
    let commit = store.commit(Batch::new()).unwrap();
    assert_eq!(commit.sequence, 16, "sequence numbers go on");
    store.verify().unwrap();
    store.close().unwrap();
    let store = options.open(&path).unwrap();
    assert_eq!(store.len(), 501);
    assert_eq!(store.get::<String>("key 7").unwrap().unwrap(), "14 7".repeat(20));
    store.verify().unwrap();
}

#[test]
fn a_wrong_key_mode_or_file_is_refused_and_touches_nothing() {
    let (folder, path) = folder();
    encrypted(Mode::Ledger).open(&path).unwrap().set("a", &1).unwrap();
    let before = fs::read(&path).unwrap();
    let kind = |options: Options, path: &Path| options.open(path).unwrap_err().kind();
    let other = || EncryptionKey::from_bytes([8; 32]);
    assert_eq!(kind(Options::new(), &path), ErrorKind::Encryption);
    assert_eq!(kind(Options::new().encryption_key(other()), &path), ErrorKind::Encryption);
    assert_eq!(kind(Options::new().passphrase("guess"), &path), ErrorKind::Encryption);
    assert_eq!(kind(encrypted(Mode::Snapshot), &path), ErrorKind::Validation);
    assert_eq!(fs::read(&path).unwrap(), before);

    let plain = folder.path().join("plain.db");
    Store::open(&plain).unwrap().set("a", &1).unwrap();
    assert_eq!(kind(Options::new().encryption_key(other()), &plain), ErrorKind::Validation);

    let text = folder.path().join("text.db");
    fs::write(&text, "no database").unwrap();
    assert_eq!(kind(Options::new(), &text), ErrorKind::Validation);
    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    assert_eq!(kind(Options::new(), &empty), ErrorKind::Validation);
    assert_eq!(kind(Options::new(), folder.path()), ErrorKind::Validation);
    assert_eq!(kind(Options::new().create(false), &folder.path().join("none.db")), ErrorKind::NotFound);
    assert!(!folder.path().join("text.db.lock").exists());
}

#[test]
fn a_second_opening_is_refused_at_once_until_the_first_is_closed() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    assert_eq!(Store::open(&path).unwrap_err().kind(), ErrorKind::Concurrency);
    let reading = || Options::new().read_only(true).open(&path);
    assert_eq!(reading().unwrap_err().kind(), ErrorKind::Concurrency);
    store.set("a", &1).unwrap();
    let view = store.view();
    store.close().unwrap();
    store.close().unwrap();
    assert_eq!(store.set("a", &2).unwrap_err().kind(), ErrorKind::Validation);
    assert_eq!(view.get::<u8>("a").unwrap(), Some(1));
    let readers = [reading().unwrap(), reading().unwrap()];
    assert_eq!(readers[1].get::<u8>("a").unwrap(), Some(1));
    assert_eq!(readers[0].set("a", &2).unwrap_err().kind(), ErrorKind::Permission);
    assert_eq!(Store::open(&path).unwrap_err().kind(), ErrorKind::Concurrency);
    drop(readers);
    Store::open(&path).unwrap();
}

#[test]
fn a_backup_opens_by_itself_and_restores_what_was_acknowledged() {
    both_modes(|options, path| {
        let options = options.durability(Durability::Buffered);
        let store = options.open(path).unwrap();
        for number in 0..100 {
            store.set(format!("{number}"), &number).unwrap();
        }
        let copy = path.with_file_name("copy.db");
        store.backup(&copy).unwrap();
        assert_eq!(store.backup(&copy).unwrap_err().kind(), ErrorKind::Validation);
        store.set("later", &0).unwrap();
        store.close().unwrap();

        let key = || codex::RestoreOptions::new().encryption_key(EncryptionKey::from_bytes(KEY));
        let is_encrypted = options.open(&copy).unwrap().stats().encrypted;
        let restoring = || if is_encrypted { key() } else { codex::RestoreOptions::new() };
        if is_encrypted {
            let error = codex::restore(&copy, path.with_file_name("x.db"), codex::RestoreOptions::new());
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Encryption);
        }
        let error = codex::restore(&copy, path, restoring()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
        codex::restore(&copy, path, restoring().overwrite(true)).unwrap();
        let store = options.open(path).unwrap();
        assert_eq!(store.len(), 100);
        store.verify().unwrap();
    });
}

#[test]
fn the_rotation_keeps_the_newest_copies_and_only_makes_one_after_a_change() {
    let (_folder, path) = folder();
    let options = encrypted(Mode::Snapshot).backups(codex::BackupPolicy::keep(2));
    for number in 0..4 {
        let store = options.open(&path).unwrap();
        store.set("n", &number).unwrap();
    }
    let store = options.open(&path).unwrap();
    let backups = store.backups().unwrap();
    assert_eq!(backups.iter().map(|backup| backup.number).collect::<Vec<_>>(), [1, 2]);
    store.close().unwrap();
    let unchanged = fs::metadata(&backups[0].path).unwrap().modified().unwrap();
    options.open(&path).unwrap().close().unwrap();
    assert_eq!(fs::metadata(&backups[0].path).unwrap().modified().unwrap(), unchanged);
    let values: Vec<_> = backups
        .iter()
        .map(|backup| encrypted(Mode::Snapshot).open(&backup.path).unwrap().get::<u32>("n").unwrap().unwrap())
        .collect();
    assert_eq!(values, [3, 2]);
}

#[test]
fn keys_and_values_out_of_bounds_are_refused_and_nothing_is_written() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    let long = vec![b'k'; codex::KEY_LEN_MAX + 1];
    assert_eq!(store.set("", &1).unwrap_err().kind(), ErrorKind::Validation);
    assert_eq!(store.set(&long, &1).unwrap_err().kind(), ErrorKind::Validation);
    store.set(&long[1..], &1).unwrap();
    let mut batch = Batch::new();
    batch.set("good", &1).unwrap();
    batch.set_bytes(&long, b"");
    assert_eq!(store.commit(batch).unwrap_err().kind(), ErrorKind::Validation);
    assert!(!store.has("good").unwrap());
    let error = store.get::<String>(&long[1..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
}

#[test]
fn large_values_span_frames_and_small_ones_are_compressed() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        both_modes(|options, path| {
            let options = options.compression(compression);
            let noise: Vec<u8> =
                (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let text = "all work and no play ".repeat(1000);
            let store = options.open(path).unwrap();
            store.set_bytes("noise", &noise).unwrap();
            store.set("text", &text).unwrap();
            store.close().unwrap();
            let store = options.open(path).unwrap();
            assert!(store.get_bytes("noise").unwrap().unwrap() == noise);
            assert!(store.get::<String>("text").unwrap().unwrap() == text);
            store.verify().unwrap();
        });
    }
}

#[test]
fn a_backup_by_policy_is_made_by_the_stores_own_thread() {
    let folder = tempfile::tempdir().unwrap();
    let policy = codex::BackupPolicy::keep(1).every(codex::Commits(2));
    let store = Options::new().backups(policy).open(folder.path().join("app.db")).unwrap();
    store.set("a", &1).unwrap();
    store.set("b", &2).unwrap();
    // Nothing is asked of the store but whether the copy is there: were it not made, this would go on for ever.
    while store.backups().unwrap().is_empty() {
        std::thread::yield_now();
    }
    let copy = Options::new().read_only(true).open(&store.backups().unwrap()[0].path).unwrap();
    assert_eq!(copy.get::<u32>("b").unwrap(), Some(2));
}
