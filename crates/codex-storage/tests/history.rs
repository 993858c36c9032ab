//! What a ledger says of its past: the versions of a key, the state at any point, and the commits as they were made.
//!
//! Any history is held against a model that keeps every state; then what groups, long commits, crashes, damage and
//! other threads do to it.
#![cfg(not(loom))]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::clock::Clock;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, Operation as DiskOperation, SimVfs};
use codex_storage::{
    Background, Batch, Change, Damage, Database, Durability, Mode, OpenOptions, Operation, Point, Result,
    StorageError, View,
};
use proptest::prelude::*;
use proptest::test_runner::Config;

const PATH: &str = "/app.db";
const CHECKPOINT: &str = "/app.db.ckpt";

/// A clock that stands where a test puts it.
#[derive(Debug, Default)]
struct StandingClock(AtomicU64);

impl Clock for StandingClock {
    fn wall_ns(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn options(disk: &SimVfs) -> OpenOptions {
    OpenOptions {
        mode: Some(Mode::Ledger),
        vfs: Arc::new(disk.clone()),
        background: Background::Caller,
        ..OpenOptions::default()
    }
}

fn ledger(disk: &SimVfs) -> Database {
    options(disk).open(Path::new(PATH), None).expect("it opens")
}

fn set(database: &Database, key: &str, value: &[u8]) {
    let mut batch = Batch::new();
    batch.set(key.as_bytes(), &[value]).expect("within bounds");
    database.commit(batch).expect("the disk is whole");
}

fn delete(database: &Database, key: &str) {
    let mut batch = Batch::new();
    batch.delete(key.as_bytes()).expect("within bounds");
    database.commit(batch).expect("the disk is whole");
}

/// What a commit did, as a test writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Done {
    Set(Vec<u8>, Vec<u8>),
    Deleted(Vec<u8>),
    Cleared,
}

fn done(operation: &Operation) -> Done {
    match operation {
        Operation::Set(record) => Done::Set(record.key().to_vec(), record.value().to_vec()),
        Operation::Delete(record) => Done::Deleted(record.key().to_vec()),
        Operation::Clear => Done::Cleared,
    }
}

/// A version of one key: its commit, and its value or which operation ended it.
type Seen = (u64, Done);

fn versions(database: &Database, key: &[u8]) -> Vec<Seen> {
    let version = |version: Result<codex_storage::Version>| {
        let version = version.expect("the disk is whole");
        let done = match &version.change {
            Change::Set(record) => Done::Set(record.key().to_vec(), record.value().to_vec()),
            Change::Deleted => Done::Deleted(key.to_vec()),
            Change::Cleared => Done::Cleared,
        };
        (version.sequence.0, done)
    };
    database.history(key).expect("a ledger").map(version).collect()
}

fn commits(database: &Database, range: impl std::ops::RangeBounds<u64>) -> Vec<(u64, Vec<Done>)> {
    let commit = |commit: Result<codex_storage::LoggedCommit>| {
        let commit = commit.expect("the disk is whole");
        (commit.sequence.0, commit.operations.iter().map(done).collect())
    };
    database.log(range).expect("a ledger").map(commit).collect()
}

fn times(database: &Database) -> Vec<u64> {
    database.log(..).expect("a ledger").map(|commit| commit.expect("the disk is whole").time_ns).collect()
}

fn state(view: &View) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let records = view.range((Bound::Unbounded, Bound::Unbounded));
    let state: BTreeMap<_, _> =
        records.map(|record| (record.key().to_vec(), record.value().to_vec())).collect();
    let bytes: usize = state.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!((view.totals().records, view.totals().bytes), (state.len() as u64, bytes as u64));
    state
}

fn at(database: &Database, sequence: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let view = database.at(Point::Sequence(sequence)).expect("a ledger");
    assert_eq!(view.sequence().0, sequence);
    state(&view)
}

fn nanoseconds(time_ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(time_ns)
}

/// The state behind each commit from 0 on, and what each commit did.
struct Model {
    states: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
    commits: Vec<(u64, Vec<Done>)>,
    versions: BTreeMap<Vec<u8>, Vec<Seen>>,
}

impl Model {
    fn new() -> Self {
        Self { states: vec![BTreeMap::new()], commits: Vec::new(), versions: BTreeMap::new() }
    }

    fn commit(&mut self, operations: &[Done]) {
        let before = &self.states[self.states.len() - 1];
        let sequence = self.states.len() as u64;
        let mut state = before.clone();
        let mut effective = Vec::new();
        let mut ended = BTreeMap::new();
        let mut written = BTreeMap::new();
        for operation in operations {
            let changes = match operation {
                Done::Set(key, value) => {
                    written.insert(key.clone(), operation.clone());
                    state.insert(key.clone(), value.clone());
                    true
                }
                Done::Deleted(key) => {
                    let found = state.remove(key).is_some();
                    if found {
                        ended.insert(key.clone(), operation.clone());
                    }
                    found
                }
                Done::Cleared => {
                    ended.extend(state.keys().map(|key| (key.clone(), Done::Cleared)));
                    !std::mem::take(&mut state).is_empty()
                }
            };
            if changes {
                effective.push(operation.clone());
            }
        }
        if effective.is_empty() {
            return;
        }
        for (key, set) in written.iter().filter(|(key, _)| state.contains_key(*key)) {
            self.versions.entry(key.clone()).or_default().insert(0, (sequence, set.clone()));
        }
        for key in before.keys().filter(|key| !state.contains_key(*key)) {
            self.versions.entry(key.clone()).or_default().insert(0, (sequence, ended[key].clone()));
        }
        self.commits.push((sequence, effective));
        self.states.push(state);
    }

    fn last(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// Holds all that a database says of its past against the model.
    fn judge(&self, database: &Database) {
        assert_eq!(commits(database, ..), self.commits);
        for (sequence, expected) in (0..).zip(&self.states) {
            assert_eq!(&at(database, sequence), expected, "commit {sequence}");
        }
        for key in 0..KEYS {
            let expected = self.versions.get(&name(key)).map_or(&[][..], Vec::as_slice);
            assert_eq!(versions(database, &name(key)), expected, "key {key}");
        }
        let times = times(database);
        for time in &times.iter().copied().collect::<BTreeSet<_>>() {
            let before_later = times.iter().take_while(|other| *other <= time).count();
            let view = database.at(Point::Time(nanoseconds(*time))).expect("a ledger");
            assert_eq!(view.sequence().0, before_later as u64);
            assert_eq!(state(&view), self.states[before_later]);
        }
        let error = database.at(Point::Sequence(self.last() + 1)).expect_err("not made yet");
        assert!(
            matches!(error, StorageError::NoSuchCommit { first: 1, last, .. } if last == self.last()),
            "{error:?}"
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Done>),
    /// Commits that are written as one group.
    Together(Vec<Vec<Done>>),
    /// The clock goes on, or back.
    Clock(u64),
    /// Histories are asked for, so that the index is continued from here.
    Look(u8),
    Checkpoint,
    Reopen,
}

const KEYS: u8 = 6;

fn name(key: u8) -> Vec<u8> {
    vec![b'k'; 1 + usize::from(key)]
}

fn operations() -> impl Strategy<Value = Vec<Done>> {
    let operation = prop_oneof![
        // Some are longer than a segment of the index.
        6 => (0..KEYS, any::<u8>(), prop_oneof![9 => 0..300_usize, 1 => 3000..9000_usize])
            .prop_map(|(key, byte, len)| Done::Set(name(key), vec![byte; len])),
        3 => (0..KEYS).prop_map(|key| Done::Deleted(name(key))),
        1 => Just(Done::Cleared),
    ];
    prop::collection::vec(operation, 0..5)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => operations().prop_map(Step::Commit),
        3 => prop::collection::vec(operations(), 1..5).prop_map(Step::Together),
        3 => (0..50_u64).prop_map(Step::Clock),
        3 => (0..KEYS).prop_map(Step::Look),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

fn batch(operations: &[Done]) -> Batch {
    let mut batch = Batch::new();
    for operation in operations {
        match operation {
            Done::Set(key, value) => batch.set(key, &[value]).expect("within bounds"),
            Done::Deleted(key) => batch.delete(key).expect("within bounds"),
            Done::Cleared => batch.clear(),
        }
    }
    batch
}

fn check(durability: Durability) {
    // `PROPTEST_CASES` asks for more histories.
    let config = Config { failure_persistence: None, ..Config::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        let disk = SimVfs::new(1);
        let clock = Arc::new(StandingClock::default());
        let options = OpenOptions { clock: clock.clone(), durability, ..options(&disk) };
        let open = |options: &OpenOptions| options.open(Path::new(PATH), None).expect("the disk is whole");
        let mut database = open(&options);
        let mut model = Model::new();
        for step in &steps {
            match step {
                Step::Commit(operations) => {
                    database.commit(batch(operations)).expect("the disk is whole");
                    model.commit(operations);
                }
                Step::Together(commits) => {
                    let pending: Vec<_> = commits
                        .iter()
                        .map(|operations| database.submit(batch(operations)).expect("open"))
                        .collect();
                    database.tend().expect("the disk is whole");
                    for pending in pending {
                        pending.wait().expect("the disk is whole");
                    }
                    commits.iter().for_each(|operations| model.commit(operations));
                }
                Step::Clock(time_ns) => clock.0.store(*time_ns, Ordering::Release),
                Step::Look(key) => {
                    let expected = model.versions.get(&name(*key)).cloned().unwrap_or_default();
                    prop_assert_eq!(versions(&database, &name(*key)), expected);
                    // From anywhere, whatever the index knows by now.
                    let first = u64::from(*key) * 4;
                    let commits = commits(&database, first..);
                    prop_assert!(model.commits.iter().filter(|(sequence, _)| *sequence >= first).eq(&commits));
                }
                Step::Checkpoint => database.checkpoint().expect("the disk is whole"),
                Step::Reopen => {
                    database.close().expect("the disk is whole");
                    database = open(&options);
                }
            }
        }
        model.judge(&database);
        database.close().expect("the disk is whole");
        model.judge(&open(&OpenOptions { read_only: true, ..options.clone() }));
    });
}

#[test]
fn whatever_a_ledger_says_of_its_past_is_the_models() {
    check(Durability::Sync);
}

#[test]
fn whatever_a_buffered_ledger_says_of_its_past_is_the_models() {
    check(Durability::Buffered);
}

#[test]
fn a_state_behind_the_checkpoint_is_read_from_there_and_one_before_it_from_the_start() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    for number in 0..50_u8 {
        set(&database, &format!("{}", number % 10), &[number]);
    }
    database.checkpoint().expect("the disk is whole");
    for number in 50..60_u8 {
        set(&database, &format!("{}", number % 10), &[number]);
    }
    // What is not read is not missed: the first commit rots.
    disk.flip_bit(PATH, (8192 + 130) * 8).expect("it is there");
    assert_eq!(at(&database, 55)[&b"4"[..]], [54]);
    assert_eq!(at(&database, 50)[&b"4"[..]], [44]);
    assert_eq!(
        commits(&database, 51..53),
        [(51, vec![Done::Set(b"0".to_vec(), vec![50])]), (52, vec![Done::Set(b"1".to_vec(), vec![51])]),]
    );
    // The checkpoint covers the first of these itself.
    let error = database.log(50..).expect_err("the first frame is damaged");
    assert!(matches!(error, StorageError::Damaged { offset: 8192, .. }), "{error:?}");
    let error = database.at(Point::Sequence(49)).expect_err("the first frame is damaged");
    assert!(matches!(error, StorageError::Damaged { offset: 8192, sequence: Some(0), .. }), "{error:?}");
    // Without a checkpoint, or with a damaged one, all is read.
    disk.write_file(CHECKPOINT, b"no checkpoint").expect("the disk is whole");
    let error = database.at(Point::Sequence(55)).expect_err("the first frame is damaged");
    assert!(matches!(error, StorageError::Damaged { offset: 8192, .. }), "{error:?}");
}

#[test]
fn a_time_shows_the_commits_before_the_first_later_one_and_before_the_first_none() {
    let disk = SimVfs::new(1);
    let clock = Arc::new(StandingClock::default());
    let database = OpenOptions { clock: clock.clone(), ..options(&disk) }
        .open(Path::new(PATH), None)
        .expect("a new database");
    // The third commit is made behind a clock that was set back.
    for (time_ns, value) in [(1000, 1), (2000, 2), (1500, 3), (3000, 4)] {
        clock.0.store(time_ns, Ordering::Release);
        set(&database, "k", &[value]);
    }
    let at = |time_ns| {
        let view = database.at(Point::Time(nanoseconds(time_ns))).expect("a ledger");
        (view.sequence().0, view.get(b"k").map(|record| record.value()[0]))
    };
    assert_eq!(at(0), (0, None));
    assert_eq!(at(999), (0, None));
    assert_eq!(at(1000), (1, Some(1)));
    assert_eq!(at(1999), (1, Some(1)), "what was made behind a later time is later");
    assert_eq!(at(2000), (3, Some(3)));
    assert_eq!(at(u64::MAX), (4, Some(4)));
    let view = database.at(Point::Time(UNIX_EPOCH - Duration::from_secs(1))).expect("a ledger");
    assert_eq!(view.totals().records, 0);
}

#[test]
fn a_snapshot_keeps_no_history_and_says_how_to_get_one() {
    let disk = SimVfs::new(1);
    let options = OpenOptions { mode: Some(Mode::Snapshot), ..options(&disk) };
    let database = options.open(Path::new(PATH), None).expect("a new database");
    set(&database, "k", b"1");
    let errors = [
        database.history(b"k").map(|_| ()).expect_err("a snapshot"),
        database.at(Point::Sequence(1)).map(|_| ()).expect_err("a snapshot"),
        database.at(Point::Time(UNIX_EPOCH)).map(|_| ()).expect_err("a snapshot"),
        database.log(..).map(|_| ()).expect_err("a snapshot"),
    ];
    for error in errors {
        assert!(matches!(error, StorageError::NoHistory), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("export") && text.contains("ledger"), "{text}");
    }
}

#[test]
fn a_closed_ledger_is_not_asked_and_a_key_is_checked() {
    let database = ledger(&SimVfs::new(1));
    let error = database.history(b"").expect_err("no key is empty");
    assert!(matches!(error, StorageError::KeyEmpty), "{error:?}");
    database.close().expect("the disk is whole");
    let error = database.history(b"k").expect_err("closed");
    assert!(matches!(error, StorageError::Closed), "{error:?}");
}

#[test]
fn a_range_of_the_log_has_its_commits_and_no_others() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    assert_eq!(commits(&database, ..), []);
    (0..9_u8).for_each(|number| set(&database, "k", &[number]));
    let numbers = |range: (Bound<u64>, Bound<u64>)| {
        commits(&database, range).into_iter().map(|(sequence, _)| sequence).collect::<Vec<_>>()
    };
    assert_eq!(numbers((Included(3), Included(5))), [3, 4, 5]);
    assert_eq!(numbers((Excluded(3), Excluded(5))), [4]);
    assert_eq!(numbers((Included(8), Unbounded)), [8, 9]);
    assert_eq!(numbers((Unbounded, Excluded(2))), [1]);
    for nothing in [
        (Included(10), Unbounded),
        (Included(5), Included(4)),
        (Excluded(u64::MAX), Unbounded),
        (Unbounded, Excluded(0)),
        (Included(0), Included(0)),
    ] {
        assert_eq!(numbers(nothing), [0_u64; 0], "{nothing:?}");
    }
}

#[test]
fn a_commit_over_many_frames_is_one_in_the_log_and_in_history() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    let long = vec![7; 5 << 20];
    set(&database, "k", b"before");
    set(&database, "k", &long);
    delete(&database, "k");
    assert_eq!(commits(&database, 2..=2), [(2, vec![Done::Set(b"k".to_vec(), long.clone())])]);
    let expected = [
        (3, Done::Deleted(b"k".to_vec())),
        (2, Done::Set(b"k".to_vec(), long.clone())),
        (1, Done::Set(b"k".to_vec(), b"before".to_vec())),
    ];
    assert_eq!(versions(&database, b"k"), expected);
    assert_eq!(at(&database, 2)[&b"k"[..]], long);
}

#[test]
fn what_one_commit_made_and_took_back_is_no_version() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    let value = |byte| Done::Set(b"k".to_vec(), vec![byte]);
    let gone = || Done::Deleted(b"k".to_vec());
    for operations in [
        vec![value(1), gone()],
        vec![value(2), value(3)],
        vec![gone(), value(4), Done::Cleared],
        vec![value(5), Done::Cleared],
        vec![value(6)],
        vec![Done::Cleared, value(7), gone()],
    ] {
        database.commit(batch(&operations)).expect("the disk is whole");
    }
    assert_eq!(versions(&database, b"k"), [(6, gone()), (5, value(6)), (3, Done::Cleared), (2, value(3))]);
    assert_eq!(commits(&database, 4..5), [(4, vec![value(5), Done::Cleared])], "the log has it");
}

#[test]
fn damage_in_old_frames_is_found_where_it_is_read_and_ends_the_iterator() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    let mut starts = Vec::new();
    for number in 0..200_u8 {
        starts.push(database.head().offset);
        set(&database, if number == 150 { "rare" } else { "k" }, &[number; 100]);
    }
    // Made from the whole file; what it points to is checked all the same.
    assert_eq!(versions(&database, b"rare").len(), 1);
    let whole = disk.read_file(PATH).expect("it is there");

    disk.flip_bit(PATH, (starts[100] + 140) * 8).expect("it is there");
    let damaged_at_100 = |error: &StorageError| {
        matches!(error, StorageError::Damaged { offset, sequence: Some(100), source: Damage::LogChanged, .. }
            if *offset == starts[100])
    };
    let mut log = database.log(..).expect("a ledger");
    let mut seen = 0;
    let error = loop {
        match log.next().expect("it ends with an error") {
            Ok(commit) => {
                seen += 1;
                assert_eq!(commit.sequence.0, seen);
            }
            Err(error) => break error,
        }
    };
    assert!(damaged_at_100(&error), "{error:?}");
    assert!(log.next().is_none(), "an error ends it");
    let error = database.at(Point::Sequence(120)).expect_err("a frame on the way is damaged");
    assert!(damaged_at_100(&error), "{error:?}");
    assert_eq!(at(&database, 99).len(), 1, "what stands before it is whole");
    let mut history = database.history(b"k").expect("the index is made");
    let found: Vec<_> = history.by_ref().take_while(Result::is_ok).collect();
    assert!((80..199).contains(&found.len()), "newer versions are shown: {}", found.len());
    assert!(history.next().is_none(), "an error ends it");
    assert_eq!(versions(&database, b"rare").len(), 1, "what is elsewhere is whole");

    // A frame that authenticates and is not the one that stood there: forged without a key, of another database.
    let other = SimVfs::new(1);
    let others = ledger(&other);
    for number in 0..200_u8 {
        set(&others, if number == 150 { "rare" } else { "k" }, &[number ^ 1; 100]);
    }
    let (from, to) = (starts[150], starts[151]);
    let range = usize::try_from(from).expect("small")..usize::try_from(to).expect("small");
    disk.overwrite(PATH, 0, &whole).expect("it is there");
    disk.overwrite(PATH, from, &other.read_file(PATH).expect("it is there")[range]).expect("it is there");
    let error = database.history(b"rare").expect("the index is made").next().expect("a version");
    assert!(matches!(error, Err(StorageError::Damaged { offset, .. }) if offset == from), "{error:?}");
    disk.overwrite(PATH, 0, &whole).expect("it is there");
    assert_eq!(versions(&database, b"k").len(), 199);
}

#[test]
fn no_flipped_bit_becomes_history() {
    for unlock in [None, Some(Unlock::from(EncryptionKey::from_bytes([7; 32])))] {
        let disk = SimVfs::new(1);
        let database = options(&disk).open(Path::new(PATH), unlock.as_ref()).expect("a new database");
        for number in 0..4_u8 {
            set(&database, "k", &[number; 20]);
            set(&database, "other", &[number]);
        }
        let past = |database: &Database| -> Result<_> {
            let versions = database.history(b"k")?.collect::<Result<Vec<_>>>()?;
            let commits = database.log(..)?.map(|commit| Ok(commit?.operations.iter().map(done).collect()));
            Ok((
                versions,
                commits.collect::<Result<Vec<Vec<_>>>>()?,
                state(&database.at(Point::Sequence(5))?),
            ))
        };
        let truth = past(&database).expect("it is whole");
        let mut noticed = [0; 3];
        // A step that meets every bit of a byte in turn.
        for bit in (8192 * 8..database.head().offset * 8).step_by(29) {
            disk.flip_bit(PATH, bit).expect("it is there");
            let asked = [
                database.history(b"k").and_then(|versions| {
                    let versions = versions.collect::<Result<Vec<_>>>()?;
                    assert_eq!(versions, truth.0, "bit {bit}");
                    Ok(())
                }),
                database.log(..).and_then(|commits| {
                    for (commit, expected) in commits.zip(&truth.1) {
                        let done: Vec<_> = commit?.operations.iter().map(done).collect();
                        assert_eq!(done, *expected, "bit {bit}");
                    }
                    Ok(())
                }),
                database.at(Point::Sequence(5)).map(|view| assert_eq!(state(&view), truth.2, "bit {bit}")),
            ];
            for (result, noticed) in asked.into_iter().zip(&mut noticed) {
                match result {
                    Ok(()) => {}
                    Err(StorageError::Damaged { offset, .. }) => {
                        assert!(offset <= bit / 8 && bit / 8 < offset + 400, "bit {bit}, said at {offset}");
                        *noticed += 1;
                    }
                    Err(error) => panic!("bit {bit}: {error:?}"),
                }
            }
            disk.flip_bit(PATH, bit).expect("it is there");
        }
        let bits = (database.head().offset - 8192) * 8 / 29;
        assert!(noticed[1] >= bits, "the log reads everything: {} of {bits}", noticed[1]);
        assert!(noticed[0] > bits / 2 && noticed[2] > bits / 2, "{noticed:?} of {bits}");
        assert_eq!(past(&database).expect("it is whole again"), truth);
    }
}

#[test]
fn a_frame_of_another_continuation_of_the_same_database_is_not_taken_for_history() {
    // A copy goes on by itself; its frame authenticates at the same place of the original.
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    set(&database, "k", b"1");
    database.close().expect("the disk is whole");
    let copy = disk.snapshot();
    let (start, continued) = {
        let database = ledger(&copy);
        let start = database.head().offset;
        set(&database, "k", b"forged");
        (start, copy.read_file(PATH).expect("it is there"))
    };
    let database = ledger(&disk);
    set(&database, "k", b"honest");
    assert_eq!(versions(&database, b"k").len(), 2);
    let place = usize::try_from(start).expect("small");
    let end = usize::try_from(database.head().offset).expect("small");
    disk.overwrite(PATH, start, &continued[place..end]).expect("it is there");
    for result in [
        database.history(b"k").expect("the index is made").next().expect("a version").map(|_| ()),
        database.at(Point::Time(nanoseconds(u64::MAX))).map(|_| ()),
        database.log(..).expect("a ledger").try_for_each(|commit| commit.map(|_| ())),
    ] {
        assert!(
            matches!(&result, Err(StorageError::Damaged { offset, source: Damage::LogChanged, .. })
                if *offset == start),
            "{result:?}"
        );
    }
}

#[test]
fn an_index_spares_reading_what_others_wrote() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    for number in 0..2000_u32 {
        set(&database, &format!("key {number}"), &[1; 50]);
    }
    let reads = |key: &str| {
        let before = disk.operations();
        assert_eq!(versions(&database, key.as_bytes()).len(), 1);
        disk.operations() - before
    };
    let first = reads("key 700");
    let next = reads("key 701");
    assert!(first > 100, "{first}");
    assert!(next <= 4, "{next}");
    set(&database, "key 2000", &[1; 50]);
    let grown = reads("key 2000");
    assert!(grown <= 8, "only what came is read: {grown}");
    let again = reads("key 2000");
    assert!(again <= 4, "what is known is not read again: {again}");

    // The same index spares reading what stands before a part of the log.
    let disk = disk.process_crash();
    drop(database);
    let database = ledger(&disk);
    let reads = |first: u64| {
        let before = disk.operations();
        let numbers: Vec<_> =
            commits(&database, first..first + 3).into_iter().map(|(sequence, _)| sequence).collect();
        assert_eq!(numbers, [first, first + 1, first + 2]);
        disk.operations() - before
    };
    let first = reads(1500);
    let (next, earlier) = (reads(1400), reads(10));
    assert!(first > 50, "{first}");
    assert!(next <= 4 && earlier <= 4, "{next}, {earlier}");
}

#[test]
fn the_torn_end_of_a_crash_is_no_part_of_the_past() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    (0..3_u8).for_each(|number| set(&database, "k", &[number]));
    let end = database.head().offset;
    set(&database, "k", &[3; 1000]);
    let rebooted = disk.process_crash();
    drop(database);
    // Of the last group only the beginning has got there.
    rebooted.overwrite(PATH, end + 400, &[0; 1000]).expect("it is there");
    for read_only in [true, false] {
        let options = OpenOptions { read_only, ..options(&rebooted) };
        let database = options.open(Path::new(PATH), None).expect("a torn end is no damage");
        assert_eq!(commits(&database, ..).len(), 3);
        assert_eq!(versions(&database, b"k").len(), 3);
        let error = database.at(Point::Sequence(4)).expect_err("never acknowledged");
        assert!(matches!(error, StorageError::NoSuchCommit { sequence: 4, last: 3, .. }), "{error:?}");
    }
}

#[test]
fn after_a_failed_sync_the_past_is_readable_without_the_commit_whose_outcome_is_unknown() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    set(&database, "k", b"1");
    disk.fail_next(DiskOperation::Sync, 0, Fault::Before(DiskError::Io));
    let mut batch = Batch::new();
    batch.set(b"k", &[b"2"]).expect("within bounds");
    let error = database.commit(batch).expect_err("a disk error");
    assert!(error.outcome_is_unknown(), "{error:?}");
    assert_eq!(versions(&database, b"k"), [(1, Done::Set(b"k".to_vec(), b"1".to_vec()))]);
    assert_eq!(commits(&database, ..).len(), 1);
    assert_eq!(at(&database, 0).len(), 0);
}

#[test]
fn iterators_and_views_of_the_past_go_on_beside_commits_and_after_closing() {
    let disk = SimVfs::new(1);
    let database = ledger(&disk);
    (0..100_u8).for_each(|number| set(&database, "k", &[number; 200]));
    let mut log = database.log(..).expect("a ledger");
    let mut history = database.history(b"k").expect("a ledger");
    let view = database.at(Point::Sequence(50)).expect("a ledger");
    assert!(log.next().is_some() && history.next().is_some());
    (100..200_u8).for_each(|number| set(&database, "k", &[number; 200]));
    database.close().expect("the disk is whole");
    let rest = std::thread::spawn(move || (log.count(), history.count())).join().expect("no panic");
    assert_eq!(rest, (99, 99), "what came later is not in them");
    assert_eq!(view.get(b"k").map(|record| record.value()[0]), Some(49));
}

/// Ends the writers, also where a reader panics: the scope waits for them.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn readers_of_the_past_see_whole_commits_in_their_order_beside_writers() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let disk = SimVfs::new(1);
        let options = OpenOptions { durability, background: Background::Thread, ..options(&disk) };
        let database = options.open(Path::new(PATH), None).expect("a new database");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stopping = Stopping(&stop);
            let writers: Vec<_> = (0..3_u8)
                .map(|writer| {
                    let (database, stop) = (&database, &stop);
                    scope.spawn(move || {
                        let mut number = 0_u32;
                        while !stop.load(Ordering::Acquire) || number < 50 {
                            // Two keys in each commit, so that a half of one would be seen.
                            let mut batch = Batch::new();
                            batch.set(&[writer, 0], &[&number.to_le_bytes()]).expect("within bounds");
                            batch.set(&[writer, 1], &[&number.to_le_bytes()]).expect("within bounds");
                            database.commit(batch).expect("the disk is whole");
                            number += 1;
                        }
                    })
                })
                .collect();
            for _ in 0..10 {
                // What was acknowledged before the call is in it.
                let acknowledged = database.view().sequence().0;
                let seen = commits(&database, ..);
                assert!(seen.len() as u64 >= acknowledged, "{durability:?}");
                assert!(
                    seen.iter()
                        .zip(1..)
                        .all(|((sequence, done), number)| *sequence == number && done.len() == 2)
                );
                let half = seen.len() as u64 / 2;
                let past = at(&database, half);
                for writer in 0..3_u8 {
                    assert_eq!(past.get(&[writer, 0][..]), past.get(&[writer, 1][..]), "{durability:?}");
                }
                let newest = versions(&database, &[0, 0]);
                let numbers: Vec<_> = newest.iter().map(|(sequence, _)| *sequence).collect();
                assert!(numbers.is_sorted_by(|newer, older| newer > older), "{durability:?}");
                let held = past.get(&[0, 0][..]).cloned();
                let at_half = newest.iter().find(|(sequence, _)| *sequence <= half).map(|(_, done)| done);
                assert_eq!(
                    at_half,
                    held.map(|value| Done::Set(vec![0, 0], value)).as_ref(),
                    "{durability:?}"
                );
            }
            drop(stopping);
            writers.into_iter().for_each(|writer| writer.join().expect("it ends"));
        });
    }
}
