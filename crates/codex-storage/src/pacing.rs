//! How long a leader waits for company: half of what a sync takes, as it was lately.

use std::time::Duration;

use crate::clock::Clock;
use crate::core::Pacing;
use crate::log::Durability;
use crate::sync::{Arc, AtomicU64, Ordering, thread};

/// The pacing of a database.
#[derive(Debug)]
pub(crate) struct LeaderPacing {
    clock: Arc<dyn Clock>,
    signals: Arc<crate::background::Signals>,
    /// Waiting pays only where each group is synced.
    waits: bool,
    /// The moving average of what writing a group takes, in nanoseconds. Only a leader stores it.
    write_ns: AtomicU64,
}

impl LeaderPacing {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        signals: Arc<crate::background::Signals>,
        durability: Durability,
    ) -> Self {
        Self { clock, signals, waits: durability == Durability::Sync, write_ns: AtomicU64::new(0) }
    }

    /// The moving average of what writing a group takes.
    pub(crate) fn write_time(&self) -> Duration {
        Duration::from_nanos(self.write_ns.load(Ordering::Acquire))
    }
}

impl Pacing for LeaderPacing {
    /// Polls instead of sleeping: the company is a few microseconds away, and to be woken on an idle core takes
    /// fifty. Only where a sync is slow, and patience long, does it sleep between two looks.
    fn await_company(&self, all_here: impl Fn() -> bool) {
        if !self.waits || all_here() {
            return;
        }
        let patience = self.write_time() / 2;
        let start = self.clock.monotonic();
        // Counted as well, so that the wait ends although a test's clock may stand still.
        for look in 0..LOOKS_MAX {
            if self.clock.monotonic().saturating_sub(start) >= patience {
                return;
            }
            if look < YIELDS {
                thread::yield_now();
            } else {
                thread::sleep(NAP);
            }
            if all_here() {
                return;
            }
        }
    }

    fn time<R>(&self, write: impl FnOnce() -> R) -> R {
        if !self.waits {
            return write();
        }
        let start = self.clock.monotonic();
        let result = write();
        let took = self.clock.monotonic().saturating_sub(start);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).min(WRITE_NS_MAX);
        let average = self.write_ns.load(Ordering::Acquire);
        let average = if average == 0 { took } else { average - average / 8 + took / 8 };
        self.write_ns.store(average, Ordering::Release);
        result
    }

    fn call_leader(&self) {
        self.signals.lead();
    }
}

/// A stalled disk must not make every later group wait for seconds.
const WRITE_NS_MAX: u64 = 20_000_000;
/// So often a waiting leader lets other threads run, some hundred microseconds in all, before it sleeps.
const YIELDS: u32 = 512;
const NAP: Duration = Duration::from_micros(50);
/// Yields, and as many naps as the longest patience can hold.
const LOOKS_MAX: u32 = YIELDS + 200;
