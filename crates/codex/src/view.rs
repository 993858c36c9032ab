//! A consistent state to read.

use std::iter::FusedIterator;

use codex_storage::Record;
use serde::de::DeserializeOwned;

use crate::bytes::Bytes;
use crate::codec::Codec;
use crate::error::Result;
use crate::glob::Glob;
use crate::range::{Bounds, KeyRange, prefix_bounds};
use crate::value;

/// The state of a store at one moment, unaffected by later commits. It can be read after the store is closed;
/// while it lives, what it shows stays in memory.
#[derive(Clone, Debug)]
pub struct View {
    inner: codex_storage::View,
}

/// A record as it is stored: its key, and its value with the codec that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// How the value is encoded.
    pub codec: Codec,
    /// The encoded value.
    pub value: Bytes,
}

impl Entry {
    pub(crate) fn of(record: Record) -> Result<Self> {
        let key = Bytes::key_of(record.clone());
        let (codec, value) = value::encoded_bytes(record)?;
        Ok(Self { key, codec, value })
    }

    /// The value as a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.codec.decode(&self.value)
    }
}

impl View {
    pub(crate) fn new(inner: codex_storage::View) -> Self {
        Self { inner }
    }

    /// The value of a key as a `T`; `None` if the key is absent.
    pub fn get<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        self.inner.get(key.as_ref()).as_ref().map(value::decode).transpose()
    }

    /// The encoded value of a key; `None` if the key is absent.
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        Ok(self.inner.get(key.as_ref()).map(value::encoded_bytes).transpose()?.map(|(_, bytes)| bytes))
    }

    /// The record of a key as it is stored; `None` if the key is absent.
    pub fn get_entry(&self, key: impl AsRef<[u8]>) -> Result<Option<Entry>> {
        self.inner.get(key.as_ref()).map(Entry::of).transpose()
    }

    /// Whether a key has a value.
    pub fn has(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.inner.has(key.as_ref()))
    }

    /// How many records the view has.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.inner.totals().records).expect("they are in memory")
    }

    /// Whether the view has no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence number of the last commit that the view shows.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.inner.sequence().0
    }

    /// Keys and encoded values of a range, in key order from both ends. An error ends the iterator.
    pub fn range(&self, range: impl KeyRange) -> Range {
        Range(self.entries(range))
    }

    /// Keys and encoded values of all keys that begin with `prefix`, as [`View::range`] gives them.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        Range(self.entries_within(prefix_bounds(prefix.as_ref())))
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
        let entries = self.entries_within(prefix_bounds(glob.prefix()));
        Ok(Range(Entries { glob: Some(glob), ..entries }))
    }

    /// The records of a range as they are stored, in key order from both ends. An error ends the iterator.
    pub fn entries(&self, range: impl KeyRange) -> Entries {
        self.entries_within(range.into_bounds())
    }

    /// Calls `each` with key and encoded value of every record in a range, in key order. Copies nothing but what is
    /// compressed, and holds no lock while `each` runs, which may use the store.
    pub fn for_each(&self, range: impl KeyRange, mut each: impl FnMut(&[u8], &[u8])) -> Result<()> {
        for record in self.inner.range(range.into_bounds()) {
            let (_, value) = value::encoded(&record)?;
            each(record.key(), &value);
        }
        Ok(())
    }

    /// The record with the lowest key.
    pub fn first(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.range(..).next().transpose()
    }

    /// The record with the highest key.
    pub fn last(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.range(..).next_back().transpose()
    }

    fn entries_within(&self, bounds: Bounds) -> Entries {
        Entries { records: Some(self.inner.range(bounds)), glob: None }
    }
}

/// An iterator over records as they are stored. Owns its view.
#[derive(Debug)]
pub struct Entries {
    /// `None` after an error.
    records: Option<codex_storage::Range>,
    /// What keys must match.
    glob: Option<Glob>,
}

impl Entries {
    fn step(&mut self, record: Option<Record>) -> Option<Result<Entry>> {
        let entry = Entry::of(record?);
        if entry.is_err() {
            self.records = None;
        }
        Some(entry)
    }
}

fn wants(glob: Option<&Glob>, record: &Record) -> bool {
    glob.is_none_or(|glob| glob.matches(record.key()))
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let Self { records, glob } = self;
        let record = records.as_mut()?.find(|record| wants(glob.as_ref(), record));
        self.step(record)
    }
}

impl DoubleEndedIterator for Entries {
    fn next_back(&mut self) -> Option<Result<Entry>> {
        let Self { records, glob } = self;
        let record = records.as_mut()?.rfind(|record| wants(glob.as_ref(), record));
        self.step(record)
    }
}

impl FusedIterator for Entries {}

/// An iterator over keys and encoded values. Owns its view.
#[derive(Debug)]
pub struct Range(Entries);

fn pair(entry: Result<Entry>) -> Result<(Bytes, Bytes)> {
    entry.map(|entry| (entry.key, entry.value))
}

impl Iterator for Range {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(pair)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(pair)
    }
}

impl FusedIterator for Range {}
