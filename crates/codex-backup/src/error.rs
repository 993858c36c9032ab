//! What can go wrong with a backup.

use std::io;
use std::path::{Path, PathBuf};

use codex_storage::StorageError;

/// An error of the backup layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something stands where the copy was to go.
    #[error("{} exists already and is left as it is", path.display())]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The source cannot be read.
    #[error("the data to copy to {} cannot be read", target.display())]
    Read {
        /// The target of the copy.
        target: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The copy cannot be written.
    #[error("cannot {action} {}", path.display())]
    Write {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was written could not be verified; it has been removed.
    #[error("the copy for {} does not verify, and was removed", path.display())]
    Verify {
        /// The target of the copy.
        path: PathBuf,
        /// What is wrong with it.
        source: StorageError,
    },
    /// Nothing stands where a repository was looked for.
    #[error("there is no backup repository at {}", path.display())]
    NoRepository {
        /// The folder.
        path: PathBuf,
    },
    /// What stands there is something else, or was made by a newer program.
    #[error("{} is no backup repository that this program knows", path.display())]
    NotARepository {
        /// The folder.
        path: PathBuf,
    },
    /// Another process has the repository.
    #[error("the repository {} is in use by another process", path.display())]
    RepositoryLocked {
        /// The folder.
        path: PathBuf,
    },
    /// The repository holds no backup that was asked for.
    #[error("{} holds no such backup", path.display())]
    NoBackup {
        /// The folder.
        path: PathBuf,
    },
    /// The repository holds backups of several databases.
    #[error("{} holds backups of several databases; say of which", path.display())]
    SeveralDatabases {
        /// The folder.
        path: PathBuf,
    },
    /// The database is no continuation of what the repository holds of it: one of the two was put back, or they went on apart.
    #[error("the database does not continue its latest backup in {}", path.display())]
    NotContinued {
        /// The folder.
        path: PathBuf,
    },
    /// The repository's files are not as they were written.
    #[error("the repository {} is damaged: {}", path.display(), files.iter().map(|(name, what)| format!("{name} {what}")).collect::<Vec<_>>().join(", "))]
    RepositoryDamaged {
        /// The folder.
        path: PathBuf,
        /// Which files, and what is wrong with each.
        files: Vec<(String, &'static str)>,
    },
    /// The database cannot be read, locked or found.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl BackupError {
    pub(crate) fn write(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { action, path: path.to_path_buf(), source }
    }
}
