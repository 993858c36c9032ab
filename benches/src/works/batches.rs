//! Durable batches of 1,000 records from one thread into an empty database.

use std::time::Instant;

use anyhow::Result;

use super::Place;
use crate::data::Keys;
use crate::engines::{self, Use};
use crate::figures::Figures;
use crate::limits;

/// Records of a batch.
pub(super) const BATCH: u64 = 1000;

/// Ends early once as many records are set as a loaded database has.
pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    if let Some(counted) = limits::append(place, usize::try_from(BATCH)?)? {
        return Ok(Figures::from([("rate".into(), counted.rate())]));
    }
    let engine = engines::open(place.row, place.folder, Use::Durable)?;
    let mut session = engine.session()?;
    let keys = Keys::of(place.scale.records());
    let start = Instant::now();
    let mut count = 0;
    while count < place.scale.records() && start.elapsed() < 2 * place.scale.duration() {
        session.set_all(&keys.batch(count, count + BATCH))?;
        count += BATCH;
    }
    Ok(Figures::from([("rate".into(), count as f64 / start.elapsed().as_secs_f64())]))
}
