//! The end of the log: groups go in here, and nowhere else.
//!
//! What failing writes do (`docs/durability.md`, "When writing fails"):
//! - no space: the file is cut back to the last whole group, the error is reported, and writing goes on
//!   once there is space;
//! - anything else, any failed sync and a failed cut: nothing is written any more until the database is
//!   opened again, because nobody knows what the disk holds.

use std::mem;
use std::path::PathBuf;

use super::leaves::LeafIndex;
use super::seal::{GroupInfo, GroupSealer};
use super::{Durability, Position, Seals};
use crate::batch::Operation;
use crate::clock::Clock;
use crate::error::{Result, StorageError};
use crate::format::SequenceNumber;
use crate::format::frame::{Kind, PAYLOAD_LEN_MAX};
use crate::format::header::{BLOCK_LEN, Header, Slots};
use crate::format::record;
use crate::keys::NewRoot;
use crate::observe::{Event, Teller};
use crate::sync::{Arc, Mutex};
use crate::table::Group;
use crate::vfs::File;

/// What the log did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogCounters {
    /// Commits written or, with [`Durability::Buffered`], taken.
    pub(crate) commits: u64,
    /// Groups that the commits went into.
    pub(crate) groups: u64,
    /// Syncs of the log.
    pub(crate) syncs: u64,
}

/// A log that is open for writing.
#[derive(Debug)]
pub(crate) struct Log {
    file: Arc<dyn File>,
    path: PathBuf,
    header: Header,
    seals: Seals,
    clock: Arc<dyn Clock>,
    durability: Durability,
    /// Behind the last group that the system has taken.
    end: Position,
    /// Everything before this offset is known to be durable.
    durable: u64,
    /// Length of the file.
    allocated: u64,
    /// Everything before this offset holds data or written zeros.
    filled: u64,
    /// Space is set aside in steps; given up where the file system cannot.
    reserves: bool,
    /// Groups that were written since the last sync.
    unsynced_groups: u64,
    /// [`Durability::Buffered`]: commits that are not sealed yet.
    unsealed: Unsealed,
    /// [`Durability::Buffered`]: a sealed frame that found no space, and the place behind it.
    unwritten: Option<(Vec<u8>, Position)>,
    /// Why nothing is written any more.
    stopped: Option<Arc<StorageError>>,
    /// Memory for the next frame.
    buffer: Vec<u8>,
    counters: LogCounters,
    teller: Arc<Teller>,
    /// What proofs have found out about the file's leaves. Whoever locks it takes no other lock.
    leaves: Arc<Mutex<LeafIndex>>,
}

#[derive(Debug, Default)]
struct Unsealed {
    payload: Vec<u8>,
    commit_count: u32,
}

/// What a log is opened with.
#[derive(Debug)]
pub(crate) struct LogParts {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    pub(crate) seals: Seals,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) durability: Durability,
    pub(crate) teller: Arc<Teller>,
    /// Where the log ends; all before it is durable.
    pub(crate) end: Position,
    /// Length of the file.
    pub(crate) allocated: u64,
}

impl Log {
    pub(crate) fn new(parts: LogParts) -> Self {
        let LogParts { file, path, header, seals, clock, durability, teller, end, allocated } = parts;
        Self {
            file,
            path,
            header,
            seals,
            clock,
            durability,
            durable: end.offset,
            end,
            filled: allocated,
            allocated,
            reserves: true,
            unsynced_groups: 0,
            unsealed: Unsealed::default(),
            unwritten: None,
            stopped: None,
            buffer: Vec::new(),
            counters: LogCounters::default(),
            teller,
            leaves: Arc::default(),
        }
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn seals(&self) -> &Seals {
        &self.seals
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn teller(&self) -> &Arc<Teller> {
        &self.teller
    }

    /// Behind the last group that the system has taken.
    pub(crate) fn end(&self) -> &Position {
        &self.end
    }

    pub(crate) fn allocated(&self) -> u64 {
        self.allocated
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Takes over what is known about the file's leaves.
    pub(crate) fn with_leaves(self, leaves: Arc<Mutex<LeafIndex>>) -> Self {
        Self { leaves, ..self }
    }

    pub(crate) fn leaves(&self) -> &Arc<Mutex<LeafIndex>> {
        &self.leaves
    }

    pub(crate) fn counters(&self) -> LogCounters {
        self.counters
    }

    /// Goes on from the counters of the log that this one replaces.
    pub(crate) fn continue_counting(&mut self, counters: LogCounters) {
        self.counters = counters;
    }

    /// The last commit that was accepted, whether or not the system has it yet.
    pub(crate) fn last_sequence(&self) -> SequenceNumber {
        let sealed = self.unwritten.as_ref().map_or(self.end.sequence, |(_, behind)| behind.sequence);
        sealed.plus(u64::from(self.unsealed.commit_count))
    }

    /// Whether the floor is behind the log's end.
    pub(crate) fn floor_is_behind(&self) -> bool {
        self.header.floor.offset < self.end.offset
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Writes a group, with the durability that the log has.
    pub(crate) fn append(&mut self, group: &Group) -> Result<()> {
        self.check()?;
        if self.durability == Durability::Buffered {
            return self.take(group);
        }
        let before = self.write_group(group)?;
        if self.durability == Durability::Sync {
            self.sync().map_err(|source| {
                // Readers never see the group, so neither do head, backup and verification.
                self.end = before;
                StorageError::OutcomeUnknown { source: Arc::new(source) }
            })?;
        }
        self.counters.commits += group.commits().len() as u64;
        Ok(())
    }

    /// Hands everything that this process holds to the system.
    pub(crate) fn write_out(&mut self) -> Result<()> {
        self.check()?;
        if self.unwritten.is_none() && self.unsealed.commit_count > 0 {
            self.seal_unsealed()?;
        }
        if let Some((frame, behind)) = self.unwritten.take() {
            if let Err(error) = self.write(&frame, self.end.offset).map_err(|error| self.recover(error)) {
                self.unwritten = Some((frame, behind));
                return Err(error);
            }
            let before = mem::replace(&mut self.end, behind);
            self.count_group(&before);
            self.buffer = frame;
        }
        Ok(())
    }

    /// Makes everything durable that was accepted.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.write_out()?;
        let groups = self.unsynced_groups;
        self.sync_if_needed()?;
        if groups > 1 {
            self.write_floor()?;
        }
        Ok(())
    }

    /// Makes what the system has durable.
    pub(crate) fn sync_written(&mut self) -> Result<()> {
        self.write_out()?;
        self.sync_if_needed()
    }

    fn sync_if_needed(&mut self) -> Result<()> {
        if self.unsynced_groups > 0 { self.sync() } else { Ok(()) }
    }

    /// Records in the header that the log is durable up to its end.
    pub(crate) fn write_floor(&mut self) -> Result<()> {
        self.sync_written()?;
        self.write_header(Header { floor: self.end.floor(), ..self.header.clone() })
    }

    /// Puts other key slots into the header. Both copies are durable when this returns.
    pub(crate) fn write_slots(&mut self, slots: &Slots) -> Result<()> {
        self.check()?;
        self.write_keys(Header { slots: *slots, ..self.header.clone() }, self.seals.clone())
    }

    /// Seals everything from the log's end on under another root key. Both copies of the header are durable when this
    /// returns, and their floor holds what was sealed under the keys before to its place.
    pub(crate) fn renew_root(&mut self, new: NewRoot) -> Result<()> {
        self.sync_written()?;
        let seals = self.seals.renewed(self.end.offset, new.root);
        let retired = seals.wrap_retired().map_err(StorageError::key(&self.path))?;
        let (floor, slots) = (self.end.floor(), new.slots);
        self.write_keys(Header { floor, retired, slots, ..self.header.clone() }, seals)
    }

    /// Nothing may be written before both copies name the new keys: with one of them lost, the other must not bring
    /// back a slot that was removed, nor a root key that opens less than the whole log. So whatever fails here, be it
    /// for want of space, stops all writing.
    fn write_keys(&mut self, header: Header, seals: Seals) -> Result<()> {
        // At once, because these seals judge an older copy as well.
        self.seals = seals;
        self.write_header(header).map_err(|error| {
            let error = if self.is_stopped() { error } else { self.stop(error) };
            StorageError::KeysUnknown { source: Arc::new(error) }
        })
    }

    /// Writes the header's next generation to one copy, then to the other.
    ///
    /// The copies take turns in being the first: what failed to be written last time, and may be torn on disk although
    /// it reads as written, is written before the other, which is whole.
    fn write_header(&mut self, mut header: Header) -> Result<()> {
        header.generation += 1;
        let block = header.encode(&*self.seals.sealer);
        let first = header.generation % 2;
        for copy in [first, 1 - first] {
            let io = || StorageError::io("write the header of", &self.path);
            if let Err(error) = self.file.write_all_at(&block, copy * BLOCK_LEN as u64).map_err(io()) {
                return Err(if error.is_out_of_space() { error } else { self.stop(error) });
            }
            if let Err(error) = self.file.sync().map_err(io()) {
                return Err(self.stop(error));
            }
            self.header = header.clone();
        }
        Ok(())
    }

    /// Ends writing: everything is durable, the floor says so, and no space is set aside any more.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.write_out()?;
        if self.allocated > self.end.offset {
            self.cut(self.end.offset)?;
        }
        if self.floor_is_behind() {
            self.write_floor()?;
        }
        Ok(())
    }

    /// An error if nothing is written any more.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.stopped {
            None => Ok(()),
            Some(source) => Err(StorageError::WritesStopped { source: source.clone() }),
        }
    }

    /// Accepts no more writes, because of `error`.
    pub(crate) fn stop(&mut self, error: StorageError) -> StorageError {
        self.teller.tell(&Event::WritesStopped { error: &error });
        let error = Arc::new(error);
        self.stopped = Some(error.clone());
        StorageError::Shared(error)
    }

    /// [`Durability::Buffered`]: keeps a group in memory, and hands over what has come together.
    fn take(&mut self, group: &Group) -> Result<()> {
        let full = self.unsealed.payload.len() >= BUFFERED_LEN;
        if full || self.unwritten.is_some() {
            self.write_out()?;
        }
        let kept = self.unsealed.payload.len();
        for operations in group.commits() {
            record::write_commit(operations.iter(), &mut self.unsealed.payload)
                .map_err(|_| StorageError::Internal("a record could not be encoded"))?;
        }
        if self.unsealed.payload.len() > PAYLOAD_LEN_MAX {
            self.unsealed.payload.truncate(kept);
            self.write_out()?;
            self.write_group(group)?;
        } else {
            self.unsealed.commit_count += u32::try_from(group.commits().len()).expect("a group fits a frame");
        }
        self.counters.commits += group.commits().len() as u64;
        Ok(())
    }

    fn seal_unsealed(&mut self) -> Result<()> {
        let mut behind = self.end.clone();
        let sequence = self.last_sequence();
        let info = self.info(self.end.sequence.plus(1), self.unsealed.commit_count);
        let mut sealed = Vec::new();
        let mut buffer = mem::take(&mut self.buffer);
        let mut sealer = GroupSealer::new(&self.seals, info, self.end.tip(), &mut buffer, |frame, _| {
            sealed.extend_from_slice(frame);
            Ok(())
        });
        std::io::Write::write_all(&mut sealer, &self.unsealed.payload)
            .map_err(|error| sealer.explain(&error))?;
        sealer.finish(&mut behind, sequence)?;
        self.buffer = buffer;
        self.unsealed.payload.clear();
        self.unsealed.commit_count = 0;
        self.unwritten = Some((sealed, behind));
        Ok(())
    }

    fn info(&self, first_sequence: SequenceNumber, commit_count: u32) -> GroupInfo {
        let (time_ns, durable) = (self.clock.wall_ns(), self.durable);
        GroupInfo { kind: Kind::Commit, first_sequence, commit_count, time_ns, durable }
    }

    /// Writes a group and returns where the log ended before it.
    fn write_group(&mut self, group: &Group) -> Result<Position> {
        let mut buffer = mem::take(&mut self.buffer);
        let mut end = self.end.clone();
        let written = self.write_frames(group.first(), group.commits(), &mut buffer, &mut end);
        self.buffer = buffer;
        match written {
            Ok(()) => {
                let before = mem::replace(&mut self.end, end);
                self.count_group(&before);
                Ok(before)
            }
            Err(error) => {
                let error = self.recover(error);
                // Without a cut, all of the group may have got to the disk before the error came.
                Err(if self.is_stopped() {
                    StorageError::OutcomeUnknown { source: Arc::new(error) }
                } else {
                    error
                })
            }
        }
    }

    /// The system has taken a group that stands between `before` and the log's end.
    fn count_group(&mut self, before: &Position) {
        self.unsynced_groups += 1;
        self.counters.groups += 1;
        let (sequence, commits) = (self.end.sequence.0, self.end.sequence.0 - before.sequence.0);
        self.teller.tell(&Event::GroupWritten { sequence, commits, bytes: self.end.offset - before.offset });
    }

    fn write_frames(
        &mut self,
        first: SequenceNumber,
        commits: &[Vec<Operation>],
        buffer: &mut Vec<u8>,
        end: &mut Position,
    ) -> Result<()> {
        let commit_count = u32::try_from(commits.len()).expect("a group fits a frame or is one commit");
        let info = self.info(first, commit_count);
        let seals = self.seals.clone();
        let tip = self.end.tip();
        let mut sealer =
            GroupSealer::new(&seals, info, tip, buffer, |frame, offset| self.write(frame, offset));
        for operations in commits {
            record::write_commit(operations.iter(), &mut sealer).map_err(|error| sealer.explain(&error))?;
        }
        sealer.finish(end, first.plus(u64::from(commit_count) - 1))
    }

    fn write(&mut self, frame: &[u8], offset: u64) -> Result<()> {
        let end = offset + frame.len() as u64;
        if end > self.allocated {
            self.reserve(end);
        }
        self.fill(end, frame.len())?;
        self.file.write_all_at(frame, offset).map_err(StorageError::io("write", &self.path))?;
        self.allocated = self.allocated.max(end);
        Ok(())
    }

    /// Writes zeros behind a small frame that is the first to use the space there. What is written to space that was
    /// only set aside must be recorded by the file system as well, which makes each such sync slower by half; so
    /// one sync takes a stretch of zeros along, and those after it find written space.
    ///
    /// Before the frame, so that a group whose writing fails is not on disk.
    fn fill(&mut self, end: u64, frame_len: usize) -> Result<()> {
        if self.durability != Durability::Sync || end <= self.filled {
            return Ok(());
        }
        self.filled = end;
        let ahead =
            usize::try_from(self.allocated.saturating_sub(end)).unwrap_or(usize::MAX).min(ZEROS.len());
        if ahead == 0 || frame_len >= ZEROS.len() {
            return Ok(());
        }
        match self.file.write_all_at(&ZEROS[..ahead], end).map_err(StorageError::io("write", &self.path)) {
            Ok(()) => self.filled += ahead as u64,
            // The frame may still find its place.
            Err(error) if error.is_out_of_space() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sets space aside behind `end`, so that a sync need not record a new length each time.
    /// Best effort: a commit that still fits is written without it.
    fn reserve(&mut self, end: u64) {
        let mut step = (end / 8).clamp(RESERVE_LEN_MIN, RESERVE_LEN_MAX);
        while self.reserves && step >= RESERVE_LEN_MIN {
            match self.file.reserve(self.allocated, end + step - self.allocated) {
                Ok(()) => {
                    self.allocated = end + step;
                    return;
                }
                Err(error) => {
                    let error = StorageError::io("set space aside for", &self.path)(error);
                    self.reserves = error.is_out_of_space();
                    step /= 2;
                }
            }
        }
    }

    /// After a failed write: cuts back if it was for want of space, else stops.
    fn recover(&mut self, error: StorageError) -> StorageError {
        match error {
            error if error.is_out_of_space() => match self.cut(self.end.offset) {
                Ok(()) => error,
                Err(cut) => cut,
            },
            StorageError::Io { .. } => self.stop(error),
            // Nothing of the group has been written, or a cut is due as well.
            other => match self.cut(self.end.offset) {
                Ok(()) => other,
                Err(cut) => cut,
            },
        }
    }

    /// Cuts the file and makes the cut durable, with everything before it.
    fn cut(&mut self, offset: u64) -> Result<()> {
        if let Err(error) = self.file.set_len(offset) {
            return Err(self.stop(StorageError::io("cut", &self.path)(error)));
        }
        self.allocated = offset;
        self.filled = offset;
        self.sync()
    }

    /// Two syncs of one file never run at once: the system may report a failure to only one of them. The
    /// I/O lock sees to that.
    fn sync(&mut self) -> Result<()> {
        let start = self.clock.monotonic();
        match self.file.sync() {
            Ok(()) => {
                self.teller.tell(&Event::Synced { took: self.clock.monotonic().saturating_sub(start) });
                self.counters.syncs += 1;
                self.durable = self.end.offset;
                self.unsynced_groups = 0;
                Ok(())
            }
            Err(error) => Err(self.stop(StorageError::io("sync", &self.path)(error))),
        }
    }
}

/// [`Durability::Buffered`]: commits are handed over when this many bytes have come together.
const BUFFERED_LEN: usize = 64 << 10;
/// Space is set aside in steps of an eighth of the log, within these bounds, in bytes.
const RESERVE_LEN_MIN: u64 = 64 << 10;
const RESERVE_LEN_MAX: u64 = 16 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
