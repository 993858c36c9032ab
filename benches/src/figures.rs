//! The figures of `docs/performance.md`, in one run: `cargo run --release -p codex-benches --bin figures [FOLDER]`.
//!
//! Durable rates are given beside a loop that appends 150 bytes and syncs them on the same disk, measured
//! again before each row, because a disk's speed changes from minute to minute.

#![expect(clippy::print_stdout, reason = "a program that prints a table")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing to print")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use codex::{Durability, EncryptionKey, Mode, Options, Store};

const CELL: Duration = Duration::from_millis(1500);
const VALUE: [u8; 100] = [b'v'; 100];

fn main() {
    let place = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = tempfile::tempdir_in(place).unwrap();
    let folder = folder.path();
    println!("cores: {}", thread::available_parallelism().unwrap());
    for mode in [Mode::Snapshot, Mode::Ledger] {
        durable_sets(folder, mode);
    }
    commit_cost(folder);
    batches(folder);
    buffered(folder);
    reads(folder);
    for mode in [Mode::Snapshot, Mode::Ledger] {
        open_a_million(folder, mode);
    }
}

fn options(mode: Mode) -> Options {
    Options::new().mode(mode).encryption_key(EncryptionKey::from_bytes([7; 32]))
}

/// Appends of 150 bytes, each with a data sync, a second.
fn append_loop(folder: &Path) -> f64 {
    let path = folder.join("append");
    let mut file = File::create(&path).unwrap();
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < CELL / 2 {
        file.write_all(&[1; 150]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    fs::remove_file(path).unwrap();
    rate
}

/// Runs `work` with a running number on each thread until the cell's time is over; a second.
fn rate(threads: usize, work: impl Fn(usize, u64) + Sync) -> f64 {
    let start = Instant::now();
    let counts = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let work = &work;
                scope.spawn(move || {
                    let mut count = 0;
                    while start.elapsed() < CELL {
                        work(worker, count);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum::<u64>()
    });
    counts as f64 / start.elapsed().as_secs_f64()
}

fn durable_sets(folder: &Path, mode: Mode) {
    let path = folder.join("sets.db");
    for threads in [1, 2, 8, 32, 64] {
        let before = append_loop(folder);
        let store = options(mode).open(&path).unwrap();
        let rate = rate(threads, |worker, number| {
            store.set_bytes(format!("{worker:06}{number:010}"), VALUE).unwrap();
        });
        let stats = store.stats();
        let limit = f64::midpoint(before, append_loop(folder));
        println!(
            "durable set, {mode}, {threads} threads: {rate:.0}/s = {:.2} of the append loop's {limit:.0}/s, {:.1} commits per sync",
            rate / limit,
            stats.commits as f64 / stats.groups as f64
        );
        drop(store);
        remove(&path);
    }
}

fn commit_cost(folder: &Path) {
    let path = folder.join("cost.db");
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for records in [1_000, 1_000_000] {
            let store = options(mode).open(&path).unwrap();
            load(&store, records);
            thread::sleep(Duration::from_secs(3));
            let before = append_loop(folder);
            let rate = rate(1, |_, number| store.set_bytes(format!("{number:016}"), VALUE).unwrap());
            let limit = f64::midpoint(before, append_loop(folder));
            println!(
                "durable set among {records} records, {mode}: {rate:.0}/s = {:.2} of the append loop",
                rate / limit
            );
            drop(store);
            remove(&path);
        }
    }
}

fn batches(folder: &Path) {
    let path = folder.join("batches.db");
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let store = options(mode).open(&path).unwrap();
        let start = Instant::now();
        load(&store, 300_000);
        println!("batches of 1,000, {mode}: {:.0} records/s", 300_000.0 / start.elapsed().as_secs_f64());
        drop(store);
        remove(&path);
    }
}

fn buffered(folder: &Path) {
    let path = folder.join("buffered.db");
    let store = options(Mode::Snapshot).durability(Durability::Buffered).open(&path).unwrap();
    let start = Instant::now();
    for number in 0..500_000 {
        store.set_bytes(format!("{number:016}"), VALUE).unwrap();
    }
    store.flush().unwrap();
    println!("buffered sets with a flush at the end: {:.0}/s", 500_000.0 / start.elapsed().as_secs_f64());
    drop(store);
    remove(&path);
}

fn reads(folder: &Path) {
    let path = folder.join("reads.db");
    let store = options(Mode::Snapshot).open(&path).unwrap();
    load(&store, 100_000);
    for threads in [1, 2, 32] {
        let rate = rate(threads, |worker, number| {
            let number = (number * 7_919 + worker as u64 * 104_729) % 100_000;
            assert!(store.get_bytes(format!("{number:016}")).unwrap().is_some());
        });
        println!("get, 100,000 records, {threads} threads: {:.2} M/s", rate / 1e6);
    }
    let start = Instant::now();
    let mut bytes = 0;
    store.view().for_each(.., |key, value| bytes += key.len() + value.len()).unwrap();
    println!(
        "full scan with for_each: {:.2} M records/s, {bytes} bytes",
        0.1 / start.elapsed().as_secs_f64()
    );
    drop(store);
    remove(&path);
}

fn open_a_million(folder: &Path, mode: Mode) {
    const RECORDS: u64 = 1_000_000;
    let path = folder.join("million.db");
    let store = options(mode).open(&path).unwrap();
    load(&store, RECORDS);
    drop(store);
    let len = fs::metadata(&path).unwrap().len();
    let before = resident();
    let start = Instant::now();
    let store = options(mode).open(&path).unwrap();
    let took = start.elapsed().as_secs_f64();
    let grown = resident().saturating_sub(before);
    assert_eq!(store.len() as u64, RECORDS);
    println!(
        "open 1,000,000 x 100 bytes, {mode}, encrypted: {took:.2} s = {:.0} records/s; on disk {:.1} bytes a record beyond key and value, in memory {:.1}",
        RECORDS as f64 / took,
        len as f64 / RECORDS as f64 - 116.0,
        grown as f64 / RECORDS as f64 - 116.0
    );
    drop(store);
    remove(&path);
}

fn load(store: &Store, records: u64) {
    for batch in 0..records.div_ceil(1000) {
        let mut changes = codex::Batch::new();
        for number in batch * 1000..((batch + 1) * 1000).min(records) {
            changes.set_bytes(format!("{number:016}"), VALUE);
        }
        store.commit(changes).unwrap();
    }
}

fn remove(path: &Path) {
    for suffix in ["", ".lock", ".ckpt"] {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        let _ = fs::remove_file(path);
    }
}

/// Resident memory of this process, in bytes; zero where the system does not say.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
