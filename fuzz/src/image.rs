//! The databases that the targets start from: how they are made, and what each state of them holds.
//!
//! A state follows from its sequence number alone, so that a target needs no second copy of the truth.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::clock::Clock;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, Database, Durability, Mode, OpenOptions, Result};
use std::ops::Bound;

/// Where a database is on its simulated disk.
pub const PATH: &str = "/folder/app.db";
/// Its checkpoint.
pub const CHECKPOINT: &str = "/folder/app.db.ckpt";
/// How many commits an image has.
pub const COMMITS: u64 = 7;

/// Records by key.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// What opens the encrypted ones.
#[must_use]
pub fn unlock() -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([7; 32]))
}

/// Options for a database on this disk. Time stands still, so that nothing happens by itself.
#[must_use]
pub fn options(disk: &SimVfs) -> OpenOptions {
    OpenOptions { vfs: Arc::new(disk.clone()), clock: Arc::new(StoppedClock), ..OpenOptions::default() }
}

/// Opens the database on this disk for writing.
pub fn open(disk: &SimVfs, encrypted: bool) -> Result<Database> {
    options(disk).open(Path::new(PATH), encrypted.then(unlock).as_ref())
}

/// Opens the database on this disk for reading.
pub fn open_read_only(disk: &SimVfs, encrypted: bool) -> Result<Database> {
    let options = OpenOptions { read_only: true, ..options(disk) };
    options.open(Path::new(PATH), encrypted.then(unlock).as_ref())
}

/// All records of a database.
#[must_use]
pub fn contents(database: &Database) -> State {
    let records = database.view().range((Bound::Unbounded, Bound::Unbounded));
    records.map(|record| (record.key().to_vec(), record.value().to_vec())).collect()
}

/// What a database of these images holds after commit `number`.
#[must_use]
pub fn state(number: u64) -> State {
    let mut state = State::new();
    for number in 1..=number {
        if number == 4 {
            state.clear();
        }
        state.insert(b"counter".to_vec(), number.to_le_bytes().to_vec());
        state.insert(format!("commit {number}").into_bytes(), vec![7; 40]);
        state.remove(format!("commit {}", number - 1).as_bytes());
    }
    state
}

fn commit(database: &Database, number: u64) -> Result<()> {
    let mut batch = Batch::new();
    if number == 4 {
        batch.clear();
    }
    batch.set(b"counter", &[&number.to_le_bytes()])?;
    batch.set(format!("commit {number}").as_bytes(), &[&[7; 40]])?;
    batch.delete(format!("commit {}", number - 1).as_bytes())?;
    database.commit(batch).map(|_| ())
}

/// How an image is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Closed.
    Closed,
    /// As a killed process leaves it.
    Killed,
}

/// Makes an image: rewritten or with a checkpoint after commit 5. The disk holds what is left.
pub fn make(mode: Mode, encrypted: bool, left: Left) -> Result<SimVfs> {
    let disk = SimVfs::new(1);
    let options = OpenOptions { mode: Some(mode), durability: Durability::Sync, ..options(&disk) };
    let database = options.open(Path::new(PATH), encrypted.then(unlock).as_ref())?;
    for number in 1..=COMMITS {
        commit(&database, number)?;
        if number == 5 {
            match mode {
                Mode::Snapshot => database.compact()?,
                Mode::Ledger => database.checkpoint()?,
            }
        }
    }
    match left {
        Left::Closed => database.close()?,
        Left::Killed => return Ok(disk.process_crash()),
    }
    Ok(disk)
}

/// A clock that shows one time only.
#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn wall_ns(&self) -> u64 {
        1_800_000_000_000_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}
