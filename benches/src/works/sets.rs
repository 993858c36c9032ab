//! Durable single sets by some writers: rate, waiting times, commits per sync, and flushes of the disk.

use anyhow::Result;

use super::Place;
use crate::data::Keys;
use crate::engines::{self, Use};
use crate::figures::Figures;
use crate::threads::{Counted, together};
use crate::{limits, machine};

pub(super) fn measure(place: Place<'_>, writers: usize) -> Result<Figures> {
    let flushes = machine::flushes(place.folder);
    let (counted, per_sync) = match limits::append(place, writers)? {
        Some(counted) => (counted, None),
        None => sets(place, writers)?,
    };
    let mut figures = latencies(&counted);
    figures.insert("rate".into(), counted.rate());
    if let Some(per_sync) = per_sync {
        figures.insert("commits per sync".into(), per_sync);
    }
    if let (Some(before), Some(after)) = (flushes, machine::flushes(place.folder)) {
        figures.insert("flushes".into(), (after - before) as f64 / counted.count as f64);
    }
    Ok(figures)
}

fn sets(place: Place<'_>, writers: usize) -> Result<(Counted, Option<f64>)> {
    let engine = engines::open(place.row, place.folder, Use::Durable)?;
    let keys = Keys::of(place.scale.records());
    let before = engine.commits_and_syncs();
    let counted = together(writers, place.scale.duration(), |writer| {
        let mut session = engine.session()?;
        let mut number = writer as u64;
        Ok(move || {
            session.set(&keys.record(number))?;
            number += writers as u64;
            Ok(1)
        })
    })?;
    let per_sync = before
        .zip(engine.commits_and_syncs())
        .map(|((commits, syncs), after)| (after.0 - commits) as f64 / (after.1 - syncs) as f64);
    Ok((counted, per_sync))
}

/// In microseconds.
pub(super) fn latencies(counted: &Counted) -> Figures {
    let shares = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    shares.into_iter().map(|(name, share)| (name.to_owned(), counted.percentile(share))).collect()
}
