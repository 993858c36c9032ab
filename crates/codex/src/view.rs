//! A consistent state to read.

use std::iter::FusedIterator;
use std::time::SystemTime;

use codex_storage::Record;
use serde::de::DeserializeOwned;

use crate::bytes::Bytes;
use crate::codec::Codec;
use crate::error::Result;
use crate::expiry::expires_at;
use crate::glob::Glob;
use crate::range::{Bounds, KeyRange, prefix_bounds};
use crate::value;

/// The state of a store at one moment, unaffected by later commits. It can be read after the store is closed;
/// while it lives, what it shows stays in memory.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// store.set("a", &1)?;
/// let view = store.view();
/// store.clear()?;
/// store.close()?;
/// assert_eq!(view.get::<u32>("a")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct View {
    inner: codex_storage::View,
}

/// A record as it is stored: its key, and its value with the codec that wrote it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// store.set("answer", &42)?;
/// let entry = store.view().get_entry("answer")?.expect("it was just set");
/// assert_eq!((&*entry.key, &*entry.value, entry.codec), (&b"answer"[..], &b"42"[..], codex::Codec::Json));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// How the value is encoded.
    pub codec: Codec,
    /// The encoded value.
    pub value: Bytes,
    /// When the record expires; `None`: never.
    pub expires_at: Option<SystemTime>,
}

impl Entry {
    pub(crate) fn of(record: Record) -> Result<Self> {
        let (key, expires_at) = (Bytes::key_of(&record), expires_at(&record));
        let (codec, value) = value::encoded_bytes(record)?;
        Ok(Self { key, codec, value, expires_at })
    }

    /// The value as a `T`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("answer", &42)?;
    /// for entry in store.entries(..) {
    ///     assert_eq!(entry?.decode::<u32>()?, 42);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.codec.decode(&self.value)
    }
}

impl View {
    pub(crate) fn new(inner: codex_storage::View) -> Self {
        Self { inner }
    }

    /// The value of a key as a `T`; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("answer", &42)?;
    /// assert_eq!(store.view().get::<u32>("answer")?, Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        self.inner.get(key.as_ref()).as_ref().map(value::decode).transpose()
    }

    /// The encoded value of a key; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("answer", &42)?;
    /// assert_eq!(store.view().get_bytes("answer")?.as_deref(), Some(&b"42"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        Ok(self.inner.get(key.as_ref()).map(value::encoded_bytes).transpose()?.map(|(_, bytes)| bytes))
    }

    /// The record of a key as it is stored; `None` if the key is absent.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_bytes("flag", b"raw")?;
    /// let entry = store.view().get_entry("flag")?.expect("it was just set");
    /// assert_eq!(entry.codec, codex::Codec::Raw);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_entry(&self, key: impl AsRef<[u8]>) -> Result<Option<Entry>> {
        self.inner.get(key.as_ref()).map(Entry::of).transpose()
    }

    /// When a record expires; `None` if it never does, or is absent. What had not expired when the view was taken does
    /// not expire in it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_with_ttl("session", "Ada", std::time::Duration::from_secs(60))?;
    /// let view = store.view();
    /// store.delete("session")?;
    /// assert!(view.expires_at("session").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expires_at(&self, key: impl AsRef<[u8]>) -> Option<SystemTime> {
        self.inner.get(key.as_ref()).and_then(|record| expires_at(&record))
    }

    /// Whether a key has a value.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let view = store.view();
    /// store.delete("a")?;
    /// assert!(view.has("a")? && !store.has("a")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.inner.has(key.as_ref()))
    }

    /// How many records the view has.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let view = store.view();
    /// store.set("a", &1)?;
    /// assert_eq!((view.len(), store.view().len()), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.inner.totals().records).expect("they are in memory")
    }

    /// Whether the view has no records.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let view = store.view();
    /// store.set("a", &1)?;
    /// assert!(view.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence number of the last commit that the view shows.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let view = store.view();
    /// store.set("a", &2)?;
    /// assert_eq!(view.sequence(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.inner.sequence().0
    }

    /// Keys and encoded values of a range, in key order from both ends. An error ends the iterator.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("2026-01-05", "a"), ("2026-02-11", "b"), ("2026-03-02", "c")])?;
    /// let view = store.view();
    /// assert_eq!(view.range("2026-02"..).count(), 2);
    /// let (newest, _) = view.range(..).next_back().expect("there are three")?;
    /// assert_eq!(newest, b"2026-03-02");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&self, range: impl KeyRange) -> Range {
        Range(self.records(range.into_bounds()))
    }

    /// Keys and encoded values of all keys that begin with `prefix`, as [`View::range`] gives them.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("user:1", "Ada"), ("user:2", "Grace"), ("visits", "7")])?;
    /// let users = store.view().prefix("user:").collect::<codex::Result<Vec<_>>>()?;
    /// assert_eq!(users[1].1, b"\"Grace\"");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        Range(self.records(prefix_bounds(prefix.as_ref())))
    }

    /// Keys and encoded values of all keys that match a pattern, as [`View::range`] gives them: `*` for any bytes, `?`
    /// for any one, `[a-z]` for one of a class. [`Glob`] has the rules. Only keys that begin with what stands before the
    /// first of these are looked at.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("codex-glob-{}", std::process::id()));
    /// # let store = codex::Store::open(folder.join("app.db"))?;
    /// store.set_many([("user:1:name", "Ada"), ("user:1:mail", "ada@example.org"), ("user:2:name", "Grace")])?;
    /// let mut names = Vec::new();
    /// for entry in store.view().glob("user:*:name")? {
    ///     let (key, _) = entry?;
    ///     names.push(String::from_utf8_lossy(&key).into_owned());
    /// }
    /// assert_eq!(names, ["user:1:name", "user:2:name"]);
    /// # store.close()?;
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), codex::Error>(())
    /// ```
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Range> {
        let glob = Glob::new(pattern)?;
        let records = self.records(prefix_bounds(glob.prefix()));
        Ok(Range(Records { glob: Some(glob), ..records }))
    }

    /// The records of a range as they are stored, in key order from both ends. An error ends the iterator.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("ada", &1815), ("grace", &1906)])?;
    /// let latest = store.view().entries(..).next_back().expect("there are two")?;
    /// assert_eq!(latest.decode::<u32>()?, 1906);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&self, range: impl KeyRange) -> Entries {
        Entries(self.records(range.into_bounds()))
    }

    /// Calls `each` with key and encoded value of every record in a range, in key order. Copies nothing but what is
    /// compressed, and holds no lock while `each` runs, which may use the store.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("a", "one"), ("b", "two")])?;
    /// let mut bytes = 0;
    /// store.view().for_each(.., |key, value| bytes += key.len() + value.len())?;
    /// assert_eq!(bytes, 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each(&self, range: impl KeyRange, mut each: impl FnMut(&[u8], &[u8])) -> Result<()> {
        self.inner.try_for_each(range.into_bounds(), |record| {
            let (_, value) = value::encoded(record)?;
            each(record.key(), &value);
            Ok(())
        })
    }

    /// The record with the lowest key.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("b", &2), ("a", &1)])?;
    /// assert_eq!(store.view().first()?.expect("there are two").0, b"a");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.range(..).next().transpose()
    }

    /// The record with the highest key.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set_many([("b", &2), ("a", &1)])?;
    /// assert_eq!(store.view().last()?.expect("there are two").0, b"b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn last(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.range(..).next_back().transpose()
    }

    fn records(&self, bounds: Bounds) -> Records {
        Records { range: Some(self.inner.range(bounds)), glob: None }
    }
}

/// Records of a view, up to the first that cannot be read.
#[derive(Debug)]
struct Records {
    /// `None` after an error.
    range: Option<codex_storage::Range>,
    /// What keys must match.
    glob: Option<Glob>,
}

impl Records {
    fn next<T>(&mut self, read: impl FnOnce(Record) -> Result<T>) -> Option<Result<T>> {
        let range = self.range.as_mut()?;
        let record = match &self.glob {
            None => range.next(),
            Some(glob) => range.find(|record| glob.matches(record.key())),
        };
        Some(self.end_after_error(read(record?)))
    }

    fn next_back<T>(&mut self, read: impl FnOnce(Record) -> Result<T>) -> Option<Result<T>> {
        let range = self.range.as_mut()?;
        let record = match &self.glob {
            None => range.next_back(),
            Some(glob) => range.rfind(|record| glob.matches(record.key())),
        };
        Some(self.end_after_error(read(record?)))
    }

    fn end_after_error<T>(&mut self, read: Result<T>) -> Result<T> {
        if read.is_err() {
            self.range = None;
        }
        read
    }
}

/// An iterator over records as they are stored. Owns its view.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// store.set_many([("a", &1), ("b", &2)])?;
/// let entries: codex::Entries = store.entries(..);
/// let values = entries.rev().map(|entry| entry?.decode::<u32>()).collect::<codex::Result<Vec<_>>>()?;
/// assert_eq!(values, [2, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Entries(Records);

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.0.next(Entry::of)
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Result<Entry>> {
        self.0.next_back(Entry::of)
    }
}

impl FusedIterator for Entries {}

/// An iterator over keys and encoded values. Owns its view.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// store.set_many([("a", &1), ("b", &2)])?;
/// let range: codex::Range = store.range("a"..="b");
/// store.close()?; // the iterator goes on from memory
/// assert_eq!(range.count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Range(Records);

fn pair(record: Record) -> Result<(Bytes, Bytes)> {
    let key = Bytes::key_of(&record);
    Ok((key, value::encoded_bytes(record)?.1))
}

impl Iterator for Range {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(pair)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back(pair)
    }
}

impl FusedIterator for Range {}
