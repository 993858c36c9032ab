//! Running one history to its end, and making a failing one short.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::history::History;
use crate::world::{Counts, World};

/// What a history came to that it must not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The index of the step in which it was noticed; behind the last one, the end that every history has.
    pub step: usize,
    /// What was expected and found.
    pub what: String,
    /// The last operations of the disk.
    pub log: Vec<String>,
}

/// Runs a history.
pub fn run(history: &History) -> Result<Counts, Failure> {
    run_with(history, |_| {})
}

/// Runs a history in a world that was prepared.
pub fn run_with(history: &History, prepare: impl FnOnce(&World)) -> Result<Counts, Failure> {
    let mut world = World::new(history);
    prepare(&world);
    let mut at = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for step in &history.steps {
            world.step(step)?;
            at += 1;
        }
        world.finish(history.seed)
    }));
    let what = match outcome {
        Ok(Ok(counts)) => return Ok(Counts { histories: 1, ..counts }),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("a panic: {}", text.unwrap_or("without a message"))
        }
    };
    Err(Failure { step: at, what, log: world.log() })
}

/// A failing history without the steps that it fails without.
#[derive(Debug)]
pub struct Shrunk {
    /// The history that a seed or a script gave.
    pub whole: History,
    /// The indices of the steps that are left.
    pub kept: Vec<usize>,
    /// How it fails.
    pub failure: Failure,
}

/// Leaves out steps as long as the history still fails: halves first, single ones in the end.
#[must_use]
pub fn shrink(history: &History, failure: Failure) -> Shrunk {
    let mut kept: Vec<usize> = (0..history.steps.len().min(failure.step + 1)).collect();
    let mut failure = failure;
    let mut len = kept.len().div_ceil(2);
    while len > 0 {
        let mut from = 0;
        let mut shorter = false;
        while from < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(from..kept.len().min(from + len));
            match run(&history.only(&fewer)) {
                Err(found) => {
                    (kept, failure, shorter) = (fewer, found, true);
                }
                Ok(_) => from += len,
            }
        }
        // Single steps are tried until none can go.
        len = if len > 1 { len / 2 } else { usize::from(shorter) };
    }
    Shrunk { whole: history.clone(), kept, failure }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.whole.seed, self.whole.setup)?;
        for (number, index) in self.kept.iter().enumerate() {
            let here = if number == self.failure.step { "-->" } else { "   " };
            writeln!(f, "{here} {index:>3}  {}", self.whole.steps[*index])?;
        }
        if self.failure.step >= self.kept.len() {
            writeln!(
                f,
                "-->      the end: no faults, a crash, a commit, close, and everything is read again"
            )?;
        }
        writeln!(f, "{}", self.failure.what)?;
        writeln!(f, "The last operations of the disk:")?;
        for line in &self.failure.log {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}
