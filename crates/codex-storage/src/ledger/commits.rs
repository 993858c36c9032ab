//! The commits of a ledger as they were made, one behind the other.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};

use super::history::place_before;
use super::past::{PastLog, Place, STEP_LEN};
use crate::batch::Operation;
use crate::database::Shared;
use crate::error::Result;
use crate::format::SequenceNumber;
use crate::log::scan::Found;

/// A commit as it stands in the log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedCommit {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// When its group was written, by the system's clock, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What it did, in its order. A deletion of an absent key and a clear of nothing are not logged.
    pub operations: Vec<Operation>,
}

/// An iterator over commits. It needs the memory of about 2 MiB of the log, or of the longest group; it stops at the
/// commit that was the last when it was made, and it goes on after the database is closed. An error ends it.
pub struct LoggedCommits {
    log: PastLog,
    place: Place,
    /// The first and the last commit that are wanted.
    first: u64,
    last: u64,
    read: VecDeque<LoggedCommit>,
}

impl LoggedCommits {
    pub(crate) fn of(shared: &Shared, range: impl RangeBounds<u64>) -> Result<Self> {
        let log = PastLog::of(shared)?;
        let first = match range.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let newest = log.end().sequence.0;
        let last = match range.end_bound() {
            Bound::Included(&last) => last.min(newest),
            Bound::Excluded(&behind) => behind.saturating_sub(1).min(newest),
            Bound::Unbounded => newest,
        };
        let place = if first > last {
            log.end()
        } else {
            place_before(shared, &log, SequenceNumber(first.saturating_sub(1)))?
        };
        Ok(Self { log, place, first, last, read: VecDeque::new() })
    }
}

impl Iterator for LoggedCommits {
    type Item = Result<LoggedCommit>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { log, place, first, last, read } = self;
        while read.is_empty() && place.sequence.0 < *last {
            let wanted = *first..=*last;
            let step = log.step(*place, log.end(), STEP_LEN, |found| {
                if wanted.contains(&found.sequence.0) {
                    add(read, found);
                }
            });
            match step {
                Ok(behind) => *place = behind,
                Err(error) => {
                    read.clear();
                    *place = log.end();
                    return Some(Err(error));
                }
            }
        }
        read.pop_front().map(Ok)
    }
}

impl FusedIterator for LoggedCommits {}

impl fmt::Debug for LoggedCommits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedCommits")
            .field("first", &self.first)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Adds an operation to the last commit, or begins the next.
fn add(commits: &mut VecDeque<LoggedCommit>, found: Found<'_>) {
    let operation = found.record.operation(found.sequence);
    match commits.back_mut() {
        Some(commit) if commit.sequence == found.sequence => commit.operations.push(operation),
        _ => {
            let Found { sequence, time_ns, .. } = found;
            commits.push_back(LoggedCommit { sequence, time_ns, operations: vec![operation] });
        }
    }
}
