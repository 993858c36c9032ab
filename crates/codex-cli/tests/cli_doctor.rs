//! What is wrong with a database is named, and nothing is changed by looking.
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use common::{Scratch, stderr, stdout};
use serde_json::Value;

/// A folder with an encrypted database in `data`, its key elsewhere, and a backup beside it: nothing is wrong.
fn healthy(mode: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.keygen("key");
    scratch.ok(&format!("--file data/a.db --key-file key --mode {mode} set k 1"));
    scratch.ok("--file data/a.db --key-file key set k 2");
    scratch.ok("--file data/a.db --key-file key backup data/a.db.bak.1");
    scratch
}

/// The findings by their check, and the exit code. No file has changed.
fn doctor(scratch: &Scratch, words: &str) -> (BTreeMap<String, Value>, i32) {
    let before = files(&scratch.path("data"));
    let output = scratch.run(format!("--json {words} doctor").split_whitespace());
    assert!(files(&scratch.path("data")) == before, "{words}: a file has changed");
    let lines = stdout(&output);
    assert_eq!(stderr(&output), "", "{words}: {lines}");
    let findings = lines.lines().map(|line| serde_json::from_str(line).expect("an object"));
    let findings: BTreeMap<_, Value> = findings
        .map(|finding: Value| (finding["check"].as_str().expect("a name").to_owned(), finding))
        .collect();
    assert_eq!(findings.len(), lines.lines().count(), "each check has one finding");
    (findings, output.status.code().expect("it ends by itself"))
}

/// Every file with its content and time.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let file = |entry: fs::DirEntry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).expect("a time");
        let content = fs::read(entry.path()).expect("a file");
        (entry.file_name().to_string_lossy().into_owned(), (content, modified))
    };
    entries.map(|entry| file(entry.expect("an entry"))).collect()
}

/// The checks whose state is not `ok`, with it.
fn not_ok(findings: &BTreeMap<String, Value>) -> Vec<(&str, &str)> {
    findings
        .iter()
        .map(|(check, finding)| (check.as_str(), finding["state"].as_str().expect("a state")))
        .filter(|(_, state)| *state != "ok")
        .collect()
}

const WITH_KEY: &str = "--file data/a.db --key-file key";

fn set_mode(scratch: &Scratch, name: &str, mode: u32) {
    fs::set_permissions(scratch.path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn nothing_is_wrong_with_a_database_that_is_well() {
    for mode in ["ledger", "snapshot"] {
        let scratch = healthy(mode);
        let (findings, code) = doctor(&scratch, WITH_KEY);
        assert_eq!((not_ok(&findings), code), (vec![], 0), "{mode}: {findings:#?}");
        let checks: Vec<_> = findings.keys().map(String::as_str).collect();
        let all = [
            "backup",
            "checkpoint",
            "file",
            "folder",
            "header",
            "key",
            "leftovers",
            "lock",
            "log",
            "permissions",
            "rewrite",
            "space",
        ];
        assert_eq!(checks, all);
        assert_eq!((&findings["log"]["sequence"], &findings["log"]["floor_size"]), (&2.into(), &2.into()));
        assert_eq!(findings["key"]["slots"], 1);
        let text = scratch.ok(&format!("{WITH_KEY} doctor"));
        assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");
    }
}

#[test]
fn without_the_key_the_rest_is_looked_at_and_nothing_fails() {
    let scratch = healthy("ledger");
    let (findings, code) = doctor(&scratch, "--file data/a.db");
    assert_eq!((not_ok(&findings), code), (vec![("key", "unchecked"), ("rewrite", "unchecked")], 0));
    assert_eq!(findings["log"]["sequence"], 2);
}

#[test]
fn a_missing_database_fails_and_its_backup_is_named() {
    let scratch = healthy("snapshot");
    let (findings, code) = doctor(&scratch, "--file data/other.db");
    assert_eq!((findings["file"]["state"].as_str(), code), (Some("fail"), 1));
    fs::remove_file(scratch.path("data/a.db")).expect("it is there");
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((findings["file"]["state"].as_str(), code), (Some("fail"), 1));
    let advice = findings["file"]["advice"].as_str().expect("advice");
    assert!(advice.contains("codex restore") && advice.contains("a.db.bak.1"), "{advice}");
    scratch.write("data/a.db", "text");
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((findings["file"]["state"].as_str(), code), (Some("fail"), 1));
    assert_eq!(findings["log"]["state"], "unchecked");
}

#[test]
fn a_key_that_does_not_open_it_or_cannot_be_read_fails() {
    let scratch = healthy("snapshot");
    scratch.keygen("other");
    for words in ["--file data/a.db --key-file other", "--file data/a.db --key-file missing"] {
        let (findings, code) = doctor(&scratch, words);
        assert_eq!((findings["key"]["state"].as_str(), code), (Some("fail"), 1), "{words}");
        assert_eq!(findings["log"]["state"], "unchecked", "{words}");
    }
    set_mode(&scratch, "key", 0o640);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((findings["key"]["state"].as_str(), code), (Some("fail"), 1));
    assert_eq!(findings["key"]["advice"], "chmod 600 key");
}

#[test]
fn a_key_in_the_folder_of_its_database_is_pointed_out() {
    let scratch = healthy("snapshot");
    fs::rename(scratch.path("key"), scratch.path("data/key")).expect("it is there");
    let (findings, code) = doctor(&scratch, "--file data/a.db --key-file data/key");
    assert_eq!((not_ok(&findings), code), (vec![("key", "warn")], 0));
}

#[test]
fn damage_in_the_log_fails_and_in_a_copy_of_the_header_is_a_warning() {
    for mode in ["ledger", "snapshot"] {
        let scratch = healthy(mode);
        let whole = scratch.read("data/a.db");
        for (offset, bad) in
            [(300, ("header", "warn")), (4096 + 300, ("header", "warn")), (8192 + 140, ("log", "fail"))]
        {
            let mut damaged = whole.clone();
            damaged[offset] ^= 1;
            scratch.write("data/a.db", damaged);
            let (findings, code) = doctor(&scratch, WITH_KEY);
            assert!(not_ok(&findings).contains(&bad), "{mode}, byte {offset}: {findings:#?}");
            assert_eq!(code, i32::from(bad.1 == "fail"), "{mode}, byte {offset}");
            assert!(findings[bad.0]["advice"].is_string(), "{mode}, byte {offset}");
        }
    }
}

#[test]
fn what_a_crash_left_is_a_warning() {
    let scratch = healthy("ledger");
    let mut torn = scratch.read("data/a.db");
    torn.extend([7; 33]);
    scratch.write("data/a.db", torn);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("log", "warn")], 0));
    assert_eq!(findings["log"]["torn_bytes"], 33);
    let (findings, _) = doctor(&scratch, "--file data/a.db");
    assert_eq!((&findings["log"]["state"], &findings["log"]["torn_bytes"]), (&"warn".into(), &33.into()));

    // The next writer puts them aside.
    scratch.ok(&format!("{WITH_KEY} set k 3"));
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("leftovers", "warn")], 0));
    assert_eq!(findings["leftovers"]["torn_file_bytes"], 33);
    fs::remove_file(scratch.path("data/a.db.torn")).expect("it is there");

    let temporary = "data/.a.db.tmp-0123456789abcdef";
    scratch.write(temporary, "left");
    set_mode(&scratch, temporary, 0o600);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("leftovers", "warn")], 0));
    assert_eq!(findings["leftovers"]["temporary_bytes"], 4);
    fs::remove_file(scratch.path(temporary)).expect("it is there");

    scratch.write("data/a.db.ckpt", "no checkpoint");
    set_mode(&scratch, "data/a.db.ckpt", 0o600);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("checkpoint", "warn")], 0));
}

#[test]
fn files_and_folders_that_others_can_use_are_named_with_the_command_that_mends_them() {
    let scratch = healthy("snapshot");
    set_mode(&scratch, "data/a.db", 0o644);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("permissions", "warn")], 0), "it is encrypted");
    let advice = findings["permissions"]["advice"].as_str().expect("advice");
    assert!(advice.starts_with("chmod 600 /") && advice.ends_with("/data/a.db"), "{advice}");
    set_mode(&scratch, "data/a.db", 0o620);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("permissions", "fail")], 1));
    assert!(scratch.sh(findings["permissions"]["advice"].as_str().expect("advice")).status.success());
    set_mode(&scratch, "data", 0o777);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("folder", "fail")], 1));
    set_mode(&scratch, "data", 0o1777);
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!(
        (not_ok(&findings), code),
        (vec![], 0),
        "nobody replaces the files of others in such a folder"
    );

    let scratch = Scratch::new();
    scratch.ok("--quiet --file data/a.db set k 1");
    set_mode(&scratch, "data/a.db", 0o604);
    let (findings, code) = doctor(&scratch, "--file data/a.db");
    assert_eq!((findings["permissions"]["state"].as_str(), code), (Some("fail"), 1), "it is not encrypted");
}

#[test]
fn a_backup_that_is_missing_or_old_is_a_warning() {
    let scratch = healthy("snapshot");
    let age = |days: u64| {
        let backup =
            fs::File::options().write(true).open(scratch.path("data/a.db.bak.1")).expect("it is there");
        backup.set_modified(SystemTime::now() - Duration::from_hours(24 * days)).expect("it is ours");
    };
    scratch.ok(&format!("{WITH_KEY} set k 3"));
    for (days, bad) in [(6, vec![]), (8, vec![("backup", "warn")])] {
        age(days);
        let (findings, code) = doctor(&scratch, WITH_KEY);
        assert_eq!((not_ok(&findings), code), (bad, 0), "{days} days");
        let seconds = findings["backup"]["age_seconds"].as_u64().expect("a count");
        assert!((days * 86_400..days * 86_400 + 600).contains(&seconds), "{seconds}");
    }
    fs::remove_file(scratch.path("data/a.db.bak.1")).expect("it is there");
    let (findings, code) = doctor(&scratch, WITH_KEY);
    assert_eq!((not_ok(&findings), code), (vec![("backup", "warn")], 0));
}

#[test]
fn a_database_that_another_process_writes_is_looked_at_from_outside() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    let mut writer = scratch.codex();
    writer
        .args("--file data/a.db --mode ledger --key-file key tour-writer".split(' '))
        .stdout(Stdio::piped());
    let mut writer = writer.spawn().expect("it starts");
    let mut lines = BufReader::new(writer.stdout.take().expect("piped")).lines();
    let acknowledged: u64 = lines.nth(9).expect("ten commits").expect("text").parse().expect("a number");

    let output = scratch.run(format!("--json {WITH_KEY} doctor").split_whitespace());
    // It commits on and on, and its pipe fills up: it is still there.
    let findings: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let found =
        |check: &str| findings.iter().find(|finding| finding["check"] == check).expect("it was looked at");
    assert_eq!(found("lock")["for_writing"], true);
    #[cfg(target_os = "linux")]
    assert!(
        found("lock")["processes"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|holder| holder["pid"] == writer.id()),
        "{}",
        found("lock")
    );
    assert_eq!(found("log")["state"], "unchecked");
    assert!(found("log")["sequence"].as_u64().expect("it is seen") >= acknowledged, "{}", found("log"));
    assert_eq!(output.status.code(), Some(0), "{findings:#?}");
    writer.kill().expect("it runs");
    writer.wait().expect("it is ours");
}
