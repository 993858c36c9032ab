//! What the machine itself allows: appends with data syncs, the ciphers and hashes, and sequential files.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest;
use sha2::Digest as _;

use crate::figures::Figures;
use crate::machine;
use crate::threads::{Counted, together};
use crate::works::{Place, Scale};

/// A record with what a frame adds to it, about.
const RECORD: [u8; 150] = [1; 150];
const RECORD_LEN: u64 = RECORD.len() as u64;
/// Space that is written before, for `written-group`.
const WRITTEN_LEN: u64 = 32 << 20;
/// A file that is written and read in sequence.
const FILE_LEN: u64 = 256 << 20;

/// What the append rows do in place of `count` writers, or of a batch of `count`; `None` of other rows.
pub(crate) fn append(place: Place<'_>, count: usize) -> Result<Option<Counted>> {
    let duration = place.scale.duration();
    match place.row {
        "append" => append_apart(place.folder, count, duration).map(Some),
        "append-group" => append_together(place.folder, count as u64, duration).map(Some),
        "written-group" => rewrite_together(place.folder, count as u64, duration).map(Some),
        _ => Ok(None),
    }
}

/// The append loop of one thread.
pub(crate) fn append_alone(folder: &Path, duration: Duration) -> Result<Counted> {
    append_apart(folder, 1, duration)
}

fn append_apart(folder: &Path, threads: usize, duration: Duration) -> Result<Counted> {
    let (path, file) = create(folder)?;
    let end = AtomicU64::new(0);
    let counted = together(threads, duration, |_| {
        Ok(|| {
            let offset = end.fetch_add(RECORD_LEN, Ordering::AcqRel);
            file.write_all_at(&RECORD, offset)?;
            file.sync_data()?;
            Ok(1)
        })
    })?;
    fs::remove_file(path)?;
    Ok(counted)
}

fn append_together(folder: &Path, count: u64, duration: Duration) -> Result<Counted> {
    let (path, file) = create(folder)?;
    let counted = writes(&file, count, u64::MAX, duration)?;
    fs::remove_file(path)?;
    Ok(counted)
}

fn rewrite_together(folder: &Path, count: u64, duration: Duration) -> Result<Counted> {
    let (path, file) = create(folder)?;
    let zeros = vec![0; 1 << 20];
    for offset in (0..WRITTEN_LEN).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()?;
    let counted = writes(&file, count, WRITTEN_LEN, duration)?;
    fs::remove_file(path)?;
    Ok(counted)
}

/// One thread writes `count` records at a time, each time with a data sync; at `end` it begins again.
fn writes(file: &File, count: u64, end: u64, duration: Duration) -> Result<Counted> {
    together(1, duration, |_| {
        let group = vec![1; usize::try_from(count * RECORD_LEN)?];
        let mut offset = 0;
        Ok(move || {
            file.write_all_at(&group, offset)?;
            file.sync_data()?;
            offset += group.len() as u64;
            if offset > end - group.len() as u64 {
                offset = 0;
            }
            Ok(count)
        })
    })
}

fn create(folder: &Path) -> Result<(std::path::PathBuf, File)> {
    let path = folder.join("append");
    let file = OpenOptions::new().write(true).create_new(true).open(&path).context("a file to append to")?;
    // Its name is not what the appends sync.
    file.sync_all()?;
    Ok((path, file))
}

/// Bytes a second, by algorithm, length of a message, and threads.
pub(crate) fn crypto(scale: Scale) -> Result<Figures> {
    let mut figures = Figures::new();
    for len in [128_usize, 4096] {
        for threads in [1, 2] {
            let mut note = |name: &str, counted: &Counted| {
                figures.insert(format!("{name}, {len} bytes, {threads} threads"), counted.rate());
            };
            let duration = scale.duration() / 4;
            note("AES-256-GCM (ring)", &bytes(threads, duration, len, sealing)?);
            note("SHA-256 (ring)", &bytes(threads, duration, len, || Ok(ring_hash))?);
            note("SHA-256 (sha2)", &bytes(threads, duration, len, || Ok(sha2_hash))?);
        }
    }
    Ok(figures)
}

fn ring_hash(message: &mut [u8]) {
    let _ = black_box(digest::digest(&digest::SHA256, message));
}

fn sha2_hash(message: &mut [u8]) {
    let _ = black_box(sha2::Sha256::digest(message));
}

/// Seals under one key; the nonce is a counter, as no two messages may share one.
fn sealing() -> Result<impl FnMut(&mut [u8])> {
    let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_| anyhow!("a key of 32 bytes"))?;
    let key = LessSafeKey::new(key);
    let mut number = 0_u64;
    Ok(move |message: &mut [u8]| {
        number += 1;
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), message).expect("a short message");
        let _ = black_box(tag);
    })
}

fn bytes<Use: FnMut(&mut [u8])>(
    threads: usize,
    duration: Duration,
    len: usize,
    prepare: impl Fn() -> Result<Use> + Sync,
) -> Result<Counted> {
    const STEP: usize = 64;
    together(threads, duration, |_| {
        let mut on = prepare()?;
        let mut message = vec![1; len];
        Ok(move || {
            for _ in 0..STEP {
                on(&mut message);
            }
            Ok((STEP * len) as u64)
        })
    })
}

/// Bytes a second: a file written with one sync, and read from the system's memory and from the disk.
pub(crate) fn files(place: Place<'_>) -> Result<Figures> {
    let path = place.folder.join("file");
    let mut chunk = vec![1; 1 << 20];
    let rate = |start: Instant| FILE_LEN as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut file = File::create(&path)?;
    for _ in 0..FILE_LEN >> 20 {
        file.write_all(&chunk)?;
    }
    file.sync_data()?;
    let mut figures = Figures::from([("written with one sync".into(), rate(start))]);
    let mut read = || -> Result<f64> {
        let start = Instant::now();
        let mut file = File::open(&path)?;
        while file.read(&mut chunk)? > 0 {}
        Ok(rate(start))
    };
    figures.insert("read warm".into(), read()?);
    if machine::drop_caches() {
        figures.insert("read cold".into(), read()?);
    }
    Ok(figures)
}
