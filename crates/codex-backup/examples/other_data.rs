//! Backups of something that is no CodexDB database: a log of lines that only grows.
//!
//! Whatever can say of itself how long its durable prefix is, read it, and tell whether a copy of it is whole, is a
//! `Source`. It then gets what a database gets: a copy that has its name only once it was read back and found whole, and a
//! rotation in which a failed copy pushes no older one out.
//!
//! Run with `cargo run -p codex-backup --example other_data`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use codex_backup::{BackupError, Source, copy, list, rotate};
use codex_crypto::{Digest, sha256};
use codex_storage::StorageError;
use codex_storage::files::Files;
use codex_storage::vfs::os::OsVfs;
use codex_storage::vfs::replace::Existing;
use codex_storage::vfs::{Access, File, Vfs};

/// A log of lines. What is written is synced before anybody is told of it, and never changed.
struct LineLog {
    file: Arc<dyn File>,
    len: u64,
}

/// The log as it is at one moment: bytes that stay, and the hash over them.
struct LinePrefix {
    file: Arc<dyn File>,
    len: u64,
    hash: Digest,
}

impl LineLog {
    fn create(vfs: &dyn Vfs, path: &Path) -> io::Result<Self> {
        Ok(Self { file: vfs.create_new(path)?, len: 0 })
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        self.file.write_all_at(line.as_bytes(), self.len)?;
        self.file.sync()?;
        self.len += line.len() as u64;
        Ok(())
    }

    fn prefix(&self) -> io::Result<LinePrefix> {
        let hash = hash_of(&*self.file, self.len)?;
        Ok(LinePrefix { file: self.file.clone(), len: self.len, hash })
    }
}

impl Source for LinePrefix {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(target, offset)
    }

    /// Reads the copy back: what matters is what the disk has, not what was meant to be written.
    fn verify(&self, copy: &dyn File, path: &Path) -> Result<(), StorageError> {
        let hash = copy.len().and_then(|len| hash_of(copy, len)).map_err(StorageError::io("read", path))?;
        if hash == self.hash {
            return Ok(());
        }
        let differs = io::Error::new(io::ErrorKind::InvalidData, "it is not what was copied");
        Err(StorageError::io("believe", path)(differs))
    }
}

fn hash_of(file: &dyn File, len: u64) -> io::Result<Digest> {
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(sha256(&[&bytes]))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let path = vfs.resolve(&folder.path().join("measured.log"))?;
    let mut log = LineLog::create(&*vfs, &path)?;
    // The names of the rotation: `measured.log.bak.1` and so on.
    let files = Files::of(path.clone());

    // A rotation of two, and a line between one copy and the next.
    for reading in ["18.2 degrees", "18.4 degrees", "19.1 degrees"] {
        log.append(reading)?;
        rotate(&log.prefix()?, &vfs, &files, 2)?;
    }
    for backup in list(&*vfs, &files)? {
        println!("-- {}", backup.path.file_name().unwrap_or_default().display());
        print!("{}", std::fs::read_to_string(&backup.path)?);
    }

    // A copy of one moment: what is appended while it is made is not in it.
    let prefix = log.prefix()?;
    log.append("19.5 degrees")?;
    let target = path.with_file_name("copy.log");
    copy(&prefix, &vfs, &target, Existing::Refuse)?;
    println!("-- copy.log has {} lines", std::fs::read_to_string(&target)?.lines().count());

    // Nothing is replaced unless it is said so.
    match copy(&log.prefix()?, &vfs, &target, Existing::Refuse) {
        Err(BackupError::TargetExists { .. }) => println!("a second copy of that name is refused"),
        other => return Err(format!("a copy was replaced: {other:?}").into()),
    }

    // The log was changed behind our back: the copy does not verify, and is not kept.
    let prefix = log.prefix()?;
    vfs.open(&path, Access::Write)?.write_all_at(b"99", 0)?;
    let second = path.with_file_name("second.log");
    match copy(&prefix, &vfs, &second, Existing::Refuse) {
        Err(BackupError::Verify { .. }) => println!("a copy that is not whole is kept: {}", second.exists()),
        other => return Err(format!("the change went unseen: {other:?}").into()),
    }
    Ok(())
}
