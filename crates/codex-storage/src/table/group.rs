//! Commits that are written together: decided one after the other, then applied in slices.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeBounds as _;

use super::{Outcome, RecordTable};
use crate::batch::{Batch, Condition, Operation};
use crate::core::TableGroup;
use crate::format::SequenceNumber;
use crate::record::{KeyOf, Record};
use crate::sync::Arc;
use crate::watch::Watchers;

/// Commits that are written together, in log order.
#[derive(Default)]
pub struct Group {
    first: SequenceNumber,
    commits: Vec<Vec<Operation>>,
    /// What the commits so far change; made when the first commit asks.
    overlay: Option<Overlay>,
    /// Who is told once the group is published; set with the first commit.
    watchers: Option<Arc<Watchers>>,
    /// Where applying goes on: commit, and operation in it.
    cursor: (usize, usize),
    /// Slices that were applied before what they superseded could be dropped.
    pub(super) unreclaimed: usize,
}

impl Group {
    /// The sequence number of the first commit.
    #[must_use]
    pub fn first(&self) -> SequenceNumber {
        self.first
    }

    /// The operations of each commit.
    #[must_use]
    pub fn commits(&self) -> &[Vec<Operation>] {
        &self.commits
    }

    /// The sequence number of the last commit; of the one before the group while it has none.
    #[must_use]
    pub fn last(&self) -> SequenceNumber {
        SequenceNumber(self.first.0 + self.commits.len() as u64 - 1)
    }

    /// Decides a batch against the table and the commits before it, and adds it if it changes something.
    pub(super) fn admit(&mut self, batch: Batch, table: &RecordTable) -> Outcome {
        let (mut operations, conditions, expired) = batch.into_parts();
        let looks = !conditions.is_empty()
            || !expired.is_empty()
            || operations.iter().any(|op| !matches!(op, Operation::Set(_)));
        let mut removed = 0;
        if looks && self.overlay.is_none() {
            let mut overlay = Overlay::new(table);
            for (sequence, commit) in (self.first.0..).zip(&self.commits) {
                commit
                    .iter()
                    .for_each(|operation| overlay.record(operation, SequenceNumber(sequence), table));
            }
            self.overlay = Some(overlay);
        }
        let sequence = self.last().plus(1);
        if let Some(overlay) = &mut self.overlay {
            if !conditions.iter().all(|condition| overlay.meets(condition, table)) {
                return Outcome::Conflict;
            }
            operations.retain(|operation| {
                let changes = match operation {
                    Operation::Set(_) => true,
                    Operation::Delete(tombstone) => overlay.written_by(tombstone.key(), table).is_some(),
                    Operation::Clear => overlay.records > 0,
                };
                if changes {
                    removed += u64::from(matches!(operation, Operation::Delete(_)));
                    overlay.record(operation, sequence, table);
                }
                changes
            });
            for record in expired {
                if overlay.newest(record.key(), table).is_some_and(|newest| newest.by == record.written_by())
                {
                    let operation = Operation::Delete(Record::tombstone(record.key()));
                    overlay.record(&operation, sequence, table);
                    operations.push(operation);
                }
            }
        }
        if !operations.is_empty() {
            self.watchers.get_or_insert_with(|| table.watchers().clone());
            self.commits.push(operations);
        }
        Outcome::Committed { sequence: self.last(), removed }
    }

    /// The next operation to apply, with its commit's sequence number.
    pub(super) fn next(&mut self) -> Option<(SequenceNumber, &Operation)> {
        let (index, operation) = self.cursor;
        let commit = self.commits.get(index)?;
        self.cursor = if operation + 1 == commit.len() { (index + 1, 0) } else { (index, operation + 1) };
        Some((self.first.plus(index as u64), &commit[operation]))
    }

    /// Whether every operation has been given out to be applied.
    pub(super) fn is_applied(&self) -> bool {
        self.cursor.0 == self.commits.len()
    }

    /// How many operations the group has.
    pub(super) fn operation_count(&self) -> usize {
        self.commits.iter().map(Vec::len).sum()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("first", &self.first).field("commits", &self.commits.len()).finish()
    }
}

impl TableGroup for Group {
    fn starting_at(first: SequenceNumber) -> Self {
        Self { first, ..Self::default() }
    }

    fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    fn published(&self) {
        if let Some(watchers) = &self.watchers {
            watchers.announce(self.first, &self.commits);
        }
    }
}

/// What the commits of a group change, seen by those behind them.
struct Overlay {
    cleared: bool,
    /// Live records, those of the table among them.
    records: u64,
    /// `None`: the key is deleted.
    keys: HashMap<KeyOf, Option<Written>>,
    /// What has expired by then is absent, for the whole group. In nanoseconds since the Unix epoch.
    now_ns: u64,
}

/// What a commit made of a key.
#[derive(Clone, Copy)]
struct Written {
    by: SequenceNumber,
    deadline_ns: Option<u64>,
}

impl Overlay {
    fn new(table: &RecordTable) -> Self {
        let (records, now_ns) = (table.applied.records, table.now_ns());
        Self { cleared: false, records, keys: HashMap::new(), now_ns }
    }

    /// Takes note of an operation that changes something.
    fn record(&mut self, operation: &Operation, sequence: SequenceNumber, table: &RecordTable) {
        match operation {
            Operation::Set(record) => {
                self.records += u64::from(self.newest(record.key(), table).is_none());
                let written = Written { by: sequence, deadline_ns: record.deadline_ns() };
                self.keys.insert(KeyOf(record.clone()), Some(written));
            }
            Operation::Delete(tombstone) => {
                self.records -= 1;
                self.keys.insert(KeyOf(tombstone.clone()), None);
            }
            Operation::Clear => {
                self.cleared = true;
                self.records = 0;
                self.keys.clear();
            }
        }
    }

    fn meets(&self, condition: &Condition, table: &RecordTable) -> bool {
        match condition {
            Condition::Key { key, written_by } => self.written_by(key, table) == *written_by,
            Condition::Range { bounds, since, records } => {
                let bounds = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
                let changed_here = self.cleared || self.keys.keys().any(|key| bounds.contains(key.0.key()));
                !changed_here && table.is_unchanged(bounds, *since, *records, self.now_ns)
            }
        }
    }

    /// The commit that wrote what a key has now; `None`: the key is absent.
    fn written_by(&self, key: &[u8], table: &RecordTable) -> Option<SequenceNumber> {
        let newest = self.newest(key, table)?;
        let expired = newest.deadline_ns.is_some_and(|deadline_ns| deadline_ns <= self.now_ns);
        (!expired).then_some(newest.by)
    }

    /// What a key has, whether or not it has expired.
    fn newest(&self, key: &[u8], table: &RecordTable) -> Option<Written> {
        match self.keys.get(key) {
            Some(written) => *written,
            None if self.cleared => None,
            None => {
                let record = table.newest(key)?;
                Some(Written { by: record.written_by(), deadline_ns: record.deadline_ns() })
            }
        }
    }
}
