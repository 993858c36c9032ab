//! Threads that begin together, and what they did until their time was over.

use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::figures;

/// What all threads did together.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) count: u64,
    pub(crate) elapsed: Duration,
    /// How long each step took, in nanoseconds, sorted.
    pub(crate) steps: Vec<u64>,
}

impl Counted {
    /// A second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }

    /// The duration within which `share` of the steps were done, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        figures::percentile(&self.steps, share) as f64 / 1000.0
    }
}

/// Runs steps on `threads` threads for `duration`. Each thread makes its step by `worker` with its number; the clock
/// starts when all have, with the first that goes on. A step returns how much it has done.
pub(crate) fn together<Step>(
    threads: usize,
    duration: Duration,
    worker: impl Fn(usize) -> Result<Step> + Sync,
) -> Result<Counted>
where
    Step: FnMut() -> Result<u64>,
{
    let barrier = Barrier::new(threads);
    let start = OnceLock::new();
    let one = |number| {
        let step = worker(number);
        // Also after an error, or the others would wait forever.
        barrier.wait();
        let start = *start.get_or_init(Instant::now);
        let mut step = step?;
        let (mut count, mut steps) = (0, Vec::new());
        let mut before = start;
        while before - start < duration {
            count += step()?;
            let now = Instant::now();
            steps.push(u64::try_from((now - before).as_nanos())?);
            before = now;
        }
        Ok(Counted { count, elapsed: before - start, steps })
    };
    let parts: Vec<Result<Counted>> = thread::scope(|scope| {
        let one = &one;
        let workers: Vec<_> = (0..threads).map(|number| scope.spawn(move || one(number))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a panic ends the cell")).collect()
    });
    let mut all = Counted { count: 0, elapsed: Duration::ZERO, steps: Vec::new() };
    for part in parts {
        let part = part?;
        all.count += part.count;
        all.elapsed = all.elapsed.max(part.elapsed);
        all.steps.extend(part.steps);
    }
    all.steps.sort_unstable();
    Ok(all)
}
