//! What readers see: all live records in key order, and the past versions that open views still need.
//!
//! Every version carries the sequence number that wrote it. Readers see the table as of a published
//! sequence number, so a large group can be applied in slices while they go on: what is not published yet
//! is skipped, and what it superseded is still there. A superseded version is kept only while a reader
//! older than its successor lives.
//!
//! `clear` costs nothing: the whole tree is set aside for the views that still need it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::mem;
use std::ops::Bound;

use crate::batch::{Batch, Operation, Record};
use crate::core::{Table, TableGroup};
use crate::format::SequenceNumber;
use crate::sync::{Arc, Mutex};

/// Operations applied, versions reclaimed or entries visited under one hold of the lock. A search and an
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

/// One state of a key. Packed by hand: there is one for every record.
struct Version {
    bytes: Arc<[u8]>,
    sequence: SequenceNumber,
    key_len: u16,
    deleted: bool,
}

impl Version {
    fn set(record: &Record, sequence: SequenceNumber) -> Self {
        Self { bytes: record.bytes().clone(), sequence, key_len: record.key_len(), deleted: false }
    }

    fn deleted(key: Arc<[u8]>, sequence: SequenceNumber) -> Self {
        let key_len = u16::try_from(key.len()).expect("a batch checks its keys");
        Self { bytes: key, sequence, key_len, deleted: true }
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..usize::from(self.key_len)]
    }

    fn record(&self) -> Option<Record> {
        (!self.deleted).then(|| Record::shared(self.bytes.clone(), self.key_len))
    }
}

/// A key with its newest version and those before it that a reader may need, newest first.
struct Entry {
    newest: Version,
    // Boxed twice so that the usual entry, which has none, stays small.
    #[expect(clippy::box_collection, reason = "one word in each entry instead of three")]
    older: Option<Box<Vec<Version>>>,
}

impl Entry {
    fn at(&self, sequence: SequenceNumber) -> Option<&Version> {
        if self.newest.sequence <= sequence {
            return Some(&self.newest);
        }
        self.older.as_ref()?.iter().find(|version| version.sequence <= sequence)
    }
}

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.newest.key()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.newest.key() == other.newest.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.newest.key().cmp(other.newest.key())
    }
}

/// The records between two `clear`s.
#[derive(Default)]
struct Generation {
    entries: BTreeSet<Entry>,
    /// Keys with superseded versions, in the order in which those were superseded, and by which commit.
    superseded: VecDeque<(SequenceNumber, Record)>,
}

impl Generation {
    /// Puts a version in place. `keep`: a reader may need what it supersedes.
    fn put(&mut self, version: Version, keep: bool, garbage: &mut Garbage) -> Option<(u64, bool)> {
        if !keep {
            let old = if version.deleted {
                self.entries.take(version.key())
            } else {
                self.entries.replace(Entry { newest: version, older: None })
            }?;
            let was = (old.newest.bytes.len() as u64, old.newest.deleted);
            garbage.entries.push(old);
            return Some(was);
        }
        let Some(old) = self.entries.take(version.key()) else {
            if !version.deleted {
                self.entries.insert(Entry { newest: version, older: None });
            }
            return None;
        };
        let was = (old.newest.bytes.len() as u64, old.newest.deleted);
        self.superseded.push_back((version.sequence, Record::shared(version.bytes.clone(), version.key_len)));
        let mut older = old.older.unwrap_or_default();
        older.insert(0, old.newest);
        self.entries.insert(Entry { newest: version, older: Some(older) });
        Some(was)
    }

    /// Drops up to `limit` keys' versions that no reader at or after `oldest` needs.
    fn reclaim(&mut self, oldest: SequenceNumber, limit: usize, garbage: &mut Garbage) -> usize {
        let mut count = 0;
        while count < limit && self.superseded.front().is_some_and(|(by, _)| *by <= oldest) {
            let Some((_, key)) = self.superseded.pop_front() else { break };
            count += 1;
            let Some(mut entry) = self.entries.take(key.key()) else { continue };
            if let Some(mut older) = entry.older.take() {
                let mut successor = entry.newest.sequence;
                let needed = older
                    .iter()
                    .take_while(|version| mem::replace(&mut successor, version.sequence) > oldest)
                    .count();
                garbage.versions.extend(older.drain(needed..));
                entry.older = (!older.is_empty()).then_some(older);
            }
            if entry.newest.deleted && entry.older.is_none() && entry.newest.sequence <= oldest {
                garbage.entries.push(entry);
            } else {
                self.entries.insert(entry);
            }
        }
        count
    }
}

/// What the table no longer needs; dropped outside its lock.
#[derive(Default)]
pub struct Garbage {
    entries: Vec<Entry>,
    versions: Vec<Version>,
    generations: Vec<Generation>,
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

/// The open views, and what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewTotals {
    /// Views that are open.
    pub views: u64,
    /// The state that the oldest of them shows.
    pub oldest: Option<SequenceNumber>,
    /// Superseded versions that are kept for them; cleared trees not counted.
    pub superseded: u64,
}

/// The in-memory table.
#[derive(Default)]
pub struct RecordTable {
    current: Generation,
    /// Trees that a `clear` set aside, oldest first, each with the commit that cleared it.
    past: Vec<(SequenceNumber, Generation)>,
    published: SequenceNumber,
    totals: Totals,
    applied: Totals,
    /// How many views show which state. Its lock is taken with the table's lock held, never the other way.
    views: Mutex<BTreeMap<SequenceNumber, u64>>,
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

    /// What is live as of [`RecordTable::published`].
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The record of a key as of a sequence number, with the commit that wrote it.
    #[must_use]
    pub fn get(&self, key: &[u8], at: SequenceNumber) -> Option<(Record, SequenceNumber)> {
        let version = self.generation(at).entries.get(key)?.at(at)?;
        Some((version.record()?, version.sequence))
    }

    /// Whether a key has a record as of a sequence number.
    #[must_use]
    pub fn has(&self, key: &[u8], at: SequenceNumber) -> bool {
        let entry = self.generation(at).entries.get(key);
        entry.and_then(|entry| entry.at(at)).is_some_and(|version| !version.deleted)
    }

    /// Adds records of a range, in the direction asked for, to `page`, up to a few hundred.
    /// Returns the key to go on behind; `None` at the end of the range.
    pub fn page(
        &self,
        at: SequenceNumber,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        page: &mut impl Extend<Record>,
    ) -> Option<Record> {
        let entries = self.generation(at).entries.range::<[u8], _>(range);
        match direction {
            Direction::Ascending => fill(entries, at, page),
            Direction::Descending => fill(entries.rev(), at, page),
        }
    }

    /// Registers a view of the published state. Called with the table's lock held, so that no commit is
    /// published between the reading of the number and its registration.
    pub(crate) fn open_view(&self) -> (SequenceNumber, Totals) {
        *self.views.lock().entry(self.published).or_default() += 1;
        (self.published, self.totals)
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
        !self.current.superseded.is_empty() || !self.past.is_empty()
    }

    /// Drops some of what no reader needs. `true`: there may be more.
    pub(crate) fn reclaim(&mut self, garbage: &mut Garbage) -> bool {
        let oldest = self.oldest_reader();
        let unneeded = self.past.iter().take_while(|(cleared_by, _)| *cleared_by <= oldest).count();
        garbage.generations.extend(self.past.drain(..unneeded).map(|(_, generation)| generation));
        let mut left = SLICE_LEN;
        for generation in self.past.iter_mut().map(|(_, generation)| generation).chain([&mut self.current]) {
            left -= generation.reclaim(oldest, left, garbage);
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
            superseded: generations.map(|generation| generation.superseded.len() as u64).sum(),
        }
    }

    /// Fills an empty table with the records of a base or checkpoint, given in key order.
    pub(crate) fn load_sorted(&mut self, records: &[Record], sequence: SequenceNumber) {
        self.applied.records += records.len() as u64;
        self.applied.bytes += records.iter().map(|record| record.bytes().len() as u64).sum::<u64>();
        let entries =
            records.iter().map(|record| Entry { newest: Version::set(record, sequence), older: None });
        self.current.entries = entries.collect();
        self.publish(sequence);
    }

    /// Applies an operation of a commit that is read back while nobody reads the table.
    pub(crate) fn replay(&mut self, operation: &Operation, sequence: SequenceNumber) {
        // What is replaced is dropped at once: there is no lock to keep short.
        self.apply_one(operation, sequence, false, &mut Garbage::default());
    }

    pub(crate) fn publish(&mut self, sequence: SequenceNumber) {
        self.published = sequence;
        self.totals = self.applied;
    }

    fn generation(&self, at: SequenceNumber) -> &Generation {
        let past = self.past.iter().find(|(cleared_by, _)| *cleared_by > at);
        past.map_or(&self.current, |(_, generation)| generation)
    }

    /// The oldest state that anybody may read.
    fn oldest_reader(&self) -> SequenceNumber {
        let oldest_view = self.views.lock().keys().next().copied();
        oldest_view.map_or(self.published, |view| view.min(self.published))
    }

    /// The commit that wrote the newest version of a key; `None` if the key is absent.
    fn written_by(&self, key: &[u8]) -> Option<SequenceNumber> {
        let newest = &self.current.entries.get(key)?.newest;
        (!newest.deleted).then_some(newest.sequence)
    }

    fn apply_one(
        &mut self,
        operation: &Operation,
        sequence: SequenceNumber,
        keep: bool,
        garbage: &mut Garbage,
    ) {
        let version = match operation {
            Operation::Set(record) => Version::set(record, sequence),
            Operation::Delete(key) => Version::deleted(key.clone(), sequence),
            Operation::Clear => {
                let cleared = mem::take(&mut self.current);
                if keep {
                    self.past.push((sequence, cleared));
                } else {
                    garbage.generations.push(cleared);
                }
                self.applied = Totals::default();
                return;
            }
        };
        if !version.deleted {
            self.applied.records += 1;
            self.applied.bytes += version.bytes.len() as u64;
        }
        if let Some((old_len, false)) = self.current.put(version, keep, garbage) {
            self.applied.records -= 1;
            self.applied.bytes -= old_len;
        }
    }
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// In key order.
    Ascending,
    /// Against it.
    Descending,
}

fn fill<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    at: SequenceNumber,
    page: &mut impl Extend<Record>,
) -> Option<Record> {
    for (index, entry) in entries.enumerate() {
        page.extend(entry.at(at).and_then(Version::record));
        if index + 1 == SLICE_LEN {
            return Some(Record::shared(entry.newest.bytes.clone(), entry.newest.key_len));
        }
    }
    None
}

/// Commits that are written together, in log order.
#[derive(Default)]
pub struct Group {
    first: SequenceNumber,
    commits: Vec<Vec<Operation>>,
    /// What the commits so far change; made when the first commit asks.
    overlay: Option<Overlay>,
    /// Where applying goes on: commit, and operation in it.
    cursor: (usize, usize),
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
}

/// A key of the overlay, shared with the operation that names it.
struct OverlayKey(Record);

impl Borrow<[u8]> for OverlayKey {
    fn borrow(&self) -> &[u8] {
        self.0.key()
    }
}

impl PartialEq for OverlayKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for OverlayKey {}

impl std::hash::Hash for OverlayKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

/// What the commits of a group change, seen by those behind them.
#[derive(Default)]
struct Overlay {
    cleared: bool,
    /// The commit that wrote a key's value; `None`: the key is deleted.
    keys: HashMap<OverlayKey, Option<SequenceNumber>>,
}

impl Overlay {
    fn record(&mut self, operation: &Operation, sequence: SequenceNumber) {
        match operation {
            Operation::Set(record) => {
                self.keys.insert(OverlayKey(record.clone()), Some(sequence));
            }
            Operation::Delete(key) => {
                let key_len = u16::try_from(key.len()).expect("a batch checks its keys");
                self.keys.insert(OverlayKey(Record::shared(key.clone(), key_len)), None);
            }
            Operation::Clear => {
                self.cleared = true;
                self.keys.clear();
            }
        }
    }

    fn written_by(&self, key: &[u8], table: &RecordTable) -> Option<SequenceNumber> {
        match self.keys.get(key) {
            Some(written_by) => *written_by,
            None if self.cleared => None,
            None => table.written_by(key),
        }
    }

    fn is_empty(&self, table: &RecordTable) -> bool {
        (self.cleared || table.applied.records == 0) && self.keys.values().all(Option::is_none)
    }
}

impl Table for RecordTable {
    type Commit = Batch;
    type Group = Group;
    type Outcome = Outcome;
    type Garbage = Garbage;

    fn admit(&self, batch: Batch, group: &mut Group) -> Outcome {
        let (mut operations, conditions) = batch.into_parts();
        let looks = !conditions.is_empty() || operations.iter().any(|op| !matches!(op, Operation::Set(_)));
        let mut removed = 0;
        if looks && group.overlay.is_none() {
            let mut overlay = Overlay::default();
            for (sequence, commit) in (group.first.0..).zip(&group.commits) {
                commit.iter().for_each(|operation| overlay.record(operation, SequenceNumber(sequence)));
            }
            group.overlay = Some(overlay);
        }
        let sequence = group.last().plus(1);
        if let Some(overlay) = &mut group.overlay {
            if conditions
                .iter()
                .any(|condition| overlay.written_by(&condition.key, self) != condition.written_by)
            {
                return Outcome::Conflict;
            }
            operations.retain(|operation| {
                let changes = match operation {
                    Operation::Set(_) => true,
                    Operation::Delete(key) => overlay.written_by(key, self).is_some(),
                    Operation::Clear => !overlay.is_empty(self),
                };
                if changes {
                    removed += u64::from(matches!(operation, Operation::Delete(_)));
                    overlay.record(operation, sequence);
                }
                changes
            });
        }
        if !operations.is_empty() {
            group.commits.push(operations);
        }
        Outcome::Committed { sequence: group.last(), removed }
    }

    fn apply(&mut self, group: &mut Group, garbage: &mut Garbage) -> bool {
        let count: usize = group.commits.iter().map(Vec::len).sum();
        // A group of one slice is published before the lock is given back: nobody reads the state before
        // it any more, but views.
        let whole = count <= SLICE_LEN;
        let oldest_view = self.views.lock().keys().next().copied();
        for _ in 0..SLICE_LEN {
            let Some(commit) = group.commits.get(group.cursor.0) else { break };
            let sequence = group.first.plus(group.cursor.0 as u64);
            let keep = !whole || oldest_view.is_some_and(|view| view < sequence);
            self.apply_one(&commit[group.cursor.1], sequence, keep, garbage);
            group.cursor.1 += 1;
            if group.cursor.1 == commit.len() {
                group.cursor = (group.cursor.0 + 1, 0);
            }
        }
        let done = group.cursor.0 == group.commits.len();
        if done {
            self.publish(group.last());
        }
        self.reclaim(garbage);
        done
    }
}
