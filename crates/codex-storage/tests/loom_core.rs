//! The commit core under all interleavings of its threads, with a toy engine and a toy table.
//!
//! `cargo xtask loom` runs these. Which deliberate fault makes which model fail: `docs/concurrency.md`.
#![cfg(loom)]

use codex_storage::core::{Core, Engine, Pacing, Table, TableGroup};
use codex_storage::sync::{Arc, RwLock};
use codex_storage::{Result, SequenceNumber, StorageError};
use loom::sync::Mutex;
use loom::thread;

/// A commit of the toy: it writes its name into both cells, and may demand who wrote them last.
#[derive(Clone, Copy, Debug)]
struct Write {
    name: u64,
    demands: Option<u64>,
}

const fn write(name: u64) -> Write {
    Write { name, demands: None }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done(u64),
    Conflict,
}

#[derive(Default)]
struct Group {
    first: u64,
    writes: Vec<u64>,
}

impl TableGroup for Group {
    fn starting_at(first: SequenceNumber) -> Self {
        Self { first: first.0, writes: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// Two cells that every commit sets to the same value, and all writers in the order of their application.
#[derive(Default)]
struct Cells {
    left: u64,
    right: u64,
    applied: Vec<u64>,
}

impl Table for Cells {
    type Commit = Write;
    type Group = Group;
    type Outcome = Outcome;
    type Garbage = ();

    fn admit(&self, commit: Write, group: &mut Group) -> Outcome {
        let current = group.writes.last().copied().unwrap_or(self.left);
        if commit.demands.is_some_and(|demanded| demanded != current) {
            return Outcome::Conflict;
        }
        group.writes.push(commit.name);
        Outcome::Done(group.first + group.writes.len() as u64 - 1)
    }

    fn apply(&mut self, group: &mut Group, (): &mut ()) -> bool {
        for name in group.writes.drain(..) {
            self.left = name;
            self.right = name;
            self.applied.push(name);
        }
        true
    }
}

/// What the engine has written; shared, so that tests see it. A group is durable when it is in here.
#[derive(Default)]
struct Disk {
    log: Vec<u64>,
    /// How many groups will fail.
    failures: usize,
}

struct ToyEngine {
    disk: Arc<Mutex<Disk>>,
    last: u64,
}

impl Engine<Group> for ToyEngine {
    fn last_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.last)
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        let mut disk = self.disk.lock().unwrap();
        if disk.failures > 0 {
            disk.failures -= 1;
            return Err(StorageError::Internal("the toy disk fails"));
        }
        disk.log.extend(&group.writes);
        self.last += group.writes.len() as u64;
        Ok(())
    }
}

/// A pacing without time. Calls for a leader are counted; the models answer them.
#[derive(Default)]
struct NoTime {
    calls: Mutex<usize>,
    called: loom::sync::Condvar,
}

impl Pacing for NoTime {
    fn await_company(&self, _: impl Fn() -> bool) {}

    fn time<R>(&self, write: impl FnOnce() -> R) -> R {
        write()
    }

    fn call_leader(&self) {
        *self.calls.lock().unwrap() += 1;
        self.called.notify_one();
    }
}

type ToyCore = Core<ToyEngine, Cells, NoTime>;

fn core(failures: usize) -> (Arc<ToyCore>, Arc<Mutex<Disk>>) {
    let disk = Arc::new(Mutex::new(Disk { failures, ..Disk::default() }));
    let engine = ToyEngine { disk: disk.clone(), last: 0 };
    (Arc::new(Core::new(engine, Arc::new(RwLock::new(Cells::default())), NoTime::default())), disk)
}

/// All interleavings, without a bound.
fn every_interleaving(model: impl Fn() + Sync + Send + 'static) {
    loom::model::Builder::new().check(model);
}

/// All interleavings with at most two pre-emptions.
fn two_preemptions(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

fn spawn_commit(core: &Arc<ToyCore>, commit: Write) -> thread::JoinHandle<Result<Outcome>> {
    let core = core.clone();
    thread::spawn(move || core.commit(commit, 1))
}

fn assert_log_is_what_was_applied(core: &ToyCore, disk: &Mutex<Disk>) {
    let applied = core.table().read().applied.clone();
    assert_eq!(applied, disk.lock().unwrap().log);
}

#[test]
fn what_is_acknowledged_is_on_disk_and_visible() {
    every_interleaving(|| {
        let (core, disk) = core(0);
        let other = {
            let (core, disk) = (core.clone(), disk.clone());
            thread::spawn(move || {
                core.commit(write(2), 1).unwrap();
                assert!(disk.lock().unwrap().log.contains(&2));
                assert!(core.table().read().applied.contains(&2));
            })
        };
        core.commit(write(1), 1).unwrap();
        assert!(disk.lock().unwrap().log.contains(&1));
        assert!(core.table().read().applied.contains(&1));
        other.join().unwrap();
        assert_log_is_what_was_applied(&core, &disk);
    });
}

#[test]
fn a_reader_sees_all_of_a_commit_or_none_and_only_what_is_on_disk() {
    every_interleaving(|| {
        let (core, disk) = core(0);
        let writer = spawn_commit(&core, write(1));
        let other = spawn_commit(&core, write(2));
        let seen = {
            let table = core.table().read();
            assert_eq!(table.left, table.right);
            table.applied.clone()
        };
        assert!(disk.lock().unwrap().log.starts_with(&seen));
        writer.join().unwrap().unwrap();
        other.join().unwrap().unwrap();
        assert_log_is_what_was_applied(&core, &disk);
    });
}

#[test]
fn three_writers_each_get_their_own_sequence_number_in_log_order() {
    two_preemptions(|| {
        let (core, disk) = core(0);
        let writers = [spawn_commit(&core, write(1)), spawn_commit(&core, write(2))];
        let mut outcomes = vec![(3, core.commit(write(3), 1).unwrap())];
        for (name, writer) in (1..).zip(writers) {
            outcomes.push((name, writer.join().unwrap().unwrap()));
        }
        let log = disk.lock().unwrap().log.clone();
        assert_eq!(log.len(), 3);
        for (name, outcome) in outcomes {
            let Outcome::Done(sequence) = outcome else { panic!("nothing conflicts") };
            assert_eq!(log[usize::try_from(sequence).unwrap() - 1], name);
        }
        assert_log_is_what_was_applied(&core, &disk);
    });
}

#[test]
fn a_failed_group_is_never_visible_and_each_of_its_writers_gets_the_error() {
    two_preemptions(|| {
        let (core, disk) = core(1);
        let writers = [spawn_commit(&core, write(1)), spawn_commit(&core, write(2))];
        let mut results = vec![(3, core.commit(write(3), 1))];
        for (name, writer) in (1..).zip(writers) {
            results.push((name, writer.join().unwrap()));
        }
        let applied = core.table().read().applied.clone();
        assert!(results.iter().any(|(_, result)| result.is_err()));
        for (name, result) in results {
            assert_eq!(result.is_ok(), applied.contains(&name));
        }
        assert_log_is_what_was_applied(&core, &disk);
    });
}

#[test]
fn of_two_conflicting_commits_exactly_one_takes_place() {
    every_interleaving(|| {
        let (core, disk) = core(0);
        let demanding = |name| Write { name, demands: Some(0) };
        let other = spawn_commit(&core, demanding(2));
        let mine = core.commit(demanding(1), 1).unwrap();
        let outcomes = [mine, other.join().unwrap().unwrap()];
        assert!(outcomes.contains(&Outcome::Done(1)) && outcomes.contains(&Outcome::Conflict));
        assert_eq!(core.table().read().applied.len(), 1);
        assert_log_is_what_was_applied(&core, &disk);
    });
}

#[test]
fn submitted_commits_are_led_by_who_is_called_and_keep_their_order() {
    every_interleaving(|| {
        let (core, disk) = core(0);
        let background = {
            let core = core.clone();
            thread::spawn(move || {
                let pacing = core.pacing();
                let mut calls = pacing.calls.lock().unwrap();
                while *calls == 0 {
                    calls = pacing.called.wait(calls).unwrap();
                }
                drop(calls);
                core.lead();
            })
        };
        let first = core.submit(write(1), 1).unwrap();
        let second = core.submit(write(2), 1).unwrap();
        background.join().unwrap();
        // The thread may have led before the second was queued; then it has been called again.
        core.lead();
        assert_eq!(first.wait().unwrap(), Outcome::Done(1));
        assert_eq!(second.wait().unwrap(), Outcome::Done(2));
        assert_log_is_what_was_applied(&core, &disk);
    });
}

#[test]
fn a_submitted_commit_behind_a_writer_is_never_left_alone() {
    every_interleaving(|| {
        let (core, disk) = core(0);
        let writer = spawn_commit(&core, write(1));
        let pending = core.submit(write(2), 1).unwrap();
        writer.join().unwrap().unwrap();
        // Either the writer took it along, or somebody was called to lead.
        if !disk.lock().unwrap().log.contains(&2) {
            assert!(*core.pacing().calls.lock().unwrap() > 0);
            core.lead();
        }
        assert!(matches!(pending.wait().unwrap(), Outcome::Done(_)));
        assert_log_is_what_was_applied(&core, &disk);
    });
}

#[test]
fn replacing_the_log_beside_commits_loses_none_of_them() {
    every_interleaving(|| {
        let (core, _) = core(0);
        let renewed = Arc::new(Mutex::new(Disk::default()));
        let writer = spawn_commit(&core, write(1));
        let other = spawn_commit(&core, write(2));
        // A rewrite: what the old log holds is taken over under the I/O lock, then the engine writes elsewhere.
        core.with_engine(|engine| {
            let log = engine.disk.lock().unwrap().log.clone();
            // What readers see is what the log holds, so that a view taken here is the state at the log's end.
            assert_eq!(core.table().read().applied, log);
            renewed.lock().unwrap().log = log;
            engine.disk = renewed.clone();
            Ok(())
        })
        .unwrap();
        writer.join().unwrap().unwrap();
        other.join().unwrap().unwrap();
        assert_log_is_what_was_applied(&core, &renewed);
    });
}

#[test]
fn closing_waits_for_the_commits_in_flight_and_refuses_later_ones() {
    every_interleaving(|| {
        let (core, disk) = core(0);
        let writer = spawn_commit(&core, write(1));
        let accepted = core.submit(write(2), 1).unwrap();
        let closer = {
            let core = core.clone();
            thread::spawn(move || {
                core.drain();
                core.take_engine().expect("closed once").last
            })
        };
        let committed = writer.join().unwrap().is_ok();
        // Where the writer did not take it along, somebody has been called to lead.
        core.lead();
        let last = closer.join().unwrap();
        let written = disk.lock().unwrap().log.clone();
        assert_eq!(last, written.len() as u64);
        assert!(matches!(accepted.wait(), Ok(Outcome::Done(_))));
        assert_eq!(committed, written.contains(&1));
        assert!(matches!(core.commit(write(3), 1), Err(StorageError::Closed)));
        assert!(matches!(core.submit(write(4), 1), Err(StorageError::Closed)));
    });
}
