//! What superseded commits cost: opening a ledger that has ten times as many of them as live records, beside one that
//! has none; and the size of a snapshot in which everything was overwritten as often.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use codex::{Durability, Mode, Store};

use super::{Place, load};
use crate::data::{Keys, RECORD_LEN, value};
use crate::engines;
use crate::figures::{Figures, Spread};
use crate::machine;

const OVERWRITTEN: u64 = 10;
const OPENINGS: usize = 5;

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    // Enough that a snapshot is above the 16 MiB from which the goal counts.
    let records = place.scale.records() / 5;
    match load::mode(place.row)? {
        Mode::Ledger => ledger(place, records),
        Mode::Snapshot => snapshot(place, records),
    }
}

fn ledger(place: Place<'_>, records: u64) -> Result<Figures> {
    let paths = [place.folder.join("without"), place.folder.join("with")];
    for (path, rounds) in paths.iter().zip([1, 1 + OVERWRITTEN]) {
        overwrite(path, Mode::Ledger, records, rounds)?.close()?;
    }
    let mut milliseconds = [Vec::new(), Vec::new()];
    machine::read_all(place.folder)?;
    for _ in 0..OPENINGS {
        for (path, milliseconds) in paths.iter().zip(&mut milliseconds) {
            let start = Instant::now();
            let store = engines::options(Mode::Ledger).open(path)?;
            milliseconds.push(1000.0 * start.elapsed().as_secs_f64());
            ensure!(store.len() as u64 == records, "a record is missing");
            store.close()?;
        }
    }
    let [without, with] = milliseconds.map(|values| Spread::of(values).map_or(0.0, |spread| spread.median));
    Ok(Figures::from([("without".into(), without), ("with".into(), with)]))
}

fn snapshot(place: Place<'_>, records: u64) -> Result<Figures> {
    let path = place.folder.join("database");
    let store = overwrite(&path, Mode::Snapshot, records, 1 + OVERWRITTEN)?;
    let live = (records * RECORD_LEN) as f64;
    // A rewrite may still run: the file is settled when it has kept its length for half a second.
    let mut len = u64::MAX;
    while len != store.stats().log_bytes {
        len = store.stats().log_bytes;
        thread::sleep(Duration::from_millis(500));
    }
    let steady = store.stats().file_bytes as f64 / live;
    store.close()?;
    let closed = machine::allocated(place.folder)? as f64 / live;
    Ok(Figures::from([("steady".into(), steady), ("closed".into(), closed)]))
}

/// Sets each record `rounds` times, each a commit.
fn overwrite(path: &Path, mode: Mode, records: u64, rounds: u64) -> Result<Store> {
    let store = engines::options(mode).durability(Durability::Buffered).open(path)?;
    let keys = Keys::of(records);
    for round in 0..rounds {
        for number in 0..records {
            store.set_bytes(keys.key(number), value(number + round))?;
        }
    }
    store.flush()?;
    Ok(store)
}
