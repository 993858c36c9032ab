//! `stats --watch` counts what another process commits, without its key and without holding it up.
#![cfg(unix)]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use common::{Scratch, stderr, stdout};
use serde_json::Value;

#[test]
fn commits_of_a_process_that_has_the_database_open_are_counted_without_its_key() {
    let scratch = Scratch::in_memory();
    scratch.keygen("key");
    for mode in ["ledger", "snapshot"] {
        let mut writer = scratch.codex();
        writer
            .args(format!("--file {mode}.db --mode {mode} --key-file key tour-writer").split(' '))
            .stdout(Stdio::piped());
        let mut writer = writer.spawn().expect("it starts");
        let mut acknowledged = BufReader::new(writer.stdout.take().expect("piped")).lines();
        acknowledged.next().expect("a commit").expect("text");

        let mut watch = scratch.codex();
        watch.args(format!("--file {mode}.db --json stats --watch=0.05").split(' ')).stdout(Stdio::piped());
        let mut watch = watch.spawn().expect("it starts");
        let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
        let mut line = || -> Value {
            let line = lines.next().expect("it goes on").expect("text");
            serde_json::from_str(&line).expect("an object")
        };
        let first = line();
        // The writer goes on while its numbers are read, and is ahead of them by what its pipe holds.
        let from = first["sequence"].as_u64().expect("a number");
        let mut last = from;
        while last <= from + 2_000 {
            let number = acknowledged.next().expect("it goes on").expect("text");
            last = number.parse().expect("a number");
        }
        let (mut counted, mut now) = (0, first.clone());
        while now["sequence"].as_u64().expect("a number") < last {
            let before = now["sequence"].as_u64().expect("a number");
            now = line();
            counted += now["commits"].as_u64().expect("a count");
            assert_eq!(
                now["sequence"].as_u64().expect("a number") - before,
                now["commits"].as_u64().expect("a count"),
                "{mode}: {now}"
            );
            assert!(now["log_bytes"].as_u64() <= now["file_bytes"].as_u64(), "{mode}: {now}");
        }
        assert!(counted > 1_000, "{mode}: {counted}");
        let rate = now["commits"].as_f64().expect("a count") / now["seconds"].as_f64().expect("a time");
        let shown = now["commits_per_second"].as_f64().expect("a rate");
        assert!((rate - shown).abs() <= rate * 0.05 + 0.1, "{mode}: {now}");
        for process in [&mut writer, &mut watch] {
            process.kill().expect("it runs");
            process.wait().expect("it is ours");
        }
    }
}

#[test]
fn watching_ends_after_the_lines_that_it_was_asked_for_and_changes_nothing() {
    let scratch = Scratch::new();
    scratch.ok("--quiet --file a.db set k 1");
    let before = scratch.read("a.db");
    let text = scratch.ok("--file a.db stats --watch=0.01 --count 3");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("time ") && lines[3].contains(" 0 "), "{text}");
    assert!(scratch.read("a.db") == before);
    let (code, said) = scratch.fails("--file none.db stats --watch");
    assert_eq!(code, 1, "{said}");
    for words in ["stats --watch=0", "stats --watch=-1", "stats --watch=NaN", "stats --count 3"] {
        assert_eq!(scratch.fails(&format!("--file a.db {words}")).0, 2, "{words}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_watching() {
    let scratch = Scratch::new();
    scratch.ok("--quiet --file a.db set k 1");
    let output = scratch.sh("{ timeout 60 $CODEX --file a.db stats --watch=0.01; echo $? >code; } | head -2");
    assert_eq!(stdout(&output).lines().count(), 2, "{}", stderr(&output));
    assert_eq!(scratch.read("code"), b"141\n");
}
