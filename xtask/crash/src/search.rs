//! Many histories on several threads, up to the first failure.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::history::History;
use crate::run::{Failure, run};
use crate::world::Counts;

/// Histories by their number: those of seeds, or the cases of a script.
pub trait Histories: Sync {
    /// The history with a number; `None` where there are no more.
    fn get(&self, number: u64) -> Option<History>;
}

impl<F: Fn(u64) -> Option<History> + Sync> Histories for F {
    fn get(&self, number: u64) -> Option<History> {
        self(number)
    }
}

/// What a search came to.
#[derive(Debug)]
pub struct Found {
    /// Of all histories that passed.
    pub counts: Counts,
    /// The first failure that was met, with the number of its history.
    pub failure: Option<(u64, History, Failure)>,
}

/// Runs histories from number 0 on, until there are no more, one fails, or the time has come.
#[must_use]
pub fn search(histories: &impl Histories, jobs: usize, deadline: Option<Instant>) -> Found {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let found = Mutex::new(Found { counts: Counts::default(), failure: None });
    let work = || {
        let mut counts = Counts::default();
        let mut failure = None;
        while !stop.load(Ordering::Acquire) && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            let number = next.fetch_add(1, Ordering::AcqRel);
            let Some(history) = histories.get(number) else { break };
            match run(&history) {
                Ok(more) => counts.add(more),
                Err(why) => {
                    failure = Some((number, history, why));
                    stop.store(true, Ordering::Release);
                }
            }
        }
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.counts.add(counts);
        if found.failure.is_none() {
            found.failure = failure;
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
