//! How far long work has come, for whoever waits for it.
//!
//! Long work goes in stages, one behind the other, and each is told as bytes. Of a stage holds:
//! - It begins at 0, and what is done never becomes less.
//! - What is done is all if and only if the stage has ended well, and that is told once. A stage that fails ends in the
//!   middle.
//! - It is told from the thread that called, while no lock of the database is held: an [`Observer`] may read and commit,
//!   but not wait for other long work on the database or for its end. One that panics ends the work as an error would.

use std::fmt;

use crate::sync::Arc;

/// How far a stage of long work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// What is done of it, in bytes.
    pub done: u64,
    /// How much there is to do, in bytes. The same from the stage's beginning to its end.
    pub total: u64,
}

/// A part of long work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The checkpoint of a ledger is read, as the database is opened.
    ReadingCheckpoint,
    /// The log is read: as the database is opened, or to find a point of its past.
    ReadingLog,
    /// A file is read and checked.
    Verifying,
    /// A copy is written.
    Copying,
    /// What the database holds is compared with what a repository has of it.
    Comparing,
    /// What is live is written anew: into the file of a snapshot database, or a checkpoint of a ledger.
    Rewriting,
    /// A damaged file is searched for what is whole.
    Salvaging,
    /// What nobody needs any more is removed.
    Removing,
}

/// Who is told about progress; by default nobody.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl Observer {
    /// Nobody.
    pub const NONE: &'static Self = &Self(None);

    /// Has `tell` called for each step of a stage.
    pub fn new(tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Begins a stage of `total` bytes.
    #[must_use]
    pub fn begin(&self, stage: Stage, total: u64) -> Meter {
        let meter = Meter { observer: self.clone(), stage, total, told: 0 };
        // Where there is nothing to do, the beginning would look like the end, which is told once.
        if total > 0 {
            meter.tell(0);
        }
        meter
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "Observer(nobody)" })
    }
}

/// A stage that goes on.
#[derive(Debug)]
pub struct Meter {
    observer: Observer,
    stage: Stage,
    total: u64,
    told: u64,
}

impl Meter {
    /// So many bytes are done, counted from the stage's beginning.
    pub fn reach(&mut self, done: u64) {
        // Where the total is an estimate, the work may go beyond it; the end is for `finish` to tell.
        let done = done.min(self.total.saturating_sub(1));
        if self.observer.0.is_some() && done >= self.told.saturating_add(STEP_LEN) {
            self.told = done;
            self.tell(done);
        }
    }

    /// The stage has ended well.
    pub fn finish(self) {
        self.tell(self.total);
    }

    fn tell(&self, done: u64) {
        if let Some(tell) = &self.observer.0 {
            tell(Progress { stage: self.stage, done, total: self.total });
        }
    }
}

/// Fewer bytes are not worth a call.
const STEP_LEN: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::sync::Mutex;

    #[test]
    fn a_stage_begins_at_nothing_goes_up_and_tells_its_end_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let observer = Observer::new({
            let told = told.clone();
            move |progress: Progress| told.lock().push((progress.done, progress.total))
        });
        let total = 10 * STEP_LEN;
        let mut meter = observer.begin(Stage::Copying, total);
        for done in [1, STEP_LEN, STEP_LEN + 1, STEP_LEN / 2, 3 * STEP_LEN, total, total + STEP_LEN] {
            meter.reach(done);
        }
        meter.finish();
        let expected = [0, STEP_LEN, 3 * STEP_LEN, total - 1, total].map(|done| (done, total));
        assert_eq!(*told.lock(), expected);
        told.lock().clear();
        observer.begin(Stage::Copying, 0).finish();
        assert_eq!(*told.lock(), [(0, 0)]);
    }
}
