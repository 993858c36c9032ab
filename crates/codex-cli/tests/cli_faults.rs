//! Every system call that changes a file fails in its turn, under the real command: `strace` makes it.
//!
//! For each verb, each kind of call and each number N, the N-th such call gets an error instead of being done. A fault
//! that matters is told with exit code 4 and a place; what was there and what was acknowledged is there afterwards,
//! whole; `verify` agrees before anything is repaired; and the next writer leaves no temporary behind.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::cargo::cargo_bin;
use codex::{EncryptionKey, Options, Store};
use common::{Scratch, skipped, stderr, stdout};

/// A kind of call, as a regular expression, since machines differ in which of its forms they use, and an error.
#[derive(Clone, Copy, Debug)]
struct Fault {
    calls: &'static str,
    error: &'static str,
}

/// Calls whose failure must be told.
const FAULTS: [Fault; 6] = [
    Fault { calls: "/^fdatasync$", error: "EIO" },
    Fault { calls: "/^fdatasync$", error: "ENOSPC" },
    Fault { calls: "/^fsync$", error: "EIO" },
    Fault { calls: "/^pwrite64$", error: "EIO" },
    Fault { calls: "/^rename", error: "EIO" },
    Fault { calls: "/^ftruncate$", error: "EIO" },
];

/// Setting space aside only saves time: what still fits is stored without it.
const PASSED_OVER: [Fault; 2] =
    [Fault { calls: "/^fallocate$", error: "ENOSPC" }, Fault { calls: "/^fallocate$", error: "EIO" }];

/// One of these calls writes zeros ahead of the log, which only saves time; the others must be told.
const NO_SPACE: [Fault; 1] = [Fault { calls: "/^pwrite64$", error: "ENOSPC" }];

/// Some of these calls are the release of a lock that closing the file releases as well.
const LOCKING: [Fault; 1] = [Fault { calls: "/^flock$", error: "EIO" }];

#[derive(Clone, Copy, Debug)]
enum Database {
    Plain(codex::Mode),
    Encrypted(codex::Mode),
}

const DATABASES: [Database; 2] =
    [Database::Encrypted(codex::Mode::Ledger), Database::Plain(codex::Mode::Snapshot)];

impl Database {
    /// Words that name it on the command line, and the key of it where it has one.
    fn words(self, file: &str) -> String {
        match self {
            Self::Plain(mode) => format!("--file {file} --mode {mode}"),
            Self::Encrypted(mode) => format!("--file {file} --mode {mode} --key-file key"),
        }
    }

    fn options(self, scratch: &Scratch) -> Options {
        match self {
            Self::Plain(mode) => Options::new().mode(mode),
            Self::Encrypted(mode) => {
                let text = String::from_utf8(scratch.read("key")).expect("hexadecimal digits");
                let key = EncryptionKey::from_hex(text.trim()).expect("a key");
                Options::new().mode(mode).encryption_key(key)
            }
        }
    }
}

/// A scratch folder with a key; none where `strace` is missing or may not trace.
fn scratch() -> Option<Scratch> {
    let scratch = Scratch::in_memory();
    let output = scratch.sh("strace -f -o probe -e trace=fsync -e inject=fsync:error=EIO true");
    if !output.status.success() {
        skipped(&format!(
            "no call was made to fail, since strace does not run here: {}",
            stderr(&output).trim()
        ));
        return None;
    }
    scratch.keygen("key");
    Some(scratch)
}

/// Runs the command with the N-th of some calls of each thread failing; none if there is no N-th.
fn with_fault(scratch: &Scratch, line: &str, fault: Fault, number: u32) -> Option<Output> {
    let Fault { calls, error } = fault;
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-o", "strace.log", "-e", &format!("trace={calls}"), "-e"]);
    strace.arg(format!("inject={calls}:error={error}:when={number}")).arg(cargo_bin("codex"));
    strace.args(line.split_whitespace()).current_dir(scratch.folder()).env_remove("CODEX_KEY");
    let output = strace.output().expect("strace runs");
    let log = String::from_utf8(scratch.read("strace.log")).expect("strace writes text");
    log.contains("(INJECTED)").then_some(output)
}

/// What is expected of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Exit code 4, with the file and what the system says.
    Told,
    /// Success.
    PassedOver,
    /// Either: the failed call may have belonged to work behind the commits, which stops none.
    Either,
}

impl Expected {
    /// Whether the command succeeded, when it was allowed to.
    fn judge(self, output: &Output, fault: Fault, place: &str) -> bool {
        let said = stderr(output);
        let done = output.status.code() == Some(0);
        match self {
            Self::Told => assert!(!done, "{place}: a failure was passed over"),
            Self::PassedOver => assert!(done, "{place}: {said}"),
            Self::Either => {}
        }
        if !done {
            assert_eq!(output.status.code(), Some(4), "{place}: {said}");
            assert_eq!(stdout(output), "", "{place}: something was acknowledged");
            let reason = if fault.error == "EIO" { "(os error 5)" } else { "(os error 28)" };
            assert!(said.contains(reason) && said.contains(".db"), "{place}: {said}");
        }
        done
    }
}

/// Runs `line` with every fault in turn, each time in a folder that `prepare` has put in order; `judge` gets to know
/// whether the command succeeded and what it said.
fn every_fault(
    scratch: &Scratch,
    line: &str,
    faults: &[Fault],
    expected: Expected,
    prepare: impl Fn(),
    judge: impl Fn(bool, &Output, &str),
) -> usize {
    let mut count = 0;
    for &fault in faults {
        for number in 1.. {
            prepare();
            let Some(output) = with_fault(scratch, line, fault, number) else { break };
            count += 1;
            let place = format!("{line}: {} number {number} fails with {}", fault.calls, fault.error);
            let done = expected.judge(&output, fault, &place);
            judge(done, &output, &place);
        }
    }
    count
}

/// Removes everything whose name holds `part`.
fn remove(scratch: &Scratch, part: &str) {
    for name in names(scratch).into_iter().filter(|name| name.contains(part)) {
        fs::remove_file(scratch.path(&name)).expect("it is a file");
    }
}

fn names(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.folder()).expect("the folder is there");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// A database is whole as a reader finds it; a writer then puts it in order, leaves no temporary, and can write.
fn judge_database(
    scratch: &Scratch,
    database: Database,
    file: &str,
    place: &str,
    judge: impl FnOnce(&Store),
) {
    let words = format!("{} verify", database.words(file));
    let output = scratch.run(words.split_whitespace());
    assert_eq!(output.status.code(), Some(0), "{place}: {}", stderr(&output));
    let path = scratch.path(file);
    let store = database.options(scratch).open(&path).unwrap_or_else(|error| panic!("{place}: {error}"));
    judge(&store);
    store.verify().unwrap_or_else(|error| panic!("{place}: {error}"));
    store.set("after", &1).unwrap_or_else(|error| panic!("{place}: {error}"));
    store.close().unwrap_or_else(|error| panic!("{place}: {error}"));
    let left: Vec<_> =
        names(scratch).into_iter().filter(|name| name.starts_with(&format!(".{file}.tmp-"))).collect();
    assert_eq!(left, [""; 0], "{place}: temporaries are left");
    let store = database.options(scratch).read_only(true).open(&path);
    let store = store.unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(store.get("after").expect("a number"), Some(1), "{place}");
}

fn number(store: &Store, key: &str) -> Option<u64> {
    store.get(key).expect("a number")
}

/// A database with one record, kept as `base.db`.
fn make_base(scratch: &Scratch, database: Database) {
    remove(scratch, "base.db");
    scratch.ok(&format!("{} -q set kept 1", database.words("base.db")));
}

/// Puts a fresh copy of a database in the place of `a.db`.
fn copy_to_a(scratch: &Scratch, base: &Path) {
    remove(scratch, "a.db");
    fs::copy(base, scratch.path("a.db")).expect("the base is there");
}

#[test]
fn a_fault_in_creating_a_database_leaves_none_or_a_whole_one() {
    let Some(scratch) = scratch() else { return };
    for database in DATABASES {
        let line = format!("{} -q set k 2", database.words("a.db"));
        let judge = |done: bool, _: &Output, place: &str| {
            if done || scratch.path("a.db").exists() {
                judge_database(&scratch, database, "a.db", place, |store| {
                    let found = number(store, "k");
                    assert!(found == Some(2) || !done && found.is_none(), "{place}: {found:?}");
                });
            } else {
                // Nothing may be in the way of another try.
                scratch.ok(&line);
                judge_database(&scratch, database, "a.db", place, |store| {
                    assert_eq!(number(store, "k"), Some(2));
                });
            }
        };
        let prepare = || remove(&scratch, "a.db");
        let count = every_fault(&scratch, &line, &FAULTS, Expected::Told, prepare, judge)
            + every_fault(&scratch, &line, &NO_SPACE, Expected::Either, prepare, judge);
        assert!(count >= 20, "{database:?}: only {count} faults");
    }
}

#[test]
fn a_fault_in_a_commit_keeps_what_was_there_and_the_commit_whole_or_not_at_all() {
    let Some(scratch) = scratch() else { return };
    let lines: Vec<_> =
        (0..50).map(|n| format!("{{\"op\":\"set\",\"key\":\"n{n}\",\"value\":{n}}}\n")).collect();
    scratch.write("operations", lines.concat());
    for database in DATABASES {
        make_base(&scratch, database);
        let prepare = || copy_to_a(&scratch, &scratch.path("base.db"));
        for (verb, records) in [("set n0 0", 1), ("batch operations", 50)] {
            let line = format!("{} -q {verb}", database.words("a.db"));
            let judge = |done: bool, _: &Output, place: &str| {
                judge_database(&scratch, database, "a.db", place, |store| {
                    assert_eq!(number(store, "kept"), Some(1), "{place}");
                    let there = store.prefix("n").count();
                    assert!(there == records || !done && there == 0, "{place}: {there} records");
                });
            };
            let count = every_fault(&scratch, &line, &FAULTS, Expected::Told, prepare, judge)
                + every_fault(&scratch, &line, &NO_SPACE, Expected::Either, prepare, judge);
            assert!(count >= 15, "{database:?}: only {count} faults");
            let count = every_fault(&scratch, &line, &PASSED_OVER, Expected::PassedOver, prepare, judge);
            assert!(count >= 2, "{database:?}: only {count} faults");
            let count = every_fault(&scratch, &line, &LOCKING, Expected::Either, prepare, judge);
            assert!(count >= 3, "{database:?}: only {count} faults");
        }
    }
}

#[test]
fn a_fault_in_an_import_keeps_the_batches_that_it_says_were_committed() {
    let Some(scratch) = scratch() else { return };
    let lines: Vec<_> = (0..2500).map(|n| format!("{{\"key\":\"n{n:04}\",\"value\":{n}}}\n")).collect();
    scratch.write("in", lines.concat());
    for database in DATABASES {
        make_base(&scratch, database);
        let line = format!("{} --json -q import in", database.words("a.db"));
        let judge = |done: bool, output: &Output, place: &str| {
            let committed = if done {
                2500
            } else {
                let said: serde_json::Value = serde_json::from_str(&stderr(output)).expect("one JSON object");
                assert_eq!(said["error"]["kind"], "Io", "{place}");
                let hint = said["error"]["hint"].as_str().expect("a hint");
                let unknown =
                    said["error"]["message"].as_str().is_some_and(|text| text.contains("whole or not"));
                assert_eq!(unknown, unknown && hint.contains("all or none"), "{place}: {said}");
                said["error"]["committed"].as_u64().unwrap_or_default()
            };
            judge_database(&scratch, database, "a.db", place, |store| {
                assert_eq!(number(store, "kept"), Some(1), "{place}");
                let keys: Vec<_> = store.prefix("n").map(|entry| entry.expect("a record").0).collect();
                let there = keys.len() as u64;
                assert!([0, 1000, 2000, 2500].contains(&there), "{place}: a part of a batch, {there}");
                assert!(there >= committed, "{place}: {there} of {committed}");
                assert!(keys.last().is_none_or(|key| *key == *format!("n{:04}", there - 1).as_bytes()));
            });
        };
        let prepare = || copy_to_a(&scratch, &scratch.path("base.db"));
        let count = every_fault(&scratch, &line, &FAULTS, Expected::Told, prepare, judge)
            + every_fault(&scratch, &line, &NO_SPACE, Expected::Either, prepare, judge);
        assert!(count >= 20, "{database:?}: only {count} faults");
    }
}

#[test]
fn a_fault_in_a_backup_costs_the_database_nothing_and_leaves_no_half_copy() {
    let Some(scratch) = scratch() else { return };
    for database in DATABASES {
        make_base(&scratch, database);
        let line = format!("{} backup copy.db", database.words("a.db"));
        let prepare = || {
            remove(&scratch, "copy.db");
            copy_to_a(&scratch, &scratch.path("base.db"));
        };
        let judge = |_: bool, _: &Output, place: &str| {
            let temporary = names(&scratch).into_iter().find(|name| name.contains(".tmp-"));
            assert_eq!(temporary, None, "{place}");
            for file in ["a.db", "copy.db"] {
                if file == "a.db" || scratch.path(file).exists() {
                    judge_database(&scratch, database, file, place, |store| {
                        assert_eq!(number(store, "kept"), Some(1), "{place}");
                    });
                }
            }
        };
        let count = every_fault(&scratch, &line, &FAULTS, Expected::Told, prepare, judge)
            + every_fault(&scratch, &line, &NO_SPACE, Expected::Either, prepare, judge);
        assert!(count >= 6, "{database:?}: only {count} faults");
    }
}

#[test]
fn a_fault_in_a_restore_leaves_the_old_database_or_the_restored_one() {
    let Some(scratch) = scratch() else { return };
    for database in DATABASES {
        make_base(&scratch, database);
        scratch.ok(&format!("{} -q backup copy.base.db", database.words("base.db")));
        scratch.ok(&format!("{} -q set kept 2", database.words("base.db")));
        let with = if matches!(database, Database::Encrypted(_)) { "--key-file key" } else { "" };
        for (verb, old) in
            [("restore copy.base.db a.db --overwrite", true), ("restore copy.base.db a.db", false)]
        {
            let line = format!("{with} {verb}");
            let prepare = || {
                remove(&scratch, "a.db");
                if old {
                    copy_to_a(&scratch, &scratch.path("base.db"));
                }
            };
            let judge = |done: bool, _: &Output, place: &str| {
                if !scratch.path("a.db").exists() {
                    assert!(!old && !done, "{place}: the database is gone");
                    scratch.ok(&line);
                }
                judge_database(&scratch, database, "a.db", place, |store| {
                    let found = number(store, "kept");
                    assert!(found == Some(1) || old && !done && found == Some(2), "{place}: {found:?}");
                });
            };
            let count = every_fault(&scratch, &line, &FAULTS, Expected::Told, prepare, judge)
                + every_fault(&scratch, &line, &NO_SPACE, Expected::Either, prepare, judge);
            assert!(count >= 6, "{database:?}: only {count} faults");
        }
    }
}

#[test]
fn a_fault_in_the_rewrite_or_checkpoint_of_a_close_costs_nothing_that_was_acknowledged() {
    let Some(scratch) = scratch() else { return };
    // A close that rewrites, or writes a checkpoint, has a log of so many bytes behind it.
    for (database, megabytes) in
        [(Database::Plain(codex::Mode::Snapshot), 17), (Database::Encrypted(codex::Mode::Ledger), 5)]
    {
        remove(&scratch, ".db");
        let line = format!("{{\"key\":\"kept\",\"value\":\"{}\"}}\n", "x".repeat(1 << 17));
        scratch.write("in", line.repeat(megabytes * 8));
        let base = database.words("base.db");
        // All renames fail, so that this close leaves the work to the next one, and says nothing: commits are safe.
        scratch.ok(&format!("{base} -q set first 1"));
        let every_rename = "strace -f -qq -o strace.log -e trace=/^rename -e inject=/^rename:error=EIO";
        let output = scratch.sh(&format!("{every_rename} $CODEX {base} -q import in"));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let bytes = fs::metadata(scratch.path("base.db")).expect("the base").len();
        assert!(bytes > (megabytes as u64) << 20, "{bytes} bytes");

        let line = format!("{} -q set k 2", database.words("a.db"));
        let prepare = || copy_to_a(&scratch, &scratch.path("base.db"));
        let judge = |done: bool, _: &Output, place: &str| {
            judge_database(&scratch, database, "a.db", place, |store| {
                assert_eq!(number(store, "first"), Some(1), "{place}");
                assert_eq!(
                    store.get::<String>("kept").expect("a text").map(|text| text.len()),
                    Some(1 << 17)
                );
                let found = number(store, "k");
                assert!(found == Some(2) || !done && found.is_none(), "{place}: {found:?}");
            });
        };
        let count = every_fault(&scratch, &line, &FAULTS, Expected::Either, prepare, judge)
            + every_fault(&scratch, &line, &NO_SPACE, Expected::Either, prepare, judge);
        assert!(count >= 15, "{database:?}: only {count} faults");

        prepare();
        scratch.ok(&line);
        let done = match database {
            Database::Plain(_) => fs::metadata(scratch.path("a.db")).expect("it is there").len() < 1 << 20,
            Database::Encrypted(_) => scratch.path("a.db.ckpt").exists(),
        };
        assert!(done, "{database:?}: without a fault, the close does the work");
    }
}
