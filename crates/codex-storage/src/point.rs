//! A point in the history of a database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::format::SequenceNumber;

/// A point in a history: which commits count as made.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex_storage::{Batch, Mode, OpenOptions, Point};
///
/// let options = OpenOptions { mode: Some(Mode::Ledger), ..OpenOptions::default() };
/// let database = options.open(&path, None)?;
/// let mut batch = Batch::new();
/// batch.set(b"key", &[b"value"])?;
/// database.commit(batch)?;
/// assert!(!database.at(Point::Sequence(0))?.has(b"key"));
/// assert!(database.at(Point::Time(std::time::SystemTime::now()))?.has(b"key"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// The commits up to the one with this sequence number; 0 is before the first.
    Sequence(u64),
    /// The commits before the first one that was written later than this; before all of them, that is none. The time of
    /// a commit is that of the system's clock as its group was written, so where the clock was set back, what stands
    /// behind a later time counts as later.
    Time(SystemTime),
}

impl Point {
    /// Whether a commit lies behind the point; so do all behind that one.
    pub(crate) fn is_before(self, sequence: SequenceNumber, time_ns: u64) -> bool {
        match self {
            Self::Sequence(last) => last < sequence.0,
            Self::Time(time) => time < UNIX_EPOCH + Duration::from_nanos(time_ns),
        }
    }
}
