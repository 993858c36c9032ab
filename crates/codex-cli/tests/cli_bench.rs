//! `bench` measures, and leaves nothing.
#![cfg(unix)]

mod common;

use std::fs::{self, File};
use std::process::Stdio;

use common::{Scratch, mode, stdout};
use serde_json::Value;

fn names(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.folder()).expect("it is there");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_row_has_a_rate_and_what_has_a_limit_its_ratio_and_nothing_is_left() {
    let scratch = Scratch::in_memory();
    let output = scratch.run(["--json", "bench", "--seconds", "1"]);
    assert!(output.status.success());
    let rows: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let named = |work: &str| rows.iter().find(|row| row["work"] == work).unwrap_or_else(|| panic!("{work}"));
    for row in &rows {
        let rate = row["rate"].as_f64().expect("a rate");
        assert!(rate > 0.0, "{row}");
        if let Some(limit) = row["limit"].as_str() {
            let (ratio, of) = (row["ratio"].as_f64().expect("a ratio"), named(limit)["rate"].as_f64());
            assert!((ratio - rate / of.expect("a rate")).abs() < 0.01, "{row}");
        } else {
            assert!(row["ratio"].is_null(), "{row}");
        }
    }
    for work in ["durable sets, 1 thread", "durable sets, 8 threads", "durable sets, 32 threads"] {
        assert_eq!(named(work)["limit"], "append and data sync");
    }
    for work in ["batches of 1,000 sets", "random gets", "scan", "open"] {
        assert!(named(work)["limit"].is_string(), "{work}");
    }
    assert!(named("append and data sync")["median_us"].as_f64().is_some_and(|us| us > 0.0));
    named("sealing (AES-256-GCM)");
    named("hashing (SHA-256)");
    assert_eq!(names(&scratch), Vec::<String>::new());
}

#[test]
fn it_measures_beside_the_database_in_private_and_the_next_run_removes_what_a_killed_one_left() {
    let scratch = Scratch::in_memory();
    scratch.ok("--quiet --file data/a.db set k 1");
    let folders = || -> Vec<_> {
        let entries =
            fs::read_dir(scratch.path("data")).expect("it is there").map(|entry| entry.expect("an entry"));
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let mut killed = scratch.codex();
    killed
        .args("--file data/a.db bench --seconds 600".split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut killed = killed.spawn().expect("it starts");
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let folder = loop {
        if let Some(folder) = folders().pop().filter(|folder| folder.join("sets.db").exists()) {
            break folder;
        }
        assert!(std::time::Instant::now() < deadline, "it has not begun after a minute");
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).expect("it is there") {
        let path = entry.expect("an entry").path();
        // A file that was appended to may be gone by now.
        if path.exists() && path.extension().is_some_and(|extension| extension == "db") {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
    // As long as it runs, others leave its folder alone; so they do with folders that are not of this command.
    fs::create_dir(scratch.path("data/.codex-bench-mine")).expect("a new folder");
    scratch.ok("--quiet --file data/a.db bench --seconds 1");
    assert_eq!(folders().len(), 2);
    killed.kill().expect("it runs");
    killed.wait().expect("it is ours");
    assert!(File::open(folder.join("held")).expect("it is left").try_lock().is_ok());
    scratch.ok("--quiet --file data/a.db bench --seconds 1");
    assert_eq!(folders(), [scratch.path("data/.codex-bench-mine")]);
    assert_eq!(scratch.ok("--file data/a.db get k"), "1\n");
}
