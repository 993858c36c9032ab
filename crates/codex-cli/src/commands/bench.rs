//! `bench`: this machine and this disk, beside their own limits, in about ten seconds.
//!
//! What is durable is measured in turns with the loop that it is held against, because the speed of a disk changes. The rows
//! are for judging a disk and finding out what is slow; `cargo xtask bench peers` compares with other databases.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use codex::{Batch, EncryptionKey, Options, Store};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{float, private_folder, target};
use crate::args::{Bench, Global};
use crate::exit::Failure;
use crate::output::Output;

pub(super) fn bench(global: &Global, args: &Bench, output: &mut Output) -> Result<(), Failure> {
    let folder = folder(global, args)?;
    remove_what_was_left(&folder);
    let place = Place::create(&folder)?;
    let scale = Scale { seconds: args.seconds };
    if cfg!(debug_assertions) {
        output.note("this codex was built without optimisation: its figures are too small");
    }
    output.note(&format!("measuring in {} for about {} seconds", folder.display(), args.seconds));
    let mut rows = durable(&place, scale)?;
    let judgement = judgement(&rows);
    rows.extend(in_memory(&place, scale)?);
    place.close()?;

    if !output.is_json() {
        output.line(&format!("{:<36} {:>12} {:<10} of its limit", "work", "rate", "a second"))?;
    }
    for row in &rows {
        output.result(&row.text(), &row.object())?;
    }
    if output.is_json() { Ok(()) } else { output.line(&judgement) }
}

/// One line of the table.
#[derive(Clone, Debug)]
struct Row {
    work: &'static str,
    rate: f64,
    unit: &'static str,
    /// What it is held against, and the rate of that.
    limit: Option<(&'static str, f64)>,
    /// The median time of one piece of work, where it was taken, in microseconds.
    median_us: Option<f64>,
    /// The fastest of its turns over the slowest, where it took turns.
    spread: Option<f64>,
}

impl Row {
    fn limit(work: &'static str, rate: f64, unit: &'static str) -> Self {
        Self { work, rate, unit, limit: None, median_us: None, spread: None }
    }

    fn against(limit: &Self, work: &'static str, rate: f64) -> Self {
        let unit = limit.unit;
        Self { work, rate, unit, limit: Some((limit.work, limit.rate)), median_us: None, spread: None }
    }

    fn ratio(&self) -> Option<f64> {
        self.limit.map(|(_, rate)| self.rate / rate)
    }

    fn text(&self) -> String {
        let ratio = self.ratio().map_or_else(|| "limit".to_owned(), |ratio| format!("{ratio:.2}"));
        format!("{:<36} {:>12} {:<10} {ratio}", self.work, grouped(self.rate), self.unit)
    }

    fn object(&self) -> serde_json::Value {
        json!({
            "work": self.work, "rate": rounded(self.rate), "unit": self.unit,
            "limit": self.limit.map(|(name, _)| name), "ratio": self.ratio().map(rounded),
            "median_us": self.median_us.map(rounded), "spread": self.spread.map(rounded),
        })
    }
}

/// How long and how much.
#[derive(Clone, Copy, Debug)]
struct Scale {
    seconds: u32,
}

impl Scale {
    /// A part of the time, in thousandths of it.
    fn part(self, thousandths: u32) -> Duration {
        Duration::from_millis(1) * thousandths * self.seconds
    }

    /// Records in the database that is read: 100,000 in ten seconds.
    fn records(self) -> u64 {
        u64::from(self.seconds) * 10_000
    }
}

/// What is durable: sets and batches, in turns with the loops that show what the disk allows.
fn durable(place: &Place, scale: Scale) -> Result<Vec<Row>, Failure> {
    let store = place.open("sets.db")?;
    let (mut loops, mut batch_loops, mut batches) =
        (Counted::default(), Counted::default(), Counted::default());
    let mut sets = THREADS.map(|_| Counted::default());
    let (mut times, mut speeds) = (Vec::new(), Vec::new());
    let part = scale.part(75) / ROUNDS;
    for _ in 0..ROUNDS {
        let turn = place.appends(RECORD_LEN, 1, part, &mut times)?;
        speeds.push(turn.rate());
        loops.add(&turn);
        for (sets, threads) in sets.iter_mut().zip(THREADS) {
            sets.add(&together(threads, part, |thread, turn| {
                store.set_bytes(key(random(thread, turn) % KEYS), VALUE)?;
                Ok(1)
            })?);
        }
        batch_loops.add(&place.appends(RECORD_LEN * BATCH_LEN, BATCH_LEN as u64, part, &mut Vec::new())?);
        batches.add(&together(1, part, |thread, turn| {
            let mut batch = Batch::new();
            for number in 0..BATCH_LEN as u64 {
                batch.set_bytes(key(random(thread, turn * BATCH_LEN as u64 + number) % KEYS), VALUE);
            }
            store.commit(batch)?;
            Ok(BATCH_LEN as u64)
        })?);
    }
    store.close()?;
    times.sort_unstable();
    let median = times.get(times.len() / 2).map(|time| time.as_secs_f64() * 1e6);
    speeds.sort_unstable_by(f64::total_cmp);
    let spread = speeds.last().zip(speeds.first()).map(|(most, least)| most / least);
    let append =
        Row { median_us: median, spread, ..Row::limit("append and data sync", loops.rate(), "syncs") };
    let mut rows = vec![append];
    for (work, sets) in ["durable sets, 1 thread", "durable sets, 8 threads", "durable sets, 32 threads"]
        .into_iter()
        .zip(sets)
    {
        let row = Row::against(&rows[0], work, sets.rate());
        rows.push(Row { unit: "sets", ..row });
    }
    let limit = Row::limit("append of 1,000 records and sync", batch_loops.rate(), "records");
    let batches = Row::against(&limit, "batches of 1,000 sets", batches.rate());
    rows.extend([limit, batches]);
    Ok(rows)
}

/// What needs no sync: reading, opening, and the cryptography below them.
fn in_memory(place: &Place, scale: Scale) -> Result<Vec<Row>, Failure> {
    let (count, part) = (scale.records(), scale.part(50));
    let store = place.open("reads.db")?;
    let numbers: Vec<u64> = (0..count).collect();
    for chunk in numbers.chunks(BATCH_LEN) {
        let mut batch = Batch::new();
        chunk.iter().for_each(|number| batch.set_bytes(key(*number), VALUE));
        store.commit(batch)?;
    }
    let hashed: HashMap<_, _> = numbers.iter().map(|number| (key(*number), VALUE.to_vec())).collect();
    let hash_map = together(1, part, |thread, turn| {
        black_box(hashed.get(&key(random(thread, turn) % count)).map(|value| value[0]));
        Ok(1)
    })?;
    let gets = together(1, part, |thread, turn| {
        black_box(store.get_bytes(key(random(thread, turn) % count))?.map(|value| value[0]));
        Ok(1)
    })?;
    let ordered: BTreeMap<_, _> = hashed.into_iter().collect();
    let tree = together(1, part, |_, _| {
        ordered.iter().for_each(|(key, value)| _ = black_box(key[0] ^ value[0]));
        Ok(count)
    })?;
    let scans = together(1, part, |_, _| {
        let mut read = 0;
        store.view().for_each(.., |key, value| {
            black_box(key[0] ^ value[0]);
            read += 1;
        })?;
        Ok(read)
    })?;
    let bytes = store.stats().log_bytes;
    store.close()?;
    drop(store);
    let opens = together(1, part, |_, _| {
        let store = place.open("reads.db")?;
        store.close()?;
        Ok(count)
    })?;

    let (seal, hash) = (sealing(part)?, hashing(part)?);
    // Opening reads each byte once, unseals it and hashes it.
    let unsealed = float(count) / (float(bytes) / seal + float(bytes) / hash);
    let get_limit = Row::limit("gets of a hash map in memory", hash_map.rate(), "records");
    let scan_limit = Row::limit("scan of a tree in memory", tree.rate(), "records");
    let open_limit = Row::limit("unsealing and hashing alone", unsealed, "records");
    Ok(vec![
        Row::against(&get_limit, "random gets", gets.rate()),
        get_limit,
        Row::against(&scan_limit, "scan", scans.rate()),
        scan_limit,
        Row::against(&open_limit, "open", opens.rate()),
        open_limit,
        Row::limit("sealing (AES-256-GCM)", seal / 1e6, "MB"),
        Row::limit("hashing (SHA-256)", hash / 1e6, "MB"),
    ])
}

/// Bytes a second.
fn sealing(duration: Duration) -> Result<f64, Failure> {
    let failed = |_| Failure::new(codex::ErrorKind::Internal, "AES-256-GCM refuses a key or a message");
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(failed)?);
    let sealed = together(1, duration, |_, _| {
        let mut message = [0; MESSAGE_LEN];
        // Nothing is kept secret here: key and nonce may meet twice.
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut message).map_err(failed)?;
        black_box((message, tag.as_ref()[0]));
        Ok(MESSAGE_LEN as u64)
    })?;
    Ok(sealed.rate())
}

/// Bytes a second.
fn hashing(duration: Duration) -> Result<f64, Failure> {
    let message = [0_u8; MESSAGE_LEN];
    let hashed = together(1, duration, |_, _| {
        black_box(Sha256::digest(black_box(message)));
        Ok(MESSAGE_LEN as u64)
    })?;
    Ok(hashed.rate())
}

/// What was done in what time.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    count: u64,
    time: Duration,
}

impl Counted {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.time += other.time;
    }

    fn rate(&self) -> f64 {
        float(self.count) / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Repeats the work in so many threads, which begin together, for this time. The work is given the number of its thread
/// and of its turn, and says how much it did.
fn together(
    threads: usize,
    duration: Duration,
    work: impl Fn(u64, u64) -> Result<u64, Failure> + Sync,
) -> Result<Counted, Failure> {
    let (begin, count) = (Barrier::new(threads), AtomicU64::new(0));
    let start = Instant::now();
    let results = thread::scope(|scope| {
        let run = |thread: usize| {
            let (begin, count, work) = (&begin, &count, &work);
            move || {
                begin.wait();
                let start = Instant::now();
                let mut turn = 0;
                while start.elapsed() < duration {
                    count.fetch_add(work(thread as u64, turn)?, Ordering::AcqRel);
                    turn += 1;
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the work does not panic")).collect::<Vec<_>>()
    });
    results.into_iter().collect::<Result<Vec<()>, Failure>>()?;
    Ok(Counted { count: count.into_inner(), time: start.elapsed() })
}

/// Where it is measured: a folder of its own, which nobody else can use.
#[derive(Debug)]
struct Place {
    folder: TempDir,
    key: [u8; 32],
    /// Its lock says to later runs that this one is alive.
    _held: File,
}

impl Place {
    fn create(beside: &Path) -> Result<Self, Failure> {
        let failed =
            |error| Failure::io(format!("make a folder to measure in, in {}", beside.display()), error);
        let folder = private_folder(PREFIX, beside).map_err(failed)?;
        // Locked before it has the name that later runs look for.
        let new = folder.path().join("new");
        let held = File::create_new(&new).map_err(failed)?;
        held.lock().map_err(failed)?;
        fs::rename(new, folder.path().join(HELD)).map_err(failed)?;
        let key = EncryptionKey::generate().map_err(codex::Error::from)?;
        let mut bytes = [0; 32];
        base16ct::mixed::decode(key.to_hex().as_bytes(), &mut bytes).expect("a key is 64 hexadecimal digits");
        Ok(Self { folder, key: bytes, _held: held })
    }

    fn open(&self, name: &str) -> Result<Store, Failure> {
        let key = EncryptionKey::from_bytes(self.key);
        Ok(Options::new().encryption_key(key).open(self.folder.path().join(name))?)
    }

    /// Appends so many bytes at a time, each with a data sync, which count as `count`.
    fn appends(
        &self,
        len: usize,
        count: u64,
        duration: Duration,
        times: &mut Vec<Duration>,
    ) -> Result<Counted, Failure> {
        let failed = |error| Failure::io("append to a file to measure the disk", error);
        let mut file = tempfile::NamedTempFile::new_in(self.folder.path()).map_err(failed)?;
        let bytes = vec![1; len];
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed() < duration {
            let begin = Instant::now();
            file.write_all(&bytes).and_then(|()| file.as_file().sync_data()).map_err(failed)?;
            times.push(begin.elapsed());
            done += count;
        }
        let counted = Counted { count: done, time: start.elapsed() };
        file.close().map_err(failed)?;
        Ok(counted)
    }

    fn close(self) -> Result<(), Failure> {
        self.folder.close().map_err(|error| Failure::io("remove the folder that was measured in", error))
    }
}

/// The folder of the database that is named; else the one that is worked in.
fn folder(global: &Global, args: &Bench) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.dir {
        return Ok(folder.clone());
    }
    let named = global.file.is_some() || global.home.is_some() || std::env::var_os("CODEX_DB").is_some();
    if !named {
        return Ok(PathBuf::from("."));
    }
    let database = codex::inspect::files_beside(target(global)?.path()?)?.database;
    Ok(database.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf))
}

/// Removes what runs left that were killed. What cannot be removed is no reason not to measure.
fn remove_what_was_left(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let held = ours.then(|| File::open(entry.path().join(HELD)));
        if let Some(Ok(held)) = held
            && held.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key-000000000000";
    key[4..].copy_from_slice(format!("{number:012}").as_bytes());
    key
}

/// A number that looks random: `SplitMix64` (Steele, Lea, Flood 2014).
fn random(thread: u64, turn: u64) -> u64 {
    let mut mixed = (thread << 40 | turn).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// What the rows of [`durable`] say about a disk.
fn judgement(rows: &[Row]) -> String {
    let (append, sets) = (&rows[0], &rows[1..=THREADS.len()]);
    let us = append.median_us.unwrap_or_default();
    let kind = match us {
        ..15.0 => "no disk is that fast: this is memory, or something that answers before it has written",
        ..200.0 => "a very good disk, with a cache that outlives the power, takes under 0.2 ms",
        ..2_000.0 => "a good solid-state disk takes 0.2 to 2 ms",
        ..6_000.0 => "slow solid-state and network disks take 2 to 6 ms",
        _ => "turning and busy disks take more than 6 ms",
    };
    // A sync serves one set of each thread at most, and costs less than half as much as the loop's at best.
    let possible =
        |(row, threads): (&Row, usize)| row.ratio().is_none_or(|ratio| ratio < 2.0 * float(threads as u64));
    let steady =
        append.spread.is_none_or(|spread| spread < SPREAD_MAX) && sets.iter().zip(THREADS).all(possible);
    let doubt = if steady {
        ""
    } else {
        "\nSomething else uses this disk or the processors: believe no ratio of what syncs, and try again."
    };
    format!(
        "A data sync takes {:.3} ms here: {kind}. A commit waits for one; threads share it.{doubt}",
        us / 1e3
    )
}

/// Three significant digits are what such a run can tell; JSON has a few more.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn grouped(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As in `docs/performance.md`: a value of 100 bytes.
const VALUE: &[u8] = &[0xa5; 100];
/// What a set of such a value appends to the log, about.
const RECORD_LEN: usize = 256;
const BATCH_LEN: usize = 1_000;
/// How many keys are set over and over.
const KEYS: u64 = 10_000;
const THREADS: [usize; 3] = [1, 8, 32];
/// What is durable takes turns so often; the more, the less a change of the disk's speed favours one.
const ROUNDS: u32 = 10;
/// From here on the disk was too unsteady for ratios.
const SPREAD_MAX: f64 = 5.0;
const MESSAGE_LEN: usize = 4096;
const PREFIX: &str = ".codex-bench-";
const HELD: &str = "held";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_grouped_by_thousands() {
        assert_eq!([0.4, 999.6, 12_345.0, 1_234_567.0].map(grouped), ["0", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn a_limit_has_no_ratio_and_what_is_held_against_it_has() {
        let limit = Row::limit("loop", 200.0, "syncs");
        let row = Row::against(&limit, "sets", 300.0);
        assert_eq!((limit.ratio(), row.ratio()), (None, Some(1.5)));
        assert_eq!(row.object()["limit"], "loop");
    }

    #[test]
    fn a_disk_is_judged_by_its_syncs_and_an_unsteady_one_is_named() {
        let said = |us, spread, rate| {
            let append =
                Row { median_us: Some(us), spread: Some(spread), ..Row::limit("loop", 100.0, "syncs") };
            let sets = THREADS.map(|_| Row::against(&append, "sets", rate));
            judgement(&[vec![append], sets.into()].concat())
        };
        let doubtful = |said: &str| said.contains("believe no ratio");
        assert!(said(5.0, 1.2, 150.0).contains("memory") && !doubtful(&said(5.0, 4.9, 199.0)));
        assert!(said(1_500.0, 1.2, 150.0).contains("1.500 ms") && doubtful(&said(1_500.0, 5.1, 150.0)));
        assert!(said(9_000.0, 1.2, 150.0).contains("turning") && doubtful(&said(9_000.0, 1.2, 201.0)));
    }
}
