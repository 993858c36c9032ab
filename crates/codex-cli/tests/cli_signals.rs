//! Commands that are ended in the middle: by a signal that can be caught, and by one that cannot.
#![cfg(unix)]

mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{DATA, DATA_RECORDS, Scratch, stderr, stdout};

/// `kill` knows no other portable way to name them than these.
const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

#[test]
fn an_import_that_is_interrupted_leaves_whole_batches_and_a_sound_database() {
    // A shell's background jobs, and what `nohup` starts, ignore some signals, and so does every process below
    // them. One that is caught here is the default again in the command.
    for (_, number) in SIGNALS {
        signal_hook::flag::register_conditional_default(number, Arc::new(AtomicBool::new(true)))
            .expect("it can be caught");
    }
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

/// Kills of each kind of database, and the latest moment of one, in milliseconds.
const ROUNDS: u64 = 20;
const DELAY_MAX: u64 = 120;

#[test]
fn commands_killed_at_any_moment_lose_no_batch_that_they_said_was_committed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let mut seed = u64::from(now.subsec_nanos()) | 1;
    // Shown when the test fails.
    println!("delays from seed {seed}");
    for mode in ["ledger", "snapshot"] {
        let scratch = Scratch::new();
        scratch.keygen("key");
        let words = format!("--file a.db --mode {mode} --key-file key");
        // One command after the other, each of which opens, commits two cells of one number, and closes.
        let script = format!(
            "while n=$((n + 1)); do
                 printf '{{\"op\":\"set\",\"key\":\"left\",\"value\":%d}}\\n{{\"op\":\"set\",\"key\":\"right\",\"value\":%d}}\\n' $n $n |
                     $CODEX {words} batch - || exit
             done"
        );
        let mut last = 0;
        for round in 1..=ROUNDS {
            // Xorshift (Marsaglia 2003): any spread of delays will do.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let place = format!("{mode}, round {round}");
            let mut shell = scratch.shell(&format!("n={last}; {script}"));
            shell.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut shell = shell.spawn().expect("sh runs");
            std::thread::sleep(Duration::from_millis(seed % DELAY_MAX));
            let group = format!("-{}", shell.id());
            let kill = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
            assert!(kill.expect("kill runs").success(), "{place}");
            let mut said = String::new();
            // The end of the output is the end of the last of the processes.
            shell.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
            let output = shell.wait_with_output().expect("it is ours");
            assert_eq!((output.status.signal(), &*stderr(&output)), (Some(9), ""), "{place}");

            let mut whole_lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let acknowledged = whole_lines.next_back().map_or(last, |line| {
                let number = line.trim_end().strip_prefix("2 operations in commit ");
                number.and_then(|number| number.parse().ok()).expect("an acknowledgement")
            });
            if acknowledged > 0 || scratch.path("a.db").exists() {
                scratch.ok(&format!("{words} verify"));
                let cells = scratch.ok(&format!("{words} scan"));
                let found = if cells.is_empty() { 0 } else { number_in_both(&cells, &place) };
                assert!(
                    found == acknowledged || found == acknowledged + 1,
                    "{place}: {found} is there, {acknowledged} was acknowledged"
                );
                last = found;
            }
        }
        assert!(last >= ROUNDS, "{mode}: hardly anything was written, {last}");
        scratch.ok(&format!("{words} set end 1"));
        let names = std::fs::read_dir(scratch.folder()).expect("it is there");
        let mut names =
            names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        assert_eq!(names.find(|name| name.contains(".tmp-")), None, "{mode}");
    }
}

fn number_in_both(cells: &str, place: &str) -> u64 {
    let numbers: Vec<_> = cells.lines().filter_map(|line| line.split_once('\t')).collect();
    let [("left", left), ("right", right)] = numbers.as_slice() else { panic!("{place}: {cells}") };
    assert_eq!(left, right, "{place}: half a batch");
    left.parse().expect("a number")
}
