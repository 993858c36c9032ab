//! Rot: what the disk loses of bytes that were durable is reported, or costs nothing. It is never wrong data, and
//! never a shorter history.

use std::path::{Path, PathBuf};

use codex_backup::{BackupError, RestoreOptions};
use codex_crypto::Unlock;
use codex_storage::vfs::sim::{Random, SimVfs};
use codex_storage::{Background, Durability, Mode, OpenOptions, StorageError};

use crate::answers::chain;
use crate::model::Timeline;
use crate::watch::{LOG_START, Watched};
use crate::world::{End, PATH, Taken, World, files, stands};

/// A file, how much of it rot may strike, and what it must show if it opens.
struct Target {
    path: PathBuf,
    /// Rot strikes before this offset.
    until: u64,
    timeline: Timeline,
    unlock: Option<Unlock>,
    /// The file ends there, so that it may be cut as well.
    whole: bool,
}

impl World {
    pub(crate) fn rot(&mut self, seed: u64) -> Taken {
        let mut random = Random::new(seed);
        self.rot_below_an_open_file(&mut random)?;
        self.rot_of_the_checkpoint(&mut random)?;
        self.rot_of_what_is_durable(&mut random)
    }

    /// `verify` reads the file, not what memory holds.
    fn rot_below_an_open_file(&mut self, random: &mut Random) -> Taken {
        let Some(database) = self.database.as_ref().filter(|_| !self.stopped && !self.header_doubtful) else {
            return Ok(());
        };
        let head = database.head();
        let bit = random.below(head.offset * 8);
        let disk = self.watched.disk().clone();
        disk.flip_bit(PATH, bit).map_err(|error| chain(&error))?;
        let verified = database.verify();
        disk.flip_bit(PATH, bit).map_err(|error| chain(&error))?;
        self.counts.rot += 1;
        // A fault that was waiting may have struck first.
        if self.watched.is_off() {
            return Err(End::Off);
        }
        let failures = self.watched.take_failures();
        self.note_failures(&failures);
        if matches!(verified, Err(StorageError::Damaged { .. })) || !failures.is_empty() {
            return Ok(());
        }
        Err(End::Failure(format!(
            "bit {bit} of {} bytes flipped, and verify found {verified:?}",
            head.offset
        )))
    }

    /// A checkpoint is derived: a damaged one is ignored.
    fn rot_of_the_checkpoint(&mut self, random: &mut Random) -> Taken {
        let path = files().checkpoint();
        if self.setup.mode == Mode::Snapshot || !self.closed_cleanly {
            return Ok(());
        }
        let damaged = self.watched.fork();
        damaged.disk().set_capacity(None);
        if !stands(damaged.disk(), &path) {
            return Ok(());
        }
        let len = damaged.disk().read_file(&path).map_err(|error| chain(&error))?.len() as u64;
        let Some(what) = strike(damaged.disk(), random, &path, len, true) else { return Ok(()) };
        self.counts.rot += 1;
        let options = self.options_on(&damaged);
        let database = options
            .open(Path::new(PATH), self.unlock().as_ref())
            .map_err(|error| format!("{what}, and opening: {}", chain(&error)))?;
        self.timeline.compare(&database.view()).map_err(|why| End::Failure(format!("{what}: {why}")))
    }

    fn rot_of_what_is_durable(&mut self, random: &mut Random) -> Taken {
        self.check_copies()?;
        let mut targets: Vec<Target> = Vec::new();
        let undamaged = self.watched.disk().snapshot();
        let len = |path: &Path| undamaged.read_file(path).map(|bytes| bytes.len() as u64);
        for (path, timeline) in self.copies.iter().chain(&self.rotation) {
            let until = len(path).map_err(|error| chain(&error))?;
            let (path, timeline) = (path.clone(), timeline.clone());
            let unlock = self.unlock_of(&undamaged, &path);
            targets.push(Target { path, until, timeline, unlock, whole: true });
        }
        let until = if self.closed_cleanly { len(Path::new(PATH)).ok() } else { self.protected };
        if let Some(until) = until {
            let (timeline, whole) = (self.timeline.clone(), self.closed_cleanly);
            let unlock = self.unlock();
            targets.push(Target { path: PATH.into(), until, timeline, unlock, whole });
        }
        let choice = random.below(targets.len() as u64);
        let Some(target) = targets.get(usize::try_from(choice).unwrap_or(usize::MAX)) else { return Ok(()) };
        let damaged = self.watched.fork();
        damaged.disk().set_capacity(None);
        let Some(what) = strike(damaged.disk(), random, &target.path, target.until, target.whole) else {
            return Ok(());
        };
        self.counts.rot += 1;
        let shows = if target.path == Path::new(PATH) || random.one_in(2) {
            self.open_damaged(&damaged, target, random)
        } else {
            self.restore_damaged(&damaged, target)
        };
        shows.map_err(|why| End::Failure(format!("{what}: {why}")))
    }

    /// What opens shows all of it; what does not is left as it is.
    fn open_damaged(&self, damaged: &Watched, target: &Target, random: &mut Random) -> Result<(), String> {
        let read_only = random.one_in(2);
        let bytes = damaged.disk().read_file(&target.path).map_err(|error| chain(&error))?;
        let options = OpenOptions { read_only, ..self.options_on(damaged) };
        match options.open(&target.path, target.unlock.as_ref()) {
            Ok(database) => {
                target.timeline.compare(&database.view())?;
                let verified = database.verify();
                // Opening a ledger leaves what a checkpoint covers to `verify`, and a header copy is mended by writers.
                let reported = match &verified {
                    Ok(_) => true,
                    Err(StorageError::Damaged { offset, .. }) => {
                        self.setup.mode == Mode::Ledger || read_only && *offset < LOG_START
                    }
                    Err(_) => false,
                };
                if reported { Ok(()) } else { Err(format!("it opens, and verify found {verified:?}")) }
            }
            Err(error) if is_refusal(&error, bytes.len()) => {
                let after = damaged.disk().read_file(&target.path).map_err(|error| chain(&error))?;
                if after == bytes { Ok(()) } else { Err("refused, and yet the file was changed".to_owned()) }
            }
            Err(error) => Err(chain(&error)),
        }
    }

    /// A damaged backup is never restored wrongly, and the place where it was to go stays empty.
    fn restore_damaged(&self, damaged: &Watched, target: &Target) -> Result<(), String> {
        let restored = Path::new("/folder/restored.db");
        let vfs = std::sync::Arc::new(damaged.clone());
        let options = RestoreOptions { vfs, ..RestoreOptions::default() };
        let len = damaged.disk().read_file(&target.path).map_err(|error| chain(&error))?.len();
        match codex_backup::restore(&target.path, restored, target.unlock.as_ref(), &options) {
            Ok(()) => {
                let options = self.options_on(damaged);
                let database =
                    options.open(restored, target.unlock.as_ref()).map_err(|error| chain(&error))?;
                target.timeline.compare(&database.view())
            }
            Err(BackupError::Storage(error) | BackupError::Verify { source: error, .. })
                if is_refusal(&error, len) =>
            {
                if stands(damaged.disk(), restored) {
                    Err("the restore was refused, and yet something stands there".to_owned())
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(chain(&error)),
        }
    }

    fn options_on(&self, disk: &Watched) -> OpenOptions {
        OpenOptions {
            mode: Some(self.setup.mode),
            durability: Durability::Sync,
            create: false,
            vfs: std::sync::Arc::new(disk.clone()),
            background: Background::Caller,
            ..OpenOptions::default()
        }
    }
}

/// Whether a damaged file was refused as such. One that does not even have a magic number is no database.
fn is_refusal(error: &StorageError, len: usize) -> bool {
    match error {
        StorageError::Damaged { .. } => true,
        StorageError::NotADatabase { .. } => len < MAGIC_LEN,
        _ => false,
    }
}

/// Damages a file before `until`, and says how; `None` if nothing could be done.
fn strike(disk: &SimVfs, random: &mut Random, path: &Path, until: u64, whole: bool) -> Option<String> {
    let sectors = until / SECTOR_LEN;
    let sector = random.below(sectors);
    let (what, done) = match random.below(if whole { 8 } else { 7 }) {
        0 if sectors > 0 => (format!("sector {sector} is zeros"), disk.zero_sector(path, sector)),
        1 if sectors > 1 => {
            let other = random.below(sectors);
            (format!("sectors {sector} and {other} are exchanged"), disk.swap_sectors(path, sector, other))
        }
        2 if sectors > 0 => (format!("sector {sector} is as before"), disk.revert_sector(path, sector)),
        7 => {
            let len = random.below(until);
            (format!("only {len} bytes are left"), disk.truncate(path, len))
        }
        _ => {
            let bit = random.below(until * 8);
            (format!("bit {bit} is flipped"), disk.flip_bit(path, bit))
        }
    };
    done.ok().map(|()| format!("{}, {until} bytes: {what}", path.display()))
}

const SECTOR_LEN: u64 = 512;
const MAGIC_LEN: usize = 8;
