//! What can be seen of a database from outside: without its key, without a lock, and while another process has it open.
//!
//! Nobody has authenticated any of it: whoever can write to the file can make this say anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codex_storage::vfs::os::OsVfs;

use crate::error::Result;
use crate::options::home_path;

pub use codex_storage::{FilesBeside, HeaderCopy, Inspection, TailReading};

/// Reads the header of the database at `path`, and its length.
pub fn header(path: impl AsRef<Path>) -> Result<Inspection> {
    Ok(codex_storage::inspect(&OsVfs, path.as_ref())?)
}

/// Looks which files stand beside the database at `path`, which may itself be missing.
pub fn files_beside(path: impl AsRef<Path>) -> Result<FilesBeside> {
    Ok(codex_storage::files_beside(&OsVfs, path.as_ref())?)
}

/// Where the database called `name` in the user's folder is, or would be, as
/// [`Options::open_home`](crate::Options::open_home) finds it.
pub fn path_of_home(name: &str) -> Result<PathBuf> {
    home_path(name)
}

/// Follows the log of a database that another process writes. That process is not held up, and need not know.
///
/// ```
/// # fn main() -> codex::Result<()> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let path = folder.path().join("app.db");
/// let store = codex::Store::open(&path)?;
/// let mut tail = codex::inspect::LogTail::open(&path)?;
/// store.set("name", "Ada")?;
/// assert_eq!(tail.poll()?.sequence, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LogTail(codex_storage::LogTail);

impl LogTail {
    /// A tail of the database at `path`, from now on. Reads what stands behind the recorded floor, which is little.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self(codex_storage::LogTail::open(Arc::new(OsVfs), path.as_ref())?))
    }

    /// Reads what was written since, and says how far the log goes now. A commit is seen once the system has it, which
    /// may be a moment before it is acknowledged.
    pub fn poll(&mut self) -> Result<TailReading> {
        Ok(self.0.poll()?)
    }
}
