//! Reads a database without its key, as far as that goes: places, links, the Merkle log and the recorded floor.
//!
//! What is left out is what only the key can tell: whether the header and the frames were sealed by somebody who has
//! it. Whoever can write to the file can make one that passes here, with another head; so the head is what counts,
//! compared with one that was kept elsewhere.

use std::path::{Path, PathBuf};

use codex_crypto::LogHead;
use codex_crypto::merkle::leaf_hash;

use crate::error::{Damage, Result, StorageError};
use crate::files::Files;
use crate::format::SequenceNumber;
use crate::format::frame::{FrameHeader, Kind};
use crate::format::header::Header;
use crate::lock::{lock, lock_file};
use crate::log::Position;
use crate::log::leaves::ProvenLog;
use crate::log::reader::{FrameReader, GoodFrame};
use crate::log::scan::{OpenGroup, check_floor, continues};
use crate::log::search::{Claim, ClaimSearch};
use crate::progress::{Observer, Stage};
use crate::prove::{Continuation, ExpectedHead, compare_in, consult_log};
use crate::recovery::{last_nonzero, read_unkeyed_header};
use crate::sync::{Arc, Mutex};
use crate::vfs::{Access, File, Lock, Vfs};

/// What can be said of a database without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnkeyedReport {
    /// Frames whose checksum, link and place were checked.
    pub frames: u64,
    /// Commits that they say they hold.
    pub commits: u64,
    /// The last commit.
    pub sequence: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// The head over the frames.
    pub head: LogHead,
    /// How many of the frames the recorded floor covers. The bytes of the last frame behind it are confirmed by nothing.
    pub floor_size: u64,
    /// Bytes behind the last whole group, of one that was never acknowledged.
    pub torn_bytes: u64,
}

/// A database that was read without its key, and is locked for reading.
#[derive(Debug)]
pub struct UnkeyedLog {
    file: Arc<dyn File>,
    path: PathBuf,
    header: Header,
    end: Position,
    report: UnkeyedReport,
    _lock: Option<Arc<dyn File>>,
}

impl UnkeyedLog {
    /// Reads every byte of the database at `path`; it is not changed.
    pub fn open(vfs: &dyn Vfs, path: &Path, observer: &Observer) -> Result<Self> {
        let files = Files::of(vfs.resolve(path).map_err(StorageError::io("find", path))?);
        let path = files.database().to_path_buf();
        if vfs.kind(&path).map_err(StorageError::io("look at", &path))?.is_none() {
            return Err(StorageError::NotFound { path });
        }
        let held = lock(vfs, &files, Lock::Shared)?;
        let file = vfs.open(&path, Access::Read).map_err(StorageError::io("open", &path))?;
        lock_file(&*file, &path, &files, Lock::Shared)?;
        let header = read_unkeyed_header(&*file, &path)?;
        let (end, report) = read(&*file, &path, &header, observer)?;
        Ok(Self { file, path, header, end, report, _lock: held })
    }

    /// What was read.
    #[must_use]
    pub fn report(&self) -> UnkeyedReport {
        self.report
    }

    /// How the log goes on from a head; [`StorageError::HeadMismatch`] if it does not.
    pub fn compare_head(&self, head: impl Into<ExpectedHead>) -> Result<Continuation> {
        let (log, head) = (self.log(), head.into());
        consult_log(log, &Mutex::default(), || Ok(()), |tree, log| compare_in(tree, log, head))
    }

    fn log(&self) -> ProvenLog<'_> {
        ProvenLog { file: &*self.file, path: &self.path, header: &self.header, end: &self.end }
    }
}

/// Checks a file that nobody writes to as [`UnkeyedLog::open`] does; returns its header as well, which nobody has
/// authenticated. `path` is what errors name.
pub fn check_unkeyed(file: &dyn File, path: &Path, observer: &Observer) -> Result<(Header, UnkeyedReport)> {
    let header = read_unkeyed_header(file, path)?;
    let (_, report) = read(file, path, &header, observer)?;
    Ok((header, report))
}

fn read(
    file: &dyn File,
    path: &Path,
    header: &Header,
    observer: &Observer,
) -> Result<(Position, UnkeyedReport)> {
    let io = || StorageError::io("read", path);
    let len = file.len().map_err(io())?;
    let mut meter = observer.begin(Stage::Verifying, len);
    let mut reader = FrameReader::new(file, len);
    let mut end = Position::start(header);
    // A frame's bytes are confirmed by the next one, which names their leaf.
    let mut unconfirmed: Option<(Position, u64)> = None;
    let mut group = OpenGroup::default();
    let (mut leaf, mut stop, mut frames, mut commits) = (end.leaf, end.offset, 0, 0);
    check_floor(path, header, end.offset, &end)?;
    while let Some(frame) = frame_at(&mut reader, stop, header).map_err(io())? {
        if frame.header.previous_leaf != leaf {
            // One of the two is not as it was written: the one before, unless that has a group of its own to end.
            if group.first.is_none()
                && let Some((before, counted)) = unconfirmed
            {
                frames -= end.frontier.size() - before.frontier.size();
                commits -= counted;
                end = before;
            }
            break;
        }
        if !continues(&frame.header, &group, end.sequence, header) {
            return Err(StorageError::damaged(path, stop, Some(end.sequence.0), Damage::NotContinued));
        }
        leaf = frame.leaf;
        stop = frame.end;
        meter.reach(stop);
        if let Some((first, _)) = group.push(&frame) {
            let counted = if first.kind == Kind::Commit { u64::from(first.commit_count) } else { 0 };
            let sequence = match first.kind {
                Kind::Commit => SequenceNumber(end.sequence.0.saturating_add(counted)),
                _ => end.sequence,
            };
            if sequence > SequenceNumber::MAX {
                return Err(StorageError::damaged(path, stop, Some(end.sequence.0), Damage::NotContinued));
            }
            let before = end.clone();
            end.advance(&group.frames, frame.end, sequence);
            check_floor(path, header, before.offset, &end)?;
            frames += group.frames.len() as u64;
            commits += counted;
            unconfirmed = Some((before, counted));
            group = OpenGroup::default();
        }
    }
    let damaged = |damage| StorageError::damaged(path, end.offset, Some(end.sequence.0), damage);
    if end.offset < header.floor.offset {
        return Err(damaged(Damage::Floor));
    }
    if acknowledged_beyond(file, path, header, &end, len)? {
        return Err(damaged(Damage::AcknowledgedFrame));
    }
    let torn_bytes = last_nonzero(file, path, end.offset, len)?.map_or(0, |last| last + 1 - end.offset);
    let head = LogHead { id: header.id, size: end.frontier.size(), root: end.frontier.root() };
    let report = UnkeyedReport {
        frames,
        commits,
        sequence: end.sequence.0,
        bytes: len,
        head,
        floor_size: header.floor.size,
        torn_bytes,
    };
    meter.finish();
    Ok((end, report))
}

/// The frame whose header says that it stands at `offset`; its payload is not looked at.
fn frame_at<'a>(
    reader: &'a mut FrameReader<'_>,
    offset: u64,
    header: &Header,
) -> std::io::Result<Option<GoodFrame<'a>>> {
    let Some(encoded) = reader.bytes(offset, FrameHeader::LEN)? else { return Ok(None) };
    let encoded: &[u8; FrameHeader::LEN] = (&*encoded).try_into().expect("as many bytes as were asked for");
    let Some(frame) = FrameHeader::decode(encoded, offset, header.id) else { return Ok(None) };
    let len = FrameHeader::LEN + frame.payload_len as usize + header.suite.tag_len();
    let Some(bytes) = reader.bytes(offset, len)? else { return Ok(None) };
    Ok(Some(GoodFrame {
        header: frame,
        leaf: leaf_hash(&[bytes]),
        payload: &[],
        end: offset + bytes.len() as u64,
    }))
}

/// Whether a frame behind `end` says that what stood there had been acknowledged.
fn acknowledged_beyond(
    file: &dyn File,
    path: &Path,
    header: &Header,
    end: &Position,
    len: u64,
) -> Result<bool> {
    let claim = ClaimSearch::new(file, path, end.offset, len).next(end.offset, |bytes, at| {
        let frame = FrameHeader::decode(bytes, at, header.id)?;
        (frame.durable > end.offset).then_some(frame.payload_len)
    })?;
    Ok(claim != Claim::None)
}
