//! Proofs of what a log holds, and what becomes of a head that somebody kept.
//!
//! Leaves come from an index and from headers (`log/leaves.rs`), which nobody has authenticated; so every proof is
//! verified against the root that this process knows before it is handed out. No key is needed for any of this.

use std::path::{Path, PathBuf};

use codex_crypto::merkle::leaf_hash;
use codex_crypto::{ConsistencyProof, DatabaseId, Digest, InclusionProof, LogHead, Suite};

use crate::database::Shared;
use crate::error::{Result, StorageError};
use crate::format::SequenceNumber;
use crate::format::frame::{FrameHeader, Kind};
use crate::format::header::LOG_START;
use crate::log::leaves::{LeafIndex, ProvenLog, Tree};
use crate::log::scan::LogFile;
use crate::progress::Observer;
use crate::sync::Mutex;
use crate::verify::verify_log;

/// That a commit is in the log of a head: the frame that ends the commit's group, and the way from there to the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitProof {
    /// The frame as it stands in the file, sealed.
    pub frame: Vec<u8>,
    /// That the frame is in the head's log.
    pub inclusion: InclusionProof,
    /// The head.
    pub head: LogHead,
}

/// What a sealed frame says of itself. No key is needed to read it, and it is worth as much as the proof that the frame
/// is in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameFacts {
    /// The first of the commits that the frame ends.
    pub first_sequence: u64,
    /// The last of them.
    pub last_sequence: u64,
    /// When they were written, in nanoseconds since the Unix epoch, by the clock of the machine that wrote them.
    pub time_ns: u64,
    /// Where the frame stands in the file of its database, in bytes from the start.
    pub offset: u64,
}

impl FrameFacts {
    /// Reads the header of a whole frame of the database `id`. `None` if the bytes are no such frame, or one that ends
    /// no group of commits.
    #[must_use]
    pub fn read(frame: &[u8], id: DatabaseId) -> Option<Self> {
        let encoded = frame.first_chunk()?;
        let header = FrameHeader::decode(encoded, FrameHeader::named_offset(encoded), id)?;
        let sealed_len = frame.len() - FrameHeader::LEN;
        let whole = [Suite::Plaintext, Suite::Aes256Gcm]
            .into_iter()
            .any(|suite| header.payload_len as usize + suite.tag_len() == sealed_len);
        let commits = whole && header.kind == Kind::Commit && header.ends;
        let last = u64::from(header.commit_count).checked_sub(1)?;
        commits.then_some(Self {
            first_sequence: header.first_sequence.0,
            last_sequence: header.first_sequence.0.checked_add(last)?,
            time_ns: header.time_ns,
            offset: header.offset,
        })
    }
}

/// A head that a database is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedHead {
    /// The database, where it is known.
    pub id: Option<DatabaseId>,
    /// How many frames its log had.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl From<LogHead> for ExpectedHead {
    fn from(head: LogHead) -> Self {
        Self { id: Some(head.id), size: head.size, root: head.root }
    }
}

/// How a database goes on from a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Continuation {
    /// The head is the database's own.
    Same,
    /// The log begins with the head's, and has more frames.
    Extends {
        /// How many more.
        frames: u64,
    },
    /// The file was rewritten, and names the head's root as that of the file it replaced.
    Replaces,
}

/// Why a database does not go on from a head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadMismatch {
    /// The head is that of another database.
    #[error("the head is that of another database, {}", LogHead::origin_of(*.0))]
    OtherDatabase(DatabaseId),
    /// The log is shorter than the head's: an older copy was put back, or the end was cut off.
    #[error(
        "the head has {head} frames and the log only {log}: this is an older copy, or its end was cut off"
    )]
    Ahead {
        /// Frames of the head.
        head: u64,
        /// Frames of the log.
        log: u64,
    },
    /// The log has other frames than the head's.
    #[error("the log has other frames than the head's {head}: one of them is a fork of the other")]
    Forked {
        /// Frames of the head.
        head: u64,
    },
    /// The file was rewritten, and the head is of a file before it; only the last head before a rewrite can be compared.
    #[error("the database was rewritten since the head was taken, and cannot be compared with it")]
    Rewritten,
}

/// Proves that a commit is in the log as it is now.
pub(crate) fn prove(shared: &Shared, sequence: SequenceNumber) -> Result<CommitProof> {
    consult(shared, |tree, log| {
        let base = log.header.base_sequence;
        if sequence <= base || sequence > log.end.sequence {
            let (first, last) = (base.plus(1).0, log.end.sequence.0);
            return Err(StorageError::NoSuchCommit { sequence: sequence.0, first, last });
        }
        let (index, offset, len) = tree.frame_of(sequence)?;
        let mut frame = vec![0; usize::try_from(len).expect("a frame is short")];
        log.file.read_exact_at(&mut frame, offset).map_err(StorageError::io("read", log.path))?;
        let inclusion = InclusionProof::build(index, log.size(), |subtree| tree.subtree(subtree))?;
        let head = head_of(log);
        match inclusion.verify(&leaf_hash(&[&frame]), &head.root) {
            Ok(()) => Ok(CommitProof { frame, inclusion, head }),
            Err(_) => Err(log.damaged(offset)),
        }
    })
}

/// Proves that the log of `to` frames continues that of `from`.
pub(crate) fn prove_consistency(shared: &Shared, from: u64, to: u64) -> Result<(ConsistencyProof, LogHead)> {
    consult(shared, |tree, log| {
        if from > to || to > log.size() {
            return Err(StorageError::NoSuchSizes { from, to, size: log.size() });
        }
        let (older, newer) = (tree.root(from)?, tree.root(to)?);
        let proof = ConsistencyProof::build(from, to, |subtree| tree.subtree(subtree))?;
        match proof.verify(&older, &newer) {
            Ok(()) => Ok((proof, LogHead { size: to, root: newer, ..head_of(log) })),
            Err(_) => Err(log.damaged(LOG_START)),
        }
    })
}

/// How an open database goes on from a head.
pub(crate) fn compare(shared: &Shared, head: ExpectedHead) -> Result<Continuation> {
    consult(shared, |tree, log| compare_in(tree, log, head))
}

/// How the log of a file goes on from a head; `leaves` is the file's.
pub(crate) fn compare_log(
    log: LogFile<'_>,
    end: &crate::log::Position,
    leaves: &Mutex<LeafIndex>,
    head: ExpectedHead,
) -> Result<Continuation> {
    let proven = ProvenLog { file: log.file, path: log.path, header: log.header, end };
    consult_log(
        proven,
        leaves,
        || verify_log(log, end, Observer::NONE).map(|_| ()),
        |tree, log| compare_in(tree, log, head),
    )
}

pub(crate) fn compare_in(
    tree: &mut Tree<'_>,
    log: ProvenLog<'_>,
    head: ExpectedHead,
) -> Result<Continuation> {
    let mismatch = |source| {
        let path = PathBuf::from(log.path);
        Err(StorageError::HeadMismatch { path, source })
    };
    if let Some(id) = head.id.filter(|id| *id != log.header.id) {
        return mismatch(HeadMismatch::OtherDatabase(id));
    }
    let frames = log.size().checked_sub(head.size);
    if let Some(frames) = frames
        && tree.root(head.size)? == head.root
    {
        return Ok(if frames == 0 { Continuation::Same } else { Continuation::Extends { frames } });
    }
    // Zeros stand for no predecessor, so a head of zeros is not its.
    let replaced = Some(log.header.predecessor_root).filter(|root| *root != Digest::ZERO);
    match (replaced, frames) {
        (Some(root), _) if root == head.root => Ok(Continuation::Replaces),
        (Some(_), _) => mismatch(HeadMismatch::Rewritten),
        (None, None) => mismatch(HeadMismatch::Ahead { head: head.size, log: log.size() }),
        (None, Some(_)) => mismatch(HeadMismatch::Forked { head: head.size }),
    }
}

/// Runs `work` on the tree of an open database's log as it is now. Commits go on meanwhile.
fn consult<T>(shared: &Shared, work: impl Fn(&mut Tree<'_>, ProvenLog<'_>) -> Result<T>) -> Result<T> {
    let path: &Path = shared.files.database();
    let (file, header, seals, end, leaves) = shared.core.with_engine(|engine| {
        if !shared.read_only && !engine.log().is_stopped() {
            engine.log_mut().write_out()?;
        }
        let log = engine.log();
        Ok((
            log.file().clone(),
            log.header().clone(),
            log.seals().clone(),
            log.end().clone(),
            log.leaves().clone(),
        ))
    })?;
    let reread = || {
        let log = LogFile { file: &*file, path, header: &header, seals: &seals };
        verify_log(log, &end, Observer::NONE).map(|_| ())
    };
    consult_log(ProvenLog { file: &*file, path, header: &header, end: &end }, &leaves, reread, work)
}

/// Runs `work` on the tree of a log. If that finds damage, `reread` reads the whole log, to name the place; and if
/// all is well there, the index was wrong, as that of a forged checkpoint is: then it is made anew.
pub(crate) fn consult_log<T>(
    log: ProvenLog<'_>,
    leaves: &Mutex<LeafIndex>,
    reread: impl Fn() -> Result<()>,
    work: impl Fn(&mut Tree<'_>, ProvenLog<'_>) -> Result<T>,
) -> Result<T> {
    let mut index = leaves.lock();
    let attempt = |index: &mut LeafIndex| Tree::new(log, index).and_then(|mut tree| work(&mut tree, log));
    match attempt(&mut index) {
        Err(StorageError::Damaged { .. }) => {
            reread()?;
            *index = LeafIndex::default();
            attempt(&mut index)
        }
        result => result,
    }
}

fn head_of(log: ProvenLog<'_>) -> LogHead {
    LogHead { id: log.header.id, size: log.size(), root: log.end.frontier.root() }
}
