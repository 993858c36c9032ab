//! What is past, in ledger mode: the versions of a key, and the commits as they were made.

use std::iter::FusedIterator;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bytes::Bytes;
use crate::error::Result;
use crate::view::Entry;

/// A version of a key.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// store.set("limit", &100)?;
/// let version = store.history("limit")?.next().expect("one")?;
/// assert_eq!(version.sequence, 1);
/// assert!(version.time <= std::time::SystemTime::now());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// The sequence number of the commit that made it.
    pub sequence: u64,
    /// When that was, by the clock of the system that wrote it. A clock that is set back makes times go back.
    pub time: SystemTime,
    /// What the commit made of the key.
    pub change: Change,
}

/// What a commit made of a key.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// use codex::Change;
///
/// store.set("limit", &100)?;
/// store.clear()?;
/// let changes = store.history("limit")?.map(|version| Ok(version?.change)).collect::<codex::Result<Vec<_>>>()?;
/// assert!(matches!(&changes[..], [Change::Cleared, Change::Set(entry)] if entry.decode::<u32>()? == 100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The key has this value.
    Set(Entry),
    /// The key was deleted.
    Deleted,
    /// Everything was deleted, the key with it.
    Cleared,
}

/// A commit as it was made.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// store.set_many([("a", &1), ("b", &2)])?;
/// let commit = store.log(..)?.next().expect("one")?;
/// assert_eq!((commit.sequence, commit.operations.len()), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedCommit {
    /// Its sequence number.
    pub sequence: u64,
    /// When it was written, by the clock of the system that wrote it. A clock that is set back makes times go back.
    pub time: SystemTime,
    /// What it did, in its order. A delete of an absent key, and a clear of nothing, are not kept.
    pub operations: Vec<Operation>,
}

/// What a commit did to one key or to all.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// use codex::Operation;
///
/// store.set("a", &1)?;
/// store.delete("a")?;
/// let mut names = Vec::new();
/// for commit in store.log(..)? {
///     for operation in commit?.operations {
///         names.push(match operation {
///             Operation::Set(_) => "set",
///             Operation::Delete(_) => "delete",
///             Operation::Clear => "clear",
///             _ => "something newer",
///         });
///     }
/// }
/// assert_eq!(names, ["set", "delete"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// A key got a value.
    Set(Entry),
    /// This key and its value went.
    Delete(Bytes),
    /// Everything went.
    Clear,
}

impl Version {
    fn of(version: codex_storage::Version) -> Result<Self> {
        let change = match version.change {
            codex_storage::Change::Set(record) => Change::Set(Entry::of(record)?),
            codex_storage::Change::Deleted => Change::Deleted,
            codex_storage::Change::Cleared => Change::Cleared,
        };
        Ok(Self { sequence: version.sequence.0, time: time_of(version.time_ns), change })
    }
}

impl LoggedCommit {
    fn of(commit: codex_storage::LoggedCommit) -> Result<Self> {
        let operation = |operation| match operation {
            codex_storage::Operation::Set(record) => Entry::of(record).map(Operation::Set),
            codex_storage::Operation::Delete(record) => Ok(Operation::Delete(Bytes::key_of(&record))),
            codex_storage::Operation::Clear => Ok(Operation::Clear),
        };
        let operations = commit.operations.into_iter().map(operation).collect::<Result<_>>()?;
        Ok(Self { sequence: commit.sequence.0, time: time_of(commit.time_ns), operations })
    }
}

/// The time that a frame records.
fn time_of(time_ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(time_ns)
}

/// An iterator over the versions of a key, newest first: see [`Store::history`](crate::Store::history). It reads as it
/// goes, also after the store is closed. An error ends it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// store.set("limit", &100)?;
/// store.set("limit", &250)?;
/// let mut history: codex::History = store.history("limit")?;
/// assert_eq!(history.next().expect("the newest")?.sequence, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct History(Ending<codex_storage::History>);

/// An iterator over commits, oldest first: see [`Store::log`](crate::Store::log). It reads as it goes, about 2 MiB of
/// the log or one commit at a time, also after the store is closed. An error ends it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// store.set("a", &1)?;
/// let log: codex::Log = store.log(..)?;
/// store.set("b", &2)?;
/// assert_eq!(log.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Log(Ending<codex_storage::LoggedCommits>);

impl History {
    pub(crate) fn new(versions: codex_storage::History) -> Self {
        Self(Ending(Some(versions)))
    }
}

impl Log {
    pub(crate) fn new(commits: codex_storage::LoggedCommits) -> Self {
        Self(Ending(Some(commits)))
    }
}

impl Iterator for History {
    type Item = Result<Version>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Version::of)
    }
}

impl FusedIterator for History {}

impl Iterator for Log {
    type Item = Result<LoggedCommit>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(LoggedCommit::of)
    }
}

impl FusedIterator for Log {}

/// An iterator of the storage layer; `None` after an error.
#[derive(Debug)]
struct Ending<I>(Option<I>);

impl<S, I: Iterator<Item = codex_storage::Result<S>>> Ending<I> {
    fn next<T>(&mut self, decode: impl Fn(S) -> Result<T>) -> Option<Result<T>> {
        let decoded = self.0.as_mut()?.next()?.map_err(Into::into).and_then(decode);
        if decoded.is_err() {
            self.0 = None;
        }
        Some(decoded)
    }
}
