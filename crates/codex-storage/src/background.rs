//! The database's thread: what must happen although no writer is there to do it.
//!
//! - leading, when submitted commits wait and no writer does;
//! - [`Durability::Buffered`]: handing commits to the system, 5 ms after the first at the latest;
//! - [`Durability::Interval`]: the sync;
//! - deleting what has expired, with commits of its own;
//! - after a second without commits: the floor, so that a reopening need not write anything again;
//! - maintenance, on a thread of its own while it lasts;
//! - a [`Chore`] that came with the options, such as a backup by policy, on a thread of its own too.
//!
//! The thread sleeps as long as nothing changes or expires. It holds the shared part of the database, never the handle
//! whose drop closes it.

use std::time::Duration;

use crate::batch::Batch;
use crate::database::Shared;
use crate::error::{Result, StorageError};
use crate::log::Durability;
use crate::prefix::Prefix;
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering, thread};

/// How the thread is woken.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    wishes: Mutex<Wishes>,
    changed: Condvar,
    /// The thread looks after what was written; set by the first write after all was settled. Pairs the writer's
    /// exchange with the thread's store: who sees `false` wakes the thread.
    watching: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    lead: bool,
    watch: bool,
    stop: bool,
}

impl Signals {
    /// Something was written.
    pub(crate) fn wrote(&self) {
        if !self.watching.swap(true, Ordering::AcqRel) {
            self.wish(|wishes| wishes.watch = true);
        }
    }

    /// Commits wait and nobody leads.
    pub(crate) fn lead(&self) {
        self.wish(|wishes| wishes.lead = true);
    }

    /// The thread should end.
    pub(crate) fn stop(&self) {
        self.wish(|wishes| wishes.stop = true);
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock());
        self.changed.notify_one();
    }

    /// Sleeps until something is wished, or for `period`; takes the wishes.
    fn next(&self, period: Option<Duration>) -> Wishes {
        let mut wishes = self.wishes.lock();
        loop {
            let taken = std::mem::take(&mut *wishes);
            if taken.lead || taken.watch || taken.stop {
                return taken;
            }
            match period {
                Some(period) => {
                    wishes = self.changed.wait_timeout(wishes, period);
                    return std::mem::take(&mut *wishes);
                }
                None => wishes = self.changed.wait(wishes),
            }
        }
    }
}

/// Who does what is due although no writer is there to do it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// A thread of the database's own.
    #[default]
    Thread,
    /// The caller, whenever it calls [`Database::tend`](crate::Database::tend): for tests, in which nothing happens by
    /// itself. A submitted commit then waits for `tend`, `close`, or the next writer.
    Caller,
}

/// What a program wants done with a database from time to time, beside the commits.
pub trait Chore: std::fmt::Debug + Send + Sync {
    /// In what time it is due, for a database whose last commit is `sequence`, at the monotonic time `now`; `None` if it is
    /// not before something else is committed.
    fn due_in(&self, sequence: u64, now: Duration) -> Option<Duration>;

    /// Does it, and notes what fails: nobody waits for it. It ends early once `wanted` says no more, because then closing
    /// waits for it.
    fn run(&self, database: Result<Prefix>, wanted: &dyn Fn() -> bool);
}

/// The thread's work, until it is told to stop.
pub(crate) fn run(shared: &Arc<Shared>) {
    let signals = &shared.signals;
    let period = period(shared.durability);
    let mut watching = false;
    let mut idle = Idle::default();
    let mut maintenance: Option<thread::JoinHandle<()>> = None;
    let mut chore: Option<thread::JoinHandle<()>> = None;
    loop {
        let next = || earlier(chore_pause(shared, chore.is_some()), until_next_deadline(shared));
        let pause = if watching { Some(period) } else { next() };
        let wishes = signals.next(pause);
        if wishes.lead {
            shared.core.lead();
        }
        if wishes.watch && !watching {
            // The first write was just made: its period begins now.
            watching = true;
            idle = Idle::default();
        } else if !wishes.lead && !wishes.stop {
            watching = !tend(shared, &mut idle, &mut maintenance);
        }
        if wishes.stop {
            for running in [maintenance, chore].into_iter().flatten() {
                // It gives up by itself once closing has begun; a panic in it has been reported to its owner.
                let _ = running.join();
            }
            return;
        }
        start_chore(shared, &mut chore);
    }
}

/// How long nothing was committed.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    sequence: u64,
    since: Option<Duration>,
    /// After what has expired could not be deleted: not again before this time.
    expiry_after: Duration,
}

/// Looks after what was written. `true`: all is settled, and the thread may sleep until the next write.
fn tend(shared: &Arc<Shared>, idle: &mut Idle, maintenance: &mut Option<thread::JoinHandle<()>>) -> bool {
    let now = shared.clock.monotonic();
    // From here on a writer announces itself again, so that none is overlooked.
    shared.signals.watching.store(false, Ordering::Release);
    let expired = delete_expired(shared, idle, now);
    let tended = settle(shared, idle, now).and_then(|settled| expired.map(|()| settled));
    if maintenance.as_ref().is_some_and(thread::JoinHandle::is_finished) {
        *maintenance = None;
    }
    if maintenance.is_none() && shared.maintenance_is_due(now) {
        let shared = shared.clone();
        let started = thread::Builder::new()
            .name("codex-maintenance".into())
            // What fails is noted there.
            .spawn(move || drop(shared.maintain_in_background()));
        *maintenance = started.ok();
    }
    shared.teller.publish(|| shared.stats());
    let settled = tended.as_ref().is_ok_and(|settled| *settled);
    let rests = (settled || tended.is_err() && shared.writes_are_stopped()) && maintenance.is_none();
    if !rests {
        shared.signals.watching.store(true, Ordering::Release);
    }
    rests
}

/// How long a thread with nothing to look after sleeps for the sake of the chore.
fn chore_pause(shared: &Shared, running: bool) -> Option<Duration> {
    let pause = shared.chore_due_in(shared.clock.monotonic())?;
    Some(if running { PERIOD } else { pause })
}

fn start_chore(shared: &Arc<Shared>, chore: &mut Option<thread::JoinHandle<()>>) {
    if chore.as_ref().is_some_and(thread::JoinHandle::is_finished) {
        *chore = None;
    }
    if chore.is_none() && shared.chore_due_in(shared.clock.monotonic()) == Some(Duration::ZERO) {
        let shared = shared.clone();
        let started = thread::Builder::new().name("codex-backup".into()).spawn(move || shared.run_chore());
        *chore = started.ok();
    }
}

/// What the thread does each time, without the thread.
pub(crate) fn tend_here(shared: &Shared, idle: &mut Idle) -> Result<()> {
    shared.core.lead();
    let now = shared.clock.monotonic();
    let expired = delete_expired(shared, idle, now);
    let settled = settle(shared, idle, now);
    let maintained = if shared.maintenance_is_due(now) { shared.maintain_in_background() } else { Ok(()) };
    if shared.chore_due_in(now) == Some(Duration::ZERO) {
        shared.run_chore();
    }
    shared.teller.publish(|| shared.stats());
    expired.and(settled).and(maintained)
}

/// Deletes what has expired, in commits like any other; a record that was written again meanwhile stays. Where there is
/// very much of it, some is left for the next time, so that what else is due is not kept waiting.
fn delete_expired(shared: &Shared, idle: &mut Idle, now: Duration) -> Result<()> {
    if now < idle.expiry_after {
        return Ok(());
    }
    for _ in 0..EXPIRY_COMMITS_MAX {
        let mut batch = Batch::new();
        for record in shared.core.table().read().expired().take(EXPIRED_PER_COMMIT) {
            batch.expire(record)?;
        }
        if batch.is_empty() || shared.writes_are_stopped() {
            break;
        }
        let len = batch.encoded_len_max();
        match shared.core.commit(batch, len) {
            Ok(_) => {}
            Err(StorageError::Closed) => break,
            Err(error) => {
                idle.expiry_after = now + EXPIRY_PAUSE;
                let failed = Err(error);
                shared.note_background(&failed);
                return failed;
            }
        }
    }
    Ok(())
}

/// How long nothing expires, more or less; `None`: nothing will.
fn until_next_deadline(shared: &Shared) -> Option<Duration> {
    let table = shared.core.table().read();
    let left_ns = table.next_deadline_ns()?.saturating_sub(table.now_ns());
    Some(Duration::from_nanos(left_ns).clamp(PERIOD, EXPIRY_LOOK))
}

/// The earlier of two times, where `None` never comes.
fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Does with what was written as the durability demands. `true`: nothing is left to do before the next write.
fn settle(shared: &Shared, idle: &mut Idle, now: Duration) -> Result<bool> {
    let settled = shared.core.with_engine(|engine| {
        match shared.durability {
            Durability::Sync => {}
            Durability::Interval(_) => engine.log_mut().sync_written()?,
            Durability::Buffered => engine.log_mut().write_out()?,
        }
        let log = engine.log_mut();
        let sequence = log.last_sequence().0;
        if sequence != idle.sequence || idle.since.is_none() {
            (idle.sequence, idle.since) = (sequence, Some(now));
            return Ok(false);
        }
        if idle.since.is_none_or(|since| now.saturating_sub(since) < IDLE) {
            return Ok(false);
        }
        if log.floor_is_behind() {
            log.write_floor()?;
        }
        Ok(true)
    });
    shared.note_background(&settled);
    settled
}

fn period(durability: Durability) -> Duration {
    match durability {
        Durability::Sync => PERIOD,
        // A quarter is left for the sync itself.
        Durability::Interval(interval) => (interval / 4 * 3).min(PERIOD),
        Durability::Buffered => BUFFERED,
    }
}

/// How often a busy log is looked after.
const PERIOD: Duration = Duration::from_millis(250);
/// What is deleted at once of what has expired: so many records in a commit, and so many commits.
const EXPIRED_PER_COMMIT: usize = 256;
const EXPIRY_COMMITS_MAX: usize = 64;
/// After what has expired could not be deleted, it is tried again after this time.
const EXPIRY_PAUSE: Duration = Duration::from_secs(10);
/// The system's clock may be set, so that the next deadline is looked for at least this often.
const EXPIRY_LOOK: Duration = Duration::from_mins(1);
/// After this long without commits the floor is written.
const IDLE: Duration = Duration::from_secs(1);
/// The longest that a buffered commit stays in this process.
const BUFFERED: Duration = Duration::from_millis(5);
