//! Real files. The only module that names `std::fs`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Access, File, FileKind, Lock, Vfs};
use crate::sync::Arc;

/// The system's files.
///
/// On Windows folders cannot be synced: a rename that was acknowledged may be undone by a power loss.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

#[derive(Debug)]
struct OsFile(fs::File);

impl Vfs for OsVfs {
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(FileKind::Regular)),
            Ok(metadata) if metadata.is_dir() => Ok(Some(FileKind::Directory)),
            Ok(_) => Ok(Some(FileKind::Other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        // Asked before as well as after opening: opening a folder or a device can fail or wait by itself.
        if self.kind(path)?.is_some_and(|kind| kind != FileKind::Regular) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut options = fs::OpenOptions::new();
        options.read(true).write(access == Access::Write);
        no_waiting(&mut options);
        let file = options.open(path)?;
        if file.metadata()?.is_file() { Ok(Arc::new(OsFile(file))) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        owner_only(&mut options);
        let file = options.open(path)?;
        // The umask can only take away; what it took from the owner is given back here.
        restrict_file(&file)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        self.create_directories(parent)?;
        match create_directory(path) {
            Ok(()) => self.sync_directory(parent),
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        if cfg!(windows) { Ok(()) } else { fs::File::open(path)?.sync_all() }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut path = path.to_path_buf();
        for _ in 0..LINKS_MAX {
            if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
                let name = match path.components().next_back() {
                    Some(Component::Normal(name)) => name.to_os_string(),
                    _ => return Err(io::ErrorKind::InvalidInput.into()),
                };
                return Ok(resolve_folder(path.parent().unwrap_or(Path::new("")))?.join(name));
            }
            // A relative link starts from the folder of the link.
            let link = fs::read_link(&path)?;
            path = path.parent().unwrap_or(Path::new("")).join(link);
        }
        Err(io::Error::other("too many levels of symbolic links"))
    }
}

/// The folder with links followed; folders at the end of the path may be missing.
fn resolve_folder(path: &Path) -> io::Result<PathBuf> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(error) };
            Ok(resolve_folder(parent)?.join(name))
        }
        resolved => resolved,
    }
}

impl File for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified_ns(&self) -> io::Result<u64> {
        let since_epoch = self.0.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut len = 0;
        while len < target.len() {
            match read_some_at(&self.0, &mut target[len..], offset + len as u64) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    fn write_all_at(&self, source: &[u8], offset: u64) -> io::Result<()> {
        let mut len = 0;
        while len < source.len() {
            match write_some_at(&self.0, &source[len..], offset + len as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // The length is made durable as well where it changed; times are not worth a second write.
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), offset, len) {
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            done => return Ok(done?),
        }
        let end = offset + len;
        if end > self.len()? { self.0.set_len(end) } else { Ok(()) }
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        let locked = match lock {
            Lock::Exclusive => self.0.try_lock(),
            Lock::Shared => self.0.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    pub(super) fn no_waiting(options: &mut fs::OpenOptions) {
        // A FIFO that takes the file's place between the check and the opening must not make us wait.
        let flag = rustix::fs::OFlags::NONBLOCK.bits();
        options.custom_flags(i32::try_from(flag).expect("open flags are small"));
    }

    pub(super) fn owner_only(options: &mut fs::OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn restrict_file(file: &fs::File) -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(0o600))
    }

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }

    pub(super) fn read_some_at(file: &fs::File, target: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(target, offset)
    }

    pub(super) fn write_some_at(file: &fs::File, source: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(source, offset)
    }
}
#[cfg(unix)]
use unix::{create_directory, no_waiting, owner_only, read_some_at, restrict_file, write_some_at};

#[cfg(windows)]
mod windows {
    use std::fs;
    use std::io;
    use std::os::windows::fs::FileExt;
    use std::path::Path;

    pub(super) fn no_waiting(_: &mut fs::OpenOptions) {}

    /// Files take the permissions of their folder.
    pub(super) fn owner_only(_: &mut fs::OpenOptions) {}

    pub(super) fn restrict_file(_: &fs::File) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub(super) fn read_some_at(file: &fs::File, target: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(target, offset)
    }

    pub(super) fn write_some_at(file: &fs::File, source: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(source, offset)
    }
}
#[cfg(windows)]
use windows::{create_directory, no_waiting, owner_only, read_some_at, restrict_file, write_some_at};

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;
