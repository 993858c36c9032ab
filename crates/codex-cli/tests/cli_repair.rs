//! `codex repair`: salvages into a new, private file, says what is missing, and leaves everything else alone.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::{DATA, DATA_RECORDS, Scratch, stderr, stdout};
use serde_json::{Value, json};

fn object(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

/// Every file of the folder.
fn files(scratch: &Scratch) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(scratch.folder()).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    paths.map(|path| (path.clone(), std::fs::read(&path).expect("it can be read"))).collect()
}

/// A database `a.db` of six commits that set `k1` to `k6`, and the offsets of its six frames and of its end.
fn six_commits(scratch: &Scratch, options: &str, tag_len: usize) -> Vec<usize> {
    for number in 1..=6 {
        scratch.ok(&format!("--file a.db --quiet {options} set k{number} {number}"));
    }
    let bytes = scratch.read("a.db");
    let mut offsets = vec![8192];
    while offsets[offsets.len() - 1] < bytes.len() {
        let start = offsets[offsets.len() - 1];
        let len = u32::from_le_bytes(bytes[start + 28..start + 32].try_into().expect("four bytes"));
        offsets.push(start + 128 + usize::try_from(len).expect("a small frame") + tag_len);
    }
    assert_eq!(offsets.len(), 7);
    offsets
}

fn flip(scratch: &Scratch, offset: usize) {
    let mut bytes = scratch.read("a.db");
    bytes[offset] ^= 1;
    scratch.write("a.db", &bytes);
}

#[test]
fn an_undamaged_database_gives_the_same_records_and_the_same_head() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    for mode in ["ledger", "snapshot"] {
        let database = format!("--file {mode}.db --key-file key");
        scratch.ok(&format!("{database} --quiet --mode {mode} import {DATA}"));
        let printed = scratch.ok(&format!("--key-file key repair {mode}.db {mode}.new"));
        assert!(
            printed.contains(&format!(
                "and 4 commits with {DATA_RECORDS} records into {mode}.new, verified; nothing is missing\n"
            )),
            "{printed}"
        );
        let repaired = format!("--file {mode}.new --key-file key");
        for command in ["export", "head", "verify"] {
            let (old, new) =
                (scratch.ok(&format!("{database} {command}")), scratch.ok(&format!("{repaired} {command}")));
            assert!(old == new, "{mode} {command}");
        }
    }
}

#[test]
fn a_damaged_commit_is_named_and_all_others_are_salvaged() {
    for (options, key, tag_len) in
        [("--mode ledger --key-file key", "--key-file key", 16), ("--mode snapshot", "", 32)]
    {
        let scratch = Scratch::new();
        scratch.keygen("key");
        let frames = six_commits(&scratch, options, tag_len);
        flip(&scratch, frames[2] + 130);
        flip(&scratch, frames[3] + 5);
        let before = files(&scratch);
        let damaged = [frames[2].to_string(), frames[4].to_string()];
        assert_eq!(scratch.fails(&format!("--file a.db {key} verify")).0, 6);

        let line = format!("{key} repair a.db new.db");
        let dry = scratch.ok(&format!("--json {line} --dry-run"));
        assert!(files(&scratch) == before, "a dry run creates nothing");
        let output = scratch.run(line.split_whitespace());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let missing = format!(
            "missing: bytes {} to {}, commits 3 to 4; commit 5 is commit 3 now",
            damaged[0], damaged[1]
        );
        assert_eq!(
            stdout(&output),
            format!(
                "salvaged 4 frames and 4 commits with 4 records into new.db, verified; \
                 the result is NOT complete\n{missing}\n"
            )
        );
        assert!(stderr(&output).contains("older value"), "{}", stderr(&output));

        let mut after = files(&scratch);
        assert!(after.remove(&scratch.path("new.db")).is_some());
        assert_eq!(after.remove(&scratch.path("new.db.lock")).as_deref(), Some(&[][..]));
        assert!(after == before, "nothing else is touched");
        let keys = scratch.ok(&format!("--file new.db {key} keys"));
        assert_eq!(keys, "k1\nk2\nk5\nk6\n");
        scratch.ok(&format!("--file new.db {key} set k7 7"));
        scratch.ok(&format!("--file new.db {key} verify"));

        let dry = object(&dry);
        let gap = json!({
            "from": frames[2], "to": frames[4], "first_missing": 3, "last_missing": 4,
            "resumed_original": 5, "resumed_renumbered": 3, "unfit_frames": 0, "foreign_frames": 0,
        });
        assert_eq!(
            dry,
            json!({
                "repaired": null, "complete": false, "source_bytes": frames[6], "kept_bytes": frames[2],
                "frames": 4, "commits": 4, "records": 4, "sequence": 4, "size": null, "root": null,
                "gaps": [gap], "torn_bytes": 0, "header_copy_stale": false, "header_fallback": false,
                "floor_contradicted": false, "search_ended": null,
            })
        );
    }
}

#[test]
fn the_json_of_a_repair_names_the_new_file_and_its_head() {
    let scratch = Scratch::new();
    let frames = six_commits(&scratch, "--mode ledger", 32);
    flip(&scratch, frames[5] + 1);
    let report = object(&scratch.ok("--json repair a.db new.db"));
    let head = object(&scratch.ok("--file new.db --json head"));
    assert_eq!(report["repaired"], "new.db");
    for member in ["size", "root", "sequence"] {
        assert_eq!(report[member], head[member], "{member}");
    }
    let gap = &report["gaps"][0];
    assert_eq!((&gap["first_missing"], &gap["last_missing"]), (&json!(6), &Value::Null));
    assert_eq!(gap["to"], json!(frames[6]));
}

#[test]
fn every_way_in_stays_a_way_into_the_new_file() {
    let scratch = Scratch::new();
    let passphrase = scratch.write("passphrase", "correct horse battery staple\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(passphrase, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    let frames = six_commits(&scratch, "--passphrase-file passphrase", 16);
    flip(&scratch, frames[0]);
    scratch.ok("--quiet --passphrase-file passphrase repair a.db new.db");
    assert_eq!(scratch.ok("--file new.db --passphrase-file passphrase count"), "5\n");
    assert_eq!(scratch.fails("--file new.db count").0, 5);
}

#[test]
fn what_repair_cannot_do_is_refused_by_kind_and_nothing_is_made() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    scratch.keygen("other");
    six_commits(&scratch, "--key-file key", 16);
    scratch.write("existing", "mine");
    scratch.write("text", "not a database");
    let whole = scratch.read("a.db");
    let mut headless = whole.clone();
    headless[100] ^= 1;
    headless[4096 + 100] ^= 1;
    scratch.write("headless.db", &headless);
    let before = files(&scratch);
    for (line, code, said) in [
        ("repair a.db new.db", 5, "is encrypted; give its encryption key or passphrase"),
        ("--key-file other repair a.db new.db", 5, "does not open"),
        ("--key-file key repair a.db existing", 2, "exists already and is left as it is"),
        ("--key-file key repair a.db existing --dry-run", 2, "exists already"),
        ("--key-file key repair a.db a.db", 2, "exists already"),
        ("--key-file key repair missing.db new.db", 1, "there is no database at"),
        ("--key-file key repair text new.db", 2, "is not a CodexDB database"),
        ("--key-file key repair headless.db new.db", 6, "a backup of this database opens with the same key"),
        ("repair a.db", 2, "missing: <TARGET>"),
    ] {
        let (got, message) = scratch.fails(line);
        assert_eq!(got, code, "{line}: {message}");
        assert!(message.contains(said), "{line}: {message}");
        assert!(files(&scratch) == before, "{line}");
    }
    let (_, error) = scratch.fails("--json repair a.db new.db");
    assert_eq!(object(&error)["error"]["kind"], "Encryption");
}

#[cfg(unix)]
#[test]
fn what_repair_makes_is_private_under_umask_000() {
    let scratch = Scratch::new();
    let frames = six_commits(&scratch, "--mode ledger", 32);
    flip(&scratch, frames[1]);
    let output = scratch.sh("umask 000; $CODEX repair a.db new/deep/new.db");
    assert!(output.status.success(), "{}", stderr(&output));
    for file in ["new/deep/new.db", "new/deep/new.db.lock"] {
        assert_eq!(common::mode(&scratch.path(file)), 0o600, "{file}");
    }
    for folder in ["new", "new/deep"] {
        assert_eq!(common::mode(&scratch.path(folder)), 0o700, "{folder}");
    }
}
