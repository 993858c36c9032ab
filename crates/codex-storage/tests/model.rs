//! Random histories against a model: a map for each sequence number.
//!
//! Whatever is committed, viewed, dropped, rewritten and reopened in whatever order: every view shows the map of its
//! sequence number, from either end and within any bounds, also to a scan that stands still meanwhile; outcomes are the model's; and where no view is open, nothing
//! superseded is kept. Failing histories are shrunk and printed.
#![cfg(not(loom))]

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use codex_storage::sync::Arc;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{
    Batch, Database, Durability, Mode, OpenOptions, Outcome, Range, Record, SequenceNumber, View,
};
use proptest::prelude::*;
use proptest::test_runner::Config;

/// More keys than a page of a scan has or one hold of the lock applies (256), so that both end anywhere.
const KEYS: u16 = 700;

/// What a history does.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    /// A commit on a condition: as things are (`true`), or as they were at an earlier commit.
    CommitIf {
        key: u16,
        holds: bool,
        change: Change,
    },
    OpenView,
    DropView(prop::sample::Index),
    Read {
        view: prop::sample::Index,
        from: Bound<u16>,
        to: Bound<u16>,
        ends: u64,
    },
    /// Begins a scan, or goes on with one.
    BeginScan {
        from: Bound<u16>,
        to: Bound<u16>,
    },
    GoOn {
        scan: prop::sample::Index,
        count: usize,
        ends: u64,
    },
    /// A rewrite or a checkpoint.
    Maintain,
    Reopen,
}

#[derive(Clone, Debug)]
enum Change {
    Set {
        key: u16,
        value: u8,
    },
    /// Many keys, one behind the other.
    SetRun {
        from: u16,
        count: u16,
        value: u8,
    },
    Delete(u16),
    DeleteRun {
        from: u16,
        count: u16,
    },
    Clear,
}

/// Keys of different lengths, a few of them often.
fn key() -> impl Strategy<Value = u16> {
    prop_oneof![3 => 0..8_u16, 1 => 0..KEYS]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (key(), any::<u8>()).prop_map(|(key, value)| Change::Set { key, value }),
        2 => (0..KEYS, 1..KEYS, any::<u8>()).prop_map(|(from, count, value)| Change::SetRun { from, count, value }),
        4 => key().prop_map(Change::Delete),
        1 => (0..KEYS, 1..KEYS).prop_map(|(from, count)| Change::DeleteRun { from, count }),
        1 => Just(Change::Clear),
    ]
}

fn bound() -> impl Strategy<Value = Bound<u16>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        2 => (0..KEYS).prop_map(Bound::Included),
        2 => (0..KEYS).prop_map(Bound::Excluded),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(change(), 0..4).prop_map(Step::Commit),
        4 => (key(), any::<bool>(), change())
            .prop_map(|(key, holds, change)| Step::CommitIf { key, holds, change }),
        4 => Just(Step::OpenView),
        3 => any::<prop::sample::Index>().prop_map(Step::DropView),
        6 => (any::<prop::sample::Index>(), bound(), bound(), any::<u64>())
            .prop_map(|(view, from, to, ends)| Step::Read { view, from, to, ends }),
        2 => (bound(), bound()).prop_map(|(from, to)| Step::BeginScan { from, to }),
        5 => (any::<prop::sample::Index>(), 1..300_usize, any::<u64>())
            .prop_map(|(scan, count, ends)| Step::GoOn { scan, count, ends }),
        1 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
    ]
}

fn name(key: u16) -> Vec<u8> {
    let mut name = key.to_be_bytes().to_vec();
    // Keys that are the beginning of others.
    name.truncate(if key.is_multiple_of(256) { 1 } else { 2 });
    name
}

/// Value and commit of each live key.
type State = BTreeMap<Vec<u8>, (u8, u64)>;

/// The state behind each commit, from 0.
#[derive(Default)]
struct Model {
    states: Vec<State>,
}

impl Model {
    fn new() -> Self {
        Self { states: vec![State::new()] }
    }

    fn last(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn now(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    fn at(&self, sequence: u64) -> &State {
        &self.states[usize::try_from(sequence).expect("a small number")]
    }

    /// Applies a commit, and gives what its outcome must be.
    fn commit(&mut self, changes: &[Change]) -> Outcome {
        let mut state = self.now().clone();
        let sequence = self.last() + 1;
        let (mut removed, mut changed) = (0, false);
        let mut delete = |state: &mut State, key: u16| {
            if state.remove(&name(key)).is_some() {
                removed += 1;
                changed = true;
            }
        };
        let mut wrote = false;
        for change in changes {
            match *change {
                Change::Set { key, value } => {
                    state.insert(name(key), (value, sequence));
                    wrote = true;
                }
                Change::SetRun { from, count, value } => {
                    for key in from..from.saturating_add(count).min(KEYS) {
                        state.insert(name(key), (value, sequence));
                    }
                    wrote = true;
                }
                Change::Delete(key) => delete(&mut state, key),
                Change::DeleteRun { from, count } => {
                    (from..from.saturating_add(count).min(KEYS)).for_each(|key| delete(&mut state, key));
                }
                Change::Clear => {
                    wrote |= !state.is_empty();
                    state.clear();
                }
            }
        }
        if changed || wrote {
            self.states.push(state);
        }
        Outcome::Committed { sequence: SequenceNumber(self.last()), removed }
    }
}

fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::new();
    for change in changes {
        match *change {
            Change::Set { key, value } => batch.set(&name(key), &[&[value]]).expect("within bounds"),
            Change::SetRun { from, count, value } => {
                for key in from..from.saturating_add(count).min(KEYS) {
                    batch.set(&name(key), &[&[value]]).expect("within bounds");
                }
            }
            Change::Delete(key) => batch.delete(&name(key)).expect("within bounds"),
            Change::DeleteRun { from, count } => {
                for key in from..from.saturating_add(count).min(KEYS) {
                    batch.delete(&name(key)).expect("within bounds");
                }
            }
            Change::Clear => batch.clear(),
        }
    }
    batch
}

struct Run {
    disk: SimVfs,
    mode: Mode,
    durability: Durability,
    database: Database,
    model: Model,
    views: Vec<View>,
    scans: Vec<Scan>,
}

impl Run {
    fn new(mode: Mode, durability: Durability) -> Self {
        let disk = SimVfs::new(1);
        let database = open(&disk, mode, durability);
        Self { disk, mode, durability, database, model: Model::new(), views: Vec::new(), scans: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(changes) => {
                let outcome = self.database.commit(batch(changes)).expect("the disk is whole");
                assert_eq!(outcome, self.model.commit(changes));
            }
            Step::CommitIf { key, holds, change } => self.commit_if(*key, *holds, change),
            Step::OpenView => {
                let view = self.database.view();
                assert_eq!(view.sequence().0, self.model.last());
                self.views.push(view);
            }
            Step::DropView(index) => {
                if !self.views.is_empty() {
                    self.views.swap_remove(index.index(self.views.len()));
                }
            }
            Step::Read { view, from, to, ends } => {
                if !self.views.is_empty() {
                    let view = &self.views[view.index(self.views.len())];
                    let range = (from.map(name), to.map(name));
                    read(view, self.model.at(view.sequence().0), range, *ends);
                }
            }
            Step::BeginScan { from, to } => {
                let range = (from.map(name), to.map(name));
                self.scans.push(Scan::begin(&self.database.view(), self.model.now(), range));
            }
            Step::GoOn { scan, count, ends } => {
                if !self.scans.is_empty() {
                    let index = scan.index(self.scans.len());
                    if self.scans[index].go_on(*count, *ends).is_break() {
                        self.scans.swap_remove(index);
                    }
                }
            }
            Step::Maintain => match self.mode {
                Mode::Snapshot => self.database.compact().expect("the disk is whole"),
                Mode::Ledger => self.database.checkpoint().expect("the disk is whole"),
            },
            Step::Reopen => {
                self.database.close().expect("the disk is whole");
                self.database = open(&self.disk, self.mode, self.durability);
            }
        }
        let now = self.model.now();
        assert_eq!(self.database.record_count(), now.len() as u64);
        for key in 0..8 {
            let found = self.database.get(&name(key)).map(|(record, by)| (record.value()[0], by));
            let expected = now.get(&name(key)).copied();
            assert_eq!(found.map(|(value, _)| value), expected.map(|(value, _)| value), "key {key}");
            // A rewrite or checkpoint keeps the state, not who wrote it.
            assert!(found.map(|(_, by)| by.0) >= expected.map(|(_, by)| by), "key {key}");
        }
    }

    fn commit_if(&mut self, key: u16, holds: bool, change: &Change) {
        let found = self.database.get(&name(key)).map(|(_, written_by)| written_by);
        let condition = match (holds, found) {
            (true, found) => found,
            // Somebody else has written, deleted or made it meanwhile.
            (false, Some(SequenceNumber(by))) if by % 2 == 0 => Some(SequenceNumber(by + 1)),
            (false, Some(_)) => None,
            (false, None) => Some(SequenceNumber(1)),
        };
        let mut batch = batch(std::slice::from_ref(change));
        batch.require(&name(key), condition).expect("within bounds");
        let outcome = self.database.commit(batch).expect("the disk is whole");
        let expected =
            if holds { self.model.commit(std::slice::from_ref(change)) } else { Outcome::Conflict };
        assert_eq!(outcome, expected);
    }

    fn finish(mut self) {
        for view in &self.views {
            let everything = (Bound::Unbounded, Bound::Unbounded);
            read(view, self.model.at(view.sequence().0), everything, 0);
        }
        self.views.clear();
        for mut scan in self.scans.drain(..) {
            assert!(scan.go_on(usize::MAX, 0).is_break());
        }
        let stats = self.database.stats();
        assert_eq!(
            (stats.views, stats.superseded_versions),
            (0, 0),
            "something superseded is kept for nobody"
        );
        self.database.verify().expect("the disk is whole");
        // What the log says is what memory says.
        self.step(&Step::Reopen);
        let view = self.database.view();
        read(&view, self.model.now(), (Bound::Unbounded, Bound::Unbounded), 0);
    }
}

fn open(disk: &SimVfs, mode: Mode, durability: Durability) -> Database {
    let vfs = Arc::new(disk.clone());
    let options = OpenOptions { vfs, durability, mode: Some(mode), ..OpenOptions::default() };
    options.open(Path::new("/app.db"), None).expect("the disk is whole")
}

/// Reads a range in order, and from both ends as the bits of `ends` say, and holds it against the model.
fn read(view: &View, state: &State, range: (Bound<Vec<u8>>, Bound<Vec<u8>>), ends: u64) {
    let bytes: usize = state.keys().map(|key| key.len() + 1).sum();
    assert_eq!((view.totals().records, view.totals().bytes), (state.len() as u64, bytes as u64));
    let mut scan = Scan::begin(view, state, range.clone());
    let mut expected = scan.expected.iter();
    let each = |record: &Record| {
        assert_eq!(expected.next(), Some(&(record.key().to_vec(), record.value()[0])));
        assert!(view.has(record.key()));
        Ok::<_, Infallible>(())
    };
    view.try_for_each(range, each).expect("no error");
    assert_eq!(expected.next(), None);
    assert!(scan.go_on(usize::MAX, ends).is_break());
}

/// A range that is read by and by, beside what the model says that it holds.
struct Scan {
    found: Range,
    expected: VecDeque<(Vec<u8>, u8)>,
}

impl Scan {
    fn begin(view: &View, state: &State, range: (Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Self {
        // A model without the tree's panic on bounds in the wrong order.
        let within = state.iter().filter(|(key, _)| std::ops::RangeBounds::contains(&range, *key));
        let expected = within.map(|(key, (value, _))| (key.clone(), *value)).collect();
        Self { found: view.range(range), expected }
    }

    /// Reads up to `count` records, each from the end that a bit of `ends` says. Breaks when all were read.
    fn go_on(&mut self, count: usize, ends: u64) -> ControlFlow<()> {
        for bit in (0..64).cycle().take(count) {
            let (record, expected) = if ends >> bit & 1 == 0 {
                (self.found.next(), self.expected.pop_front())
            } else {
                (self.found.next_back(), self.expected.pop_back())
            };
            let record = record.map(|record| (record.key().to_vec(), record.value()[0]));
            assert_eq!(record, expected);
            if record.is_none() {
                let (front, back) = (self.found.next(), self.found.next_back());
                assert_eq!((front, back), (None, None), "an iterator that has ended stays so");
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

fn check(mode: Mode, durability: Durability) {
    // `PROPTEST_CASES` asks for more histories.
    let config = Config { failure_persistence: None, ..Config::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..60))| {
        let mut run = Run::new(mode, durability);
        for step in &steps {
            run.step(step);
        }
        run.finish();
    });
}

#[test]
fn a_large_commit_keeps_nothing_that_it_superseded_where_no_view_is_open() {
    let mut run = Run::new(Mode::Snapshot, Durability::Sync);
    for value in 0..3 {
        run.step(&Step::Commit(vec![Change::SetRun { from: 0, count: KEYS, value }]));
        assert_eq!(run.database.stats().superseded_versions, 0, "round {value}");
    }
    run.step(&Step::Commit(vec![Change::DeleteRun { from: 0, count: KEYS }]));
    assert_eq!(run.database.stats().superseded_versions, 0);
    run.finish();
}

#[test]
fn any_history_in_snapshot_mode_is_the_models() {
    check(Mode::Snapshot, Durability::Sync);
}

#[test]
fn any_history_in_ledger_mode_is_the_models() {
    check(Mode::Ledger, Durability::Sync);
}

#[test]
fn any_buffered_history_is_the_models() {
    check(Mode::Snapshot, Durability::Buffered);
}
