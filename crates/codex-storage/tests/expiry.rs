//! Records that expire: gone for readers at once, deleted by and by, with a clock of the tests' own.
#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_storage::clock::Clock;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, Operation as DiskOperation, SimVfs};
use codex_storage::watch::Announcement;
use codex_storage::{
    Background, Batch, Database, Durability, Mode, OpenOptions, Operation, Outcome, Point, RepairOptions,
    SequenceNumber, StorageError, View, repair,
};
use proptest::prelude::*;
use proptest::test_runner::Config;

const PATH: &str = "/app.db";
const MODES: [Mode; 2] = [Mode::Snapshot, Mode::Ledger];
const ALL: (Bound<Vec<u8>>, Bound<Vec<u8>>) = (Bound::Unbounded, Bound::Unbounded);

/// A clock that stands still until it is set; wall and monotonic time are one.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Hand {
    fn at(now_ns: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now_ns)))
    }

    fn set(&self, now_ns: u64) {
        self.0.store(now_ns, Ordering::Release);
    }
}

impl Clock for Hand {
    fn wall_ns(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.wall_ns())
    }
}

fn options(disk: &SimVfs, mode: Mode, clock: &Arc<Hand>) -> OpenOptions {
    let (vfs, clock) = (Arc::new(disk.clone()), clock.clone());
    OpenOptions { vfs, clock, mode: Some(mode), background: Background::Caller, ..OpenOptions::default() }
}

fn open(disk: &SimVfs, mode: Mode, clock: &Arc<Hand>) -> Database {
    options(disk, mode, clock).open(Path::new(PATH), None).expect("it opens")
}

fn commit(database: &Database, fill: impl FnOnce(&mut Batch)) -> Outcome {
    let mut batch = Batch::new();
    fill(&mut batch);
    database.commit(batch).expect("the disk is whole")
}

fn set(database: &Database, key: &[u8]) {
    commit(database, |batch| batch.set(key, &[b"1"]).expect("within bounds"));
}

fn set_until(database: &Database, key: &[u8], deadline_ns: u64) {
    commit(database, |batch| batch.set_until(key, &[b"1"], deadline_ns).expect("within bounds"));
}

fn keys(view: &View) -> Vec<Vec<u8>> {
    view.range(ALL).map(|record| record.key().to_vec()).collect()
}

fn sequence(database: &Database) -> u64 {
    database.view().sequence().0
}

#[test]
fn an_expired_record_is_gone_for_every_reader_the_moment_its_deadline_has_passed() {
    for mode in MODES {
        let (disk, clock) = (SimVfs::new(1), Hand::at(100));
        let database = open(&disk, mode, &clock);
        set(&database, b"a");
        set_until(&database, b"b", 200);
        set(&database, b"c");

        clock.set(199);
        let (record, _) = database.get(b"b").expect("it is still there");
        assert_eq!((record.value(), record.deadline_ns()), (&b"1"[..], Some(200)));
        assert_eq!((database.record_count(), keys(&database.view()).len()), (3, 3));

        clock.set(200);
        assert_eq!(database.get(b"b"), None);
        assert!(!database.has(b"b"));
        let view = database.view();
        assert!(view.get(b"b").is_none() && !view.has(b"b"));
        assert_eq!(keys(&view), [b"a", b"c"]);
        let backwards: Vec<_> = view.range(ALL).rev().map(|record| record.key().to_vec()).collect();
        assert_eq!(backwards, [b"c", b"a"]);
        assert_eq!((database.record_count(), view.totals().records, view.totals().bytes), (2, 2, 4));
        let stats = database.stats();
        assert_eq!((stats.records, stats.live_bytes), (2, 4));
        assert_eq!(sequence(&database), 3, "nothing was committed for that");
    }
}

#[test]
fn a_view_shows_what_had_not_expired_when_it_was_taken_also_after_it_is_deleted() {
    for mode in MODES {
        let (disk, clock) = (SimVfs::new(1), Hand::at(100));
        let database = open(&disk, mode, &clock);
        set_until(&database, b"early", 150);
        set_until(&database, b"late", 200);
        clock.set(150);
        let view = database.view();
        clock.set(300);
        for deleted in [false, true] {
            assert!(view.has(b"late") && view.get(b"late").is_some() && !view.has(b"early"), "{deleted}");
            assert_eq!((keys(&view), view.totals().records), (vec![b"late".to_vec()], 1), "{deleted}");
            assert_eq!(database.record_count(), 0);
            database.tend().expect("the disk is whole");
        }
        assert_eq!(sequence(&database), 3);
        drop(view);
        assert_eq!(database.stats().superseded_versions, 0);
    }
}

#[test]
fn what_has_expired_is_deleted_by_a_commit_that_watchers_and_the_log_show() {
    let (disk, clock) = (SimVfs::new(1), Hand::at(100));
    let database = open(&disk, Mode::Ledger, &clock);
    for (key, deadline_ns) in [(b"a", 300), (b"b", 200), (b"c", 400)] {
        set_until(&database, key, deadline_ns);
    }
    let mut watch = database.watch(b"");
    clock.set(300);
    database.tend().expect("the disk is whole");

    let Some(Announcement::Commit(SequenceNumber(4), announced)) = watch.take() else {
        panic!("no commit 4")
    };
    let logged = database.log(4..).expect("it is a ledger").next().expect("one commit").expect("whole");
    for operations in [announced, logged.operations] {
        let [Operation::Delete(first), Operation::Delete(second)] = &operations[..] else {
            panic!("{operations:?}")
        };
        assert_eq!((first.key(), second.key()), (&b"b"[..], &b"a"[..]), "the longest first");
    }
    database.tend().expect("the disk is whole");
    assert_eq!(sequence(&database), 4, "nothing else is due");
    // The past is what the log says.
    let past = database.at(Point::Sequence(3)).expect("it is a ledger");
    assert_eq!(keys(&past), [b"a", b"b", b"c"]);
    assert_eq!(past.get(b"b").and_then(|record| record.deadline_ns()), Some(200));
    assert_eq!(keys(&database.at(Point::Sequence(4)).expect("it is a ledger")), [b"c"]);
}

#[test]
fn however_much_expires_at_once_is_deleted_to_the_last() {
    let (disk, clock) = (SimVfs::new(1), Hand::at(100));
    let database = open(&disk, Mode::Snapshot, &clock);
    commit(&database, |batch| {
        for number in 0..20_000_u32 {
            batch.set_until(&number.to_be_bytes(), &[b"1"], 200).expect("within bounds");
        }
    });
    set(&database, b"lasting");
    clock.set(200);
    assert_eq!(database.record_count(), 1);
    for _ in 0..3 {
        database.tend().expect("the disk is whole");
    }
    assert_eq!(database.record_count(), 1);
    // Only the logged deletions can have made these go.
    clock.set(100);
    drop(database);
    assert_eq!(keys(&open(&disk, Mode::Snapshot, &clock).view()), [b"lasting"]);
}

#[test]
fn a_record_that_is_set_again_lives_by_its_new_deadline_or_for_ever() {
    for mode in MODES {
        let (disk, clock) = (SimVfs::new(1), Hand::at(100));
        let database = open(&disk, mode, &clock);
        for key in [b"a", b"b", b"c"] {
            set_until(&database, key, 200);
        }
        set(&database, b"a");
        set_until(&database, b"b", 400);
        set_until(&database, b"c", 150);
        for (now_ns, left) in [(149, &[b"a", b"b", b"c"][..]), (200, &[b"a", b"b"]), (400, &[b"a"])] {
            clock.set(now_ns);
            for _ in 0..2 {
                assert_eq!(keys(&database.view()), left, "{mode} at {now_ns}");
                assert_eq!(database.record_count(), left.len() as u64, "{mode} at {now_ns}");
                database.tend().expect("the disk is whole");
            }
        }
        clock.set(100);
        drop(database);
        assert_eq!(keys(&open(&disk, mode, &clock).view()), [b"a"]);
    }
}

#[test]
fn writers_find_an_expired_record_absent() {
    for mode in MODES {
        let (disk, clock) = (SimVfs::new(1), Hand::at(100));
        let database = open(&disk, mode, &clock);
        set_until(&database, b"k", 200);
        clock.set(200);

        let deleted = commit(&database, |batch| batch.delete(b"k").expect("within bounds"));
        assert_eq!(deleted, Outcome::Committed { sequence: SequenceNumber(1), removed: 0 });
        let still = commit(&database, |batch| {
            batch.require(b"k", Some(SequenceNumber(1))).expect("within bounds");
            batch.set(b"other", &[b"1"]).expect("within bounds");
        });
        assert_eq!(still, Outcome::Conflict);
        let absent = commit(&database, |batch| {
            batch.require(b"k", None).expect("within bounds");
            batch.require_range(ALL, SequenceNumber(0), 0);
            batch.set(b"k", &[b"new"]).expect("within bounds");
        });
        assert_eq!(absent, Outcome::Committed { sequence: SequenceNumber(2), removed: 0 });
        assert_eq!(database.get(b"k").map(|(record, _)| record.value().to_vec()), Some(b"new".to_vec()));
        assert_eq!(database.record_count(), 1);
        // Of two commits in one group too.
        commit(&database, |batch| batch.set_until(b"k", &[b"short"], 150).expect("within bounds"));
        let gone = commit(&database, |batch| {
            batch.set_until(b"l", &[b"short"], 150).expect("within bounds");
            batch.delete(b"l").expect("within bounds");
        });
        assert_eq!(gone, Outcome::Committed { sequence: SequenceNumber(4), removed: 0 });
        assert_eq!(database.record_count(), 0);
    }
}

#[test]
fn a_clock_that_is_set_back_brings_nothing_back() {
    let (disk, clock) = (SimVfs::new(1), Hand::at(100));
    let database = open(&disk, Mode::Snapshot, &clock);
    set_until(&database, b"a", 200);
    set_until(&database, b"b", 300);
    clock.set(250);
    assert!(!database.has(b"a"));
    clock.set(100);
    assert!(!database.has(b"a") && database.has(b"b"));
    assert_eq!((keys(&database.view()), database.record_count()), (vec![b"b".to_vec()], 1));
    // A record that was to live for a time does so, although the clock has to come up to the time that was seen.
    let deadline_ns = database.deadline_in(Duration::from_nanos(10)).expect("within bounds");
    set_until(&database, b"c", deadline_ns);
    assert!(database.has(b"c"), "until {deadline_ns}");
}

#[test]
fn time_to_live_is_positive_and_can_be_recorded() {
    let (disk, clock) = (SimVfs::new(1), Hand::at(100));
    let database = open(&disk, Mode::Snapshot, &clock);
    assert_eq!(database.deadline_in(Duration::from_nanos(1)).expect("positive"), 101);
    let longest = Duration::from_nanos(u64::MAX - 100);
    assert_eq!(database.deadline_in(longest).expect("it can be recorded"), u64::MAX);
    for ttl in [Duration::ZERO, longest + Duration::from_nanos(1), Duration::MAX] {
        let error = database.deadline_in(ttl).expect_err("out of bounds");
        assert!(
            matches!(error, StorageError::TtlOutOfBounds { ttl: refused } if refused == ttl),
            "{error:?}"
        );
    }
}

#[test]
fn what_expired_while_the_database_was_closed_is_hidden_and_then_deleted() {
    for mode in MODES {
        let (disk, clock) = (SimVfs::new(1), Hand::at(100));
        let database = open(&disk, mode, &clock);
        set_until(&database, b"a", 200);
        set_until(&database, b"b", 300);
        database.close().expect("the disk is whole");
        clock.set(200);

        let reading = OpenOptions { read_only: true, ..options(&disk, mode, &clock) };
        let reader = reading.open(Path::new(PATH), None).expect("it opens");
        assert_eq!((keys(&reader.view()), reader.record_count()), (vec![b"b".to_vec()], 1), "{mode}");
        drop(reader);

        let database = open(&disk, mode, &clock);
        assert_eq!((keys(&database.view()), database.record_count()), (vec![b"b".to_vec()], 1), "{mode}");
        assert_eq!(sequence(&database), 2);
        database.tend().expect("the disk is whole");
        assert_eq!(sequence(&database), 3, "{mode}: it is deleted");
        clock.set(100);
        drop(database);
        assert_eq!(keys(&open(&disk, mode, &clock).view()), [b"b"]);
    }
}

/// Deletes what has expired, with a machine that stops at an operation of that. Whether the disk was still needed.
fn stop_deleting_at(operation: u64, mode: Mode, durability: Durability) -> (SimVfs, bool) {
    let (disk, clock) = (SimVfs::new(1), Hand::at(100));
    let options = OpenOptions { durability, ..options(&disk, mode, &clock) };
    let database = options.open(Path::new(PATH), None).expect("it opens");
    set_until(&database, b"a", 200);
    set(&database, b"b");
    database.flush().expect("the disk is whole");
    clock.set(200);
    disk.stop_at(operation);
    let stopped = database.tend().is_err();
    (disk, stopped)
}

#[test]
fn a_deletion_that_a_crash_took_is_done_again() {
    for mode in MODES {
        for durability in [Durability::Sync, Durability::Interval(Duration::from_secs(1))] {
            let (mut lost, mut kept) = (0, 0);
            for operation in 0.. {
                let (disk, stopped) = stop_deleting_at(operation, mode, durability);
                for seed in 0..20 {
                    let disk = disk.crash(seed);
                    let database = open(&disk, mode, &Hand::at(200));
                    assert_eq!((keys(&database.view()), database.record_count()), (vec![b"b".to_vec()], 1));
                    match sequence(&database) {
                        2 => lost += 1,
                        _ => kept += 1,
                    }
                    database.tend().expect("the new disk is whole");
                    assert_eq!(sequence(&database), 3, "{mode}, {durability:?}, {operation}, seed {seed}");
                    database.verify().expect("whole");
                }
                if !stopped {
                    break;
                }
            }
            assert!(lost > 0 && kept > 0, "{mode}, {durability:?}: {lost} lost, {kept} kept");
        }
    }
}

#[test]
fn a_failing_disk_is_tried_again_and_hides_what_has_expired_all_the_same() {
    let (disk, clock) = (SimVfs::new(1), Hand::at(100));
    let database = open(&disk, Mode::Snapshot, &clock);
    set_until(&database, b"a", 200);
    clock.set(200);
    disk.fail_next(DiskOperation::Write, 0, Fault::Before(DiskError::NoSpace));
    let error = database.tend().expect_err("the disk is full");
    assert!(matches!(error, StorageError::Shared(_)), "{error:?}");
    assert_eq!((database.has(b"a"), sequence(&database)), (false, 1));
    database.tend().expect("it is not tried at once");
    assert_eq!(sequence(&database), 1);
    clock.set(11_000_000_000);
    database.tend().expect("there is space");
    assert_eq!(sequence(&database), 2);
}

#[test]
fn a_deadline_survives_rewrites_checkpoints_and_repairs() {
    for mode in MODES {
        let (disk, clock) = (SimVfs::new(1), Hand::at(100));
        let database = open(&disk, mode, &clock);
        set_until(&database, b"a", 200);
        set_until(&database, b"b", 300);
        set(&database, b"c");
        clock.set(200);
        // With a record that has expired and is not deleted yet.
        match mode {
            Mode::Snapshot => database.compact().expect("the disk is whole"),
            Mode::Ledger => database.checkpoint().expect("the disk is whole"),
        }
        drop(database);
        let vfs = Arc::new(disk.clone());
        let repaired = Path::new("/repaired.db");
        repair(Path::new(PATH), repaired, None, &RepairOptions { vfs, ..RepairOptions::default() })
            .expect("there is nothing to repair");
        for path in [Path::new(PATH), repaired] {
            clock.set(200);
            let database = options(&disk, mode, &clock).open(path, None).expect("it opens");
            let checkpointed = path == Path::new(PATH) && mode == Mode::Ledger;
            assert_eq!(database.stats().recovery.checkpoint_sequence, checkpointed.then_some(3));
            assert_eq!(keys(&database.view()), [b"b", b"c"], "{mode}");
            let deadline = |key: &[u8]| database.get(key).map(|(record, _)| record.deadline_ns());
            assert_eq!((deadline(b"b"), deadline(b"c")), (Some(Some(300)), Some(None)), "{mode}");
            database.verify().expect("whole");
            database.tend().expect("the disk is whole");
            assert_eq!(sequence(&database), 4, "{mode}: the log knows of it");
            clock.set(300);
            assert_eq!((keys(&database.view()), database.record_count()), (vec![b"c".to_vec()], 1));
        }
    }
}

/// What a history does.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes, or is set back: readers must not notice that.
    Time(i8),
    Commit(Vec<Change>),
    Tend,
    OpenView,
    Maintain,
    Reopen,
}

#[derive(Clone, Debug)]
enum Change {
    Set(u16),
    SetFor { key: u16, count: u16, ttl: u8 },
    Delete(u16),
    Clear,
}

/// More than one slice of a commit has.
const KEYS: u16 = 400;

fn change() -> impl Strategy<Value = Change> {
    let key = || prop_oneof![3 => 0..8_u16, 1 => 0..KEYS];
    prop_oneof![
        3 => key().prop_map(Change::Set),
        5 => (key(), prop_oneof![3 => Just(1), 1 => 1..KEYS], 1..40_u8)
            .prop_map(|(key, count, ttl)| Change::SetFor { key, count, ttl }),
        2 => key().prop_map(Change::Delete),
        1 => Just(Change::Clear),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-5..20_i8).prop_map(Step::Time),
        8 => prop::collection::vec(change(), 1..4).prop_map(Step::Commit),
        4 => Just(Step::Tend),
        3 => Just(Step::OpenView),
        1 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
    ]
}

/// The deadline of each key; `None`: it has none.
type State = BTreeMap<u16, Option<u64>>;

/// What is there at a time.
fn live(state: &State, now_ns: u64) -> Vec<(u16, Option<u64>)> {
    let there = |deadline_ns: &Option<u64>| deadline_ns.is_none_or(|deadline_ns| now_ns < deadline_ns);
    state.iter().filter(|(_, deadline_ns)| there(deadline_ns)).map(|(key, at)| (*key, *at)).collect()
}

fn shown(view: &View) -> Vec<(u16, Option<u64>)> {
    let read = |record: codex_storage::Record| {
        (u16::from_be_bytes(record.key().try_into().expect("two bytes")), record.deadline_ns())
    };
    view.range(ALL).map(read).collect()
}

/// The time of the database, which does not go back behind one that it has told.
fn seen_ns(database: &Database) -> u64 {
    database.deadline_in(Duration::from_nanos(1)).expect("within bounds") - 1
}

fn check(mode: Mode) {
    // `PROPTEST_CASES` asks for more histories.
    let config = Config { failure_persistence: None, ..Config::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..60))| {
        let (disk, clock) = (SimVfs::new(1), Hand::at(1000));
        let mut database = open(&disk, mode, &clock);
        let (mut state, mut now_ns) = (State::new(), seen_ns(&database));
        let mut views = Vec::new();
        for step in &steps {
            match step {
                Step::Time(by) => {
                    let set = clock.wall_ns().saturating_add_signed(i64::from(*by));
                    clock.set(set);
                    now_ns = now_ns.max(set);
                    prop_assert_eq!(seen_ns(&database), now_ns);
                }
                Step::Commit(changes) => {
                    let (mut batch, mut removed) = (Batch::new(), 0);
                    for change in changes {
                        match *change {
                            Change::Set(key) => {
                                batch.set(&key.to_be_bytes(), &[b"v"]).expect("within bounds");
                                state.insert(key, None);
                            }
                            Change::SetFor { key, count, ttl } => {
                                let ttl = Duration::from_nanos(ttl.into());
                                let deadline_ns = database.deadline_in(ttl).expect("within bounds");
                                for key in key..(key + count).min(KEYS) {
                                    batch.set_until(&key.to_be_bytes(), &[b"v"], deadline_ns).expect("within bounds");
                                    state.insert(key, Some(deadline_ns));
                                }
                            }
                            Change::Delete(key) => {
                                batch.delete(&key.to_be_bytes()).expect("within bounds");
                                let was_there = live(&state, now_ns).iter().any(|(other, _)| *other == key);
                                if was_there {
                                    state.remove(&key);
                                    removed += 1;
                                }
                            }
                            Change::Clear => {
                                batch.clear();
                                state.clear();
                            }
                        }
                    }
                    let outcome = database.commit(batch).expect("the disk is whole");
                    let Outcome::Committed { removed: found, .. } = outcome else { panic!("{outcome:?}") };
                    prop_assert_eq!(found, removed);
                }
                Step::Tend => {
                    database.tend().expect("the disk is whole");
                    state.retain(|_, deadline_ns| deadline_ns.is_none_or(|deadline_ns| now_ns < deadline_ns));
                }
                Step::OpenView => views.push((database.view(), live(&state, now_ns))),
                Step::Maintain => match mode {
                    Mode::Snapshot => database.compact().expect("the disk is whole"),
                    Mode::Ledger => database.checkpoint().expect("the disk is whole"),
                },
                Step::Reopen => {
                    database.close().expect("the disk is whole");
                    // A new process knows no other time than the clock's.
                    now_ns = clock.wall_ns();
                    database = open(&disk, mode, &clock);
                    prop_assert_eq!(seen_ns(&database), now_ns);
                }
            }
            let there = live(&state, now_ns);
            prop_assert_eq!(database.record_count(), there.len() as u64);
            let view = database.view();
            prop_assert_eq!(view.totals().records, there.len() as u64);
            for key in 0..8_u16 {
                let expected = there.iter().find(|(other, _)| *other == key).map(|(_, at)| *at);
                let found = database.get(&key.to_be_bytes()).map(|(record, _)| record.deadline_ns());
                prop_assert_eq!(found, expected, "key {}", key);
            }
            prop_assert_eq!(shown(&view), there);
        }
        for (view, expected) in &views {
            prop_assert_eq!(view.totals().records, expected.len() as u64);
            prop_assert_eq!(&shown(view), expected);
        }
        drop(views);
        prop_assert_eq!(database.stats().superseded_versions, 0);
        database.verify().expect("whole");
    });
}

#[test]
fn any_history_with_deadlines_in_snapshot_mode_is_the_models() {
    check(Mode::Snapshot);
}

#[test]
fn any_history_with_deadlines_in_ledger_mode_is_the_models() {
    check(Mode::Ledger);
}
