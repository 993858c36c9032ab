//! Operations that are applied together.

use std::fmt;

use crate::error::{Result, StorageError};
use crate::format::SequenceNumber;
use crate::record::Record;
use crate::view::Bounds;

/// Longest record key, in bytes.
pub const KEY_LEN_MAX: usize = 65_535;
/// Longest value that a caller may store, in bytes; [`VALUE_LEN_MAX`] leaves room for what a codec puts before it.
pub const USER_VALUE_LEN_MAX: usize = 1 << 30;
/// Longest value, in bytes.
pub const VALUE_LEN_MAX: usize = USER_VALUE_LEN_MAX + 16;
/// Longest batch, in bytes of keys and values.
pub const BATCH_LEN_MAX: u64 = 4 << 30;

/// The most records of a range that [`Batch::require_range`] looks through again: less than a millisecond.
pub const REQUIRED_RECORDS_MAX: usize = 4096;

/// One change.
#[derive(Clone)]
pub enum Operation {
    /// A key gets a value.
    Set(Record),
    /// A key and its value go; the record has only the key.
    Delete(Record),
    /// Everything goes.
    Clear,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(record) => f.debug_tuple("Set").field(record).finish(),
            Self::Delete(_) => f.write_str("Delete"),
            Self::Clear => f.write_str("Clear"),
        }
    }
}

/// What must hold for a batch to be committed.
#[derive(Clone)]
pub(crate) enum Condition {
    /// The value of a key is the one that this commit wrote; `None`: the key is absent.
    Key { key: Box<[u8]>, written_by: Option<SequenceNumber> },
    /// Nothing in a range has changed since a commit behind which it had so many records.
    Range { bounds: Bounds, since: SequenceNumber, records: usize },
}

/// Operations that are committed together or not at all, in their order; and what must hold for that.
#[derive(Clone, Default)]
pub struct Batch {
    operations: Vec<Operation>,
    pub(crate) conditions: Vec<Condition>,
    /// Records that go if they are still there.
    expired: Vec<Record>,
    len: u64,
    scratch: Vec<u8>,
}

impl Batch {
    /// A batch without operations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: `key` gets the value that `parts` make together. On an error the batch is as before.
    pub fn set(&mut self, key: &[u8], parts: &[&[u8]]) -> Result<()> {
        self.put(key, parts, None)
    }

    /// Adds: `key` gets the value that `parts` make together until `deadline_ns`, in nanoseconds since the Unix epoch
    /// (see [`Database::deadline_in`](crate::Database::deadline_in)); then it is absent. On an error the batch is as
    /// before.
    pub fn set_until(&mut self, key: &[u8], parts: &[&[u8]], deadline_ns: u64) -> Result<()> {
        self.put(key, parts, Some(deadline_ns))
    }

    fn put(&mut self, key: &[u8], parts: &[&[u8]], deadline_ns: Option<u64>) -> Result<()> {
        let key_len = check_key(key)?;
        let value_len = parts.iter().map(|part| part.len()).sum();
        if value_len > VALUE_LEN_MAX {
            return Err(StorageError::ValueTooLong { len: value_len });
        }
        self.grow(key.len() + value_len + deadline_ns.map_or(0, |_| DEADLINE_LEN_MAX))?;
        self.scratch.clear();
        self.scratch.extend_from_slice(key);
        for part in parts {
            self.scratch.extend_from_slice(part);
        }
        self.operations.push(Operation::Set(Record::with_deadline(&self.scratch, key_len, deadline_ns)));
        if self.scratch.capacity() > SCRATCH_LEN_KEPT {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// Adds: `key` and its value go. On an error the batch is as before.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        check_key(key)?;
        self.grow(key.len())?;
        self.operations.push(Operation::Delete(Record::tombstone(key)));
        Ok(())
    }

    /// Adds: everything goes.
    pub fn clear(&mut self) {
        self.operations.push(Operation::Clear);
    }

    /// Adds: a record goes that has expired, unless its key has been written since. What is added so comes behind all
    /// other operations, and cannot make the batch fail.
    pub(crate) fn expire(&mut self, record: &Record) -> Result<()> {
        self.grow(record.key().len())?;
        self.expired.push(record.clone());
        Ok(())
    }

    /// Demands that `key` still has the value that the commit `written_by` gave it, or is absent.
    /// A batch whose demands do not hold when its turn comes is not committed: [`Outcome::Conflict`].
    ///
    /// [`Outcome::Conflict`]: crate::table::Outcome::Conflict
    pub fn require(&mut self, key: &[u8], written_by: Option<SequenceNumber>) -> Result<()> {
        check_key(key)?;
        self.conditions.push(Condition::Key { key: key.into(), written_by });
        Ok(())
    }

    /// Demands that nothing in a range of keys has changed since the commit `since`, behind which it had `records`
    /// records. The range is looked through again with the table's lock held; beyond [`REQUIRED_RECORDS_MAX`] records any
    /// later commit at all counts as a change, so that nobody waits for that.
    pub fn require_range(&mut self, bounds: Bounds, since: SequenceNumber, records: usize) {
        self.conditions.push(Condition::Range { bounds, since, records });
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.expired.is_empty()
    }

    /// The operations, in their order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    pub(crate) fn into_parts(self) -> (Vec<Operation>, Vec<Condition>, Vec<Record>) {
        (self.operations, self.conditions, self.expired)
    }

    /// Bytes of keys and values, and an upper bound of what encoding adds to each operation.
    pub(crate) fn encoded_len_max(&self) -> u64 {
        let count = self.operations.len() + self.expired.len();
        self.len + ENCODING_OVERHEAD_MAX * (count as u64 + 1)
    }

    fn grow(&mut self, bytes: usize) -> Result<()> {
        let len = self.len + bytes as u64;
        if len > BATCH_LEN_MAX {
            return Err(StorageError::BatchTooLong);
        }
        self.len = len;
        Ok(())
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("operations", &self.operations.len()).field("len", &self.len).finish()
    }
}

/// Checks a key's length and returns it.
pub(crate) fn check_key(key: &[u8]) -> Result<u16> {
    if key.is_empty() {
        return Err(StorageError::KeyEmpty);
    }
    u16::try_from(key.len()).map_err(|_| StorageError::KeyTooLong { len: key.len() })
}

/// A variant (1), a key length (3) and a record length (9), as bincode's varints.
const ENCODING_OVERHEAD_MAX: u64 = 13;
/// A deadline, as bincode's varint.
const DEADLINE_LEN_MAX: usize = 9;
/// A larger scratch buffer is given back after use.
const SCRATCH_LEN_KEPT: usize = 1 << 20;
