//! What can go wrong in this layer, in its own words, with the place.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use codex_crypto::{KeyError, OpenError, SealError};

use crate::format::Mode;
use crate::keys::KeysRefusal;
use crate::prove::HeadMismatch;
use crate::sync::Arc;

/// The result of everything in this crate that can fail.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// An error of the storage layer. No message holds a record key, a value or key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A record key is empty.
    #[error("a key must have at least 1 byte")]
    KeyEmpty,
    /// A record key is longer than [`crate::KEY_LEN_MAX`].
    #[error("a key of {len} bytes is too long; at most {max} are possible", max = crate::KEY_LEN_MAX)]
    KeyTooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// A value is longer than [`crate::VALUE_LEN_MAX`], or a caller's than [`crate::USER_VALUE_LEN_MAX`], which the message
    /// names.
    #[error("a value of {len} bytes is too long; at most {max} are possible", max = crate::USER_VALUE_LEN_MAX)]
    ValueTooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// A record is to live not at all, or longer than can be recorded.
    #[error("a record can live for a nanosecond or longer, up to the year 2554, but not for {ttl:?}")]
    TtlOutOfBounds {
        /// How long it was to live.
        ttl: Duration,
    },
    /// A batch is longer than [`crate::BATCH_LEN_MAX`].
    #[error("the batch is longer than {max} bytes; commit it in parts", max = crate::BATCH_LEN_MAX)]
    BatchTooLong,
    /// The database was opened for reading only.
    #[error("the database is open for reading only")]
    ReadOnly,
    /// The database was closed.
    #[error("the database is closed; open it again to go on")]
    Closed,
    /// The operation needs the other mode.
    #[error("{operation} is not possible in {mode} mode")]
    NotInMode {
        /// What was asked for.
        operation: &'static str,
        /// The mode of the database.
        mode: Mode,
    },
    /// The past of a database was asked for that does not keep it.
    #[error(
        "a database in snapshot mode keeps no history; export its records and import them into a new one in \
         ledger mode, which does from then on"
    )]
    NoHistory,
    /// The file at the path is no CodexDB database.
    #[error("{} is not a CodexDB database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer program.
    #[error(
        "{} has format version {found}, and this program reads version {supported}; use a newer program",
        path.display()
    )]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// The database has another mode than was asked for.
    #[error("{} was created in {found} mode; open it with that mode or leave the mode out", path.display())]
    WrongMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        found: Mode,
    },
    /// A key was given for a database without encryption.
    #[error("{} is not encrypted; open it without a key", path.display())]
    NotEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// Nothing stands at the path.
    #[error("there is no database at {}", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// Something stands at a path where a new file was to be made.
    #[error("{} exists already and is left as it is", path.display())]
    AlreadyExists {
        /// The path.
        path: PathBuf,
    },
    /// Another opening has the database.
    #[error("{} is open elsewhere; close it there first", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The database is encrypted and no key was given.
    #[error("{} is encrypted; give its encryption key or passphrase", path.display())]
    KeyRequired {
        /// The file.
        path: PathBuf,
    },
    /// No key slot opens with what was given.
    #[error("the encryption key or passphrase does not open {}", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// A key could not be used.
    #[error("the key cannot be used for {}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The key slots cannot be changed in this way. They are as they were.
    #[error("the key slots of {} were left as they are", path.display())]
    KeysRefused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeysRefusal,
    },
    /// A write or sync failed while key slots were changed. Nothing more is written.
    #[error(
        "the keys could not be changed durably; after reopening, either the old ones or the new ones hold"
    )]
    KeysUnknown {
        /// What failed.
        source: Arc<StorageError>,
    },
    /// The log does not hold the commit: it was never made, or a rewrite has merged it into the state at the file's start.
    #[error("there is no commit {sequence} in the log, whose commits are {first} to {last}")]
    NoSuchCommit {
        /// The commit asked for.
        sequence: u64,
        /// The first in the log.
        first: u64,
        /// The last in the log; before the first if there is none.
        last: u64,
    },
    /// A rewrite after that time has merged what stood before it into the state at the file's start.
    #[error("{} does not reach back to that time: its file was rewritten since", path.display())]
    NoSuchTime {
        /// The database.
        path: PathBuf,
    },
    /// There is no log of these sizes to prove anything about.
    #[error("there is no proof from {from} to {to} frames in a log of {size}")]
    NoSuchSizes {
        /// The older size asked for.
        from: u64,
        /// The newer size asked for.
        to: u64,
        /// The size of the log.
        size: u64,
    },
    /// The database does not go on from a head that it was held against.
    #[error("{} does not continue the head", path.display())]
    HeadMismatch {
        /// The database.
        path: PathBuf,
        /// Why not.
        source: HeadMismatch,
    },
    /// A file is damaged, or was changed by something else than this program.
    #[error(
        "{} is damaged at byte {offset}{}",
        path.display(),
        sequence.map(|sequence| format!(", after commit {sequence}")).unwrap_or_default()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// The last commit that was found whole before that place, where it is known.
        sequence: Option<u64>,
        /// What is wrong there.
        source: Damage,
    },
    /// The system reports an error.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A write or sync failed: whether this commit is on disk shows when the database is opened again.
    #[error("the commit could not be made durable; after reopening it is there whole or not at all")]
    OutcomeUnknown {
        /// What failed.
        source: Arc<StorageError>,
    },
    /// An earlier write or sync failed, so that nothing more is written.
    #[error("an earlier failure stopped all writes; close the database and open it again")]
    WritesStopped {
        /// The earlier failure.
        source: Arc<StorageError>,
    },
    /// The error of a whole group of commits, none of which took place.
    #[error(transparent)]
    Shared(Arc<StorageError>),
    /// Sealing failed, for want of random bytes.
    #[error("a frame cannot be sealed")]
    Seal(#[from] SealError),
    /// A thread of ours panicked while it wrote.
    #[error("a write ended in a panic; close the database and open it again")]
    WriterPanicked,
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// What is wrong at a place of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Neither header copy has a valid checksum.
    #[error("neither copy of the header is intact")]
    NoHeader,
    /// One header copy has a valid checksum, and this is the other.
    #[error("this copy of the header is not intact")]
    HeaderCopy,
    /// A repair finds no header copy to begin with.
    #[error(
        "neither copy of the header is intact, and nothing can be salvaged without one; \
         a backup of this database opens with the same key"
    )]
    HeaderLost,
    /// The chosen header copy fails its authentication code.
    #[error("the header is not as it was written")]
    HeaderAuthentication(#[source] OpenError),
    /// The two header copies claim the same generation and differ, or are not of one database.
    #[error("the two copies of the header contradict each other")]
    HeaderCopiesDiffer,
    /// A header field has a value that no program of this version writes.
    #[error("the header holds an impossible {0}")]
    HeaderField(&'static str),
    /// Acknowledged frames are missing or damaged.
    #[error("a frame that had been acknowledged is missing or damaged")]
    AcknowledgedFrame,
    /// A good frame stands where another one belongs.
    #[error("the frame does not continue the log")]
    NotContinued,
    /// The log ends before the floor, or passes it with another root.
    #[error("the log does not reach its recorded floor")]
    Floor,
    /// A frame authenticates and its records cannot be read.
    #[error("the frame's records are malformed")]
    Records,
    /// Behind the log stands something else than zeros.
    #[error("there are foreign bytes behind the end of the log")]
    TrailingBytes,
    /// The log differs from what this process wrote.
    #[error("the log differs from what was written")]
    LogChanged,
    /// A checkpoint covers more than the log holds, or other frames.
    #[error("the checkpoint beside the log covers frames that the log does not hold")]
    CheckpointContradicted,
    /// Too much of the region behind the log looks like frames and is not.
    #[error("the bytes behind the end of the log are full of damaged frames")]
    DamagedTail,
}

impl StorageError {
    /// An [`StorageError::Io`] around what the system says.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    pub(crate) fn key(path: &Path) -> impl FnOnce(KeyError) -> Self {
        move |source| Self::Key { path: path.to_path_buf(), source }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, sequence: Option<u64>, source: Damage) -> Self {
        Self::Damaged { path: path.to_path_buf(), offset, sequence, source }
    }

    /// Whether the disk, a quota or a limit on file sizes is exhausted: what can pass.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ),
            Self::Shared(source) => source.is_out_of_space(),
            _ => false,
        }
    }

    /// Whether a commit that failed may have taken place all the same; reopening shows it.
    #[must_use]
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            // A panic may have come behind the write as well.
            Self::OutcomeUnknown { .. } | Self::WriterPanicked => true,
            // A write that failed for another reason than space may have reached the disk, and was not cut off.
            Self::Io { .. } => !self.is_out_of_space(),
            Self::Shared(source) => source.outcome_is_unknown(),
            _ => false,
        }
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
