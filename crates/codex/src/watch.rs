//! Watching what is committed.

use std::collections::VecDeque;
use std::iter::FusedIterator;

use codex_storage::watch::Announcement;
use codex_storage::{Operation, SequenceNumber};

use crate::bytes::Bytes;
use crate::error::Result;
use crate::view::Entry;

/// A committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The sequence number of the commit. The changes of one commit come one behind the other, in its order.
    pub sequence: u64,
    /// What it changed.
    pub change: KeyChange,
}

/// What a commit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyChange {
    /// A key got a value.
    Set(Entry),
    /// This key and its value went.
    Deleted(Bytes),
    /// Everything went, whatever prefix is watched.
    Cleared,
    /// The watcher was too slow: it missed so many commits, up to the one that the event names. What follows is whole
    /// again; a [`View`](crate::View) shows what is true now.
    Lagged {
        /// Commits that changed a watched key.
        commits: u64,
    },
}

/// An iterator over committed changes, from [`Store::watch`](crate::Store::watch).
///
/// [`Iterator::next`] waits for a change, and returns `None` once the store is closed and everything before that was
/// taken. A watch does not keep the store open; dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    inner: codex_storage::watch::Watch,
    /// What is left of the commit that was taken last.
    rest: VecDeque<(SequenceNumber, Operation)>,
}

impl Watch {
    pub(crate) fn new(inner: codex_storage::watch::Watch) -> Self {
        Self { inner, rest: VecDeque::new() }
    }

    /// The next change if there is one already; does not wait.
    pub fn try_next(&mut self) -> Option<Result<Event>> {
        if self.rest.is_empty() {
            let announcement = self.inner.take()?;
            return self.begin(announcement);
        }
        self.continue_commit()
    }

    fn begin(&mut self, announcement: Announcement) -> Option<Result<Event>> {
        match announcement {
            Announcement::Commit(sequence, operations) => {
                self.rest.extend(operations.into_iter().map(|operation| (sequence, operation)));
                self.continue_commit()
            }
            Announcement::Lagged(sequence, commits) => {
                Some(Ok(Event { sequence: sequence.0, change: KeyChange::Lagged { commits } }))
            }
        }
    }

    fn continue_commit(&mut self) -> Option<Result<Event>> {
        let (sequence, operation) = self.rest.pop_front()?;
        let change = match operation {
            Operation::Set(record) => Entry::of(record).map(KeyChange::Set),
            Operation::Delete(record) => Ok(KeyChange::Deleted(Bytes::key_of(&record))),
            Operation::Clear => Ok(KeyChange::Cleared),
        };
        Some(change.map(|change| Event { sequence: sequence.0, change }))
    }
}

impl Iterator for Watch {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        if self.rest.is_empty() {
            let announcement = self.inner.wait()?;
            return self.begin(announcement);
        }
        self.continue_commit()
    }
}

impl FusedIterator for Watch {}
