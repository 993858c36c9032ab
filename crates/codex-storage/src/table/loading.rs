//! Fills a table while nobody reads it: the order is made once, at the end.

use super::generation::Generation;
use super::hashed::Hashed;
use super::ordered::Ordered;
use super::{RecordTable, Totals};
use crate::format::SequenceNumber;
use crate::record::Record;

/// A table in the making.
#[derive(Default)]
pub(crate) struct TableLoader {
    hashed: Hashed,
    /// Records in the order in which their keys came, which mostly is that of the keys.
    arrived: Vec<Record>,
    /// Some of `arrived` are not the newest of their key any more.
    stale: bool,
    totals: Totals,
}

impl TableLoader {
    /// A key gets the record, which says what commit wrote it.
    pub(crate) fn set(&mut self, record: Record) {
        self.totals.add(&record);
        match self.hashed.put(record.clone()) {
            Some(old) => {
                self.totals.subtract(&old);
                self.stale = true;
            }
            None => self.arrived.push(record),
        }
        if self.arrived.len() as u64 > 2 * self.totals.records + ARRIVED_MIN {
            // Keys that come and go would fill the list.
            self.settle();
        }
    }

    /// A key and its record go.
    pub(crate) fn delete(&mut self, key: &[u8]) {
        if let Some(old) = self.hashed.take(key) {
            self.totals.subtract(&old);
            self.stale = true;
        }
    }

    /// Everything goes.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The table, as of a sequence number.
    pub(crate) fn finish(mut self, at: SequenceNumber) -> RecordTable {
        if self.stale {
            self.settle();
        }
        let current = Generation::new(self.hashed, Ordered::from_records(self.arrived));
        RecordTable {
            current,
            applied: self.totals,
            totals: self.totals,
            published: at,
            ..RecordTable::default()
        }
    }

    fn settle(&mut self) {
        self.arrived.clear();
        self.arrived.extend(self.hashed.iter().cloned());
        self.stale = false;
    }
}

const ARRIVED_MIN: u64 = 1024;
