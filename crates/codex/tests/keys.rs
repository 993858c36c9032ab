//! What opens a store, as programs change it.

use codex::{
    Argon2Cost, EncryptionKey, ErrorKind, Mode, NewKey, Options, SlotKind, Store, Unlock, key_slots,
};

fn key(byte: u8) -> EncryptionKey {
    EncryptionKey::from_bytes([byte; 32])
}

fn cheap(passphrase: &str) -> NewKey {
    NewKey::passphrase(passphrase).cost(Argon2Cost::MINIMUM)
}

fn kind_without(options: &Options, path: &std::path::Path) -> ErrorKind {
    options.open(path).expect_err("it does not open").kind()
}

#[test]
fn a_changed_key_opens_the_store_and_the_old_one_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for deep in [false, true] {
            let path = folder.path().join(format!("{mode} {deep}.db"));
            let options = Options::new().mode(mode).encryption_key(key(1));
            let store: Store = options.open(&path).expect("a new store");
            store.set("a", &1).expect("nothing fails");
            if deep {
                store.change_key_deep(cheap("new")).expect("nothing fails");
            } else {
                // As the documentation shows it.
                store.change_key(codex::Unlock::passphrase("new")).expect("nothing fails");
            }
            store.set("b", &2).expect("nothing fails");
            store.close().expect("nothing fails");
            assert_eq!(kind_without(&options, &path), ErrorKind::Encryption);
            let store = Options::new().passphrase("new").open(&path).expect("the new one opens it");
            assert_eq!((store.get("a").unwrap(), store.get("b").unwrap()), (Some(1), Some(2)));
            store.verify().expect("nothing is damaged");
        }
    }
}

#[test]
fn slots_are_added_shown_and_removed_but_for_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let store = Options::new().encryption_key(key(1)).open(&path).expect("a new store");
    assert_eq!(store.add_key(cheap("ada").label("Ada's laptop")).expect("there is room"), 2);
    assert_eq!(store.add_key(key(3)).expect("there is room"), 3);
    let slots = store.key_slots().expect("it is open");
    let shown: Vec<_> = slots.iter().map(|slot| (slot.number, slot.kind, &*slot.label)).collect();
    let (a_key, a_passphrase) = (SlotKind::EncryptionKey, SlotKind::Passphrase);
    assert_eq!(shown, [(1, a_key, ""), (2, a_passphrase, "Ada's laptop"), (3, a_key, "")]);
    assert_eq!(slots[1].cost, Some(Argon2Cost::MINIMUM));
    assert_eq!(slots.iter().map(|slot| slot.opened).collect::<Vec<_>>(), [true, false, false]);
    // Without a key, and beside the store that is open.
    let recorded = key_slots(&path).expect("anybody can read them");
    assert!(recorded.iter().all(|slot| !slot.opened));
    assert_eq!(recorded[1..], slots[1..]);
    for number in [1, 2] {
        store.remove_key(number).expect("others are left");
    }
    for (refused, what) in [
        (store.remove_key(3), "the last"),
        (store.remove_key(2), "none there"),
        (store.change_key(key(4)), "its own slot is gone"),
        (store.add_key(cheap("bob").label("two\nlines")).map(drop), "no label"),
        (store.add_key(Unlock::passphrase("")).map(drop), "no passphrase"),
    ] {
        assert_eq!(refused.expect_err(what).kind(), ErrorKind::Validation, "{what}");
    }
    store.close().expect("nothing fails");
    assert_eq!(kind_without(&Options::new().passphrase("ada"), &path), ErrorKind::Encryption);
    assert_eq!(store.add_key(key(5)).expect_err("closed").kind(), ErrorKind::Validation);
    let reader = Options::new().encryption_key(key(3)).read_only(true).open(&path).expect("it opens");
    assert_eq!(reader.remove_key(3).expect_err("a reader").kind(), ErrorKind::Permission);
}

#[test]
fn a_new_store_takes_the_cost_that_was_asked_for_and_costs_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let cost = Argon2Cost::new(9 * 1024, 2, 1).expect("within bounds");
    let store = Options::new().passphrase("ada").passphrase_cost(cost).open(&path).expect("a new store");
    assert_eq!(store.key_slots().expect("it is open")[0].cost, Some(cost));
    let error = codex::Error::from(Argon2Cost::new(1, 2, 1).expect_err("too little"));
    assert_eq!(error.kind(), ErrorKind::Validation);
    let plain = Store::open(folder.path().join("plain.db")).expect("a new store");
    assert_eq!(plain.key_slots().expect("it is open"), []);
    assert_eq!(plain.change_key(key(1)).expect_err("no encryption").kind(), ErrorKind::Validation);
    let missing = key_slots(folder.path().join("missing.db"));
    assert_eq!(missing.expect_err("nothing is there").kind(), ErrorKind::NotFound);
}
