//! A file system of one's own below a database: here the system's files, with every write and sync counted.
//!
//! In this way a database can be put on whatever can do what `Vfs` and `File` say; their documentation says what must be
//! durable when. The counts show what the three durabilities cost.
//!
//! Run with `cargo run -p codex-storage --example own_file_system`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_storage::sync::Arc;
use codex_storage::vfs::os::OsVfs;
use codex_storage::vfs::{Access, File, FileKind, Lock, Vfs};
use codex_storage::{Background, Batch, Durability, OpenOptions};

#[derive(Debug, Default)]
struct Counts {
    writes: AtomicU64,
    syncs: AtomicU64,
}

/// Files of the system that are counted.
#[derive(Clone, Debug, Default)]
struct CountingVfs(Arc<Counts>);

impl CountingVfs {
    fn counted(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(CountedFile { file, counts: self.0.clone() })
    }
}

impl Vfs for CountingVfs {
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        OsVfs.kind(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(OsVfs.open(path, access)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(OsVfs.create_new(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsVfs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsVfs.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        OsVfs.list(directory)
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        OsVfs.create_directories(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        OsVfs.sync_directory(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        OsVfs.resolve(path)
    }
}

#[derive(Debug)]
struct CountedFile {
    file: Arc<dyn File>,
    counts: Arc<Counts>,
}

impl File for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn modified_ns(&self) -> io::Result<u64> {
        self.file.modified_ns()
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(target, offset)
    }

    fn write_all_at(&self, source: &[u8], offset: u64) -> io::Result<()> {
        self.counts.writes.fetch_add(1, Ordering::AcqRel);
        self.file.write_all_at(source, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::AcqRel);
        self.file.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.reserve(offset, len)
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        self.file.try_lock(lock)
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for durability in [Durability::Sync, Durability::Interval(Duration::from_hours(1)), Durability::Buffered]
    {
        let vfs = CountingVfs::default();
        let options = OpenOptions {
            durability,
            vfs: Arc::new(vfs.clone()),
            // No thread works behind the commits, so that the counts are those of the commits alone.
            background: Background::Caller,
            ..OpenOptions::default()
        };
        let database = options.open(&folder.path().join(format!("{durability:?}.db")), None)?;
        let counts = || (vfs.0.writes.load(Ordering::Acquire), vfs.0.syncs.load(Ordering::Acquire));
        let before = counts();
        for number in 0..100_u32 {
            let mut batch = Batch::new();
            batch.set(&number.to_be_bytes(), &[b"value"])?;
            database.commit(batch)?;
        }
        let committed = counts();
        database.flush()?;
        let flushed = counts();
        println!("{durability:?}");
        println!("  100 commits: {} writes, {} syncs", committed.0 - before.0, committed.1 - before.1);
        println!("  flushing:    {} writes, {} syncs", flushed.0 - committed.0, flushed.1 - committed.1);
        database.close()?;
    }
    Ok(())
}
