//! A point in the history of a database.

use std::time::SystemTime;

/// A point in a history: which commits count as made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// Up to and including the commit with this sequence number; 0 is before the first.
    Sequence(u64),
    /// Up to and including the last commit of the last group whose recorded time is not later than this. Times are those of the
    /// system's clock as each group was written; where that clock was set back, the first later group ends the search.
    Time(SystemTime),
}
