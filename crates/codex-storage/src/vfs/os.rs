//! Real files: the only module that names `std::fs`.
//!
//! A call that a signal interrupts is repeated and a short write is continued (here, or in the standard
//! library), so that an error always means that the system refused. Files are opened so that nothing
//! blocks: whoever can place a FIFO where a database is expected must not be able to stop the program.
//!
//! Where systems differ: Linux sets space aside with `fallocate`; macOS syncs with `F_FULLFSYNC` (the
//! standard library does this); Windows has no folder sync and no file modes, so that there a name may
//! be lost with the power, and who may read a file follows from its folder.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Access, File, FileKind, Lock, Vfs, directory_of, name_is_durable};
use crate::sync::{Arc, AtomicBool, Ordering, RwLock};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl Vfs for OsVfs {
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(kind_of(&metadata))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        // Looked at by name first, because opening a device can already do something. What counts is
        // the look at the open file: the name may have changed hands in between.
        require_regular(&fs::metadata(path)?)?;
        let file = open_options(access).open(path)?;
        require_regular(&file.metadata()?)?;
        Ok(Arc::new(OsFile::new(file)))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = create_options().open(path)?;
        if let Err(error) = restrict(&file, FILE_MODE) {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Arc::new(OsFile::new(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(or_current(directory))?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        let path = or_current(path);
        match self.kind(path)? {
            Some(FileKind::Directory) => return name_is_durable(self.sync_directory(directory_of(path))),
            Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
            None => {}
        }
        let parent = directory_of(path);
        if parent != path {
            self.create_directories(parent)?;
        }
        match create_directory(path) {
            // Another process was first. Its sync may be yet to come, so ours still follows.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            result => result?,
        }
        self.sync_directory(parent)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        sync_directory(or_current(path))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve(path, &mut LINK_COUNT_MAX.clone())
    }
}

/// An open regular file.
#[derive(Debug)]
struct OsFile {
    file: fs::File,
    /// Shared by writes, exclusive while [`OsFile::lengthen`] compares and sets the length: a write that
    /// passes the end in between would be cut off.
    length: RwLock<()>,
    /// The lock was taken.
    locked: AtomicBool,
}

impl OsFile {
    fn new(file: fs::File) -> Self {
        Self { file, length: RwLock::new(()), locked: AtomicBool::new(false) }
    }

    /// Sets the length, but never to less than it is.
    fn lengthen(&self, len: u64) -> io::Result<()> {
        let _writes_wait = self.length.write();
        if self.len()? < len { self.file.set_len(len) } else { Ok(()) }
    }
}

impl Drop for OsFile {
    fn drop(&mut self) {
        // Said explicitly: a process that another thread is just starting has a copy of the descriptor until it runs
        // its own program, and with it the lock.
        if self.locked.load(Ordering::Acquire) {
            // Nobody to tell; closing the file releases the lock as well.
            let _ = self.file.unlock();
        }
    }
}

impl File for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn modified_ns(&self) -> io::Result<u64> {
        let modified = self.file.metadata()?.modified()?;
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<usize> {
        read_full(target, offset, |part, offset| read_some(&self.file, part, offset))
    }

    fn write_all_at(&self, source: &[u8], offset: u64) -> io::Result<()> {
        let _length_stays = self.length.read();
        write_full(source, offset, |part, offset| write_some(&self.file, part, offset))
    }

    fn sync(&self) -> io::Result<()> {
        // `fdatasync` also covers the length, and whatever else is needed to read the data back.
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
        if len > 0 && allocate(&self.file, offset, len)? {
            return Ok(());
        }
        self.lengthen(end)
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        let result = match lock {
            Lock::Exclusive => self.file.try_lock(),
            Lock::Shared => self.file.try_lock_shared(),
        };
        match result {
            Ok(()) => {
                // Pairs with the load of the drop, though dropping excludes every other call.
                self.locked.store(true, Ordering::Release);
                Ok(true)
            }
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

fn kind_of(metadata: &fs::Metadata) -> FileKind {
    if metadata.is_file() {
        FileKind::Regular
    } else if metadata.is_dir() {
        FileKind::Directory
    } else {
        FileKind::Other
    }
}

fn require_regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// The empty path, which stands for the current folder, in a form that the system takes.
fn or_current(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

/// Follows links at the end of `path` by hand, because `canonicalize` refuses a link to what is missing;
/// then does the same with the folders above it.
fn resolve(path: &Path, links_left: &mut u32) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    loop {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = directory_of(&path);
        // Put together again without a trailing slash, which would make the system follow the link.
        let named = directory.join(name);
        let is_link = match fs::symlink_metadata(&named) {
            Ok(metadata) => metadata.is_symlink(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_link {
            *links_left = links_left.checked_sub(1).ok_or_else(too_many_links)?;
            path = directory.join(fs::read_link(&named)?);
            continue;
        }
        let directory = match fs::canonicalize(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => resolve(directory, links_left)?,
            result => result?,
        };
        return Ok(directory.join(name));
    }
}

fn too_many_links() -> io::Error {
    io::Error::other("too many levels of symbolic links")
}

/// Reads until `target` is full or the file ends.
fn read_full(
    target: &mut [u8],
    offset: u64,
    mut read_some: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while done < target.len() {
        match read_some(&mut target[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes until nothing is left of `source`.
fn write_full(
    source: &[u8],
    offset: u64,
    mut write_some: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> io::Result<()> {
    let mut done = 0;
    while done < source.len() {
        match write_some(&source[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
use unix::{create_directory, create_options, open_options, read_some, restrict, sync_directory, write_some};

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use rustix::fs::OFlags;

    use super::{Access, DIRECTORY_MODE, FILE_MODE};

    pub(super) fn open_options(access: Access) -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(access == Access::Write);
        // `O_NONBLOCK` opens a FIFO without waiting for its other end; reads and writes of regular
        // files do not heed it. The standard library adds `O_CLOEXEC`.
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
        options
    }

    pub(super) fn create_options() -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        options
    }

    /// Sets the mode of an open file or folder, which at creation the umask and a folder's default
    /// access list have had a say in.
    pub(super) fn restrict(file: &fs::File, mode: u32) -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(mode))
    }

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path)?;
        // By name: under a umask that takes the owner's rights the folder cannot be opened yet.
        fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))
    }

    pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
        fs::OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::DIRECTORY.bits().cast_signed())
            .open(path)?
            .sync_all()
    }

    pub(super) fn read_some(file: &fs::File, target: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(target, offset)
    }

    pub(super) fn write_some(file: &fs::File, source: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(source, offset)
    }
}

#[cfg(windows)]
use windows::{
    create_directory, create_options, open_options, read_some, restrict, sync_directory, write_some,
};

#[cfg(windows)]
mod windows {
    use std::fs;
    use std::io;
    use std::os::windows::fs::FileExt;
    use std::path::Path;

    use super::Access;

    pub(super) fn open_options(access: Access) -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(access == Access::Write);
        options
    }

    pub(super) fn create_options() -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        options
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same signature on every system")]
    pub(super) fn restrict(_: &fs::File, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    /// Does nothing: Windows has no call for it.
    #[expect(clippy::unnecessary_wraps, reason = "the same signature on every system")]
    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn read_some(file: &fs::File, target: &mut [u8], offset: u64) -> io::Result<usize> {
        match file.seek_read(target, offset) {
            // `ERROR_HANDLE_EOF`: how a positional read says that it starts behind the end.
            Err(error) if error.raw_os_error() == Some(38) => Ok(0),
            result => result,
        }
    }

    pub(super) fn write_some(file: &fs::File, source: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(source, offset)
    }
}

/// Lengthens the file over `offset..offset + len` with blocks set aside; `false` where the file system cannot.
#[cfg(target_os = "linux")]
fn allocate(file: &fs::File, offset: u64, len: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    loop {
        match fallocate(file, FallocateFlags::empty(), offset, len) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature on every system")]
fn allocate(_: &fs::File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

const FILE_MODE: u32 = 0o600;
#[cfg(unix)]
const DIRECTORY_MODE: u32 = 0o700;

/// As many links as Linux follows in one path (`path_resolution(7)`).
const LINK_COUNT_MAX: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_and_shortened_write_is_continued() {
        let mut disk = vec![0; 10];
        let mut calls = 0;
        write_full(b"abcdefgh", 2, |part, offset| {
            calls += 1;
            if calls % 2 == 1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let (start, len) = (usize::try_from(offset).unwrap(), part.len().min(3));
            disk[start..start + len].copy_from_slice(&part[..len]);
            Ok(len)
        })
        .unwrap();
        assert_eq!(disk, b"\0\0abcdefgh");
    }

    #[cfg(unix)]
    #[test]
    fn a_dropped_file_is_unlocked_although_a_process_being_started_has_a_copy_of_its_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = OsFile::new(create_options().open(&path).unwrap());
        assert!(file.try_lock(Lock::Exclusive).unwrap());
        let inherited = file.file.try_clone().unwrap();
        let other = OsVfs.open(&path, Access::Write).unwrap();
        assert!(!other.try_lock(Lock::Shared).unwrap());
        drop(file);
        assert!(other.try_lock(Lock::Exclusive).unwrap());
        drop(inherited);
    }

    #[test]
    fn a_write_that_makes_no_progress_is_write_zero() {
        let error = write_full(b"ab", 0, |_, _| Ok(0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn an_interrupted_and_shortened_read_is_continued_to_the_end() {
        let mut target = [0; 8];
        let mut calls = 0;
        let len = read_full(&mut target, 5, |part, offset| {
            calls += 1;
            if calls == 2 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let left = usize::try_from(11 - offset).unwrap();
            let len = left.min(part.len()).min(4);
            part[..len].fill(b'x');
            Ok(len)
        });
        assert_eq!((len.unwrap(), &target), (6, b"xxxxxx\0\0"));
    }
}
