//! Opening a database, up to the first read: in batches loaded, or set one by one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use codex::Durability;

use super::{Place, load};
use crate::data::Keys;
use crate::engines::{self, Use};
use crate::figures::Figures;
use crate::machine;

/// Whether the system has the files in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    Warm,
    Cold,
}

pub(super) fn loaded(place: Place<'_>, cache: Cache) -> Result<Figures> {
    opened(place, &load::loaded(place), cache)
}

/// A database in which every record was a commit and a frame of its own.
pub(super) fn singles(place: Place<'_>) -> Result<Figures> {
    let folder = place.kept.join("singles").join(place.row);
    if !folder.exists() {
        fs::create_dir_all(&folder)?;
        // Each commit is handed to the system by itself, as with `Sync`, but the disk is not waited for.
        let options = engines::options(load::mode(place.row)?)
            .durability(Durability::Interval(Duration::from_hours(1)));
        let store = options.open(folder.join("database"))?;
        let keys = Keys::of(place.scale.records());
        for number in 0..place.scale.records() {
            let (key, value) = keys.record(number);
            store.set_bytes(key, value)?;
        }
        store.close()?;
    }
    opened(place, &folder, Cache::Warm)
}

fn opened(place: Place<'_>, folder: &Path, cache: Cache) -> Result<Figures> {
    if cache == Cache::Cold && !machine::drop_caches() {
        // The page says that this system does not let us.
        return Ok(Figures::new());
    }
    if cache == Cache::Warm {
        machine::read_all(folder)?;
    }
    let key = Keys::of(place.scale.records()).key(0);
    let start = Instant::now();
    let engine = engines::open(place.row, folder, Use::Durable)?;
    ensure!(engine.session()?.get(&key)?.is_some(), "the first record is missing");
    let seconds = start.elapsed().as_secs_f64();
    Ok(Figures::from([
        ("rate".into(), place.scale.records() as f64 / seconds),
        ("milliseconds".into(), 1000.0 * seconds),
    ]))
}
