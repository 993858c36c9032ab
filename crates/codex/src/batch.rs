//! Changes that are committed together.

use std::time::Duration;

use codex_storage::Database;
use serde::Serialize;

use crate::codec::Codec;
use crate::error::Result;
use crate::expiry::Expiry;
use crate::value::{Compression, Stored};

/// Changes that take place together or not at all, in their order. Values are encoded as they are added, with
/// JSON or the codec given, and compressed when the batch is committed.
///
/// A key that is out of bounds, or a batch that grows beyond 4 GiB, is reported by
/// [`Store::commit`](crate::Store::commit), and nothing of the batch is written.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// let mut batch = codex::Batch::new();
/// batch.set("from", &70)?;
/// batch.set("to", &30)?;
/// store.commit(batch)?;
/// assert_eq!(store.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Set { key: Box<[u8]>, codec: Codec, encoded: Vec<u8>, expiry: Expiry },
    Delete { key: Box<[u8]> },
    Clear,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Set { .. } => "Set",
            Self::Delete { .. } => "Delete",
            Self::Clear => "Clear",
        })
    }
}

impl Batch {
    /// A batch without changes.
    ///
    /// ```
    /// let batch = codex::Batch::new();
    /// assert!(batch.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: `key` gets `value`, as JSON. On an error the batch is as before.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let mut batch = codex::Batch::new();
    /// batch.set("answer", &42)?;
    /// store.commit(batch)?;
    /// assert_eq!(store.get::<u32>("answer")?, Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.set_with(Codec::Json, key, value)
    }

    /// Adds: `key` gets `value`, encoded with `codec`. On an error the batch is as before.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::{Batch, Codec};
    ///
    /// let mut batch = Batch::new();
    /// batch.set_with(Codec::Bincode, "point", &(3, 4))?;
    /// store.commit(batch)?;
    /// assert_eq!(store.get::<(i32, i32)>("point")?, Some((3, 4)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_with(
        &mut self,
        codec: Codec,
        key: impl AsRef<[u8]>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<()> {
        let encoded = codec.encode(value)?;
        self.set_encoded(codec, key, encoded, Expiry::Never)
    }

    /// Adds: `key` gets `value`, as JSON, for as long as `ttl` after the batch is committed; then it is absent. A time
    /// of zero, or one beyond the year 2554, is a [`Validation`](crate::ErrorKind::Validation) error. On an error the
    /// batch is as before.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let mut batch = codex::Batch::new();
    /// batch.set_with_ttl("session", "Ada", std::time::Duration::from_secs(60))?;
    /// store.commit(batch)?;
    /// assert!(store.expires_at("session").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_with_ttl(
        &mut self,
        key: impl AsRef<[u8]>,
        value: &(impl Serialize + ?Sized),
        ttl: Duration,
    ) -> Result<()> {
        self.set_encoded(Codec::Json, key, Codec::Json.encode(value)?, Expiry::In(ttl))
    }

    /// Adds: `key` gets a value that is encoded already, as an [`Entry`](crate::Entry) shows it. That it is what the codec
    /// says is the caller's word. On an error the batch is as before.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::{Batch, Expiry, Store};
    ///
    /// store.set_with_ttl("session", "Ada", std::time::Duration::from_secs(60))?;
    /// // A copy of every record as it is, its codec and its end included.
    /// let copy = Store::open(folder.path().join("copy.db"))?;
    /// let mut batch = Batch::new();
    /// for entry in store.entries(..) {
    ///     let entry = entry?;
    ///     let expiry = entry.expires_at.map_or(Expiry::Never, Expiry::At);
    ///     batch.set_encoded(entry.codec, &entry.key, &*entry.value, expiry)?;
    /// }
    /// copy.commit(batch)?;
    /// assert_eq!(copy.get_entry("session")?, store.get_entry("session")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_encoded(
        &mut self,
        codec: Codec,
        key: impl AsRef<[u8]>,
        encoded: impl Into<Vec<u8>>,
        expiry: Expiry,
    ) -> Result<()> {
        let (key, encoded, expiry) = (key.as_ref().into(), encoded.into(), expiry.checked()?);
        self.changes.push(Change::Set { key, codec, encoded, expiry });
        Ok(())
    }

    /// Adds: `key` gets the bytes of `value` as they are.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let mut batch = codex::Batch::new();
    /// batch.set_bytes("flag", b"raw");
    /// store.commit(batch)?;
    /// assert_eq!(store.get_bytes("flag")?.as_deref(), Some(&b"raw"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_bytes(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, encoded) = (key.as_ref().into(), value.as_ref().to_vec());
        self.changes.push(Change::Set { key, codec: Codec::Raw, encoded, expiry: Expiry::Never });
    }

    /// Adds: `key` and its value go, if they are there.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let mut batch = codex::Batch::new();
    /// batch.delete("a");
    /// batch.delete("never there");
    /// store.commit(batch)?;
    /// assert!(store.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.changes.push(Change::Delete { key: key.as_ref().into() });
    }

    /// Adds: everything goes that is there at this point of the batch.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// store.set("old", &1)?;
    /// let mut batch = codex::Batch::new();
    /// batch.clear();
    /// batch.set("new", &2)?;
    /// store.commit(batch)?;
    /// assert_eq!(store.keys()?, [b"new"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&mut self) {
        self.changes.push(Change::Clear);
    }

    /// How many changes the batch has.
    ///
    /// ```
    /// let mut batch = codex::Batch::new();
    /// batch.delete("a");
    /// batch.delete("a");
    /// assert_eq!(batch.len(), 2);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether the batch has no changes.
    ///
    /// ```
    /// let mut batch = codex::Batch::new();
    /// batch.clear();
    /// assert!(!batch.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The batch as the storage layer takes it. What is to live for some time lives from now on.
    pub(crate) fn stored(
        self,
        compression: Compression,
        database: &Database,
    ) -> Result<codex_storage::Batch> {
        let mut batch = codex_storage::Batch::new();
        for change in self.changes {
            match change {
                Change::Set { key, codec, encoded, expiry } => {
                    let deadline_ns = expiry.deadline_ns(database)?;
                    Stored::new(codec, compression, &encoded)?.set_in(&mut batch, &key, deadline_ns)?;
                }
                Change::Delete { key } => batch.delete(&key)?,
                Change::Clear => batch.clear(),
            }
        }
        Ok(batch)
    }
}
