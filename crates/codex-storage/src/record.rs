//! A key with its value, in one shared allocation.
//!
//! A record that expires has its deadline behind the value, so that the others need no room for one.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use triomphe::ThinArc;

use crate::format::SequenceNumber;
use crate::sync::{AtomicU64, LazyLock, Ordering};

/// A key and its value. Cheap to clone: one word, which points to all of it.
#[derive(Clone)]
pub struct Record(ThinArc<Head, u8>);

/// What stands before the bytes.
struct Head {
    /// The commit that wrote the record; zero as long as none has. Set once: readers find a record through the
    /// table, whose lock orders the reading behind the writing.
    written_by: AtomicU64,
    /// Of the key; computed where the record is made, which is outside every lock.
    hash: u32,
    key_len: u16,
    kind: RecordKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordKind {
    Lasting,
    /// The last [`DEADLINE_LEN`] bytes are the deadline.
    Expiring,
    /// There is no value: the record says that its key is gone.
    Tombstone,
}

const DEADLINE_LEN: usize = size_of::<u64>();

impl Record {
    /// A record from its stored form: `key_len` bytes of key, then the value.
    pub(crate) fn new(bytes: &[u8], key_len: u16) -> Self {
        debug_assert!(usize::from(key_len) <= bytes.len());
        Self::with(bytes, key_len, RecordKind::Lasting, SequenceNumber::default())
    }

    /// As [`Record::new`], with the time from which on the record is no longer there, if there is one.
    pub(crate) fn with_deadline(bytes: &[u8], key_len: u16, deadline_ns: Option<u64>) -> Self {
        let Some(deadline_ns) = deadline_ns else { return Self::new(bytes, key_len) };
        let mut joined = Vec::with_capacity(bytes.len() + DEADLINE_LEN);
        joined.extend_from_slice(bytes);
        joined.extend_from_slice(&deadline_ns.to_le_bytes());
        Self::with(&joined, key_len, RecordKind::Expiring, SequenceNumber::default())
    }

    /// What is known of a key that is deleted.
    pub(crate) fn tombstone(key: &[u8]) -> Self {
        let key_len = u16::try_from(key.len()).expect("a batch checks its keys");
        Self::with(key, key_len, RecordKind::Tombstone, SequenceNumber::default())
    }

    fn with(bytes: &[u8], key_len: u16, kind: RecordKind, written_by: SequenceNumber) -> Self {
        let hash = hash_of(&bytes[..usize::from(key_len)]);
        let head = Head { written_by: AtomicU64::new(written_by.0), hash, key_len, kind };
        Self(ThinArc::from_header_and_slice(head, bytes))
    }

    /// The record as written by a commit: itself, or a copy if another commit has written it already.
    pub(crate) fn written(self, by: SequenceNumber) -> Self {
        let head = self.head();
        match head.written_by.compare_exchange(0, by.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => self,
            Err(_) => Self::with(&self.0.slice, head.key_len, head.kind, by),
        }
    }

    /// The commit that wrote the record.
    #[must_use]
    pub fn written_by(&self) -> SequenceNumber {
        SequenceNumber(self.head().written_by.load(Ordering::Acquire))
    }

    /// The hash of the key, as [`hash_of`] gives it.
    pub(crate) fn hash(&self) -> u32 {
        self.head().hash
    }

    /// Whether the record only says that its key is gone.
    pub(crate) fn is_deleted(&self) -> bool {
        self.head().kind == RecordKind::Tombstone
    }

    /// When the record expires, in nanoseconds since the Unix epoch: from then on it is not there. `None`: never.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        if self.head().kind != RecordKind::Expiring {
            return None;
        }
        let (_, deadline) = self.0.slice.split_last_chunk().expect("it was made with a deadline");
        Some(u64::from_le_bytes(*deadline))
    }

    /// Whether the record is no longer there at a time.
    pub(crate) fn is_expired(&self, now_ns: u64) -> bool {
        self.deadline_ns().is_some_and(|deadline_ns| deadline_ns <= now_ns)
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0.slice[..usize::from(self.key_len())]
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.bytes()[usize::from(self.key_len())..]
    }

    /// Key and value, one behind the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let bytes = &self.0.slice;
        match self.head().kind {
            RecordKind::Lasting | RecordKind::Tombstone => bytes,
            RecordKind::Expiring => &bytes[..bytes.len() - DEADLINE_LEN],
        }
    }

    /// Length of the key, in bytes: where the value begins in [`Record::bytes`].
    #[must_use]
    pub fn key_len(&self) -> u16 {
        self.head().key_len
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.key_len() == other.key_len()
            && self.head().kind == other.head().kind
            && self.0.slice == other.0.slice
    }
}

impl Eq for Record {}

/// Shows lengths only: keys and values are the user's secrets.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key_len", &self.key_len())
            .field("value_len", &self.value().len())
            .finish()
    }
}

/// The hash of a key. Keyed at random for each process, so that nobody can choose keys that collide.
pub(crate) fn hash_of(key: &[u8]) -> u32 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    // A key is all that is hashed: its length need not be marked off, as `hash_one` would.
    let mut hasher = HASHER.build_hasher();
    hasher.write(key);
    // The lower half of a good hash is a good hash.
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The key of a record, as a key of maps.
pub(crate) struct KeyOf(pub(crate) Record);

impl Borrow<[u8]> for KeyOf {
    fn borrow(&self) -> &[u8] {
        self.0.key()
    }
}

impl PartialEq for KeyOf {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for KeyOf {}

impl Hash for KeyOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}
