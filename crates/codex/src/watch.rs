//! Watching what is committed.

use std::collections::VecDeque;
use std::iter::FusedIterator;

use codex_storage::watch::Announcement;
use codex_storage::{Operation, SequenceNumber};

use crate::bytes::Bytes;
use crate::error::Result;
use crate::view::Entry;

/// A committed change.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// let mut events = store.watch("");
/// let mut batch = codex::Batch::new();
/// batch.set("a", &1)?;
/// batch.set("b", &2)?;
/// store.commit(batch)?;
/// let (a, b) = (events.next().expect("two changes")?, events.next().expect("two changes")?);
/// assert_eq!((a.sequence, b.sequence), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The sequence number of the commit. The changes of one commit come one behind the other, in its order.
    pub sequence: u64,
    /// What it changed.
    pub change: KeyChange,
}

/// What a commit changed.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::KeyChange;
///
/// let events = store.watch("");
/// store.set("a", &1)?;
/// store.clear()?;
/// store.close()?;
/// for event in events {
///     match event?.change {
///         KeyChange::Set(entry) => assert_eq!(entry.key, b"a"),
///         KeyChange::Deleted(key) => println!("{} bytes of key went", key.len()),
///         KeyChange::Cleared => println!("everything went"),
///         KeyChange::Lagged { .. } => println!("look at a view"),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyChange {
    /// A key got a value.
    Set(Entry),
    /// This key and its value went.
    Deleted(Bytes),
    /// Everything went, whatever prefix is watched.
    Cleared,
    /// The watcher was too slow: it missed so many commits, up to the one that the event names. What follows is whole
    /// again; a [`View`](crate::View) shows what is true now.
    Lagged {
        /// Commits that changed a watched key.
        commits: u64,
    },
}

/// An iterator over committed changes, from [`Store::watch`](crate::Store::watch).
///
/// [`Iterator::next`] waits for a change, and returns `None` once the store is closed and everything before that was
/// taken. A watch does not keep the store open; dropping it ends the watching.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// let events = store.watch("user:");
/// let watcher = std::thread::spawn(move || events.count());
/// store.set("user:1", "Ada")?;
/// store.close()?;
/// assert_eq!(watcher.join().expect("no panic"), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    inner: codex_storage::watch::Watch,
    /// What is left of the commit that was taken last.
    rest: VecDeque<(SequenceNumber, Operation)>,
}

impl Watch {
    pub(crate) fn new(inner: codex_storage::watch::Watch) -> Self {
        Self { inner, rest: VecDeque::new() }
    }

    /// The next change if there is one already; does not wait.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let mut events = store.watch("");
    /// assert!(events.try_next().is_none());
    /// store.set("a", &1)?;
    /// assert_eq!(events.try_next().expect("a change")?.sequence, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_next(&mut self) -> Option<Result<Event>> {
        if self.rest.is_empty() {
            let announcement = self.inner.take()?;
            return self.begin(announcement);
        }
        self.continue_commit()
    }

    fn begin(&mut self, announcement: Announcement) -> Option<Result<Event>> {
        match announcement {
            Announcement::Commit(sequence, operations) => {
                self.rest.extend(operations.into_iter().map(|operation| (sequence, operation)));
                self.continue_commit()
            }
            Announcement::Lagged(sequence, commits) => {
                Some(Ok(Event { sequence: sequence.0, change: KeyChange::Lagged { commits } }))
            }
        }
    }

    fn continue_commit(&mut self) -> Option<Result<Event>> {
        let (sequence, operation) = self.rest.pop_front()?;
        let change = match operation {
            Operation::Set(record) => Entry::of(record).map(KeyChange::Set),
            Operation::Delete(record) => Ok(KeyChange::Deleted(Bytes::key_of(&record))),
            Operation::Clear => Ok(KeyChange::Cleared),
        };
        Some(change.map(|change| Event { sequence: sequence.0, change }))
    }
}

impl Iterator for Watch {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        if self.rest.is_empty() {
            let announcement = self.inner.wait()?;
            return self.begin(announcement);
        }
        self.continue_commit()
    }
}

impl FusedIterator for Watch {}
