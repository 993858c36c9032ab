//! What opens a database can be changed: at once, durably, and so that no crash leaves a database that nobody can open,
//! or one that a removed key still opens.
#![cfg(not(loom))]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use codex_crypto::{EncryptionKey, PassphraseCost, SlotKind, Unlock};
use codex_storage::format::header::{BLOCK_LEN, Header, RETIRED_COUNT};
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::{
    Background, Batch, Damage, Database, KeysRefusal, Mode, NewKey, OpenOptions, RepairOptions, Result,
    StorageError, recorded_slots, repair,
};

const PATH: &str = "/folder/app.db";
const CHECKPOINT: &str = "/folder/app.db.ckpt";
const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];

fn key(byte: u8) -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([byte; 32]))
}

fn new_key(byte: u8) -> NewKey {
    NewKey::from(key(byte))
}

fn options(disk: &SimVfs, mode: Mode) -> OpenOptions {
    OpenOptions {
        mode: Some(mode),
        vfs: Arc::new(disk.clone()),
        background: Background::Caller,
        passphrase_cost: PassphraseCost::MINIMUM,
        ..OpenOptions::default()
    }
}

fn open(disk: &SimVfs, mode: Mode, unlock: &Unlock) -> Result<Database> {
    options(disk, mode).open(Path::new(PATH), Some(unlock))
}

fn set(database: &Database, key: &str) -> Result<()> {
    let mut batch = Batch::new();
    batch.set(key.as_bytes(), &[b"value of ", key.as_bytes()])?;
    database.commit(batch).map(drop)
}

fn holds(database: &Database, keys: &[&str]) {
    for key in keys {
        let value = database.get(key.as_bytes()).map(|(record, _)| record.value().to_vec());
        assert_eq!(value, Some(format!("value of {key}").into_bytes()), "{key}");
    }
    assert_eq!(database.record_count(), keys.len() as u64);
}

/// Whether a key opens the database; any other reason not to is a failure.
fn opens(disk: &SimVfs, mode: Mode, byte: u8) -> bool {
    let reading = OpenOptions { read_only: true, ..options(disk, mode) };
    match reading.open(Path::new(PATH), Some(&key(byte))) {
        Ok(_) => true,
        Err(StorageError::WrongKey { .. }) => false,
        Err(error) => panic!("{error:?}"),
    }
}

fn header(disk: &SimVfs, copy: usize) -> Header {
    let file = disk.read_file(PATH).expect("it is there");
    Header::decode(file[copy * BLOCK_LEN..].first_chunk().expect("whole")).expect("a whole copy")
}

fn refusal(result: Result<()>) -> KeysRefusal {
    match result {
        Err(StorageError::KeysRefused { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// The four changes, on a database that key 1 opened and that key 2 opens as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
    Replace,
    Deep,
}

const CHANGES: [Change; 4] = [Change::Add, Change::Remove, Change::Replace, Change::Deep];
const BEFORE: &[u8] = &[1, 2];
const ALL_KEYS: [u8; 3] = [1, 2, 3];

impl Change {
    fn make(self, database: &Database) -> Result<()> {
        match self {
            Self::Add => database.add_key(&new_key(3)).map(drop),
            Self::Remove => database.remove_key(2),
            Self::Replace => database.change_key(&new_key(3)),
            Self::Deep => database.change_key_deep(&new_key(3)),
        }
    }

    /// What opens the database afterwards.
    fn after(self) -> &'static [u8] {
        match self {
            Self::Add => &[1, 2, 3],
            Self::Remove => &[1],
            Self::Replace => &[3, 2],
            Self::Deep => &[3],
        }
    }
}

/// Two commits, on a database with two keys, opened by the first.
fn prepared(mode: Mode) -> SimVfs {
    let disk = SimVfs::new(1);
    let database = open(&disk, mode, &key(1)).expect("a new database");
    database.add_key(&new_key(2)).expect("nothing fails");
    set(&database, "a").expect("nothing fails");
    set(&database, "b").expect("nothing fails");
    if mode == Mode::Ledger {
        database.checkpoint().expect("nothing fails");
    }
    database.close().expect("nothing fails");
    disk
}

#[test]
fn each_change_holds_at_once_and_behind_a_reopening() {
    for mode in MODES {
        for change in CHANGES {
            let disk = prepared(mode);
            let database = open(&disk, mode, &key(1)).expect("it opens");
            change.make(&database).expect("nothing fails");
            set(&database, "c").expect("commits go on");
            database.verify().expect("nothing is damaged");
            // Without a close: the change does not wait for it.
            let killed = disk.process_crash();
            for byte in ALL_KEYS {
                let place = format!("{mode} {change:?}: key {byte}");
                assert_eq!(opens(&killed, mode, byte), change.after().contains(&byte), "{place}");
            }
            let database = open(&killed, mode, &key(change.after()[0])).expect("it opens");
            holds(&database, &["a", "b", "c"]);
            database.verify().expect("nothing is damaged");
        }
    }
}

#[test]
fn a_change_of_slots_costs_two_writes_of_the_header_whatever_the_database_holds() {
    for mode in MODES {
        for change in [Change::Add, Change::Remove, Change::Replace] {
            let disk = prepared(mode);
            let database = open(&disk, mode, &key(1)).expect("it opens");
            let before = disk.operations();
            change.make(&database).expect("nothing fails");
            // Two writes and two syncs.
            assert_eq!(disk.operations() - before, 4, "{mode} {change:?}");
        }
    }
}

#[test]
fn slots_tell_number_kind_label_and_cost_with_and_without_a_key() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Snapshot, &key(1)).expect("a new database");
    let cost = PassphraseCost::new(9000, 2, 3).expect("within bounds");
    let ada =
        NewKey { unlock: Unlock::passphrase("correct horse"), label: Some("Ada's laptop".into()), cost };
    assert_eq!(database.add_key(&ada).expect("nothing fails"), 2);
    assert_eq!(database.add_key(&new_key(3)).expect("nothing fails"), 3);
    database.remove_key(2).expect("nothing fails");
    assert_eq!(database.add_key(&ada).expect("nothing fails"), 2, "the first free slot");
    let shown = |slots: &[codex_storage::SlotInfo]| {
        let slots = slots.iter();
        slots
            .map(|slot| (slot.number, slot.kind, slot.label.clone(), slot.cost, slot.opened))
            .collect::<Vec<_>>()
    };
    let expected = |opened| {
        vec![
            (1, SlotKind::EncryptionKey, String::new(), None, opened),
            (2, SlotKind::Passphrase, "Ada's laptop".into(), Some(cost), false),
            (3, SlotKind::EncryptionKey, String::new(), None, false),
        ]
    };
    assert_eq!(shown(&database.key_slots().expect("it is open")), expected(true));
    assert_eq!(shown(&recorded_slots(&disk, Path::new(PATH)).expect("it is there")), expected(false));
    // A replaced key keeps its label, unless another one is given.
    let database = {
        drop(database);
        open(&disk, Mode::Snapshot, &Unlock::passphrase("correct horse")).expect("it opens")
    };
    database.change_key(&new_key(4)).expect("nothing fails");
    assert_eq!(database.key_slots().expect("it is open")[1].label, "Ada's laptop");
    let other = NewKey { label: Some(String::new()), ..new_key(5) };
    database.change_key_deep(&other).expect("nothing fails");
    assert_eq!(shown(&database.key_slots().expect("it is open")), expected(true)[..1]);
}

#[test]
fn what_cannot_be_changed_is_refused_and_changes_nothing() {
    for mode in MODES {
        let disk = prepared(mode);
        let database = open(&disk, mode, &key(1)).expect("it opens");
        let before = disk.read_file(PATH).expect("it is there");
        for number in [0, 3, 8, 9, usize::MAX] {
            assert_eq!(refusal(database.remove_key(number)), KeysRefusal::NoSuchSlot { number });
        }
        let unfit = NewKey { label: Some("two\nlines".into()), ..new_key(3) };
        for refused in [database.change_key(&unfit), database.change_key_deep(&unfit)] {
            assert_eq!(refusal(refused), KeysRefusal::Label);
        }
        let empty = NewKey::from(Unlock::passphrase(""));
        assert!(matches!(database.add_key(&empty), Err(StorageError::Key { .. })));
        assert!(disk.read_file(PATH).expect("it is there") == before);
        for byte in 3..=8 {
            database.add_key(&new_key(byte)).expect("eight slots");
        }
        assert_eq!(refusal(database.add_key(&new_key(9)).map(drop)), KeysRefusal::Full);
        for number in 1..=7 {
            database.remove_key(number).expect("others are left");
        }
        assert_eq!(refusal(database.remove_key(8)), KeysRefusal::LastSlot);
        // The slot that opened it is gone, so that there is nothing to replace.
        for refused in [database.change_key(&new_key(9)), database.change_key_deep(&new_key(9))] {
            assert_eq!(refusal(refused), KeysRefusal::OpenerRemoved);
        }
        set(&database, "c").expect("commits go on");
        database.close().expect("nothing fails");
        assert!(matches!(database.add_key(&new_key(9)), Err(StorageError::Closed)));
        let reading = OpenOptions { read_only: true, ..options(&disk, mode) };
        let database = reading.open(Path::new(PATH), Some(&key(8))).expect("the eighth slot opens it");
        holds(&database, &["a", "b", "c"]);
        assert!(matches!(database.remove_key(8), Err(StorageError::ReadOnly)));
    }
}

#[test]
fn a_database_without_encryption_has_no_slots() {
    let disk = SimVfs::new(1);
    let database = options(&disk, Mode::Ledger).open(Path::new(PATH), None).expect("a new database");
    assert_eq!(database.key_slots().expect("it is open"), []);
    for refused in [
        database.add_key(&new_key(1)).map(drop),
        database.remove_key(1),
        database.change_key(&new_key(1)),
        database.change_key_deep(&new_key(1)),
    ] {
        assert_eq!(refusal(refused), KeysRefusal::NotEncrypted);
    }
}

/// The keys that open the database.
fn openers(disk: &SimVfs, mode: Mode) -> Vec<u8> {
    ALL_KEYS.into_iter().filter(|byte| opens(disk, mode, *byte)).collect()
}

/// The same where one header copy is lost, for each of them.
fn openers_by_one_copy(disk: &SimVfs, mode: Mode) -> [Vec<u8>; 2] {
    [0, 1].map(|copy| {
        let damaged = disk.snapshot();
        damaged.flip_bit(PATH, (copy * BLOCK_LEN as u64 + 1000) * 8).expect("within the file");
        openers(&damaged, mode)
    })
}

fn sorted(keys: &[u8]) -> Vec<u8> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys
}

/// Demands of what a crash left: one whole set of keys opens it, every acknowledged commit is there, and what does not
/// open it now never does again, also where one header copy is lost.
fn judge(disk: &SimVfs, mode: Mode, change: Change, made: bool, keys: &[&str], place: &str) {
    let found = openers(disk, mode);
    let (before, after) = (sorted(BEFORE), sorted(change.after()));
    assert!(found == after || (!made && found == before), "{place}: the keys {found:?} open it");
    if made {
        let by_one = openers_by_one_copy(disk, mode);
        assert_eq!(by_one, [after.clone(), after], "{place}: the change counts, so both copies hold it");
    }
    let database = open(disk, mode, &key(found[0])).unwrap_or_else(|error| panic!("{place}: {error:?}"));
    for key in keys {
        assert!(database.has(key.as_bytes()), "{place}: {key}");
    }
    database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
    set(&database, "after").unwrap_or_else(|error| panic!("{place}: {error:?}"));
    drop(database);
    assert_eq!(openers_by_one_copy(disk, mode), [found.clone(), found.clone()], "{place}");
    for copy in 0..2 {
        let damaged = disk.snapshot();
        damaged.flip_bit(PATH, (copy * BLOCK_LEN as u64 + 1000) * 8).expect("within the file");
        let database = open(&damaged, mode, &key(found[0])).expect("one copy is enough");
        assert!(database.has(b"after"), "{place}: without copy {copy}");
    }
}

/// What a kill leaves verifies before anything is renewed. Returns whether one header copy is older.
fn verifies_as_it_is(disk: &SimVfs, mode: Mode, place: &str) -> bool {
    let by = openers(disk, mode)[0];
    let reading = OpenOptions { read_only: true, ..options(disk, mode) };
    let database = reading.open(Path::new(PATH), Some(&key(by))).expect("it opened before");
    database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
    database.stats().recovery.header_copy_stale
}

#[test]
fn a_power_loss_or_a_kill_at_any_operation_leaves_the_old_keys_or_the_new_ones_and_every_commit() {
    for mode in MODES {
        for change in CHANGES {
            let whole = prepared(mode);
            let database = open(&whole, mode, &key(1)).expect("it opens");
            let from = whole.operations();
            change.make(&database).expect("nothing fails");
            set(&database, "c").expect("nothing fails");
            let operations = whole.operations() - from;
            assert!(operations >= 6, "{mode} {change:?}: two header copies and a commit");
            let mut stale_copies = 0;
            for operation in 0..operations {
                let disk = prepared(mode);
                let database = open(&disk, mode, &key(1)).expect("it opens");
                disk.stop_at(operation);
                let made = change.make(&database).is_ok();
                let committed = made && set(&database, "c").is_ok();
                drop(database);
                let keys = if committed { &["a", "b", "c"][..] } else { &["a", "b"] };
                for seed in 0..4 {
                    let place = format!("{mode} {change:?} operation {operation} seed {seed}");
                    judge(&disk.snapshot().crash(seed), mode, change, made, keys, &place);
                }
                let place = format!("{mode} {change:?} operation {operation}, killed");
                let killed = disk.process_crash();
                stale_copies += u32::from(verifies_as_it_is(&killed, mode, &place));
                judge(&killed, mode, change, made, keys, &place);
            }
            let rewritten = mode == Mode::Snapshot && change == Change::Deep;
            assert_eq!(stale_copies > 0, !rewritten, "{mode} {change:?}: killed between the header copies");
        }
    }
}

#[test]
fn an_error_at_any_operation_is_reported_and_leaves_the_old_keys_or_the_new_ones() {
    let faults =
        [Fault::Before(DiskError::Io), Fault::Midway(DiskError::Io), Fault::Midway(DiskError::NoSpace)];
    for mode in MODES {
        for change in CHANGES {
            let whole = prepared(mode);
            let database = open(&whole, mode, &key(1)).expect("it opens");
            let from = whole.operations();
            change.make(&database).expect("nothing fails");
            let mut unknown = 0;
            for operation in 0..whole.operations() - from {
                for (seed, fault) in (0..).zip(faults) {
                    let disk = prepared(mode);
                    let database = open(&disk, mode, &key(1)).expect("it opens");
                    disk.fail_at(operation, fault);
                    let result = change.make(&database);
                    disk.clear_faults();
                    let place = format!("{mode} {change:?} operation {operation} {fault:?}: {result:?}");
                    let next = set(&database, "c");
                    match &result {
                        Ok(()) => assert!(next.is_ok(), "{place}, then {next:?}"),
                        Err(StorageError::KeysUnknown { .. }) => {
                            unknown += 1;
                            assert!(next.is_err(), "{place}: nothing more is written");
                        }
                        // A rewrite that failed before its rename stops nothing.
                        Err(_) => assert!(next.is_ok() || database.close().is_err(), "{place}: {next:?}"),
                    }
                    let keys = if next.is_ok() { &["a", "b", "c"][..] } else { &["a", "b"] };
                    drop(database);
                    judge(&disk.crash(seed), mode, change, result.is_ok(), keys, &place);
                }
            }
            assert_eq!(unknown > 0, mode == Mode::Ledger || change != Change::Deep, "{mode} {change:?}");
        }
    }
}

#[test]
fn a_deep_change_keeps_a_ledger_readable_from_its_first_commit_through_many_root_keys() {
    let disk = SimVfs::new(1);
    let mut database = open(&disk, Mode::Ledger, &key(1)).expect("a new database");
    let mut expected = Vec::new();
    for byte in 1..=u8::try_from(RETIRED_COUNT).expect("few") {
        let name = format!("before change {byte}");
        set(&database, &name).expect("nothing fails");
        expected.push(name);
        database.change_key_deep(&new_key(byte + 1)).expect("nothing fails");
        if byte % 3 == 0 {
            // Twice at one place: the key between them sealed nothing but the header.
            drop(database);
            database = open(&disk, Mode::Ledger, &key(byte + 1)).expect("it opens");
        }
    }
    let last = u8::try_from(RETIRED_COUNT).expect("few") + 1;
    assert_eq!(refusal(database.change_key_deep(&new_key(99))), KeysRefusal::RetiredFull);
    database.change_key(&new_key(100)).expect("the key alone can be changed");
    database.verify().expect("nothing is damaged");
    drop(database);
    assert!(!opens(&disk, Mode::Ledger, last));
    let database = open(&disk, Mode::Ledger, &key(100)).expect("it opens");
    let names: Vec<&str> = expected.iter().map(String::as_str).collect();
    holds(&database, &names);
    assert_eq!(database.verify().expect("nothing is damaged").commits, expected.len() as u64);
    let copy = header(&disk, 0);
    assert!(copy.retired.is_sorted_by_key(codex_crypto::RetiredKey::until));
    assert_eq!(copy.retired.len(), RETIRED_COUNT);
}

#[test]
fn behind_a_deep_change_the_old_root_key_opens_nothing_that_is_written() {
    // Whoever kept the header from before, and knows what opened it, reads what was there then, and no more.
    for mode in MODES {
        let disk = prepared(mode);
        let old = disk.read_file(PATH).expect("it is there");
        let database = open(&disk, mode, &key(1)).expect("it opens");
        database.change_key_deep(&new_key(3)).expect("nothing fails");
        set(&database, "secret").expect("nothing fails");
        drop(database);
        let mut file = disk.read_file(PATH).expect("it is there");
        file[..2 * BLOCK_LEN].copy_from_slice(&old[..2 * BLOCK_LEN]);
        let stolen = SimVfs::new(2);
        stolen.write_file(PATH, &file).expect("a new disk");
        stolen.write_file("/folder/app.db.lock", &[]).expect("a new disk");
        let reading = OpenOptions { read_only: true, ..options(&stolen, mode) };
        match (reading.open(Path::new(PATH), Some(&key(1))), mode) {
            (Ok(database), Mode::Ledger) => {
                holds(&database, &["a", "b"]);
                assert!(database.stats().recovery.torn_bytes > 0, "what follows is bytes");
            }
            // All of it was sealed anew: the floor of that header is not reached.
            (Err(StorageError::Damaged { source: Damage::Floor, .. }), Mode::Snapshot) => {}
            (opened, _) => panic!("{mode}: {opened:?}"),
        }
    }
}

#[test]
fn a_deep_change_pins_what_the_old_root_key_sealed() {
    // Whoever knows the old root key could seal other commits in its part of the log: the new header knows the root.
    let disk = prepared(Mode::Ledger);
    let fork = disk.snapshot();
    let database = open(&disk, Mode::Ledger, &key(1)).expect("it opens");
    set(&database, "c").expect("nothing fails");
    database.change_key_deep(&new_key(3)).expect("nothing fails");
    drop(database);
    let forged = open(&fork, Mode::Ledger, &key(1)).expect("it opens");
    set(&forged, "d").expect("nothing fails");
    drop(forged);
    let mut file = fork.read_file(PATH).expect("it is there");
    let ours = disk.read_file(PATH).expect("it is there");
    assert_eq!(file.len(), ours.len());
    file[..2 * BLOCK_LEN].copy_from_slice(&ours[..2 * BLOCK_LEN]);
    disk.write_file(PATH, &file).expect("there is space");
    let error = open(&disk, Mode::Ledger, &key(3)).expect_err("it is another log");
    assert!(matches!(error, StorageError::Damaged { source: Damage::Floor, .. }), "{error:?}");
}

#[test]
fn a_checkpoint_under_a_retired_root_key_is_not_believed() {
    let disk = prepared(Mode::Ledger);
    let old = disk.read_file(CHECKPOINT).expect("there was one");
    let database = open(&disk, Mode::Ledger, &key(1)).expect("it opens");
    assert_eq!(database.stats().recovery.checkpoint_sequence, Some(2));
    database.change_key_deep(&new_key(3)).expect("nothing fails");
    assert!(disk.read_file(CHECKPOINT).is_err(), "it goes with its key");
    drop(database);
    let database = open(&disk, Mode::Ledger, &key(3)).expect("it opens");
    assert!(!database.stats().recovery.checkpoint_damaged);
    drop(database);
    disk.write_file(CHECKPOINT, &old).expect("there is space");
    let database = open(&disk, Mode::Ledger, &key(3)).expect("it opens");
    assert!(database.stats().recovery.checkpoint_damaged);
    holds(&database, &["a", "b"]);
    database.checkpoint().expect("nothing fails");
    drop(database);
    let database = open(&disk, Mode::Ledger, &key(3)).expect("it opens");
    assert_eq!(database.stats().recovery.checkpoint_sequence, Some(2));
}

#[test]
fn a_backup_keeps_the_keys_that_it_was_made_with() {
    for mode in MODES {
        let disk = prepared(mode);
        let vfs: Arc<dyn codex_storage::vfs::Vfs> = Arc::new(disk.clone());
        let database = open(&disk, mode, &key(1)).expect("it opens");
        let copy = |name: &str| {
            let prefix = database.durable_prefix().expect("nothing fails");
            let mut bytes = vec![0; usize::try_from(prefix.len()).expect("small")];
            prefix.read_at(&mut bytes, 0).expect("within it");
            disk.write_file(name, &bytes).expect("there is space");
            let file = vfs.open(Path::new(name), codex_storage::vfs::Access::Read).expect("it is there");
            prefix.verify(&*file, Path::new(name)).expect("a whole copy");
        };
        copy("/folder/old.db");
        database.change_key_deep(&new_key(3)).expect("nothing fails");
        set(&database, "c").expect("nothing fails");
        copy("/folder/new.db");
        for (name, byte, keys) in [("old", 2, &["a", "b"][..]), ("new", 3, &["a", "b", "c"])] {
            let path = format!("/folder/{name}.db");
            let opened = options(&disk, mode).open(Path::new(&path), Some(&key(byte))).expect("its key");
            holds(&opened, keys);
            let wrong = options(&disk, mode).open(Path::new(&path), Some(&key(5 - byte)));
            assert!(matches!(wrong, Err(StorageError::WrongKey { .. } | StorageError::Locked { .. })));
        }
    }
}

#[test]
fn repair_salvages_across_a_changed_root_key_and_seals_anew_under_the_last() {
    let disk = SimVfs::new(1);
    let database = open(&disk, Mode::Ledger, &key(1)).expect("a new database");
    let mut ends = vec![database.head().offset];
    for number in 0..6_u8 {
        set(&database, &format!("{number}")).expect("nothing fails");
        ends.push(database.head().offset);
        if number % 2 == 1 {
            database.change_key_deep(&new_key(2 + number)).expect("nothing fails");
        }
    }
    database.close().expect("nothing fails");
    for (damaged, start) in ends.into_iter().take(6).enumerate() {
        let disk = disk.snapshot();
        disk.flip_bit(PATH, (start + 130) * 8).expect("within the file");
        let target = Path::new("/folder/repaired.db");
        let options = RepairOptions { vfs: Arc::new(disk.clone()), ..RepairOptions::default() };
        let report = repair(Path::new(PATH), target, Some(&key(7)), &options).expect("it is salvaged");
        assert_eq!((report.commits, report.gaps.len()), (5, 1), "{report:?}");
        let reopened = |commits: u64| {
            let options = OpenOptions { vfs: Arc::new(disk.clone()), ..OpenOptions::default() };
            let database = options.open(target, Some(&key(7))).expect("it opens");
            let report = database.verify().expect("nothing is damaged");
            assert_eq!(report.commits, commits, "commit {damaged} was damaged");
            for number in 0..6 {
                assert_eq!(database.has(format!("{number}").as_bytes()), number != damaged);
            }
            database
        };
        set(&reopened(5), "after").expect("commits go on");
        drop(reopened(6));
    }
}

#[test]
fn changes_of_keys_beside_commits_and_rewrites_lose_neither() {
    for mode in MODES {
        let disk = prepared(mode);
        let database = open(&disk, mode, &key(1)).expect("it opens");
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..200 {
                    set(&database, &format!("{number}")).expect("nothing fails");
                }
            });
            scope.spawn(|| {
                for _ in 0..20 {
                    match mode {
                        Mode::Snapshot => database.compact().expect("nothing fails"),
                        Mode::Ledger => database.checkpoint().expect("nothing fails"),
                    }
                }
            });
            scope.spawn(|| {
                for byte in 10..20 {
                    database.change_key_deep(&new_key(byte)).expect("nothing fails");
                    let number = database.add_key(&new_key(9)).expect("there is room");
                    database.change_key(&new_key(byte + 50)).expect("nothing fails");
                    if byte < 19 {
                        database.remove_key(number).expect("another one is left");
                    }
                }
            });
        });
        database.verify().expect("nothing is damaged");
        drop(database);
        for byte in [1, 2, 19, 68] {
            assert!(!opens(&disk, mode, byte), "{mode}: key {byte}");
        }
        for byte in [9, 69] {
            let database = open(&disk, mode, &key(byte)).expect("it opens");
            assert_eq!(database.record_count(), 202, "{mode}");
            database.verify().expect("nothing is damaged");
        }
    }
}

/// Making a slot takes the time of Argon2id, which leaves others room to come in between.
fn slow(passphrase: &str) -> NewKey {
    NewKey { cost: PassphraseCost::MINIMUM, ..NewKey::from(Unlock::passphrase(passphrase)) }
}

#[test]
fn a_slot_that_is_added_beside_a_deep_change_holds_the_new_root_key_or_is_gone() {
    for mode in MODES {
        let disk = prepared(mode);
        let database = open(&disk, mode, &key(1)).expect("it opens");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..10 {
                    database.change_key_deep(&slow("one")).expect("nothing fails");
                }
                done.store(true, Ordering::Release);
            });
            scope.spawn(|| {
                // The last change, too, comes in the middle of an addition.
                while !done.load(Ordering::Acquire) {
                    match database.add_key(&slow("other")) {
                        Ok(_) | Err(StorageError::KeysRefused { source: KeysRefusal::Full, .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        });
        let slots = database.key_slots().expect("it is open").len();
        drop(database);
        // A slot with the root key before would open it, and then the header would not authenticate.
        match open(&disk, mode, &Unlock::passphrase("other")) {
            Ok(_) => assert!(slots > 1, "{mode}"),
            Err(StorageError::WrongKey { .. }) => assert_eq!(slots, 1, "{mode}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_header_copy_that_finds_no_space_stops_writing_as_long_as_a_removed_key_could_come_back() {
    for second in [0, 1] {
        let disk = prepared(Mode::Ledger);
        let database = open(&disk, Mode::Ledger, &key(1)).expect("it opens");
        disk.fail_next(Operation::Write, second, Fault::Before(DiskError::NoSpace));
        let error = database.remove_key(2).expect_err("there is no space");
        assert!(matches!(error, StorageError::KeysUnknown { .. }), "{error:?}");
        assert!(set(&database, "c").is_err(), "writing goes on when it is opened again");
        drop(database);
        let database = open(&disk, Mode::Ledger, &key(1)).expect("it opens");
        assert_eq!(opens_beside(&database), 2 - usize::try_from(second).expect("small"));
        assert_eq!(header(&disk, 0), header(&disk, 1), "opening has renewed the other copy");
    }
}

fn opens_beside(database: &Database) -> usize {
    database.key_slots().expect("it is open").len()
}
