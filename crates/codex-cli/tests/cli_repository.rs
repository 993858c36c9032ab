//! A repository of backups through the command: made, listed, verified, pruned, and restored from.

mod common;

use common::Scratch;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

#[test]
fn a_repository_holds_increments_and_gives_back_any_commit() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    for mode in ["ledger", "snapshot"] {
        let db = format!("--file {mode}.db --key-file key");
        let repository = format!("{mode}.backups");
        let mut receipts = Vec::new();
        for number in 1..=3 {
            scratch.ok(&format!("{db} --mode {mode} set k {number}"));
            let made = json(&scratch.ok(&format!("{db} --json backup --to {repository}")));
            assert_eq!((&made["number"], &made["sequence"]), (&number.into(), &number.into()));
            assert!(made["sent_bytes"].as_u64().expect("a count") < 1000, "{made}");
            receipts.push(made["receipt"].as_str().expect("text").to_owned());
        }
        // Neither listing nor verifying takes the key.
        assert_eq!(scratch.ok(&format!("--json backup list {repository}")).lines().count(), 3);
        scratch.ok(&format!("backup verify {repository} --receipt {}", receipts[0]));
        scratch.ok(&format!("--key-file key restore {repository} {mode}.new"));
        assert_eq!(scratch.ok(&format!("--file {mode}.new --key-file key get k")), "3\n");
        assert_eq!(scratch.fails(&format!("--key-file key restore {repository} {mode}.new")).0, 2);
        scratch.ok(&format!("--key-file key restore {repository} {mode}.new --overwrite --at 2"));
        assert_eq!(scratch.ok(&format!("--file {mode}.new --key-file key get k")), "2\n");
        assert_eq!(scratch.fails(&format!("restore {repository} other.db")).0, 5);
        assert_eq!(scratch.fails(&format!("--key-file key restore {repository} other.db --at 4")).0, 1);
        assert!(!scratch.path("other.db").exists());

        // What was restored to an earlier point does not continue the latest backup.
        let restored = format!("--file {mode}.new --key-file key");
        assert_eq!(scratch.fails(&format!("{restored} backup --to {repository}")).0, 6);
        scratch.ok(&format!("{restored} backup --to {repository} --fork"));

        assert_eq!(scratch.fails(&format!("backup prune {repository}")).0, 2);
        scratch.ok(&format!("backup prune {repository} --keep-last 1 --dry-run"));
        assert_eq!(scratch.ok(&format!("backup list {repository}")).lines().count(), 4);
        scratch.ok(&format!("backup prune {repository} --keep-last 1"));
        assert_eq!(scratch.ok(&format!("backup list {repository}")).lines().count(), 1);
        scratch.ok(&format!("backup verify {repository}"));
        let (code, said) = scratch.fails(&format!("backup verify {repository} --receipt {}", receipts[0]));
        assert!(code == 6 && said.contains(&receipts[0]), "{said}");
    }
}

#[test]
fn several_databases_share_a_repository_and_one_is_named() {
    let scratch = Scratch::new();
    for name in ["a", "b"] {
        scratch.ok(&format!("--file {name}.db -q set k \"{name}\""));
        scratch.ok(&format!("--file {name}.db backup --to backups"));
    }
    assert_eq!(scratch.fails("restore backups new.db").0, 2);
    for line in scratch.ok("--json backup list backups").lines() {
        let id = json(line)["database"].as_str().expect("text").to_owned();
        scratch.ok(&format!("restore backups {id}.db --database {id}"));
    }
    assert_eq!(scratch.fails("restore backups new.db --database 00").0, 1);
}

#[test]
fn damage_is_named_and_what_is_no_repository_is_left_alone() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set k 1");
    scratch.ok("--file a.db backup --to backups");
    let database = std::fs::read_dir(scratch.path("backups")).expect("a folder");
    let folder = database.map(|entry| entry.expect("an entry").path()).find(|path| path.is_dir());
    let names = std::fs::read_dir(folder.expect("one for the database")).expect("a folder");
    let piece = names
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().contains("piece-"))
        .expect("one piece");
    let mut bytes = std::fs::read(&piece).expect("it is there");
    bytes[100] ^= 1;
    std::fs::write(&piece, bytes).expect("it can be written");
    let (code, said) = scratch.fails("backup verify backups");
    let name = piece.file_name().expect("a name").to_string_lossy();
    assert!(code == 6 && said.contains(&*name), "{said}");
    assert_eq!(scratch.fails("restore backups new.db").0, 6);
    assert!(!scratch.path("new.db").exists());

    std::fs::create_dir(scratch.path("mine")).expect("a folder");
    scratch.write("mine/letter", "text");
    assert_eq!(scratch.fails("--file a.db backup --to mine").0, 2);
    assert_eq!(std::fs::read_dir(scratch.path("mine")).expect("a folder").count(), 1);
    assert_eq!(scratch.fails("backup list missing").0, 1);
}
