//! Bytes that are shared, not copied.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use codex_storage::Record;

/// A key or a value: a part of a shared allocation, or a short key itself. Cloning it is cheap.
///
/// The value and a longer key of a record share one allocation, which lives as long as either. `Debug` shows the
/// length only.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// store.set_bytes("flag", b"raw")?;
/// let bytes: codex::Bytes = store.get_bytes("flag")?.expect("it was just set");
/// let same = bytes.clone();
/// assert_eq!(same, b"raw");
/// assert_eq!(&same[1..], b"aw");
/// assert_eq!(format!("{bytes:?}"), "Bytes(3 bytes)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Bytes(Shared);

#[derive(Clone)]
enum Shared {
    /// So many bytes of these. To copy them costs less than to count one more who shares them.
    Short([u8; SHORT_LEN], u8),
    Key(Record),
    /// What follows behind the key and so many bytes more.
    Value(Record, u8),
    Own(Arc<[u8]>),
}

/// As much as the longest of the other forms takes anyway.
const SHORT_LEN: usize = 22;
const _: () = assert!(size_of::<Bytes>() == 24);

impl Bytes {
    /// The key of a record.
    pub(crate) fn key_of(record: &Record) -> Self {
        let key = record.key();
        let mut short = [0; SHORT_LEN];
        match short.get_mut(..key.len()) {
            Some(place) => {
                place.copy_from_slice(key);
                Self(Shared::Short(short, key.len().to_le_bytes()[0]))
            }
            None => Self(Shared::Key(record.clone())),
        }
    }

    /// The value of a record without its first `skipped` bytes, which it must have.
    pub(crate) fn value_of(record: Record, skipped: u8) -> Self {
        Self(Shared::Value(record, skipped))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Shared::Short(bytes, len) => &bytes[..usize::from(*len)],
            Shared::Key(record) => record.key(),
            Shared::Value(record, skipped) => &record.value()[usize::from(*skipped)..],
            Shared::Own(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Shared::Own(bytes.into()))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(Shared::Own(bytes.into()))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for Bytes {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Bytes {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Bytes {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == **other
    }
}

impl PartialEq<Vec<u8>> for Bytes {
    fn eq(&self, other: &Vec<u8>) -> bool {
        **self == **other
    }
}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
