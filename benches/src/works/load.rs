//! A database loaded in batches of 1,000: what a record takes on disk and in memory. Later works read it.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use codex::Mode;

use super::batches::BATCH;
use super::{Place, loaded_by};
use crate::data::{Keys, RECORD_LEN};
use crate::engines::{self, Engine, Use};
use crate::figures::Figures;
use crate::machine;

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    let records = place.scale.records();
    let folder = loaded(place);
    // The one of an earlier run of this cell, whose figures are replaced.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let before = machine::resident();
    let start = Instant::now();
    let engine = engines::open(place.row, &folder, Use::Durable)?;
    fill(&*engine, records)?;
    let rate = records as f64 / start.elapsed().as_secs_f64();
    let grown = machine::resident().zip(before).map(|(after, before)| after.saturating_sub(before));
    drop(engine);
    let beyond = |bytes: u64| bytes as f64 / records as f64 - RECORD_LEN as f64;
    let mut figures =
        Figures::from([("rate".into(), rate), ("disk".into(), beyond(machine::allocated(&folder)?))]);
    if let Some(grown) = grown {
        figures.insert("memory".into(), beyond(grown));
    }
    Ok(figures)
}

pub(super) fn fill(engine: &dyn Engine, records: u64) -> Result<()> {
    let keys = Keys::of(records);
    let mut session = engine.session()?;
    for first in (0..records).step_by(usize::try_from(BATCH)?) {
        session.set_all(&keys.batch(first, records.min(first + BATCH)))?;
    }
    Ok(())
}

/// The folder that this row's loaded database is in.
pub(super) fn loaded(place: Place<'_>) -> PathBuf {
    place.kept.join("loaded").join(loaded_by(place.row))
}

/// The loaded database; a map in memory is filled.
pub(super) fn open(place: Place<'_>) -> Result<Box<dyn Engine>> {
    let engine = engines::open(place.row, &loaded(place), Use::Durable)
        .with_context(|| format!("opening what {} has loaded", place.row))?;
    if engines::row(place.row)?.kind == engines::Kind::Limit {
        fill(&*engine, place.scale.records())?;
    }
    Ok(engine)
}

/// The mode of one of our rows.
pub(super) fn mode(row: &str) -> Result<Mode> {
    match row {
        "codex" => Ok(Mode::Snapshot),
        "codex-ledger" => Ok(Mode::Ledger),
        other => bail!("{other} has no mode"),
    }
}
