//! Repair, against small databases of which every frame is destroyed in turn: all the rest is salvaged, in order and in
//! whole groups, nothing else appears, and the source stays as it is.
#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use codex_crypto::{DatabaseId, Digest, EncryptionKey, PlaintextSealer, Salt, Unlock, sha256};
use codex_storage::format::frame::{self, FrameHeader, Kind};
use codex_storage::format::header::{BLOCK_LEN, Header, LOG_START};
use codex_storage::lock::lock;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, SimVfs};
use codex_storage::vfs::{Access, Lock, Vfs};
use codex_storage::{
    Background, Batch, Damage, Database, Durability, Gap, Mode, OpenOptions, RepairOptions, RepairReport,
    Result, Resumed, SequenceNumber, StorageError,
};
use proptest::prelude::*;

const SOURCE: &str = "/folder/app.db";
const TARGET: &str = "/salvage/new.db";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suite {
    Plaintext,
    Encrypted,
}

impl Suite {
    fn unlock(self) -> Option<Unlock> {
        (self == Self::Encrypted).then(|| Unlock::from(EncryptionKey::from_bytes([7; 32])))
    }

    fn tag_len(self) -> u64 {
        if self == Self::Encrypted { 16 } else { 32 }
    }
}

const VARIANTS: [(Mode, Suite); 4] = [
    (Mode::Ledger, Suite::Plaintext),
    (Mode::Ledger, Suite::Encrypted),
    (Mode::Snapshot, Suite::Plaintext),
    (Mode::Snapshot, Suite::Encrypted),
];

fn open(disk: &SimVfs, path: &str, mode: Mode, suite: Suite, durability: Durability) -> Result<Database> {
    let options = OpenOptions {
        vfs: Arc::new(disk.clone()),
        mode: Some(mode),
        durability,
        // Nothing but the test says which buffered commits become one group.
        background: Background::Caller,
        ..OpenOptions::default()
    };
    options.open(Path::new(path), suite.unlock().as_ref())
}

fn repair_to(disk: &SimVfs, target: &str, suite: Suite, dry_run: bool) -> Result<RepairReport> {
    let options = RepairOptions { dry_run, vfs: Arc::new(disk.clone()), ..RepairOptions::default() };
    codex_storage::repair(Path::new(SOURCE), Path::new(target), suite.unlock().as_ref(), &options)
}

fn repair(disk: &SimVfs, suite: Suite) -> Result<RepairReport> {
    repair_to(disk, TARGET, suite, false)
}

#[derive(Clone, Debug)]
enum Change {
    Set(&'static str, Vec<u8>),
    Delete(&'static str),
    Clear,
}

use Change::{Clear, Delete, Set};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn apply(state: &mut State, changes: &[Change]) {
    for change in changes {
        match change {
            Set(key, value) => drop(state.insert(key.as_bytes().to_vec(), value.clone())),
            Delete(key) => drop(state.remove(key.as_bytes())),
            Clear => state.clear(),
        }
    }
}

fn commit(database: &Database, changes: &[Change]) {
    let mut batch = Batch::new();
    for change in changes {
        match change {
            Set(key, value) => batch.set(key.as_bytes(), &[value]).expect("within bounds"),
            Delete(key) => batch.delete(key.as_bytes()).expect("within bounds"),
            Clear => batch.clear(),
        }
    }
    database.commit(batch).expect("the disk is healthy");
}

fn state_of(database: &Database) -> State {
    let view = database.view();
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    view.range(all).map(|record| (record.key().to_vec(), record.value().to_vec())).collect()
}

/// A group as it stands in the file, and what is in it.
#[derive(Clone, Debug)]
struct GroupAt {
    kind: Kind,
    first: u64,
    bytes: Range<u64>,
    frames: Vec<Range<u64>>,
    commits: Vec<Vec<Change>>,
}

/// A database that was closed, and all that is known of it.
struct History {
    disk: SimVfs,
    mode: Mode,
    suite: Suite,
    base_sequence: u64,
    groups: Vec<GroupAt>,
}

impl History {
    /// Runs commits; in snapshot mode, a rewrite follows the first `base` of them, which set one key each.
    /// `buffered` of them, at the end, are written as one group.
    fn new(mode: Mode, suite: Suite, commits: &[Vec<Change>], base: usize, buffered: usize) -> Self {
        let disk = SimVfs::new(1);
        let database = open(&disk, SOURCE, mode, suite, Durability::Sync).expect("a new database");
        let single = commits.len() - buffered;
        for (number, changes) in commits[..single].iter().enumerate() {
            commit(&database, changes);
            if number + 1 == base && mode == Mode::Snapshot {
                database.compact().expect("the disk is healthy");
            }
        }
        database.close().expect("the disk is healthy");
        let database = open(&disk, SOURCE, mode, suite, Durability::Buffered).expect("it opens");
        for changes in &commits[single..] {
            commit(&database, changes);
        }
        database.close().expect("the disk is healthy");
        let groups = groups(&disk, suite, commits);
        let base_sequence = if mode == Mode::Snapshot { base as u64 } else { 0 };
        Self { disk, mode, suite, base_sequence, groups }
    }

    fn frames(&self) -> Vec<Range<u64>> {
        self.groups.iter().flat_map(|group| group.frames.clone()).collect()
    }

    /// Repairs a damaged copy of the disk, and holds the result against what must be left.
    fn check(&self, damaged: &SimVfs, place: &str) -> RepairReport {
        let whole = self.disk.read_file(SOURCE).expect("the database");
        let bytes = damaged.read_file(SOURCE).expect("the database");
        let before = damaged.files();
        let untouched = |range: &Range<u64>| {
            let range = indexes(range);
            whole[range.clone()] == bytes[range]
        };
        let survives: Vec<_> = self.groups.iter().map(|group| group.frames.iter().all(untouched)).collect();

        let dry = repair_to(damaged, TARGET, self.suite, true).expect("a dry run");
        assert_eq!(damaged.files(), before, "{place}: a dry run changes nothing");
        let report = repair(damaged, self.suite).unwrap_or_else(|error| panic!("{place}: {error:?}"));
        let mut after = damaged.files();
        let salvaged = after.remove(Path::new(TARGET)).expect("the new file");
        assert_eq!(after.remove(Path::new("/salvage/new.db.lock")).as_deref(), Some(&[][..]), "{place}");
        assert_eq!(after, before, "{place}: nothing else is touched");
        let mut headless = report.clone();
        headless.head = None;
        assert_eq!(dry, headless, "{place}");

        // What is salvaged, and what is reported missing.
        let mut state = State::new();
        let mut gaps: Vec<Expected> = Vec::new();
        let (mut frames, mut commits, mut original) = (0, 0, self.base_sequence);
        let mut kept = LOG_START;
        let mut done = LOG_START;
        for (group, _) in self.groups.iter().zip(&survives).filter(|(_, survives)| **survives) {
            let is_commit = group.kind == Kind::Commit;
            if group.bytes.start != done {
                let missing = is_commit && group.first != original + 1;
                gaps.push(self.gap(
                    done..group.bytes.start,
                    missing.then_some(original + 1),
                    missing.then_some(group.first - 1),
                    is_commit.then_some((group.first, self.base_sequence + commits + 1)),
                    &untouched,
                ));
            }
            done = group.bytes.end;
            if gaps.is_empty() {
                kept = done;
            }
            frames += group.frames.len() as u64;
            if is_commit {
                commits += group.commits.len() as u64;
                original = group.first + group.commits.len() as u64 - 1;
            }
            for changes in &group.commits {
                apply(&mut state, changes);
            }
        }
        let end = self.groups.last().map_or(LOG_START, |group| group.bytes.end);
        if done != end {
            gaps.push(self.gap(done..end, Some(original + 1), None, None, &untouched));
        }
        assert_eq!(report.gaps, gaps, "{place}");
        assert_eq!(report.is_complete(), gaps.is_empty(), "{place}");
        assert_eq!((report.frames, report.commits), (frames, commits), "{place}");
        assert_eq!(report.sequence, self.base_sequence + commits, "{place}");
        assert_eq!((report.kept_bytes, report.torn_bytes), (kept, 0), "{place}");
        assert_eq!(report.source_bytes, bytes.len() as u64, "{place}");
        let kept = index(kept);
        let log_start = index(LOG_START);
        assert!(salvaged[log_start..kept] == bytes[log_start..kept], "{place}: the start is the source's");

        self.check_salvaged(damaged, &state, &report, place);
        report
    }

    fn gap(
        &self,
        bytes: Range<u64>,
        first_missing: Option<u64>,
        last_missing: Option<u64>,
        resumed: Option<(u64, u64)>,
        untouched: &impl Fn(&Range<u64>) -> bool,
    ) -> Expected {
        let inside = self.frames().into_iter().filter(|frame| bytes.contains(&frame.start));
        let unfit_frames = inside.filter(untouched).count() as u64;
        Expected { bytes, first_missing, last_missing, resumed, unfit_frames, foreign_frames: 0 }
    }

    /// The new file opens with the same key, verifies, holds this state, goes on, and opens again.
    fn check_salvaged(&self, disk: &SimVfs, state: &State, report: &RepairReport, place: &str) {
        let open = || {
            open(disk, TARGET, self.mode, self.suite, Durability::Sync)
                .unwrap_or_else(|error| panic!("{place}: {error:?}"))
        };
        let database = open();
        assert!(state_of(&database) == *state, "{place}: the state");
        assert_eq!(Some(database.head()), report.head, "{place}");
        assert_eq!(database.stats().recovery.torn_bytes, 0, "{place}");
        assert!(!database.stats().recovery.header_copy_stale, "{place}");
        let verified = database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
        assert_eq!((verified.frames, verified.commits), (report.frames, report.commits), "{place}");
        commit(&database, &[Set("after", b"1".to_vec())]);
        database.close().unwrap_or_else(|error| panic!("{place}: {error:?}"));
        let database = open();
        assert_eq!(database.verify().expect("whole").sequence, report.sequence + 1, "{place}");
        assert!(database.has(b"after") && database.record_count() == state.len() as u64 + 1, "{place}");
    }
}

/// A [`Gap`], which only the library can make.
#[derive(Debug)]
struct Expected {
    bytes: Range<u64>,
    first_missing: Option<u64>,
    last_missing: Option<u64>,
    resumed: Option<(u64, u64)>,
    unfit_frames: u64,
    foreign_frames: u64,
}

impl PartialEq<Expected> for Gap {
    fn eq(&self, other: &Expected) -> bool {
        let resumed = self.resumed.map(|Resumed { original, renumbered }| (original, renumbered));
        (self.from..self.to) == other.bytes
            && (self.first_missing, self.last_missing) == (other.first_missing, other.last_missing)
            && resumed == other.resumed
            && (self.unfit_frames, self.foreign_frames) == (other.unfit_frames, other.foreign_frames)
    }
}

/// The frames of a whole file.
fn frames(bytes: &[u8], suite: Suite) -> Vec<(FrameHeader, Range<u64>)> {
    let id = id_of(bytes);
    let mut frames = Vec::new();
    let mut offset = LOG_START;
    while offset < bytes.len() as u64 {
        let encoded = &bytes[index(offset)..index(offset) + FrameHeader::LEN];
        let header =
            FrameHeader::decode(encoded.try_into().expect("its length"), offset, id).expect("a frame");
        let end = offset + FrameHeader::LEN as u64 + u64::from(header.payload_len) + suite.tag_len();
        frames.push((header, offset..end));
        offset = end;
    }
    frames
}

/// The groups of a whole file. The first commits of a rewritten file are its base, one group each.
fn groups(disk: &SimVfs, suite: Suite, commits: &[Vec<Change>]) -> Vec<GroupAt> {
    let bytes = disk.read_file(SOURCE).expect("the database");
    let mut groups: Vec<GroupAt> = Vec::new();
    for (header, range) in frames(&bytes, suite) {
        if header.begins {
            let (kind, first) = (header.kind, header.first_sequence.0);
            let commits = match kind {
                Kind::Base => &commits[groups.len()..=groups.len()],
                _ => &commits[index(first - 1)..index(first - 1 + u64::from(header.commit_count))],
            };
            let (bytes, commits) = (range.clone(), commits.to_vec());
            groups.push(GroupAt { kind, first, bytes, frames: Vec::new(), commits });
        }
        let group = groups.last_mut().expect("a group begins");
        group.bytes.end = range.end;
        group.frames.push(range);
    }
    groups
}

/// Eleven commits with frames of every kind: base groups of one and two frames, a commit over two frames, and the last
/// three commits in one frame.
fn rich(mode: Mode, suite: Suite) -> History {
    let counter = |number: u8| Set("counter", vec![number]);
    let mut commits = vec![
        vec![Set("b1", vec![1; 600_000])],
        vec![Set("b2", vec![2; 600_000])],
        vec![Set("b3", vec![3; 1_100_000])],
        vec![counter(4), Set("x", vec![4; 100])],
        vec![Set("large", vec![5; 1_100_000]), counter(5)],
        vec![Delete("b1"), counter(6)],
        vec![Set("x", vec![7; 10]), counter(7)],
        vec![counter(8)],
        vec![Delete("x"), counter(9)],
        vec![Set("y", Vec::new()), counter(10)],
        vec![Set("x", vec![11; 11]), counter(11)],
    ];
    if mode == Mode::Ledger {
        commits[7].insert(0, Clear);
    }
    let history = History::new(mode, suite, &commits, 3, 3);
    assert_eq!(history.groups.len(), 9);
    assert_eq!(history.frames().len(), 11);
    assert_eq!(history.groups[8].commits.len(), 3);
    assert_eq!(history.groups[0].kind, if mode == Mode::Snapshot { Kind::Base } else { Kind::Commit });
    history
}

/// Ways in which a frame goes.
const DAMAGES: [fn(&mut [u8]); 4] = [
    |frame| frame[20] ^= 1,
    |frame| *frame.last_mut().expect("a frame") ^= 0x80,
    |frame| frame.fill(0),
    |frame| frame[60..].fill(0xa5),
];

/// An offset in a small file.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a small file")
}

fn indexes(range: &Range<u64>) -> Range<usize> {
    index(range.start)..index(range.end)
}

/// The number in the eight bytes at `at`.
fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn id_of(bytes: &[u8]) -> DatabaseId {
    Header::decode(bytes[..BLOCK_LEN].try_into().expect("a block")).expect("a header").id
}

fn damage(disk: &SimVfs, frame: &Range<u64>, change: fn(&mut [u8])) {
    let range = indexes(frame);
    let mut bytes = disk.read_file(SOURCE).expect("the database")[range].to_vec();
    change(&mut bytes);
    disk.overwrite(SOURCE, frame.start, &bytes).expect("within the file");
}

#[test]
fn an_undamaged_database_is_copied_byte_for_byte() {
    for (mode, suite) in VARIANTS {
        let history = rich(mode, suite);
        let disk = history.disk.snapshot();
        let report = history.check(&disk, &format!("{mode} {suite:?}"));
        assert!(report.is_complete() && !report.header_copy_stale && !report.header_fallback);
        assert_eq!(report.kept_bytes, report.source_bytes);
    }
}

#[test]
fn whichever_frame_is_destroyed_all_other_groups_are_salvaged() {
    for (mode, suite) in VARIANTS {
        let history = rich(mode, suite);
        for (index, frame) in history.frames().iter().enumerate() {
            // Two of the four ways for each frame; its neighbours take the other two.
            for (way, change) in DAMAGES.iter().enumerate().skip(index % 2).step_by(2) {
                let disk = history.disk.snapshot();
                damage(&disk, frame, *change);
                history.check(&disk, &format!("{mode} {suite:?} frame {index} damage {way}"));
            }
        }
    }
}

#[test]
fn whichever_two_frames_are_destroyed_all_other_groups_are_salvaged() {
    for (mode, suite) in [(Mode::Ledger, Suite::Encrypted), (Mode::Snapshot, Suite::Plaintext)] {
        let history = rich(mode, suite);
        let frames = history.frames();
        for one in 0..frames.len() {
            for other in one + 1..frames.len() {
                let disk = history.disk.snapshot();
                damage(&disk, &frames[one], DAMAGES[other % DAMAGES.len()]);
                damage(&disk, &frames[other], DAMAGES[one % DAMAGES.len()]);
                history.check(&disk, &format!("{mode} {suite:?} frames {one} and {other}"));
            }
        }
    }
}

#[test]
fn a_head_taken_before_the_damage_is_extended_by_the_salvaged_file() {
    for (mode, suite) in VARIANTS {
        let history = rich(mode, suite);
        let kept = history.groups[4].bytes.end;
        let cut = history.disk.snapshot();
        cut.truncate(SOURCE, kept).expect("the file is longer");
        let disk = history.disk.snapshot();
        damage(&disk, &history.groups[5].bytes, DAMAGES[2]);
        let early = repair(&cut, suite).expect("it is a start");
        let late = repair(&disk, suite).expect("all but one group");
        assert_eq!((early.kept_bytes, late.kept_bytes), (kept, kept));
        // The log up to there has the same bytes in both, so the head over it is the same.
        let (early, late) = (cut.read_file(TARGET).expect("a file"), disk.read_file(TARGET).expect("a file"));
        let log = index(LOG_START)..index(kept);
        assert!(early.len() < late.len() && early[log.clone()] == late[log]);
    }
}

#[test]
fn times_of_commits_sealed_anew_stay_what_they_were() {
    let history = rich(Mode::Ledger, Suite::Encrypted);
    let disk = history.disk.snapshot();
    damage(&disk, &history.groups[3].bytes, DAMAGES[2]);
    repair(&disk, Suite::Encrypted).expect("all but one group");
    let times = |bytes: &[u8]| -> Vec<u64> {
        frames(bytes, Suite::Encrypted).iter().map(|(header, _)| header.time_ns).collect()
    };
    let mut original = times(&history.disk.read_file(SOURCE).expect("the database"));
    // The third group has two frames, so that frame 4 is the fourth group.
    original.remove(4);
    assert_eq!(times(&disk.read_file(TARGET).expect("a file")), original);
    assert!(original.iter().all(|time| *time > 0));
}

#[test]
fn a_torn_end_is_reported_and_not_salvaged_as_opening_cuts_it() {
    for (mode, suite) in VARIANTS {
        let disk = SimVfs::new(1);
        let database = open(&disk, SOURCE, mode, suite, Durability::Sync).expect("a new database");
        commit(&database, &[Set("whole", b"1".to_vec())]);
        let whole = database.head().offset;
        commit(&database, &[Set("torn", vec![9; 1_100_000])]);
        let end = database.head().offset;
        let running = disk.snapshot();
        let frame_end = whole + FrameHeader::LEN as u64 + (1 << 20) + suite.tag_len();
        for cut in [whole, whole + 1, whole + 127, whole + 5000, frame_end, frame_end + 60, end - 1] {
            for zeros in [0, 4096] {
                let crashed = running.snapshot();
                let mut bytes = crashed.read_file(SOURCE).expect("the database");
                bytes.truncate(index(cut));
                // Zeros at the end count as space set aside, whatever wrote them.
                let torn = bytes[index(whole)..].iter().rposition(|&byte| byte != 0);
                let torn = torn.map_or(0, |last| last as u64 + 1);
                bytes.resize(bytes.len() + zeros, 0);
                crashed.write_file(SOURCE, &bytes).expect("there is space");
                let report = repair(&crashed, suite).expect("it was not damaged");
                let place = format!("{mode} {suite:?} cut at {cut} with {zeros} zeros");
                assert_eq!(
                    (report.torn_bytes, report.gaps.len(), report.is_complete()),
                    (torn, 0, true),
                    "{place}"
                );
                let opened = open(&crashed, SOURCE, mode, suite, Durability::Sync).expect("it opens");
                let salvaged = open(&crashed, TARGET, mode, suite, Durability::Sync).expect("it opens");
                assert_eq!(opened.head(), salvaged.head(), "{place}");
                assert_eq!(opened.stats().recovery.torn_bytes, torn, "{place}");
                assert_eq!(state_of(&salvaged).len(), 1, "{place}");
            }
        }
        let report = repair(&running, suite).expect("it was not damaged");
        assert_eq!((report.commits, report.torn_bytes, report.is_complete()), (2, 0, true));
    }
}

#[test]
fn a_log_that_ends_before_its_floor_is_reported_up_to_the_floor() {
    for (mode, suite) in VARIANTS {
        let history = rich(mode, suite);
        let disk = history.disk.snapshot();
        let last = history.groups.last().expect("a group").bytes.clone();
        disk.truncate(SOURCE, last.start).expect("the file is longer");
        let report = repair(&disk, suite).expect("all but the end");
        assert!(!report.is_complete());
        assert_eq!(report.gaps.len(), 1);
        let expected = history.gap(last, Some(9), None, None, &|_| false);
        assert_eq!(report.gaps[0], expected);
    }
}

#[test]
fn one_intact_header_copy_is_enough() {
    for (mode, suite) in VARIANTS {
        let history = rich(mode, suite);
        for copy in [0, 1] {
            let disk = history.disk.snapshot();
            disk.overwrite(SOURCE, copy * BLOCK_LEN as u64, &[0; BLOCK_LEN]).expect("within the file");
            let report = history.check(&disk, &format!("{mode} {suite:?} copy {copy}"));
            assert!(report.header_copy_stale && !report.header_fallback);
        }
    }
}

#[test]
fn a_header_copy_that_does_not_authenticate_gives_way_to_the_other() {
    for (mode, suite) in VARIANTS {
        let history = rich(mode, suite);
        let disk = history.disk.snapshot();
        let mut block = disk.read_file(SOURCE).expect("the database")[..BLOCK_LEN].to_vec();
        block[80] += 1;
        block[112] += 1;
        block[16..48].fill(0);
        let checksum = sha256(&[&block]);
        block[16..48].copy_from_slice(checksum.as_bytes());
        disk.overwrite(SOURCE, 0, &block).expect("within the file");
        let refused = open(&disk, SOURCE, mode, suite, Durability::Sync).expect_err("the header was changed");
        assert!(
            matches!(
                refused,
                StorageError::Damaged { offset: 0, source: Damage::HeaderAuthentication(_), .. }
            ),
            "{refused:?}"
        );
        let report = repair(&disk, suite).expect("the other copy is authentic");
        assert!(report.header_fallback && report.header_copy_stale && !report.is_complete());
        assert_eq!((report.frames, report.gaps.len()), (11, 0));
    }
}

#[test]
fn of_header_copies_of_two_databases_the_one_whose_frames_stand_in_the_file_counts() {
    for (mode, suite) in VARIANTS {
        let (history, other) = (rich(mode, suite), rich(mode, suite));
        let foreign = other.disk.read_file(SOURCE).expect("the database")[..BLOCK_LEN].to_vec();
        for copy in [0, 1] {
            let disk = history.disk.snapshot();
            disk.overwrite(SOURCE, copy * BLOCK_LEN as u64, &foreign).expect("within the file");
            let report = repair(&disk, suite).expect("one copy is of this database");
            assert!(report.header_fallback);
            assert_eq!((report.frames, report.gaps.len()), (11, 0), "{mode} {suite:?} copy {copy}");
        }
    }
}

#[test]
fn without_a_header_nothing_is_salvaged_and_the_error_says_what_helps() {
    for (mode, suite) in VARIANTS {
        let history = rich(mode, suite);
        for content in [0_u8, 0xa5] {
            for whole_blocks in [true, false] {
                let disk = history.disk.snapshot();
                let (start, len) = if whole_blocks { (0, BLOCK_LEN) } else { (300, 50) };
                for copy in [0, 1] {
                    let garbage = vec![content; len];
                    // What is zero already would not be damage.
                    let start = copy * BLOCK_LEN as u64 + if content == 0 { start.min(100) } else { start };
                    disk.overwrite(SOURCE, start, &garbage).expect("within the file");
                }
                let before = disk.files();
                let error = repair(&disk, suite).expect_err("there is no header");
                assert!(
                    matches!(error, StorageError::Damaged { offset: 0, source: Damage::HeaderLost, .. }),
                    "{error:?}"
                );
                assert_eq!(disk.files(), before);
            }
        }
    }
}

#[test]
fn what_cannot_be_repaired_is_refused_by_its_kind_and_nothing_is_created() {
    let history = rich(Mode::Ledger, Suite::Encrypted);
    let disk = history.disk.snapshot();
    disk.write_file("/text", b"not a database").expect("there is space");
    disk.write_file("/magic", &b"a text that says CdxF, as a frame does. ".repeat(300))
        .expect("there is space");
    disk.write_file("/existing", b"mine").expect("there is space");
    let before = disk.files();
    let options = RepairOptions { vfs: Arc::new(disk.clone()), ..RepairOptions::default() };
    let key = Suite::Encrypted.unlock();
    let wrong = Unlock::from(EncryptionKey::from_bytes([8; 32]));
    let repair = |source: &str, target: &str, unlock: Option<&Unlock>| {
        codex_storage::repair(Path::new(source), Path::new(target), unlock, &options).expect_err("refused")
    };
    let error = repair(SOURCE, TARGET, None);
    assert!(matches!(error, StorageError::KeyRequired { .. }), "{error:?}");
    let error = repair(SOURCE, TARGET, Some(&wrong));
    assert!(matches!(error, StorageError::WrongKey { .. }), "{error:?}");
    let error = repair(SOURCE, "/existing", key.as_ref());
    assert!(matches!(error, StorageError::AlreadyExists { .. }), "{error:?}");
    let error = repair(SOURCE, SOURCE, key.as_ref());
    assert!(matches!(error, StorageError::AlreadyExists { .. }), "{error:?}");
    let error = repair("/missing", TARGET, key.as_ref());
    assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}");
    for source in ["/text", "/magic", "/folder"] {
        let error = repair(source, TARGET, key.as_ref());
        assert!(matches!(error, StorageError::NotADatabase { .. }), "{error:?}");
    }
    assert_eq!(disk.files(), before);

    let plain = rich(Mode::Ledger, Suite::Plaintext).disk;
    let options = RepairOptions { vfs: Arc::new(plain.clone()), ..RepairOptions::default() };
    let error = codex_storage::repair(Path::new(SOURCE), Path::new(TARGET), key.as_ref(), &options);
    assert!(matches!(error, Err(StorageError::NotEncrypted { .. })), "{error:?}");
}

#[test]
fn a_writer_of_the_source_or_the_target_keeps_repair_out() {
    let history = rich(Mode::Ledger, Suite::Encrypted);
    let disk = history.disk.snapshot();
    let writer = open(&disk, SOURCE, Mode::Ledger, Suite::Encrypted, Durability::Sync).expect("it opens");
    let error = repair(&disk, Suite::Encrypted).expect_err("the source is being written");
    assert!(matches!(&error, StorageError::Locked { path } if path == Path::new(SOURCE)), "{error:?}");
    writer.close().expect("the disk is healthy");
    // Each of the two locks of a writer is enough.
    let files = codex_storage::files::Files::of(SOURCE.into());
    let lock_file = lock(&disk, &files, Lock::Exclusive).expect("nobody has it");
    let error = repair(&disk, Suite::Encrypted).expect_err("the lock file is locked");
    assert!(matches!(&error, StorageError::Locked { path } if path == Path::new(SOURCE)), "{error:?}");
    drop(lock_file);
    let file = disk.open(Path::new(SOURCE), Access::Write).expect("the database");
    assert!(file.try_lock(Lock::Exclusive).expect("it can be locked"));
    let error = repair(&disk, Suite::Encrypted).expect_err("the database file is locked");
    assert!(matches!(&error, StorageError::Locked { path } if path == Path::new(SOURCE)), "{error:?}");
    drop(file);

    let files = codex_storage::files::Files::of(TARGET.into());
    disk.write_file("/salvage/other", b"").expect("there is space");
    let held = lock(&disk, &files, Lock::Exclusive).expect("nobody has it");
    let error = repair(&disk, Suite::Encrypted).expect_err("the target is being written");
    assert!(matches!(&error, StorageError::Locked { path } if path == Path::new(TARGET)), "{error:?}");
    drop(held);
    repair(&disk, Suite::Encrypted).expect("nobody has either");
}

#[test]
fn a_source_without_a_lock_file_gets_none_and_a_stale_checkpoint_of_the_target_goes() {
    let history = rich(Mode::Ledger, Suite::Encrypted);
    let disk = SimVfs::new(2);
    disk.write_file(SOURCE, &history.disk.read_file(SOURCE).expect("the database")).expect("there is space");
    disk.write_file("/salvage/new.db.ckpt", b"of a database that stood here").expect("there is space");
    assert!(repair(&disk, Suite::Encrypted).expect("it is whole").is_complete());
    let names: Vec<_> = disk.file_names();
    assert_eq!(names, [SOURCE, TARGET, "/salvage/new.db.lock"].map(std::path::PathBuf::from));
}

/// Two databases that went on apart from a common start of two commits, in frames of the same lengths; and that start.
fn forks() -> (History, SimVfs, SimVfs) {
    let commits = |fill: u8| -> Vec<Vec<Change>> {
        (1..=6)
            .map(|number| vec![Set("k", vec![if number < 3 { number } else { number ^ fill }; 50])])
            .collect()
    };
    let one = commits(0);
    let start = SimVfs::new(1);
    let write = |disk: &SimVfs, commits: &[Vec<Change>]| {
        let database =
            open(disk, SOURCE, Mode::Ledger, Suite::Encrypted, Durability::Sync).expect("it opens");
        commits.iter().for_each(|changes| commit(&database, changes));
        database.close().expect("the disk is healthy");
    };
    write(&start, &one[..2]);
    let (disk, other) = (start.snapshot(), start.snapshot());
    write(&disk, &one[2..]);
    write(&other, &commits(0x80)[2..]);
    let groups = groups(&disk, Suite::Encrypted, &one);
    (History { disk, mode: Mode::Ledger, suite: Suite::Encrypted, base_sequence: 0, groups }, other, start)
}

#[test]
fn a_frame_of_a_fork_that_does_not_link_is_reported_as_foreign_and_not_salvaged() {
    let (history, other, _) = forks();
    let fork = other.read_file(SOURCE).expect("the fork");
    let range = history.groups[3].bytes.clone();
    let disk = history.disk.snapshot();
    let frame = &fork[indexes(&range)];
    disk.overwrite(SOURCE, range.start, frame).expect("within the file");
    let report = repair(&disk, Suite::Encrypted).expect("the rest is whole");
    assert_eq!(report.gaps.len(), 1);
    let expected = Expected {
        bytes: range,
        first_missing: Some(4),
        last_missing: Some(4),
        resumed: Some((5, 4)),
        unfit_frames: 0,
        foreign_frames: 1,
    };
    assert_eq!(report.gaps[0], expected);
    assert_eq!((report.commits, report.is_complete()), (5, false));
    let state = State::from([(b"k".to_vec(), vec![6; 50])]);
    history.check_salvaged(&disk, &state, &report, "the fork's frame 4");
}

#[test]
fn of_two_continuations_the_one_that_links_is_kept_and_the_other_reported() {
    let (history, other, _) = forks();
    let fork = other.read_file(SOURCE).expect("the fork");
    // Commits 1, 2 and the fork's 3; then 4, 5 and 6, which name another 3.
    let range = history.groups[2].bytes.clone();
    let disk = history.disk.snapshot();
    let frame = &fork[indexes(&range)];
    disk.overwrite(SOURCE, range.start, frame).expect("within the file");
    let report = repair(&disk, Suite::Encrypted).expect("one continuation is whole");
    let end = history.groups[5].bytes.end;
    let expected = Expected {
        bytes: range.end..end,
        first_missing: Some(4),
        last_missing: None,
        resumed: None,
        unfit_frames: 0,
        foreign_frames: 3,
    };
    assert_eq!((report.gaps.len(), report.commits, report.is_complete()), (1, 3, false));
    assert_eq!(report.gaps[0], expected);
    let state = State::from([(b"k".to_vec(), vec![3 ^ 0x80; 50])]);
    history.check_salvaged(&disk, &state, &report, "the fork's frame 3");
}

#[test]
fn a_group_with_a_frame_of_another_fork_is_not_whole() {
    let commits = |fill: u8| vec![vec![Set("large", vec![fill; 1_100_000])], vec![Set("k", vec![2])]];
    let start = SimVfs::new(1);
    open(&start, SOURCE, Mode::Ledger, Suite::Encrypted, Durability::Sync)
        .expect("a new database")
        .close()
        .expect("the disk is healthy");
    let [one, other] = [1, 2].map(|fill| {
        let disk = start.snapshot();
        let database =
            open(&disk, SOURCE, Mode::Ledger, Suite::Encrypted, Durability::Sync).expect("it opens");
        commits(fill).iter().for_each(|changes| commit(&database, changes));
        database.close().expect("the disk is healthy");
        disk
    });
    let groups = groups(&one, Suite::Encrypted, &commits(1));
    let second = groups[0].frames[1].clone();
    let frame = &other.read_file(SOURCE).expect("the fork")[indexes(&second)];
    one.overwrite(SOURCE, second.start, frame).expect("within the file");
    let report = repair(&one, Suite::Encrypted).expect("the last commit is whole");
    let expected = Expected {
        bytes: groups[0].bytes.clone(),
        first_missing: Some(1),
        last_missing: Some(1),
        resumed: Some((2, 1)),
        unfit_frames: 2,
        foreign_frames: 0,
    };
    assert_eq!((report.gaps.len(), report.commits), (1, 1));
    assert_eq!(report.gaps[0], expected);
}

#[test]
fn a_fork_s_frame_behind_the_end_is_foreign_and_makes_the_result_incomplete() {
    let (history, other, start) = forks();
    let end = history.groups[4].bytes.end;
    // The log up to commit 5, and the fork's 6 behind it. The header's floor is an old one, and says nothing of either.
    let mut bytes = history.disk.read_file(SOURCE).expect("the database");
    bytes.truncate(index(end));
    let header = index(LOG_START);
    bytes[..header].copy_from_slice(&start.read_file(SOURCE).expect("the start")[..header]);
    bytes.extend_from_slice(&other.read_file(SOURCE).expect("the fork")[index(end)..]);
    let disk = SimVfs::new(3);
    disk.write_file(SOURCE, &bytes).expect("there is space");
    let report = repair(&disk, Suite::Encrypted).expect("five commits are whole");
    assert_eq!((report.commits, report.gaps.len(), report.is_complete()), (5, 1, false));
    assert_eq!((report.gaps[0].from, report.gaps[0].foreign_frames), (end, 1));
    let state = State::from([(b"k".to_vec(), vec![5; 50])]);
    history.check_salvaged(&disk, &state, &report, "the fork's frame 6");
}

#[test]
fn a_log_that_contradicts_the_floor_is_salvaged_and_not_called_complete() {
    let (history, other, _) = forks();
    let disk = history.disk.snapshot();
    let header = &other.read_file(SOURCE).expect("the fork")[..index(LOG_START)];
    disk.overwrite(SOURCE, 0, header).expect("within the file");
    let refused = open(&disk, SOURCE, Mode::Ledger, Suite::Encrypted, Durability::Sync)
        .expect_err("the header is of the other fork");
    assert!(matches!(refused, StorageError::Damaged { source: Damage::Floor, .. }), "{refused:?}");
    let report = repair(&disk, Suite::Encrypted).expect("every frame is good");
    assert!(report.floor_contradicted && !report.is_complete());
    assert_eq!((report.commits, report.gaps.len()), (6, 0));
    let state = State::from([(b"k".to_vec(), vec![6; 50])]);
    history.check_salvaged(&disk, &state, &report, "the other fork's header");
}

#[test]
fn a_frame_beyond_a_gap_counts_only_if_its_numbers_go_on_upwards() {
    let (history, _, third) = forks();
    // A third continuation from commit 2, whose commit 4 stands where commit 6 of the first one does.
    let start = history.groups[2].bytes.start;
    let len = history.groups[5].bytes.start - start;
    let overhead = history.groups[2].bytes.end - start - 50;
    let database = open(&third, SOURCE, Mode::Ledger, Suite::Encrypted, Durability::Sync).expect("it opens");
    // The length of a value from 251 bytes on takes three bytes instead of one.
    commit(&database, &[Set("k", vec![1; index(len - overhead - 2)])]);
    commit(&database, &[Set("k", vec![2; 50])]);
    database.close().expect("the disk is healthy");
    let from = index(history.groups[5].bytes.start);
    let older = third.read_file(SOURCE).expect("the third")[from..].to_vec();
    assert_eq!(number(&older, 8), from as u64, "it stands in its place");
    assert_eq!(number(&older, 16), 4, "and is commit 4");

    let disk = SimVfs::new(5);
    let mut spliced = history.disk.read_file(SOURCE).expect("the database");
    spliced.truncate(from);
    spliced.extend_from_slice(&older);
    disk.write_file(SOURCE, &spliced).expect("there is space");
    damage(&disk, &history.groups[4].bytes, DAMAGES[2]);
    let report = repair(&disk, Suite::Encrypted).expect("four commits are whole");
    assert_eq!((report.commits, report.gaps.len(), report.is_complete()), (4, 1, false));
    assert_eq!((report.gaps[0].from, report.gaps[0].foreign_frames), (history.groups[4].bytes.start, 1));
    let state = State::from([(b"k".to_vec(), vec![4; 50])]);
    history.check_salvaged(&disk, &state, &report, "a commit 4 behind commit 4");
}

/// A whole frame of a plaintext database, as anybody can make one.
fn forged_frame(id: DatabaseId, offset: u64, payload: &[u8], payload_len: Option<u32>) -> Vec<u8> {
    let header = FrameHeader {
        kind: Kind::Commit,
        begins: true,
        ends: true,
        offset,
        first_sequence: SequenceNumber(1000),
        commit_count: 1,
        payload_len: payload_len.unwrap_or_default(),
        time_ns: 0,
        durable: offset,
        previous_leaf: Digest::ZERO,
        salt: Salt::from_bytes([0; Salt::LEN]),
    };
    if payload_len.is_some() {
        return header.encode(id).to_vec();
    }
    let mut buffer = vec![0; FrameHeader::LEN];
    buffer.extend_from_slice(payload);
    frame::seal(header, &mut buffer, id, &PlaintextSealer::new(id)).expect("random bytes");
    buffer
}

#[test]
fn a_frame_inside_a_value_of_a_good_frame_is_not_a_frame() {
    let disk = SimVfs::new(1);
    let database = open(&disk, SOURCE, Mode::Ledger, Suite::Plaintext, Durability::Sync).expect("new");
    let bytes = disk.read_file(SOURCE).expect("the database");
    let id = id_of(&bytes);
    // Behind the frame's header: the count of operations, the kind, two lengths and the key.
    let offset = LOG_START + FrameHeader::LEN as u64 + 1 + 1 + 1 + 1 + 1;
    let forged = forged_frame(id, offset, b"\x01\x00\x01\x02k!", None);
    commit(&database, &[Set("k", forged.clone())]);
    commit(&database, &[Set("l", b"1".to_vec())]);
    database.close().expect("the disk is healthy");
    let file = disk.read_file(SOURCE).expect("the database");
    let at = index(offset);
    assert!(file[at..].starts_with(&forged), "the forged frame stands where it says");
    let report = repair(&disk, Suite::Plaintext).expect("it is whole");
    assert_eq!((report.is_complete(), report.commits), (true, 2));
    let salvaged = open(&disk, TARGET, Mode::Ledger, Suite::Plaintext, Durability::Sync).expect("it opens");
    let (record, _) = salvaged.get(b"k").expect("the record");
    assert!(record.value() == forged);
}

#[test]
fn a_good_frame_whose_records_cannot_be_read_is_not_salvaged() {
    let disk = SimVfs::new(1);
    let (mode, suite) = (Mode::Ledger, Suite::Plaintext);
    let database = open(&disk, SOURCE, mode, suite, Durability::Sync).expect("new");
    commit(&database, &[Set("k", b"1".to_vec())]);
    let end = database.head().offset;
    database.close().expect("the disk is healthy");
    for payload in [&b""[..], b"\x01\x07", b"\x01\x00\x01\x02k!\xff"] {
        let mut bytes = disk.read_file(SOURCE).expect("the database");
        let id = id_of(&bytes);
        bytes.push(b'!');
        bytes.extend_from_slice(&forged_frame(id, end + 1, payload, None));
        let damaged = SimVfs::new(2);
        damaged.write_file(SOURCE, &bytes).expect("there is space");
        let report = repair(&damaged, suite).expect("the start is whole");
        assert_eq!((report.commits, report.gaps.len(), report.is_complete()), (1, 1, false));
        assert_eq!((report.gaps[0].from, report.gaps[0].unfit_frames), (end, 1));
        let salvaged = open(&damaged, TARGET, mode, suite, Durability::Sync).expect("it opens");
        assert_eq!(state_of(&salvaged), State::from([(b"k".to_vec(), b"1".to_vec())]));
    }
}

#[test]
fn a_file_full_of_forged_frames_is_given_up_in_time_and_says_so() {
    for suite in [Suite::Plaintext, Suite::Encrypted] {
        let (mode, durability) = (Mode::Ledger, Durability::Sync);
        let disk = SimVfs::new(1);
        let database = open(&disk, SOURCE, mode, suite, durability).expect("new");
        commit(&database, &[Set("k", b"1".to_vec())]);
        let end = database.head().offset;
        database.close().expect("the disk is healthy");
        let mut bytes = disk.read_file(SOURCE).expect("the database");
        let id = id_of(&bytes);
        for _ in 0..16_000 {
            let offset = bytes.len() as u64;
            bytes.extend_from_slice(&forged_frame(id, offset, b"", Some(1 << 20)));
        }
        // Zeros at the end would count as space set aside.
        bytes.push(b'!');
        disk.write_file(SOURCE, &bytes).expect("there is space");
        let report = repair(&disk, suite).expect("the start is whole");
        assert_eq!((report.commits, report.is_complete(), report.gaps.len()), (1, false, 1));
        assert_eq!((report.gaps[0].from, report.gaps[0].to), (end, bytes.len() as u64));
        let searched = report.search_ended.expect("it gave up");
        assert!(searched > end && searched < end + 100 * 128, "after about a dozen of them: {searched}");
    }
}

#[test]
fn an_error_or_power_loss_at_any_operation_leaves_no_half_target_and_the_source_as_it_was() {
    let commits: Vec<_> = (1..=6).map(|number| vec![Set("k", vec![number; 50])]).collect();
    let history = History::new(Mode::Ledger, Suite::Encrypted, &commits, 0, 0);
    damage(&history.disk, &history.groups[2].bytes, DAMAGES[0]);
    let source = history.disk.read_file(SOURCE).expect("the database");
    let counted = history.disk.snapshot();
    repair(&counted, Suite::Encrypted).expect("the disk is healthy");
    let operations = counted.operations();
    assert!(operations > 20, "{operations}");
    for operation in 0..operations {
        for fault in [Fault::Before(DiskError::Io), Fault::Midway(DiskError::NoSpace)] {
            let disk = history.disk.snapshot();
            disk.fail_at(operation, fault);
            let result = repair(&disk, Suite::Encrypted);
            disk.clear_faults();
            judge_interrupted(&disk, result.is_ok(), &source, &format!("{operation} {fault:?}"));
        }
        for seed in 0..3 {
            let disk = history.disk.snapshot();
            disk.stop_at(operation);
            let result = repair(&disk, Suite::Encrypted);
            assert!(result.is_err(), "{operation}");
            judge_interrupted(&disk.crash(seed), false, &source, &format!("{operation} crash {seed}"));
        }
        let disk = history.disk.snapshot();
        disk.stop_at(operation);
        let acknowledged = repair(&disk, Suite::Encrypted).is_ok();
        judge_interrupted(&disk.process_crash(), acknowledged, &source, &format!("{operation} killed"));
    }
    let disk = history.disk.snapshot();
    repair(&disk, Suite::Encrypted).expect("the disk is healthy");
    for seed in 0..10 {
        judge_interrupted(&disk.crash(seed), true, &source, "after it returned");
    }
}

fn judge_interrupted(disk: &SimVfs, acknowledged: bool, source: &[u8], place: &str) {
    assert!(disk.read_file(SOURCE).expect("the database") == source, "{place}: the source");
    if disk.read_file(TARGET).is_err() {
        assert!(!acknowledged, "{place}: a target that was acknowledged is there");
        return;
    }
    let database = open(disk, TARGET, Mode::Ledger, Suite::Encrypted, Durability::Sync)
        .unwrap_or_else(|error| panic!("{place}: {error:?}"));
    let verified = database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
    assert_eq!(verified.commits, 5, "{place}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Any bytes of the log are changed: what is left is the history without the groups that were touched.
    #[test]
    fn random_damage_costs_exactly_the_groups_that_it_touches(
        variant in 0..VARIANTS.len(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), 1..400_usize, any::<u8>()), 1..6),
    ) {
        let (mode, suite) = VARIANTS[variant];
        let commits: Vec<_> = (0..14_u8)
            .map(|number| match number % 5 {
                4 => vec![Delete("b"), Set("counter", vec![number])],
                3 => vec![Set("c", vec![number; 200]), Set("counter", vec![number])],
                rest => vec![Set(["a", "b", "c"][usize::from(rest)], vec![number; 40])],
            })
            .collect();
        let history = History::new(mode, suite, &commits, 0, 4);
        let disk = history.disk.snapshot();
        let mut bytes = disk.read_file(SOURCE).expect("the database");
        let log_start = index(LOG_START);
        for (place, len, pattern) in wounds {
            let start = log_start + place.index(bytes.len() - log_start);
            let end = bytes.len().min(start + len);
            bytes[start..end].iter_mut().for_each(|byte| *byte ^= pattern | 1);
        }
        disk.write_file(SOURCE, &bytes).expect("there is space");
        history.check(&disk, &format!("{mode} {suite:?}"));
    }
}
