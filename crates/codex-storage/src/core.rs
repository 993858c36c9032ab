//! The dual-lock core: one group of commits at a time, any number of readers.
//!
//! Two locks, always taken in this order:
//! 1. the I/O lock, a mutex around the engine; held across I/O, by one writer, who leads;
//! 2. the table lock, a reader-writer lock around memory; held to read or to apply, never across I/O.
//!
//! A third, short lock guards the queue of waiting commits; nothing is locked while it is held.
//!
//! Invariants, each checked by a model in `tests/loom_core.rs`:
//! - commits are applied to the table in the order in which the engine wrote them;
//! - what a writer was told is written is visible, and was written before it became visible;
//! - a reader sees all of a group's commit or nothing of it;
//! - a group that failed is never visible, and each of its writers gets the error;
//! - a commit is validated against the table and the commits before it in its group, so of two that
//!   contradict each other exactly one takes place;
//! - while commits wait there is a leader, or somebody has been called to lead: no writer sleeps for ever;
//! - closing waits for the commits in flight.
//!
//! The core is generic over the engine and the table, so that the models run this very code with toys.

use std::fmt;
use std::mem;

use crate::error::{Result, StorageError};
use crate::format::SequenceNumber;
use crate::format::frame::PAYLOAD_LEN_MAX;
use crate::group::{Acceptance, Pending, Queue, Ticket, Waiting, Wake};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};

/// Writes groups of commits. Called with the I/O lock held.
pub trait Engine<G>: Send {
    /// The sequence number of the last commit that was accepted.
    fn last_sequence(&self) -> SequenceNumber;

    /// Writes a group behind all earlier ones. When this returns the group has the durability that the engine
    /// promises; after an error nothing of it may come back, or the engine accepts no more groups.
    fn append(&mut self, group: &G) -> Result<()>;
}

/// What readers see. Called with the table lock held: shared for `&self`, exclusive for `&mut self`.
pub trait Table {
    /// One atomic change, with the conditions under which it may take place.
    type Commit;
    /// The commits that are written together.
    type Group: TableGroup;
    /// What the writer of a commit is told.
    type Outcome;
    /// What the table no longer needs; dropped outside the lock.
    type Garbage: Default;

    /// Decides a commit against the table and the commits before it in the group, and adds it to the
    /// group if it changes something. The outcome holds once the group is applied.
    fn admit(&self, commit: Self::Commit, group: &mut Self::Group) -> Self::Outcome;

    /// Applies the next slice of a group; `true` once all of it is applied and visible to readers, and what it
    /// superseded for nobody is dropped.
    fn apply(&mut self, group: &mut Self::Group, garbage: &mut Self::Garbage) -> bool;
}

/// A group in the making.
pub trait TableGroup {
    /// A group whose first commit has this sequence number.
    fn starting_at(first: SequenceNumber) -> Self;

    /// Whether no commit changes anything.
    fn is_empty(&self) -> bool;

    /// Readers see the group now. Called with the I/O lock held, hence in log order, and the table unlocked.
    fn published(&self) {}
}

/// How a leader paces itself; apart from the core because the models know no time.
pub trait Pacing: Send + Sync {
    /// Waits, but not long, until `all_here` says that as many commits are queued as are to be expected. It may be
    /// called any number of times, or never.
    fn await_company(&self, all_here: impl Fn() -> bool);

    /// Runs a write and learns from how long it took.
    fn time<R>(&self, write: impl FnOnce() -> R) -> R;

    /// Commits wait and no writer is there to lead: have a thread call [`Core::lead`] soon.
    fn call_leader(&self);
}

/// The two locks, and the queue before them.
pub struct Core<E, T: Table, P> {
    queue: Mutex<Queue<T::Commit, T::Outcome>>,
    /// Wakes who waits until nothing is in flight, or until the queue has room.
    progress: Condvar,
    io: Mutex<Option<E>>,
    table: Arc<RwLock<T>>,
    pacing: P,
}

impl<E, T, P> Core<E, T, P>
where
    E: Engine<T::Group>,
    T: Table,
    P: Pacing,
{
    /// A core around an engine and the table that shows what the engine holds.
    pub fn new(engine: E, table: Arc<RwLock<T>>, pacing: P) -> Self {
        Self {
            queue: Mutex::new(Queue::new()),
            progress: Condvar::new(),
            io: Mutex::new(Some(engine)),
            table,
            pacing,
        }
    }

    /// The table, for reading.
    pub fn table(&self) -> &Arc<RwLock<T>> {
        &self.table
    }

    /// The pacing.
    pub fn pacing(&self) -> &P {
        &self.pacing
    }

    /// Commits, and returns once the commit is written, or decided otherwise. `len` is an upper bound of its
    /// length in the log, in bytes.
    pub fn commit(&self, commit: T::Commit, len: u64) -> Result<T::Outcome> {
        let ticket = Arc::new(Ticket::new());
        let leads = {
            let mut queue = self.queue.lock();
            queue.accept()?;
            let leads = !queue.led;
            queue.led = true;
            queue.push(Waiting { commit, len, ticket: ticket.clone(), attended: !leads });
            leads
        };
        if !leads && let Wake::Decided(result) = ticket.wait() {
            return result;
        }
        // Groups are filled from the front of the queue, so the first may be without this commit.
        loop {
            self.lead_group(Some(&ticket));
            if let Some(result) = ticket.try_take() {
                return result;
            }
        }
    }

    /// Queues a commit and returns at once, unless very much is queued already. Whoever leads next takes it along.
    pub fn submit(&self, commit: T::Commit, len: u64) -> Result<Pending<T::Outcome>> {
        let ticket = Arc::new(Ticket::new());
        let mut queue = self.queue.lock();
        queue = self.block_while(queue, |queue| {
            queue.len >= QUEUE_LEN_MAX && matches!(queue.acceptance, Acceptance::Open)
        });
        queue.accept()?;
        queue.push(Waiting { commit, len, ticket: ticket.clone(), attended: false });
        let led = queue.led;
        drop(queue);
        if !led {
            self.pacing.call_leader();
        }
        Ok(Pending(ticket))
    }

    /// Leads as long as commits wait that no writer attends to.
    pub fn lead(&self) {
        loop {
            {
                let mut queue = self.queue.lock();
                if queue.led || queue.waiting.is_empty() {
                    return;
                }
                queue.led = true;
            }
            self.lead_group(None);
        }
    }

    /// Runs `work` on the engine, under the I/O lock.
    pub fn with_engine<R>(&self, work: impl FnOnce(&mut E) -> Result<R>) -> Result<R> {
        match self.io.lock().as_mut() {
            Some(engine) => work(engine),
            None => Err(StorageError::Closed),
        }
    }

    /// Whether new commits are accepted.
    pub fn is_open(&self) -> bool {
        self.queue.lock().accept().is_ok()
    }

    /// Accepts no more commits, and returns once none is in flight.
    pub fn drain(&self) {
        let mut queue = self.queue.lock();
        if matches!(queue.acceptance, Acceptance::Open) {
            queue.acceptance = Acceptance::Closed;
        }
        self.report_progress(&queue);
        loop {
            queue = self.block_while(queue, |queue| queue.led);
            if queue.waiting.is_empty() {
                return;
            }
            // Nobody need be there to answer the call for a leader.
            drop(queue);
            self.lead();
            queue = self.queue.lock();
        }
    }

    /// After [`Core::drain`]: gives the engine back, once.
    pub fn take_engine(&self) -> Option<E> {
        self.io.lock().take()
    }

    /// Waits as long as `condition` holds.
    fn block_while<'a>(
        &self,
        mut queue: QueueGuard<'a, T>,
        condition: impl Fn(&Queue<T::Commit, T::Outcome>) -> bool,
    ) -> QueueGuard<'a, T> {
        queue.blocked += 1;
        while condition(&queue) {
            queue = self.progress.wait(queue);
        }
        queue.blocked -= 1;
        queue
    }

    fn report_progress(&self, queue: &Queue<T::Commit, T::Outcome>) {
        if queue.blocked > 0 {
            self.progress.notify_all();
        }
    }

    /// One group, from the queue to the table, its writers' results included. The caller leads, until the group holds
    /// the caller's `own` commit, or anyway if there is none.
    fn lead_group(&self, own: Option<&Arc<Ticket<T::Outcome>>>) {
        self.gather();
        let mut leader = LeaderGuard { core: self, tickets: Vec::new(), finished: false };
        let mut io = self.io.lock();
        let commits: Vec<_> = {
            let mut queue = self.queue.lock();
            let group = queue.take_group(PAYLOAD_LEN_MAX as u64);
            self.report_progress(&queue);
            let group = group.into_iter().map(|waiting| (waiting.commit, waiting.ticket));
            let (commits, tickets) = group.unzip();
            leader.tickets = tickets;
            commits
        };
        let decided = match io.as_mut() {
            Some(engine) => self.write(engine, commits),
            // Closing takes the engine only when nothing is in flight.
            None => Err(StorageError::Closed),
        };
        drop(io);
        let ends = own.is_none_or(|own| leader.tickets.iter().any(|ticket| Arc::ptr_eq(ticket, own)));
        if ends {
            // Before the others are woken, so that the next leader gathers them as they come back.
            self.hand_over(leader.tickets.len());
        }
        leader.finished = true;
        let tickets = mem::take(&mut leader.tickets);
        match decided {
            Ok(outcomes) => {
                tickets.into_iter().zip(outcomes).for_each(|(ticket, outcome)| ticket.decide(Ok(outcome)));
            }
            Err(error) => {
                let error = Arc::new(error);
                tickets
                    .into_iter()
                    .for_each(|ticket| ticket.decide(Err(StorageError::Shared(error.clone()))));
            }
        }
    }

    /// Validates commits in log order, writes them, and applies what was written.
    fn write(&self, engine: &mut E, commits: Vec<T::Commit>) -> Result<Vec<T::Outcome>> {
        let mut group = T::Group::starting_at(engine.last_sequence().plus(1));
        let outcomes = {
            let table = self.table.read();
            commits.into_iter().map(|commit| table.admit(commit, &mut group)).collect()
        };
        if !group.is_empty() {
            self.pacing.time(|| engine.append(&group))?;
            self.apply(&mut group);
            group.published();
        }
        Ok(outcomes)
    }

    /// Waits, but not long, until as many commits are queued as are to be expected: else the writers of the
    /// last group and those behind it would alternate, half of them in each sync.
    fn gather(&self) {
        self.pacing.await_company(|| {
            let queue = self.queue.lock();
            queue.waiting.len() >= queue.expected
        });
    }

    fn apply(&self, group: &mut T::Group) {
        loop {
            // Dropped behind the lock: freeing memory takes time.
            let mut garbage = T::Garbage::default();
            if self.table.write().apply(group, &mut garbage) {
                return;
            }
        }
    }

    /// Ends leading, after a group of `count` commits: exactly one waiting writer takes over.
    fn hand_over(&self, count: usize) {
        let mut queue = self.queue.lock();
        queue.expected = count + queue.waiting.len();
        if let Some(next) = queue.next_leader() {
            drop(queue);
            next.lead();
            return;
        }
        queue.led = false;
        self.report_progress(&queue);
        if !queue.waiting.is_empty() {
            drop(queue);
            self.pacing.call_leader();
        }
    }
}

impl<E, T: Table, P> fmt::Debug for Core<E, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

/// Answers everybody if the leader panics: the store accepts no more commits, and no writer sleeps for ever.
struct LeaderGuard<'a, E, T: Table, P> {
    core: &'a Core<E, T, P>,
    tickets: Vec<Arc<Ticket<T::Outcome>>>,
    /// The group is decided: dropped now, the guard has nothing to do.
    finished: bool,
}

impl<E, T: Table, P> Drop for LeaderGuard<'_, E, T, P> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut queue = self.core.queue.lock();
        queue.acceptance = Acceptance::Failed;
        queue.led = false;
        queue.len = 0;
        queue.attended = 0;
        let waiting = mem::take(&mut queue.waiting);
        drop(queue);
        self.core.progress.notify_all();
        let waiting = waiting.into_iter().map(|waiting| waiting.ticket);
        for ticket in self.tickets.drain(..).chain(waiting) {
            ticket.decide(Err(StorageError::WriterPanicked));
        }
    }
}

type QueueGuard<'a, T> = MutexGuard<'a, Queue<<T as Table>::Commit, <T as Table>::Outcome>>;

/// How much may be queued before [`Core::submit`] waits, in bytes.
const QUEUE_LEN_MAX: u64 = 64 << 20;
