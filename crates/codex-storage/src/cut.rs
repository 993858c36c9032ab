//! Where a log is cut so that it is as it was at a point of its past: for a copy that goes no further.
//!
//! A group's frames are sealed as a whole, so a log can end behind any group and nowhere else. Where the point lies
//! between two commits of one group, the commits before it become a group of their own, sealed anew with the time that
//! they had. All before it stays as it is, byte for byte, and so do the heads taken of it.

use std::io::Write as _;

use codex_crypto::Digest;

use crate::error::{Damage, Result, StorageError};
use crate::format::SequenceNumber;
use crate::format::frame::{FrameHeader, Kind};
use crate::format::record;
use crate::log::Position;
use crate::log::reader::FrameReader;
use crate::log::scan::{LogFile, OpenGroup, scan_while};
use crate::log::seal::{GroupInfo, GroupSealer};
use crate::point::Point;
use crate::progress::{Observer, Stage};

/// A log that ends where it is cut.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) end: Position,
    /// Up to here the bytes are the log's own.
    pub(crate) kept: u64,
    /// The bytes behind them: a group that was sealed anew, or nothing.
    pub(crate) anew: Vec<u8>,
}

/// Cuts the log, which this process knows to end at `known`.
pub(crate) fn cut(log: LogFile<'_>, known: &Position, point: Point, observer: &Observer) -> Result<Cut> {
    let start = Position::start(log.header);
    if let Point::Sequence(sequence) = point
        && (sequence < start.sequence.0 || sequence > known.sequence.0)
    {
        let (first, last) = (start.sequence.0 + 1, known.sequence.0);
        return Err(StorageError::NoSuchCommit { sequence, first, last });
    }
    let mut passed: Option<FrameHeader> = None;
    let within = |first: &FrameHeader| {
        let commits = u64::from(first.commit_count).saturating_sub(1);
        if point.is_before(first.first_sequence.plus(commits), first.time_ns) {
            passed = Some(first.clone());
        }
        passed.is_none()
    };
    let mut meter = observer.begin(Stage::ReadingLog, known.offset.saturating_sub(start.offset));
    let scanned = scan_while(log, start, known.offset, &mut meter, within, |_| {})?;
    meter.finish();
    let end = scanned.end;
    let Some(first) = passed else {
        if end != *known {
            let sequence = Some(end.sequence.0);
            return Err(StorageError::damaged(log.path, scanned.stop, sequence, Damage::LogChanged));
        }
        // Nothing tells when a base without records was taken.
        if matches!(point, Point::Time(_)) && end.frontier.size() == 0 && is_rewritten(log) {
            return Err(StorageError::NoSuchTime { path: log.path.to_path_buf() });
        }
        return Ok(Cut { kept: end.offset, anew: Vec::new(), end });
    };
    if matches!(point, Point::Time(_))
        && is_rewritten(log)
        && (first.kind == Kind::Base || end.frontier.size() == 0)
    {
        return Err(StorageError::NoSuchTime { path: log.path.to_path_buf() });
    }
    let kept = end.offset;
    match point {
        Point::Sequence(sequence) if sequence > end.sequence.0 => {
            let (end, anew) = seal_first_commits(log, end, known.offset, SequenceNumber(sequence))?;
            Ok(Cut { end, kept, anew })
        }
        _ => Ok(Cut { end, kept, anew: Vec::new() }),
    }
}

/// Whether the file begins with what a rewrite has left of another one.
fn is_rewritten(log: LogFile<'_>) -> bool {
    log.header.predecessor_root != Digest::ZERO
}

/// The commits up to `last` of the group behind `end`, sealed as a group that ends with them.
fn seal_first_commits(
    log: LogFile<'_>,
    mut end: Position,
    limit: u64,
    last: SequenceNumber,
) -> Result<(Position, Vec<u8>)> {
    let mut reader = FrameReader::new(log.file, limit);
    let mut group = OpenGroup::default();
    let mut at = end.offset;
    loop {
        let damaged = |damage| StorageError::damaged(log.path, at, Some(end.sequence.0), damage);
        let frame = reader.frame_at(at, log.seals).map_err(StorageError::io("read", log.path))?;
        let frame = frame.ok_or_else(|| damaged(Damage::LogChanged))?;
        let Some((first, payload)) = group.push(&frame) else {
            at = frame.end;
            continue;
        };
        let count = u32::try_from(last.0 - end.sequence.0)
            .map_err(|_| StorageError::Internal("a group has at most 2^32 commits"))?;
        let mut rest = payload;
        for _ in 0..count {
            rest = record::read_commit(rest, |_| Ok(())).map_err(|_| damaged(Damage::Records))?;
        }
        let info = GroupInfo {
            kind: first.kind,
            first_sequence: first.first_sequence,
            commit_count: count,
            time_ns: first.time_ns,
            durable: first.durable,
        };
        let (mut anew, mut buffer) = (Vec::new(), Vec::new());
        let emit = |bytes: &[u8], _| {
            anew.extend_from_slice(bytes);
            Ok(())
        };
        let mut sealer = GroupSealer::new(log.seals, info, end.tip(), &mut buffer, emit);
        if let Err(error) = sealer.write_all(&payload[..payload.len() - rest.len()]) {
            return Err(sealer.explain(&error));
        }
        sealer.finish(&mut end, last)?;
        return Ok((end, anew));
    }
}
