//! Walks a log from a known position: each frame is checked before any of it is believed, and commits
//! count group by whole group.

use std::path::Path;

use codex_crypto::Digest;

use super::reader::{FrameReader, GoodFrame};
use super::search::{Claim, ClaimSearch};
use super::{Position, Seals};
use crate::error::{Damage, Result, StorageError};
use crate::format::frame::{FrameHeader, Kind};
use crate::format::header::{Floor, Header};
use crate::format::record::{self, RecordBytes};
use crate::format::{Mode, SequenceNumber};
use crate::progress::Meter;
use crate::vfs::File;

/// A file whose log is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFile<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) path: &'a Path,
    pub(crate) header: &'a Header,
    pub(crate) seals: &'a Seals,
}

/// A record, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) sequence: SequenceNumber,
    /// When its group was written, in nanoseconds since the Unix epoch.
    pub(crate) time_ns: u64,
    pub(crate) record: RecordBytes<'a>,
}

/// How far a log could be followed.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Behind the last whole group.
    pub(crate) end: Position,
    /// The first place where no good frame stands.
    pub(crate) stop: u64,
    /// The largest end of the log that a frame names as durable.
    pub(crate) durable: u64,
    /// Frames that were read.
    pub(crate) frames: u64,
    /// Commits that were read.
    pub(crate) commits: u64,
}

/// The frames of the group being read.
#[derive(Default)]
pub(crate) struct OpenGroup {
    pub(crate) first: Option<FrameHeader>,
    /// Offset and leaf of each.
    pub(crate) frames: Vec<(u64, Digest)>,
    /// The payload so far, if the group has more than one frame.
    payload: Vec<u8>,
}

impl OpenGroup {
    /// Whether a frame that names the leaf before it is the next of this group.
    pub(crate) fn goes_on_with(&self, frame: &FrameHeader) -> bool {
        self.first.as_ref().is_some_and(|first| {
            !frame.begins
                && frame.kind == first.kind
                && frame.first_sequence == first.first_sequence
                && frame.commit_count == first.commit_count
        })
    }

    /// Adds a frame. If that ends the group: its first header, and its whole payload.
    pub(crate) fn push<'a>(&'a mut self, frame: &'a GoodFrame<'_>) -> Option<(&'a FrameHeader, &'a [u8])> {
        self.frames.push((frame.header.offset, frame.leaf));
        let first = self.first.get_or_insert_with(|| frame.header.clone());
        if frame.header.begins && frame.header.ends {
            return Some((first, frame.payload));
        }
        self.payload.extend_from_slice(frame.payload);
        frame.header.ends.then_some((&*first, &*self.payload))
    }
}

/// Follows the log from `from` up to `limit`, and gives every record of a whole group to `visit`. `meter` counts from
/// `from` on; whoever began it ends it.
pub(crate) fn scan(
    log: LogFile<'_>,
    from: Position,
    limit: u64,
    meter: &mut Meter,
    visit: impl FnMut(Found<'_>),
) -> Result<Scanned> {
    scan_while(log, from, limit, meter, |_| true, visit)
}

/// The same, but only as long as `wanted` says of the first frame of a group that it is.
pub(crate) fn scan_while(
    log: LogFile<'_>,
    from: Position,
    limit: u64,
    meter: &mut Meter,
    mut wanted: impl FnMut(&FrameHeader) -> bool,
    mut visit: impl FnMut(Found<'_>),
) -> Result<Scanned> {
    let mut reader = FrameReader::new(log.file, limit);
    let start = from.offset;
    let mut scanned = Scanned { stop: from.offset, end: from, durable: 0, frames: 0, commits: 0 };
    let mut group = OpenGroup::default();
    let mut leaf = scanned.end.leaf;
    check_floor(log.path, log.header, scanned.end.offset, &scanned.end)?;
    loop {
        let found = reader.frame_at(scanned.stop, log.seals).map_err(StorageError::io("read", log.path))?;
        let Some(frame) = found else { break };
        let damaged = |damage| {
            StorageError::damaged(log.path, frame.header.offset, Some(scanned.end.sequence.0), damage)
        };
        if frame.header.previous_leaf != leaf
            || !continues(&frame.header, &group, scanned.end.sequence, log.header)
        {
            return Err(damaged(Damage::NotContinued));
        }
        if group.first.is_none() && !wanted(&frame.header) {
            break;
        }
        scanned.frames += 1;
        scanned.durable = scanned.durable.max(frame.header.durable);
        leaf = frame.leaf;
        if let Some((first, payload)) = group.push(&frame) {
            let sequence = read_group(first, payload, &mut visit).map_err(|_| damaged(Damage::Records))?;
            if first.kind == Kind::Commit {
                scanned.commits += u64::from(first.commit_count);
            }
            let before = scanned.end.offset;
            scanned.end.advance(&group.frames, frame.end, sequence);
            check_floor(log.path, log.header, before, &scanned.end)?;
            group = OpenGroup::default();
        }
        scanned.stop = frame.end;
        meter.reach(scanned.stop - start);
    }
    Ok(scanned)
}

/// Whether a frame that names the leaf before it fits behind what was read.
pub(crate) fn continues(
    frame: &FrameHeader,
    group: &OpenGroup,
    last: SequenceNumber,
    header: &Header,
) -> bool {
    if group.first.is_some() {
        return group.goes_on_with(frame);
    }
    frame.begins
        && match frame.kind {
            Kind::Commit => frame.commit_count > 0 && frame.first_sequence == last.plus(1),
            // Base frames stand before the first commit, in a file that a rewrite made.
            Kind::Base => {
                header.mode == Mode::Snapshot
                    && frame.commit_count == 0
                    && frame.first_sequence == header.base_sequence
                    && last == header.base_sequence
            }
            Kind::Checkpoint => false,
        }
}

/// Gives the records of a whole group to `visit`, and returns the last sequence number.
pub(crate) fn read_group(
    first: &FrameHeader,
    mut payload: &[u8],
    visit: &mut impl FnMut(Found<'_>),
) -> Result<SequenceNumber, record::Malformed> {
    let kind = first.kind;
    let mut sequence = first.first_sequence;
    // Base frames hold one list of records and no commits.
    for index in 0..first.commit_count.max(1) {
        sequence = first.first_sequence.plus(u64::from(index));
        payload = record::read_commit(payload, |record| {
            if kind == Kind::Base && !record.is_set() {
                return Err(record::Malformed);
            }
            visit(Found { sequence, time_ns: first.time_ns, record });
            Ok(())
        })?;
    }
    if payload.is_empty() { Ok(sequence) } else { Err(record::Malformed) }
}

/// A log that passes the floor does so at its offset, with its size and root.
pub(crate) fn check_floor(path: &Path, header: &Header, before: u64, end: &Position) -> Result<()> {
    if contradicts_floor(&header.floor, before, end) {
        return Err(StorageError::damaged(path, end.offset, Some(end.sequence.0), Damage::Floor));
    }
    Ok(())
}

/// Whether a log that goes on from the offset `before` to `end` passes the floor at another place or with another root.
pub(crate) fn contradicts_floor(floor: &Floor, before: u64, end: &Position) -> bool {
    let passes_over = before < floor.offset && floor.offset < end.offset;
    passes_over || (end.offset == floor.offset && end.floor() != *floor)
}

/// Looks from `from` to the end of the file for a good frame which names something beyond `whole` as
/// durable: then what stood at `whole` had been acknowledged.
pub(crate) fn acknowledged_beyond(log: LogFile<'_>, whole: &Position, from: u64, limit: u64) -> Result<bool> {
    let mut search = ClaimSearch::new(log.file, log.path, from, limit);
    let mut frames = FrameReader::new(log.file, limit);
    let mut offset = from;
    loop {
        // An honest torn end holds hardly any such claims; a forged one could hold millions.
        let claim = search.next(offset, |bytes, at| {
            let header = FrameHeader::decode(bytes, at, log.seals.id)?;
            (header.durable > whole.offset).then_some(header.payload_len)
        })?;
        match claim {
            Claim::None => return Ok(false),
            Claim::TooMany(at) => {
                let sequence = Some(whole.sequence.0);
                return Err(StorageError::damaged(log.path, at, sequence, Damage::DamagedTail));
            }
            Claim::At(at) => {
                if frames.frame_at(at, log.seals).map_err(StorageError::io("read", log.path))?.is_some() {
                    return Ok(true);
                }
                offset = at + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use codex_crypto::{DatabaseId, Salt, Suite};

    use crate::format::header::{LOG_START, SLOT_COUNT};

    /// A frame that begins and ends a group, at the start of a log.
    fn frame(kind: Kind, first_sequence: u64, commit_count: u32) -> FrameHeader {
        FrameHeader {
            kind,
            begins: true,
            ends: true,
            offset: LOG_START,
            first_sequence: SequenceNumber(first_sequence),
            commit_count,
            payload_len: 0,
            time_ns: 0,
            durable: LOG_START,
            previous_leaf: Digest::ZERO,
            salt: Salt::from_bytes([0; Salt::LEN]),
        }
    }

    fn header(mode: Mode, base_sequence: u64) -> Header {
        Header {
            generation: 1,
            mode,
            suite: Suite::Plaintext,
            id: DatabaseId::from_bytes([1; 16]),
            floor: Floor { offset: LOG_START, size: 0, root: Digest::ZERO },
            predecessor_root: Digest::ZERO,
            base_sequence: SequenceNumber(base_sequence),
            retired: Vec::new(),
            slots: [[0; codex_crypto::KeySlot::LEN]; SLOT_COUNT],
        }
    }

    fn fits(frame: &FrameHeader, header: &Header, last: u64) -> bool {
        continues(frame, &OpenGroup::default(), SequenceNumber(last), header)
    }

    #[test]
    fn commits_go_on_with_the_next_sequence_number_and_nothing_else() {
        let header = header(Mode::Ledger, 0);
        assert!(fits(&frame(Kind::Commit, 8, 1), &header, 7));
        assert!(!fits(&frame(Kind::Commit, 7, 1), &header, 7), "a number again");
        assert!(!fits(&frame(Kind::Commit, 9, 1), &header, 7), "a number left out");
        assert!(!fits(&frame(Kind::Commit, 8, 0), &header, 7), "a group without commits");
        let middle = FrameHeader { begins: false, ..frame(Kind::Commit, 8, 1) };
        assert!(!fits(&middle, &header, 7), "the middle of a group without its start");
        assert!(!fits(&frame(Kind::Checkpoint, 7, 0), &header, 7), "a checkpoint's frame in a log");
    }

    #[test]
    fn base_frames_stand_before_the_first_commit_of_a_rewritten_file() {
        let snapshot = header(Mode::Snapshot, 7);
        assert!(fits(&frame(Kind::Base, 7, 0), &snapshot, 7));
        assert!(!fits(&frame(Kind::Base, 7, 0), &header(Mode::Ledger, 7), 7), "in a ledger");
        assert!(!fits(&frame(Kind::Base, 7, 1), &snapshot, 7), "with commits");
        assert!(!fits(&frame(Kind::Base, 6, 0), &snapshot, 7), "of an older state");
        assert!(!fits(&frame(Kind::Base, 7, 0), &snapshot, 8), "behind a commit");
    }

    #[test]
    fn a_group_goes_on_with_its_own_frames_only() {
        let first = FrameHeader { ends: false, ..frame(Kind::Commit, 3, 2) };
        let group = OpenGroup { first: Some(first.clone()), ..OpenGroup::default() };
        let next = FrameHeader { begins: false, ..first };
        assert!(group.goes_on_with(&next));
        assert!(!OpenGroup::default().goes_on_with(&next), "no group is open");
        for stranger in [
            FrameHeader { begins: true, ..next.clone() },
            FrameHeader { kind: Kind::Base, ..next.clone() },
            FrameHeader { first_sequence: SequenceNumber(4), ..next.clone() },
            FrameHeader { commit_count: 3, ..next },
        ] {
            assert!(!group.goes_on_with(&stranger), "{stranger:?}");
        }
    }
}
