//! An open database: the commit core over one of the engines, with what looks after it.

use std::fmt;
use std::ops::RangeBounds;
use std::path::Path;
use std::time::Duration;

use codex_crypto::{ConsistencyProof, DatabaseId, LogHead, Unlock};

use crate::background::{self, Background, Chore, Idle, Signals};
use crate::batch::Batch;
use crate::clock::Clock;
use crate::core::{Core, Engine};
use crate::engine::{LogEngine, Maintenance, MaintenanceHost, Occasion};
use crate::error::{Result, StorageError, chain};
use crate::files::Files;
use crate::format::frame::{FrameHeader, Kind};
use crate::format::header::Floor;
use crate::format::{Mode, SequenceNumber};
use crate::group::Pending;
use crate::keys::{self, NewKey, SlotInfo};
use crate::ledger::commits::LoggedCommits;
use crate::ledger::history::{History, KeyIndex};
use crate::ledger::past;
use crate::log::Durability;
use crate::observe::{self, Event, Teller, Work};
use crate::open::OpenOptions;
use crate::pacing::LeaderPacing;
use crate::point::Point;
use crate::prefix::Prefix;
use crate::progress::Observer;
use crate::prove::{self, CommitProof, Continuation, ExpectedHead};
use crate::record::Record;
use crate::recovery::Recovery;
use crate::stats::{self, LogStatus, Stats};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, thread};
use crate::table::{Group, Outcome, RecordTable};
use crate::verify::{self, Report};
use crate::vfs::{File, Vfs};
use crate::view::View;
use crate::watch::Watch;

type Planned = Result<Box<dyn Maintenance>>;
type LogCore = Core<Box<dyn LogEngine>, RecordTable, LeaderPacing>;

impl Engine<Group> for Box<dyn LogEngine> {
    fn last_sequence(&self) -> SequenceNumber {
        (**self).last_sequence()
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        (**self).append(group)
    }
}

/// What an opening has put together.
pub(crate) struct Parts {
    pub(crate) engine: Box<dyn LogEngine>,
    pub(crate) table: RecordTable,
    pub(crate) files: Files,
    pub(crate) lock: Option<Arc<dyn File>>,
    pub(crate) recovery: Recovery,
    pub(crate) id: DatabaseId,
    /// The index of the key slot that was opened.
    pub(crate) key_slot: Option<usize>,
    pub(crate) mode: Mode,
    pub(crate) encrypted: bool,
    pub(crate) read_only: bool,
    pub(crate) durability: Durability,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) background: Background,
    pub(crate) chore: Option<Arc<dyn Chore>>,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) teller: Arc<Teller>,
    pub(crate) observer: Observer,
}

/// What the database and its threads share. Holding it keeps no lock once the database is closed.
pub(crate) struct Shared {
    pub(crate) core: LogCore,
    pub(crate) signals: Arc<Signals>,
    pub(crate) files: Files,
    pub(crate) recovery: Recovery,
    pub(crate) id: DatabaseId,
    pub(crate) mode: Mode,
    pub(crate) encrypted: bool,
    pub(crate) read_only: bool,
    pub(crate) durability: Durability,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) teller: Arc<Teller>,
    /// Who is told of long work that a caller waits for.
    pub(crate) observer: Observer,
    chore: Option<Arc<dyn Chore>>,
    /// Where in the log which keys stand; empty until somebody asks for a history. No other lock is
    /// taken while it is held.
    pub(crate) key_index: Mutex<KeyIndex>,
    /// The index of the key slot that the database was opened with, as long as it is there. Held by whoever changes
    /// keys, so that one change follows the other.
    pub(crate) key_slot: Mutex<Option<usize>>,
    state: Mutex<State>,
    /// A change of `state`.
    changed: Condvar,
}

/// Guarded by a short lock.
#[derive(Default)]
struct State {
    /// Maintenance runs; there is never more than one.
    maintaining: bool,
    /// Closing has begun: maintenance gives up.
    closing: bool,
    /// Closing has ended.
    closed: bool,
    /// After maintenance failed: not again before this time.
    maintenance_after: Duration,
    background_error: Option<String>,
    /// What the engine said last, once it is gone.
    last: Option<(Floor, LogStatus)>,
}

/// An open database. Dropping it closes it and ignores errors; [`Database::close`] reports them.
pub struct Database {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    /// What [`Database::tend`] remembers from one call to the next.
    idle: Mutex<Idle>,
    lock: Mutex<Option<Arc<dyn File>>>,
}

impl Database {
    /// Opens the database at `path`, or creates it.
    pub fn open(path: &Path, unlock: Option<&Unlock>) -> Result<Self> {
        OpenOptions::default().open(path, unlock)
    }

    pub(crate) fn start(parts: Parts) -> Result<Self> {
        let Parts { engine, table, files, lock, recovery, mode, encrypted, read_only, .. } = parts;
        let Parts { durability, clock, background, chore, id, key_slot, vfs, teller, observer, .. } = parts;
        let signals = Arc::new(Signals::default());
        let pacing = LeaderPacing::new(clock.clone(), signals.clone(), durability);
        let core = Core::new(engine, Arc::new(RwLock::new(table)), pacing);
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared {
            core,
            signals,
            files,
            recovery,
            id,
            key_slot: Mutex::new(key_slot),
            mode,
            encrypted,
            read_only,
            durability,
            clock,
            vfs,
            teller,
            observer,
            chore,
            key_index: Mutex::default(),
            state,
            changed: Condvar::new(),
        });
        let thread = if read_only || background == Background::Caller {
            None
        } else {
            let shared = shared.clone();
            let started = thread::Builder::new()
                .name("codex-background".into())
                .spawn(move || background::run(&shared));
            Some(started.map_err(StorageError::io("start a thread for", Path::new("the database")))?)
        };
        Ok(Self { shared, thread: Mutex::new(thread), idle: Mutex::default(), lock: Mutex::new(lock) })
    }

    pub(crate) fn tell_opened(&self, took: Duration) {
        let Shared { teller, files, recovery, mode, encrypted, read_only, .. } = &*self.shared;
        let (path, mode, encrypted, read_only) = (files.database(), *mode, *encrypted, *read_only);
        let shown = self.shared.core.table().read().shown();
        let (records, sequence) = (shown.totals.records, shown.at.0);
        teller.tell(&Event::Recovered { mode, recovery });
        teller.tell(&Event::Opened { path, mode, encrypted, read_only, records, sequence, took });
        teller.publish(|| self.stats());
    }

    /// Commits a batch. With [`Durability::Sync`] it is durable when this returns.
    pub fn commit(&self, batch: Batch) -> Result<Outcome> {
        self.check_writable()?;
        let len = batch.encoded_len_max();
        let outcome = self.shared.core.commit(batch, len)?;
        if outcome == Outcome::Conflict {
            self.shared.teller.tell(&Event::Conflicted);
        }
        self.shared.signals.wrote();
        Ok(outcome)
    }

    /// Queues a batch. It is committed whether or not the result is waited for; batches of one thread keep their order.
    pub fn submit(&self, batch: Batch) -> Result<Pending<Outcome>> {
        self.check_writable()?;
        let len = batch.encoded_len_max();
        let pending = self.shared.core.submit(batch, len)?;
        self.shared.signals.wrote();
        Ok(pending)
    }

    /// Does at once what [`Background::Thread`] does by and by: leads submitted commits, hands over or syncs what
    /// was written, writes the floor after a second without commits, and runs maintenance that is due.
    pub fn tend(&self) -> Result<()> {
        self.check_writable()?;
        background::tend_here(&self.shared, &mut self.idle.lock())
    }

    /// Has the background look again whether its [`Chore`] is due.
    pub fn look_after(&self) {
        self.shared.signals.wrote();
    }

    /// The record of a key, with the commit that wrote it.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<(Record, SequenceNumber)> {
        let table = self.shared.core.table().read();
        table.live(key).map(|record| (record.clone(), record.written_by()))
    }

    /// Whether a key has a record.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        self.shared.core.table().read().live(key).is_some()
    }

    /// How many records are live.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.shared.core.table().read().shown().totals.records
    }

    /// The deadline of a record that is to live for `ttl` from now on, for [`Batch::set_until`]. An error if that is not
    /// at all, or beyond what can be recorded (the year 2554).
    pub fn deadline_in(&self, ttl: Duration) -> Result<u64> {
        let now_ns = self.shared.core.table().read().now_ns();
        let ttl_ns = u64::try_from(ttl.as_nanos()).ok().filter(|ttl_ns| *ttl_ns > 0);
        ttl_ns.and_then(|ttl_ns| now_ns.checked_add(ttl_ns)).ok_or(StorageError::TtlOutOfBounds { ttl })
    }

    /// The state as it is now.
    #[must_use]
    pub fn view(&self) -> View {
        View::open(self.shared.core.table())
    }

    /// Committed changes to the keys that begin with `prefix`, from now on.
    #[must_use]
    pub fn watch(&self, prefix: &[u8]) -> Watch {
        self.shared.core.table().read().watchers().subscribe(prefix)
    }

    /// Where the log ends, and the Merkle head over its frames. Waits for a write that goes on.
    #[must_use]
    pub fn head(&self) -> Floor {
        self.shared.engine_or_last().0
    }

    /// The Merkle head over the frames of the log, with the database's id. Waits for a write that goes on.
    #[must_use]
    pub fn log_head(&self) -> LogHead {
        let Floor { size, root, .. } = self.head();
        LogHead { id: self.shared.id, size, root }
    }

    /// Proves that a commit is in the log as it is now.
    pub fn prove(&self, sequence: SequenceNumber) -> Result<CommitProof> {
        prove::prove(&self.shared, sequence)
    }

    /// Proves that the first `to` frames of the log continue its first `from`; with the head over those `to` frames.
    pub fn prove_consistency(&self, from: u64, to: u64) -> Result<(ConsistencyProof, LogHead)> {
        prove::prove_consistency(&self.shared, from, to)
    }

    /// How the log goes on from a head; [`StorageError::HeadMismatch`] if it does not.
    pub fn compare_head(&self, head: impl Into<ExpectedHead>) -> Result<Continuation> {
        prove::compare(&self.shared, head.into())
    }

    /// Reads the whole file again, and fails with [`StorageError::Damaged`] at the first difference.
    pub fn verify(&self) -> Result<Report> {
        verify::verify(&self.shared)
    }

    /// Makes everything durable that was acknowledged.
    pub fn flush(&self) -> Result<()> {
        self.check_open()?;
        if self.shared.read_only {
            return Ok(());
        }
        self.shared.core.with_engine(|engine| engine.log_mut().flush())
    }

    /// Rewrites the file with what is live; snapshot mode only.
    pub fn compact(&self) -> Result<()> {
        self.check_writable()?;
        self.check_open()?;
        if self.shared.mode == Mode::Ledger {
            return Err(StorageError::NotInMode { operation: "compacting", mode: Mode::Ledger });
        }
        self.shared.maintain(&Awaited(&self.shared))
    }

    /// Writes a checkpoint now; ledger mode only. The background does so by itself when it pays.
    pub fn checkpoint(&self) -> Result<()> {
        self.check_writable()?;
        self.check_open()?;
        if self.shared.mode == Mode::Snapshot {
            return Err(StorageError::NotInMode { operation: "writing a checkpoint", mode: Mode::Snapshot });
        }
        self.shared.maintain(&Awaited(&self.shared))
    }

    /// The ways in; none without encryption.
    pub fn key_slots(&self) -> Result<Vec<SlotInfo>> {
        keys::slots(&self.shared)
    }

    /// Whether a copy of the database has the key slots that the database has now, bit for bit. What it goes by is not
    /// authenticated: good for telling whether a backup is due.
    pub fn has_slots_of(&self, copy: &Path) -> Result<bool> {
        keys::are_those_of(&self.shared, copy)
    }

    /// Adds a way in, and returns its number. What is durable when this and the next three return, and what an error
    /// leaves: `docs/durability.md`, "Keys".
    pub fn add_key(&self, new: &NewKey) -> Result<usize> {
        self.check_writable()?;
        keys::add(&self.shared, new)
    }

    /// Removes the slot with this number, unless it is the last.
    pub fn remove_key(&self, number: usize) -> Result<()> {
        self.check_writable()?;
        keys::remove(&self.shared, number)
    }

    /// Puts another key or passphrase in place of the one that opened this database. It keeps its label, unless
    /// another one is given.
    pub fn change_key(&self, new: &NewKey) -> Result<()> {
        self.check_writable()?;
        keys::change(&self.shared, new)
    }

    /// As [`Database::change_key`], with a new root key for all that is written from now on. In snapshot mode the file is
    /// rewritten with it; what a ledger holds stays under the keys before. Every other slot goes.
    pub fn change_key_deep(&self, new: &NewKey) -> Result<()> {
        self.check_writable()?;
        keys::change_deep(&self.shared, new)
    }

    /// Everything that was acknowledged so far, as a file to copy.
    pub fn durable_prefix(&self) -> Result<Prefix> {
        self.shared.durable_prefix()
    }

    /// How many commits stand behind a floor that this log has had; `None` if no commit begins there, because the file was
    /// rewritten or is another one. What it goes by is not authenticated: good for telling whether a backup is due.
    pub fn commits_behind(&self, floor: &Floor) -> Result<Option<u64>> {
        let shared = &self.shared;
        shared.core.with_engine(|engine| {
            let log = engine.log();
            let last = engine.last_sequence();
            if log.end().floor() == *floor {
                return Ok(Some(last.0 - log.end().sequence.0));
            }
            let mut bytes = [0; FrameHeader::LEN];
            let read = log.file().read_at(&mut bytes, floor.offset);
            read.map_err(StorageError::io("read", shared.files.database()))?;
            let frame = FrameHeader::decode(&bytes, floor.offset, shared.id);
            let next = frame.filter(|frame| frame.kind == Kind::Commit && frame.begins);
            Ok(next.and_then(|frame| (last.0 + 1).checked_sub(frame.first_sequence.0)))
        })
    }

    /// The versions that a key has had, newest first; ledger mode only.
    ///
    /// The first call reads the whole log and makes an index in memory: 4 bytes for each operation, and 64 for every
    /// 2 to 4 KiB of the log. Later calls read what was committed since, and only those KiB that may hold the key.
    pub fn history(&self, key: &[u8]) -> Result<History> {
        History::of(&self.shared, key)
    }

    /// The state at a point of the past; ledger mode only. It is built from the log, or from the checkpoint where that
    /// lies before the point, and takes the memory of that state as long as the view lives.
    pub fn at(&self, point: Point) -> Result<View> {
        past::view_at(&self.shared, point)
    }

    /// The commits with these sequence numbers, as they were made; ledger mode only. Numbers that no commit has yet are
    /// passed over. Those made after the call are not shown. What stands before the range is read only if neither the
    /// checkpoint nor the index of [`Database::history`] spares it, and is in the index from then on.
    pub fn log(&self, range: impl RangeBounds<u64>) -> Result<LoggedCommits> {
        LoggedCommits::of(&self.shared, range)
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Who is told of long work ([`OpenOptions::observer`]).
    #[must_use]
    pub fn observer(&self) -> &Observer {
        &self.shared.observer
    }

    /// The names of the database's files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.shared.files
    }

    /// What the database keeps.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.shared.mode
    }

    /// Closes the database for all who share it: no commit is accepted any more, those in flight end, the floor
    /// is written, and the locks are released when this returns. Views go on. A second close is `Ok`.
    pub fn close(&self) -> Result<()> {
        let shared = &self.shared;
        {
            let mut state = shared.state.lock();
            if state.closing {
                drop(shared.wait_while(state, |state| !state.closed));
                return Ok(());
            }
            state.closing = true;
        }
        let closed = ClosingEnd(shared);
        let _span = observe::begin(Work::Close);
        let start = shared.clock.monotonic();
        let healthy = shared.core.is_open();
        shared.core.drain();
        shared.core.table().read().watchers().close();
        shared.signals.stop();
        if let Some(thread) = self.thread.lock().take() {
            // A panic there is reported by what it left undone: the floor below is written here.
            let _ = thread.join();
        }
        drop(shared.wait_while(shared.state.lock(), |state| state.maintaining));
        let result = self.close_engine(healthy);
        *self.lock.lock() = None;
        drop(closed);
        shared.teller.publish(|| shared.stats());
        let (sequence, now) = (shared.core.table().read().published().0, shared.clock.monotonic());
        shared.teller.tell(&Event::Closed { sequence, took: now.saturating_sub(start) });
        result
    }

    fn close_engine(&self, healthy: bool) -> Result<()> {
        let shared = &self.shared;
        let maintained = if shared.read_only || !healthy || shared.writes_are_stopped() {
            Ok(())
        } else {
            shared.maintain_at_closing()
        };
        shared.note_background(&maintained);
        let Some(mut engine) = shared.core.take_engine() else { return Ok(()) };
        let result = match (shared.read_only, healthy) {
            (true, _) => Ok(()),
            // A leader panicked: nobody knows what the log's fields say, so nothing is written by them.
            (false, false) => {
                shared.teller.tell(&Event::WritesStopped { error: &StorageError::WriterPanicked });
                Err(StorageError::WriterPanicked)
            }
            (false, true) => engine.log_mut().close(),
        };
        let log = engine.log();
        shared.state.lock().last = Some((log.end().floor(), LogStatus::of(log)));
        // Said explicitly, because a prefix that is being copied may still hold the file.
        let unlocked = log.file().unlock().map_err(StorageError::io("unlock", shared.files.database()));
        result.and(unlocked)
    }

    fn check_writable(&self) -> Result<()> {
        if self.shared.read_only { Err(StorageError::ReadOnly) } else { Ok(()) }
    }

    fn check_open(&self) -> Result<()> {
        if self.shared.state.lock().closing { Err(StorageError::Closed) } else { Ok(()) }
    }
}

impl Shared {
    /// What the engine says, or said last.
    fn engine_or_last(&self) -> (Floor, LogStatus) {
        let now = self.core.with_engine(|engine| {
            let log = engine.log();
            Ok((log.end().floor(), LogStatus::of(log)))
        });
        now.unwrap_or_else(|_| {
            let state = self.wait_while(self.state.lock(), |state| state.last.is_none());
            state.last.expect("waited for")
        })
    }

    pub(crate) fn stats(&self) -> Stats {
        stats::stats(self, self.engine_or_last().1)
    }

    pub(crate) fn note_background<T>(&self, result: &Result<T>) {
        if let Err(error) = result {
            self.teller.tell(&Event::BackgroundFailed { error });
            self.state.lock().background_error = Some(chain(error));
        }
    }

    pub(crate) fn background_error(&self) -> Option<String> {
        self.state.lock().background_error.clone()
    }

    pub(crate) fn writes_are_stopped(&self) -> bool {
        self.core.with_engine(|engine| Ok(engine.log().is_stopped())).unwrap_or(true)
    }

    fn durable_prefix(&self) -> Result<Prefix> {
        self.core.with_engine(|engine| {
            if !self.read_only {
                engine.log_mut().flush()?;
            }
            Ok(Prefix::of(engine.log(), &self.files))
        })
    }

    /// In what time the chore is due; `None` if there is none, or nothing to do.
    pub(crate) fn chore_due_in(&self, now: Duration) -> Option<Duration> {
        let chore = self.chore.as_ref()?;
        if self.state.lock().closing {
            return None;
        }
        let sequence = self.core.table().read().published();
        chore.due_in(sequence.0, now)
    }

    pub(crate) fn run_chore(&self) {
        if let Some(chore) = &self.chore {
            let prefix = self.durable_prefix();
            chore.run(prefix, &|| !self.state.lock().closing);
        }
    }

    pub(crate) fn maintenance_is_due(&self, now: Duration) -> bool {
        {
            let state = self.state.lock();
            if state.maintaining || state.closing || now < state.maintenance_after {
                return false;
            }
        }
        self.is_due(Occasion::Running)
    }

    fn is_due(&self, occasion: Occasion) -> bool {
        let live = self.core.table().read().totals();
        let due = self.core.with_engine(|engine| {
            Ok(!engine.log().is_stopped() && engine.maintenance_is_due(live, occasion))
        });
        due.unwrap_or(false)
    }

    /// Maintenance that nobody waits for: a failure is noted, and tried again later.
    pub(crate) fn maintain_in_background(&self) -> Result<()> {
        let result = self.maintain(self);
        if result.is_err() && !self.state.lock().closing {
            self.note_background(&result);
            self.state.lock().maintenance_after = self.clock.monotonic() + MAINTENANCE_PAUSE;
        }
        result
    }

    fn maintain_at_closing(&self) -> Result<()> {
        let plan = |engine: &mut dyn LogEngine, view| engine.plan_maintenance(view);
        if self.is_due(Occasion::Closing) { self.run_maintenance(&Closing(self), plan) } else { Ok(()) }
    }

    fn maintain(&self, host: &dyn MaintenanceHost) -> Result<()> {
        self.maintain_as(host, |engine, view| engine.plan_maintenance(view))
    }

    /// Runs what `plan` plans, once no other maintenance runs.
    pub(crate) fn maintain_as(
        &self,
        host: &dyn MaintenanceHost,
        plan: impl FnOnce(&mut dyn LogEngine, View) -> Planned,
    ) -> Result<()> {
        {
            let mut state = self.wait_while(self.state.lock(), |state| state.maintaining);
            if state.closing {
                return Err(StorageError::Closed);
            }
            state.maintaining = true;
        }
        let done = MaintenanceEnd(self);
        let result = self.run_maintenance(host, plan);
        drop(done);
        result
    }

    fn run_maintenance(
        &self,
        host: &dyn MaintenanceHost,
        plan: impl FnOnce(&mut dyn LogEngine, View) -> Planned,
    ) -> Result<()> {
        let planned = self.core.with_engine(|engine| {
            // What readers see is what the log holds: nobody applies a group without the I/O lock.
            engine.log_mut().write_out()?;
            plan(&mut **engine, View::whole(self.core.table()))
        })?;
        planned.run(host)
    }

    fn wait_while<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while condition(&state) {
            state = self.changed.wait(state);
        }
        state
    }
}

impl MaintenanceHost for Shared {
    fn with_engine(&self, step: &mut dyn FnMut(&mut dyn LogEngine) -> Result<()>) -> Result<()> {
        self.core.with_engine(|engine| step(&mut **engine))
    }

    fn check_wanted(&self) -> Result<()> {
        if self.state.lock().closing { Err(StorageError::Closed) } else { Ok(()) }
    }
}

/// Maintenance that a caller waits for.
struct Awaited<'a>(&'a Shared);

impl MaintenanceHost for Awaited<'_> {
    fn with_engine(&self, step: &mut dyn FnMut(&mut dyn LogEngine) -> Result<()>) -> Result<()> {
        self.0.with_engine(step)
    }

    fn check_wanted(&self) -> Result<()> {
        self.0.check_wanted()
    }

    fn observer(&self) -> &Observer {
        &self.0.observer
    }
}

/// Maintenance that closing itself does.
struct Closing<'a>(&'a Shared);

impl MaintenanceHost for Closing<'_> {
    fn with_engine(&self, step: &mut dyn FnMut(&mut dyn LogEngine) -> Result<()>) -> Result<()> {
        self.0.with_engine(step)
    }

    fn check_wanted(&self) -> Result<()> {
        Ok(())
    }
}

/// Says that maintenance has ended, also by a panic.
struct MaintenanceEnd<'a>(&'a Shared);

impl Drop for MaintenanceEnd<'_> {
    fn drop(&mut self) {
        self.0.state.lock().maintaining = false;
        self.0.changed.notify_all();
    }
}

/// Says that closing has ended, also by a panic: otherwise the drop that follows would wait for it for ever.
struct ClosingEnd<'a>(&'a Shared);

impl Drop for ClosingEnd<'_> {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Who wants to know calls `close`.
        if let Err(error) = self.close() {
            self.shared.teller.tell(&Event::BackgroundFailed { error: &error });
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.shared.files.database())
            .field("mode", &self.shared.mode)
            .finish_non_exhaustive()
    }
}

/// After maintenance failed, commits go on and it is tried again after this time.
const MAINTENANCE_PAUSE: Duration = Duration::from_secs(10);
