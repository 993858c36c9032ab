//! The store: what most programs use, and nothing else.

use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codex_storage::clock::Clock;
use codex_storage::vfs::Vfs;
use codex_storage::vfs::replace::Existing;
use codex_storage::{Database, Outcome, Point, Prefix, Record, SequenceNumber};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backup::Backup;
use crate::batch::Batch;
use crate::bytes::Bytes;
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::{Expiry, expires_at};
use crate::history::{History, Log};
use crate::keys::{KeySlot, NewKey};
use crate::options::Options;
use crate::proof::{CommitProof, Continuation, ContinuationProof, ExpectedHead, LogHead};
use crate::range::KeyRange;
use crate::report::{Head, Report, Stats};
use crate::rotation::Rotation;
use crate::transaction::{self, Transaction};
use crate::value::{self, Compression, Stored};
use crate::view::{Entries, Entry, Range, View};
use crate::watch::Watch;

/// A database. Clones share it; the last one to be dropped closes it.
///
/// All methods may be called from any number of threads. A read never waits for the disk. With
/// [`Durability::Sync`](crate::Durability::Sync), the default, a write is durable when its call returns.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// let worker = store.clone();
/// std::thread::spawn(move || worker.set("greeting", "hello")).join().expect("no panic")?;
/// assert_eq!(store.get::<String>("greeting")?.as_deref(), Some("hello"));
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    codec: Codec,
    compression: Compression,
    rotation: Arc<Rotation>,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
}

/// A commit that took place.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// let mut batch = codex::Batch::new();
/// batch.set("a", &1)?;
/// assert_eq!(store.commit(batch.clone())?.sequence, 1);
/// assert_eq!(store.commit(batch)?.sequence, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Its sequence number: from 1, without gaps. If there was nothing to write, that of the last commit.
    pub sequence: u64,
}

/// A commit in flight. It takes place whether or not it is waited for.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// let mut batch = codex::Batch::new();
/// batch.set("a", &1)?;
/// let pending: codex::Pending = store.submit(batch)?;
/// // Other work is done here.
/// assert_eq!(pending.wait()?.sequence, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it gives away the commit's result"]
pub struct Pending(codex_storage::Pending<Outcome>);

impl Pending {
    /// Waits until the commit is decided.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let mut batch = codex::Batch::new();
    /// batch.set("", &1)?;
    /// let pending = store.submit(batch);
    /// // An empty key is refused at once; whether the disk took the batch, only waiting shows.
    /// assert!(pending.is_err_and(|error| error.kind() == codex::ErrorKind::Validation));
    /// let mut batch = codex::Batch::new();
    /// batch.set("a", &1)?;
    /// let commit = store.submit(batch)?.wait()?;
    /// assert_eq!(commit.sequence, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(self) -> Result<Commit> {
        committed(self.0.wait()?).map(|(commit, _)| commit)
    }
}

impl Store {
    /// Opens the database at `path` or creates it, in snapshot mode and without encryption:
    /// `Options::new().open(path)`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let store = codex::Store::open(&path)?;
    /// store.set("greeting", "hello")?;
    /// store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::new().open(path)
    }

    pub(crate) fn new(database: Database, options: &Options, rotation: Arc<Rotation>) -> Self {
        let (vfs, clock) = (options.storage().vfs.clone(), options.storage().clock.clone());
        let (codec, compression) = (options.codec, options.compression);
        Self { inner: Arc::new(Inner { database, codec, compression, rotation, vfs, clock }) }
    }

    /// Sets `key` to `value`, encoded with the store's codec.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// store.set("user:1", &User { name: "Ada".into() })?;
    /// store.set("answer", &42)?;
    /// assert_eq!(store.get::<User>("user:1")?.map(|user| user.name).as_deref(), Some("Ada"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, key: impl AsRef<[u8]>, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.set_with(self.inner.codec, key, value)
    }

    /// Sets `key` to `value`, encoded with `codec`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::Codec;
    ///
    /// store.set_with(Codec::Bincode, "point", &(3, 4))?;
    /// assert_eq!(store.get::<(i32, i32)>("point")?, Some((3, 4)));
    /// assert_eq!(store.get_bytes("point")?.map(|bytes| bytes.len()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_with(
        &self,
        codec: Codec,
        key: impl AsRef<[u8]>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<()> {
        self.set_encoded(codec, key.as_ref(), &codec.encode(value)?, Expiry::Never)
    }

    /// Sets `key` to the bytes of `value` as they are.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_bytes("icon", [0x89, b'P', b'N', b'G'])?;
    /// assert_eq!(store.get_bytes("icon")?.as_deref(), Some(&b"\x89PNG"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_bytes(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.set_encoded(Codec::Raw, key.as_ref(), value.as_ref(), Expiry::Never)
    }

    /// Sets `key` to `value`, encoded with the store's codec, for as long as `ttl`. Then it is absent for every reader,
    /// and soon deleted: a watcher sees that, and a ledger records it. [`Store::set`] and all other ways to set the key
    /// again let it live for ever. A time of zero, or one beyond the year 2554, is a
    /// [`Validation`](ErrorKind::Validation) error.
    ///
    /// The time is the system's clock's. One that is set back lets records live longer, but brings none back that has
    /// been seen to be absent, as long as the store is open.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_with_ttl("session", "Ada", Duration::from_secs(60))?;
    /// assert_eq!(store.get::<String>("session")?.as_deref(), Some("Ada"));
    /// assert!(store.expires_at("session").is_some_and(|time| time > SystemTime::now()));
    /// store.set("session", "Ada")?;
    /// assert_eq!(store.expires_at("session"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: &(impl Serialize + ?Sized),
        ttl: Duration,
    ) -> Result<()> {
        let codec = self.inner.codec;
        self.set_encoded(codec, key.as_ref(), &codec.encode(value)?, Expiry::In(ttl))
    }

    /// When a record expires; `None` if it never does, or is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use std::time::Duration;
    ///
    /// store.set("user", "Ada")?;
    /// store.set_with_ttl("session", "Ada", Duration::from_secs(60))?;
    /// assert_eq!(store.expires_at("user"), None);
    /// assert!(store.expires_at("session").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expires_at(&self, key: impl AsRef<[u8]>) -> Option<SystemTime> {
        self.record(key.as_ref()).and_then(|(record, _)| expires_at(&record))
    }

    /// The value of a key as a `T`, whichever codec wrote it; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("answer", &42)?;
    /// assert_eq!(store.get::<u32>("answer")?, Some(42));
    /// assert_eq!(store.get::<u32>("question")?, None);
    /// // A value of another type is an error, not `None`.
    /// assert!(store.get::<String>("answer").is_err_and(|error| error.kind() == codex::ErrorKind::Validation));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        match self.record(key.as_ref()) {
            Some((record, _)) => value::decode(&record).map(Some),
            None => Ok(None),
        }
    }

    /// The encoded value of a key; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("list", &[1, 2])?;
    /// assert_eq!(store.get_bytes("list")?.as_deref(), Some(&b"[1,2]"[..]));
    /// assert!(store.get_bytes("absent")?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        match self.record(key.as_ref()) {
            Some((record, _)) => Ok(Some(value::encoded_bytes(record)?.1)),
            None => Ok(None),
        }
    }

    /// The record of a key as it is stored; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("answer", &42)?;
    /// let entry = store.get_entry("answer")?.expect("it was just set");
    /// assert_eq!((entry.codec, &*entry.value), (codex::Codec::Json, &b"42"[..]));
    /// assert_eq!(entry.expires_at, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_entry(&self, key: impl AsRef<[u8]>) -> Result<Option<Entry>> {
        self.record(key.as_ref()).map(|(record, _)| Entry::of(record)).transpose()
    }

    /// Deletes a key; whether it was there.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("draft", "…")?;
    /// assert!(store.delete("draft")?);
    /// assert!(!store.delete("draft")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.delete_many([key])? > 0)
    }

    /// Whether a key has a value.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// assert!(store.has("a")?);
    /// assert!(!store.has("b")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.inner.database.has(key.as_ref()))
    }

    /// All keys, sorted.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("b", &2), ("a", &1)])?;
    /// let keys = store.keys()?;
    /// assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), [b"a", b"b"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keys(&self) -> Result<Vec<Bytes>> {
        self.range(..).map(|entry| entry.map(|(key, _)| key)).collect()
    }

    /// How many records there are.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("a", &1), ("b", &2)])?;
    /// assert_eq!(store.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.inner.database.record_count()).expect("they are in memory")
    }

    /// Whether there are no records.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// assert!(store.is_empty());
    /// store.set("a", &1)?;
    /// assert!(!store.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deletes everything.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("a", &1), ("b", &2)])?;
    /// store.clear()?;
    /// assert!(store.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self) -> Result<()> {
        let mut batch = codex_storage::Batch::new();
        batch.clear();
        self.commit_stored(batch).map(|_| ())
    }

    /// Commits a batch: all of it or nothing.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let mut batch = codex::Batch::new();
    /// batch.set("order:1", &["apples", "pears"])?;
    /// batch.set("orders", &1)?;
    /// batch.delete("cart");
    /// let commit = store.commit(batch)?;
    /// assert_eq!(commit.sequence, 1);
    /// assert_eq!(store.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn commit(&self, batch: Batch) -> Result<Commit> {
        Ok(self.commit_stored(self.stored(batch)?)?.0)
    }

    /// Queues a batch and returns at once. It is committed whether or not the result is waited for; batches of one
    /// thread keep their order. When 64 MiB are queued, this waits for room.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let pending = (0..100).map(|number: u32| {
    ///     let mut batch = codex::Batch::new();
    ///     batch.set(number.to_be_bytes(), &number)?;
    ///     store.submit(batch)
    /// });
    /// // All of them are in flight together, and share syncs.
    /// for pending in pending.collect::<codex::Result<Vec<_>>>()? {
    ///     pending.wait()?;
    /// }
    /// assert_eq!(store.len(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit(&self, batch: Batch) -> Result<Pending> {
        Ok(Pending(self.inner.database.submit(self.stored(batch)?)?))
    }

    /// Sets many keys in one commit.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("ada", &1815), ("grace", &1906)])?;
    /// assert_eq!(store.get_many::<u32, _>(["grace", "ada", "linus"])?, [Some(1906), Some(1815), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_many<'v, K, V>(&self, entries: impl IntoIterator<Item = (K, &'v V)>) -> Result<()>
    where
        K: AsRef<[u8]>,
        V: Serialize + ?Sized + 'v,
    {
        let mut batch = codex_storage::Batch::new();
        for (key, value) in entries {
            let encoded = self.inner.codec.encode(value)?;
            let stored = Stored::new(self.inner.codec, self.inner.compression, &encoded)?;
            batch.set(key.as_ref(), &stored.parts())?;
        }
        self.commit_stored(batch).map(|_| ())
    }

    /// The values of many keys, in their order, all from one state.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("a", &1), ("b", &2)])?;
    /// assert_eq!(store.get_many::<u32, _>(["b", "c", "a"])?, [Some(2), None, Some(1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_many<T, I>(&self, keys: I) -> Result<Vec<Option<T>>>
    where
        T: DeserializeOwned,
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let view = self.view();
        keys.into_iter().map(|key| view.get(key)).collect()
    }

    /// Deletes many keys in one commit; how many of them were there.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("a", &1), ("b", &2), ("c", &3)])?;
    /// assert_eq!(store.delete_many(["a", "c", "x"])?, 2);
    /// assert_eq!(store.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_many<I>(&self, keys: I) -> Result<usize>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut batch = codex_storage::Batch::new();
        for key in keys {
            batch.delete(key.as_ref())?;
        }
        let (_, removed) = self.commit_stored(batch)?;
        Ok(usize::try_from(removed).expect("as many as the keys at most"))
    }

    /// Sets or deletes (`new` is `None`) a key if its encoded value is `expected` (`None`: if it is absent), in one
    /// step; whether it did. A new value keeps the codec of the one that it replaces (of an absent one, it is raw), and lives
    /// for ever.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// // Whoever is first gets the name.
    /// assert!(store.compare_and_swap("owner", None, Some(b"ada"))?);
    /// assert!(!store.compare_and_swap("owner", None, Some(b"grace"))?);
    /// // And may give it up, if it is still theirs.
    /// assert!(store.compare_and_swap("owner", Some(b"ada"), None)?);
    /// assert!(!store.has("owner")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        let key = key.as_ref();
        loop {
            let current = self.record(key);
            let mut codec = Codec::Raw;
            let matches = match (&current, expected) {
                (None, None) => true,
                (Some((record, _)), Some(expected)) => {
                    let (found, encoded) = value::encoded(record)?;
                    codec = found;
                    *encoded == *expected
                }
                _ => false,
            };
            let mut batch = codex_storage::Batch::new();
            match new {
                Some(new) => batch.set(key, &Stored::new(codec, self.inner.compression, new)?.parts())?,
                None => batch.delete(key)?,
            }
            if !matches {
                return Ok(false);
            }
            batch.require(key, current.map(|(_, written_by)| written_by))?;
            // On a conflict another writer has changed the key meanwhile, so somebody gets on.
            if let Outcome::Committed { .. } = self.inner.database.commit(batch)? {
                return Ok(true);
            }
        }
    }

    /// Runs `work` on a state of the store, and commits what it changes if nothing that it has read has changed meanwhile;
    /// else runs it again on the state as it is then. So transactions take place as if one after the other
    /// (serializable), although any number run at the same time.
    ///
    /// `work` may be called several times, and does nothing but through its [`Transaction`] that must happen once. An
    /// error of `work` is returned and nothing is written. No lock is held while it runs. A transaction that changes
    /// nothing commits nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Concurrency`] if it has met changes of others [`Transaction::ATTEMPTS_MAX`] times.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("from", &100)?;
    /// let left = store.transaction(|tx| {
    ///     let from: u64 = tx.get("from")?.unwrap_or_default();
    ///     let to: u64 = tx.get("to")?.unwrap_or_default();
    ///     tx.set("from", &(from - 30))?;
    ///     tx.set("to", &(to + 30))?;
    ///     Ok(from - 30)
    /// })?;
    /// assert_eq!(left, 70);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transaction<R>(&self, work: impl FnMut(&mut Transaction) -> Result<R>) -> Result<R> {
        self.try_transaction(work)
    }

    /// As [`Store::transaction`], with an error type of the caller's.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// #[derive(Debug)]
    /// enum Refused {
    ///     NotEnoughMoney,
    ///     Store(codex::Error),
    /// }
    ///
    /// impl From<codex::Error> for Refused {
    ///     fn from(error: codex::Error) -> Self {
    ///         Self::Store(error)
    ///     }
    /// }
    ///
    /// store.set("account", &20)?;
    /// let paid = store.try_transaction(|tx| {
    ///     let account: u32 = tx.get("account")?.unwrap_or_default();
    ///     let left = account.checked_sub(30).ok_or(Refused::NotEnoughMoney)?;
    ///     Ok(tx.set("account", &left)?)
    /// });
    /// assert!(matches!(paid, Err(Refused::NotEnoughMoney)));
    /// assert_eq!(store.get::<u32>("account")?, Some(20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_transaction<R, E: From<Error>>(
        &self,
        mut work: impl FnMut(&mut Transaction) -> Result<R, E>,
    ) -> Result<R, E> {
        for attempt in 0..Transaction::ATTEMPTS_MAX {
            let mut transaction = Transaction::new(self.inner.database.view(), self.inner.codec);
            let result = work(&mut transaction)?;
            let Some(batch) = transaction.into_batch(self.inner.compression, &self.inner.database)? else {
                return Ok(result);
            };
            match self.inner.database.commit(batch).map_err(Error::from)? {
                Outcome::Committed { .. } => return Ok(result),
                Outcome::Conflict => transaction::wait_after(attempt),
            }
        }
        Err(Error::conflicting().into())
    }

    /// The state as it is now, unaffected by later commits.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let view = store.view();
    /// store.set("a", &2)?;
    /// assert_eq!(view.get::<u32>("a")?, Some(1));
    /// assert_eq!(store.get::<u32>("a")?, Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn view(&self) -> View {
        View::new(self.inner.database.view())
    }

    /// [`View::range`] on a fresh view.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("a", &1), ("b", &2), ("c", &3)])?;
    /// let values = store.range("a".."c").map(|entry| Ok(entry?.1)).collect::<codex::Result<Vec<_>>>()?;
    /// assert_eq!(values, [b"1", b"2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&self, range: impl KeyRange) -> Range {
        self.view().range(range)
    }

    /// [`View::prefix`] on a fresh view.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("user:1", "Ada"), ("user:2", "Grace"), ("visits", "7")])?;
    /// assert_eq!(store.prefix("user:").count(), 2);
    /// let (last, _) = store.prefix("user:").next_back().expect("there are two")?;
    /// assert_eq!(last, b"user:2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.view().prefix(prefix)
    }

    /// [`View::glob`] on a fresh view.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("user:1:name", "Ada"), ("user:1:mail", "ada@example.org")])?;
    /// assert_eq!(store.glob("user:*:name")?.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Range> {
        self.view().glob(pattern)
    }

    /// [`View::entries`] on a fresh view.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("a", &1), ("b", &2)])?;
    /// let sum = store.entries(..).map(|entry| entry?.decode::<u32>()).sum::<codex::Result<u32>>()?;
    /// assert_eq!(sum, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&self, range: impl KeyRange) -> Entries {
        self.view().entries(range)
    }

    /// The versions that a key has had, newest first, each with the commit that made it; ledger mode only.
    ///
    /// There is one for each commit behind which the key is not what it was, or has been set again: what a commit made
    /// and took back itself is no version. The first call reads the whole log, and makes an index in memory for
    /// those that follow: 4 bytes for each operation in the log, and 64 for every 2 to 4 KiB of it.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("codex-history-{}", std::process::id()));
    /// # let path = folder.join("app.db");
    /// use codex::{Change, Mode, Options, Point};
    ///
    /// let store = Options::new().mode(Mode::Ledger).open(&path)?;
    /// store.set("limit", &100)?;
    /// store.set("limit", &250)?;
    /// store.delete("limit")?;
    /// let versions = store.history("limit")?.collect::<codex::Result<Vec<_>>>()?;
    /// assert_eq!(versions.iter().map(|version| version.sequence).collect::<Vec<_>>(), [3, 2, 1]);
    /// assert_eq!(versions[0].change, Change::Deleted);
    /// assert!(matches!(&versions[1].change, Change::Set(entry) if entry.decode::<u32>()? == 250));
    /// assert_eq!(store.at(Point::Sequence(1))?.get::<u32>("limit")?, Some(100));
    /// # store.close()?;
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), codex::Error>(())
    /// ```
    pub fn history(&self, key: impl AsRef<[u8]>) -> Result<History> {
        Ok(History::new(self.inner.database.history(key.as_ref())?))
    }

    /// The state at a point of the past; ledger mode only. A sequence number behind the last commit is
    /// [`NotFound`](ErrorKind::NotFound); a time before the first commit gives the empty state, and one in the future
    /// the newest.
    ///
    /// The state is built from the log, which is read from its start, or from the checkpoint where a sequence number
    /// lies behind that. It takes its memory as long as the view lives.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::Point;
    ///
    /// store.set("limit", &100)?;
    /// store.set("limit", &250)?;
    /// let view = store.at(Point::Sequence(1))?;
    /// assert_eq!(view.get::<u32>("limit")?, Some(100));
    /// assert!(store.at(Point::Sequence(3)).is_err_and(|error| error.kind() == codex::ErrorKind::NotFound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at(&self, point: Point) -> Result<View> {
        Ok(View::new(self.inner.database.at(point)?))
    }

    /// The commits with these sequence numbers, as they were made and in their order; ledger mode only. Those that are
    /// made after this call are not in it, and it holds up none of them. What stands before the range is read at most
    /// once: an index in memory, that of [`Store::history`], knows it from then on.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::Operation;
    ///
    /// store.set("limit", &100)?;
    /// store.delete("limit")?;
    /// let commits = store.log(2..)?.collect::<codex::Result<Vec<_>>>()?;
    /// assert_eq!(commits.len(), 1);
    /// assert!(matches!(&commits[0].operations[..], [Operation::Delete(key)] if *key == b"limit"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log(&self, range: impl RangeBounds<u64>) -> Result<Log> {
        Ok(Log::new(self.inner.database.log(range)?))
    }

    /// Committed changes to the keys that begin with `prefix`, in commit order, from now on: those of every clone of this
    /// store. A change comes once readers see it, so with the durability that the store gives its commits.
    ///
    /// A watcher never delays a commit. One that falls more than 4096 changes or 8 MiB behind misses the oldest commits
    /// and is told so: [`KeyChange::Lagged`](crate::KeyChange::Lagged). To go on from a state without a gap, watch first,
    /// then take a view, and skip the events up to [`View::sequence`].
    ///
    /// ```
    /// use codex::KeyChange;
    /// # let folder = tempfile::tempdir()?;
    /// let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let events = store.watch("user:");
    /// store.set("user:1", "Ada")?;
    /// store.set("other", "is not watched")?;
    /// store.delete("user:1")?;
    /// store.close()?; // ends the iterator
    /// let changes: Vec<KeyChange> = events.map(|event| Ok(event?.change)).collect::<codex::Result<_>>()?;
    /// assert!(matches!(&changes[0], KeyChange::Set(entry) if entry.decode::<String>()? == "Ada"));
    /// assert_eq!(changes[1], KeyChange::Deleted(b"user:1"[..].into()));
    /// assert_eq!(changes.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn watch(&self, prefix: impl AsRef<[u8]>) -> Watch {
        Watch::new(self.inner.database.watch(prefix.as_ref()))
    }

    /// The size and root of the Merkle log over all frames of the file. Kept elsewhere, it shows later whether the
    /// database is a continuation of this state. Commits that a buffered store still holds are not in it yet.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::proof::Continuation;
    ///
    /// let before = store.head();
    /// store.set("a", &1)?;
    /// assert_eq!(store.head().size, before.size + 1);
    /// assert_eq!(store.compare_head(before)?, Continuation::Extends { frames: 1 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn head(&self) -> Head {
        Head::from(self.inner.database.head())
    }

    /// The [`head`](Self::head) with the id of the database: what to keep elsewhere, as text, signed or not.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::proof::{HeadNote, LogHead};
    ///
    /// store.set("a", &1)?;
    /// let kept = HeadNote::from(store.log_head()).to_string();
    /// // Elsewhere, and later:
    /// let head: LogHead = kept.parse::<HeadNote>()?.head();
    /// assert_eq!(head, store.log_head());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn log_head(&self) -> LogHead {
        self.inner.database.log_head()
    }

    /// Proves that the commit with this number is in the log as it is now. The proof is checked without the database and
    /// without its key. Its size, and the time it takes, are logarithmic in the number of frames; the first proof of a
    /// store may read the headers of all frames that no checkpoint covers.
    /// [`NotFound`](ErrorKind::NotFound) where the log has no such commit.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// store.set("b", &2)?;
    /// let proof = store.prove(1)?;
    /// let facts = proof.verify()?;
    /// assert_eq!(facts.last_sequence, 1);
    /// assert_eq!(proof.head().head(), store.log_head());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prove(&self, sequence: u64) -> Result<CommitProof> {
        Ok(self.inner.database.prove(SequenceNumber(sequence))?.into())
    }

    /// Proves that the log with `size_b` frames continues that with `size_a`, both of which this log has been.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let older = store.log_head();
    /// store.set("b", &2)?;
    /// let proof = store.prove_consistency(older.size, store.log_head().size)?;
    /// proof.verify(older)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prove_consistency(&self, size_a: u64, size_b: u64) -> Result<ContinuationProof> {
        let (proof, head) = self.inner.database.prove_consistency(size_a, size_b)?;
        Ok(ContinuationProof::new(proof, head))
    }

    /// How the log goes on from a head that was kept. It is an [`Integrity`](ErrorKind::Integrity) error if the log is
    /// shorter or has other frames: an older copy was put back, the end was cut off, or there was a fork. It is a
    /// [`Validation`](ErrorKind::Validation) error if the head is of another database, or of a file before a rewrite.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::proof::Continuation;
    ///
    /// store.set("a", &1)?;
    /// let mut kept = store.head();
    /// store.set("b", &2)?;
    /// assert_eq!(store.compare_head(kept)?, Continuation::Extends { frames: 1 });
    /// kept.root[0] ^= 1;
    /// assert!(store.compare_head(kept).is_err_and(|error| error.kind() == codex::ErrorKind::Integrity));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_head(&self, head: impl Into<ExpectedHead>) -> Result<Continuation> {
        Ok(self.inner.database.compare_head(head)?)
    }

    /// Reads every byte of the file again, from the start. Any damage is an
    /// [`Integrity`](ErrorKind::Integrity) error with its place.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let report = store.verify()?;
    /// assert_eq!((report.commits, report.head), (1, store.head()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self) -> Result<Report> {
        Ok(Report::from(self.inner.database.verify()?))
    }

    /// Copies the database to `target`, where nothing may stand. The copy holds every commit that was acknowledged
    /// before the call, is a database by itself, verified and durable when this returns; commits go on meanwhile.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let copy = folder.path().join("copy.db");
    /// store.backup(&copy)?;
    /// store.set("a", &2)?;
    /// assert_eq!(codex::Store::open(&copy)?.get::<u32>("a")?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, target: impl AsRef<Path>) -> Result<()> {
        let target = target.as_ref();
        let prefix = self.inner.database.durable_prefix()?.observed_by(self.inner.database.observer());
        let resolved =
            self.inner.vfs.resolve(target).map_err(codex_storage::StorageError::io("find", target))?;
        codex_backup::copy(&prefix, &self.inner.vfs, &resolved, Existing::Refuse)?;
        Ok(())
    }

    /// Makes a new copy in the rotation beside the database, as many as [`Options::backups`] says.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let store = codex::Options::new().backups(codex::BackupPolicy::keep(2)).open(&path)?;
    /// for number in 1..=3 {
    ///     store.set("number", &number)?;
    ///     store.rotate_backup()?;
    /// }
    /// assert_eq!(store.backups()?.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rotate_backup(&self) -> Result<()> {
        if !self.inner.rotation.is_kept() {
            return Err(Error::validation("no rotation is kept; open the store with BackupPolicy::keep"));
        }
        self.inner.rotation.rotate_now(&self.inner.database)
    }

    /// The rotation beside the database, newest first.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let store = codex::Options::new().backups(codex::BackupPolicy::keep(5)).open(&path)?;
    /// store.set("a", &1)?;
    /// store.rotate_backup()?;
    /// let newest = &store.backups()?[0];
    /// assert_eq!(newest.number, 1);
    /// assert!(newest.path.ends_with("app.db.bak.1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backups(&self) -> Result<Vec<Backup>> {
        let backups = codex_backup::list(&*self.inner.vfs, self.inner.database.files())?;
        Ok(backups.into_iter().map(Backup::from).collect())
    }

    /// The ways in; none without encryption.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{EncryptionKey, Options, SlotKind};
    ///
    /// let store = Options::new().encryption_key(EncryptionKey::generate()?).open(&path)?;
    /// let slots = store.key_slots()?;
    /// assert_eq!((slots[0].number, slots[0].kind, slots[0].opened), (1, SlotKind::EncryptionKey, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_slots(&self) -> Result<Vec<KeySlot>> {
        Ok(self.inner.database.key_slots()?.into_iter().map(KeySlot::from).collect())
    }

    /// Adds a way in, and returns its number; at most eight are possible. Nothing is written but the header, whatever the
    /// store holds, and it is durable when this returns.
    ///
    /// If the disk fails meanwhile, writes are refused until the store is opened again, and only then it shows which keys
    /// open it: those before or those after, one of the two. The same is true of the three that follow.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{EncryptionKey, NewKey, Options};
    ///
    /// let store = Options::new().encryption_key(EncryptionKey::generate()?).open(&path)?;
    /// let second = EncryptionKey::generate()?;
    /// let kept = second.to_hex();
    /// assert_eq!(store.add_key(NewKey::from(second).label("nightly job"))?, 2);
    /// store.close()?;
    /// let store = Options::new().encryption_key(EncryptionKey::from_hex(&kept)?).open(&path)?;
    /// assert_eq!(store.key_slots()?[1].label, "nightly job");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_key(&self, key: impl Into<NewKey>) -> Result<usize> {
        Ok(self.inner.database.add_key(&key.into().0)?)
    }

    /// Removes the slot with this number, unless it is the last. Copies of the file made before open with it still.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{EncryptionKey, Options};
    ///
    /// let store = Options::new().encryption_key(EncryptionKey::generate()?).open(&path)?;
    /// let number = store.add_key(EncryptionKey::generate()?)?;
    /// store.remove_key(number)?;
    /// assert_eq!(store.key_slots()?.len(), 1);
    /// // The last way in stays.
    /// assert!(store.remove_key(1).is_err_and(|error| error.kind() == codex::ErrorKind::Validation));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_key(&self, number: usize) -> Result<()> {
        Ok(self.inner.database.remove_key(number)?)
    }

    /// Puts another encryption key or passphrase in place of the one that opened this store.
    ///
    /// The root key under it stays: who knows the old one, and has a copy of the header from before, can read all that
    /// comes. Where that must not be, there is [`Store::change_key_deep`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{EncryptionKey, ErrorKind, Options};
    ///
    /// let (old, new) = (EncryptionKey::generate()?, EncryptionKey::generate()?);
    /// let kept = old.to_hex();
    /// let store = Options::new().encryption_key(old).open(&path)?;
    /// store.change_key(new)?;
    /// store.close()?;
    /// let refused = Options::new().encryption_key(EncryptionKey::from_hex(&kept)?).open(&path);
    /// assert!(refused.is_err_and(|error| error.kind() == ErrorKind::Encryption));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn change_key(&self, key: impl Into<NewKey>) -> Result<()> {
        Ok(self.inner.database.change_key(&key.into().0)?)
    }

    /// As [`Store::change_key`], with a new root key for all that is written from now on. Every other slot goes, because
    /// what opens it is not here; [`Store::add_key`] makes new ones.
    ///
    /// In snapshot mode the file is rewritten, and nothing of it stays under the old root key. A ledger keeps its commits
    /// as they were sealed: whoever has the old key and an old copy of the header reads those, and no more. A ledger's
    /// root key can be changed sixteen times.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{EncryptionKey, Options};
    ///
    /// let store = Options::new().encryption_key(EncryptionKey::generate()?).open(&path)?;
    /// store.add_key(EncryptionKey::generate()?)?;
    /// store.change_key_deep(EncryptionKey::generate()?)?;
    /// assert_eq!(store.key_slots()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn change_key_deep(&self, key: impl Into<NewKey>) -> Result<()> {
        Ok(self.inner.database.change_key_deep(&key.into().0)?)
    }

    /// Makes everything durable that was acknowledged.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{Durability, Options};
    ///
    /// let store = Options::new().durability(Durability::Buffered).open(&path)?;
    /// for number in 0..1000_u32 {
    ///     store.set(number.to_be_bytes(), &number)?;
    /// }
    /// store.flush()?; // from here on a loss of power loses none of them
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self) -> Result<()> {
        Ok(self.inner.database.flush()?)
    }

    /// Rewrites the file with what is live, while commits go on; snapshot mode only. A store does this by itself when
    /// most of the file is superseded.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// for round in 0..100 {
    ///     store.set("counter", &round)?;
    /// }
    /// let before = store.stats().log_bytes;
    /// store.compact()?;
    /// assert!(store.stats().log_bytes < before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self) -> Result<()> {
        Ok(self.inner.database.compact()?)
    }

    /// Figures of the store.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let stats = store.stats();
    /// assert_eq!((stats.records, stats.sequence, stats.encrypted), (1, 1, false));
    /// assert_eq!(stats.background_error, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::new(self.inner.database.stats(), self.inner.rotation.error())
    }

    /// Closes the database for all clones: new writes get a [`Validation`](ErrorKind::Validation) error, commits in
    /// flight end, and the locks are released when this returns. Views go on from memory. A second close is `Ok`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let view = store.view();
    /// store.close()?;
    /// assert!(store.set("a", &2).is_err_and(|error| error.kind() == codex::ErrorKind::Validation));
    /// assert_eq!(view.get::<u32>("a")?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        Ok(self.inner.database.close()?)
    }

    /// Everything that was acknowledged so far, as a file to copy.
    pub(crate) fn durable_prefix(&self) -> Result<Prefix> {
        Ok(self.inner.database.durable_prefix()?)
    }

    /// The time by the store's clock, in nanoseconds since the Unix epoch.
    pub(crate) fn now_ns(&self) -> u64 {
        self.inner.clock.wall_ns()
    }

    fn record(&self, key: &[u8]) -> Option<(Record, SequenceNumber)> {
        self.inner.database.get(key)
    }

    fn stored(&self, batch: Batch) -> Result<codex_storage::Batch> {
        batch.stored(self.inner.compression, &self.inner.database)
    }

    fn set_encoded(&self, codec: Codec, key: &[u8], encoded: &[u8], expiry: Expiry) -> Result<()> {
        let stored = Stored::new(codec, self.inner.compression, encoded)?;
        let mut batch = codex_storage::Batch::new();
        stored.set_in(&mut batch, key, expiry.deadline_ns(&self.inner.database)?)?;
        self.commit_stored(batch).map(|_| ())
    }

    fn commit_stored(&self, batch: codex_storage::Batch) -> Result<(Commit, u64)> {
        committed(self.inner.database.commit(batch)?)
    }
}

fn committed(outcome: Outcome) -> Result<(Commit, u64)> {
    match outcome {
        Outcome::Committed { sequence, removed } => Ok((Commit { sequence: sequence.0 }, removed)),
        Outcome::Conflict => {
            let cause = "a commit without conditions had a conflict";
            Err(Error::because(ErrorKind::Internal, "the commit was refused", cause))
        }
    }
}
