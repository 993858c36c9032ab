//! Fills a table while nobody reads it: the order is made once, at the end.
//!
//! Where there is much to load, a thread of its own puts the records in place while the caller reads the next ones.

use std::mem;

use super::expiring::Expiring;
use super::generation::Generation;
use super::hashed::Hashed;
use super::ordered::Ordered;
use super::{RecordTable, Totals};
use crate::batch::Operation;
use crate::clock::Clock;
use crate::error::{Result, StorageError};
use crate::format::SequenceNumber;
use crate::format::record::RecordBytes;
use crate::record::Record;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, SyncSender, sync_channel};

/// A table that is filled with what a log holds, in its order.
pub(crate) struct TableLoader {
    /// What is not put in place yet.
    pending: Vec<Operation>,
    pending_len: usize,
    target: Target,
}

enum Target {
    Here(Box<Filling>),
    Beside { batches: SyncSender<Vec<Operation>>, thread: JoinHandle<Filling> },
}

impl TableLoader {
    /// A loader for what a file of `len` bytes holds.
    pub(crate) fn new(len: u64) -> Self {
        let target = if len < BESIDE_LEN_MIN { None } else { Target::beside() };
        let target = target.unwrap_or_else(|| Target::Here(Box::default()));
        Self { pending: Vec::new(), pending_len: 0, target }
    }

    /// Applies an operation that the log holds.
    pub(crate) fn replay(&mut self, by: SequenceNumber, operation: RecordBytes<'_>) {
        self.push(operation.operation(by));
    }

    /// Takes the next change. Its record says what commit wrote it.
    pub(crate) fn push(&mut self, operation: Operation) {
        match &mut self.target {
            Target::Here(filling) => filling.apply(operation),
            Target::Beside { batches, .. } => {
                if let Operation::Set(record) = &operation {
                    self.pending_len += record.bytes().len();
                }
                self.pending.push(operation);
                if self.pending.len() >= BATCH_RECORDS || self.pending_len >= BATCH_LEN {
                    self.pending_len = 0;
                    // A thread that is gone has panicked; `finish` says so.
                    let _ = batches.send(mem::take(&mut self.pending));
                }
            }
        }
    }

    /// The table, as of a sequence number. Without a clock nothing in it ever expires.
    pub(crate) fn finish(self, at: SequenceNumber, clock: Option<Arc<dyn Clock>>) -> Result<RecordTable> {
        let mut filling = match self.target {
            Target::Here(filling) => *filling,
            Target::Beside { batches, thread } => {
                drop(batches);
                thread
                    .join()
                    .map_err(|_| StorageError::Internal("the thread that fills the table panicked"))?
            }
        };
        self.pending.into_iter().for_each(|operation| filling.apply(operation));
        let expiring = clock.map(Expiring::new).unwrap_or_default();
        Ok(filling.finish(at, expiring))
    }
}

impl Target {
    /// `None` where the system has no thread to give.
    fn beside() -> Option<Self> {
        let (batches, received) = sync_channel::<Vec<Operation>>(BATCHES_AHEAD);
        let fill = move || {
            let mut filling = Filling::default();
            received.into_iter().flatten().for_each(|operation| filling.apply(operation));
            filling
        };
        let thread = thread::Builder::new().name("codex-loading".into()).spawn(fill).ok()?;
        Some(Self::Beside { batches, thread })
    }
}

/// A table in the making.
#[derive(Default)]
struct Filling {
    hashed: Hashed,
    /// Records in the order in which their keys came, which mostly is that of the keys.
    arrived: Vec<Record>,
    /// Some of `arrived` are not the newest of their key any more.
    stale: bool,
    /// Some record with a deadline has come.
    has_expiring: bool,
    totals: Totals,
}

impl Filling {
    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Set(record) => self.set(record),
            Operation::Delete(tombstone) => self.delete(tombstone.key()),
            Operation::Clear => *self = Self::default(),
        }
    }

    fn set(&mut self, record: Record) {
        self.totals.add(&record);
        self.has_expiring |= record.deadline_ns().is_some();
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

    fn delete(&mut self, key: &[u8]) {
        if let Some(old) = self.hashed.take(key) {
            self.totals.subtract(&old);
            self.stale = true;
        }
    }

    fn finish(mut self, at: SequenceNumber, mut expiring: Expiring) -> RecordTable {
        if self.stale {
            self.settle();
        }
        if self.has_expiring {
            self.arrived.iter().for_each(|record| expiring.put(record));
        }
        let current = Generation::new(self.hashed, Ordered::from_records(self.arrived));
        RecordTable {
            current,
            applied: self.totals,
            totals: self.totals,
            published: at,
            expiring,
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
/// A shorter file is loaded before a thread would have begun, in bytes.
const BESIDE_LEN_MIN: u64 = 4 << 20;
/// What is handed over at once: so many records, or so many bytes of them.
const BATCH_RECORDS: usize = 1024;
const BATCH_LEN: usize = 256 << 10;
/// What reading may be ahead of filling.
const BATCHES_AHEAD: usize = 8;
