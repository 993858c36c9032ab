//! Scans in key order by one thread: of everything, and of prefixes that 100 records share.

use anyhow::{Result, ensure};

use super::{Place, load};
use crate::data::{Keys, PREFIX_RECORDS, Random};
use crate::figures::Figures;
use crate::threads::together;

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    let engine = load::open(place)?;
    let records = place.scale.records();
    let keys = Keys::of(records);
    ensure!(engine.session()?.scan(&[])? == records, "a full scan sees every record");
    let full = together(1, place.scale.duration(), |_| {
        let mut session = engine.session()?;
        Ok(move || session.scan(&[]))
    })?;
    let prefixes = together(1, place.scale.duration(), |_| {
        let mut session = engine.session()?;
        let mut random = Random::of(1);
        Ok(move || {
            let count = session.scan(&keys.prefix(random.below(records)))?;
            ensure!(count == PREFIX_RECORDS, "a scan of a prefix saw {count} records");
            Ok(count)
        })
    })?;
    Ok(Figures::from([("full".into(), full.rate()), ("prefixes".into(), prefixes.rate())]))
}
