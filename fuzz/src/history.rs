//! Whole histories against a map in memory: commits, views, ranges, maintenance, backups, reopening, faults and crashes.
//!
//! The reference holds the state after every commit, by sequence number. What must be true of the database at any time:
//!
//! - it shows the latest of these states, and each view the one that it was taken at;
//! - a range gives what the map's gives, from either end and in any mixture of both;
//! - after a crash it shows one of these states whole, and none before the last that was durable. A commit that was cut
//!   off by the crash is there or not.

use std::collections::VecDeque;
use std::ops::Bound;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use codex_backup::RestoreOptions;
use codex_crypto::Unlock;
use codex_storage::vfs::Vfs;
use codex_storage::vfs::replace::Existing;
use codex_storage::vfs::sim::{DiskError, Fault, SimVfs};
use codex_storage::{
    Batch, Database, Durability, Mode, OpenOptions, Outcome, Record, Result, SequenceNumber, View,
};

use crate::image::{self, PATH};

const BACKUP: &str = "/folder/app.db.bak.1";
const RESTORED: &str = "/folder/restored.db";

/// The input is a [`History`].
pub fn run(input: &[u8]) {
    if let Ok(history) = History::decode(input) {
        play(&history);
    }
}

/// What happens to one database.
#[derive(Debug)]
pub struct History {
    settings: Settings,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Settings {
    ledger: bool,
    encrypted: bool,
    durability: Durable,
    /// How faults of the disk strike.
    seed: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Durable {
    Sync,
    Interval,
    Buffered,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Set(Key, Value),
    Delete(Key),
    Batch(Vec<Change>),
    /// A commit that demands something of a key: what is true, or what is not.
    CompareAndSwap {
        key: Key,
        holds: bool,
        change: Change,
    },
    TakeView,
    /// Reads the view that was taken longest ago, and maybe closes it.
    ReadView {
        range: Range,
        closes: bool,
    },
    ReadRange(Range),
    /// A rewrite, or a checkpoint.
    Maintain,
    Flush,
    Verify,
    Reopen,
    OpenReadOnly,
    Restore,
    /// Lets an operation on the disk fail, soon.
    FailAt {
        skip: u8,
        fault: Failure,
    },
    Crash(Crash),
}

#[derive(Arbitrary, Debug)]
enum Change {
    Set(Key, Value),
    Delete(Key),
    Clear,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Failure {
    /// The machine stops.
    Stop,
    Io,
    IoMidway,
    NoSpace,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Crash {
    /// The process is killed.
    Process,
    /// Power is lost; the seed says what the disk has kept.
    Power(u8),
}

/// A key out of few, so that histories meet the same ones again; one of them is as long as a key can be.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Key(u8);

impl Key {
    fn bytes(self) -> Vec<u8> {
        match self.0 % 32 {
            31 => vec![b'k'; codex_storage::KEY_LEN_MAX],
            number => vec![b"\0am\xff"[usize::from(number % 4)]; usize::from(1 + number / 4)],
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Value {
    len: u8,
    fill: u8,
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        let len = match usize::from(self.len) {
            len @ 0..200 => len,
            len @ 200..250 => (len - 199) * 100,
            // More than what is buffered, and more than a frame.
            250..254 => 70_000,
            _ => 1_100_000,
        };
        vec![self.fill; len]
    }
}

#[derive(Arbitrary, Debug)]
struct Range {
    lower: Bound<Key>,
    upper: Bound<Key>,
    /// From which end each record is taken: a bit for each, over and over.
    ends: u8,
}

/// Records by key. Values are shared between states.
type State = std::collections::BTreeMap<Vec<u8>, Rc<[u8]>>;

/// What is known of the commits.
#[derive(Debug)]
struct Reference {
    /// The state after each commit, by sequence number.
    states: Vec<State>,
    /// A commit that failed: it follows the last state, or never took place.
    uncertain: Option<State>,
    /// The last commit that a power loss leaves.
    durable: usize,
    /// The last commit that the end of the process leaves.
    handed_over: usize,
}

impl Reference {
    fn last(&self) -> usize {
        self.states.len() - 1
    }

    fn state(&self) -> &State {
        &self.states[self.last()]
    }

    fn all_is_durable(&mut self) {
        self.durable = self.last();
        self.handed_over = self.last();
    }
}

/// A database in the middle of its history.
struct Player<'a> {
    settings: &'a Settings,
    disk: SimVfs,
    database: Database,
    reference: Reference,
    views: VecDeque<(View, State)>,
    /// A fault was planned, so that an operation may fail.
    may_fail: bool,
}

/// Plays a history to its end, and panics where a promise is broken.
pub fn play(history: &History) {
    let settings = &history.settings;
    let disk = SimVfs::new(u64::from(settings.seed));
    let database = open(settings, &disk, PATH, false).expect("a new database");
    let reference = Reference { states: vec![State::new()], uncertain: None, durable: 0, handed_over: 0 };
    let views = VecDeque::new();
    let mut player = Player { settings, disk, database, reference, views, may_fail: false };
    for (number, step) in history.steps.iter().enumerate() {
        if let Err(error) = player.step(step) {
            assert!(player.may_fail, "step {number}, {step:?}: {error:?}");
            // What the failure has left is seen by opening again.
            let seed = u8::try_from(number).unwrap_or_default() ^ settings.seed;
            player.crash(if seed.is_multiple_of(4) { Crash::Process } else { Crash::Power(seed) });
        }
        player.check_latest();
    }
    player.crash(Crash::Power(settings.seed));
    player.check_latest();
    player.views.iter().for_each(|(view, state)| assert_eq_records(view, state));
}

impl Player<'_> {
    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Set(key, value) => self.commit(&[Change::Set(*key, *value)], None),
            Step::Delete(key) => self.commit(&[Change::Delete(*key)], None),
            Step::Batch(changes) => self.commit(&changes[..changes.len().min(CHANGES_MAX)], None),
            Step::CompareAndSwap { key, holds, change } => {
                self.commit(std::slice::from_ref(change), Some((*key, *holds)))
            }
            Step::TakeView => {
                self.views.push_back((self.database.view(), self.reference.state().clone()));
                if self.views.len() > VIEWS_MAX {
                    self.views.pop_front();
                }
                Ok(())
            }
            Step::ReadView { range, closes } => {
                if let Some((view, state)) = self.views.pop_front() {
                    compare_range(&view, &state, range);
                    assert_eq_records(&view, &state);
                    if !closes {
                        self.views.push_back((view, state));
                    }
                }
                Ok(())
            }
            Step::ReadRange(range) => {
                compare_range(&self.database.view(), self.reference.state(), range);
                Ok(())
            }
            Step::Maintain => {
                if self.settings.ledger {
                    self.database.checkpoint()?;
                } else {
                    self.database.compact()?;
                }
                self.reference.all_is_durable();
                Ok(())
            }
            Step::Flush => {
                self.database.flush()?;
                self.reference.all_is_durable();
                Ok(())
            }
            Step::Verify => {
                let report = self.database.verify()?;
                assert_eq!(report.sequence, self.reference.last() as u64);
                Ok(())
            }
            Step::Reopen => {
                self.close()?;
                self.reopen()
            }
            Step::OpenReadOnly => {
                self.close()?;
                let before = self.disk.files();
                let database = open(self.settings, &self.disk, PATH, true)?;
                assert_eq_records(&database.view(), self.reference.state());
                drop(database);
                assert!(self.disk.files() == before, "a reader changes nothing");
                self.reopen()
            }
            Step::Restore => self.restore(),
            Step::FailAt { skip, fault } => {
                self.may_fail = true;
                let skip = u64::from(*skip);
                match fault {
                    Failure::Stop => self.disk.stop_at(skip),
                    Failure::Io => self.disk.fail_at(skip, Fault::Before(DiskError::Io)),
                    Failure::IoMidway => self.disk.fail_at(skip, Fault::Midway(DiskError::Io)),
                    Failure::NoSpace => self.disk.fail_at(skip, Fault::Midway(DiskError::NoSpace)),
                }
                Ok(())
            }
            Step::Crash(crash) => {
                self.crash(*crash);
                Ok(())
            }
        }
    }

    /// Commits changes, if a key has or lacks what is demanded of it.
    fn commit(&mut self, changes: &[Change], demand: Option<(Key, bool)>) -> Result<()> {
        let mut batch = Batch::new();
        let mut state = self.reference.state().clone();
        let (mut changed, mut removed) = (false, 0);
        for change in changes {
            match change {
                Change::Set(key, value) => {
                    let (key, value) = (key.bytes(), value.bytes());
                    batch.set(&key, &[&value])?;
                    state.insert(key, value.into());
                    changed = true;
                }
                Change::Delete(key) => {
                    batch.delete(&key.bytes())?;
                    if state.remove(&key.bytes()).is_some() {
                        changed = true;
                        removed += 1;
                    }
                }
                Change::Clear => {
                    batch.clear();
                    changed |= !state.is_empty();
                    state.clear();
                }
            }
        }
        if let Some((key, holds)) = demand {
            let written_by = self.database.get(&key.bytes()).map(|(_, sequence)| sequence);
            let other = written_by
                .map_or(Some(SequenceNumber(1)), |sequence| (sequence.0 % 2 == 0).then(|| sequence.plus(1)));
            batch.require(&key.bytes(), if holds { written_by } else { other })?;
        }
        match self.database.commit(batch) {
            Ok(Outcome::Conflict) => {
                assert!(demand.is_some_and(|(_, holds)| !holds), "what is demanded is so");
                return Ok(());
            }
            Ok(Outcome::Committed { sequence, removed: found }) => {
                assert!(demand.is_none_or(|(_, holds)| holds), "what is demanded is not so");
                assert_eq!(found, removed, "deletions that found their key");
                if changed {
                    self.reference.states.push(state);
                }
                assert_eq!(sequence.0, self.reference.last() as u64, "sequence numbers have no gaps");
            }
            Err(error) => {
                self.reference.uncertain = changed.then_some(state);
                return Err(error);
            }
        }
        match self.settings.durability {
            Durable::Sync => self.reference.all_is_durable(),
            Durable::Interval => self.reference.handed_over = self.reference.last(),
            Durable::Buffered => {}
        }
        Ok(())
    }

    /// A backup of the database, restored elsewhere, holds what the database does.
    fn restore(&mut self) -> Result<()> {
        let prefix = self.database.durable_prefix()?;
        self.reference.all_is_durable();
        let vfs: Arc<dyn Vfs> = Arc::new(self.disk.clone());
        let options = RestoreOptions { overwrite: true, vfs: vfs.clone(), ..RestoreOptions::default() };
        let done = codex_backup::copy(&prefix, &vfs, Path::new(BACKUP), Existing::Replace).and_then(|()| {
            let unlock = self.settings.unlock();
            codex_backup::restore(Path::new(BACKUP), Path::new(RESTORED), unlock.as_ref(), &options)
        });
        if let Err(error) = done {
            assert!(self.may_fail, "{error:?}");
            self.crash(Crash::Process);
            return Ok(());
        }
        let restored = open(self.settings, &self.disk, RESTORED, true)?;
        assert_eq_records(&restored.view(), self.reference.state());
        assert_eq!(restored.stats().sequence, self.reference.last() as u64);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.database.close()?;
        self.reference.all_is_durable();
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        self.database = open(self.settings, &self.disk, PATH, false)?;
        Ok(())
    }

    /// Ends the machine or the process, opens what is left, and judges it.
    fn crash(&mut self, crash: Crash) {
        let (disk, least) = match crash {
            Crash::Process => (self.disk.process_crash(), self.reference.handed_over),
            Crash::Power(seed) => (self.disk.crash(u64::from(seed)), self.reference.durable),
        };
        self.may_fail = false;
        self.disk = disk;
        // What a reader is shown is what recovery will keep.
        let read = open(self.settings, &self.disk, PATH, true).expect("a crash leaves a database");
        let shown = read.stats().sequence;
        drop(read);
        self.reopen().expect("a crash leaves a database");
        let found = self.database.stats().sequence;
        assert_eq!(found, shown, "a reader sees what a writer goes on from");
        let found = usize::try_from(found).expect("a history is short");
        let reference = &mut self.reference;
        assert!(found >= least, "commit {least} was durable, and {found} is the last that is left");
        reference.states.extend(reference.uncertain.take());
        assert!(found <= reference.last(), "commit {found} was never made");
        reference.states.truncate(found + 1);
        reference.all_is_durable();
        assert_eq_records(&self.database.view(), self.reference.state());
        self.database.verify().expect("what a crash leaves verifies");
    }

    fn check_latest(&self) {
        let state = self.reference.state();
        assert_eq!(self.database.record_count(), state.len() as u64);
        assert_eq!(self.database.stats().sequence, self.reference.last() as u64);
        for (key, value) in state {
            let (record, _) = self.database.get(key).expect("the key is there");
            assert!(record.value() == &**value, "the value is the one that was set last");
        }
    }
}

impl History {
    /// Settings, and then as many steps as the bytes give, unlike a derived list, which half of all bytes would end.
    pub fn decode(input: &[u8]) -> arbitrary::Result<Self> {
        let mut input = Unstructured::new(input);
        let settings = input.arbitrary()?;
        let mut steps = Vec::new();
        while !input.is_empty() && steps.len() < STEPS_MAX {
            steps.push(input.arbitrary()?);
        }
        Ok(Self { settings, steps })
    }
}

impl Settings {
    fn unlock(&self) -> Option<Unlock> {
        self.encrypted.then(image::unlock)
    }
}

fn open(settings: &Settings, disk: &SimVfs, path: &str, read_only: bool) -> Result<Database> {
    let mode = if settings.ledger { Mode::Ledger } else { Mode::Snapshot };
    let durability = match settings.durability {
        Durable::Sync => Durability::Sync,
        Durable::Interval => Durability::Interval(Duration::from_hours(1)),
        Durable::Buffered => Durability::Buffered,
    };
    let options = OpenOptions { mode: Some(mode), durability, read_only, ..image::options(disk) };
    options.open(Path::new(path), settings.unlock().as_ref())
}

fn assert_eq_records(view: &View, state: &State) {
    let records = view.range((Bound::Unbounded, Bound::Unbounded));
    assert!(
        records
            .map(|record| pair(&record))
            .eq(state.iter().map(|(key, value)| (key.clone(), value.to_vec()))),
        "the records are those of the reference"
    );
    assert_eq!(view.totals().records, state.len() as u64);
}

/// Takes a range from both ends at once, and holds it against the map's.
fn compare_range(view: &View, state: &State, range: &Range) {
    let bounds = (range.lower.map(Key::bytes), range.upper.map(Key::bytes));
    let inside = |key: &[u8]| {
        let above = match &bounds.0 {
            Bound::Included(lower) => key >= &lower[..],
            Bound::Excluded(lower) => key > &lower[..],
            Bound::Unbounded => true,
        };
        let below = match &bounds.1 {
            Bound::Included(upper) => key <= &upper[..],
            Bound::Excluded(upper) => key < &upper[..],
            Bound::Unbounded => true,
        };
        above && below
    };
    // The map's own range would panic on bounds in the wrong order.
    let mut expected: VecDeque<_> = state
        .iter()
        .filter(|(key, _)| inside(key))
        .map(|(key, value)| (key.clone(), value.to_vec()))
        .collect();
    let mut found = view.range(bounds.clone());
    let mut ends = range.ends;
    loop {
        let (found, expected) = if ends & 1 == 0 {
            (found.next().map(|record| pair(&record)), expected.pop_front())
        } else {
            (found.next_back().map(|record| pair(&record)), expected.pop_back())
        };
        assert!(found == expected, "from either end a range gives what the map's gives");
        if expected.is_none() {
            break;
        }
        ends = ends.rotate_right(1);
    }
    assert!(found.next().is_none() && found.next_back().is_none(), "an ended range stays ended");
}

fn pair(record: &Record) -> (Vec<u8>, Vec<u8>) {
    (record.key().to_vec(), record.value().to_vec())
}

/// Longer inputs only repeat what shorter ones do.
const STEPS_MAX: usize = 64;
const CHANGES_MAX: usize = 16;
const VIEWS_MAX: usize = 4;
