//! Repair through the library: the options, the report and the kinds of its errors.

use std::fs;
use std::path::PathBuf;

use codex::{EncryptionKey, ErrorKind, Mode, Options, RepairOptions, Store, Unlock};
use tempfile::TempDir;

const KEY: [u8; 32] = [7; 32];

fn key() -> EncryptionKey {
    EncryptionKey::from_bytes(KEY)
}

/// A ledger of three commits, the second of which is destroyed; and its folder.
fn damaged() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, target) = (folder.path().join("broken.db"), folder.path().join("salvaged.db"));
    let store = Options::new().mode(Mode::Ledger).encryption_key(key()).open(&path).expect("a new store");
    store.set("counter", &1).expect("the disk is healthy");
    store.flush().expect("the disk is healthy");
    let second = usize::try_from(store.stats().log_bytes).expect("a small file");
    store.set("counter", &2).expect("the disk is healthy");
    store.set("other", &3).expect("the disk is healthy");
    store.close().expect("the disk is healthy");
    let mut bytes = fs::read(&path).expect("the file is there");
    bytes[second] ^= 1;
    fs::write(&path, &bytes).expect("the disk is healthy");
    (folder, path, target)
}

#[test]
fn a_repair_salvages_around_the_damage_and_says_what_is_missing() {
    let (_folder, path, target) = damaged();
    let before = fs::read(&path).expect("the file is there");
    let open = |path| Options::new().encryption_key(key()).open(path);
    assert_eq!(open(&path).map(|_| ()).expect_err("it is damaged").kind(), ErrorKind::Integrity);

    let dry = codex::repair(&path, &target, RepairOptions::new().encryption_key(key()).dry_run(true));
    let mut dry = dry.expect("a dry run");
    assert!(!target.exists() && dry.head.is_none());
    let report = codex::repair(&path, &target, RepairOptions::new().unlock(Unlock::from(key())));
    let report = report.expect("two commits are whole");
    assert!(!report.complete);
    assert_eq!((report.commits, report.sequence, report.gaps.len()), (2, 2, 1));
    let gap = report.gaps[0];
    assert_eq!((gap.from, gap.first_missing, gap.last_missing), (report.kept_bytes, Some(2), Some(2)));
    let resumed = gap.resumed.expect("a commit follows");
    assert_eq!((resumed.original, resumed.renumbered), (3, 2));
    dry.head = report.head;
    assert_eq!(dry, report);

    let store: Store = open(&target).expect("it is a database");
    assert_eq!(Some(store.head()), report.head);
    assert_eq!(store.get::<u32>("counter").expect("a number"), Some(1), "as before the missing commit");
    assert_eq!(store.get::<u32>("other").expect("a number"), Some(3));
    store.verify().expect("it is whole");
    assert!(fs::read(&path).expect("the file is there") == before);
}

#[test]
fn errors_of_a_repair_have_the_kinds_of_the_contract() {
    let (folder, path, target) = damaged();
    let kind = |source: &PathBuf, target: &PathBuf, options| {
        codex::repair(source, target, options).expect_err("it is refused").kind()
    };
    let with_key = || RepairOptions::new().encryption_key(key());
    assert_eq!(kind(&path, &target, RepairOptions::new()), ErrorKind::Encryption);
    assert_eq!(kind(&path, &target, RepairOptions::new().passphrase("wrong")), ErrorKind::Encryption);
    assert_eq!(kind(&path, &path, with_key()), ErrorKind::Validation);
    assert_eq!(kind(&folder.path().join("missing"), &target, with_key()), ErrorKind::NotFound);
    assert!(!target.exists());
    fs::write(&path, vec![0xa5; 20_000]).expect("the disk is healthy");
    assert_eq!(
        kind(&path, &target, with_key()),
        ErrorKind::Validation,
        "nothing says that it was a database"
    );
}
