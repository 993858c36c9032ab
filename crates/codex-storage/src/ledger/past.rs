//! The log of a ledger as it stands, for those who read what is past.
//!
//! It is read beside the commits and without a lock: up to the end that the log had when it was asked for, and of all
//! that stands before an end no byte is ever changed. It is read in steps of whole groups, each frame checked as at
//! opening, and behind the last one stands the leaf that this process knows, or the log was changed.

use std::path::PathBuf;

use codex_crypto::{Digest, Frontier};

use super::checkpoint::{self, Checkpoint};
use crate::batch::Operation;
use crate::database::Shared;
use crate::error::{Damage, Result, StorageError};
use crate::format::header::{Floor, Header};
use crate::format::{Mode, SequenceNumber};
use crate::log::scan::{Found, LogFile, scan};
use crate::log::{Position, Seals};
use crate::point::Point;
use crate::progress::{Observer, Stage};
use crate::sync::{Arc, RwLock};
use crate::table::TableLoader;
use crate::vfs::{Access, File, FileKind};
use crate::view::View;

/// A place between two groups of a log: what a [`Position`] is without the Merkle tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// The last commit before the place.
    pub(super) sequence: SequenceNumber,
    /// The leaf of the frame before the place, which stands for all that led there.
    leaf: Digest,
}

impl Place {
    pub(super) fn of(position: &Position) -> Self {
        Self { offset: position.offset, sequence: position.sequence, leaf: position.leaf }
    }

    /// The place as one to go on from; the tree behind it is not wanted.
    fn position(self) -> Position {
        let Self { offset, sequence, leaf } = self;
        Position { offset, sequence, leaf, frontier: Frontier::default(), last_frame: None }
    }
}

/// A log up to a known end.
#[derive(Debug)]
pub(super) struct PastLog {
    file: Arc<dyn File>,
    path: PathBuf,
    header: Header,
    seals: Seals,
    end: Place,
}

impl PastLog {
    /// The log with everything that was acknowledged so far.
    pub(super) fn of(shared: &Shared) -> Result<Self> {
        if shared.mode == Mode::Snapshot {
            return Err(StorageError::NoHistory);
        }
        shared.core.with_engine(|engine| {
            if engine.last_sequence() > engine.log().end().sequence {
                engine.log_mut().write_out()?;
            }
            let log = engine.log();
            // Checked at opening, and the end that is known now says more. Without the tree it cannot be checked.
            let floor = Floor { offset: 0, size: 0, root: Digest::ZERO };
            Ok(Self {
                file: log.file().clone(),
                path: shared.files.database().to_path_buf(),
                header: Header { floor, ..log.header().clone() },
                seals: log.seals().clone(),
                end: Place::of(log.end()),
            })
        })
    }

    pub(super) fn start(&self) -> Place {
        Place::of(&Position::start(&self.header))
    }

    pub(super) fn end(&self) -> Place {
        self.end
    }

    /// Reads on from a place towards another one behind it that is known: whole groups, as many as lie within `len` bytes
    /// but at least one. Returns the place behind them.
    pub(super) fn step(
        &self,
        from: Place,
        to: Place,
        len: u64,
        mut visit: impl FnMut(Found<'_>),
    ) -> Result<Place> {
        let mut len = len;
        loop {
            let limit = from.offset.saturating_add(len).min(to.offset);
            let mut meter = Observer::NONE.begin(Stage::ReadingLog, limit);
            let scanned = scan(self.file(), from.position(), limit, &mut meter, &mut visit)?;
            let behind = Place::of(&scanned.end);
            let progress = from.offset < behind.offset && behind.offset < to.offset;
            if progress || behind == to {
                return Ok(behind);
            }
            if limit == to.offset {
                // No good frame stands there, or it is not the one that did.
                let last = scanned.end.last_frame.map_or(scanned.stop, |(offset, _)| offset);
                return Err(StorageError::damaged(
                    &self.path,
                    last,
                    Some(from.sequence.0),
                    Damage::LogChanged,
                ));
            }
            // The first group is longer.
            len = len.saturating_mul(2);
        }
    }

    /// The checkpoint, if it is there, whole, and not behind a commit.
    pub(super) fn checkpoint(&self, shared: &Shared, sequence: SequenceNumber) -> Result<Option<Checkpoint>> {
        let path = shared.files.checkpoint();
        if sequence == self.start().sequence
            || shared.vfs.kind(&path).map_err(StorageError::io("look at", &path))? != Some(FileKind::Regular)
        {
            return Ok(None);
        }
        let file = match shared.vfs.open(&path, Access::Read) {
            Ok(file) => file,
            // It may be deleted at any time.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("open", &path)(error)),
        };
        let found = checkpoint::read(&*file, &path, &self.seals, &shared.observer)?;
        // One that was written since then may cover more than this log's end.
        let Some(found) = found.filter(|found| found.covers.sequence <= sequence) else { return Ok(None) };
        checkpoint::confirm(&found, self.file())?;
        Ok(Some(found))
    }

    fn file(&self) -> LogFile<'_> {
        LogFile { file: &*self.file, path: &self.path, header: &self.header, seals: &self.seals }
    }
}

/// The state at a point of the past, in a table of its own, as the log has it: what had expired is there until the commit
/// that deleted it.
pub(crate) fn view_at(shared: &Shared, point: Point) -> Result<View> {
    let past = PastLog::of(shared)?;
    let (start, end) = (past.start(), past.end());
    if let Point::Sequence(sequence) = point {
        if sequence < start.sequence.0 || sequence > end.sequence.0 {
            let (first, last) = (start.sequence.0 + 1, end.sequence.0);
            return Err(StorageError::NoSuchCommit { sequence, first, last });
        }
        let now = View::whole(shared.core.table());
        if now.sequence().0 == sequence {
            return Ok(now);
        }
    }
    let mut table = TableLoader::new(end.offset);
    let mut place = start;
    if let Point::Sequence(sequence) = point
        && let Some(checkpoint) = past.checkpoint(shared, SequenceNumber(sequence))?
    {
        place = Place::of(&checkpoint.covers);
        checkpoint.records.into_iter().for_each(|record| table.push(Operation::Set(record)));
    }
    let mut reached = place.sequence;
    let mut passed = false;
    let from = place.offset;
    let mut meter = shared.observer.begin(Stage::ReadingLog, end.offset - from);
    while !passed && point != Point::Sequence(place.sequence.0) && place.offset < end.offset {
        place = past.step(place, end, STEP_LEN, |found| {
            passed |= point.is_before(found.sequence, found.time_ns);
            if !passed {
                table.replay(found.sequence, found.record);
                reached = found.sequence;
            }
        })?;
        meter.reach(place.offset - from);
    }
    meter.finish();
    Ok(View::whole(&Arc::new(RwLock::new(table.finish(reached, None)?))))
}

/// How much of a log is read at a time where all of it is wanted, in bytes: any single frame, and some more.
pub(super) const STEP_LEN: u64 = 2 << 20;
