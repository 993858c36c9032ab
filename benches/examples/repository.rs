//! What a repository costs: `cargo run --release -p codex-benches --example repository -- 1000`, with the size of the
//! database in MB. The figures are those of `docs/backups.md`.
#![expect(clippy::print_stdout, reason = "a program that reports figures")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use codex::{Batch, EncryptionKey, Mode, Options, Repository, RestoreOptions, Store};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const VALUE_LEN: usize = 1024;
/// Commits are made of as many sets.
const BATCH_COUNT: u64 = 100;
/// One record in so many is changed.
const CHANGED: u64 = 100;

fn main() -> Result<()> {
    let megabytes: u64 = std::env::args().nth(1).map_or(Ok(1000), |size| size.parse())?;
    let (seal, hash) = limits();
    println!(
        "this machine seals {seal:.0} MB/s (AES-256-GCM) and hashes {hash:.0} MB/s (SHA-256), on one core"
    );
    println!("mode | work | MB sent or read | s | MB/s | of sealing | of hashing");
    for mode in [Mode::Ledger, Mode::Snapshot] {
        let folder = tempfile::tempdir_in(".")?;
        measure(mode, megabytes, folder.path(), seal, hash)?;
    }
    Ok(())
}

fn measure(mode: Mode, megabytes: u64, folder: &Path, seal: f64, hash: f64) -> Result<()> {
    let report = |work: &str, bytes: u64, took: Duration| {
        let (megabytes, seconds) = (bytes as f64 / 1e6, took.as_secs_f64());
        let rate = megabytes / seconds;
        println!(
            "{mode} | {work} | {megabytes:.1} | {seconds:.2} | {rate:.0} | {:.0} % | {:.0} %",
            100.0 * rate / seal,
            100.0 * rate / hash
        );
    };
    let key = || EncryptionKey::from_bytes([7; 32]);
    let store = Options::new().mode(mode).encryption_key(key()).open(folder.join("app.db"))?;
    let records = megabytes * 1_000_000 / VALUE_LEN as u64;
    let records: Vec<u64> = (0..records).collect();
    write(&store, &records, 0)?;
    let repository = Repository::open_or_create(folder.join("backups"))?;
    let back_up = |work: &str| -> Result<u64> {
        let (backup, took) = timed(|| Ok(repository.back_up(&store)?))?;
        report(work, backup.sent_bytes.unwrap_or(0), took);
        Ok(backup.bytes)
    };
    back_up("the first backup")?;
    let changed: Vec<u64> = records.into_iter().step_by(usize::try_from(CHANGED)?).collect();
    write(&store, &changed, 1)?;
    let bytes = back_up("a backup, 1 % changed")?;
    back_up("a backup, nothing changed")?;
    let sequence = store.view().sequence();
    store.close()?;
    drop(store);

    let (verified, took) = timed(|| Ok(repository.verify(None)?))?;
    report("verify the repository", verified.bytes, took);
    let restored = folder.join("restored.db");
    let options = || RestoreOptions::new().overwrite(true).encryption_key(key());
    let ((), took) = timed(|| Ok(repository.restore(None, &restored, options())?))?;
    report("restore the newest", bytes, took);
    let point = codex::Point::Sequence(sequence / 2);
    let ((), took) = timed(|| Ok(repository.restore(None, &restored, options().at(point))?))?;
    report("restore the commit in the middle", std::fs::metadata(&restored)?.len(), took);
    Ok(())
}

fn write(store: &Store, records: &[u64], stamp: u8) -> Result<()> {
    let mut pending = Vec::new();
    for part in records.chunks(usize::try_from(BATCH_COUNT)?) {
        let mut batch = Batch::new();
        for record in part {
            let mut value = [stamp; VALUE_LEN];
            value[..8].copy_from_slice(&record.to_le_bytes());
            batch.set_bytes(record.to_be_bytes(), value);
        }
        pending.push(store.submit(batch)?);
        if pending.len() == 50 {
            for commit in pending.drain(..) {
                commit.wait()?;
            }
        }
    }
    for commit in pending {
        commit.wait()?;
    }
    Ok(store.flush()?)
}

/// What one core seals and hashes, in MB/s: the most of half a second's rounds over a mebibyte.
fn limits() -> (f64, f64) {
    let mut buffer = vec![7; 1 << 20];
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("32 bytes"));
    let seal = rate(|| {
        // The sealed bytes go nowhere.
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut buffer);
        let _ = std::hint::black_box(tag.expect("short enough"));
    });
    let bytes = vec![7; 1 << 20];
    let hash = rate(|| {
        std::hint::black_box(Sha256::digest(&bytes));
    });
    (seal, hash)
}

fn rate(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = Duration::MAX;
    while start.elapsed() < Duration::from_millis(500) {
        let begun = Instant::now();
        work();
        best = best.min(begun.elapsed());
    }
    f64::from(1 << 20) / 1e6 / best.as_secs_f64()
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed()))
}
