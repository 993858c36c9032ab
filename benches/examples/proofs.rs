//! What a proof costs, by the number of frames: `cargo run --release -p codex-benches --example proofs -- 1000 1000000`.
//! The figures are those of `docs/evidence.md`.
#![expect(clippy::print_stdout, reason = "a program that reports figures")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use codex::{Durability, EncryptionKey, Mode, Options, Store};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Proofs of each kind that are timed; the figure is the median.
const PROOFS: u64 = 1000;

fn main() -> Result<()> {
    let sizes: Vec<u64> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<std::result::Result<_, _>>()?;
    println!(
        "frames | log MB | hashes | proof bytes | prove us | continuation us | check us | open ms | first ms | first, no checkpoint ms"
    );
    for size in if sizes.is_empty() { vec![1_000, 1_000_000] } else { sizes } {
        let folder = tempfile::tempdir_in(".")?;
        measure(size, &folder.path().join("app.db"))?;
    }
    Ok(())
}

fn measure(size: u64, path: &Path) -> Result<()> {
    let store = options().open(path)?;
    // With nothing to wait for, each commit is a frame.
    for number in 0..size {
        store.set_bytes("key", number.to_le_bytes())?;
    }
    store.close()?;
    drop(store);
    let log_mb = fs::metadata(path)?.len() / 1_000_000;

    let (store, open) = timed(|| Ok(options().open(path)?))?;
    let (_, first) = timed(|| Ok(store.prove(size / 3)?))?;
    let mut sequences = (1..=PROOFS).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % size + 1);
    let mut proofs = Vec::new();
    let prove = median(|| {
        proofs.push(store.prove(sequences.next().unwrap_or(1))?);
        Ok(())
    })?;
    let mut sizes = (1..=PROOFS).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % size + 1);
    let continuation = median(|| {
        store.prove_consistency(sizes.next().unwrap_or(1), size)?;
        Ok(())
    })?;
    let mut to_check = proofs.iter();
    let check = median(|| {
        to_check.next().ok_or("as many as were made")?.verify()?;
        Ok(())
    })?;
    let hashes = proofs.iter().map(|proof| proof.inclusion().hashes.len()).max().unwrap_or(0);
    let bytes = proofs.iter().map(|proof| proof.to_string().len()).max().unwrap_or(0);
    drop(store);

    let mut checkpoint = path.as_os_str().to_owned();
    checkpoint.push(".ckpt");
    if Path::new(&checkpoint).exists() {
        fs::remove_file(checkpoint)?;
    }
    let store: Store = options().read_only(true).open(path)?;
    let (_, uncovered) = timed(|| Ok(store.prove(size / 3)?))?;
    let (micros, millis) = (|time: Duration| time.as_micros(), |time: Duration| time.as_secs_f64() * 1000.0);
    println!(
        "{size} | {log_mb} | {hashes} | {bytes} | {} | {} | {} | {:.1} | {:.1} | {:.1}",
        micros(prove),
        micros(continuation),
        micros(check),
        millis(open),
        millis(first),
        millis(uncovered)
    );
    Ok(())
}

fn options() -> Options {
    let key = EncryptionKey::from_bytes([7; 32]);
    Options::new()
        .mode(Mode::Ledger)
        .encryption_key(key)
        .durability(Durability::Interval(Duration::from_secs(1)))
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed()))
}

fn median(mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..PROOFS {
        times.push(timed(&mut work)?.1);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
