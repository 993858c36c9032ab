//! A backup in a repository, read as the database file that it is, where it lies.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use codex_storage::format::header::{BLOCK_LEN, LOG_START};
use codex_storage::vfs::{Access, File, FileKind, Lock, Vfs};

use super::Found;
use super::manifest::{Manifest, PIECE_LEN, hash_of, manifest_name, piece_name};
use super::storage::RepositoryStorage;

/// The file that a manifest describes: header, header, and the pieces one behind the other. Every piece is checked
/// against its hash before a byte of it is given out.
#[derive(Debug)]
pub(crate) struct Image {
    storage: Arc<dyn RepositoryStorage>,
    database: String,
    manifest: Manifest,
    /// What errors call it: the manifest's own path.
    path: PathBuf,
    header: Vec<u8>,
    /// Where each piece begins; a repository of many years has many.
    starts: Vec<u64>,
    read: Mutex<Read>,
}

/// What reading has come to.
#[derive(Debug, Default)]
struct Read {
    /// The piece that was read last.
    piece: Option<(usize, Vec<u8>)>,
    /// The name of one that is not what was put there.
    damaged: Option<String>,
}

impl Image {
    pub(crate) fn new(storage: &Arc<dyn RepositoryStorage>, database: &str, found: &Found) -> Self {
        let Found { manifest, hash } = found;
        let starts = manifest.pieces.iter().scan(LOG_START, |next, piece| {
            let start = *next;
            *next += piece.len;
            Some(start)
        });
        Self {
            storage: Arc::clone(storage),
            database: database.to_owned(),
            manifest: manifest.clone(),
            path: storage.place().join(manifest_name(database, manifest.number, hash)),
            starts: starts.collect(),
            header: manifest.header_block().expect("checked as it was decoded"),
            read: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of a piece that was to be read and is not what was put there.
    pub(crate) fn damaged(&self) -> Option<String> {
        self.read().damaged.clone()
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which piece holds a place of the log, and where that begins; the last one holds what lies behind its end.
    fn piece_at(&self, offset: u64) -> Option<(usize, u64)> {
        let index = self.starts.partition_point(|start| *start <= offset).checked_sub(1)?;
        Some((index, self.starts[index]))
    }

    fn read_piece(&self, index: usize, within: u64, target: &mut [u8]) -> io::Result<usize> {
        let mut read = self.read();
        if read.piece.as_ref().is_none_or(|(held, _)| *held != index) {
            let piece = &self.manifest.pieces[index];
            let name = piece_name(&self.database, &piece.sha256);
            let bytes = match self.storage.get(&name, PIECE_LEN) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
                bytes => bytes?,
            };
            let whole =
                bytes.filter(|bytes| bytes.len() as u64 == piece.len && hash_of(bytes) == piece.sha256);
            let Some(whole) = whole else {
                read.damaged = Some(name);
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a piece is missing or damaged"));
            };
            read.piece = Some((index, whole));
        }
        let Some((_, bytes)) = read.piece.as_ref() else { return Ok(0) };
        let from = usize::try_from(within).unwrap_or(usize::MAX).min(bytes.len());
        let len = target.len().min(bytes.len() - from);
        target[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }
}

impl File for Image {
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

    // The repository's lock is held.
    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        Ok(lock == Lock::Shared)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file system with this one file, which can be read.
#[derive(Debug)]
pub(crate) struct ImageVfs(pub(crate) Arc<Image>);

impl Vfs for ImageVfs {
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        Ok((path == self.0.path()).then_some(FileKind::Regular))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        match access {
            Access::Read if path == self.0.path() => Ok(self.0.clone()),
            Access::Read => Err(io::ErrorKind::NotFound.into()),
            Access::Write => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }

    fn create_new(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create_directories(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
