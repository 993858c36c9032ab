//! The database's files: checked, copied, restored, private, and left alone where they are not ours.

mod common;

use common::{DATA, Scratch, stderr};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

#[test]
fn a_backup_restores_to_the_same_records_and_the_same_head() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    for mode in ["ledger", "snapshot"] {
        let with = |file: &str| format!("--file {file} --key-file key");
        let database = with(&format!("{mode}.db"));
        scratch.ok(&format!("{database} --mode {mode} import {DATA}"));
        let exported = scratch.ok(&format!("{database} export"));
        scratch.ok(&format!("{database} backup {mode}.copy"));
        let head = scratch.ok(&format!("{database} head"));
        scratch.ok(&format!("{database} clear --yes"));

        scratch.ok(&format!("--key-file key restore {mode}.copy {mode}.new"));
        assert!(scratch.ok(&format!("{} export", with(&format!("{mode}.new")))) == exported, "{mode}");
        let report = json(&scratch.ok(&format!("{} --json verify", with(&format!("{mode}.new")))));
        assert_eq!(report["torn_bytes"], 0);
        if mode == "ledger" {
            assert_eq!(scratch.ok(&format!("{} head", with("ledger.new"))), head);
        }
    }
}

#[test]
fn backup_and_restore_replace_nothing_without_being_told() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set k 1");
    scratch.ok("--file a.db backup copy");
    scratch.ok("--file a.db set k 2");
    assert_eq!(scratch.fails("--file a.db backup copy").0, 2);
    let before = scratch.read("a.db");
    assert_eq!(scratch.fails("restore copy a.db").0, 2);
    assert!(scratch.read("a.db") == before);
    assert_eq!(scratch.fails("restore missing new.db").0, 1);
    assert!(!scratch.path("new.db").exists());
    scratch.ok("restore copy a.db --overwrite");
    assert_eq!(scratch.ok("--file a.db get k"), "1\n");
}

#[test]
fn restore_goes_back_to_the_commit_or_the_time_that_it_is_given() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    scratch.ok("--file a.db --key-file key --mode ledger set k 1");
    scratch.ok("--file a.db --key-file key set k 2");
    let commit = json(&scratch.ok("--file a.db --key-file key --json log --until 1"));
    let time = commit["time"].as_str().expect("a time").to_owned();
    for (name, point) in [("one.db", "1"), ("then.db", &time)] {
        scratch.ok(&format!("--key-file key restore a.db {name} --at {point}"));
        assert_eq!(scratch.ok(&format!("--file {name} --key-file key get k")), "1\n", "{point}");
        let next = json(&scratch.ok(&format!("--file {name} --key-file key --json set k 3")));
        assert_eq!(next["sequence"], 2, "{point}");
    }
    assert_eq!(scratch.fails("--key-file key restore a.db new.db --at 3").0, 1);
    assert_eq!(scratch.fails("--key-file key restore a.db new.db --at soon").0, 2);
    assert_eq!(scratch.fails("restore a.db new.db --at 1").0, 5);
    assert!(!scratch.path("new.db").exists());
}

#[test]
fn a_flipped_byte_is_refused_wherever_it_is_and_the_file_is_left() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    for mode in ["ledger", "snapshot"] {
        let file = format!("{mode}.db");
        for number in 0..5 {
            scratch.ok(&format!("--file {file} --mode {mode} --key-file key set k{number} {number}"));
        }
        let whole = scratch.read(&file);
        // Behind both copies of the header, which stand in for each other.
        for offset in (8192..whole.len()).step_by(97) {
            let mut damaged = whole.clone();
            damaged[offset] ^= 0x10;
            scratch.write("damaged.db", &damaged);
            let (code, said) = scratch.fails("--file damaged.db --key-file key verify");
            assert_eq!(code, 6, "{mode}, byte {offset}: {said}");
            let (code, _) = scratch.fails("--file damaged.db --key-file key set k 1");
            assert_eq!(code, 6, "{mode}, byte {offset}");
            assert!(scratch.read("damaged.db") == damaged, "{mode}, byte {offset}");
        }
    }
}

#[test]
fn what_is_not_a_database_is_refused_by_name_and_left_alone() {
    let scratch = Scratch::new();
    scratch.write("empty", "");
    scratch.write("text", "not a database\n".repeat(1000));
    scratch.write("zeros", vec![0; 16384]);
    std::fs::create_dir(scratch.path("folder")).expect("a folder");
    for name in ["empty", "text", "zeros", "folder"] {
        let content = std::fs::read(scratch.path(name)).ok();
        for verb in ["get k", "set k 1", "verify"] {
            let (code, said) = scratch.fails(&format!("--file {name} {verb}"));
            assert!([2, 6].contains(&code), "{name} {verb}: {code} {said}");
            assert!(said.contains(&format!("/{name}")), "{name} {verb}: {said}");
            assert_eq!(std::fs::read(scratch.path(name)).ok(), content);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_fifo_is_refused_and_not_waited_for() {
    let scratch = Scratch::new();
    let output = scratch.sh("mkfifo pipe || exit 99
         for verb in 'get k' 'set k 1'; do timeout 20 $CODEX --file pipe $verb; echo $?; done");
    assert_eq!(common::stdout(&output), "2\n2\n", "{}", stderr(&output));
    assert!(stderr(&output).contains("/pipe"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn everything_that_is_made_is_private_under_umask_000() {
    let scratch = Scratch::new();
    let output = scratch.sh("umask 000; set -e
         $CODEX keygen key
         for mode in ledger snapshot; do
             $CODEX --file new/deep/$mode.db --mode $mode --key-file key set k 1
             $CODEX --file new/deep/$mode.db --key-file key backup $mode.copy
             $CODEX --key-file key restore $mode.copy $mode.new
             $CODEX --file $mode.new --key-file key export $mode.out
         done
         $CODEX --home --key-file key set k 1");
    assert!(output.status.success(), "{}", stderr(&output));
    let mut pending = vec![scratch.folder().to_path_buf()];
    let (mut files, mut folders) = (0, 0);
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                assert_eq!(common::mode(&path), 0o700, "{}", path.display());
                folders += 1;
                pending.push(path);
            } else {
                assert_eq!(common::mode(&path), 0o600, "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files >= 11 && folders == 3, "{files} files, {folders} folders");
}

#[cfg(unix)]
#[test]
fn the_folder_of_a_tour_is_private_under_umask_000() {
    let scratch = Scratch::in_memory();
    let output = scratch.sh("umask 000; TMPDIR=. $CODEX tour --keep");
    assert!(output.status.success(), "{}", stderr(&output));
    let names =
        std::fs::read_dir(scratch.folder()).expect("it is there").map(|entry| entry.expect("an entry"));
    let tours: Vec<_> = names.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    assert_eq!(tours.len(), 1, "{tours:?}");
    assert_eq!(common::mode(&tours[0]), 0o700);
}

#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_and_passes() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set kept 1");
    // A file may grow to 64 blocks of 512 bytes: 32 KiB, as on a disk that is full then.
    let limited = "ulimit -f 64; trap '' XFSZ; ";
    let output = scratch.sh(&format!("{limited} $CODEX --file a.db import '{DATA}'"));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("/a.db"), "{}", stderr(&output));
    let output =
        scratch.sh(&format!("{limited} $CODEX --file a.db set small 2 && $CODEX --file a.db verify"));
    assert!(output.status.success(), "what still fits is stored: {}", stderr(&output));
    assert_eq!(scratch.ok("--file a.db scan"), "kept\t1\nsmall\t2\n");

    let output = scratch
        .sh(&format!("{limited} $CODEX --file new.db -q import '{DATA}' || $CODEX --file new.db count"));
    assert_eq!(common::stdout(&output), "0\n", "{}", stderr(&output));
    scratch.ok(&format!("--file a.db import {DATA}"));
    let output = scratch.sh(&format!("{limited} $CODEX --file a.db export out"));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!scratch.path("out").exists(), "half an export has no name");
}

#[test]
fn json_is_one_object_a_line_for_every_verb() {
    let scratch = Scratch::new();
    scratch.write("in", "{\"key\":\"b\",\"value\":1}\n");
    scratch.write("ops", "{\"op\":\"set\",\"key\":\"c\",\"value\":1}\n");
    for (line, member) in [
        ("set a 1", "sequence"),
        ("get a", "value"),
        ("has a", "has"),
        ("import in", "imported"),
        ("batch ops", "operations"),
        ("keys", "key"),
        ("scan", "value"),
        ("count", "count"),
        ("export", "value"),
        ("export out", "exported"),
        ("verify", "root"),
        ("head", "root"),
        ("stats", "memory_bytes"),
        ("backup copy", "root"),
        ("restore copy new.db", "restored"),
        ("repair copy salvaged.db", "gaps"),
        ("keygen key", "key_file"),
        ("delete a", "deleted"),
        ("clear --yes", "deleted"),
    ] {
        let output = scratch.run(format!("--file a.db --json {line}").split(' '));
        assert!(output.status.success() && output.stderr.is_empty(), "{line}: {}", stderr(&output));
        let lines = common::stdout(&output);
        assert!(!lines.is_empty(), "{line}");
        for object in lines.lines().map(json) {
            assert!(object.get(member).is_some(), "{line}: {object}");
        }
    }
    assert_eq!(scratch.ok("--file a.db --json backups"), "");
}

#[test]
fn errors_in_json_have_kind_and_message() {
    let scratch = Scratch::new();
    for (line, kind, code) in [("--file a.db --json get k", "NotFound", 1), ("--json keys", "Validation", 2)]
    {
        let (got, said) = scratch.fails(line);
        let error = &json(&said)["error"];
        assert_eq!((got, error["kind"].as_str()), (code, Some(kind)), "{said}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{said}");
    }
}
