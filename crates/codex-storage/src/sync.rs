//! The one switch between the standard library's locks and loom's, and the one answer to poisoning.
//!
//! A lock is poisoned when a thread panics while it holds it: a bug of ours. Readers go on (the table
//! publishes whole groups only), and the commit core notices the panic itself and refuses further writes
//! (`core.rs`, `LeaderGuard`); so a poisoned lock is simply taken here.
//!
//! Reference counts are always the standard library's: the models check locks and wake-ups.

use std::time::Duration;

pub use std::sync::Arc;
pub(crate) use std::sync::LazyLock;

#[cfg(loom)]
use loom::sync as primitives;
#[cfg(not(loom))]
use std::sync as primitives;

#[cfg(not(loom))]
use crossbeam_utils::sync::ShardedLock as ReaderWriterLock;
#[cfg(not(loom))]
pub use crossbeam_utils::sync::{
    ShardedLockReadGuard as RwLockReadGuard, ShardedLockWriteGuard as RwLockWriteGuard,
};
#[cfg(loom)]
use primitives::RwLock as ReaderWriterLock;
#[cfg(loom)]
pub use primitives::{RwLockReadGuard, RwLockWriteGuard};

pub use primitives::MutexGuard;

pub(crate) use primitives::atomic::{AtomicBool, AtomicU64, Ordering};
// The models spawn threads of their own; those of the database do not run in them.
pub(crate) use std::sync::mpsc::{SyncSender, sync_channel};
pub(crate) use std::thread;

/// A mutex that is not closed by a panic.
#[derive(Debug, Default)]
pub struct Mutex<T>(primitives::Mutex<T>);

impl<T> Mutex<T> {
    /// A free mutex around `value`.
    pub fn new(value: T) -> Self {
        Self(primitives::Mutex::new(value))
    }

    /// Waits for the mutex.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A reader-writer lock that is not closed by a panic. Readers on different cores share no cache line, so that two read
/// twice as much as one; a writer pays for it by locking eight parts.
#[derive(Debug, Default)]
pub struct RwLock<T>(ReaderWriterLock<T>);

impl<T> RwLock<T> {
    /// A free lock around `value`.
    pub fn new(value: T) -> Self {
        Self(ReaderWriterLock::new(value))
    }

    /// Waits until no writer holds the lock.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits until nobody holds the lock.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Where threads wait for a change of what a [`Mutex`] guards.
#[derive(Debug, Default)]
pub struct Condvar(primitives::Condvar);

impl Condvar {
    /// A condition that nobody waits for.
    pub fn new() -> Self {
        Self(primitives::Condvar::new())
    }

    /// Releases the guard, waits for a wake-up (or none at all: check again), and takes the guard back.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// As [`Condvar::wait`], but no longer than `timeout`.
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
        match self.0.wait_timeout(guard, timeout) {
            Ok((guard, _)) => guard,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
