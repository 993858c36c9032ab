//! A simulated disk for tests: in memory, decided by a seed, with crashes, faults and rot on demand.
//!
//! It knows what is durable and what is only cached, for contents (per sector of 512 bytes) and for the
//! names in folders. What it takes from real systems, and so what code that passes on it can bear:
//!
//! - A **power loss** ([`SimVfs::crash`]) keeps any subset of what was not synced, in any order. A sector
//!   is old, new, as it was in between, torn, or zero where it was written; a length may have grown without
//!   its data or not have grown with it. A name that was created, renamed or removed is there or not; a
//!   rename is atomic for its target, but both names may be there. Synced bytes that were not written
//!   again, and synced names that were not changed again, always survive.
//! - A **killed process** ([`SimVfs::process_crash`]) loses nothing that the system was handed; locks are
//!   released. A write that was interrupted may have been handed over in part.
//! - A **failed file sync** drops what it should have written: that reads as on disk again, or as
//!   written although it never gets there, and the next sync reports success (Linux since 4.13; see Rebello
//!   et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Lengths and names are
//!   different: journaling file systems keep what a failed sync did not write and a later sync covers it.
//! - A **write that finds no space** is done as far as there is space.
//!
//! Not simulated: links, modes, other kinds of files, and the time, which is a counter.
//!
//! Every call of a method of [`Vfs`] and [`File`] is an operation. To stop a history at each of its operations
//! in turn, run it once, read [`SimVfs::operations`], and run it again with [`SimVfs::stop_at`] each smaller
//! number:
//!
//! ```
//! # use codex_storage::vfs::{Vfs, File, sim::{MachineOff, SimVfs}};
//! # use std::path::Path;
//! # fn main() -> std::io::Result<()> {
//! let history = |disk: &SimVfs| {
//!     let file = disk.create_new(Path::new("/data"))?;
//!     file.write_all_at(b"synced", 0)?;
//!     file.sync()?;
//!     disk.sync_directory(Path::new("/"))
//! };
//! let disk = SimVfs::new(1);
//! history(&disk)?;
//! for number in 0..disk.operations() {
//!     let disk = SimVfs::new(1);
//!     disk.stop_at(number);
//!     assert!(history(&disk).is_err_and(|error| MachineOff::is(&error)));
//!     for seed in 0..8 {
//!         let rebooted = disk.crash(seed);
//!         // Here a store would be opened on `rebooted` and what it holds be judged.
//!         drop(rebooted);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod content;
mod random;
mod tree;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use self::content::{Content, Dropped, Mood, SECTOR_LEN};
use self::tree::{Entry, Folder, NodeId};
use super::{Access, File, FileKind, Lock, Vfs, directory_of, name_is_durable};
use crate::sync::{Arc, Mutex};

pub use self::random::Random;

/// A simulated disk in a simulated machine. Clones are the same machine; [`SimVfs::snapshot`] copies it.
///
/// The root folder `/` exists, and relative paths start there.
#[derive(Clone)]
pub struct SimVfs {
    machine: Arc<Mutex<Machine>>,
}

impl SimVfs {
    /// An empty disk of unlimited size. The seed decides how faults strike; crashes have seeds of their own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Folder::default())]);
        let disk = Disk { nodes: BTreeMap::new(), folders: root, capacity: None, clock: 0, nodes_made: 0 };
        Self::boot(disk, Random::new(seed))
    }

    /// Loses the power: this machine is off from now on, and the machine that is returned holds what may
    /// have been left of the disk. May be called again, with other seeds, for what else may have been left.
    ///
    /// Faults, the log and the count of operations do not pass to the new machine; the capacity does.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut machine = self.machine.lock();
        machine.off = true;
        let mut random = Random::new(seed);
        let disk = machine.disk.after_power_loss(&mut random);
        Self::boot(disk, random)
    }

    /// Kills all processes: this machine is off from now on, and the machine that is returned has the
    /// disk as it was, what is not synced included, with nothing open and nothing locked.
    #[must_use]
    pub fn process_crash(&self) -> Self {
        let mut machine = self.machine.lock();
        // In one step with the copy: what another thread is told in between would be lost.
        machine.off = true;
        machine.copy()
    }

    /// An independent copy of the disk as it is, what is not synced included, with nothing open.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        self.machine.lock().copy()
    }

    /// How many operations were begun, and so the number of the next one. Refused ones count.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.machine.lock().operations
    }

    /// The last operations (up to 65,536), oldest first; to be printed when a test fails.
    #[must_use]
    pub fn log(&self) -> Vec<Logged> {
        self.machine.lock().log.iter().cloned().collect()
    }

    /// Stops the machine at the operation after `skip` others from now: this and every later one fails with
    /// [`MachineOff`]. If it is a write, a part of it may have been handed over.
    pub fn stop_at(&self, skip: u64) {
        let mut machine = self.machine.lock();
        machine.stop_at = Some(machine.operations.saturating_add(skip));
    }

    /// Lets the operation after `skip` others from now fail, whatever it is.
    pub fn fail_at(&self, skip: u64, fault: Fault) {
        let mut machine = self.machine.lock();
        let number = machine.operations.saturating_add(skip);
        machine.planned.push(Planned { when: When::Number(number), fault });
    }

    /// Lets the operation of this class that comes after `skip` others of it from now fail.
    pub fn fail_next(&self, operation: Operation, skip: u64, fault: Fault) {
        self.machine.lock().planned.push(Planned { when: When::Class { operation, skip }, fault });
    }

    /// Lets every operation of this class fail, until [`SimVfs::clear_faults`].
    pub fn fail_always(&self, operation: Operation, fault: Fault) {
        self.machine.lock().planned.push(Planned { when: When::Always(operation), fault });
    }

    /// Takes back every fault and [`SimVfs::stop_at`] that did not strike yet.
    pub fn clear_faults(&self) {
        let mut machine = self.machine.lock();
        machine.planned.clear();
        machine.stop_at = None;
    }

    /// Limits the sum of the lengths of all files that have a name or are open, in bytes. Files that are
    /// already longer stay.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.machine.lock().disk.capacity = bytes;
    }

    /// The content of a file, as programs see it. Not an operation.
    pub fn read_file(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let mut machine = self.machine.lock();
        let node = machine.disk.file(&normal(path.as_ref()))?;
        Ok(machine.disk.node(node).content.bytes().to_vec())
    }

    /// Gives a file this content, durable at once, past every open handle's back; creates it, and folders
    /// above it, where missing. Not an operation.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = normal(path.as_ref());
        self.machine.lock().disk.place(&path, bytes.to_vec())
    }

    /// Every file with its content, as programs see it. Two disks with equal files read the same.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let machine = self.machine.lock();
        let disk = &machine.disk;
        let named = disk.folders.iter().flat_map(|(path, folder)| {
            folder.names().filter_map(move |name| match folder.get(name) {
                Some(Entry::File(node)) => {
                    Some((path.join(name), disk.nodes[&node].content.bytes().to_vec()))
                }
                _ => None,
            })
        });
        named.collect()
    }

    /// The paths of all files, in order.
    #[must_use]
    pub fn file_names(&self) -> Vec<PathBuf> {
        self.files().into_keys().collect()
    }

    /// Flips a bit, on disk and in memory; bit 0 is the lowest of the first byte.
    pub fn flip_bit(&self, path: impl AsRef<Path>, bit: u64) -> io::Result<()> {
        self.rot(path.as_ref(), bit / 8, 1, |bytes| {
            bytes[0] ^= 1 << (bit % 8);
        })
    }

    /// Changes bytes of a file, on disk and in memory, without making it longer.
    pub fn overwrite(&self, path: impl AsRef<Path>, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.rot(path.as_ref(), offset, bytes.len(), |target| {
            target.copy_from_slice(bytes);
        })
    }

    /// Cuts a file, on disk and in memory; what was not synced is durable with it. Never makes it longer.
    pub fn truncate(&self, path: impl AsRef<Path>, len: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |content| {
            let kept =
                usize::try_from(len).ok().and_then(|len| content.bytes().get(..len)).ok_or_else(outside)?;
            *content = Content::settled(kept.to_vec());
            Ok(())
        })
    }

    /// Makes a sector (numbered from 0, of 512 bytes) read as zeros.
    pub fn zero_sector(&self, path: impl AsRef<Path>, sector: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |content| {
            let range = content.sector_range(sector).ok_or_else(outside)?;
            content.rot(range, |bytes| bytes.fill(0)).then_some(()).ok_or_else(outside)
        })
    }

    /// Exchanges two whole sectors.
    pub fn swap_sectors(&self, path: impl AsRef<Path>, one: u64, other: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |content| {
            let range_of = |sector| {
                content.sector_range(sector).filter(|range| range.len() == SECTOR_LEN).ok_or_else(outside)
            };
            let (one, other) = (range_of(one)?, range_of(other)?);
            let (first, second) =
                (content.bytes()[one.clone()].to_vec(), content.bytes()[other.clone()].to_vec());
            content.rot(one, |bytes| bytes.copy_from_slice(&second));
            content.rot(other, |bytes| bytes.copy_from_slice(&first));
            Ok(())
        })
    }

    /// Brings back what the last sync that wrote this sector has overwritten, as a disk does that has
    /// lost a write it had acknowledged. [`io::ErrorKind::NotFound`] where no sync has overwritten anything.
    pub fn revert_sector(&self, path: impl AsRef<Path>, sector: u64) -> io::Result<()> {
        self.edit(path.as_ref(), |content| {
            let range = content.sector_range(sector).ok_or_else(outside)?;
            let previous = *content.previous(sector).ok_or(io::ErrorKind::NotFound)?;
            content.rot(range, |bytes| {
                bytes.copy_from_slice(&previous[..bytes.len()]);
            });
            Ok(())
        })
    }

    fn boot(disk: Disk, random: Random) -> Self {
        let machine = Machine {
            nodes_before_sweep: 2 * disk.nodes.len() + NODES_BEFORE_SWEEP_MIN,
            disk,
            random,
            off: false,
            operations: 0,
            stop_at: None,
            planned: Vec::new(),
            log: VecDeque::new(),
            openings: 0,
        };
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    fn rot(&self, path: &Path, offset: u64, len: usize, change: impl Fn(&mut [u8])) -> io::Result<()> {
        self.edit(path, |content| {
            let start = usize::try_from(offset).map_err(|_| outside())?;
            let end = start.checked_add(len).ok_or_else(outside)?;
            content.rot(start..end, &change).then_some(()).ok_or_else(outside)
        })
    }

    fn edit<T>(&self, path: &Path, edit: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut machine = self.machine.lock();
        let node = machine.disk.file(&normal(path))?;
        edit(Arc::make_mut(&mut machine.disk.node(node).content))
    }

    fn handle(&self, node: NodeId, opening: u64, access: Access, path: Arc<Path>) -> Arc<dyn File> {
        Arc::new(SimFile { machine: Arc::clone(&self.machine), node, opening, access, path })
    }
}

impl fmt::Debug for SimVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimVfs").finish_non_exhaustive()
    }
}

impl Vfs for SimVfs {
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        let path = normal(path);
        let mut machine = self.machine.lock();
        machine.perform(Operation::Kind, &path)?;
        Ok(machine.disk.lookup(&path).map(|entry| match entry {
            Entry::File(_) => FileKind::Regular,
            Entry::Folder => FileKind::Directory,
        }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let path = normal(path);
        let mut machine = self.machine.lock();
        machine.perform(Operation::Open, &path)?;
        let node = machine.disk.file(&path)?;
        let opening = machine.open(node);
        drop(machine);
        Ok(self.handle(node, opening, access, path))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let path = normal(path);
        let mut machine = self.machine.lock();
        let stop = machine.begin(Operation::Create, &path, Detail::None)?;
        let (folder, name) = machine.disk.vacant(&path)?;
        let node = machine.disk.make_node(Content::default());
        machine.disk.folder(&folder)?.add(name, Entry::File(node));
        finish(stop)?;
        let opening = machine.open(node);
        drop(machine);
        Ok(self.handle(node, opening, Access::Write, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        let mut machine = self.machine.lock();
        let stop = machine.begin(Operation::Rename, &from, Detail::To(Arc::clone(&to)))?;
        let node = machine.disk.file(&from)?;
        let ((folder, from), (to_folder, to)) = (split(&from)?, split(&to)?);
        if folder != to_folder {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let folder = machine.disk.folder(&folder)?;
        match folder.get(&to) {
            Some(Entry::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
            // Two names of one file, which an interrupted rename has left: POSIX lets both stand.
            Some(entry) if entry == Entry::File(node) => {}
            _ => folder.rename(from, to, Entry::File(node)),
        }
        machine.sweep();
        finish(stop)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut machine = self.machine.lock();
        let stop = machine.begin(Operation::Remove, &path, Detail::None)?;
        machine.disk.file(&path)?;
        let (folder, name) = split(&path)?;
        machine.disk.folder(&folder)?.remove(name);
        machine.sweep();
        finish(stop)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let path = normal(directory);
        let mut machine = self.machine.lock();
        machine.perform(Operation::List, &path)?;
        Ok(machine.disk.folder(&path)?.names().cloned().collect())
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        match self.kind(path)? {
            Some(FileKind::Directory) => return name_is_durable(self.sync_directory(directory_of(path))),
            Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
            None => {}
        }
        let path = normal(path);
        let parent = directory_of(&path);
        self.create_directories(parent)?;
        self.machine.lock().create_directory(&path)?;
        self.sync_directory(parent)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let machine = &mut *self.machine.lock();
        let stop = machine.begin(Operation::SyncDirectory, &path, Detail::None)?;
        let folder = machine.disk.folder(&path)?;
        if stop.is_some() {
            folder.sync_in_part(&mut machine.random);
        } else {
            folder.sync();
        }
        machine.sweep();
        finish(stop)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        if path.file_name().is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let path = normal(path);
        self.machine.lock().perform(Operation::Resolve, &path)?;
        Ok(path.to_path_buf())
    }
}

/// An opening of a file.
struct SimFile {
    machine: Arc<Mutex<Machine>>,
    node: NodeId,
    /// Whose locks are whose.
    opening: u64,
    access: Access,
    path: Arc<Path>,
}

impl SimFile {
    fn require_write(&self) -> io::Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(io::Error::new(io::ErrorKind::PermissionDenied, "opened for reading only")),
        }
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut machine = self.machine.lock();
        let node = machine.disk.node(self.node);
        node.open_count -= 1;
        node.locks.remove(&self.opening);
        machine.sweep();
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut machine = self.machine.lock();
        machine.perform(Operation::Len, &self.path)?;
        Ok(to_u64(machine.disk.node(self.node).content.bytes().len()))
    }

    fn modified_ns(&self) -> io::Result<u64> {
        let mut machine = self.machine.lock();
        machine.perform(Operation::Modified, &self.path)?;
        Ok(machine.disk.node(self.node).modified_ns)
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut machine = self.machine.lock();
        let stop = machine.begin(
            Operation::Read,
            &self.path,
            Detail::Range { offset, len: to_u64(target.len()) },
        )?;
        finish(stop)?;
        let bytes = machine.disk.node(self.node).content.bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = target.len().min(bytes.len() - start);
        target[..len].copy_from_slice(&bytes[start..start + len]);
        Ok(len)
    }

    fn write_all_at(&self, source: &[u8], offset: u64) -> io::Result<()> {
        self.require_write()?;
        let len = to_u64(source.len());
        let mut machine = self.machine.lock();
        let stop = machine.begin(Operation::Write, &self.path, Detail::Range { offset, len })?;
        let handed_over = if stop.is_some() { machine.random.below(len) } else { len };
        let end = machine.disk.room_for(self.node, offset, handed_over)?;
        let fits = end.saturating_sub(offset);
        if fits > 0 {
            let source = &source[..to_usize(fits)];
            machine.disk.change(self.node).write(source, to_usize(offset));
        }
        finish(stop)?;
        if fits == len { Ok(()) } else { Err(DiskError::NoSpace.into()) }
    }

    fn sync(&self) -> io::Result<()> {
        let machine = &mut *self.machine.lock();
        let stop = machine.start(Operation::Sync, &self.path, Detail::None)?;
        let content = Arc::make_mut(&mut machine.disk.node(self.node).content);
        match &stop {
            None => content.sync(),
            // What of it came about is for `crash` to choose.
            Some(stop) if MachineOff::is(&stop.error) => {}
            Some(stop) => {
                let dropped = if machine.random.one_in(2) { Dropped::Reverted } else { Dropped::StillRead };
                content.fail_sync(stop.midway, dropped, &mut machine.random);
            }
        }
        finish(stop)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.require_write()?;
        let mut machine = self.machine.lock();
        let stop = machine.begin(Operation::SetLen, &self.path, Detail::Len(len))?;
        if machine.disk.room_for(self.node, 0, len)? < len {
            return Err(DiskError::NoSpace.into());
        }
        machine.disk.change(self.node).set_len(to_usize(len));
        finish(stop)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.require_write()?;
        let end = offset.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
        let mut machine = self.machine.lock();
        let stop = machine.begin(Operation::Reserve, &self.path, Detail::Range { offset, len })?;
        let old_len = to_u64(machine.disk.node(self.node).content.bytes().len());
        if end > old_len {
            if machine.disk.room_for(self.node, offset, len)? < end {
                return Err(DiskError::NoSpace.into());
            }
            let end = if stop.is_some() { old_len + machine.random.below(end - old_len) } else { end };
            machine.disk.change(self.node).set_len(to_usize(end));
        }
        finish(stop)
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        let mut machine = self.machine.lock();
        machine.perform(Operation::Lock, &self.path)?;
        let locks = &mut machine.disk.node(self.node).locks;
        // As `flock(2)` does: a change of kind gives up the lock that is held, then asks for the other.
        locks.remove(&self.opening);
        let free = match lock {
            Lock::Exclusive => locks.is_empty(),
            Lock::Shared => locks.values().all(|held| *held == Lock::Shared),
        };
        if free {
            locks.insert(self.opening, lock);
        }
        Ok(free)
    }

    fn unlock(&self) -> io::Result<()> {
        let mut machine = self.machine.lock();
        machine.perform(Operation::Unlock, &self.path)?;
        machine.disk.node(self.node).locks.remove(&self.opening);
        Ok(())
    }
}

/// The classes of operations: one for each method of [`Vfs`] and [`File`], default methods aside.
/// `create_directories` is a `Kind`, a `CreateDirectory` and a `SyncDirectory` for each folder,
/// and a `Kind` and a `SyncDirectory` for the one above them that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named after the methods")]
pub enum Operation {
    Kind,
    Open,
    Create,
    Rename,
    Remove,
    List,
    CreateDirectory,
    SyncDirectory,
    Resolve,
    Len,
    Modified,
    Read,
    Write,
    Sync,
    SetLen,
    Reserve,
    Lock,
    Unlock,
}

impl Operation {
    /// Whether the disk may differ afterwards: a crash at another operation leaves what a crash at the next
    /// of these leaves.
    #[must_use]
    pub fn changes_disk(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Rename
                | Self::Remove
                | Self::CreateDirectory
                | Self::SyncDirectory
                | Self::Write
                | Self::Sync
                | Self::SetLen
                | Self::Reserve
        )
    }
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Before it has done anything. A sync drops what it should have written.
    Before(DiskError),
    /// When a part of it was done: the beginning of a write or of a reservation, some sectors of a sync, some
    /// names of a folder's sync, a creation, rename, removal or change of length as a whole.
    Midway(DiskError),
}

/// Errors of the system, with the codes that it gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskError {
    /// The device fails (`EIO`).
    Io,
    /// The disk is full (`ENOSPC`).
    NoSpace,
    /// The user's share of the disk is full (`EDQUOT`).
    QuotaExceeded,
    /// The file would be too large (`EFBIG`).
    FileTooLarge,
    /// The system refuses (`EACCES`).
    PermissionDenied,
}

impl DiskError {
    #[cfg(not(windows))]
    fn code(self) -> i32 {
        use rustix::io::Errno;

        let code = match self {
            Self::Io => Errno::IO,
            Self::NoSpace => Errno::NOSPC,
            Self::QuotaExceeded => Errno::DQUOT,
            Self::FileTooLarge => Errno::FBIG,
            Self::PermissionDenied => Errno::ACCESS,
        };
        code.raw_os_error()
    }

    /// The codes of `winerror.h`.
    #[cfg(windows)]
    fn code(self) -> i32 {
        match self {
            Self::Io => 1117,
            Self::NoSpace => 112,
            Self::QuotaExceeded => 1295,
            Self::FileTooLarge => 223,
            Self::PermissionDenied => 5,
        }
    }
}

impl From<DiskError> for io::Error {
    fn from(error: DiskError) -> Self {
        Self::from_raw_os_error(error.code())
    }
}

/// The source of every [`io::Error`] of a machine that has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine is off")]
pub struct MachineOff;

impl MachineOff {
    /// Whether an operation failed because the machine is off.
    #[must_use]
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

/// An operation that was begun. Its `Display`, like its `Debug`, is a line for a person who looks for the failure.
#[derive(Clone)]
pub struct Logged {
    /// Counted from 0.
    pub number: u64,
    /// What it was.
    pub operation: Operation,
    /// The file or folder; after a rename, a file keeps the name that it was opened under.
    pub path: Arc<Path>,
    detail: Detail,
    /// The fault that struck, or the crash.
    stopped: Option<String>,
}

impl Logged {
    /// How many bytes were asked for; `None` where the operation is about none.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        match self.detail {
            Detail::Range { len, .. } => Some(len),
            Detail::None | Detail::To(_) | Detail::Len(_) => None,
        }
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {:?} {}", self.number, self.operation, self.path.display())?;
        match &self.detail {
            Detail::None => {}
            Detail::To(path) => write!(f, " to {}", path.display())?,
            Detail::Range { offset, len } => write!(f, " at {offset}, {len} bytes")?,
            Detail::Len(len) => write!(f, " to {len} bytes")?,
        }
        match &self.stopped {
            None => Ok(()),
            Some(why) => write!(f, ": {why}"),
        }
    }
}

impl fmt::Debug for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone)]
enum Detail {
    None,
    To(Arc<Path>),
    Range { offset: u64, len: u64 },
    Len(u64),
}

struct Machine {
    disk: Disk,
    random: Random,
    off: bool,
    operations: u64,
    stop_at: Option<u64>,
    planned: Vec<Planned>,
    log: VecDeque<Logged>,
    openings: u64,
    /// Looking for files that nobody can reach any more takes a walk, so it is done when their number has doubled.
    nodes_before_sweep: usize,
}

/// A fault and when it strikes.
struct Planned {
    when: When,
    fault: Fault,
}

enum When {
    Number(u64),
    Class { operation: Operation, skip: u64 },
    Always(Operation),
}

/// Why and how far an operation does not come to its end.
struct Stop {
    midway: bool,
    error: io::Error,
}

impl Machine {
    /// Another machine with this disk and nothing open.
    fn copy(&self) -> SimVfs {
        let mut disk = self.disk.clone();
        for node in disk.nodes.values_mut() {
            node.open_count = 0;
            node.locks.clear();
        }
        disk.forget_unreachable();
        SimVfs::boot(disk, self.random.clone())
    }

    /// Begins an operation that changes nothing.
    fn perform(&mut self, operation: Operation, path: &Arc<Path>) -> io::Result<()> {
        finish(self.begin(operation, path, Detail::None)?)
    }

    /// Begins an operation; what is returned stops it midway, at [`finish`].
    fn begin(&mut self, operation: Operation, path: &Arc<Path>, detail: Detail) -> io::Result<Option<Stop>> {
        match self.start(operation, path, detail)? {
            Some(stop) if !stop.midway => Err(stop.error),
            stop => Ok(stop),
        }
    }

    /// Counts and logs an operation, and looks up whether it is to fail.
    fn start(&mut self, operation: Operation, path: &Arc<Path>, detail: Detail) -> io::Result<Option<Stop>> {
        if self.off {
            return Err(io::Error::other(MachineOff));
        }
        let number = self.operations;
        self.operations += 1;
        let fault = self.fault_for(number, operation);
        let stop = if self.stop_at == Some(number) {
            self.off = true;
            // Anything but a write is over in one step: the crash at the next number has it done.
            Some(Stop { midway: operation == Operation::Write, error: io::Error::other(MachineOff) })
        } else {
            fault.map(|fault| match fault {
                Fault::Before(error) => Stop { midway: false, error: error.into() },
                Fault::Midway(error) => Stop { midway: true, error: error.into() },
            })
        };
        if self.log.len() == LOG_COUNT_MAX {
            self.log.pop_front();
        }
        let stopped = stop.as_ref().map(|stop| stop.error.to_string());
        self.log.push_back(Logged { number, operation, path: Arc::clone(path), detail, stopped });
        Ok(stop)
    }

    /// The first planned fault that strikes; every plan that counts operations counts this one.
    fn fault_for(&mut self, number: u64, operation: Operation) -> Option<Fault> {
        let mut struck = None;
        self.planned.retain_mut(|planned| {
            let (strikes, stays) = match &mut planned.when {
                When::Number(at) => (*at == number, *at > number),
                When::Class { operation: class, skip } if *class == operation => {
                    let strikes = *skip == 0;
                    *skip = skip.saturating_sub(1);
                    (strikes, !strikes)
                }
                When::Class { .. } => (false, true),
                When::Always(class) => (*class == operation, true),
            };
            if strikes && struck.is_none() {
                struck = Some(planned.fault);
            }
            stays
        });
        struck
    }

    fn open(&mut self, node: NodeId) -> u64 {
        self.disk.node(node).open_count += 1;
        self.openings += 1;
        self.openings
    }

    fn create_directory(&mut self, path: &Arc<Path>) -> io::Result<()> {
        let stop = self.begin(Operation::CreateDirectory, path, Detail::None)?;
        let (parent, name) = self.disk.vacant(path)?;
        self.disk.folder(&parent)?.add(name, Entry::Folder);
        self.disk.folders.insert(path.to_path_buf(), Folder::default());
        finish(stop)
    }

    fn sweep(&mut self) {
        if self.disk.nodes.len() > self.nodes_before_sweep {
            self.disk.forget_unreachable();
            self.nodes_before_sweep = 2 * self.disk.nodes.len() + NODES_BEFORE_SWEEP_MIN;
        }
    }
}

#[derive(Clone)]
struct Disk {
    nodes: BTreeMap<NodeId, Node>,
    folders: BTreeMap<PathBuf, Folder>,
    /// In bytes.
    capacity: Option<u64>,
    /// How many changes were made.
    clock: u64,
    nodes_made: u64,
}

/// A file, whatever its name.
#[derive(Clone)]
struct Node {
    /// Shared with copies of the disk until either changes it.
    content: Arc<Content>,
    modified_ns: u64,
    open_count: u64,
    /// By opening.
    locks: BTreeMap<u64, Lock>,
}

impl Disk {
    fn lookup(&self, path: &Path) -> Option<Entry> {
        let Ok((folder, name)) = split(path) else {
            return Some(Entry::Folder);
        };
        self.folders.get(&folder)?.get(&name)
    }

    /// The file at `path`.
    fn file(&self, path: &Path) -> io::Result<NodeId> {
        match self.lookup(path) {
            Some(Entry::File(node)) => Ok(node),
            Some(Entry::Folder) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        match self.lookup(path) {
            Some(Entry::Folder) => Ok(self.folders.get_mut(path).expect("a named folder exists")),
            Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Folder and name of what is to be created.
    fn vacant(&mut self, path: &Path) -> io::Result<(PathBuf, OsString)> {
        let (folder, name) = split(path)?;
        match self.folder(&folder)?.get(&name) {
            None => Ok((folder, name)),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn node(&mut self, node: NodeId) -> &mut Node {
        self.nodes.get_mut(&node).expect("a file that is named or open exists")
    }

    /// A file's content, to be changed now.
    fn change(&mut self, node: NodeId) -> &mut Content {
        let now = self.tick();
        let node = self.node(node);
        node.modified_ns = now;
        Arc::make_mut(&mut node.content)
    }

    fn make_node(&mut self, content: Content) -> NodeId {
        self.nodes_made += 1;
        let id = NodeId(self.nodes_made);
        let modified_ns = self.tick();
        self.nodes.insert(
            id,
            Node { content: Arc::new(content), modified_ns, open_count: 0, locks: BTreeMap::new() },
        );
        id
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        FIRST_MODIFIED_NS + self.clock * CLOCK_STEP_NS
    }

    /// Where a write of `len` bytes at `offset` has to end: at its end, or earlier for want of space.
    fn room_for(&mut self, node: NodeId, offset: u64, len: u64) -> io::Result<u64> {
        let end =
            offset.checked_add(len).filter(|end| *end <= FILE_LEN_MAX).ok_or(DiskError::FileTooLarge)?;
        let old_len = to_u64(self.node(node).content.bytes().len());
        let room = match self.capacity {
            Some(capacity) if end > old_len => capacity.saturating_sub(self.used()),
            _ => return Ok(end),
        };
        Ok(end.min(old_len.saturating_add(room)))
    }

    /// What files with a name and open files take, in bytes.
    fn used(&self) -> u64 {
        let named: BTreeSet<NodeId> = self.folders.values().flat_map(Folder::named_nodes).collect();
        let takes_space = |(id, node): &(&NodeId, &Node)| node.open_count > 0 || named.contains(*id);
        self.nodes.iter().filter(takes_space).map(|(_, node)| to_u64(node.content.bytes().len())).sum()
    }

    /// Drops files that no name leads to, now or after a crash, and that nobody has open.
    fn forget_unreachable(&mut self) {
        let reachable: BTreeSet<NodeId> = self.folders.values().flat_map(Folder::nodes).collect();
        self.nodes.retain(|id, node| node.open_count > 0 || reachable.contains(id));
    }

    fn place(&mut self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let (folder, name) = split(path)?;
        self.place_folder(&folder)?;
        let content = Content::settled(bytes);
        let entry = match self.lookup(path) {
            Some(Entry::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
            Some(entry @ Entry::File(node)) => {
                *self.change(node) = content;
                entry
            }
            None => Entry::File(self.make_node(content)),
        };
        self.folder(&folder)?.add_settled(name, entry);
        Ok(())
    }

    /// Creates a folder where it is missing; its name and those above it are durable when this returns.
    fn place_folder(&mut self, path: &Path) -> io::Result<()> {
        let Ok((parent, name)) = split(path) else {
            return Ok(());
        };
        self.place_folder(&parent)?;
        match self.lookup(path) {
            Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            Some(Entry::Folder) => {}
            None => drop(self.folders.insert(path.to_path_buf(), Folder::default())),
        }
        self.folder(&parent)?.add_settled(name, Entry::Folder);
        Ok(())
    }

    fn after_power_loss(&self, random: &mut Random) -> Self {
        // All or nothing concerns the whole disk; otherwise each file and folder has a mood of its own.
        let common = Mood::choose(random);
        let mood = |random: &mut Random| match common {
            Mood::Nothing | Mood::Everything => common,
            Mood::Beginning | Mood::Scattered { .. } => Mood::choose(random),
        };
        let mut after = Self { nodes: BTreeMap::new(), folders: BTreeMap::new(), ..*self };
        let mut found = VecDeque::from([PathBuf::from("/")]);
        while let Some(path) = found.pop_front() {
            let folder_mood = mood(random);
            let folder = self.folders[&path].after_power_loss(folder_mood, random);
            found.extend(folder.folders().map(|name| path.join(name)));
            for id in folder.named_nodes() {
                let node = &self.nodes[&id];
                after.nodes.entry(id).or_insert_with(|| {
                    let mood = mood(random);
                    let content = Arc::new(node.content.after_power_loss(mood, random));
                    Node { content, modified_ns: node.modified_ns, open_count: 0, locks: BTreeMap::new() }
                });
            }
            after.folders.insert(path, folder);
        }
        after
    }
}

/// Ends an operation: with the error that stopped it midway, if any.
fn finish(stop: Option<Stop>) -> io::Result<()> {
    match stop {
        None => Ok(()),
        Some(stop) => Err(stop.error),
    }
}

/// The absolute path without `.` and `..`; there are no links that `..` could mean otherwise.
fn normal(path: &Path) -> Arc<Path> {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    normal.into()
}

/// Folder and name; [`io::ErrorKind::InvalidInput`] for the root.
fn split(path: &Path) -> io::Result<(PathBuf, OsString)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((directory_of(path).to_path_buf(), name.to_os_string()))
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside the file")
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).expect("lengths fit 64 bits")
}

fn to_usize(len: u64) -> usize {
    usize::try_from(len).expect("FILE_LEN_MAX fits a usize")
}

/// A longer file is refused (`EFBIG`): it would be a test's mistake that fills the memory.
const FILE_LEN_MAX: u64 = 1 << 30;

const LOG_COUNT_MAX: usize = 1 << 16;
const NODES_BEFORE_SWEEP_MIN: usize = 64;

/// The first change is on 14 November 2023, each later one a millisecond after the one before.
const FIRST_MODIFIED_NS: u64 = 1_700_000_000_000_000_000;
const CLOCK_STEP_NS: u64 = 1_000_000;
