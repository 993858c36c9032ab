//! The records between two `clear`s, with the past versions that a reader may need.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::ops::Bound;

use super::hashed::Hashed;
use super::ordered::{Ordered, Page};
use crate::format::SequenceNumber;
use crate::record::{KeyOf, Record};

#[derive(Default)]
pub(super) struct Generation {
    /// The newest version of every key; that of a deleted key stays as long as a reader may need an older one.
    hashed: Hashed,
    /// The same records in key order.
    ordered: Ordered,
    /// Superseded versions that a reader may need, newest first.
    older: HashMap<KeyOf, Vec<Record>>,
    /// The versions that superseded them, in the order in which they did.
    superseding: VecDeque<Record>,
}

impl Generation {
    /// A generation without past; `ordered` holds the records of `hashed`.
    pub(super) fn new(hashed: Hashed, ordered: Ordered) -> Self {
        Self { hashed, ordered, ..Self::default() }
    }

    /// The newest version of a key, if that is not its deletion.
    pub(super) fn newest(&self, key: &[u8]) -> Option<&Record> {
        self.hashed.get(key).filter(|record| !record.is_deleted())
    }

    /// The record of a key as of a sequence number.
    pub(super) fn get(&self, key: &[u8], at: SequenceNumber) -> Option<&Record> {
        self.version(self.hashed.get(key)?, at)
    }

    /// The newest version of each key in a range, leaf by leaf.
    pub(super) fn pages<'a>(
        &'a self,
        range: (Bound<&'a [u8]>, Bound<&'a [u8]>),
    ) -> impl DoubleEndedIterator<Item = Page> {
        self.ordered.pages(range)
    }

    fn version<'a>(&'a self, newest: &'a Record, at: SequenceNumber) -> Option<&'a Record> {
        let version = if newest.written_by() <= at {
            newest
        } else {
            self.older.get(newest.key())?.iter().find(|version| version.written_by() <= at)?
        };
        (!version.is_deleted()).then_some(version)
    }

    /// Puts a version in place, and returns the live record that it supersedes. What `latest_reader` or a reader
    /// before it may see stays; nobody reads the states between it and the new version.
    pub(super) fn put(
        &mut self,
        version: Record,
        latest_reader: Option<SequenceNumber>,
        garbage: &mut Vec<Record>,
    ) -> Option<Record> {
        let old = if version.is_deleted() && !self.needs_tombstone(version.key(), latest_reader) {
            self.take(version.key())
        } else {
            self.ordered.put(version.clone());
            self.hashed.put(version.clone())
        }?;
        let was_live = (!old.is_deleted()).then(|| old.clone());
        if latest_reader.is_some_and(|reader| old.written_by() <= reader) {
            self.older.entry(KeyOf(version.clone())).or_default().insert(0, old);
            self.superseding.push_back(version);
        } else {
            garbage.push(old);
        }
        was_live
    }

    /// Whether a reader may look for an older version of a key that is deleted.
    fn needs_tombstone(&self, key: &[u8], latest_reader: Option<SequenceNumber>) -> bool {
        latest_reader.is_some_and(|reader| {
            self.older.contains_key(key)
                || self.hashed.get(key).is_some_and(|newest| newest.written_by() <= reader)
        })
    }

    fn take(&mut self, key: &[u8]) -> Option<Record> {
        self.ordered.take(key)?;
        self.hashed.take(key)
    }

    /// Drops what no reader at or after `oldest` needs of up to `limit` superseded versions; how many it looked at.
    pub(super) fn reclaim(
        &mut self,
        oldest: SequenceNumber,
        limit: usize,
        garbage: &mut Vec<Record>,
    ) -> usize {
        let mut count = 0;
        while count < limit && self.superseding.front().is_some_and(|by| by.written_by() <= oldest) {
            let Some(by) = self.superseding.pop_front() else { break };
            count += 1;
            let key = by.key();
            let Some(newest) = self.hashed.get(key) else { continue };
            let mut successor = newest.written_by();
            let gone = newest.is_deleted() && successor <= oldest;
            if let Some(older) = self.older.get_mut(key) {
                let needed = older
                    .iter()
                    .take_while(|version| mem::replace(&mut successor, version.written_by()) > oldest)
                    .count();
                garbage.extend(older.drain(needed..));
                if older.is_empty() {
                    self.older.remove(key);
                }
            }
            if gone && !self.older.contains_key(key) {
                garbage.extend(self.take(key));
            }
        }
        if self.superseding.is_empty() {
            // What a long view has made large is given back.
            mem::take(&mut self.superseding);
            mem::take(&mut self.older);
        }
        count
    }

    /// How many superseded versions are still to be reclaimed.
    pub(super) fn superseded_count(&self) -> usize {
        self.superseding.len()
    }
}
