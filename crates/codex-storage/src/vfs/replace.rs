//! The one way in which a file is created or replaced: temporary, sync, rename, sync of the folder.
//!
//! At every instant the target's name leads to the whole old file or the whole new one. The name of a
//! temporary, `.<target name>.tmp-<16 hexadecimal digits>`, says whose it is: one that a crash left is
//! removed by whoever next opens the same target for writing ([`remove_temporaries`]). Callers hold
//! their target's lock, so that there is one writer of temporaries per target.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::{File, FileKind, Vfs, directory_of};
use crate::sync::Arc;

/// A file being written under a temporary name in the target's folder; removed on drop unless persisted.
#[derive(Debug)]
pub struct Replacement {
    vfs: Arc<dyn Vfs>,
    target: PathBuf,
    file: Arc<dyn File>,
    temporary: Temporary,
}

impl Replacement {
    /// Creates the temporary, empty. The target's folder must exist.
    pub fn create(vfs: &Arc<dyn Vfs>, target: &Path) -> io::Result<Self> {
        let mut name = prefix(target)?;
        let random = codex_crypto::random::bytes::<RANDOM_LEN>().map_err(io::Error::other)?;
        name.push(hexadecimal(random));
        let path = directory_of(target).join(name);
        let file = vfs.create_new(&path)?;
        let temporary = Temporary { vfs: Arc::clone(vfs), path, stands: true };
        Ok(Self { vfs: Arc::clone(vfs), target: target.to_path_buf(), file, temporary })
    }

    /// The temporary, to be written.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Where the temporary is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.temporary.path
    }

    /// Gives the file its target's name, and returns it once content and name are durable.
    ///
    /// [`Existing::Refuse`] looks before it renames, and another process could create the target in
    /// between: the lock that callers hold on their target keeps it out.
    ///
    /// # Errors
    /// When the sync or the rename fails, or the target exists and must not, the temporary is removed
    /// and the target stays what it was. When only the folder's sync fails, the target is the new file to
    /// every program, but after a power loss may be the old one (or none) again: nothing may be
    /// acknowledged in it, nor in the old one. The same holds where a rename took place and yet reports an error, as
    /// those of network file systems may. [`is_unsettled`] tells such an error from the others.
    pub fn persist(mut self, existing: Existing) -> io::Result<Arc<dyn File>> {
        self.file.sync()?;
        if existing == Existing::Refuse && self.vfs.kind(&self.target)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let unsettled =
            |target, source: io::Error| io::Error::new(source.kind(), Unsettled { target, source });
        if let Err(source) = self.vfs.rename(&self.temporary.path, &self.target) {
            let renamed = !matches!(self.vfs.kind(&self.temporary.path), Ok(Some(_)));
            return Err(if renamed { unsettled(self.target, source) } else { source });
        }
        self.temporary.stands = false;
        // Without this sync a power loss may bring back what the name meant before.
        match self.vfs.sync_directory(directory_of(&self.target)) {
            Ok(()) => Ok(self.file),
            Err(source) => Err(unsettled(self.target, source)),
        }
    }
}

/// Writes a long file in short steps, each synced before the next. One sync of all of it would keep the disk busy for
/// as long as that takes, and every commit with it.
#[derive(Debug)]
pub struct SteppedWriter {
    file: Arc<dyn File>,
    unsynced: usize,
}

impl SteppedWriter {
    /// A writer of `file`, which it leaves unsynced for less than a step.
    #[must_use]
    pub fn new(file: Arc<dyn File>) -> Self {
        Self { file, unsynced: 0 }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for part in bytes.chunks(STEP_LEN) {
            self.file.write_all_at(part, offset)?;
            offset += part.len() as u64;
            self.unsynced += part.len();
            if self.unsynced >= STEP_LEN {
                self.sync()?;
            }
        }
        Ok(())
    }

    /// Makes durable what is written.
    pub fn sync(&mut self) -> io::Result<()> {
        self.unsynced = 0;
        self.file.sync()
    }
}

/// What [`Replacement::persist`] does with a file that has the target's name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Replaces it.
    Replace,
    /// Fails with [`io::ErrorKind::AlreadyExists`].
    Refuse,
}

/// A file was renamed over its target, but not for sure durably: the source of such an
/// [`io::Error`] of [`Replacement::persist`].
#[derive(Debug, thiserror::Error)]
#[error("cannot make the new name of {} durable", target.display())]
pub struct Unsettled {
    target: PathBuf,
    source: io::Error,
}

/// Whether [`Replacement::persist`] failed after its rename, so that a power loss may still undo it.
#[must_use]
pub fn is_unsettled(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<Unsettled>)
}

/// Removes what interrupted replacements of this target left, and says how many files that were. The
/// removal is durable when this returns.
pub fn remove_temporaries(vfs: &dyn Vfs, target: &Path) -> io::Result<usize> {
    let directory = directory_of(target);
    let mut removed = 0;
    for path in temporaries(&vfs.list(directory)?, target)? {
        if vfs.kind(&path)? == Some(FileKind::Regular) {
            vfs.remove(&path)?;
            removed += 1;
        }
    }
    if removed > 0 {
        vfs.sync_directory(directory)?;
    }
    Ok(removed)
}

/// Which of the names in a target's folder are those of its temporaries, as paths.
pub fn temporaries(names: &[OsString], target: &Path) -> io::Result<Vec<PathBuf>> {
    let prefix = prefix(target)?;
    let ours = |name: &&OsString| {
        name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes()).is_some_and(is_random_part)
    };
    Ok(names.iter().filter(ours).map(|name| directory_of(target).join(name)).collect())
}

/// The name of a temporary, which goes when its replacement does.
#[derive(Debug)]
struct Temporary {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    stands: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.stands {
            // Nobody to tell; the next opening for writing tries again.
            let _ = self.vfs.remove(&self.path);
        }
    }
}

/// What the names of all temporaries of `target` begin with.
fn prefix(target: &Path) -> io::Result<OsString> {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    prefix.push(".tmp-");
    Ok(prefix)
}

fn hexadecimal(bytes: [u8; RANDOM_LEN]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

fn is_random_part(text: &[u8]) -> bool {
    text.len() == 2 * RANDOM_LEN && text.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

const RANDOM_LEN: usize = 8;
/// The most that a commit finds in front of it on the disk, in bytes: what a disk writes in about the time of a sync.
const STEP_LEN: usize = 128 << 10;
