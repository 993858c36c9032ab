//! Backups for `CodexDB`: hot copies, a rotation of them, and verified restore.
//!
//! A copy is made of a [`Source`]: anything that can be read as a durable prefix which never changes. The
//! prefix of a database ([`codex_storage::Prefix`]) is one. Copying takes no lock and blocks no commit; a copy
//! has its name only once it is whole, read back, verified and synced.

mod copy;
mod error;
mod observe;
mod repository;
mod restore;
mod retention;
mod rotation;

pub use copy::{Source, copy};
pub use error::BackupError;
pub use repository::{
    LocalStorage, Pruned, Repository, RepositoryBackup, RepositoryLock, RepositoryReport, RepositoryStorage,
    Sent,
};
pub use restore::{RestoreOptions, restore};
pub use retention::Retention;
pub use rotation::{Backup, list, rotate};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
