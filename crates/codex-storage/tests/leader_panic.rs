//! A leader that panics, which is a bug of ours, leaves nobody asleep: everybody gets an error, and later writers too.
#![cfg(not(loom))]

use std::panic::{self, AssertUnwindSafe};
use std::thread;

use codex_storage::core::{Core, Engine, Pacing, Table, TableGroup};
use codex_storage::sync::{Arc, RwLock};
use codex_storage::{Result, SequenceNumber, StorageError};

/// A commit of the toy: a number. The table panics at one of them before it is written, and at one behind that.
const PANICS: u64 = 3;
const PANICS_WRITTEN: u64 = 7;

#[derive(Default)]
struct Numbers(Vec<u64>);

impl TableGroup for Numbers {
    fn starting_at(_: SequenceNumber) -> Self {
        Self::default()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Table for Numbers {
    type Commit = u64;
    type Group = Numbers;
    type Outcome = ();
    type Garbage = ();

    fn admit(&self, number: u64, group: &mut Numbers) {
        assert!(number != PANICS, "a bug of ours, for this test");
        group.0.push(number);
    }

    fn apply(&mut self, group: &mut Numbers, (): &mut ()) -> bool {
        assert!(!group.0.contains(&PANICS_WRITTEN), "a bug of ours, for this test");
        self.0.append(&mut group.0);
        true
    }
}

struct ToyEngine;

impl Engine<Numbers> for ToyEngine {
    fn last_sequence(&self) -> SequenceNumber {
        SequenceNumber(0)
    }

    fn append(&mut self, _: &Numbers) -> Result<()> {
        Ok(())
    }
}

struct NoPacing;

impl Pacing for NoPacing {
    fn await_company(&self, _: impl Fn() -> bool) {}

    fn time<R>(&self, write: impl FnOnce() -> R) -> R {
        write()
    }

    fn call_leader(&self) {}
}

#[test]
fn a_panicking_leader_answers_its_whole_group_and_the_store_accepts_no_more() {
    let core = Core::new(ToyEngine, Arc::new(RwLock::new(Numbers::default())), NoPacing);
    // Queued and led by nobody yet, so that the panic comes in the middle of one group.
    let pending: Vec<_> = (1..=5).map(|number| core.submit(number, 1).expect("the core is open")).collect();
    thread::scope(|scope| {
        let leader = scope.spawn(|| panic::catch_unwind(AssertUnwindSafe(|| core.lead())));
        assert!(leader.join().expect("caught").is_err());
    });
    for pending in pending {
        assert!(matches!(pending.wait(), Err(StorageError::WriterPanicked)));
    }
    assert!(matches!(core.commit(6, 1), Err(StorageError::WriterPanicked)));
    assert_eq!(core.table().read().0, [0; 0], "nothing of the group is visible");
    core.drain();
}

#[test]
fn a_commit_whose_leader_panics_says_that_its_outcome_is_unknown() {
    let core = Core::new(ToyEngine, Arc::new(RwLock::new(Numbers::default())), NoPacing);
    // The leader panics once the group is written: it is on disk, and nobody will see it before the next opening.
    let pending = core.submit(PANICS_WRITTEN, 1).expect("the core is open");
    thread::scope(|scope| {
        let leader = scope.spawn(|| panic::catch_unwind(AssertUnwindSafe(|| core.lead())));
        assert!(leader.join().expect("caught").is_err());
    });
    let error = pending.wait().unwrap_err();
    assert!(matches!(error, StorageError::WriterPanicked));
    assert!(error.outcome_is_unknown());
}
