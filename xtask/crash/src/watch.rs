//! A file system that watches: it passes every operation to the simulated disk and keeps what the referee asks about.
//!
//! - which operations failed since it was last asked, so that an error that nobody reports is noticed;
//! - whether something was changed while only reading was allowed;
//! - every sealing, by the key that it was made under: a frame's key follows from purpose and salt, and its nonce
//!   is zero, so two different frames with one salt have given away both (a copy of a frame is the same frame);
//! - the names of temporaries, which are random: here they are counted, so that a seed decides them as well.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use codex_storage::vfs::sim::{MachineOff, Operation, SimVfs};
use codex_storage::vfs::{Access, File, FileKind, Lock, Vfs};

/// An operation that failed for a reason that lies with the disk.
#[derive(Clone, Debug)]
pub struct DiskFailure {
    /// What was tried.
    pub operation: Operation,
    /// On which file, by the name that it has now.
    pub path: PathBuf,
    /// For want of space, which can pass.
    pub space: bool,
    /// Of a write: what it was.
    pub written: Option<Written>,
    /// A rename or a folder's sync: which file the name leads to after a power loss is open.
    pub unsettled: bool,
}

/// What was to be written, as far as a database makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A copy of the header.
    Header,
    /// Nothing but zeros, as the log sets space aside.
    Zeros,
    /// Anything else.
    Frames,
}

/// Every sealing of a history and its forks: the key it was made under, and what was sealed.
#[derive(Debug, Default)]
pub struct Sealings {
    made: HashMap<([u8; 32], u8), [u8; 32]>,
}

impl Sealings {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.made.len() as u64
    }

    fn record(&mut self, salt: [u8; 32], purpose: u8, sealed: [u8; 32]) -> bool {
        *self.made.entry((salt, purpose)).or_insert(sealed) == sealed
    }

    /// Looks for frames and key slots in what is written; `false` if a key was used for something else before.
    fn watch(&mut self, bytes: &[u8]) -> bool {
        if bytes.starts_with(HEADER_MAGIC) {
            let slots = bytes.get(2048..4096).unwrap_or_default().chunks_exact(256);
            let slots = slots.filter(|slot| slot[0] != 0).map(|slot| (&slot[32..64], SLOT, &slot[112..144]));
            let retired = bytes.get(200..1608).unwrap_or_default().chunks_exact(88);
            let retired =
                retired.filter(|key| key[0..8] != [0; 8]).map(|key| (&key[8..40], RETIRED, &key[56..88]));
            // The wrapping key follows from the random bytes of a slot or a retired root key.
            return slots
                .chain(retired)
                .all(|(random, purpose, sealed)| self.record(array(random), purpose, array(sealed)));
        }
        let mut rest = bytes;
        while rest.starts_with(FRAME_MAGIC)
            && let Some(header) = rest.get(..FRAME_HEADER_LEN)
        {
            let payload_len = u32::from_le_bytes([header[28], header[29], header[30], header[31]]) as usize;
            let len = FRAME_HEADER_LEN + payload_len + TAG_LEN;
            let Some(frame) = rest.get(..len) else { break };
            // A checksum over the header and a tag over all of it: equal for equal frames only.
            let mut sealed = [0; 32];
            sealed[..16].copy_from_slice(&header[112..]);
            sealed[16..].copy_from_slice(&frame[len - TAG_LEN..]);
            if !self.record(array(&header[80..112]), u8::from(header[4] == CHECKPOINT_KIND), sealed) {
                return false;
            }
            rest = &rest[len..];
        }
        true
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes as were asked for")
}

/// What is kept.
#[derive(Debug, Default)]
struct Watch {
    /// The names that were given to temporaries, by those that were asked for.
    names: HashMap<PathBuf, PathBuf>,
    /// The handles of temporaries, to be told when they are renamed.
    handles: HashMap<PathBuf, Arc<Mutex<PathBuf>>>,
    failures: Vec<DiskFailure>,
    off: bool,
    only_reading: bool,
    violation: Option<String>,
    /// A deliberate fault, to see the referee notice it: syncs of files return without effect.
    lying: bool,
}

/// The watching file system. Clones share what they keep.
#[derive(Clone, Debug)]
pub struct Watched {
    disk: SimVfs,
    watch: Arc<Mutex<Watch>>,
    sealings: Arc<Mutex<Sealings>>,
}

impl Watched {
    /// Watches `disk`.
    #[must_use]
    pub fn new(disk: SimVfs) -> Self {
        Self { disk, watch: Arc::default(), sealings: Arc::default() }
    }

    /// Makes every sync of a file return without effect.
    pub fn lie(&self) {
        self.watch().lying = true;
    }

    /// Goes on with what a crash has left of the disk.
    pub fn reboot(&mut self, disk: SimVfs) {
        self.disk = disk;
        let mut watch = self.watch();
        watch.off = false;
        watch.failures.clear();
    }

    /// Watches a copy of the disk, for histories that part here. Only sealings are watched together.
    #[must_use]
    pub fn fork(&self) -> Self {
        let watch = Watch { names: self.watch().names.clone(), ..Watch::default() };
        Self {
            disk: self.disk.snapshot(),
            watch: Arc::new(Mutex::new(watch)),
            sealings: Arc::clone(&self.sealings),
        }
    }

    /// The disk below.
    #[must_use]
    pub fn disk(&self) -> &SimVfs {
        &self.disk
    }

    /// What failed since this was last asked.
    #[must_use]
    pub fn take_failures(&self) -> Vec<DiskFailure> {
        std::mem::take(&mut self.watch().failures)
    }

    /// Whether one of these failures leaves open which file a name leads to.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.watch().failures.iter().any(|failure| failure.unsettled)
    }

    /// Whether the machine has gone off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.watch().off
    }

    /// From now on a change of the disk is a violation, or is not any more.
    pub fn set_only_reading(&self, only_reading: bool) {
        self.watch().only_reading = only_reading;
    }

    /// The first thing that happened although it must never.
    #[must_use]
    pub fn violation(&self) -> Option<String> {
        self.watch().violation.clone()
    }

    /// How many different sealings there were.
    #[must_use]
    pub fn sealings(&self) -> u64 {
        lock(&self.sealings).count()
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        lock(&self.watch)
    }

    /// The name that a path stands for.
    fn real(&self, path: &Path) -> PathBuf {
        self.watch().names.get(path).cloned().unwrap_or_else(|| path.to_path_buf())
    }

    fn note<T>(&self, operation: Operation, path: &Path, result: io::Result<T>) -> io::Result<T> {
        let mut watch = self.watch();
        if watch.only_reading && operation.changes_disk() {
            watch.violation.get_or_insert_with(|| {
                format!("{operation:?} of {} by an opening for reading only", path.display())
            });
        }
        if let Err(error) = &result {
            if MachineOff::is(error) {
                watch.off = true;
            } else if error.raw_os_error().is_some() {
                let space = error.kind() == io::ErrorKind::StorageFull;
                let unsettled = match operation {
                    Operation::SyncDirectory => true,
                    // Whether the rename before it took place is what was asked.
                    Operation::Kind => {
                        watch.failures.last().is_some_and(|last| last.operation == Operation::Rename)
                    }
                    // It has failed and yet taken place.
                    Operation::Rename => {
                        let from = watch.names.get(path).map_or(path, PathBuf::as_path);
                        self.disk.read_file(from).is_err()
                    }
                    _ => false,
                };
                let path = path.to_path_buf();
                watch.failures.push(DiskFailure { operation, path, space, written: None, unsettled });
            }
        }
        result
    }

    fn handle(&self, name: PathBuf, file: Arc<dyn File>) -> (Arc<dyn File>, Arc<Mutex<PathBuf>>) {
        let name = Arc::new(Mutex::new(name));
        (Arc::new(WatchedFile { file, name: Arc::clone(&name), vfs: self.clone() }), name)
    }

    /// The name that a new file gets: temporaries are numbered.
    fn new_name(&self, path: &Path) -> PathBuf {
        let mut watch = self.watch();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((prefix, _)) = name.split_once(TEMPORARY) else { return path.to_path_buf() };
        let given = path.with_file_name(format!("{prefix}{TEMPORARY}{:016x}", watch.names.len()));
        watch.names.insert(path.to_path_buf(), given.clone());
        given
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vfs for Watched {
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        self.note(Operation::Kind, path, self.disk.kind(&self.real(path)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let file = self.note(Operation::Open, path, self.disk.open(&self.real(path), access))?;
        Ok(self.handle(path.to_path_buf(), file).0)
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let name = self.new_name(path);
        let file = self.note(Operation::Create, path, self.disk.create_new(&name))?;
        let (file, handle) = self.handle(name, file);
        self.watch().handles.insert(path.to_path_buf(), handle);
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Operation::Rename, from, self.disk.rename(&self.real(from), &self.real(to)))?;
        if let Some(handle) = self.watch().handles.remove(from) {
            *lock(&handle) = to.to_path_buf();
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Operation::Remove, path, self.disk.remove(&self.real(path)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.note(Operation::List, directory, self.disk.list(directory))
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        self.note(Operation::Kind, path, self.disk.create_directories(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.note(Operation::SyncDirectory, path, self.disk.sync_directory(path))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.note(Operation::Resolve, path, self.disk.resolve(path))
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn File>,
    name: Arc<Mutex<PathBuf>>,
    vfs: Watched,
}

impl WatchedFile {
    fn note<T>(&self, operation: Operation, result: io::Result<T>) -> io::Result<T> {
        let name = lock(&self.name);
        self.vfs.note(operation, &name, result)
    }
}

impl File for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.note(Operation::Len, self.file.len())
    }

    fn modified_ns(&self) -> io::Result<u64> {
        self.note(Operation::Modified, self.file.modified_ns())
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<usize> {
        self.note(Operation::Read, self.file.read_at(target, offset))
    }

    fn write_all_at(&self, source: &[u8], offset: u64) -> io::Result<()> {
        // What a recovery puts aside are pieces of frames, torn ones too, that were sealed before.
        let torn = lock(&self.name).to_string_lossy().contains(".torn");
        if !torn && !lock(&self.vfs.sealings).watch(source) {
            self.vfs.watch().violation.get_or_insert_with(|| {
                let name = lock(&self.name).display().to_string();
                format!("a key and nonce were used twice, in {name} at {offset}")
            });
        }
        let written = self.note(Operation::Write, self.file.write_all_at(source, offset));
        if written.is_err()
            && let Some(failure) = self.vfs.watch().failures.last_mut()
        {
            let zeros = source.iter().all(|byte| *byte == 0);
            failure.written = Some(match offset {
                0..LOG_START => Written::Header,
                _ if zeros => Written::Zeros,
                _ => Written::Frames,
            });
        }
        written
    }

    fn sync(&self) -> io::Result<()> {
        if self.vfs.watch().lying {
            return Ok(());
        }
        self.note(Operation::Sync, self.file.sync())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(Operation::SetLen, self.file.set_len(len))
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.note(Operation::Reserve, self.file.reserve(offset, len))
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        self.note(Operation::Lock, self.file.try_lock(lock))
    }

    fn unlock(&self) -> io::Result<()> {
        self.note(Operation::Unlock, self.file.unlock())
    }
}

/// Where the log begins: docs/file-format.md, "Header".
pub(crate) const LOG_START: u64 = 8192;
const TEMPORARY: &str = ".tmp-";
// docs/file-format.md, "Header" and "Frame", as an encrypted database has them.
const HEADER_MAGIC: &[u8] = b"\x89CodexDB";
const FRAME_MAGIC: &[u8] = b"CdxF";
const FRAME_HEADER_LEN: usize = 128;
const TAG_LEN: usize = 16;
const CHECKPOINT_KIND: u8 = 3;
/// They stand beside the purposes of frames, 0 and 1.
const SLOT: u8 = 2;
const RETIRED: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(salt: u8, payload: u8) -> Vec<u8> {
        let mut frame = vec![payload; FRAME_HEADER_LEN + 5 + TAG_LEN];
        frame[..4].copy_from_slice(FRAME_MAGIC);
        frame[4] = 1;
        frame[28..32].copy_from_slice(&5_u32.to_le_bytes());
        frame[80..112].fill(salt);
        frame
    }

    #[test]
    fn two_frames_under_one_salt_are_noticed_and_a_copy_of_a_frame_is_not() {
        let mut sealings = Sealings::default();
        assert!(sealings.watch(&[frame(1, 1), frame(2, 2)].concat()));
        assert!(sealings.watch(&frame(2, 2)));
        assert_eq!(sealings.count(), 2);
        assert!(!sealings.watch(&[frame(3, 1), frame(2, 3)].concat()));
    }
}
