//! What a user of the library sees of damaged files: an error of the right kind, or the values that were set. The
//! sweeps over all damage, with all of its places, are `attacks/` of `codex-storage`; these are for what only this
//! layer adds: compressed values, kinds of errors, backups.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use codex::{Batch, Codec, Compression, EncryptionKey, ErrorKind, Mode, Options, RestoreOptions, Store};
use codex_storage::Database;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(mode: Mode, encrypted: bool, compression: Compression) -> Options {
    let options = Options::new().mode(mode).compression(compression);
    if encrypted { options.encryption_key(EncryptionKey::from_bytes([7; 32])) } else { options }
}

/// The state behind each commit, the empty one first.
fn history(store: &Store) -> Vec<State> {
    let mut state = State::new();
    let mut states = vec![state.clone()];
    for number in 0..4_u8 {
        let mut batch = Batch::new();
        let text = [number, b'x'].repeat(300);
        batch.set_bytes(format!("text {number}"), &text);
        batch.set("count", &number).expect("it is a number");
        store.commit(batch).expect("the disk is sound");
        state.insert(format!("text {number}").into_bytes(), text);
        state.insert(b"count".to_vec(), number.to_string().into_bytes());
        states.push(state.clone());
    }
    states
}

fn read_all(store: &Store) -> State {
    let entries = store.range(..).map(|entry| entry.expect("what opens is whole"));
    let state: State = entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    for (key, value) in &state {
        assert_eq!(store.get_bytes(key).expect("what opens is whole").expect("it is there"), value[..]);
    }
    state
}

/// Every `step`th byte from `from` on is changed in turn; `judge` gets what opening says.
fn change_each(path: &Path, from: usize, step: usize, mut judge: impl FnMut(usize)) {
    let whole = fs::read(path).expect("it is there");
    for offset in (from..whole.len()).step_by(step) {
        let mut changed = whole.clone();
        changed[offset] ^= 1 << (offset % 8);
        fs::write(path, &changed).expect("there is space");
        judge(offset);
        assert!(fs::read(path).expect("it is there") == changed, "byte {offset}: a reader changes nothing");
    }
    fs::write(path, whole).expect("there is space");
}

#[test]
fn compressed_values_of_a_changed_file_are_never_other_values() {
    for compression in [Compression::Lz4, Compression::Zstd] {
        for (mode, encrypted) in [(Mode::Snapshot, false), (Mode::Snapshot, true), (Mode::Ledger, true)] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("app.db");
            let options = options(mode, encrypted, compression);
            let store = options.open(&path).expect("a new database");
            let states = history(&store);
            store.close().expect("the disk is sound");
            assert!(fs::metadata(&path).expect("it is there").len() < 8192 + 2000, "values are compressed");
            let reader = options.read_only(true);
            change_each(&path, 8192, 3, |offset| {
                let error = reader.open(&path).expect_err("the floor is not reached");
                assert_eq!(error.kind(), ErrorKind::Integrity, "byte {offset}: {error}");
                assert!(error.to_string().contains("damaged at byte"), "{error}");
            });
            change_each(&path, 0, 61, |offset| match reader.open(&path) {
                Ok(store) => {
                    assert!(store.stats().header_copy_stale, "byte {offset}");
                    assert_eq!(read_all(&store), states[4], "byte {offset}");
                    let error = store.verify().expect_err("a header copy is damaged");
                    assert_eq!(error.kind(), ErrorKind::Integrity, "byte {offset}");
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Integrity, "byte {offset}: {error}"),
            });
        }
    }
}

#[test]
fn a_store_killed_before_its_floor_gives_a_state_that_was_acknowledged_or_an_error() {
    for encrypted in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        let options = options(Mode::Ledger, encrypted, Compression::Zstd);
        let store = options.open(&path).expect("a new database");
        let states = history(&store);
        let log_len = usize::try_from(store.stats().log_bytes).expect("small");
        // As a killed process leaves it.
        let copy = folder.path().join("copy.db");
        fs::write(&copy, &fs::read(&path).expect("it is there")[..log_len]).expect("there is space");
        drop(store);
        let reader = options.read_only(true);
        change_each(&copy, 8192, 2, |offset| match reader.open(&copy) {
            // Only the last commit may look like the torn end of one, and it is said how much that is.
            Ok(store) => {
                assert!(store.stats().torn_bytes > 0, "byte {offset}");
                assert_eq!(read_all(&store), states[3], "byte {offset}");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Integrity, "byte {offset}: {error}"),
        });
    }
}

#[test]
fn a_compressed_value_that_was_changed_and_sealed_again_is_refused_or_decoded_and_never_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    for compression in [Compression::Lz4, Compression::Zstd] {
        let store = options(Mode::Snapshot, false, compression).open(&path).expect("a database");
        let text = "to be or not to be, ".repeat(20);
        store.set_with(Codec::Json, "text", &text).expect("the disk is sound");
        drop(store);
        // Through the layer below, as a forger does who has no key to fear.
        let database = Database::open(&path, None).expect("it is whole");
        let (record, _) = database.get(b"text").expect("it was set");
        let mut batch = codex_storage::Batch::new();
        let stored = record.value();
        for offset in 0..stored.len() {
            for bit in 0..8 {
                let mut changed = stored.to_vec();
                changed[offset] ^= 1 << bit;
                batch.set(format!("{offset} {bit}").as_bytes(), &[&changed]).expect("within bounds");
            }
            batch.set(format!("{offset} cut").as_bytes(), &[&stored[..offset]]).expect("within bounds");
        }
        database.commit(batch).expect("the disk is sound");
        drop(database);
        let store = Store::open(&path).expect("frames say nothing of what values mean");
        let mut refused = 0;
        for offset in 0..stored.len() {
            for change in (0..8).map(|bit| bit.to_string()).chain(["cut".to_owned()]) {
                let key = format!("{offset} {change}");
                match store.get::<String>(&key) {
                    Ok(text) => assert!(text.is_some(), "{key}"),
                    Err(error) => {
                        let kind = error.kind();
                        assert!(
                            [ErrorKind::Integrity, ErrorKind::Validation].contains(&kind),
                            "{key}: {kind}"
                        );
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > stored.len(), "{refused} refused");
        assert_eq!(store.get::<String>("text").expect("it is whole").as_deref(), Some(&text[..]));
        store.clear().expect("the disk is sound");
    }
}

#[test]
fn a_changed_backup_is_not_restored_and_what_stands_at_the_target_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let store = options(Mode::Snapshot, true, Compression::None).open(&path).expect("a new database");
    history(&store);
    let backup = folder.path().join("copy.db");
    store.backup(&backup).expect("there is space");
    store.close().expect("the disk is sound");
    let target = fs::read(&path).expect("it is there");
    let key = || EncryptionKey::from_bytes([7; 32]);
    change_each(&backup, 8192, 7, |offset| {
        let options = RestoreOptions::new().overwrite(true).encryption_key(key());
        let error = codex::restore(&backup, &path, options).expect_err("the backup is damaged");
        assert_eq!(error.kind(), ErrorKind::Integrity, "byte {offset}: {error}");
        assert!(fs::read(&path).expect("it is there") == target, "byte {offset}");
    });
}
