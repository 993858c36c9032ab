//! Where a repository keeps its files: a few calls that a folder answers, and an object store could.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codex_storage::vfs::replace::{Existing, Replacement};
use codex_storage::vfs::{Access, File, FileKind, Lock, Vfs};

/// Named pieces of bytes that are put once and never changed. A name has at most one `/`, behind its folder's name.
pub trait RepositoryStorage: Debug + Send + Sync {
    /// What errors call it.
    fn place(&self) -> &Path;

    /// The names in a folder, in no order; none where there is no such folder. `""` is the repository's own.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// The bytes of a name; `None` if it does not exist, and an error if they are more than `len_max`.
    fn get(&self, name: &str, len_max: usize) -> io::Result<Option<Vec<u8>>>;

    /// Puts bytes under a name. At every instant it has none of them or all; durable when this returns.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a name, durably.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Keeps other writers out, or with [`Lock::Shared`] writers only, as long as what this returns lives; `None` if
    /// another process is in the way. What an exclusive holder then finds is durable.
    fn lock(&self, lock: Lock) -> io::Result<Option<RepositoryLock>>;
}

/// Holds the lock of a repository.
#[derive(Debug)]
pub struct RepositoryLock(#[expect(dead_code, reason = "it is held, not used")] Option<Arc<dyn File>>);

/// A repository in a folder.
#[derive(Debug)]
pub struct LocalStorage {
    vfs: Arc<dyn Vfs>,
    folder: PathBuf,
}

impl LocalStorage {
    /// The repository in this folder, which need not exist.
    #[must_use]
    pub fn new(vfs: Arc<dyn Vfs>, folder: &Path) -> Self {
        Self { vfs, folder: folder.to_path_buf() }
    }

    /// Removes what an interrupted [`RepositoryStorage::put`] left, and makes durable which names there are: whoever wrote
    /// last may have been killed before a folder's sync, and nothing may build on a name that a power loss takes away or
    /// brings back. Only the exclusive holder of the lock may.
    fn settle(&self) -> io::Result<()> {
        let mut folders = vec![self.folder.clone()];
        for name in self.vfs.list(&self.folder)? {
            let path = self.folder.join(name);
            if self.vfs.kind(&path)? == Some(FileKind::Directory) {
                folders.push(path);
            }
        }
        for folder in folders {
            for name in self.vfs.list(&folder)? {
                let name = name.to_string_lossy();
                if name.starts_with('.') && name.contains(".tmp-") {
                    self.vfs.remove(&folder.join(&*name))?;
                }
            }
            self.vfs.sync_directory(&folder)?;
        }
        Ok(())
    }
}

impl RepositoryStorage for LocalStorage {
    fn place(&self) -> &Path {
        &self.folder
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let folder = if folder.is_empty() { self.folder.clone() } else { self.folder.join(folder) };
        if self.vfs.kind(&folder)? != Some(FileKind::Directory) {
            return Ok(Vec::new());
        }
        let names = self.vfs.list(&folder)?;
        // A name that is not UTF-8 is none of ours.
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn get(&self, name: &str, len_max: usize) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.join(name);
        if self.vfs.kind(&path)?.is_none() {
            return Ok(None);
        }
        let file = self.vfs.open(&path, Access::Read)?;
        let len = usize::try_from(file.len()?).ok().filter(|len| *len <= len_max);
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is too long"))?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name);
        self.vfs.create_directories(path.parent().unwrap_or(&self.folder))?;
        let replacement = Replacement::create(&self.vfs, &path)?;
        replacement.file().write_all_at(bytes, 0)?;
        replacement.persist(Existing::Replace)?;
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        self.vfs.remove(&path)?;
        self.vfs.sync_directory(path.parent().unwrap_or(&self.folder))
    }

    fn lock(&self, lock: Lock) -> io::Result<Option<RepositoryLock>> {
        let path = self.folder.join(LOCK);
        let exclusive = lock == Lock::Exclusive;
        let access = if exclusive { Access::Write } else { Access::Read };
        if exclusive {
            self.vfs.create_directories(&self.folder)?;
        }
        let file = match self.vfs.kind(&path)? {
            None if exclusive => match self.vfs.create_new(&path) {
                // Another process was faster; the lock decides.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.vfs.open(&path, access)?,
                created => created?,
            },
            // A copy of a repository may lack it, and be where nothing can be written. Nobody writes there either.
            None => return Ok(Some(RepositoryLock(None))),
            Some(_) => self.vfs.open(&path, access)?,
        };
        if !file.try_lock(lock)? {
            return Ok(None);
        }
        if exclusive {
            self.settle()?;
        }
        Ok(Some(RepositoryLock(Some(file))))
    }
}

const LOCK: &str = "lock";
