//! A backup in a repository, read as the database file that it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use codex_storage::format::header::{BLOCK_LEN, LOG_START};
use codex_storage::vfs::{File, Lock};
use codex_storage::{StorageError, check_unkeyed};

use super::manifest::{Manifest, PIECE_LEN, hash_of, piece_name};
use super::storage::RepositoryStorage;
use crate::copy::Source;

/// The file that a manifest describes: header, header, and the pieces one behind the other. Every piece is checked
/// against its hash before a byte of it is given out.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    storage: &'a dyn RepositoryStorage,
    database: &'a str,
    manifest: &'a Manifest,
    header: Vec<u8>,
    /// The piece that was read last.
    piece: Mutex<Option<(usize, Vec<u8>)>>,
}

impl<'a> Image<'a> {
    pub(crate) fn new(storage: &'a dyn RepositoryStorage, database: &'a str, manifest: &'a Manifest) -> Self {
        let header = manifest.header_block().expect("checked as it was decoded");
        Self { storage, database, manifest, header, piece: Mutex::new(None) }
    }

    /// What errors call it.
    pub(crate) fn path(&self) -> PathBuf {
        self.storage.place().join(self.database)
    }

    /// Which piece holds a place of the log, and where that begins.
    fn piece_at(&self, offset: u64) -> Option<(usize, u64)> {
        let mut start = LOG_START;
        for (index, piece) in self.manifest.pieces.iter().enumerate() {
            if offset < start + piece.len {
                return Some((index, start));
            }
            start += piece.len;
        }
        None
    }

    fn read_piece(&self, index: usize, within: u64, target: &mut [u8]) -> io::Result<usize> {
        let mut held = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|(held, _)| *held != index) {
            let piece = &self.manifest.pieces[index];
            let bytes = self.storage.get(&piece_name(self.database, &piece.sha256), PIECE_LEN)?;
            let whole =
                bytes.filter(|bytes| bytes.len() as u64 == piece.len && hash_of(bytes) == piece.sha256);
            let whole = whole
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a piece is missing or damaged"))?;
            *held = Some((index, whole));
        }
        let Some((_, bytes)) = held.as_ref() else { return Ok(0) };
        let from = usize::try_from(within).unwrap_or(usize::MAX).min(bytes.len());
        let len = target.len().min(bytes.len() - from);
        target[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }
}

impl File for Image<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.manifest.log_end())
    }

    fn modified_ns(&self) -> io::Result<u64> {
        Ok(self.manifest.time_ns)
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < target.len() {
            let at = offset + done as u64;
            let part = &mut target[done..];
            let read = if at < LOG_START {
                let from = usize::try_from(at).unwrap_or(usize::MAX) % BLOCK_LEN;
                let len = part.len().min(BLOCK_LEN - from);
                part[..len].copy_from_slice(&self.header[from..from + len]);
                len
            } else {
                match self.piece_at(at) {
                    Some((index, start)) => self.read_piece(index, at - start, part)?,
                    None => 0,
                }
            };
            if read == 0 {
                break;
            }
            done += read;
        }
        Ok(done)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn try_lock(&self, _: Lock) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn unlock(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Source for Image<'_> {
    fn len(&self) -> u64 {
        self.manifest.log_end()
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(target, offset)
    }

    /// Without a key, as far as that goes; whoever restores opens the copy with it.
    fn verify(&self, copy: &dyn File, path: &Path) -> Result<(), StorageError> {
        check_unkeyed(copy, path).map(|_| ())
    }
}
