//! Group commit: where commits wait, and how their writers are woken.
//!
//! A commit waits in the [`Queue`] with a [`Ticket`]. One writer at a time leads: it takes a group from the
//! front of the queue, writes it, decides its tickets, and hands the lead to exactly one writer that still
//! waits. The others sleep on their own tickets, so that nobody queues on the I/O lock.

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use crate::error::{Result, StorageError};
use crate::sync::{Arc, Condvar, Mutex};

/// A commit that waits for its turn.
pub(crate) struct Waiting<C, O> {
    pub(crate) commit: C,
    /// An upper bound of its length in the log, in bytes.
    pub(crate) len: u64,
    pub(crate) ticket: Arc<Ticket<O>>,
    /// A thread sleeps on the ticket and can take the lead.
    pub(crate) attended: bool,
}

/// Whether commits are accepted.
pub(crate) enum Acceptance {
    Open,
    Closed,
    /// A leader panicked.
    Failed,
}

/// The commits that wait. Guarded by a lock that is only held for a few steps.
pub(crate) struct Queue<C, O> {
    pub(crate) waiting: VecDeque<Waiting<C, O>>,
    /// Sum of `len` over `waiting`.
    pub(crate) len: u64,
    /// How many of `waiting` are attended.
    pub(crate) attended: usize,
    /// A writer leads, or has been given the lead and is waking up.
    pub(crate) led: bool,
    /// How many threads wait for progress: for room in the queue, or for nothing to be in flight.
    pub(crate) blocked: usize,
    /// As many commits as were in the last group and behind it: what the next leader may wait for.
    pub(crate) expected: usize,
    pub(crate) acceptance: Acceptance,
}

impl<C, O> Queue<C, O> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            len: 0,
            attended: 0,
            led: false,
            blocked: 0,
            expected: 1,
            acceptance: Acceptance::Open,
        }
    }

    pub(crate) fn accept(&self) -> Result<()> {
        match self.acceptance {
            Acceptance::Open => Ok(()),
            Acceptance::Closed => Err(StorageError::Closed),
            Acceptance::Failed => Err(StorageError::WriterPanicked),
        }
    }

    pub(crate) fn push(&mut self, waiting: Waiting<C, O>) {
        self.len += waiting.len;
        self.attended += usize::from(waiting.attended);
        self.waiting.push_back(waiting);
    }

    /// Takes the next group: commits from the front up to `len_max` bytes, at least one.
    pub(crate) fn take_group(&mut self, len_max: u64) -> Vec<Waiting<C, O>> {
        let mut len = 0;
        let count = self.waiting.iter().take_while(|waiting| {
            len += waiting.len;
            len <= len_max
        });
        let count = count.count().max(1).min(self.waiting.len());
        let group: Vec<_> = self.waiting.drain(..count).collect();
        self.len -= group.iter().map(|waiting| waiting.len).sum::<u64>();
        self.attended -= group.iter().filter(|waiting| waiting.attended).count();
        group
    }

    /// The first writer that can take the lead.
    pub(crate) fn next_leader(&self) -> Option<Arc<Ticket<O>>> {
        if self.attended == 0 {
            return None;
        }
        self.waiting.iter().find(|waiting| waiting.attended).map(|waiting| waiting.ticket.clone())
    }
}

/// What a thread that waits on a ticket is woken for.
pub(crate) enum Wake<O> {
    /// The commit is decided.
    Decided(Result<O>),
    /// The thread leads.
    Lead,
}

enum State<O> {
    Waiting,
    /// Waiting, and its thread sleeps.
    Asleep,
    Lead,
    Decided(Result<O>),
}

/// The place where one commit's result is left.
pub(crate) struct Ticket<O> {
    state: Mutex<State<O>>,
    changed: Condvar,
}

impl<O> Ticket<O> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Waiting), changed: Condvar::new() }
    }

    pub(crate) fn decide(&self, result: Result<O>) {
        self.change(State::Decided(result));
    }

    pub(crate) fn lead(&self) {
        self.change(State::Lead);
    }

    /// A wake-up is a system call, so only who sleeps is woken.
    fn change(&self, state: State<O>) {
        let before = mem::replace(&mut *self.state.lock(), state);
        if matches!(before, State::Asleep) {
            self.changed.notify_one();
        }
    }

    pub(crate) fn wait(&self) -> Wake<O> {
        let mut state = self.state.lock();
        loop {
            match mem::replace(&mut *state, State::Asleep) {
                State::Decided(result) => return Wake::Decided(result),
                State::Lead => return Wake::Lead,
                State::Waiting | State::Asleep => state = self.changed.wait(state),
            }
        }
    }

    /// The result, if the commit is decided.
    pub(crate) fn try_take(&self) -> Option<Result<O>> {
        let mut state = self.state.lock();
        match mem::replace(&mut *state, State::Waiting) {
            State::Decided(result) => Some(result),
            other => {
                *state = other;
                None
            }
        }
    }
}

/// A commit in flight. It takes place whether or not it is waited for.
pub struct Pending<O>(pub(crate) Arc<Ticket<O>>);

impl<O> Pending<O> {
    /// Waits until the commit is decided.
    pub fn wait(self) -> Result<O> {
        loop {
            // A submitted commit is not attended, so it is never given the lead.
            if let Wake::Decided(result) = self.0.wait() {
                return result;
            }
        }
    }
}

impl<O> fmt::Debug for Pending<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
