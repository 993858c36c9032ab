//! Signals from a user or the system in the middle of an import.
#![cfg(unix)]

mod common;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{DATA, DATA_RECORDS, Scratch, stdout};

/// `kill` knows no other portable way to name them than these.
const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

#[test]
fn an_import_that_is_interrupted_leaves_whole_batches_and_a_sound_database() {
    for (mode, (name, number)) in
        ["ledger", "snapshot"].into_iter().flat_map(|mode| SIGNALS.map(|it| (mode, it)))
    {
        let scratch = Scratch::new();
        scratch.keygen("key");
        let words = format!("--file a.db --mode {mode} --key-file key");
        let mut command = scratch.codex();
        command
            .args(words.split(' '))
            .args(["-q", "import", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut import = command.spawn().expect("it starts");
        // Two batches and a half of 1,000 records, and no end: it cannot finish before the signal.
        let value = "x".repeat(300);
        let lines: Vec<_> =
            (0..2500).map(|n| format!("{{\"key\":\"n{n:04}\",\"value\":\"{value}\"}}\n")).collect();
        let mut input = import.stdin.take().expect("its input is piped");
        input.write_all(lines.concat().as_bytes()).expect("it reads");
        // One batch is in the file once the next one needs more space than was set aside behind it.
        let deadline = Instant::now() + Duration::from_mins(1);
        while std::fs::metadata(scratch.path("a.db")).map_or(0, |file| file.len()) < 2 * 300_000 {
            assert!(Instant::now() < deadline, "{mode}: two batches are not there after a minute");
            std::thread::sleep(Duration::from_millis(2));
        }
        let kill = Command::new("kill").args(["-s", name, &import.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
        let output = import.wait_with_output().expect("it ends");
        assert_eq!(output.status.signal(), Some(number), "{mode}, {name}: {output:?}");
        assert_eq!(stdout(&output), "", "{mode}, {name}: it says that it was done");
        drop(input);

        scratch.ok(&format!("{words} verify"));
        let keys = scratch.ok(&format!("{words} keys"));
        let there = keys.lines().count();
        assert!([1000, 2000].contains(&there), "{mode}, {name}: {there} records");
        assert_eq!(keys.lines().last(), Some(&*format!("n{:04}", there - 1)), "{mode}, {name}");
        scratch.ok(&format!("{words} import {DATA}"));
        assert_eq!(scratch.ok(&format!("{words} count")), format!("{}\n", DATA_RECORDS + there));
        scratch.ok(&format!("{words} verify"));
    }
}
