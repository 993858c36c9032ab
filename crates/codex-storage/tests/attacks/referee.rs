//! Knows every frame, header and checkpoint that was really written, and from bytes alone what a right
//! implementation must make of a file: it compares where the implementation authenticates.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use codex_crypto::merkle::{Frontier, leaf_hash, origin_leaf};
use codex_crypto::{Digest, PlaintextSealer, Sealer, Suite};
use codex_storage::format::frame::{FrameHeader, Kind};
use codex_storage::format::header::{BLOCK_LEN, Block, Header, LOG_START};
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Damage, Database, Floor, OpenOptions, Result, StorageError};

use crate::specimen::{CHECKPOINT, Files, LOCK, PATH, State, TORN, options, unlock};

/// A frame that was written.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    pub(crate) bytes: Vec<u8>,
    pub(crate) leaf: Digest,
    /// How many root keys were retired where it was sealed.
    keys_before: usize,
}

impl Frame {
    pub(crate) fn end(&self) -> u64 {
        self.header.offset + self.bytes.len() as u64
    }

    fn stands_in(&self, file: &[u8]) -> bool {
        usize::try_from(self.header.offset)
            .ok()
            .and_then(|offset| file.get(offset..))
            .is_some_and(|rest| rest.starts_with(&self.bytes))
    }
}

/// A place behind a frame, known by that frame's leaf, which binds all that led there.
#[derive(Clone)]
struct Point {
    leaf: Digest,
    sequence: u64,
    floor: Floor,
    frontier: Frontier,
}

/// A checkpoint that was written.
#[derive(Clone)]
struct Checkpoint {
    bytes: Vec<u8>,
    /// The last frame that it covers, and the place behind that.
    last: Frame,
    point: Point,
    /// How many root keys were retired before the one that sealed it.
    keys_before: usize,
}

/// All that was written to any file of one database, forks and earlier states included.
#[derive(Clone, Default)]
pub(crate) struct Referee {
    /// By the offset that they name.
    frames: BTreeMap<u64, Vec<Frame>>,
    headers: Vec<(Block, Header)>,
    checkpoints: Vec<Checkpoint>,
    states: HashMap<Digest, State>,
    points: HashMap<Digest, Point>,
    acknowledged: BTreeMap<u64, State>,
}

/// What must become of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Opens {
        state: State,
        sequence: u64,
        end: u64,
        torn_bytes: u64,
        header_copy_stale: bool,
        checkpoint_damaged: bool,
        /// What `verify` finds before and after the opening for writing.
        verified: (Option<Refusal>, Option<Refusal>),
    },
    Refused(Refusal),
}

/// What is reported, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotADatabase,
    Damaged { offset: u64, sequence: Option<u64>, wrong: Wrong },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    NoHeader,
    HeaderCopy,
    HeaderCopiesDiffer,
    Floor,
    Acknowledged,
    NotContinued,
    LogChanged,
    Checkpoint,
}

impl Wrong {
    fn of(damage: &Damage) -> Option<Self> {
        match damage {
            Damage::NoHeader => Some(Self::NoHeader),
            Damage::HeaderCopy => Some(Self::HeaderCopy),
            Damage::HeaderCopiesDiffer => Some(Self::HeaderCopiesDiffer),
            Damage::Floor => Some(Self::Floor),
            Damage::AcknowledgedFrame => Some(Self::Acknowledged),
            Damage::NotContinued => Some(Self::NotContinued),
            Damage::LogChanged => Some(Self::LogChanged),
            Damage::CheckpointContradicted => Some(Self::Checkpoint),
            _ => None,
        }
    }
}

impl Refusal {
    pub(crate) fn of(error: &StorageError) -> Self {
        match error {
            StorageError::NotADatabase { .. } => Self::NotADatabase,
            StorageError::Damaged { offset, sequence, source, .. } => {
                let wrong = Wrong::of(source).unwrap_or_else(|| panic!("unexpected: {error:?}"));
                Self::Damaged { offset: *offset, sequence: *sequence, wrong }
            }
            _ => panic!("unexpected: {error:?}"),
        }
    }
}

impl Referee {
    /// The commit with this number was acknowledged, and left this state.
    pub(crate) fn acknowledge(&mut self, sequence: u64, state: &State) {
        self.acknowledged.insert(sequence, state.clone());
    }

    /// Takes note of the headers and frames in a whole file.
    pub(crate) fn learn(&mut self, file: &[u8], encrypted: bool) {
        let header = Header::decode(&block(file, 0)).expect("a whole header");
        let tag_len = if encrypted { 16 } else { PlaintextSealer::new(header.id).tag_len() };
        assert_eq!(encrypted, header.suite == Suite::Aes256Gcm);
        for index in 0..2 {
            let block = block(file, index);
            let header = Header::decode(&block).expect("a whole header");
            if self.header_in(&block).is_none() {
                self.headers.push((block, header));
            }
        }
        let newest = newest_header(file);
        let mut point = Self::origin(&header);
        self.states.insert(point.leaf, State::new());
        self.points.insert(point.leaf, point.clone());
        let mut offset = usize::try_from(LOG_START).expect("small");
        while let Some(encoded) = file.get(offset..).and_then(<[u8]>::first_chunk) {
            let Some(frame) = FrameHeader::decode(encoded, offset as u64, header.id) else { break };
            let end = offset + FrameHeader::LEN + frame.payload_len as usize + tag_len;
            let bytes = file[offset..end].to_vec();
            let leaf = leaf_hash(&[&bytes]);
            assert_eq!(frame.previous_leaf, point.leaf, "the file is whole");
            point.leaf = leaf;
            point.frontier.append(leaf);
            let (size, root) = (point.frontier.size(), point.frontier.root());
            point.floor = Floor { offset: end as u64, size, root };
            point.sequence = match frame.kind {
                Kind::Commit => frame.first_sequence.0 + u64::from(frame.commit_count) - 1,
                _ => frame.first_sequence.0,
            };
            self.points.insert(leaf, point.clone());
            let state = &self.acknowledged[&point.sequence];
            self.states.entry(leaf).or_insert_with(|| state.clone());
            let there = self.frames.entry(offset as u64).or_default();
            if there.iter().all(|known| known.leaf != leaf) {
                let keys_before = keys_before(&newest, frame.offset);
                there.push(Frame { header: frame, bytes, leaf, keys_before });
            }
            offset = end;
        }
    }

    /// A checkpoint was written for the log as it stands in `file`.
    pub(crate) fn learn_checkpoint(&mut self, checkpoint: &[u8], file: &[u8]) {
        let last = self.frames_of(file).pop().expect("a checkpoint covers something");
        let point = self.points[&last.leaf].clone();
        let keys_before = newest_header(file).retired.len();
        self.checkpoints.push(Checkpoint { bytes: checkpoint.to_vec(), last, point, keys_before });
    }

    /// Takes over what another referee knows of the same database.
    pub(crate) fn join(&mut self, mut other: Self) {
        for (offset, frames) in other.frames {
            let there = self.frames.entry(offset).or_default();
            for frame in frames {
                if there.iter().all(|known| known.leaf != frame.leaf) {
                    there.push(frame);
                }
            }
        }
        for (block, header) in other.headers {
            if self.header_in(&block).is_none() {
                self.headers.push((block, header));
            }
        }
        other.checkpoints.retain(|checkpoint| self.checkpoint_in(&checkpoint.bytes).is_none());
        self.checkpoints.extend(other.checkpoints);
        self.states.extend(other.states);
        self.points.extend(other.points);
    }

    /// The frames of a whole file.
    pub(crate) fn frames_of(&self, file: &[u8]) -> Vec<Frame> {
        let mut offset = LOG_START;
        let mut found = Vec::new();
        while let Some(frame) = self.frame_at(file, offset) {
            offset = frame.end();
            found.push(frame.clone());
        }
        found
    }

    /// Every frame that was ever written.
    pub(crate) fn all_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.values().flatten()
    }

    /// Every checkpoint that was ever written, the oldest first.
    pub(crate) fn checkpoints(&self) -> Vec<Vec<u8>> {
        let mut checkpoints: Vec<_> = self.checkpoints.iter().collect();
        checkpoints.sort_by_key(|checkpoint| checkpoint.point.sequence);
        checkpoints.into_iter().map(|checkpoint| checkpoint.bytes.clone()).collect()
    }

    pub(crate) fn largest_group(&self) -> u32 {
        self.frames.values().flatten().map(|frame| frame.header.commit_count).max().unwrap_or_default()
    }

    /// Every header block that was ever written, oldest first.
    pub(crate) fn blocks(&self) -> Vec<(u64, Vec<u8>)> {
        let mut blocks: Vec<_> =
            self.headers.iter().map(|(block, header)| (header.generation, block.to_vec())).collect();
        blocks.sort();
        blocks
    }

    fn header_in(&self, block: &Block) -> Option<&Header> {
        self.headers.iter().find(|(known, _)| known == block).map(|(_, header)| header)
    }

    fn checkpoint_in(&self, file: &[u8]) -> Option<&Checkpoint> {
        self.checkpoints.iter().find(|checkpoint| checkpoint.bytes == file)
    }

    fn origin(header: &Header) -> Point {
        let frontier = Frontier::default();
        Point {
            leaf: origin_leaf(header.id, &header.predecessor_root),
            sequence: header.base_sequence.0,
            floor: Floor { offset: LOG_START, size: 0, root: frontier.root() },
            frontier,
        }
    }

    fn frame_at(&self, file: &[u8], offset: u64) -> Option<&Frame> {
        self.frames.get(&offset)?.iter().find(|frame| frame.stands_in(file))
    }

    /// What must become of these files.
    pub(crate) fn judge(&self, files: &Files) -> Verdict {
        self.try_judge(files).unwrap_or_else(Verdict::Refused)
    }

    fn try_judge(&self, files: &Files) -> Result<Verdict, Refusal> {
        let file = &files.database[..];
        let blocks = [block(file, 0), block(file, 1)];
        let (header, other_is_stale) = self.choose(&blocks)?;
        let mut from = Self::origin(header);
        let mut checkpoint_damaged = false;
        if let Some(checkpoint) = &files.checkpoint {
            let known = self.checkpoint_in(checkpoint);
            if let Some(Checkpoint { last, point, .. }) =
                known.filter(|checkpoint| checkpoint.keys_before == header.retired.len())
            {
                if !last.stands_in(file) || !opens(header, last) {
                    return Err(damaged(point.floor.offset, point.sequence, Wrong::Checkpoint));
                }
                from = point.clone();
            } else {
                checkpoint_damaged = true;
            }
        }
        let (whole, stop) = self.walk(file, header, from, file.len() as u64)?;
        if whole.floor.offset.min(file.len() as u64) < header.floor.offset {
            return Err(damaged(stop, whole.sequence, Wrong::Floor));
        }
        let beyond = self.frames.range(stop..).flat_map(|(_, frames)| frames);
        let beyond = beyond.filter(|frame| opens(header, frame));
        if beyond.filter(|frame| frame.header.durable > whole.floor.offset).any(|frame| frame.stands_in(file))
        {
            return Err(damaged(stop, whole.sequence, Wrong::Acknowledged));
        }
        let end = whole.floor.offset;
        let behind = file.get(usize::try_from(end).expect("small")..).unwrap_or_default();
        let torn_bytes = behind.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1);
        let log = self.verify_log(file, header, &whole).err();
        let verified_by_reader = match self.verify_headers(&blocks) {
            Ok(()) => log.clone(),
            Err(refusal) => Some(refusal),
        };
        Ok(Verdict::Opens {
            state: self.states[&whole.leaf].clone(),
            sequence: whole.sequence,
            end,
            torn_bytes,
            header_copy_stale: other_is_stale,
            checkpoint_damaged,
            verified: (verified_by_reader, log),
        })
    }

    fn choose(&self, blocks: &[Block; 2]) -> Result<(&Header, bool), Refusal> {
        if blocks.iter().all(|block| block[..8] != *b"\x89CodexDB") {
            return Err(Refusal::NotADatabase);
        }
        match [self.header_in(&blocks[0]), self.header_in(&blocks[1])] {
            [Some(first), Some(second)] if first.generation == second.generation => {
                if blocks[0] == blocks[1] {
                    Ok((first, false))
                } else {
                    Err(Refusal::Damaged { offset: 0, sequence: None, wrong: Wrong::HeaderCopiesDiffer })
                }
            }
            [Some(first), Some(second)] => {
                Ok((if first.generation > second.generation { first } else { second }, true))
            }
            [Some(header), None] | [None, Some(header)] => Ok((header, true)),
            [None, None] => Err(Refusal::Damaged { offset: 0, sequence: None, wrong: Wrong::NoHeader }),
        }
    }

    fn verify_headers(&self, blocks: &[Block; 2]) -> Result<(), Refusal> {
        for (offset, block) in [0, BLOCK_LEN as u64].into_iter().zip(blocks) {
            if self.header_in(block).is_none() {
                return Err(Refusal::Damaged { offset, sequence: None, wrong: Wrong::HeaderCopy });
            }
        }
        // An older copy is what a crash between the two leaves.
        let generation = |index| self.header_in(&blocks[index]).map(|header| header.generation);
        if blocks[0] != blocks[1] && generation(0) == generation(1) {
            let wrong = Wrong::HeaderCopiesDiffer;
            return Err(Refusal::Damaged { offset: BLOCK_LEN as u64, sequence: None, wrong });
        }
        Ok(())
    }

    fn verify_log(&self, file: &[u8], header: &Header, end: &Point) -> Result<(), Refusal> {
        let (whole, stop) = self.walk(file, header, Self::origin(header), end.floor.offset)?;
        if whole.leaf == end.leaf { Ok(()) } else { Err(damaged(stop, whole.sequence, Wrong::LogChanged)) }
    }

    /// The place behind the last whole group, and the first without a frame.
    fn walk(&self, file: &[u8], header: &Header, from: Point, limit: u64) -> Result<(Point, u64), Refusal> {
        let mut whole = from;
        let mut leaf = whole.leaf;
        let mut offset = whole.floor.offset;
        pass_floor(header, whole.floor.offset, &whole)?;
        let good = |frame: &&Frame| frame.end() <= limit && opens(header, frame);
        while let Some(frame) = self.frame_at(file, offset).filter(good) {
            if frame.header.previous_leaf != leaf {
                return Err(damaged(offset, whole.sequence, Wrong::NotContinued));
            }
            leaf = frame.leaf;
            offset = frame.end();
            if frame.header.ends {
                let before = whole.floor.offset;
                whole = self.points[&leaf].clone();
                pass_floor(header, before, &whole)?;
            }
        }
        Ok((whole, offset))
    }

    /// Opens the files for reading and for writing, and demands what [`Referee::judge`] says.
    pub(crate) fn strike(&self, encrypted: bool, files: &Files, place: &dyn Fn() -> String) -> Verdict {
        let verdict = self.judge(files);
        let disk = SimVfs::new(1);
        disk.write_file(PATH, &files.database).expect("a new disk");
        disk.write_file(LOCK, &[]).expect("a new disk");
        if let Some(checkpoint) = &files.checkpoint {
            disk.write_file(CHECKPOINT, checkpoint).expect("a new disk");
        }
        let before = disk.files();
        let unlock = unlock(encrypted);
        let open =
            |read_only| OpenOptions { read_only, ..options(&disk) }.open(Path::new(PATH), unlock.as_ref());
        hold(open(true), &verdict, true, place);
        assert!(disk.files() == before, "{}: a reader changes nothing", place());
        hold(open(false), &verdict, false, place);
        match &verdict {
            Verdict::Refused(_) => {
                assert!(disk.files() == before, "{}: a refused file is left as it is", place());
            }
            Verdict::Opens { end, torn_bytes, .. } => {
                let end = usize::try_from(*end).expect("small");
                let log = usize::try_from(LOG_START).expect("small")..end;
                let left = disk.read_file(PATH).expect("it is there");
                assert!(left.get(log.clone()) == files.database.get(log), "{}: the log stays", place());
                assert_eq!(left.len(), end, "{}: what stands behind is cut off", place());
                let torn = disk.read_file(TORN).ok();
                let kept = end..end + usize::try_from(*torn_bytes).expect("small");
                let expected = (!kept.is_empty()).then(|| files.database[kept].to_vec());
                assert!(torn == expected, "{}: the torn end is kept aside", place());
            }
        }
        verdict
    }
}

/// Holds what opening gave against the verdict.
fn hold(opened: Result<Database>, verdict: &Verdict, by_reader: bool, place: &dyn Fn() -> String) {
    match (opened, verdict) {
        (Err(error), Verdict::Refused(refusal)) => {
            assert_eq!(Refusal::of(&error), *refusal, "{} (by a reader: {by_reader})", place());
        }
        (
            Ok(database),
            Verdict::Opens {
                state,
                sequence,
                end,
                torn_bytes,
                header_copy_stale,
                checkpoint_damaged,
                verified,
            },
        ) => {
            let found: State = database
                .view()
                .range((std::ops::Bound::Unbounded, std::ops::Bound::Unbounded))
                .map(|record| (record.key().to_vec(), record.value().to_vec()))
                .collect();
            assert!(found == *state, "{}: other data than after commit {sequence}", place());
            for (key, value) in state {
                let got = database.get(key);
                assert!(got.is_some_and(|(record, _)| record.value() == value), "{}", place());
            }
            let stats = database.stats();
            let recovery = &stats.recovery;
            assert_eq!((stats.sequence, stats.log_bytes), (*sequence, *end), "{}", place());
            assert_eq!(recovery.torn_bytes, *torn_bytes, "{}", place());
            assert_eq!(recovery.header_copy_stale, *header_copy_stale, "{}", place());
            assert_eq!(recovery.checkpoint_damaged, *checkpoint_damaged, "{}", place());
            let expected = if by_reader { &verified.0 } else { &verified.1 };
            let found = database.verify().err().map(|error| Refusal::of(&error));
            assert_eq!(found, *expected, "{}: verify (by a reader: {by_reader})", place());
        }
        (opened, verdict) => panic!("{}: {opened:?} where {verdict:?} is due", place()),
    }
}

fn pass_floor(header: &Header, before: u64, whole: &Point) -> Result<(), Refusal> {
    let (floor, end) = (&header.floor, whole.floor.offset);
    let passed = end == floor.offset || (before < floor.offset && floor.offset < end);
    if passed && whole.floor != *floor { Err(damaged(end, whole.sequence, Wrong::Floor)) } else { Ok(()) }
}

pub(crate) fn newest_header(file: &[u8]) -> Header {
    let copies = [0, 1].map(|copy| Header::decode(&block(file, copy)).expect("a whole header"));
    copies.into_iter().max_by_key(|header| header.generation).expect("there are two")
}

/// How many root keys a header has retired before an offset.
fn keys_before(header: &Header, offset: u64) -> usize {
    header.retired.iter().filter(|retired| retired.until() <= offset).count()
}

/// Whether the root key that a header holds for the place of a frame is the one that sealed it.
fn opens(header: &Header, frame: &Frame) -> bool {
    keys_before(header, frame.header.offset) == frame.keys_before
}

fn damaged(offset: u64, sequence: u64, wrong: Wrong) -> Refusal {
    Refusal::Damaged { offset, sequence: Some(sequence), wrong }
}

/// A header copy; zeros where the file is too short.
pub(crate) fn block(file: &[u8], index: usize) -> Block {
    let mut block = [0; BLOCK_LEN];
    let rest = file.get(index * BLOCK_LEN..).unwrap_or_default();
    let len = rest.len().min(BLOCK_LEN);
    block[..len].copy_from_slice(&rest[..len]);
    block
}
