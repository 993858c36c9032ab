//! 19 random reads and one durable set in turn, by some threads.

use std::hint::black_box;

use anyhow::{Result, ensure};

use super::{Place, READERS, load};
use crate::data::{Keys, Random, value};
use crate::figures::Figures;
use crate::threads::together;

const READS: u64 = 19;

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    let engine = load::open(place)?;
    let records = place.scale.records();
    let keys = Keys::of(records);
    let mut figures = Figures::new();
    for threads in READERS {
        let counted = together(threads, place.scale.duration(), |thread| {
            let mut session = engine.session()?;
            let mut random = Random::of(1 + thread as u64);
            Ok(move || {
                for _ in 0..READS {
                    let found = black_box(session.get(&keys.key(random.below(records)))?);
                    ensure!(found.is_some(), "a record is missing");
                }
                session.set(&(keys.key(random.below(records)), value(random.next())))?;
                Ok(READS + 1)
            })
        })?;
        figures.insert(format!("rate-{threads}"), counted.rate());
    }
    Ok(figures)
}
