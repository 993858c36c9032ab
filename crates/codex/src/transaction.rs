//! Reads and writes that take place as one step: `docs/concurrency.md`, "Transactions".

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::{Bound, RangeBounds as _};
use std::time::Duration;

use codex_storage::{Database, KEY_LEN_MAX, SequenceNumber};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bytes::Bytes;
use crate::codec::Codec;
use crate::error::Result;
use crate::expiry::Expiry;
use crate::range::{Bounds, KeyRange, prefix_bounds};
use crate::value::{self, Compression, Stored};

/// A transaction that runs: it reads one state of the store and its own changes, and keeps these to itself until it is
/// committed.
///
/// [`Store::transaction`](crate::Store::transaction) makes one and commits it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::Transaction;
///
/// fn withdraw(tx: &mut Transaction, amount: u64) -> codex::Result<bool> {
///     let account: u64 = tx.get("account")?.unwrap_or_default();
///     let Some(left) = account.checked_sub(amount) else { return Ok(false) };
///     tx.set("account", &left)?;
///     Ok(true)
/// }
///
/// store.set("account", &50)?;
/// assert!(store.transaction(|tx| withdraw(tx, 30))?);
/// assert!(!store.transaction(|tx| withdraw(tx, 30))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transaction {
    view: codex_storage::View,
    codec: Codec,
    /// The commit that wrote the value that was read; `None`: the key was absent.
    reads: BTreeMap<Box<[u8]>, Option<SequenceNumber>>,
    /// Ranges that were read, and how many records they had.
    ranges: Vec<(Bounds, usize)>,
    /// `None`: deleted.
    writes: BTreeMap<Box<[u8]>, Option<Written>>,
}

struct Written {
    codec: Codec,
    encoded: Vec<u8>,
    expiry: Expiry,
}

impl Transaction {
    /// How often a transaction is tried.
    pub const ATTEMPTS_MAX: u32 = 100;

    pub(crate) fn new(view: codex_storage::View, codec: Codec) -> Self {
        Self { view, codec, reads: BTreeMap::new(), ranges: Vec::new(), writes: BTreeMap::new() }
    }

    /// The value of a key as a `T`, whichever codec wrote it; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let next = store.transaction(|tx| {
    ///     let next = tx.get("next")?.unwrap_or(1);
    ///     tx.set("next", &(next + 1))?;
    ///     Ok(next)
    /// })?;
    /// assert_eq!(next, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get<T: DeserializeOwned>(&mut self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        match self.writes.get(key.as_ref()) {
            Some(Some(written)) => written.codec.decode(&written.encoded).map(Some),
            Some(None) => Ok(None),
            None => self.read(key.as_ref()).as_ref().map(value::decode).transpose(),
        }
    }

    /// The encoded value of a key; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_bytes("a", b"raw")?;
    /// let bytes = store.transaction(|tx| tx.get_bytes("a"))?;
    /// assert_eq!(bytes.as_deref(), Some(&b"raw"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_bytes(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        if let Some(written) = self.writes.get(key.as_ref()) {
            return Ok(written.as_ref().map(|written| written.encoded.as_slice().into()));
        }
        let found = self.read(key.as_ref()).map(value::encoded_bytes).transpose()?;
        Ok(found.map(|(_, bytes)| bytes))
    }

    /// Whether a key has a value.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let claimed = store.transaction(|tx| {
    ///     let free = !tx.has("name:ada")?;
    ///     if free {
    ///         tx.set("name:ada", &7)?;
    ///     }
    ///     Ok(free)
    /// })?;
    /// assert!(claimed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        match self.writes.get(key.as_ref()) {
            Some(written) => Ok(written.is_some()),
            None => Ok(self.read(key.as_ref()).is_some()),
        }
    }

    /// Keys and encoded values of a range, in key order. All of it is read at once, because the transaction is held
    /// against all of it: a record that others put into the range, change or delete lets it run again. Where the range has
    /// more than 4,096 records, so does any commit of others.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("slot:1", "Ada"), ("slot:2", "Grace")])?;
    /// let count = store.transaction(|tx| {
    ///     let count = tx.range("slot:".."slot;")?.len();
    ///     tx.set(format!("slot:{}", count + 1), "Linus")?;
    ///     Ok(count)
    /// })?;
    /// assert_eq!(count, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&mut self, range: impl KeyRange) -> Result<Vec<(Bytes, Bytes)>> {
        self.range_within(range.into_bounds())
    }

    /// Keys and encoded values of all keys that begin with `prefix`, as [`Transaction::range`] gives them.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("cart:1", &3), ("cart:2", &4)])?;
    /// store.transaction(|tx| {
    ///     for (key, _) in tx.prefix("cart:")? {
    ///         tx.delete(&key)?;
    ///     }
    ///     Ok(())
    /// })?;
    /// assert!(store.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefix(&mut self, prefix: impl AsRef<[u8]>) -> Result<Vec<(Bytes, Bytes)>> {
        self.range_within(prefix_bounds(prefix.as_ref()))
    }

    /// Sets `key` to `value`, encoded with the store's codec.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.transaction(|tx| {
    ///     tx.set("a", &1)?;
    ///     assert_eq!(tx.get("a")?, Some(1), "it reads its own changes");
    ///     Ok(())
    /// })?;
    /// assert_eq!(store.get::<u32>("a")?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.set_with(self.codec, key, value)
    }

    /// Sets `key` to `value`, encoded with `codec`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.transaction(|tx| tx.set_with(codex::Codec::Bincode, "point", &(3, 4)))?;
    /// assert_eq!(store.get::<(i32, i32)>("point")?, Some((3, 4)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_with(
        &mut self,
        codec: Codec,
        key: impl AsRef<[u8]>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<()> {
        self.write(key.as_ref(), codec, codec.encode(value)?, Expiry::Never);
        Ok(())
    }

    /// Sets `key` to `value`, encoded with the store's codec, for as long as `ttl` after the transaction is committed:
    /// [`Store::set_with_ttl`](crate::Store::set_with_ttl).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let ttl = std::time::Duration::from_secs(60);
    /// store.set_with_ttl("session", "Ada", ttl)?;
    /// // Lives on only if nobody has ended it.
    /// store.transaction(|tx| match tx.get::<String>("session")? {
    ///     Some(user) => tx.set_with_ttl("session", &user, ttl),
    ///     None => Ok(()),
    /// })?;
    /// assert!(store.expires_at("session").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_with_ttl(
        &mut self,
        key: impl AsRef<[u8]>,
        value: &(impl Serialize + ?Sized),
        ttl: Duration,
    ) -> Result<()> {
        let (codec, expiry) = (self.codec, Expiry::In(ttl).checked()?);
        self.write(key.as_ref(), codec, codec.encode(value)?, expiry);
        Ok(())
    }

    /// Sets `key` to the bytes of `value` as they are.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.transaction(|tx| tx.set_bytes("flag", b"raw"))?;
    /// assert_eq!(store.get_bytes("flag")?.as_deref(), Some(&b"raw"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_bytes(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.write(key.as_ref(), Codec::Raw, value.as_ref().to_vec(), Expiry::Never);
        Ok(())
    }

    /// Deletes a key; whether it was there.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("inbox:1", "a letter")?;
    /// store.transaction(|tx| {
    ///     if let Some(letter) = tx.get::<String>("inbox:1")? {
    ///         tx.set("read:1", &letter)?;
    ///         tx.delete("inbox:1")?;
    ///     }
    ///     Ok(())
    /// })?;
    /// assert_eq!(store.keys()?, [b"read:1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        let was_there = self.has(key.as_ref())?;
        self.writes.insert(key.as_ref().into(), None);
        Ok(was_there)
    }

    /// What is to be committed, with what must hold for it; `None` if nothing is to be written: then the transaction
    /// took place when its state was taken.
    pub(crate) fn into_batch(
        self,
        compression: Compression,
        database: &Database,
    ) -> Result<Option<codex_storage::Batch>> {
        if self.writes.is_empty() {
            return Ok(None);
        }
        let mut batch = codex_storage::Batch::new();
        for (key, written_by) in &self.reads {
            batch.require(key, *written_by)?;
        }
        for (bounds, records) in self.ranges {
            batch.require_range(bounds, self.view.sequence(), records);
        }
        for (key, written) in &self.writes {
            match written {
                Some(Written { codec, encoded, expiry }) => {
                    let deadline_ns = expiry.deadline_ns(database)?;
                    Stored::new(*codec, compression, encoded)?.set_in(&mut batch, key, deadline_ns)?;
                }
                None => batch.delete(key)?,
            }
        }
        Ok(Some(batch))
    }

    fn write(&mut self, key: &[u8], codec: Codec, encoded: Vec<u8>, expiry: Expiry) {
        self.writes.insert(key.into(), Some(Written { codec, encoded, expiry }));
    }

    fn read(&mut self, key: &[u8]) -> Option<codex_storage::Record> {
        // No record has such a key, now or later.
        if key.is_empty() || key.len() > KEY_LEN_MAX {
            return None;
        }
        let record = self.view.get(key);
        self.reads.insert(key.into(), record.as_ref().map(codex_storage::Record::written_by));
        record
    }

    fn range_within(&mut self, bounds: Bounds) -> Result<Vec<(Bytes, Bytes)>> {
        let mut found = BTreeMap::new();
        for record in self.view.range(bounds.clone()) {
            found.insert(Bytes::key_of(&record), value::encoded_bytes(record)?.1);
        }
        let records = found.len();
        let within: (Bound<&[u8]>, Bound<&[u8]>) =
            (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
        for (key, written) in self.writes.iter().filter(|(key, _)| within.contains(&***key)) {
            match written {
                Some(written) => found.insert(Bytes::from(&**key), written.encoded.as_slice().into()),
                None => found.remove(&**key),
            };
        }
        self.ranges.push((bounds, records));
        Ok(found.into_iter().collect())
    }
}

/// Shows no key and no value.
impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("sequence", &self.view.sequence())
            .field("reads", &self.reads.len())
            .field("ranges", &self.ranges.len())
            .field("writes", &self.writes.len())
            .finish()
    }
}

/// Waits after a conflict: not at all at first, because whoever came first has finished by then, and longer the more
/// often it happens, at random, so that those who want the same keys do not meet again.
pub(crate) fn wait_after(attempt: u32) {
    if attempt < ATTEMPTS_AT_ONCE {
        return;
    }
    let longest = WAIT_STEP_US << (attempt - ATTEMPTS_AT_ONCE).min(WAIT_DOUBLINGS_MAX);
    // Each `RandomState` has keys of its own.
    let random = RandomState::new().hash_one(attempt);
    std::thread::sleep(Duration::from_micros(random % longest));
}

const ATTEMPTS_AT_ONCE: u32 = 2;
/// In microseconds.
const WAIT_STEP_US: u64 = 200;
/// The longest wait is this often doubled: 12.8 milliseconds.
const WAIT_DOUBLINGS_MAX: u32 = 6;
