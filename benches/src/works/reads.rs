//! Random reads by some threads: of keys that are there, and of keys that are not.

use std::hint::black_box;

use anyhow::{Result, ensure};

use super::{Place, READERS, load};
use crate::data::{Keys, Random};
use crate::engines::Engine;
use crate::figures::Figures;
use crate::threads::together;

/// Reads between two looks at the clock.
const STEP: u64 = 64;

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    let engine = load::open(place)?;
    // Warms what the first figure would otherwise pay for.
    rate(place, &*engine, 1, Expected::Present)?;
    let mut figures = Figures::new();
    for (name, expected) in [("hits", Expected::Present), ("misses", Expected::Absent)] {
        for threads in READERS {
            figures.insert(format!("{name}-{threads}"), rate(place, &*engine, threads, expected)?);
        }
    }
    Ok(figures)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Present,
    Absent,
}

fn rate(place: Place<'_>, engine: &dyn Engine, threads: usize, expected: Expected) -> Result<f64> {
    let records = place.scale.records();
    let keys = Keys::of(records);
    let first = match expected {
        Expected::Present => 0,
        Expected::Absent => records,
    };
    let counted = together(threads, place.scale.duration(), |thread| {
        let mut session = engine.session()?;
        let mut random = Random::of(1 + thread as u64);
        Ok(move || {
            for _ in 0..STEP {
                let found = black_box(session.get(&keys.key(first + random.below(records)))?);
                ensure!(found.is_some() == (expected == Expected::Present), "a read gave a wrong answer");
            }
            Ok(STEP)
        })
    })?;
    Ok(counted.rate())
}
