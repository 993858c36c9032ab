//! The rotation beside a database: `app.db.bak.1` is the newest copy, higher numbers are older.

use std::path::PathBuf;
use std::sync::Arc;

use codex_storage::files::Files;
use codex_storage::vfs::replace::Existing;
use codex_storage::vfs::replace::remove_temporaries;
use codex_storage::vfs::{Access, FileKind, Vfs};

use crate::copy::{Pace, Source, put_in_place, write_copy};
use crate::error::BackupError;
use crate::observe::{self, Event};

/// One copy of the rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Its number: 1 is the newest.
    pub number: u32,
    /// Where it is.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub bytes: u64,
    /// When it was written, in nanoseconds since the Unix epoch.
    pub modified_ns: u64,
}

/// The rotation of a database, newest first. A crash may have left gaps between the numbers.
pub fn list(vfs: &dyn Vfs, files: &Files) -> Result<Vec<Backup>, BackupError> {
    let folder = files.folder();
    let names = vfs.list(folder).map_err(BackupError::write("list", folder))?;
    let mut backups = Vec::new();
    for number in names.iter().filter_map(|name| files.backup_number(name)) {
        let path = files.backup(number);
        if vfs.kind(&path).map_err(BackupError::write("look at", &path))? != Some(FileKind::Regular) {
            continue;
        }
        let file = vfs.open(&path, Access::Read).map_err(BackupError::write("open", &path))?;
        let bytes = file.len().map_err(BackupError::write("read the length of", &path))?;
        let modified_ns = file.modified_ns().map_err(BackupError::write("read the time of", &path))?;
        backups.push(Backup { number, path, bytes, modified_ns });
    }
    backups.sort_unstable_by_key(|backup| backup.number);
    Ok(backups)
}

/// Makes a new `.bak.1` and moves the others up by one; those beyond `keep` go.
///
/// The new copy is durable and verified before anything is renamed, so that a failure costs no older copy; a crash
/// between two renames leaves a gap, and the next rotation closes it.
pub fn rotate(source: &dyn Source, vfs: &Arc<dyn Vfs>, files: &Files, keep: u32) -> Result<(), BackupError> {
    if keep == 0 {
        return Ok(());
    }
    let newest = files.backup(1);
    remove_temporaries(&**vfs, &newest).map_err(BackupError::write("remove temporary files of", &newest))?;
    let copy = write_copy(source, vfs, &newest, Pace::BesideCommits)?;
    let backups = list(&**vfs, files)?;
    // Numbers move up only as far as the first gap: behind it nothing is in the way.
    let moving = backups.iter().zip(1..).take_while(|(backup, number)| backup.number == *number).count();
    for backup in backups[..moving].iter().rev() {
        if backup.number >= keep {
            continue;
        }
        let moved = files.backup(backup.number + 1);
        // Durable before the name it leaves is given to another: a power loss may keep a later renaming without an
        // earlier one, and then a copy would be gone.
        vfs.rename(&backup.path, &moved)
            .and_then(|()| vfs.sync_directory(files.folder()))
            .map_err(BackupError::write("rename", &backup.path))?;
    }
    put_in_place(copy, &newest, Existing::Replace)?;
    observe::tell(&Event::Copied { path: &newest, bytes: source.len() });
    for backup in backups.iter().filter(|backup| backup.number > keep) {
        vfs.remove(&backup.path).map_err(BackupError::write("remove", &backup.path))?;
    }
    Ok(())
}
