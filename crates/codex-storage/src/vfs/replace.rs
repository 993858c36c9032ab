//! The one way in which a file is created or replaced: write a temporary, sync it, rename it, sync the folder.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::{File, Vfs};
use crate::sync::Arc;

/// What to do about a file that stands at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Replace,
    /// It is left, and [`Replacement::persist`] fails with [`io::ErrorKind::AlreadyExists`]. The check comes
    /// before the rename; who must exclude other processes holds the target's lock.
    Refuse,
}

/// A file under a temporary name beside its target. Removed when dropped, unless it was persisted.
#[derive(Debug)]
pub struct Replacement {
    vfs: Arc<dyn Vfs>,
    target: PathBuf,
    temporary: PathBuf,
    file: Arc<dyn File>,
    persisted: bool,
}

/// Why a file was not put in place.
#[derive(Debug, thiserror::Error)]
#[error("the file was not put in place")]
pub struct PersistError {
    /// What failed.
    #[source]
    pub error: io::Error,
    /// The rename was done, and its folder could not be synced: after a crash either file may stand there.
    pub renamed: bool,
}

impl From<PersistError> for io::Error {
    fn from(failure: PersistError) -> Self {
        failure.error
    }
}

impl Replacement {
    /// An empty file beside `target`, named `.TARGET.tmp-` and 16 random digits.
    pub fn create(vfs: &Arc<dyn Vfs>, target: &Path) -> io::Result<Self> {
        let random = codex_crypto::random::bytes::<8>().map_err(io::Error::other)?;
        let mut name = temporary_prefix(target)?;
        name.push(format!("{:016x}", u64::from_le_bytes(random)));
        let temporary = target.with_file_name(name);
        let file = vfs.create_new(&temporary)?;
        Ok(Self { vfs: vfs.clone(), target: target.to_path_buf(), temporary, file, persisted: false })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Its temporary path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives the file its name. It is durable, content and name, when this returns.
    pub fn persist(mut self, existing: Existing) -> Result<Arc<dyn File>, PersistError> {
        let before = |error| PersistError { error, renamed: false };
        self.file.sync().map_err(before)?;
        if existing == Existing::Refuse && self.vfs.kind(&self.target).map_err(before)?.is_some() {
            return Err(before(io::ErrorKind::AlreadyExists.into()));
        }
        self.vfs.rename(&self.temporary, &self.target).map_err(before)?;
        self.persisted = true;
        // Without it a power loss may bring back the old name.
        let folder = self.target.parent().unwrap_or(Path::new("."));
        self.vfs.sync_directory(folder).map_err(|error| PersistError { error, renamed: true })?;
        Ok(self.file.clone())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.persisted {
            // What is left, because removing fails as well, goes at the next opening for writing.
            let _ = self.vfs.remove(&self.temporary);
        }
    }
}

/// Removes what interrupted replacements of `target` have left. Only for the holder of its exclusive lock.
pub fn remove_temporaries(vfs: &dyn Vfs, target: &Path) -> io::Result<usize> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let prefix = temporary_prefix(target)?;
    let mut count = 0;
    for name in vfs.list(folder)? {
        if is_temporary(&name, &prefix) {
            vfs.remove(&folder.join(name))?;
            count += 1;
        }
    }
    if count > 0 {
        vfs.sync_directory(folder)?;
    }
    Ok(count)
}

fn is_temporary(name: &OsStr, prefix: &OsStr) -> bool {
    let digits = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn temporary_prefix(target: &Path) -> io::Result<std::ffi::OsString> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".tmp-");
    Ok(prefix)
}
