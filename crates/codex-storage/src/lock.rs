//! The process lock: who has the database open, and who may not.

use std::path::Path;

use crate::error::{Result, StorageError};
use crate::files::Files;
use crate::sync::Arc;
use crate::vfs::{Access, File, Lock, Vfs};

/// Takes the lock of a database's lock file, which is created for an exclusive holder and never deleted.
/// The lock is held as long as the file is. `None`: a reader found no lock file; the lock on the database
/// file itself is enough for it.
pub fn lock(vfs: &dyn Vfs, files: &Files, lock: Lock) -> Result<Option<Arc<dyn File>>> {
    let path = files.lock();
    let io = |action| StorageError::io(action, &path);
    let found = vfs.kind(&path).map_err(io("look at"))?.is_some();
    let file = match (lock, found) {
        (Lock::Shared, false) => return Ok(None),
        (Lock::Shared, true) => vfs.open(&path, Access::Read).map_err(io("open"))?,
        (Lock::Exclusive, true) => vfs.open(&path, Access::Write).map_err(io("open"))?,
        (Lock::Exclusive, false) => match vfs.create_new(&path) {
            // Another process was faster; the lock decides.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                vfs.open(&path, Access::Write).map_err(io("open"))?
            }
            created => created.map_err(io("create"))?,
        },
    };
    lock_file(&*file, &path, files, lock)?;
    Ok(Some(file))
}

/// Takes the lock of one of a database's files at once, or fails with [`StorageError::Locked`].
pub fn lock_file(file: &dyn File, path: &Path, files: &Files, lock: Lock) -> Result<()> {
    if file.try_lock(lock).map_err(StorageError::io("lock", path))? {
        Ok(())
    } else {
        Err(StorageError::Locked { path: files.database().to_path_buf() })
    }
}
