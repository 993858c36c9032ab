//! The file system as the engines need it, and no more.
//!
//! Everything above this module reaches files through [`Vfs`] and [`File`], so that tests can put a
//! simulated disk below it that crashes, fills up and lies. Only `vfs/os.rs` names `std::fs`.
//!
//! What every implementation promises: a file that it creates is readable and writable by its owner only
//! (0600), a folder 0700, whatever the umask; a short write or an interrupted call (`EINTR`) is
//! continued, never reported as success.

pub mod os;
pub mod replace;
pub mod sim;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use crate::sync::Arc;

/// Opens, names and removes files.
pub trait Vfs: Debug + Send + Sync {
    /// What stands at `path`, links followed; `None` where nothing does.
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>>;

    /// Opens an existing regular file. Never waits: what is not a regular file is an
    /// [`io::ErrorKind::InvalidInput`].
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>>;

    /// Creates a file for reading and writing where nothing stands ([`io::ErrorKind::AlreadyExists`] otherwise).
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Gives the file at `from` the name `to`, which may exist and is then replaced. Both are in one
    /// folder; durable once [`Vfs::sync_directory`] of that folder has returned.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Creates a folder and those above it that are missing, and makes their names durable; also that of the first one
    /// that is there, whose maker may have been killed before it did.
    fn create_directories(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a folder durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// The path with links followed and made absolute. The file itself, and folders at the end of the
    /// path, may be missing; a dangling link gives the path it names.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
}

/// The folder that `path` lies in; the current one (`.`) where `path` is a bare name, and the root for
/// the root.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

/// How syncing the folder above one that was already there ended. The process that made it may have been killed before
/// its own sync; but above a folder that somebody else made, we may not be allowed to read.
fn name_is_durable(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// An open file. All methods take an offset: there is no cursor to share.
pub trait File: Debug + Send + Sync {
    /// Length of the file, in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// When the content was last changed, in nanoseconds since the Unix epoch.
    fn modified_ns(&self) -> io::Result<u64>;

    /// Reads up to `target.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `target`; [`io::ErrorKind::UnexpectedEof`] where the file ends first.
    fn read_exact_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read_at(target, offset)? == target.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Writes all of `source`. After an error any part of it may have been written.
    fn write_all_at(&self, source: &[u8], offset: u64) -> io::Result<()>;

    /// Returns once every earlier write and change of length is durable. After an error nothing is known
    /// about which of them are, and a later success says nothing about them.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file, or lengthens it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Lengthens the file to `offset + len` bytes and sets space aside for them where the system can;
    /// they read as zeros.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Takes the file's lock at once, for as long as the file is open; `false` if another opening of the file has it.
    fn try_lock(&self, lock: Lock) -> io::Result<bool>;

    /// Releases the lock.
    fn unlock(&self) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// A file's lock: one exclusive holder, or any number of shared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Held by a writer.
    Exclusive,
    /// Held by readers.
    Shared,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A folder.
    Directory,
    /// A FIFO, a socket, a device.
    Other,
}
