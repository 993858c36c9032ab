//! What can be seen of a database from outside: without its key, without a lock, and beside a process that writes.
//!
//! Nothing here is authenticated, and all of it may be of a moment ago: it is for people who look after files,
//! and nothing is decided by it.

use std::path::{Path, PathBuf};

use codex_crypto::Suite;

use crate::error::{Result, StorageError};
use crate::files::Files;
use crate::format::header::{Floor, Header, Unreadable};
use crate::format::{Mode, VERSION};
use crate::recovery::{choose_header, read_blocks};
use crate::sync::Arc;
use crate::vfs::replace::temporaries;
use crate::vfs::{Access, File, FileKind, Vfs};

/// What a database's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// Length of the file, with space that is set aside, in bytes.
    pub file_bytes: u64,
    /// Version of the file format.
    pub version: u32,
    /// What the database keeps.
    pub mode: Mode,
    /// Whether its frames are encrypted.
    pub encrypted: bool,
    /// Counts the changes of the header.
    pub generation: u64,
    /// What is known to be durable.
    pub floor: Floor,
    /// The two copies of the header.
    pub copies: [HeaderCopy; 2],
}

/// What is to be said of one copy of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderCopy {
    /// It is the newest, or the same as the newest.
    Current,
    /// It is intact, and the other one is newer: a change of the header was interrupted between the two.
    Older,
    /// It is not intact.
    Damaged,
}

/// The names of a database's files, and those beside it that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilesBeside {
    /// The database, links followed.
    pub database: PathBuf,
    /// Where its lock file is, or would be.
    pub lock: PathBuf,
    /// Where its checkpoint is, or would be.
    pub checkpoint: PathBuf,
    /// Where the torn end is that a recovery put aside, if one did.
    pub torn: PathBuf,
    /// The rotated backups that are there, with their numbers, newest first.
    pub backups: Vec<(u32, PathBuf)>,
    /// What interrupted replacements left; of a database that is open for writing, also what it is writing now.
    pub temporaries: Vec<PathBuf>,
}

/// Reads the header of the database at `path`, and its length.
pub fn inspect(vfs: &dyn Vfs, path: &Path) -> Result<Inspection> {
    let path = &vfs.resolve(path).map_err(StorageError::io("find", path))?;
    let file = open(vfs, path)?;
    let (header, copies) = header_now(&*file, path)?;
    Ok(Inspection {
        file_bytes: file.len().map_err(StorageError::io("read the length of", path))?,
        version: VERSION,
        mode: header.mode,
        encrypted: header.suite != Suite::Plaintext,
        generation: header.generation,
        floor: header.floor,
        copies,
    })
}

/// Looks which files stand beside the database at `path`, which may itself be missing.
pub fn files_beside(vfs: &dyn Vfs, path: &Path) -> Result<FilesBeside> {
    let files = Files::of(vfs.resolve(path).map_err(StorageError::io("find", path))?);
    let folder = files.folder();
    let names = match vfs.list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(StorageError::io("list", folder))?,
    };
    let mut backups: Vec<_> = names
        .iter()
        .filter_map(|name| files.backup_number(name))
        .map(|number| (number, files.backup(number)))
        .collect();
    backups.sort_unstable();
    let mut left = Vec::new();
    for target in [files.database(), &files.checkpoint(), &files.torn(), &files.backup(1)] {
        left.extend(temporaries(&names, target).map_err(StorageError::io("look at", target))?);
    }
    left.sort_unstable();
    Ok(FilesBeside {
        database: files.database().to_path_buf(),
        lock: files.lock(),
        checkpoint: files.checkpoint(),
        torn: files.torn(),
        backups,
        temporaries: left,
    })
}

pub(crate) fn open(vfs: &dyn Vfs, path: &Path) -> Result<Arc<dyn File>> {
    match vfs.kind(path).map_err(StorageError::io("look at", path))? {
        None => Err(StorageError::NotFound { path: path.to_path_buf() }),
        Some(FileKind::Regular) => vfs.open(path, Access::Read).map_err(StorageError::io("open", path)),
        Some(FileKind::Directory | FileKind::Other) => {
            Err(StorageError::NotADatabase { path: path.to_path_buf() })
        }
    }
}

/// The header that counts, and the state of both copies. A process that is just writing one of them makes it look
/// damaged for a moment; what is still so when it is read again is damaged.
pub(crate) fn header_now(file: &dyn File, path: &Path) -> Result<(Header, [HeaderCopy; 2])> {
    let mut looks = 1;
    loop {
        let blocks = read_blocks(file, path)?;
        let intact =
            blocks.each_ref().map(|block| !matches!(Header::decode(block), Err(Unreadable::Checksum)));
        if looks == LOOKS_MAX || intact == [true; 2] {
            let choice = choose_header(&blocks, path)?;
            let mut copies = [HeaderCopy::Current; 2];
            if choice.other_is_stale {
                let other = 1 - choice.index;
                let whole = Header::decode(&blocks[other]).is_ok();
                copies[other] = if whole { HeaderCopy::Older } else { HeaderCopy::Damaged };
            }
            return Ok((choice.header, copies));
        }
        looks += 1;
    }
}

/// A copy of the header is written in far less time than this many reads take.
const LOOKS_MAX: u32 = 50;
