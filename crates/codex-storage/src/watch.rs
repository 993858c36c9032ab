//! Watching: committed changes, handed to those who asked, in log order.
//!
//! A leader announces a group once readers see it, still under the I/O lock, so that the order is that of the log; the
//! table is not locked then. Each watcher has a queue of its own under a short lock of its own, and no other lock is
//! taken while that is held. A queue is bounded: one that is full loses its oldest commits, whole, and says how many,
//! so that a slow watcher neither delays a commit nor fills the memory.
//!
//! A watch keeps neither the database open nor its files locked. See `docs/concurrency.md`, "Watching".

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use crate::batch::Operation;
use crate::format::SequenceNumber;
use crate::sync::{Arc, AtomicU64, Condvar, Mutex, Ordering};

/// What a watcher is told.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// What one commit changed among the keys that are watched, in its order.
    Commit(SequenceNumber, Vec<Operation>),
    /// So many commits with changes to the keys that are watched were lost; the last of them had this number.
    Lagged(SequenceNumber, u64),
}

/// Everybody who watches one database.
#[derive(Debug, Default)]
pub struct Watchers {
    list: Mutex<List>,
    /// How many there are. Written under the lock of `list`, and read without it by a leader after it has published:
    /// who subscribes and then reads an older state is seen by the leader that publishes the newer one.
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct List {
    queues: Vec<Arc<Queue>>,
    closed: bool,
}

impl Watchers {
    /// Watches the keys that begin with `prefix`, from now on.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, prefix: &[u8]) -> Watch {
        let queue =
            Arc::new(Queue { prefix: prefix.into(), state: Mutex::default(), changed: Condvar::new() });
        let mut list = self.list.lock();
        if list.closed {
            queue.close();
        } else {
            list.queues.push(queue.clone());
            self.count.store(list.queues.len() as u64, Ordering::Release);
        }
        drop(list);
        Watch { watchers: self.clone(), queue }
    }

    /// Tells everybody of commits, the first of which has the sequence number `first`. Called in log order.
    pub fn announce(&self, first: SequenceNumber, commits: &[Vec<Operation>]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        // Not held while the queues are filled: subscribing need not wait for a large group.
        let queues = self.list.lock().queues.clone();
        for queue in queues {
            for (sequence, commit) in (first.0..).zip(commits) {
                queue.push(SequenceNumber(sequence), commit);
            }
        }
    }

    /// Nothing more will be announced: every watch ends behind what it has not taken yet.
    pub fn close(&self) {
        let mut list = self.list.lock();
        list.closed = true;
        let queues = mem::take(&mut list.queues);
        self.count.store(0, Ordering::Release);
        drop(list);
        queues.iter().for_each(|queue| queue.close());
    }

    fn unsubscribe(&self, queue: &Arc<Queue>) {
        let mut list = self.list.lock();
        list.queues.retain(|other| !Arc::ptr_eq(other, queue));
        self.count.store(list.queues.len() as u64, Ordering::Release);
    }
}

/// What one watcher has not taken yet.
struct Queue {
    prefix: Box<[u8]>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    commits: VecDeque<(SequenceNumber, Vec<Operation>)>,
    /// Sum of the operations of `commits`.
    operations: usize,
    /// Sum of their keys and values, in bytes.
    bytes: usize,
    /// Lost commits: the last of them, and how many.
    lost: Option<(SequenceNumber, u64)>,
    closed: bool,
}

impl Queue {
    fn push(&self, sequence: SequenceNumber, commit: &[Operation]) {
        let watched = commit.iter().filter(|operation| match operation {
            Operation::Set(record) | Operation::Delete(record) => record.key().starts_with(&self.prefix),
            Operation::Clear => true,
        });
        let operations: Vec<_> = watched.cloned().collect();
        if operations.is_empty() {
            return;
        }
        // Dropped behind the lock: freeing memory takes time.
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        state.operations += operations.len();
        state.bytes += bytes_of(&operations);
        state.commits.push_back((sequence, operations));
        // The latest commit stays, however large it is.
        while state.commits.len() > 1 && (state.operations > OPERATIONS_MAX || state.bytes > BYTES_MAX) {
            let (sequence, operations) = state.take_first().expect("there are more than one");
            state.lost = Some((sequence, state.lost.map_or(1, |(_, count)| count + 1)));
            dropped.push(operations);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}

impl State {
    fn take(&mut self) -> Option<Announcement> {
        if let Some((sequence, count)) = self.lost.take() {
            return Some(Announcement::Lagged(sequence, count));
        }
        self.take_first().map(|(sequence, operations)| Announcement::Commit(sequence, operations))
    }

    fn take_first(&mut self) -> Option<(SequenceNumber, Vec<Operation>)> {
        let (sequence, operations) = self.commits.pop_front()?;
        self.operations -= operations.len();
        self.bytes -= bytes_of(&operations);
        Some((sequence, operations))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// A watcher's end of its queue. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    watchers: Arc<Watchers>,
    queue: Arc<Queue>,
}

impl Watch {
    /// The next announcement; waits for it. `None`: the database is closed, and everything has been taken.
    pub fn wait(&mut self) -> Option<Announcement> {
        let mut state = self.queue.state.lock();
        loop {
            let next = state.take();
            if next.is_some() || state.closed {
                return next;
            }
            state = self.queue.changed.wait(state);
        }
    }

    /// The next announcement, if there is one already.
    pub fn take(&mut self) -> Option<Announcement> {
        self.queue.state.lock().take()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.unsubscribe(&self.queue);
    }
}

fn bytes_of(operations: &[Operation]) -> usize {
    let bytes = operations.iter().map(|operation| match operation {
        Operation::Set(record) | Operation::Delete(record) => record.bytes().len(),
        Operation::Clear => 0,
    });
    bytes.sum()
}

/// What a queue holds at most, but for its latest commit: operations, and bytes of their keys and values.
const OPERATIONS_MAX: usize = 4096;
const BYTES_MAX: usize = 8 << 20;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_is_dropped_is_forgotten_and_the_others_stay() {
        let watchers = Arc::new(Watchers::default());
        let (dropped, mut kept) = (watchers.subscribe(b""), watchers.subscribe(b""));
        drop(dropped);
        assert_eq!(watchers.list.lock().queues.len(), 1);
        watchers.announce(SequenceNumber(7), &[vec![Operation::Clear]]);
        assert!(matches!(kept.take(), Some(Announcement::Commit(SequenceNumber(7), _))));
        drop(kept);
        assert_eq!(watchers.count.load(Ordering::Acquire), 0, "announcing costs nothing again");
    }
}
