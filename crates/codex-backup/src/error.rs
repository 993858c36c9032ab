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
    /// The database cannot be read, locked or found.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl BackupError {
    pub(crate) fn write(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { action, path: path.to_path_buf(), source }
    }
}
