//! A consistent state to read, unaffected by later commits.
//!
//! A view keeps memory alive, never the database's files or locks: it can be read after the database is closed.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

use crate::format::SequenceNumber;
use crate::record::Record;
use crate::sync::{Arc, RwLock};
use crate::table::{Direction, Garbage, RecordTable, Totals};

/// Lower and upper bound of a range of keys.
pub type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The state at a sequence number. Cheap to clone.
#[derive(Clone)]
pub struct View {
    registration: Arc<Registration>,
}

struct Registration {
    table: Arc<RwLock<RecordTable>>,
    at: SequenceNumber,
    totals: Totals,
}

impl View {
    /// A view of what is published now.
    pub(crate) fn open(table: &Arc<RwLock<RecordTable>>) -> Self {
        let (at, totals) = table.read().open_view();
        Self { registration: Arc::new(Registration { table: table.clone(), at, totals }) }
    }

    /// The last commit that the view shows.
    #[must_use]
    pub fn sequence(&self) -> SequenceNumber {
        self.registration.at
    }

    /// Records, and bytes of their keys and values.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.registration.totals
    }

    /// The record of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Record> {
        self.registration.table.read().get(key, self.registration.at).cloned()
    }

    /// Whether a key has a record.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        self.registration.table.read().get(key, self.registration.at).is_some()
    }

    /// The records of a range, in key order from both ends.
    #[must_use]
    pub fn range(&self, range: Bounds) -> Range {
        let (front, back) = (VecDeque::new(), VecDeque::new());
        Range { view: self.clone(), rest: valid(range), page_len: PAGE_LEN_FIRST, front, back }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("sequence", &self.registration.at).finish_non_exhaustive()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut more = self.table.read().close_view(self.at);
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
    /// How many records the next page may have: few at first, for those who want few.
    page_len: usize,
    /// The next records from the front, ascending.
    front: VecDeque<Record>,
    /// The next records from the back, descending.
    back: VecDeque<Record>,
}

impl Range {
    fn fill(&mut self, direction: Direction) {
        let page = match direction {
            Direction::Ascending => &mut self.front,
            Direction::Descending => &mut self.back,
        };
        while page.is_empty() {
            let Some((lower, upper)) = self.rest.take() else { return };
            let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
            let Registration { table, at, .. } = &*self.view.registration;
            let last = table.read().page(*at, bounds, direction, self.page_len, page);
            self.page_len = (self.page_len * 4).min(PAGE_LEN_MAX);
            self.rest = last.and_then(|last| {
                let last = Bound::Excluded(last.key().to_vec());
                valid(match direction {
                    Direction::Ascending => (last, upper),
                    Direction::Descending => (lower, last),
                })
            });
        }
    }
}

impl Iterator for Range {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.fill(Direction::Ascending);
        self.front.pop_front().or_else(|| self.back.pop_back())
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Record> {
        self.fill(Direction::Descending);
        self.back.pop_front().or_else(|| self.front.pop_back())
    }
}

impl FusedIterator for Range {}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Records that are taken under one hold of the table's lock.
const PAGE_LEN_FIRST: usize = 8;
const PAGE_LEN_MAX: usize = 256;

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
