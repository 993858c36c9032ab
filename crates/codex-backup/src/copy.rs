//! A copy of a durable prefix: written under a temporary name, read back, and only then put in place.

use std::io;
use std::path::Path;
use std::sync::Arc;

use codex_storage::progress::{Observer, Stage};
use codex_storage::vfs::replace::{Existing, Replacement, SteppedWriter};
use codex_storage::vfs::{File, Vfs};
use codex_storage::{Prefix, StorageError};

use crate::error::BackupError;
use crate::observe::{self, Event};

/// What can be copied: bytes that are durable and never change.
pub trait Source {
    /// Length of the copy, in bytes.
    fn len(&self) -> u64;

    /// Whether there is nothing to copy.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `target` with the bytes at `offset`, which lie within [`Source::len`].
    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<()>;

    /// Checks that a file is a whole copy. `path` is what errors name.
    fn verify(&self, copy: &dyn File, path: &Path) -> Result<(), StorageError>;

    /// Who is told how far the copy is; by default nobody.
    fn observer(&self) -> &Observer {
        Observer::NONE
    }
}

impl Source for Prefix {
    fn len(&self) -> u64 {
        Prefix::len(self)
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        Prefix::read_at(self, target, offset)
    }

    fn verify(&self, copy: &dyn File, path: &Path) -> Result<(), StorageError> {
        Prefix::verify(self, copy, path).map(|_| ())
    }

    fn observer(&self) -> &Observer {
        Prefix::observer(self)
    }
}

/// Copies `source` to `target`, verified and durable when this returns. An error leaves no trace, but for one: where
/// only the folder's sync failed, the whole copy stands there, and a power loss may take it away.
pub fn copy(
    source: &dyn Source,
    vfs: &Arc<dyn Vfs>,
    target: &Path,
    existing: Existing,
) -> Result<(), BackupError> {
    if existing == Existing::Refuse {
        refuse_existing(&**vfs, target)?;
    }
    put_in_place(write_copy(source, vfs, target, Pace::BesideCommits)?, target, existing)?;
    observe::tell(&Event::Copied { path: target, bytes: source.len() });
    Ok(())
}

pub(crate) fn refuse_existing(vfs: &dyn Vfs, target: &Path) -> Result<(), BackupError> {
    match vfs.kind(target).map_err(BackupError::write("look at", target))? {
        None => Ok(()),
        Some(_) => Err(BackupError::TargetExists { path: target.to_path_buf() }),
    }
}

/// How fast a copy is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// In short synced steps, so that no commit waits for the disk behind all of it.
    BesideCommits,
    /// At once: nobody has the database open.
    Alone,
}

/// The copy under its temporary name, durable, read back and verified: what is left is giving it its name.
pub(crate) fn write_copy(
    source: &dyn Source,
    vfs: &Arc<dyn Vfs>,
    target: &Path,
    pace: Pace,
) -> Result<Replacement, BackupError> {
    let write = |action| BackupError::write(action, target);
    let replacement = Replacement::create(vfs, target).map_err(write("create"))?;
    let mut stepped = SteppedWriter::new(replacement.file().clone());
    let len = source.len();
    let mut piece = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(PIECE_LEN)];
    let mut meter = source.observer().begin(Stage::Copying, len);
    let mut offset = 0;
    while offset < len {
        let part = usize::try_from(len - offset).unwrap_or(usize::MAX).min(piece.len());
        source
            .read_at(&mut piece[..part], offset)
            .map_err(|source| BackupError::Read { target: target.to_path_buf(), source })?;
        let written = match pace {
            Pace::BesideCommits => stepped.write_all_at(&piece[..part], offset),
            Pace::Alone => replacement.file().write_all_at(&piece[..part], offset),
        };
        written.map_err(write("write"))?;
        offset += part as u64;
        meter.reach(offset);
    }
    let file = replacement.file();
    file.sync().map_err(write("sync"))?;
    meter.finish();
    source
        .verify(&**file, replacement.path())
        .map_err(|source| BackupError::Verify { path: target.to_path_buf(), source })?;
    Ok(replacement)
}

pub(crate) fn put_in_place(
    replacement: Replacement,
    target: &Path,
    existing: Existing,
) -> Result<(), BackupError> {
    match replacement.persist(existing) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(BackupError::TargetExists { path: target.to_path_buf() })
        }
        Err(error) => Err(BackupError::write("put in place", target)(error)),
    }
}

/// Copies are made in pieces of this many bytes.
const PIECE_LEN: usize = 1 << 20;
