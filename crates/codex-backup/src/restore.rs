//! Restore: a backup, or any database that nobody has open, becomes a database at another path.

use std::path::Path;
use std::sync::Arc;

use codex_crypto::Unlock;
use codex_storage::files::Files;
use codex_storage::lock::{lock, lock_file};
use codex_storage::progress::Observer;
use codex_storage::vfs::os::OsVfs;
use codex_storage::vfs::replace::{Existing, Replacement, remove_temporaries};
use codex_storage::vfs::{Access, File, Lock, Vfs};
use codex_storage::{OpenOptions, Point, StorageError, remove_checkpoint};

use crate::copy::{Pace, put_in_place, refuse_existing, write_copy};
use crate::error::BackupError;
use crate::observe::{self, Event};

/// How a backup is restored.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Whether a database at the target is replaced; it stands until the restored one has verified.
    pub overwrite: bool,
    /// Restores the state at this point instead of the newest ([`Prefix::at`](codex_storage::Prefix::at)).
    pub at: Option<Point>,
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
    /// Who is told how far the restore is.
    pub observer: Observer,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { overwrite: false, at: None, vfs: Arc::new(OsVfs), observer: Observer::default() }
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
    let backup = reading(&options.vfs, &options.observer).open(source, unlock)?;
    let prefix = backup.durable_prefix()?.observed_by(&options.observer);
    let prefix = match options.at {
        Some(point) => prefix.at(point)?,
        None => prefix,
    };
    let target = Target::take(target, options)?;
    let copy = write_copy(&prefix, &options.vfs, target.path(), Pace::Alone)?;
    target.put(copy)
}

/// How a backup is opened: not to be changed.
pub(crate) fn reading(vfs: &Arc<dyn Vfs>, observer: &Observer) -> OpenOptions {
    let (vfs, observer) = (vfs.clone(), observer.clone());
    OpenOptions { read_only: true, create: false, vfs, observer, ..OpenOptions::default() }
}

/// Where a restored database goes, locked against everybody else.
pub(crate) struct Target<'a> {
    options: &'a RestoreOptions,
    files: Files,
    /// The lock file, and the database that is replaced.
    _held: [Option<Arc<dyn File>>; 2],
}

impl<'a> Target<'a> {
    pub(crate) fn take(target: &Path, options: &'a RestoreOptions) -> Result<Self, BackupError> {
        let vfs = &options.vfs;
        let files = Files::of(vfs.resolve(target).map_err(StorageError::io("find", target))?);
        let target = files.database();
        if !options.overwrite {
            refuse_existing(&**vfs, target)?;
        }
        vfs.create_directories(files.folder()).map_err(StorageError::io("create the folder of", target))?;
        let held = lock(&**vfs, &files, Lock::Exclusive)?;
        let old = match vfs.kind(target).map_err(StorageError::io("look at", target))? {
            Some(_) if options.overwrite => {
                let old = vfs.open(target, Access::Write).map_err(StorageError::io("open", target))?;
                lock_file(&*old, target, &files, Lock::Exclusive)?;
                Some(old)
            }
            _ => None,
        };
        remove_temporaries(&**vfs, target)
            .map_err(StorageError::io("remove temporary files beside", target))?;
        Ok(Self { options, files, _held: [held, old] })
    }

    pub(crate) fn path(&self) -> &Path {
        self.files.database()
    }

    /// Gives the target's name to a copy that has verified.
    pub(crate) fn put(self, copy: Replacement) -> Result<(), BackupError> {
        let RestoreOptions { overwrite, vfs, .. } = self.options;
        remove_checkpoint(&**vfs, &self.files)?;
        let existing = if *overwrite { Existing::Replace } else { Existing::Refuse };
        put_in_place(copy, self.path(), existing)?;
        observe::tell(&Event::Restored { path: self.path() });
        Ok(())
    }
}
