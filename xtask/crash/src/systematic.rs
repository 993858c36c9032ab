//! Scripts without chance: each of their operations is made to crash and to fail, one after the other, to the end,
//! and so is each operation of the opening that follows a crash.

use codex_storage::vfs::sim::{DiskError, Fault};
use codex_storage::{Durability, Mode};

use crate::history::{
    Again, AgainEvent, Aim, Commit, Crash, CrashKind, History, INTERVAL, KeyChange, Setup, Step,
};
use crate::model::{Change, Value};
use crate::world::World;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every operation crashes and fails.
    Operations,
    /// The same, and every operation of the opening behind each crash crashes and fails as well.
    Recoveries,
}

/// One script in every mode, with and without a key, with every durability.
#[must_use]
pub fn scripts() -> Vec<History> {
    let mut scripts = Vec::new();
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for encrypted in [false, true] {
            for durability in [Durability::Sync, INTERVAL, Durability::Buffered] {
                let setup = Setup { mode, encrypted, durability, keep: 2 };
                scripts.push(History { seed: 1, setup, steps: life(durability) });
            }
        }
    }
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for encrypted in [false, true] {
            let setup = Setup { mode, encrypted, durability: Durability::Sync, keep: 1 };
            scripts.push(History { seed: 1, setup, steps: repository() });
        }
    }
    scripts
}

/// What a database can go through, once.
fn life(durability: Durability) -> Vec<Step> {
    let mut stamp = 0;
    let mut set = |key, len| {
        stamp += 1;
        Change::Set(key, Value { stamp, len })
    };
    let commit = |changes: &[Change]| Step::Commit(Commit { changes: changes.to_vec(), condition: None });
    let one = |change| Commit { changes: vec![change], condition: None };
    vec![
        commit(&[set(0, 30), set(1, 600)]),
        commit(&[set(2, 700)]),
        Step::View,
        Step::Submit(vec![one(set(3, 9)), one(Change::Delete(1)), one(set(4, 300))]),
        Step::Tend(300),
        commit(&[set(8, 2_000)]),
        Step::Keys(KeyChange::Add),
        Step::Maintain,
        commit(&[set(5, 100)]),
        Step::Flush,
        Step::Rotate,
        commit(&[Change::Clear, set(6, 40)]),
        Step::Backup,
        Step::Keys(KeyChange::Deep),
        commit(&[set(7, 1_000)]),
        Step::Keys(KeyChange::Add),
        Step::Keys(KeyChange::Change),
        Step::Keys(KeyChange::Remove(0)),
        Step::Reopen(durability),
        Step::Rotate,
        commit(&[set(0, 10)]),
        Step::Rotate,
        commit(&[set(1, 10)]),
        Step::Maintain,
        Step::Restore(0),
        commit(&[set(2, 500)]),
        Step::Maintain,
        Step::Tend(1_500),
        Step::Tend(1_500),
        Step::Keys(KeyChange::Deep),
        commit(&[set(3, 80)]),
        Step::Close,
        Step::ReadOnly,
        Step::ReadViews,
    ]
}

/// What a repository can go through beside changes of keys, once.
fn repository() -> Vec<Step> {
    let mut stamp = 0;
    let mut commit = |key, len| {
        stamp += 1;
        let changes = vec![Change::Set(key, Value { stamp, len })];
        Step::Commit(Commit { changes, condition: None })
    };
    vec![
        commit(0, 30),
        commit(1, 600),
        Step::Send,
        Step::Keys(KeyChange::Add),
        commit(2, 40),
        Step::Send,
        Step::Keys(KeyChange::Change),
        Step::Keys(KeyChange::Remove(0)),
        commit(0, 50),
        Step::Send,
        // Two are kept, one goes.
        Step::Prune(1),
        Step::Keys(KeyChange::Deep),
        commit(3, 300),
        Step::Send,
        Step::Maintain,
        commit(4, 20),
        commit(5, 20),
        Step::Send,
        // The newest backup, which goes on; then the state before its last commit, which is a fork.
        Step::Fetch(0),
        commit(6, 20),
        Step::Send,
        Step::Fetch(1),
        commit(7, 30),
        Step::Send,
        Step::Prune(0),
        Step::Close,
    ]
}

/// All cases of a script. Each is the script behind one step that says what happens where.
pub fn cases(script: &History, depth: Depth) -> impl Iterator<Item = History> {
    // What an opening behind a crash meets does not depend on what is in a repository.
    let depth = if script.steps.contains(&Step::Send) { Depth::Operations } else { depth };
    let mut world = World::new(script);
    for step in &script.steps {
        world.step(step).expect("a script succeeds where nothing happens");
    }
    let (count, script) = (world.operations(), script.clone());
    let events = (0..count).flat_map(move |at| {
        let power = |seed| CrashKind::Power(at * SEEDS + seed);
        let crash = |kind, again| Step::Stop(at, Crash { kind, again });
        let mut events: Vec<Step> = (0..SEEDS).map(|seed| crash(power(seed), Vec::new())).collect();
        events.push(crash(CrashKind::Kill, Vec::new()));
        events.extend(FAULTS.iter().map(|fault| Step::Fail(Aim::Any(at), *fault)));
        if depth == Depth::Recoveries {
            for skip in 0..RECOVERY_LEN {
                let mut again = |kind, event| events.push(crash(kind, vec![Again { skip, event }]));
                again(power(0), AgainEvent::Crash(power(skip)));
                again(CrashKind::Kill, AgainEvent::Crash(power(skip)));
                let fault = FAULTS[usize::try_from((at + skip) % 4).expect("below four")];
                again(power(1), AgainEvent::Fault(fault));
            }
        }
        events
    });
    events.map(move |event| {
        let steps = std::iter::once(event).chain(script.steps.iter().cloned()).collect();
        History { steps, ..script }
    })
}

const FAULTS: [Fault; 4] = [
    Fault::Before(DiskError::Io),
    Fault::Midway(DiskError::Io),
    Fault::Before(DiskError::NoSpace),
    Fault::Midway(DiskError::NoSpace),
];
/// What a power loss leaves, for each operation.
const SEEDS: u64 = 3;
/// More operations than an opening behind a crash has.
const RECOVERY_LEN: u64 = 45;
