//! The cost of a durable commit among some number of records, beside the append loop in the same minute.

use std::time::Duration;

use anyhow::Result;

use super::{Place, load};
use crate::data::{Keys, Random, value};
use crate::engines::{self, Use};
use crate::figures::{Figures, Spread};
use crate::limits;
use crate::threads::together;

/// Windows of commits, each between two of the append loop.
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_millis(250);

pub(super) fn measure(place: Place<'_>, records: u64) -> Result<Figures> {
    let keys = Keys::of(records);
    {
        let engine = engines::open(place.row, place.folder, Use::Durable)?;
        load::fill(&*engine, records)?;
    }
    // Opened again, so that no checkpoint of the loading runs beside the measurement.
    let engine = engines::open(place.row, place.folder, Use::Durable)?;
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for window in 0..WINDOWS {
        let before = limits::append_alone(place.folder, WINDOW)?.rate();
        let counted = together(1, WINDOW, |_| {
            let mut session = engine.session()?;
            let mut random = Random::of(window as u64);
            Ok(move || {
                session.set(&(keys.key(random.below(records)), value(random.next())))?;
                Ok(1)
            })
        })?;
        let after = limits::append_alone(place.folder, WINDOW)?.rate();
        rates.push(counted.rate());
        ratios.push(counted.rate() / f64::midpoint(before, after));
    }
    let median = |values| Spread::of(values).map_or(0.0, |spread| spread.median);
    Ok(Figures::from([("rate".into(), median(rates)), ("beside append".into(), median(ratios))]))
}
