//! The one error type of the library, and its eight kinds.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use codex_backup::BackupError;
use codex_crypto::KeyError;
use codex_storage::{HeadMismatch, StorageError};

/// The result of everything in this crate that can fail.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// fn visits(store: &codex::Store) -> codex::Result<u64> {
///     Ok(store.get("visits")?.unwrap_or_default())
/// }
/// assert_eq!(visits(&store)?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller does differently about an error.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{ErrorKind, Options};
///
/// match Options::new().create(false).open(&path) {
///     Ok(store) => store.close()?,
///     Err(error) if error.kind() == ErrorKind::NotFound => println!("make one first"),
///     Err(error) if error.kind() == ErrorKind::Encryption => println!("ask for the passphrase again"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A bad argument, a key or value out of bounds, the wrong mode, a value of another type, a closed store.
    Validation,
    /// The database or the backup does not exist.
    NotFound,
    /// The system refuses, or the store is open for reading only.
    Permission,
    /// The disk is full or fails. After a failed sync the store refuses writes until it is opened again.
    Io,
    /// No key, or one that does not open the database; the file is left untouched.
    Encryption,
    /// Damage or tampering.
    Integrity,
    /// The database is open elsewhere, or a transaction has met changes of others too often.
    Concurrency,
    /// A bug of ours.
    Internal,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An error: its kind for programs, its message and causes for people.
///
/// No message holds a record key, a value, a passphrase or key material.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use std::error::Error;
///
/// let error = store.set("", &1).expect_err("a key has at least one byte");
/// println!("{:?}: {error}", error.kind());
/// let mut cause = error.source();
/// while let Some(error) = cause {
///     println!("because {error}");
///     cause = error.source();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Message(&'static str),
    Because(&'static str, Box<dyn StdError + Send + Sync>),
    Storage(StorageError),
    Backup(BackupError),
    Key(KeyError),
}

impl Error {
    /// What a caller does differently about it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let error = store.set("", &1).expect_err("a key has at least one byte");
    /// assert_eq!(error.kind(), codex::ErrorKind::Validation);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether a commit that failed with this error may have taken place all the same: the disk failed, or a thread of ours
    /// panicked, and only the next opening shows whether the commit is there, whole, or not at all.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// let error = store.set("", &1).expect_err("a key has at least one byte");
    /// assert!(!error.outcome_is_unknown(), "it was refused before anything was written");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(&self.cause, Cause::Storage(error) if error.outcome_is_unknown())
    }

    pub(crate) fn validation(message: &'static str) -> Self {
        Self { kind: ErrorKind::Validation, cause: Cause::Message(message) }
    }

    pub(crate) fn conflicting() -> Self {
        let message =
            "the transaction has met changes of others at every attempt; try again when less is going on";
        Self { kind: ErrorKind::Concurrency, cause: Cause::Message(message) }
    }

    pub(crate) fn integrity(message: &'static str) -> Self {
        Self { kind: ErrorKind::Integrity, cause: Cause::Message(message) }
    }

    pub(crate) fn because(
        kind: ErrorKind,
        message: &'static str,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, cause: Cause::Because(message, cause.into()) }
    }

    fn inner(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Message(_) | Cause::Because(..) => None,
            Cause::Storage(error) => Some(error),
            Cause::Backup(error) => Some(error),
            Cause::Key(error) => Some(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Message(message) | Cause::Because(message, _) => f.write_str(message),
            Cause::Storage(error) => error.fmt(f),
            Cause::Backup(error) => error.fmt(f),
            Cause::Key(error) => error.fmt(f),
        }
    }
}

impl StdError for Error {
    /// The next cause. The error of a lower layer speaks for this one, so it does not come again.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Because(_, cause) => Some(&**cause),
            _ => self.inner()?.source(),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self { kind: storage_kind(&error), cause: Cause::Storage(error) }
    }
}

impl From<BackupError> for Error {
    fn from(error: BackupError) -> Self {
        let kind = match &error {
            BackupError::TargetExists { .. }
            | BackupError::NotARepository { .. }
            | BackupError::SeveralDatabases { .. } => ErrorKind::Validation,
            BackupError::NoRepository { .. } | BackupError::NoBackup { .. } => ErrorKind::NotFound,
            BackupError::RepositoryLocked { .. } => ErrorKind::Concurrency,
            BackupError::NotContinued { .. } | BackupError::RepositoryDamaged { .. } => ErrorKind::Integrity,
            BackupError::Read { source, .. } | BackupError::Write { source, .. } => io_kind(source),
            BackupError::Verify { source, .. } | BackupError::Storage(source) => storage_kind(source),
            _ => ErrorKind::Internal,
        };
        Self { kind, cause: Cause::Backup(error) }
    }
}

impl From<KeyError> for Error {
    /// Of a key or cost that the caller gives, not one that a file holds.
    fn from(error: KeyError) -> Self {
        let kind = match error {
            KeyError::CostOutOfBounds { .. } => ErrorKind::Validation,
            _ => key_kind(&error),
        };
        Self { kind, cause: Cause::Key(error) }
    }
}

fn storage_kind(error: &StorageError) -> ErrorKind {
    use StorageError as E;
    match error {
        E::KeyEmpty
        | E::KeyTooLong { .. }
        | E::ValueTooLong { .. }
        | E::TtlOutOfBounds { .. }
        | E::BatchTooLong
        | E::Closed
        | E::NotInMode { .. }
        | E::NoHistory
        | E::KeysRefused { .. }
        | E::NotADatabase { .. }
        | E::UnsupportedVersion { .. }
        | E::WrongMode { .. }
        | E::NotEncrypted { .. }
        | E::AlreadyExists { .. }
        | E::NoSuchSizes { .. } => ErrorKind::Validation,
        E::NotFound { .. } | E::NoSuchCommit { .. } | E::NoSuchTime { .. } => ErrorKind::NotFound,
        E::ReadOnly => ErrorKind::Permission,
        E::Locked { .. } => ErrorKind::Concurrency,
        E::KeyRequired { .. } | E::WrongKey { .. } => ErrorKind::Encryption,
        E::Key { source, .. } => key_kind(source),
        E::Damaged { .. } => ErrorKind::Integrity,
        E::HeadMismatch { source, .. } => match source {
            HeadMismatch::Ahead { .. } | HeadMismatch::Forked { .. } => ErrorKind::Integrity,
            // Nothing is wrong with the database: it cannot be compared with this head.
            _ => ErrorKind::Validation,
        },
        E::Io { source, .. } => io_kind(source),
        E::OutcomeUnknown { .. } | E::KeysUnknown { .. } | E::WritesStopped { .. } | E::Seal(_) => {
            ErrorKind::Io
        }
        E::Shared(error) => storage_kind(error),
        _ => ErrorKind::Internal,
    }
}

fn key_kind(error: &KeyError) -> ErrorKind {
    match error {
        KeyError::Random(_) | KeyError::OutOfMemory { .. } => ErrorKind::Io,
        KeyError::Hex | KeyError::EmptyPassphrase => ErrorKind::Validation,
        _ => ErrorKind::Encryption,
    }
}

fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Permission,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => ErrorKind::Validation,
        // No system call says so: a piece of a repository is not what its name says.
        io::ErrorKind::InvalidData => ErrorKind::Integrity,
        _ => ErrorKind::Io,
    }
}
