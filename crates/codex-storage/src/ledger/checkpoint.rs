//! Live state at a sequence number, beside the log. Layout: `docs/file-format.md`, "Checkpoint".
//!
//! A checkpoint is derived: it may be deleted at any time, and a damaged one is ignored. One that
//! authenticates and that the log contradicts says that the log has lost something.

use std::path::Path;

use codex_crypto::{Digest, Frontier, merkle};

use crate::batch::Operation;
use crate::clock::Clock;
use crate::engine::{Maintenance, MaintenanceHost};
use crate::error::{Damage, Result, StorageError};
use crate::files::Files;
use crate::format::SequenceNumber;
use crate::format::frame::Kind;
use crate::format::header::Header;
use crate::format::record;
use crate::log::leaves::{LeafIndex, ProvenLog};
use crate::log::reader::FrameReader;
use crate::log::scan::LogFile;
use crate::log::seal::{GroupInfo, GroupSealer};
use crate::log::writer::Log;
use crate::log::{Position, Seals};
use crate::observe::{self, Event, Teller, Work};
use crate::progress::{Observer, Stage};
use crate::prove::consult_log;
use crate::record::Record;
use crate::snapshot::{rewritten_len, write_state};
use crate::sync::{Arc, Mutex};
use crate::vfs::replace::{Existing, Replacement, SteppedWriter};
use crate::vfs::{File, Vfs};
use crate::view::View;

/// A checkpoint that is to be written.
pub(super) struct CheckpointJob {
    view: View,
    vfs: Arc<dyn Vfs>,
    files: Files,
    seals: Seals,
    covers: Position,
    clock: Arc<dyn Clock>,
    teller: Arc<Teller>,
    log_file: Arc<dyn File>,
    header: Header,
    leaves: Arc<Mutex<LeafIndex>>,
}

impl CheckpointJob {
    pub(super) fn plan(log: &Log, vfs: Arc<dyn Vfs>, files: Files, view: View) -> Result<Self> {
        if log.end().sequence != view.sequence() {
            return Err(StorageError::Internal("a checkpoint was planned beside a commit"));
        }
        let (seals, covers) = (log.seals().clone(), log.end().clone());
        let (log_file, header, leaves) = (log.file().clone(), log.header().clone(), log.leaves().clone());
        let (clock, teller) = (log.clock().clone(), log.teller().clone());
        Ok(Self { view, vfs, files, seals, covers, clock, teller, log_file, header, leaves })
    }

    /// The leaf index of what the checkpoint covers, brought up to date and held against the head there.
    ///
    /// A log that contradicts it is damaged, which is for `verify` and for proofs to say: they name the place. For the
    /// next opening the checkpoint is as good with an index that knows nothing.
    fn encode_leaves(&self) -> Result<Vec<u8>> {
        let (file, path) = (&*self.log_file, self.files.database());
        let log = ProvenLog { file, path, header: &self.header, end: &self.covers };
        let checked =
            consult_log(log, &self.leaves, || Ok(()), |tree, log| tree.root(log.size()).map(|_| ()));
        let size = match checked {
            Ok(()) => self.covers.frontier.size(),
            Err(StorageError::Damaged { .. }) => 0,
            Err(error) => return Err(error),
        };
        Ok(self.leaves.lock().encode(size))
    }
}

impl Maintenance for CheckpointJob {
    fn run(self: Box<Self>, host: &dyn MaintenanceHost) -> Result<()> {
        let _span = observe::begin(Work::Checkpoint);
        let start_time = self.clock.monotonic();
        let path = self.files.checkpoint();
        let records = self.view.totals().records;
        let Some(manifest) = encode_manifest(&self.covers, records, &self.encode_leaves()?) else {
            return Ok(());
        };
        let io = |action| StorageError::io(action, &path);
        let replacement = Replacement::create(&self.vfs, &path).map_err(io("write"))?;
        let mut file = SteppedWriter::new(replacement.file().clone());
        let mut meter = host.observer().begin(Stage::Rewriting, rewritten_len(self.view.totals()));
        let mut emit = |frame: &[u8], offset| {
            host.check_wanted()?;
            meter.reach(offset);
            file.write_all_at(frame, offset).map_err(StorageError::io("write", &path))
        };
        let mut end = start(&self.seals);
        let mut buffer = Vec::new();
        let sequence = self.covers.sequence;
        let (kind, time_ns) = (Kind::Checkpoint, self.clock.wall_ns());
        let info = GroupInfo { kind, first_sequence: sequence, commit_count: 0, time_ns, durable: 0 };
        let mut sealer = GroupSealer::new(&self.seals, info, end.tip(), &mut buffer, &mut emit);
        std::io::Write::write_all(&mut sealer, &manifest).map_err(|error| sealer.explain(&error))?;
        sealer.finish(&mut end, sequence)?;
        write_state(&self.view, kind, time_ns, &self.seals, &mut end, &mut buffer, &mut emit)?;
        replacement.persist(Existing::Replace).map_err(io("put in place"))?;
        host.with_engine(&mut |engine| {
            engine.note_checkpoint(self.covers.offset);
            Ok(())
        })?;
        let (bytes, took) = (end.offset, self.clock.monotonic().saturating_sub(start_time));
        self.teller.tell(&Event::CheckpointWritten { sequence: sequence.0, records, bytes, took });
        meter.finish();
        Ok(())
    }
}

/// What a checkpoint file says.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The place in the log up to which it covers.
    pub(crate) covers: Position,
    /// The runs of leaves that it covers.
    pub(crate) leaves: LeafIndex,
    /// The records that are live there, in key order.
    pub(crate) records: Vec<Record>,
}

/// Reads a checkpoint; `None` if it is damaged, of another version or of another database.
///
/// One that was sealed under a retired root key is as good as damaged: whoever the key was changed for could have
/// made it.
pub(crate) fn read(
    file: &dyn File,
    path: &Path,
    seals: &Seals,
    observer: &Observer,
) -> Result<Option<Checkpoint>> {
    let seals = &seals.current();
    let io = || StorageError::io("read", path);
    let len = file.len().map_err(io())?;
    let mut meter = observer.begin(Stage::ReadingCheckpoint, len);
    let mut reader = FrameReader::new(file, len);
    let mut at = start(seals);
    let mut group: Vec<u8> = Vec::new();
    let mut inside = false;
    let mut manifest: Option<Manifest> = None;
    let mut records = Vec::new();
    while at.offset < len {
        let Some(frame) = reader.frame_at(at.offset, seals).map_err(io())? else { return Ok(None) };
        let header = &frame.header;
        let sequence = header.first_sequence;
        let fits = header.kind == Kind::Checkpoint
            && header.previous_leaf == at.leaf
            && header.begins != inside
            && manifest.as_ref().is_none_or(|manifest| manifest.covers.sequence == sequence);
        if !fits {
            return Ok(None);
        }
        at.leaf = frame.leaf;
        at.offset = frame.end;
        meter.reach(at.offset);
        inside = !header.ends;
        group.extend_from_slice(frame.payload);
        if inside {
            continue;
        }
        if manifest.is_none() {
            match decode_manifest(&group).filter(|manifest| manifest.covers.sequence == sequence) {
                Some(read) => manifest = Some(read),
                None => return Ok(None),
            }
        } else {
            let rest = record::read_commit(&group, |record| match record.operation(sequence) {
                Operation::Set(record) => {
                    records.push(record);
                    Ok(())
                }
                Operation::Delete(_) | Operation::Clear => Err(record::Malformed),
            });
            if !matches!(rest, Ok([])) {
                return Ok(None);
            }
        }
        group.clear();
    }
    let complete = manifest.filter(|manifest| !inside && manifest.record_count == records.len() as u64);
    let ascending = records.is_sorted_by(|a, b| a.key() < b.key());
    Ok(complete.filter(|_| ascending).map(|Manifest { covers, leaves, .. }| {
        meter.finish();
        Checkpoint { covers, leaves, records }
    }))
}

/// Holds a checkpoint against the log: the last frame that it covers must stand there.
pub(crate) fn confirm(checkpoint: &Checkpoint, log: LogFile<'_>) -> Result<()> {
    let covers = &checkpoint.covers;
    let io = || StorageError::io("read", log.path);
    let len = log.file.len().map_err(io())?;
    let mut reader = FrameReader::new(log.file, len);
    let frame = match &covers.last_frame {
        Some((offset, _)) => reader.frame_at(*offset, log.seals).map_err(io())?,
        None => None,
    };
    let agrees = frame.is_some_and(|frame| {
        frame.leaf == covers.leaf && frame.end == covers.offset && frame.header.ends && {
            let behind = frame.header.first_sequence.0.checked_add(u64::from(frame.header.commit_count));
            behind == Some(covers.sequence.0 + 1)
        }
    });
    if agrees {
        Ok(())
    } else {
        let sequence = Some(covers.sequence.0);
        Err(StorageError::damaged(log.path, covers.offset, sequence, Damage::CheckpointContradicted))
    }
}

/// Removes the checkpoint beside a database that is about to be put in place: it would contradict the new log.
/// Durable when this returns.
pub fn remove_checkpoint(vfs: &dyn Vfs, files: &Files) -> Result<()> {
    let path = files.checkpoint();
    if vfs.kind(&path).map_err(StorageError::io("look at", &path))?.is_none() {
        return Ok(());
    }
    vfs.remove(&path)
        .and_then(|()| vfs.sync_directory(files.folder()))
        .map_err(StorageError::io("remove", &path))
}

/// Where a checkpoint file begins.
fn start(seals: &Seals) -> Position {
    Position {
        offset: 0,
        sequence: SequenceNumber(0),
        leaf: merkle::origin_leaf(seals.id, &Digest::ZERO),
        frontier: Frontier::default(),
        last_frame: None,
    }
}

/// What the first group of a checkpoint says.
struct Manifest {
    covers: Position,
    leaves: LeafIndex,
    record_count: u64,
}

/// Nothing to cover in an empty log: `None`.
fn encode_manifest(covers: &Position, record_count: u64, leaves: &[u8]) -> Option<Vec<u8>> {
    let (last_frame, frontier_before) = covers.last_frame.as_ref()?;
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for number in [record_count, covers.offset, covers.sequence.0, *last_frame] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(covers.leaf.as_bytes());
    bytes.extend_from_slice(leaves);
    bytes.extend_from_slice(&frontier_before.encode());
    Some(bytes)
}

fn decode_manifest(bytes: &[u8]) -> Option<Manifest> {
    let (version, rest) = bytes.split_first_chunk()?;
    if u32::from_le_bytes(*version) != VERSION {
        return None;
    }
    let (numbers, rest) = rest.split_at_checked(32)?;
    let (leaf, rest) = rest.split_at_checked(Digest::LEN)?;
    let (leaves, frontier) = LeafIndex::decode(rest)?;
    let mut numbers = numbers
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes")));
    let (record_count, offset, sequence, last) =
        (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?);
    let leaf = Digest::from_bytes(leaf.try_into().ok()?);
    let before = Frontier::decode(frontier).ok()?;
    let mut frontier = before.clone();
    frontier.append(leaf);
    let last_frame = Some((last, before));
    if sequence > SequenceNumber::MAX.0 {
        return None;
    }
    let covers = Position { offset, sequence: SequenceNumber(sequence), leaf, frontier, last_frame };
    // More runs than the frames could fill are of another log.
    leaves.fits(covers.frontier.size()).then_some(Manifest { covers, leaves, record_count })
}

/// The version of checkpoints that this program writes, and the only one it reads: another one is passed over, and the
/// log is read instead.
const VERSION: u32 = 2;
