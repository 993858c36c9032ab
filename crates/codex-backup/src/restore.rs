//! Restore: a backup, or any database that nobody has open, becomes a database at another path.

use std::path::Path;
use std::sync::Arc;

use codex_crypto::Unlock;
use codex_storage::files::Files;
use codex_storage::lock::{lock, lock_file};
use codex_storage::vfs::os::OsVfs;
use codex_storage::vfs::replace::{Existing, remove_temporaries};
use codex_storage::vfs::{Access, Lock, Vfs};
use codex_storage::{OpenOptions, StorageError, remove_checkpoint};

use crate::copy::{put_in_place, refuse_existing, write_copy};
use crate::error::BackupError;

/// How a backup is restored.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Whether a database at the target is replaced; it stands until the restored one has verified.
    pub overwrite: bool,
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { overwrite: false, vfs: Arc::new(OsVfs) }
    }
}

/// Restores the backup at `source` to `target`. Every frame is verified before the target has its name;
/// durable when this returns. The backup is left as it is.
pub fn restore(
    source: &Path,
    target: &Path,
    unlock: Option<&Unlock>,
    options: &RestoreOptions,
) -> Result<(), BackupError> {
    let vfs = &options.vfs;
    let opening = OpenOptions { read_only: true, create: false, vfs: vfs.clone(), ..OpenOptions::default() };
    let backup = opening.open(source, unlock)?;
    let resolved = vfs.resolve(target).map_err(StorageError::io("find", target))?;
    let files = Files::of(resolved);
    let target = files.database();
    if !options.overwrite {
        refuse_existing(&**vfs, target)?;
    }
    let folder = files.folder();
    vfs.create_directories(folder).map_err(StorageError::io("create the folder of", target))?;
    let _lock = lock(&**vfs, &files, Lock::Exclusive)?;
    let _old = match vfs.kind(target).map_err(StorageError::io("look at", target))? {
        Some(_) if options.overwrite => {
            let old = vfs.open(target, Access::Write).map_err(StorageError::io("open", target))?;
            lock_file(&*old, target, &files, Lock::Exclusive)?;
            Some(old)
        }
        _ => None,
    };
    remove_temporaries(&**vfs, target).map_err(StorageError::io("remove temporary files beside", target))?;
    let prefix = backup.durable_prefix()?;
    let copy = write_copy(&prefix, vfs, target)?;
    remove_checkpoint(&**vfs, &files)?;
    put_in_place(copy, target, if options.overwrite { Existing::Replace } else { Existing::Refuse })
}
