//! The log: frames, one behind the other, each linked to the one before it.

pub(crate) mod leaves;
pub(crate) mod reader;
pub(crate) mod scan;
pub(crate) mod seal;
mod seals;
pub(crate) mod search;
pub(crate) mod writer;

use codex_crypto::merkle::Frontier;
use codex_crypto::{Digest, merkle};

use crate::format::SequenceNumber;
use crate::format::header::{Floor, Header, LOG_START};

pub(crate) use seals::Seals;

/// When a commit is durable.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex_storage::{Batch, Durability, OpenOptions};
///
/// let options = OpenOptions { durability: Durability::Buffered, ..OpenOptions::default() };
/// let database = options.open(&path, None)?;
/// let mut batch = Batch::new();
/// batch.set(b"key", &[b"value"])?;
/// database.commit(batch)?;
/// database.flush()?; // durable from here on
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When its call returns.
    #[default]
    Sync,
    /// At the latest this long after its call has returned; until then the system holds it.
    Interval(std::time::Duration),
    /// At the latest when [`crate::Database::flush`] returns; for some milliseconds only this process holds it.
    Buffered,
}

/// A place between two groups of a log, and what leads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// In bytes from the start of the file.
    pub(crate) offset: u64,
    /// The last commit before the place.
    pub(crate) sequence: SequenceNumber,
    /// The leaf of the frame before the place.
    pub(crate) leaf: Digest,
    /// The Merkle log of all frames before the place.
    pub(crate) frontier: Frontier,
    /// The frame before the place: its offset, and the Merkle log without it. `None` at the start.
    pub(crate) last_frame: Option<(u64, Frontier)>,
}

/// What the next frame must name: where it stands, and the leaf before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    pub(crate) offset: u64,
    pub(crate) leaf: Digest,
}

impl Position {
    pub(crate) fn tip(&self) -> Tip {
        Tip { offset: self.offset, leaf: self.leaf }
    }

    /// The start of a file's log.
    pub(crate) fn start(header: &Header) -> Self {
        Self {
            offset: LOG_START,
            sequence: header.base_sequence,
            leaf: merkle::origin_leaf(header.id, &header.predecessor_root),
            frontier: Frontier::default(),
            last_frame: None,
        }
    }

    /// The place behind a group of frames, each given by its offset and leaf.
    pub(crate) fn advance(&mut self, frames: &[(u64, Digest)], end: u64, sequence: SequenceNumber) {
        let Some((last, before)) = frames.split_last() else { return };
        for (_, leaf) in before {
            self.frontier.append(*leaf);
        }
        let (last_offset, last_leaf) = *last;
        self.last_frame = Some((last_offset, self.frontier.clone()));
        self.frontier.append(last_leaf);
        self.leaf = last_leaf;
        self.offset = end;
        self.sequence = sequence;
    }

    pub(crate) fn floor(&self) -> Floor {
        Floor { offset: self.offset, size: self.frontier.size(), root: self.frontier.root() }
    }
}
