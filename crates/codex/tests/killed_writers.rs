//! Writers of many threads are killed at any moment, many times; a referee holds what is found against what was
//! acknowledged.
//!
//! This program is both: with `writer` as its first argument it writes until it is killed. Threads commit batches that
//! set two cells of the thread to one number, and print the number once the batch is acknowledged. The referee reads
//! those lines, kills the process after a random time, opens the database, and demands every acknowledged batch, whole
//! batches only, a file that verifies, and of each thread no later batch than the one after its last acknowledged one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stderr, stdout};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex::{Batch, Durability, EncryptionKey, Mode, Options, Store};

/// Kills of each kind of database.
const ROUNDS: u64 = 10;
const THREADS: u64 = 6;
/// The latest kill, in microseconds after the first acknowledgement.
const DELAY_MAX: u64 = 60_000;
/// [`Durability::Interval`] hands each commit to the system, which outlives the process.
const INTERVAL: Durability = Durability::Interval(Duration::from_hours(1));

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, path, mode, durability] = arguments.as_slice()
        && role == "writer"
    {
        let durability = if durability == "sync" { Durability::Sync } else { INTERVAL };
        write_until_killed(
            Path::new(path),
            if mode == "ledger" { Mode::Ledger } else { Mode::Snapshot },
            durability,
        );
    }
    let seed =
        std::env::var("CODEX_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
            u64::from(now.subsec_nanos())
        });
    say(&format!("delays from CODEX_TEST_SEED={seed}"));
    let mut random = seed | 1;
    for mode in [Mode::Ledger, Mode::Snapshot] {
        for durability in ["sync", "interval"] {
            let acknowledged = judge_rounds(mode, durability, &mut random);
            say(&format!(
                "{mode}, {durability}: {ROUNDS} kills, {acknowledged} acknowledged batches, all there"
            ));
        }
    }
}

fn say(line: &str) {
    writeln!(stderr(), "killed_writers: {line}").expect("standard error");
}

fn options(mode: Mode, durability: Durability) -> Options {
    Options::new().mode(mode).durability(durability).encryption_key(EncryptionKey::from_bytes([7; 32]))
}

fn cells(thread: u64) -> [String; 2] {
    [format!("left {thread}"), format!("right {thread}")]
}

/// Goes on from what is there; each thread has cells of its own, and large values that a rewrite gets rid of.
fn write_until_killed(path: &Path, mode: Mode, durability: Durability) -> ! {
    let store = options(mode, durability).open(path).expect("the referee has closed it");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let [left, right] = cells(thread);
                let mut number: u64 = store.get(&left).expect("a number").unwrap_or_default();
                loop {
                    number += 1;
                    let mut batch = Batch::new();
                    batch.set(&left, &number).expect("a number");
                    batch.set_bytes(format!("large {thread}"), vec![0xAA; 5000]);
                    batch.set(&right, &number).expect("a number");
                    store.commit(batch).expect("the disk is whole");
                    let line = format!("{thread} {number}\n");
                    // One call for each line, so that a kill cuts none in two and mixes none.
                    stdout().lock().write_all(line.as_bytes()).expect("the referee reads");
                }
            });
        }
    });
    unreachable!("the threads write without end")
}

/// How many batches were acknowledged in all rounds.
fn judge_rounds(mode: Mode, durability: &str, random: &mut u64) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let mut known: BTreeMap<u64, u64> = (0..THREADS).map(|thread| (thread, 0)).collect();
    for round in 1..=ROUNDS {
        let place = format!("{mode}, {durability}, round {round}");
        // Xorshift (Marsaglia 2003): any spread of delays will do.
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let delay = Duration::from_micros(*random % DELAY_MAX);
        let said = kill_after(&path, mode, durability, delay);
        assert!(!said.is_empty(), "{place}: nothing was acknowledged");
        for (thread, number) in said {
            let last = known.get_mut(&thread).expect("one of the threads");
            assert_eq!(number, *last + 1, "{place}: thread {thread} goes on where it was");
            *last = number;
        }
        // Before anything is repaired, as a reader finds it; then as a writer does.
        for read_only in [true, false] {
            let store = options(mode, Durability::Sync).read_only(read_only).open(&path);
            let store = store.unwrap_or_else(|error| panic!("{place}: {error}"));
            store.verify().unwrap_or_else(|error| panic!("{place}: {error}"));
            for (&thread, last) in &mut known {
                let found = found(&store, thread, &place);
                assert!(found >= *last, "{place}: thread {thread} has {found} of {last}");
                assert!(found <= *last + 1, "{place}: thread {thread} has {found}, {last} were acknowledged");
                if !read_only {
                    *last = found;
                }
            }
            store.close().unwrap_or_else(|error| panic!("{place}: {error}"));
        }
        let entries = std::fs::read_dir(folder.path()).expect("it is there");
        let names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains(".tmp-")), "{place}: {names:?}");
    }
    known.values().sum()
}

/// The number in both cells of a thread.
fn found(store: &Store, thread: u64, place: &str) -> u64 {
    let view = store.view();
    let [left, right] = cells(thread).map(|cell| view.get::<u64>(cell).expect("a number"));
    assert_eq!(left, right, "{place}: half a batch of thread {thread}");
    left.unwrap_or_default()
}

/// Starts a writer, kills it (SIGKILL) that long after its first acknowledgement, and returns all of them.
fn kill_after(path: &Path, mode: Mode, durability: &str, delay: Duration) -> Vec<(u64, u64)> {
    let program = std::env::current_exe().expect("this program");
    let mut writer = Command::new(program);
    writer.arg("writer").arg(path).arg(mode.to_string()).arg(durability).stdout(Stdio::piped());
    let mut child: Child = writer.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let first = lines.next().expect("the first acknowledgement").expect("the pipe is ours");
    std::thread::scope(|scope| {
        let killer = scope.spawn(move || {
            std::thread::sleep(delay);
            child.kill().expect("it is running");
            child.wait().expect("it is ours")
        });
        let rest = lines.map(|line| line.expect("the pipe is ours"));
        let said = [first].into_iter().chain(rest).map(|line| parse(&line)).collect();
        let status = killer.join().expect("the killer");
        assert!(!status.success(), "the writer ended by itself");
        said
    })
}

fn parse(line: &str) -> (u64, u64) {
    let (thread, number) = line.split_once(' ').expect("a thread and a number");
    (thread.parse().expect("a number"), number.parse().expect("a number"))
}
