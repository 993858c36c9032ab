//! One database on one simulated disk, and the referee beside it.
//!
//! What the referee knows of the database, whatever happened:
//! - [`Timeline`]: the state behind each commit that was acknowledged, and whose loss was not seen;
//! - `durable`: no power loss may cost commits up to here; `handed`: no end of the process may;
//! - `unknown`: the group whose error said that its outcome is unknown: there whole or not at all;
//! - `others`: what interrupted restores may have put in the database's place.
//!
//! And so, of an opening after a crash: the state is that of `timeline` after exactly n commits, n at least
//! `handed` (a power loss makes that `durable`), or with `unknown` behind the last, or it is one of `others` whole.
//! An error that is returned has a cause on the disk, and an error of the disk is returned by the call that met it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_storage::clock::Clock;
use codex_storage::files::Files;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::vfs::{FileKind, Vfs};
use codex_storage::{Background, Database, Durability, Mode, OpenOptions, Point, StorageError, View};

use crate::answers::chain;
use crate::history::{Aim, Commit, Crash, CrashKind, History, Setup, Step};
use crate::keys::FIRST_KEY;
use crate::model::{Change, State, Timeline, Value, batch};
use crate::repository::{Held, Look};
use crate::watch::Watched;

/// Figures of one history, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Histories.
    pub histories: u64,
    /// Steps that were taken.
    pub steps: u64,
    /// Operations of the disk.
    pub operations: u64,
    /// Power losses and kills, those during a recovery among them.
    pub crashes: u64,
    /// Errors of the disk that struck.
    pub errors: u64,
    /// Pieces of rot that were put before the database.
    pub rot: u64,
    /// Different frames and key slots that were sealed.
    pub sealings: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.operations += other.operations;
        self.crashes += other.crashes;
        self.errors += other.errors;
        self.rot += other.rot;
        self.sealings += other.sealings;
    }
}

/// Why a step was not taken to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// The machine went off.
    Off,
    /// What happened must not.
    Failure(String),
}

impl From<End> for String {
    fn from(end: End) -> Self {
        match end {
            End::Off => "the machine is off where nobody stopped it".to_owned(),
            End::Failure(what) => what,
        }
    }
}

impl From<String> for End {
    fn from(what: String) -> Self {
        Self::Failure(what)
    }
}

pub(crate) type Taken<T = ()> = Result<T, End>;

pub(crate) fn fail<T>(what: impl Into<String>) -> Taken<T> {
    Err(End::Failure(what.into()))
}

/// One database, its disk and its referee.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct World {
    pub(crate) setup: Setup,
    pub(crate) watched: Watched,
    pub(crate) clock: Arc<StillClock>,
    pub(crate) database: Option<Database>,
    pub(crate) durability: Durability,
    /// The database's creation was acknowledged.
    pub(crate) created: bool,
    pub(crate) timeline: Timeline,
    pub(crate) durable: u64,
    pub(crate) handed: u64,
    pub(crate) unknown: Vec<State>,
    /// What opens the database if a change of keys took place that was not acknowledged.
    pub(crate) keys_unknown: Option<Vec<u8>>,
    /// How many keys there were; they are numbered.
    pub(crate) keys_made: u8,
    pub(crate) others: Vec<Timeline>,
    /// The database was closed without an error and not opened since.
    pub(crate) closed_cleanly: bool,
    /// A write or sync failed so that the database must refuse further writes.
    pub(crate) stopped: bool,
    /// A header copy found no space to be written: `verify` may say so.
    pub(crate) header_doubtful: bool,
    /// What lies before this offset is named as durable by the frame behind it.
    pub(crate) protected: Option<u64>,
    pub(crate) views: Vec<(View, Timeline)>,
    pub(crate) copies: Vec<(PathBuf, Timeline)>,
    pub(crate) copies_made: u64,
    /// A copy that was being made when an error or a crash came.
    pub(crate) copying: Option<(PathBuf, Timeline)>,
    /// Newest first.
    pub(crate) rotation: Vec<(PathBuf, Timeline)>,
    /// The newest of a rotation that an error or a crash interrupted.
    pub(crate) rotating: Option<Timeline>,
    /// The backups in the repository.
    pub(crate) held: Held,
    /// What to do when the machine stops.
    pub(crate) stop: Option<Crash>,
    pub(crate) counts: Counts,
}

impl World {
    /// An empty disk.
    #[must_use]
    pub fn new(history: &History) -> Self {
        let setup = history.setup;
        Self {
            setup,
            watched: Watched::new(SimVfs::new(history.seed)),
            clock: Arc::default(),
            database: None,
            durability: setup.durability,
            created: false,
            timeline: Timeline::new(if setup.encrypted { vec![FIRST_KEY] } else { Vec::new() }),
            durable: 0,
            handed: 0,
            unknown: Vec::new(),
            keys_unknown: None,
            keys_made: FIRST_KEY,
            others: Vec::new(),
            closed_cleanly: false,
            stopped: false,
            header_doubtful: false,
            protected: None,
            views: Vec::new(),
            copies: Vec::new(),
            copies_made: 0,
            copying: None,
            rotation: Vec::new(),
            rotating: None,
            held: Held::default(),
            stop: None,
            counts: Counts::default(),
        }
    }

    /// Makes every sync of a file return without effect: a deliberate fault, for the tests of the referee.
    pub fn lie(&self) {
        self.watched.lie();
    }

    /// Operations of the disk since the last crash.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.watched.disk().operations()
    }

    /// Takes a step, and what a stop of the machine in it entails.
    pub fn step(&mut self, step: &Step) -> Result<(), String> {
        self.counts.steps += 1;
        let taken = self.perform(step);
        let taken = if self.watched.is_off() && !matches!(taken, Err(End::Failure(_))) {
            let crash = self.stop.take().ok_or("the machine is off and nobody stopped it")?;
            self.crash(&crash)
        } else {
            taken
        };
        taken.and_then(|()| self.check_visible())?;
        self.watched.violation().map_or(Ok(()), Err)
    }

    /// Ends a history: crashes where it did not yet, and demands that all is well and goes on.
    pub fn finish(&mut self, seed: u64) -> Result<Counts, String> {
        self.step(&Step::Relent)?;
        if self.counts.crashes == 0 {
            self.step(&Step::Crash(Crash { kind: CrashKind::Power(seed), again: Vec::new() }))?;
        }
        self.step(&Step::Reopen(Durability::Sync))?;
        let value = Value { stamp: u32::MAX, len: 20 };
        let before = self.timeline.last();
        let changes = vec![Change::Set(0, value)];
        self.step(&Step::Commit(Commit { changes, condition: None }))?;
        if self.timeline.last() != before + 1 {
            return Err("the database does not work on".to_owned());
        }
        self.step(&Step::Verify)?;
        self.step(&Step::ReadViews)?;
        self.step(&Step::Close)?;
        self.step(&Step::ReadOnly)?;
        self.check_copies()?;
        self.check_repository(Look::Restore)?;
        self.counts.operations += self.watched.disk().operations();
        self.counts.sealings = self.watched.sealings();
        Ok(self.counts)
    }

    /// The last operations of the disk, for a person who looks for the failure.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        let log = self.watched.disk().log();
        log[log.len().saturating_sub(LOG_SHOWN)..].iter().map(ToString::to_string).collect()
    }

    fn perform(&mut self, step: &Step) -> Taken {
        match step {
            Step::Commit(commit) => self.commit(commit),
            Step::Submit(commits) => self.submit(commits),
            Step::Flush => self.flush(),
            Step::Tend(ms) => self.tend(*ms),
            Step::Maintain => self.maintain(),
            Step::Verify => self.verify(),
            Step::View => self.view(),
            Step::ReadViews => self.read_views(),
            Step::Reopen(durability) => {
                self.close()?;
                self.durability = *durability;
                self.open().map(drop)
            }
            Step::Keys(change) => self.change_keys(*change),
            Step::Close => self.close(),
            Step::ReadOnly => self.read_only(),
            Step::Backup => self.back_up(),
            Step::Rotate => self.rotate(),
            Step::Restore(number) => self.restore(*number),
            Step::Send => self.send(),
            Step::Prune(choice) => self.prune(*choice),
            Step::Fetch(choice) => self.fetch(*choice),
            Step::Fork(steps) => self.fork_and_go_on(steps),
            Step::Rot(seed) => self.rot(*seed),
            Step::Crash(crash) => self.crash(crash),
            Step::Stop(skip, crash) => {
                self.watched.disk().stop_at(*skip);
                self.stop = Some(crash.clone());
                Ok(())
            }
            Step::Fail(aim, fault) => {
                match aim {
                    Aim::Any(skip) => self.watched.disk().fail_at(*skip, *fault),
                    Aim::Of(class, skip) => self.watched.disk().fail_next(*class, *skip, *fault),
                }
                Ok(())
            }
            Step::Full(room) => {
                let used: usize = self.watched.disk().files().values().map(Vec::len).sum();
                self.watched.disk().set_capacity(Some(used as u64 + room));
                Ok(())
            }
            Step::Relent => {
                self.relent();
                Ok(())
            }
        }
    }

    pub(crate) fn relent(&mut self) {
        self.watched.disk().clear_faults();
        self.watched.disk().set_capacity(None);
        self.stop = None;
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            mode: Some(self.setup.mode),
            durability: self.durability,
            create: !self.created,
            vfs: self.vfs(),
            clock: self.clock.clone(),
            background: Background::Caller,
            ..OpenOptions::default()
        }
    }

    pub(crate) fn vfs(&self) -> Arc<dyn Vfs> {
        Arc::new(self.watched.clone())
    }

    pub(crate) fn all_is_durable(&mut self) {
        self.durable = self.timeline.last();
        self.handed = self.durable;
    }

    /// Opens for writing, unless it is open. `false`: an error with a cause.
    pub(crate) fn open(&mut self) -> Taken<bool> {
        if self.database.is_some() {
            return Ok(true);
        }
        self.closed_cleanly = false;
        let opened = self.options().open(Path::new(PATH), self.unlock().as_ref());
        let Some(database) = self.answer("opening", opened)? else { return Ok(false) };
        self.take_found(&database)?;
        self.database = Some(database);
        Ok(true)
    }

    /// Which state a view shows: the commit, and which of the other timelines it is of, if not of the expected one.
    pub(crate) fn which(&self, view: &View) -> Taken<(u64, Option<usize>)> {
        let found = view.sequence().0;
        let last = self.timeline.last();
        let main = if found > last {
            let unknown = self.unknown.last().filter(|_| found == last + self.unknown.len() as u64);
            unknown.map(|state| state.compare(view))
        } else {
            let state = self.timeline.at(found).filter(|_| found >= self.handed);
            state.map(|state| state.compare(view))
        };
        let keys = self.keys_of(self.watched.disk(), Path::new(PATH));
        let opens = keys == self.timeline.keys || self.keys_unknown.as_ref() == Some(&keys);
        if let Some(Ok(())) = main
            && opens
        {
            return Ok((found, None));
        }
        let other = self.others.iter().position(|other| other.keys == keys && other.compare(view).is_ok());
        if other.is_some() {
            return Ok((found, other));
        }
        let range = match self.unknown.len() {
            0 => format!("{} to {last}", self.handed),
            count => format!("{} to {last}, or {}", self.handed, last + count as u64),
        };
        if !opens {
            let (expected, unknown) = (&self.timeline.keys, &self.keys_unknown);
            return fail(format!("the keys {keys:?} open it where {expected:?} do, or {unknown:?}"));
        }
        let why = main.and_then(Result::err).map_or_else(String::new, |why| format!(": {why}"));
        fail(format!("expected the state behind a commit of {range}, found commit {found}{why}"))
    }

    /// Judges what an opening for writing shows, and goes on from there: all of it is durable.
    pub(crate) fn take_found(&mut self, database: &Database) -> Taken {
        let (found, other) = self.which(&database.view())?;
        if let Some(other) = other {
            self.timeline = self.others.swap_remove(other);
        } else if found <= self.timeline.last() {
            self.timeline.truncate(found);
        } else {
            self.unknown.drain(..).for_each(|state| self.timeline.push(state));
        }
        self.timeline.keys = self.keys_of(self.watched.disk(), Path::new(PATH));
        self.keys_unknown = None;
        self.unknown.clear();
        self.others.clear();
        self.created = true;
        self.stopped = false;
        self.header_doubtful = false;
        self.protected = None;
        self.all_is_durable();
        Ok(())
    }

    pub(crate) fn close(&mut self) -> Taken {
        let Some(database) = self.database.as_ref() else { return Ok(()) };
        let result = database.close();
        let again = database.close();
        let refused = database.commit(batch(&[Change::Clear]));
        let was_stopped = self.stopped;
        let closed = self.answer_of_closing(result);
        self.database = None;
        if closed?.is_some() {
            if was_stopped {
                return fail("closing returned Ok although writes had been stopped");
            }
            self.all_is_durable();
            self.closed_cleanly = true;
        }
        if let Err(error) = again {
            return fail(format!("a second close: {}", chain(&error)));
        }
        if !matches!(refused, Err(StorageError::Closed | StorageError::WriterPanicked)) {
            return fail(format!("a commit behind close: {refused:?}"));
        }
        Ok(())
    }

    fn flush(&mut self) -> Taken {
        if !self.open()? {
            return Ok(());
        }
        let Some(result) = self.database.as_ref().map(Database::flush) else { return Ok(()) };
        if self.answer("flush", result)?.is_some() {
            self.must_not_be_stopped("flush")?;
            self.all_is_durable();
        }
        Ok(())
    }

    fn tend(&mut self, ms: u64) -> Taken {
        if !self.open()? {
            return Ok(());
        }
        self.clock.ms.fetch_add(ms, Ordering::Relaxed);
        let Some(database) = &self.database else { return Ok(()) };
        let result = database.tend();
        if result.is_err() && database.stats().background_error.is_none() {
            return fail("the background failed, and stats do not say so");
        }
        if self.answer_of_rewrite("the background", result)?.is_some() {
            self.tended();
        }
        Ok(())
    }

    /// The background has done its work.
    pub(crate) fn tended(&mut self) {
        match self.durability {
            // Every commit saw to it itself.
            Durability::Sync => {}
            Durability::Interval(_) => self.all_is_durable(),
            Durability::Buffered => self.handed = self.timeline.last(),
        }
    }

    fn maintain(&mut self) -> Taken {
        if !self.open()? {
            return Ok(());
        }
        self.protected = None;
        let snapshot = self.setup.mode == Mode::Snapshot;
        let Some(database) = &self.database else { return Ok(()) };
        let result = if snapshot { database.compact() } else { database.checkpoint() };
        if self.answer_of_rewrite("maintenance", result)?.is_some() {
            self.must_not_be_stopped("maintenance")?;
            self.all_is_durable();
        }
        Ok(())
    }

    pub(crate) fn verify(&mut self) -> Taken {
        if !self.open()? {
            return Ok(());
        }
        let Some(database) = &self.database else { return Ok(()) };
        let (result, head) = (database.verify(), database.head());
        if (self.stopped || self.header_doubtful) && matches!(result, Err(StorageError::Damaged { .. })) {
            // What a failed write has left is there to be seen.
            self.answer("verify", Ok::<(), StorageError>(())).map(drop)
        } else if let Some(report) = self.answer("verify", result)? {
            if self.stopped {
                return Ok(());
            }
            if report.sequence == self.timeline.last() && report.head == head {
                return self.read_past();
            }
            fail(format!(
                "verify found commit {} to be the last, not {}",
                report.sequence,
                self.timeline.last()
            ))
        } else {
            Ok(())
        }
    }

    /// Demands of a ledger that it shows its past: the state behind a commit in the middle, and every commit.
    fn read_past(&mut self) -> Taken {
        let Some(database) = self.database.as_ref().filter(|_| self.setup.mode == Mode::Ledger) else {
            return Ok(());
        };
        let last = self.timeline.last();
        let middle = last / 2;
        let view = database.at(Point::Sequence(middle));
        let log = database.log(..).map(|log| log.map(|commit| commit.map(|commit| commit.sequence.0)));
        let numbers = log.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let Some((view, numbers)) = self.answer("the past", view.and_then(|view| Ok((view, numbers?))))?
        else {
            return Ok(());
        };
        if let Some(state) = self.timeline.at(middle) {
            state.compare(&view).map_err(|why| format!("the state behind commit {middle}: {why}"))?;
        }
        if numbers.iter().copied().ne(1..=last) {
            return fail(format!("the log has the commits {numbers:?} where 1 to {last} were made"));
        }
        Ok(())
    }

    fn view(&mut self) -> Taken {
        if self.open()?
            && let Some(database) = &self.database
        {
            if self.views.len() == VIEW_COUNT_MAX {
                self.views.remove(0);
            }
            self.views.push((database.view(), self.timeline.clone()));
        }
        Ok(())
    }

    fn read_views(&mut self) -> Taken {
        for (view, timeline) in &self.views {
            timeline.compare(view).map_err(|why| format!("an older view: {why}"))?;
        }
        Ok(())
    }

    fn check_visible(&self) -> Taken {
        let Some(database) = &self.database else { return Ok(()) };
        self.timeline
            .compare(&database.view())
            .map_err(|why| End::Failure(format!("what readers see: {why}")))
    }

    pub(crate) fn read_only(&mut self) -> Taken {
        if self.database.is_none() {
            let found = self.look()?;
            return match found {
                Some(found) if self.closed_cleanly && found != self.timeline.last() => {
                    fail(format!("closed behind commit {}, and shows {found}", self.timeline.last()))
                }
                _ => Ok(()),
            };
        }
        for read_only in [true, false] {
            self.watched.set_only_reading(true);
            let options = OpenOptions { read_only, ..self.options() };
            let result = options.open(Path::new(PATH), self.unlock().as_ref());
            self.watched.set_only_reading(false);
            match result {
                Err(StorageError::Locked { .. }) => {}
                result => {
                    if self.answer("a second opening", result)?.is_some() {
                        return fail("the database was opened twice");
                    }
                }
            }
        }
        Ok(())
    }
}

/// Time stands still unless a step moves it, so that nothing but the salts tells two frames apart.
#[derive(Debug, Default)]
pub(crate) struct StillClock {
    ms: AtomicU64,
}

impl Clock for StillClock {
    fn wall_ns(&self) -> u64 {
        1_700_000_000_000_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.ms.load(Ordering::Relaxed))
    }
}

pub(crate) fn files() -> Files {
    Files::of(PATH.into())
}

/// Whether a file stands at a path.
pub(crate) fn stands(disk: &SimVfs, path: &Path) -> bool {
    matches!(disk.kind(path), Ok(Some(FileKind::Regular)))
}

pub(crate) const PATH: &str = "/folder/app.db";
const VIEW_COUNT_MAX: usize = 3;
const LOG_SHOWN: usize = 16;
