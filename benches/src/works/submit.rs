//! Commits of one thread that keeps 64 in flight.

use std::collections::VecDeque;

use anyhow::{Context as _, Result};
use codex::{Batch, Pending};

use super::Place;
use super::load::mode;
use crate::data::Keys;
use crate::engines;
use crate::figures::Figures;
use crate::threads::together;

const IN_FLIGHT: usize = 64;

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    let store = engines::options(mode(place.row)?).open(place.folder.join("database"))?;
    let keys = Keys::of(place.scale.records());
    let before = store.stats();
    let counted = together(1, place.scale.duration(), |_| {
        let mut pending = VecDeque::<Pending>::new();
        let mut number = 0;
        let store = &store;
        Ok(move || {
            while pending.len() < IN_FLIGHT {
                let (key, value) = keys.record(number);
                let mut batch = Batch::new();
                batch.set_bytes(key, value);
                pending.push_back(store.submit(batch)?);
                number += 1;
            }
            pending.pop_front().context("64 are in flight")?.wait()?;
            Ok(1)
        })
    })?;
    let after = store.stats();
    let per_sync = (after.commits - before.commits) as f64 / (after.syncs - before.syncs) as f64;
    Ok(Figures::from([("rate".into(), counted.rate()), ("commits per sync".into(), per_sync)]))
}
