//! Several processes and one database: shut out at once, killed without loss.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use common::{Scratch, stderr, stdout};

/// A process that commits without end, and what it says of each acknowledged commit.
struct Writer {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Writer {
    fn start(scratch: &Scratch, options: &str) -> Self {
        let mut command = scratch.codex();
        command.args(options.split(' ')).arg("tour-writer");
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the writer starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self { child, lines }
    }

    /// The number of the next acknowledged commit; none when the writer has gone.
    fn next(&mut self) -> Option<u64> {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the pipe is ours");
        // A line that the kill cut in two is no acknowledgement.
        line.strip_suffix('\n').map(|number| number.parse().expect("a number"))
    }

    /// Kills it (SIGKILL), and gives the number of its last acknowledged commit.
    fn kill(mut self, mut last: u64) -> u64 {
        self.child.kill().expect("it is running");
        while let Some(number) = self.next() {
            last = number;
        }
        assert!(!self.child.wait().expect("it is ours").success());
        last
    }
}

#[test]
fn killed_writers_lose_no_acknowledged_commit() {
    for mode in ["ledger", "snapshot"] {
        let scratch = Scratch::new();
        scratch.keygen("key");
        let database = format!("--file a.db --key-file key --mode {mode}");
        for round in 1..=6 {
            let mut writer = Writer::start(&scratch, &database);
            // Each round ends at another point of the log.
            let mut last = 0;
            while last < round * 17 {
                last = writer.next().expect("the writer goes on until it is killed");
            }
            let last = writer.kill(last);

            let shown = scratch.ok(&format!("{database} scan --prefix killed"));
            let mut numbers: Vec<u64> = shown
                .lines()
                .map(|line| line.rsplit('\t').next().and_then(|text| text.parse().ok()).expect("a number"))
                .collect();
            numbers.sort_unstable();
            let there = numbers.len() as u64;
            assert!(numbers.iter().copied().eq(1..=there), "{mode}, round {round}: a gap in {numbers:?}");
            // It commits one by one: beyond the last acknowledged commit, there may be the one it was about to report.
            assert!(
                (last..=last + 1).contains(&there),
                "{mode}, round {round}: {last} were acknowledged, {there} are there"
            );
            scratch.ok(&format!("{database} verify"));
            scratch.ok(&format!("{database} clear --yes"));
        }
    }
}

#[test]
fn a_database_that_is_open_elsewhere_is_refused_at_once() {
    let scratch = Scratch::new();
    let mut writer = Writer::start(&scratch, "--file a.db");
    writer.next().expect("the first commit is acknowledged");
    for verb in ["set k 1", "get k", "verify", "delete k", "backup b.db"] {
        let (code, said) = scratch.fails(&format!("--file a.db {verb}"));
        assert_eq!(code, 7, "{verb}: {said}");
        assert!(said.contains("a.db"), "{verb}: {said}");
    }
    let last = writer.next().expect("the writer was not disturbed");
    writer.kill(last);
    scratch.ok("--file a.db set k 1");
    assert_eq!(scratch.ok("--file a.db get k"), "1\n");
}

#[test]
fn writers_that_meet_never_lose_what_either_was_told_is_done() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set start 0");
    let script = |name| {
        format!(
            "n=0; while [ $n -lt 25 ]; do n=$((n + 1)); \
             $CODEX --file a.db set {name}:$n $n 2>>errors && echo {name}:$n; done"
        )
    };
    let (left, right) = std::thread::scope(|scope| {
        let other = scope.spawn(|| scratch.sh(&script("right")));
        (scratch.sh(&script("left")), other.join().expect("the shell ends"))
    });
    let mut acknowledged: Vec<String> =
        [stdout(&left), stdout(&right)].concat().lines().map(str::to_owned).collect();
    acknowledged.push("start".to_owned());
    acknowledged.sort_unstable();
    let keys = scratch.ok("--file a.db keys");
    assert_eq!(keys.lines().collect::<Vec<_>>(), acknowledged, "{} {}", stderr(&left), stderr(&right));
    assert!(acknowledged.len() > 1, "somebody got through");
    scratch.ok("--file a.db verify");
}

#[test]
fn several_readers_share_a_database() {
    let scratch = Scratch::new();
    scratch.ok(&format!("--file a.db -q import {}", common::DATA));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut command = scratch.codex();
            command.args(["--file", "a.db", "count"]).stdout(Stdio::piped());
            command.spawn().expect("a reader starts")
        })
        .collect();
    for reader in readers {
        let output = reader.wait_with_output().expect("the reader ends");
        assert_eq!(stdout(&output), format!("{}\n", common::DATA_RECORDS));
    }
}

#[test]
fn the_tour_holds_what_it_claims_in_under_ten_seconds() {
    let scratch = Scratch::new();
    let start = std::time::Instant::now();
    let output = scratch.codex().env("TMPDIR", scratch.folder()).arg("tour").output().expect("the tour runs");
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    for claim in ["ledger", "snapshot", "Imported 3568", "kill -9", "Verified", "restored", "refused"] {
        assert!(text.contains(claim), "{claim}: {text}");
    }
    assert_eq!(std::fs::read_dir(scratch.folder()).expect("it is there").count(), 0, "the tour cleans up");

    let kept = scratch.codex().env("TMPDIR", scratch.folder()).args(["tour", "--keep", "--json"]).output();
    let kept = kept.expect("the tour runs");
    assert!(kept.status.success(), "{}", stderr(&kept));
    assert!(stdout(&kept).lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert_eq!(std::fs::read_dir(scratch.folder()).expect("it is there").count(), 1);
}
