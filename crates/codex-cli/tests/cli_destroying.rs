//! What nothing brings back goes only where that was said, and can be tried before.

mod common;

use common::Scratch;

fn filled() -> Scratch {
    let scratch = Scratch::new();
    for (key, value) in [("user:1", 1), ("user:2", 2), ("other", 3)] {
        scratch.ok(&format!("--file a.db -q set {key} {value}"));
    }
    scratch
}

#[test]
fn what_chooses_records_deletes_them_only_with_yes() {
    let scratch = filled();
    for choice in ["--prefix user:", "--glob user:?", "--from user:", "--from p --to v"] {
        let (code, said) = scratch.fails(&format!("--file a.db delete {choice}"));
        assert_eq!(code, 2, "{choice}");
        assert!(said.contains("that deletes 2 records") && said.contains("--yes"), "{choice}: {said}");
        let dry = scratch.ok(&format!("--file a.db delete {choice} --dry-run"));
        assert_eq!(dry, "2 would be deleted\n", "{choice}");
        assert_eq!(scratch.ok("--file a.db count"), "3\n", "{choice}");
    }
    assert_eq!(scratch.ok("--file a.db delete --prefix user: --yes"), "2 deleted\n");
    assert_eq!(scratch.ok("--file a.db keys"), "other\n");
    let output = scratch.run("--file a.db delete --prefix user:".split(' '));
    assert_eq!(output.status.code(), Some(1), "nothing is chosen, and nothing asked");
}

#[test]
fn a_delete_names_keys_or_chooses_them() {
    let scratch = filled();
    for line in ["delete", "delete --yes", "delete user:1 --prefix user:", "delete --dry-run"] {
        assert_eq!(scratch.fails(&format!("--file a.db {line}")).0, 2, "{line}");
        assert_eq!(scratch.ok("--file a.db count"), "3\n", "{line}");
    }
    assert_eq!(scratch.ok("--file a.db delete user:1 user:1 none --dry-run"), "1 would be deleted\n");
    assert_eq!(scratch.ok("--file a.db delete user:1 none"), "1 deleted\n", "named keys are said");
}

#[test]
fn a_dry_run_changes_no_byte() {
    let scratch = filled();
    scratch.keygen("one");
    scratch.keygen("two");
    scratch.ok("--file b.db --key-file one -q set k 1");
    scratch.ok("--file b.db --key-file one -q key add --new-key-file two --label spare");
    let before = (scratch.read("a.db"), scratch.read("b.db"));
    assert_eq!(scratch.ok("--file a.db clear --dry-run"), "3 would be deleted\n");
    assert_eq!(scratch.ok("--file a.db --json clear --dry-run"), "{\"deleted\":null,\"records\":3}\n");
    let slot = scratch.ok("--file b.db --key-file one key remove 2 --dry-run");
    assert_eq!(slot, "would remove slot 2\tkey\tspare\n");
    assert_eq!(scratch.fails("--file b.db --key-file one key remove 3 --dry-run").0, 2);
    assert!((scratch.read("a.db"), scratch.read("b.db")) == before);
}

#[test]
fn where_nobody_can_answer_overwrite_and_prune_do_what_they_say() {
    let scratch = filled();
    scratch.ok("--file a.db backup copy.db");
    scratch.ok("--file a.db backup --to backups");
    scratch.ok("--file a.db backup --to backups");
    scratch.ok("restore copy.db a.db --overwrite");
    scratch.ok("restore copy.db a.db --overwrite --yes");
    assert!(scratch.ok("backup prune backups --keep-last 1").starts_with("removed 1 backups"));
    assert!(scratch.ok("backup prune backups --keep-last 1 --yes").starts_with("removed 0 backups"));
}
