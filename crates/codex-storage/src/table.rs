//! What readers see: all live records, by key and in key order, and the past versions that open views still need.
//!
//! Every version carries the sequence number that wrote it. Readers see the table as of a published
//! sequence number, so a large group can be applied in slices while they go on: what is not published yet
//! is skipped, and what it superseded is still there. A superseded version is kept only while a reader lives
//! that sees it.
//!
//! A record that expires is gone for readers once its deadline has passed, whether or not it is deleted yet.
//!
//! `clear` costs nothing: the whole generation is set aside for the views that still need it.

mod expiring;
mod generation;
mod group;
mod hashed;
mod loading;
mod ordered;

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::ops::Bound;

use self::expiring::{Expiring, Places};
use self::generation::Generation;
pub use self::group::Group;
pub(crate) use self::loading::TableLoader;
pub(crate) use self::ordered::Page;
use crate::batch::{Batch, Operation, REQUIRED_RECORDS_MAX};
use crate::core::Table;
use crate::format::SequenceNumber;
use crate::record::Record;
use crate::sync::{Arc, Mutex};
use crate::view::is_valid;
use crate::watch::Watchers;

/// Operations applied or versions reclaimed under one hold of the lock. A search and an
/// insertion cost about a microsecond, so that the hold stays well below a millisecond.
const SLICE_LEN: usize = 256;

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took place.
    Committed {
        /// Its sequence number; if there was nothing to write, that of the last commit before it.
        sequence: SequenceNumber,
        /// How many of its deletions found their key.
        removed: u64,
    },
    /// A demand of [`Batch::require`] did not hold.
    Conflict,
}

/// What the table no longer needs; dropped outside its lock.
#[derive(Default)]
pub struct Garbage {
    records: Vec<Record>,
    generations: Vec<Generation>,
    expiring: Places,
}

impl fmt::Debug for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Garbage").finish_non_exhaustive()
    }
}

/// What is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Live records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl Totals {
    fn add(&mut self, record: &Record) {
        self.records += 1;
        self.bytes += record.bytes().len() as u64;
    }

    fn subtract(&mut self, record: &Record) {
        self.records -= 1;
        self.bytes -= record.bytes().len() as u64;
    }

    fn without(self, part: Self) -> Self {
        Self { records: self.records - part.records, bytes: self.bytes - part.bytes }
    }
}

/// What a reader that comes now is shown of the published state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) at: SequenceNumber,
    /// Records whose deadline has passed by then are not there; zero: nothing has expired. In nanoseconds since the Unix
    /// epoch.
    pub(crate) now_ns: u64,
    pub(crate) totals: Totals,
}

/// The open views, and what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewTotals {
    /// Views that are open.
    pub views: u64,
    /// The state that the oldest of them shows.
    pub oldest: Option<SequenceNumber>,
    /// Superseded versions that are kept for them; cleared generations not counted.
    pub superseded: u64,
}

/// The in-memory table.
#[derive(Default)]
pub struct RecordTable {
    current: Generation,
    /// Generations that a `clear` set aside, oldest first, each with the commit that cleared it.
    past: Vec<(SequenceNumber, Generation)>,
    published: SequenceNumber,
    totals: Totals,
    applied: Totals,
    expiring: Expiring,
    /// What readers are shown while a group is half applied: time stands still, because `expiring` is ahead of them.
    half_applied: Option<Shown>,
    /// How many views show which state. Its lock is taken with the table's lock held, never the other way.
    views: Mutex<BTreeMap<SequenceNumber, u64>>,
    watchers: Arc<Watchers>,
}

impl fmt::Debug for RecordTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordTable")
            .field("published", &self.published)
            .field("totals", &self.totals)
            .finish_non_exhaustive()
    }
}

impl RecordTable {
    /// The last commit that readers see.
    #[must_use]
    pub fn published(&self) -> SequenceNumber {
        self.published
    }

    /// Who is told of the commits that are published.
    pub(crate) fn watchers(&self) -> &Arc<Watchers> {
        &self.watchers
    }

    /// What is live as of [`RecordTable::published`], with what has expired and is not deleted yet.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The record of a key as of a sequence number.
    #[must_use]
    pub fn get(&self, key: &[u8], at: SequenceNumber) -> Option<&Record> {
        self.generation(at).get(key, at)
    }

    /// The record of a key as a reader sees it now.
    #[must_use]
    pub fn live(&self, key: &[u8]) -> Option<&Record> {
        let record = self.get(key, self.published)?;
        // Most records have no deadline, and nothing else is asked then.
        let expired = record.deadline_ns().is_some_and(|deadline_ns| match self.half_applied {
            None => self.expiring.has_passed(deadline_ns),
            Some(shown) => deadline_ns <= shown.now_ns,
        });
        (!expired).then_some(record)
    }

    /// What a reader that comes now is shown. Called with the table's lock held.
    pub(crate) fn shown(&self) -> Shown {
        self.half_applied.unwrap_or_else(|| {
            let (now_ns, due) = self.expiring.due();
            Shown { at: self.published, now_ns, totals: self.totals.without(due) }
        })
    }

    /// The published state with what has expired and is not deleted yet.
    pub(crate) fn whole(&self) -> Shown {
        Shown { at: self.published, now_ns: 0, totals: self.totals }
    }

    /// The time that deadlines are measured by, in nanoseconds since the Unix epoch: the clock's, unless it was set back.
    pub(crate) fn now_ns(&self) -> u64 {
        self.expiring.now_ns()
    }

    /// Records that have expired and are not deleted yet, those first whose time came first.
    pub(crate) fn expired(&self) -> impl Iterator<Item = &Record> {
        self.expiring.due_records()
    }

    /// When the next record expires, or did, in nanoseconds since the Unix epoch.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        self.expiring.next_deadline_ns()
    }

    /// The first records of a range in the direction asked for, each the newest of its key: one that is newer than `at`
    /// is to be looked up. `None`: there are none.
    pub(crate) fn page(
        &self,
        at: SequenceNumber,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
    ) -> Option<Page> {
        let mut pages = self.generation(at).pages(range);
        match direction {
            Direction::Ascending => pages.next(),
            Direction::Descending => pages.next_back(),
        }
    }

    /// Registers a view of the published state. Called with the table's lock held, so that no commit is
    /// published between the reading of the number and its registration.
    pub(crate) fn open_view(&self) {
        *self.views.lock().entry(self.published).or_default() += 1;
    }

    /// Removes a view. Returns whether there may be something to reclaim.
    pub(crate) fn close_view(&self, at: SequenceNumber) -> bool {
        let mut views = self.views.lock();
        if let Some(count) = views.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                views.remove(&at);
            }
        }
        self.current.superseded_count() > 0 || !self.past.is_empty()
    }

    /// Drops some of what no reader needs. `true`: there may be more.
    pub(crate) fn reclaim(&mut self, garbage: &mut Garbage) -> bool {
        let oldest_view = self.views.lock().keys().next().copied();
        let oldest = oldest_view.map_or(self.published, |view| view.min(self.published));
        let unneeded = self.past.iter().take_while(|(cleared_by, _)| *cleared_by <= oldest).count();
        garbage.generations.extend(self.past.drain(..unneeded).map(|(_, generation)| generation));
        let mut left = SLICE_LEN;
        for generation in self.past.iter_mut().map(|(_, generation)| generation).chain([&mut self.current]) {
            left -= generation.reclaim(oldest, left, &mut garbage.records);
        }
        left == 0
    }

    /// The open views.
    pub(crate) fn view_totals(&self) -> ViewTotals {
        let views = self.views.lock();
        let generations = self.past.iter().map(|(_, generation)| generation).chain([&self.current]);
        ViewTotals {
            views: views.values().sum(),
            oldest: views.keys().next().copied(),
            superseded: generations.map(|generation| generation.superseded_count() as u64).sum(),
        }
    }

    /// The record of a key, whether published or not.
    fn newest(&self, key: &[u8]) -> Option<&Record> {
        self.current.newest(key)
    }

    /// Whether nothing in a range has changed since a commit behind which it had `records` records, unpublished changes
    /// counted. A record that went leaves too few; whatever came instead is younger.
    fn is_unchanged(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        since: SequenceNumber,
        records: usize,
        now_ns: u64,
    ) -> bool {
        if self.published == since || !is_valid(range) {
            return true;
        }
        let (mut looked, mut found) = (0, 0);
        for mut page in self.current.pages(range) {
            while let Some(record) = page.next() {
                if looked == REQUIRED_RECORDS_MAX {
                    return false;
                }
                looked += 1;
                if record.is_deleted() || record.is_expired(now_ns) {
                    continue;
                }
                found += 1;
                if found > records || record.written_by() > since {
                    return false;
                }
            }
        }
        found == records
    }

    fn generation(&self, at: SequenceNumber) -> &Generation {
        let past = self.past.iter().find(|(cleared_by, _)| *cleared_by > at);
        past.map_or(&self.current, |(_, generation)| generation)
    }

    fn apply_one(
        &mut self,
        operation: &Operation,
        sequence: SequenceNumber,
        latest_reader: Option<SequenceNumber>,
        garbage: &mut Garbage,
    ) {
        let (Operation::Set(version) | Operation::Delete(version)) = operation else {
            let cleared = mem::take(&mut self.current);
            if latest_reader.is_some() {
                self.past.push((sequence, cleared));
            } else {
                garbage.generations.push(cleared);
            }
            self.applied = Totals::default();
            // A group that clears more than once has left little between.
            garbage.expiring.append(&mut self.expiring.clear());
            return;
        };
        let version = version.clone().written(sequence);
        if !version.is_deleted() {
            self.applied.add(&version);
        }
        let expiring = version.deadline_ns().map(|_| version.clone());
        if let Some(old) = self.current.put(version, latest_reader, &mut garbage.records) {
            self.applied.subtract(&old);
            self.expiring.take(&old);
        }
        if let Some(version) = expiring {
            self.expiring.put(&version);
        }
    }
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// In key order.
    Ascending,
    /// Against it.
    Descending,
}

impl Table for RecordTable {
    type Commit = Batch;
    type Group = Group;
    type Outcome = Outcome;
    type Garbage = Garbage;

    fn admit(&self, batch: Batch, group: &mut Group) -> Outcome {
        group.admit(batch, self)
    }

    fn apply(&mut self, group: &mut Group, garbage: &mut Garbage) -> bool {
        if self.half_applied.is_none() && group.operation_count() > SLICE_LEN {
            self.half_applied = Some(self.shown());
        }
        // A group of one slice is published before the lock is given back: nobody reads the state before
        // it any more, but views.
        let latest_reader = if group.operation_count() <= SLICE_LEN {
            self.views.lock().keys().next_back().copied()
        } else {
            Some(self.published)
        };
        for _ in 0..SLICE_LEN {
            let Some((sequence, operation)) = group.next() else { break };
            self.apply_one(operation, sequence, latest_reader, garbage);
        }
        let done = group.is_applied();
        if done {
            self.published = group.last();
            self.totals = self.applied;
            self.half_applied = None;
        }
        let more = self.reclaim(garbage);
        if !done {
            group.unreclaimed += 1;
            return false;
        }
        // A group drops as much as it superseded, so that nothing builds up; what views have left is theirs to drop.
        let last = !more || group.unreclaimed == 0;
        group.unreclaimed = group.unreclaimed.saturating_sub(1);
        last
    }
}
