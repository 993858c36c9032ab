//! A consistent state to read, unaffected by later commits.
//!
//! A view keeps memory alive, never the database's files or locks: it can be read after the database is closed.

use std::borrow::Cow;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

use crate::format::SequenceNumber;
use crate::record::Record;
use crate::sync::{Arc, RwLock};
use crate::table::{Direction, Garbage, Page, RecordTable, Shown, Totals};

/// Lower and upper bound of a range of keys.
pub type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The state at a sequence number. Cheap to clone.
#[derive(Clone)]
pub struct View {
    registration: Arc<Registration>,
}

struct Registration {
    table: Arc<RwLock<RecordTable>>,
    shown: Shown,
}

impl View {
    /// A view of what is published now. What has not expired now does not expire in it.
    pub(crate) fn open(table: &Arc<RwLock<RecordTable>>) -> Self {
        Self::of(table, RecordTable::shown)
    }

    /// As [`View::open`], with what has expired and is not deleted yet: the state that the log holds.
    pub(crate) fn whole(table: &Arc<RwLock<RecordTable>>) -> Self {
        Self::of(table, RecordTable::whole)
    }

    fn of(table: &Arc<RwLock<RecordTable>>, shown: impl FnOnce(&RecordTable) -> Shown) -> Self {
        let locked = table.read();
        let shown = shown(&locked);
        locked.open_view();
        drop(locked);
        Self { registration: Arc::new(Registration { table: table.clone(), shown }) }
    }

    /// The last commit that the view shows.
    #[must_use]
    pub fn sequence(&self) -> SequenceNumber {
        self.registration.shown.at
    }

    /// Records, and bytes of their keys and values.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.registration.shown.totals
    }

    /// The record of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Record> {
        let Registration { table, shown } = &*self.registration;
        table.read().get(key, shown.at).filter(|record| !record.is_expired(shown.now_ns)).cloned()
    }

    /// Whether a key has a record.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        let Registration { table, shown } = &*self.registration;
        table.read().get(key, shown.at).is_some_and(|record| !record.is_expired(shown.now_ns))
    }

    /// The records of a range, in key order from both ends.
    #[must_use]
    pub fn range(&self, range: Bounds) -> Range {
        Range { view: self.clone(), rest: valid(range), front: Page::default(), back: Page::default() }
    }

    /// Calls `each` with every record of a range, in key order, up to its first error. Nothing is copied or counted for a
    /// record, and no lock is held while `each` runs.
    pub fn try_for_each<E>(
        &self,
        range: Bounds,
        mut each: impl FnMut(&Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut range = self.range(range);
        while range.turn(Direction::Ascending) {
            while let Some(newest) = range.front.next() {
                if let Some(record) = self.version(newest) {
                    each(&record)?;
                }
            }
        }
        Ok(())
    }

    /// The record that the view has of a key, whose newest version was found.
    fn version<'a>(&self, newest: &'a Record) -> Option<Cow<'a, Record>> {
        let shown = &self.registration.shown;
        if newest.written_by() > shown.at {
            return self.get(newest.key()).map(Cow::Owned);
        }
        (!newest.is_deleted() && !newest.is_expired(shown.now_ns)).then_some(Cow::Borrowed(newest))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("sequence", &self.sequence()).finish_non_exhaustive()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut more = self.table.read().close_view(self.shown.at);
        while more {
            let mut garbage = Garbage::default();
            more = self.table.write().reclaim(&mut garbage);
        }
    }
}

/// An iterator over a range of a view. Owns the view, and holds no lock between two calls.
pub struct Range {
    view: View,
    /// What is neither given out nor in a page; `None`: nothing.
    rest: Option<Bounds>,
    /// The next records from the front.
    front: Page,
    /// The next records from the back.
    back: Page,
}

impl Range {
    /// Takes the next page from an end, whose last one is used up. `false`: there is none.
    fn turn(&mut self, direction: Direction) -> bool {
        let Some((lower, upper)) = self.rest.take() else { return false };
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let Registration { table, shown } = &*self.view.registration;
        let Some(page) = table.read().page(shown.at, bounds, direction) else { return false };
        let beyond = |key: Option<&[u8]>| Bound::Excluded(key.expect("a page is not empty").to_vec());
        // A page that stops within its leaf has come to the bound.
        match direction {
            Direction::Ascending => {
                if !page.ends_within() {
                    self.rest = valid((beyond(page.last_key()), upper));
                }
                self.front = page;
            }
            Direction::Descending => {
                if !page.begins_within() {
                    self.rest = valid((lower, beyond(page.first_key())));
                }
                self.back = page;
            }
        }
        true
    }
}

impl Iterator for Range {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            if self.front.is_empty() {
                self.turn(Direction::Ascending);
            }
            let newest = self.front.next().or_else(|| self.back.next())?;
            if let Some(record) = self.view.version(newest) {
                return Some(record.into_owned());
            }
        }
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Record> {
        loop {
            if self.back.is_empty() {
                self.turn(Direction::Descending);
            }
            let newest = self.back.next_back().or_else(|| self.front.next_back())?;
            if let Some(record) = self.view.version(newest) {
                return Some(record.into_owned());
            }
        }
    }
}

impl FusedIterator for Range {}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").field("view", &self.view).finish_non_exhaustive()
    }
}

/// The range, unless nothing can be in it.
fn valid((lower, upper): Bounds) -> Option<Bounds> {
    let possible = is_valid((lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice)));
    possible.then_some((lower, upper))
}

/// Whether something can be in a range: a tree panics on bounds in the wrong order.
pub(crate) fn is_valid(range: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match range {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(lower), Bound::Included(upper)) => lower <= upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower < upper,
    }
}
