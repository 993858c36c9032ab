//! Repair: salvages from a damaged database, into a new file, everything that authenticates, in its order.
//! The rules and their reasons: `docs/durability.md`, "Repair".
//!
//! The source is read and locked like any database that is open for reading; no byte of it, nor of anything beside
//! it, is changed. These hold of the result:
//! - Its start is the source's, byte for byte, up to the first gap: heads taken of that part are still extended.
//! - What stands behind a gap is sealed anew, in the same order and groups, with the numbers that come next.
//! - A group is there whole or not at all.
//! - It was verified, with a floor that covers all of it, before it got its name.

use std::io::Write as _;
use std::path::Path;

use codex_crypto::{Digest, Unlock};
use serde::Serialize;

use crate::error::{Result, StorageError};
use crate::files::Files;
use crate::format::frame::{FrameHeader, Kind};
use crate::format::header::{BLOCK_LEN, Floor, Header, LOG_START};
use crate::format::{Mode, SequenceNumber};
use crate::ledger::checkpoint::remove_checkpoint;
use crate::lock::{lock, lock_file};
use crate::log::Position;
use crate::log::reader::{FrameReader, GoodFrame};
use crate::log::scan::{LogFile, OpenGroup, contradicts_floor, read_group};
use crate::log::seal::{GroupInfo, GroupSealer};
use crate::log::search::{Claim, ClaimSearch};
use crate::progress::{Meter, Observer, Stage};
use crate::recovery::{copy, last_nonzero, salvage_header};
use crate::sync::Arc;
use crate::verify::verify_file;
use crate::vfs::os::OsVfs;
use crate::vfs::replace::{Existing, Replacement, remove_temporaries};
use crate::vfs::{Access, File, FileKind, Lock, Vfs};

/// How a database is repaired.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// Only reports what a repair would salvage, and creates nothing.
    pub dry_run: bool,
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
    /// Who is told how far the repair is.
    pub observer: Observer,
}

impl Default for RepairOptions {
    fn default() -> Self {
        Self { dry_run: false, vfs: Arc::new(OsVfs), observer: Observer::default() }
    }
}

/// What a repair has salvaged, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Length of the source, in bytes.
    pub source_bytes: u64,
    /// How much of the source's start stands in the new file unchanged, in bytes; the header, which is new, is
    /// counted.
    pub kept_bytes: u64,
    /// Frames that were salvaged.
    pub frames: u64,
    /// Commits in them.
    pub commits: u64,
    /// Operations in them: records set and deleted, and clears.
    pub records: u64,
    /// The last commit of the new file.
    pub sequence: u64,
    /// The head of the new file; `None` after a dry run.
    pub head: Option<Floor>,
    /// What is missing, in the order of the file.
    pub gaps: Vec<Gap>,
    /// Bytes at the end of a group that was never acknowledged, as a crash leaves them; they are not salvaged.
    pub torn_bytes: u64,
    /// One copy of the header was damaged or older.
    pub header_copy_stale: bool,
    /// The copy of the header that counts does not authenticate, and the other one, which may be older, was taken.
    pub header_fallback: bool,
    /// The log passes the floor that the header records with another root: one of them is not this file's.
    pub floor_contradicted: bool,
    /// From this offset on, the file holds so many forged frames that it was not searched.
    pub search_ended: Option<u64>,
}

impl RepairReport {
    /// Whether the source shows no sign that anything is missing which had been acknowledged.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty() && !self.floor_contradicted && !self.header_fallback
    }
}

/// A part of the source from which nothing was salvaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// Where it begins in the source, in bytes.
    pub from: u64,
    /// Where it ends. May lie beyond the end of the file, where the header says that there was more; equal to
    /// [`Gap::from`] if only sequence numbers are missing.
    pub to: u64,
    /// The first commit that is missing; `None` if none is known to be.
    pub first_missing: Option<u64>,
    /// The last commit that is missing; `None` if nothing that follows tells.
    pub last_missing: Option<u64>,
    /// The first commit behind the gap; `None` if none follows, or base frames do.
    pub resumed: Option<Resumed>,
    /// Frames in it that authenticate, of groups that are not whole or cannot be read.
    pub unfit_frames: u64,
    /// Frames in it that authenticate and belong to another continuation of this database, or stand there twice.
    pub foreign_frames: u64,
}

/// A commit behind a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resumed {
    /// Its sequence number in the source.
    pub original: u64,
    /// Its sequence number in the new file.
    pub renumbered: u64,
}

/// Salvages what authenticates of the database at `source` into a new one at `target`, where nothing may stand.
/// Verified and durable when this returns; the source is left as it is.
pub fn repair(
    source: &Path,
    target: &Path,
    unlock: Option<&Unlock>,
    options: &RepairOptions,
) -> Result<RepairReport> {
    let vfs = &options.vfs;
    let resolve = |path: &Path| vfs.resolve(path).map(Files::of).map_err(StorageError::io("find", path));
    let kind = |path: &Path| vfs.kind(path).map_err(StorageError::io("look at", path));
    let (files, target_files) = (resolve(source)?, resolve(target)?);
    let (path, target) = (files.database(), target_files.database());
    match kind(path)? {
        None => return Err(StorageError::NotFound { path: path.to_path_buf() }),
        Some(FileKind::Regular) => {}
        Some(FileKind::Directory | FileKind::Other) => {
            return Err(StorageError::NotADatabase { path: path.to_path_buf() });
        }
    }
    if kind(target)?.is_some() {
        return Err(StorageError::AlreadyExists { path: target.to_path_buf() });
    }
    let _lock = lock(&**vfs, &files, Lock::Shared)?;
    let file = vfs.open(path, Access::Read).map_err(StorageError::io("open", path))?;
    lock_file(&*file, path, &files, Lock::Shared)?;
    let (opened, header_fallback) = salvage_header(&*file, path, unlock)?;
    let log = LogFile { file: &*file, path, header: &opened.header, seals: &opened.seals };
    let report =
        RepairReport { header_copy_stale: opened.other_is_stale, header_fallback, ..RepairReport::default() };
    if options.dry_run {
        return Salvage::new(log, None, report).run(&options.observer).map(|(_, report)| report);
    }
    let folder = target_files.folder();
    vfs.create_directories(folder).map_err(StorageError::io("create the folder of", target))?;
    let _target_lock = lock(&**vfs, &target_files, Lock::Exclusive)?;
    remove_temporaries(&**vfs, target).map_err(StorageError::io("remove temporary files beside", target))?;
    let replacement = Replacement::create(vfs, target).map_err(StorageError::io("create", target))?;
    let salvage = Salvage::new(log, Some((&**replacement.file(), target)), report);
    let (end, mut report) = salvage.run(&options.observer)?;
    complete_file(log, &end, report.kept_bytes, (&**replacement.file(), target), &options.observer)?;
    report.head = Some(end.floor());
    remove_checkpoint(&**vfs, &target_files)?;
    replacement.persist(Existing::Refuse).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => StorageError::AlreadyExists { path: target.to_path_buf() },
        _ => StorageError::io("put in place", target)(error),
    })?;
    Ok(report)
}

/// Puts in front of what was sealed anew the header and the part that is kept as it is, and verifies all of it.
fn complete_file(
    log: LogFile<'_>,
    end: &Position,
    kept: u64,
    (file, path): (&dyn File, &Path),
    observer: &Observer,
) -> Result<()> {
    // What is sealed anew is under the root key of now, wherever it stands.
    let seals = log.seals.up_to(kept);
    let retired = seals.wrap_retired().map_err(StorageError::key(path))?;
    let generation = log.header.generation + 1;
    let header = Header { generation, floor: end.floor(), retired, ..log.header.clone() };
    let block = header.encode(&*seals.sealer);
    file.write_all_at(&block, 0)
        .and_then(|()| file.write_all_at(&block, BLOCK_LEN as u64))
        .and_then(|()| copy(log.file, file, LOG_START, kept, LOG_START))
        .map_err(StorageError::io("write", path))?;
    verify_file(file, path, &seals, end, observer).map(|_| ())
}

/// What became of a good frame: decides what may stand directly behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It ends a group that was salvaged.
    Salvaged,
    /// Its group is not whole (yet), or cannot be read.
    Unfit,
    /// It belongs to another continuation of this database, or was salvaged already.
    Foreign,
}

/// Good frames since the last salvaged group that were not salvaged.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    unfit: u64,
    foreign: u64,
    /// The largest end of the log that one of them names as durable.
    durable: u64,
    /// A whole group among them could not be read.
    unreadable: bool,
}

/// Reads the source from its start to its end, and writes what it salvages.
struct Salvage<'a> {
    log: LogFile<'a>,
    /// Where frames that are sealed anew go; `None`: nowhere.
    target: Option<(&'a dyn File, &'a Path)>,
    /// The end of the new log. After a dry run only its sequence number counts.
    end: Position,
    /// Everything of the source before this offset was salvaged or is reported missing.
    done: u64,
    /// The last commit that was salvaged, by its number in the source.
    original: SequenceNumber,
    passed: Passed,
    report: RepairReport,
    buffer: Vec<u8>,
}

impl<'a> Salvage<'a> {
    fn new(log: LogFile<'a>, target: Option<(&'a dyn File, &'a Path)>, report: RepairReport) -> Self {
        let end = Position::start(log.header);
        let original = end.sequence;
        Self {
            log,
            target,
            end,
            done: LOG_START,
            original,
            passed: Passed::default(),
            report,
            buffer: Vec::new(),
        }
    }

    fn run(mut self, observer: &Observer) -> Result<(Position, RepairReport)> {
        let len = self.log.file.len().map_err(StorageError::io("read the length of", self.log.path))?;
        self.report.source_bytes = len;
        self.report.kept_bytes = LOG_START;
        let mut meter = observer.begin(Stage::Salvaging, len);
        self.walk(len, &mut meter)?;
        self.judge_end(len)?;
        meter.finish();
        self.report.sequence = self.end.sequence.0;
        Ok((self.end, self.report))
    }

    /// Goes from good frame to good frame. Where none stands, the next is looked for: a frame can be judged by
    /// itself, wherever it stands.
    fn walk(&mut self, len: u64, meter: &mut Meter) -> Result<()> {
        let log = self.log;
        let mut frames = FrameReader::new(log.file, len);
        let mut search = ClaimSearch::new(log.file, log.path, LOG_START, len);
        let mut group = OpenGroup::default();
        // The leaf of the frame that ends at `at`, if one does, and what became of it.
        let mut before = Some((self.end.leaf, Standing::Salvaged));
        let mut at = LOG_START;
        loop {
            // Every frame is found by searching, so that the search bounds what all claims together cost.
            let claim = search.next(at, |bytes, at| {
                FrameHeader::decode(bytes, at, log.seals.id).map(|header| header.payload_len)
            })?;
            if claim != Claim::At(at) {
                self.give_up(&mut group);
                before = None;
            }
            match claim {
                Claim::At(next) => {
                    at = next;
                    meter.reach(at);
                }
                Claim::None => return Ok(()),
                Claim::TooMany(from) => {
                    self.report.search_ended = Some(from);
                    return Ok(());
                }
            }
            let found = frames.frame_at(at, log.seals).map_err(StorageError::io("read", log.path))?;
            if let Some(frame) = found {
                let standing = self.judge(&frame, before, &mut group)?;
                before = Some((frame.leaf, standing));
                at = frame.end;
            } else {
                self.give_up(&mut group);
                before = None;
                at += 1;
            }
        }
    }

    /// Takes a good frame into its group, and salvages the group if that makes it whole.
    fn judge(
        &mut self,
        frame: &GoodFrame<'_>,
        before: Option<(Digest, Standing)>,
        group: &mut OpenGroup,
    ) -> Result<Standing> {
        let header = &frame.header;
        let links = before.is_some_and(|(leaf, _)| leaf == header.previous_leaf);
        if !(links && group.goes_on_with(header)) {
            self.give_up(group);
            // Directly behind a salvaged frame only one that names it belongs to the same history; and what names a
            // foreign one belongs to the foreign history.
            let foreign = match before {
                Some((_, Standing::Salvaged)) => !links,
                Some((_, Standing::Foreign)) => links,
                Some((_, Standing::Unfit)) | None => false,
            };
            if foreign || !self.goes_on(header) {
                self.passed.foreign += 1;
                return Ok(Standing::Foreign);
            }
            if !header.begins {
                self.passed.unfit += 1;
                self.passed.durable = self.passed.durable.max(header.durable);
                return Ok(Standing::Unfit);
            }
        }
        let Some((first, payload)) = group.push(frame) else { return Ok(Standing::Unfit) };
        let mut records = 0;
        let Ok(last) = read_group(first, payload, &mut |_| records += 1) else {
            self.passed.unreadable = true;
            self.give_up(group);
            return Ok(Standing::Unfit);
        };
        let first = first.clone();
        self.resume(&first);
        if self.report.gaps.is_empty() {
            let from = self.end.offset;
            self.end.advance(&group.frames, frame.end, last);
            self.report.floor_contradicted |= contradicts_floor(&self.log.header.floor, from, &self.end);
            self.report.kept_bytes = frame.end;
        } else {
            self.seal_anew(&first, payload)?;
        }
        if first.kind == Kind::Commit {
            self.original = last;
        }
        self.done = frame.end;
        self.report.frames += group.frames.len() as u64;
        self.report.commits += u64::from(first.commit_count);
        self.report.records += records;
        *group = OpenGroup::default();
        Ok(Standing::Salvaged)
    }

    /// Whether a frame that begins a group or stands in one can come behind what was salvaged.
    fn goes_on(&self, frame: &FrameHeader) -> bool {
        match frame.kind {
            Kind::Commit => {
                frame.commit_count > 0
                    && frame.first_sequence > self.original
                    && frame.first_sequence <= SequenceNumber::MAX
            }
            Kind::Base => {
                let base = self.log.header.base_sequence;
                self.log.header.mode == Mode::Snapshot
                    && frame.commit_count == 0
                    && frame.first_sequence == base
                    && self.original == base
            }
            Kind::Checkpoint => false,
        }
    }

    /// Passes over the frames of a group that will not become whole.
    fn give_up(&mut self, group: &mut OpenGroup) {
        let group = std::mem::take(group);
        self.passed.unfit += group.frames.len() as u64;
        if let Some(first) = group.first {
            self.passed.durable = self.passed.durable.max(first.durable);
        }
    }

    /// Notes what is missing before a group that is about to be salvaged.
    fn resume(&mut self, first: &FrameHeader) {
        let is_commit = first.kind == Kind::Commit;
        let expected = self.original.plus(1);
        let skipped = is_commit && first.first_sequence != expected;
        let passed = std::mem::take(&mut self.passed);
        if self.done == first.offset && !skipped {
            return;
        }
        let renumbered = self.end.sequence.plus(1).0;
        self.report.gaps.push(Gap {
            from: self.done,
            to: first.offset,
            first_missing: skipped.then_some(expected.0),
            last_missing: skipped.then_some(first.first_sequence.0 - 1),
            resumed: is_commit.then_some(Resumed { original: first.first_sequence.0, renumbered }),
            unfit_frames: passed.unfit,
            foreign_frames: passed.foreign,
        });
    }

    /// Seals a group for its new place, as the next of the new log.
    fn seal_anew(&mut self, first: &FrameHeader, payload: &[u8]) -> Result<()> {
        let (first_sequence, last) = match first.kind {
            Kind::Commit => {
                let next = self.end.sequence.plus(1);
                (next, next.plus(u64::from(first.commit_count) - 1))
            }
            _ => (first.first_sequence, first.first_sequence),
        };
        let Some((file, path)) = self.target else {
            self.end.sequence = last;
            return Ok(());
        };
        let info = GroupInfo {
            kind: first.kind,
            first_sequence,
            commit_count: first.commit_count,
            time_ns: first.time_ns,
            // Nothing of the new file is durable before its floor says so.
            durable: 0,
        };
        let tip = self.end.tip();
        let mut sealer = GroupSealer::new(self.log.seals, info, tip, &mut self.buffer, |frame, offset| {
            file.write_all_at(frame, offset).map_err(StorageError::io("write", path))
        });
        sealer.write_all(payload).map_err(|error| sealer.explain(&error))?;
        sealer.finish(&mut self.end, last)
    }

    /// Says of what stands behind the last salvaged group whether it had been acknowledged: by the rules of recovery,
    /// if the floor or a good frame names it as durable. Frames that no crash leaves there count as lost, too.
    fn judge_end(&mut self, len: u64) -> Result<()> {
        let floor = self.log.header.floor.offset;
        let behind =
            last_nonzero(self.log.file, self.log.path, self.done, len)?.map_or(self.done, |last| last + 1);
        let passed = self.passed;
        let lost = floor > self.done
            || passed.durable > self.done
            || passed.foreign > 0
            || passed.unreadable
            || self.report.search_ended.is_some();
        if !lost {
            self.report.torn_bytes = behind - self.done;
            return Ok(());
        }
        self.report.gaps.push(Gap {
            from: self.done,
            to: behind.max(floor),
            first_missing: Some(self.original.plus(1).0),
            last_missing: None,
            resumed: None,
            unfit_frames: passed.unfit,
            foreign_frames: passed.foreign,
        });
        Ok(())
    }
}
