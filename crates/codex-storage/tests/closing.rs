//! How closing ends when something goes wrong on the way.
#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{sync, thread};

use codex_storage::clock::Clock;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, Durability, OpenOptions};

/// A clock that panics once it is told to.
#[derive(Debug, Default)]
struct Broken(AtomicBool);

impl Clock for Broken {
    fn wall_ns(&self) -> u64 {
        assert!(!self.0.load(Ordering::Acquire), "the clock is broken");
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_panic_while_closing_leaves_no_drop_waiting() {
    let clock = Arc::new(Broken::default());
    let options = OpenOptions {
        vfs: Arc::new(SimVfs::new(1)),
        clock: clock.clone(),
        durability: Durability::Buffered,
        ..OpenOptions::default()
    };
    let database = options.open(Path::new("/app.db"), None).expect("a new database");
    clock.0.store(true, Ordering::Release);
    let mut batch = Batch::new();
    batch.set(b"key", &[b"value"]).expect("within bounds");
    database.commit(batch).expect("nothing is sealed yet");
    catch_unwind(AssertUnwindSafe(|| database.close())).expect_err("sealing asks for the time");

    let (done, wait) = sync::mpsc::channel();
    thread::spawn(move || {
        drop(database);
        done.send(())
    });
    wait.recv_timeout(Duration::from_secs(10)).expect("the drop returns");
}
