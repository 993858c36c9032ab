//! Single sets of one thread that need not be durable before one flush at the end, whose time counts.

use std::time::Instant;

use anyhow::Result;

use super::Place;
use crate::data::Keys;
use crate::engines::{self, Use};
use crate::figures::Figures;

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    let engine = engines::open(place.row, place.folder, Use::Buffered)?;
    let mut session = engine.session()?;
    let keys = Keys::of(place.scale.records());
    let start = Instant::now();
    let mut count = 0;
    while count < place.scale.records() && start.elapsed() < place.scale.duration() {
        // The clock is read seldom, because that takes a part of what a set takes.
        for number in count..count + 32 {
            session.set_buffered(&keys.record(number))?;
        }
        count += 32;
    }
    session.flush()?;
    Ok(Figures::from([("rate".into(), count as f64 / start.elapsed().as_secs_f64())]))
}
