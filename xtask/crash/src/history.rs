//! Histories: what is done to a database and its disk, decided by a seed alone.
//!
//! A step says everything about itself, so that a history with some steps left out is a history too:
//! that is how a failing one is made short.

use std::fmt;
use std::time::Duration;

use codex_storage::vfs::sim::{DiskError, Fault, Operation, Random};
use codex_storage::{Durability, Mode};

use crate::model::{Change, KEY_COUNT, Value};

/// What holds for a whole history.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Of the database.
    pub mode: Mode,
    /// Whether it has a key.
    pub encrypted: bool,
    /// At the first opening.
    pub durability: Durability,
    /// How many copies the rotation keeps.
    pub keep: u32,
}

/// Steps, and what holds for all of them.
#[derive(Clone, Debug)]
pub struct History {
    /// Decides what faults do, too.
    pub seed: u64,
    /// Of the database.
    pub setup: Setup,
    /// In their order.
    pub steps: Vec<Step>,
}

/// The machine stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// How.
    pub kind: CrashKind,
    /// What happens to the openings that follow.
    pub again: Vec<Again>,
}

/// How a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// The power fails; the seed decides what the disk keeps of what was not synced.
    Power(u64),
    /// The process is killed; what the system was handed stays.
    Kill,
}

/// An opening after a crash meets another crash or a fault, `skip` operations after it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// Operations before it.
    pub skip: u64,
    /// What happens then.
    pub event: AgainEvent,
}

/// What an opening after a crash meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgainEvent {
    /// The machine stops again.
    Crash(CrashKind),
    /// The operation fails.
    Fault(Fault),
}

/// A condition on a commit, on what the database shows when the step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key is as it is.
    Unchanged(usize),
    /// The key was written by a commit that does not exist yet: never holds.
    WrittenInTheFuture(usize),
}

/// A batch, and what it demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// In their order.
    pub changes: Vec<Change>,
    /// If any.
    pub condition: Option<Condition>,
}

/// What is done to the keys of an encrypted database. New keys are new each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// One more.
    Add,
    /// One goes that the database was not opened with, chosen by the number.
    Remove(u64),
    /// Another one in place of the one that the database was opened with.
    Change,
    /// The same, with a new root key.
    Deep,
}

/// Which operation a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The one after as many others.
    Any(u64),
    /// The one of a class after as many others of it.
    Of(Operation, u64),
}

/// One step. Those that need an open database open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One commit.
    Commit(Commit),
    /// Several commits in flight, led by the background.
    Submit(Vec<Commit>),
    /// Makes durable what was acknowledged.
    Flush,
    /// The background does what is due, some milliseconds later.
    Tend(u64),
    /// Rewrites the file, or writes a checkpoint.
    Maintain,
    /// Reads the file again.
    Verify,
    /// Opens a view, to be read later.
    View,
    /// Reads all views.
    ReadViews,
    /// Closes and opens again.
    Reopen(Durability),
    /// Changes what opens the database.
    Keys(KeyChange),
    /// Closes.
    Close,
    /// Opens for reading only: beside a writer that is refused.
    ReadOnly,
    /// A hot copy.
    Backup,
    /// A new copy in the rotation.
    Rotate,
    /// Closes, and puts a copy or one of the rotation in the database's place, chosen by the number.
    Restore(u64),
    /// A backup into the repository.
    Send,
    /// Prunes the repository to its newest backups, as many as the number says.
    Prune(u64),
    /// Closes, and restores the newest backup of the repository or a state shortly before it, as the number says.
    Fetch(u64),
    /// The files are copied as they are, and the steps follow on the copy alone.
    Fork(Vec<Step>),
    /// Rot strikes a copy of the disk, and a bit of the open file, as the seed says.
    Rot(u64),
    /// The machine stops now.
    Crash(Crash),
    /// The machine stops at the operation after as many others from now.
    Stop(u64, Crash),
    /// An operation fails.
    Fail(Aim, Fault),
    /// As many bytes are left on the disk.
    Full(u64),
    /// All faults that did not strike are taken back, and there is space.
    Relent,
}

impl History {
    /// The history that a seed decides.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut writer = Writer { random: Random::new(seed), stamp: 0, large: false };
        let random = &mut writer.random;
        let setup = Setup {
            mode: if random.one_in(2) { Mode::Snapshot } else { Mode::Ledger },
            encrypted: random.chance(70),
            durability: durability(random),
            keep: 1 + u32::from(random.one_in(2)) + u32::from(random.one_in(2)),
        };
        writer.large = random.one_in(60);
        let count = 5 + random.below(36);
        let steps = (0..count).map(|_| writer.step()).collect();
        Self { seed, setup, steps }
    }

    /// This history without the steps that are not listed.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        let steps = kept.iter().filter_map(|index| self.steps.get(*index).cloned()).collect();
        Self { steps, ..*self }
    }
}

/// Writes histories.
struct Writer {
    random: Random,
    /// Of the last value.
    stamp: u32,
    /// Values of a mebibyte come up.
    large: bool,
}

impl Writer {
    fn step(&mut self) -> Step {
        match self.random.below(147) {
            0..35 => Step::Commit(self.commit()),
            35..42 => {
                let count = 2 + self.random.below(5);
                Step::Submit((0..count).map(|_| self.commit()).collect())
            }
            42..47 => Step::Flush,
            47..53 => Step::Tend([0, 300, 1_500][index(self.random.below(3))]),
            53..60 => Step::Maintain,
            60..63 => Step::Verify,
            63..66 => Step::View,
            66..68 => Step::ReadViews,
            68..75 => Step::Reopen(durability(&mut self.random)),
            75..77 => Step::Close,
            77..79 => Step::ReadOnly,
            79..82 => Step::Backup,
            82..86 => Step::Rotate,
            86..90 => Step::Restore(self.random.next_u64()),
            90..92 => Step::Fork(self.fork()),
            92..96 => Step::Rot(self.random.next_u64()),
            96..102 => Step::Crash(self.crash()),
            102..115 => {
                let skip = self.skip();
                Step::Stop(skip, self.crash())
            }
            115..123 => Step::Fail(self.aim(), self.fault()),
            123..126 => Step::Full(self.random.below(100_000)),
            126..135 => Step::Keys(self.key_change()),
            135..140 => Step::Send,
            140..141 => Step::Prune(self.random.next_u64()),
            141..143 => Step::Fetch(self.random.next_u64()),
            _ => Step::Relent,
        }
    }

    fn key_change(&mut self) -> KeyChange {
        match self.random.below(8) {
            0..2 => KeyChange::Add,
            2..4 => KeyChange::Remove(self.random.next_u64()),
            4..6 => KeyChange::Change,
            _ => KeyChange::Deep,
        }
    }

    fn commit(&mut self) -> Commit {
        let count = [0, 1, 1, 1, 2, 3, 8][index(self.random.below(7))];
        let changes = (0..count).map(|_| self.change()).collect();
        let condition = match self.random.below(8) {
            0 => Some(Condition::Unchanged(self.key())),
            1 if self.random.one_in(3) => Some(Condition::WrittenInTheFuture(self.key())),
            _ => None,
        };
        Commit { changes, condition }
    }

    fn change(&mut self) -> Change {
        match self.random.below(20) {
            0 => Change::Clear,
            1..5 => Change::Delete(self.key()),
            _ => {
                self.stamp += 1;
                let len = match self.random.below(100) {
                    0..60 => self.random.below(40),
                    60..90 => self.random.below(1_500),
                    90..96 => self.random.below(20_000),
                    _ if self.large => self.random.below(1_300_000),
                    _ => 8,
                };
                let len = u32::try_from(len).expect("values are small");
                Change::Set(self.key(), Value { stamp: self.stamp, len })
            }
        }
    }

    fn key(&mut self) -> usize {
        index(self.random.below(KEY_COUNT as u64))
    }

    /// Most operations follow soon; few histories have more than a hundred.
    fn skip(&mut self) -> u64 {
        let bound = [6, 20, 60][index(self.random.below(3))];
        self.random.below(bound)
    }

    fn crash(&mut self) -> Crash {
        let kind = self.crash_kind();
        let count = [0, 0, 0, 1, 1, 2][index(self.random.below(6))];
        let again = (0..count)
            .map(|_| Again {
                skip: self.random.below(30),
                event: if self.random.chance(70) {
                    AgainEvent::Crash(self.crash_kind())
                } else {
                    AgainEvent::Fault(self.fault())
                },
            })
            .collect();
        Crash { kind, again }
    }

    fn crash_kind(&mut self) -> CrashKind {
        if self.random.chance(70) { CrashKind::Power(self.random.next_u64()) } else { CrashKind::Kill }
    }

    fn aim(&mut self) -> Aim {
        if self.random.one_in(2) {
            return Aim::Any(self.skip());
        }
        let class = FAILING[index(self.random.below(FAILING.len() as u64))];
        Aim::Of(class, self.random.below(6))
    }

    fn fault(&mut self) -> Fault {
        let error = if self.random.one_in(2) { DiskError::Io } else { DiskError::NoSpace };
        if self.random.one_in(2) { Fault::Before(error) } else { Fault::Midway(error) }
    }

    fn fork(&mut self) -> Vec<Step> {
        let count = 1 + self.random.below(4);
        (0..count)
            .map(|_| match self.random.below(5) {
                0 => Step::Maintain,
                2 => Step::Keys(self.key_change()),
                1 => Step::Crash(self.crash()),
                _ => Step::Commit(self.commit()),
            })
            .collect()
    }
}

fn durability(random: &mut Random) -> Durability {
    match random.below(4) {
        0 => INTERVAL,
        1 => Durability::Buffered,
        _ => Durability::Sync,
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

/// No time passes by itself, so that the length of the interval says nothing.
pub const INTERVAL: Durability = Durability::Interval(Duration::from_hours(1));

/// What the classes are from which a fault chooses.
const FAILING: [Operation; 12] = [
    Operation::Write,
    Operation::Write,
    Operation::Sync,
    Operation::Sync,
    Operation::SetLen,
    Operation::Rename,
    Operation::SyncDirectory,
    Operation::Create,
    Operation::Remove,
    Operation::Reserve,
    Operation::Read,
    Operation::Open,
];

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, encrypted, durability, keep } = self;
        let sealed = if *encrypted { "encrypted" } else { "plaintext" };
        write!(f, "{mode} mode, {sealed}, {durability:?}, {keep} in the rotation")
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<_> = self.changes.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", changes.join(", "))?;
        match self.condition {
            None => Ok(()),
            Some(Condition::Unchanged(key)) => write!(f, " if {key} is as it is now"),
            Some(Condition::WrittenInTheFuture(key)) => write!(f, " if a later commit wrote {key}"),
        }
    }
}

impl fmt::Display for CrashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Power(seed) => write!(f, "the power fails (seed {seed})"),
            Self::Kill => f.write_str("the process is killed"),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        for Again { skip, event } in &self.again {
            write!(f, "; after {skip} operations of the next opening ")?;
            match event {
                AgainEvent::Crash(kind) => kind.fmt(f)?,
                AgainEvent::Fault(fault) => write!(f, "one fails: {fault:?}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => write!(f, "commit {commit}"),
            Self::Submit(commits) => {
                let commits: Vec<_> = commits.iter().map(ToString::to_string).collect();
                write!(f, "submit {}", commits.join(" and "))
            }
            Self::Flush => f.write_str("flush"),
            Self::Tend(ms) => write!(f, "the background, after {ms} ms"),
            Self::Maintain => f.write_str("compact, or write a checkpoint"),
            Self::Verify => f.write_str("verify"),
            Self::View => f.write_str("open a view"),
            Self::ReadViews => f.write_str("read the views"),
            Self::Reopen(durability) => write!(f, "close and open with {durability:?}"),
            Self::Keys(KeyChange::Add) => f.write_str("add a key"),
            Self::Keys(KeyChange::Remove(number)) => write!(f, "remove key {number} of the others there are"),
            Self::Keys(KeyChange::Change) => f.write_str("change the key"),
            Self::Keys(KeyChange::Deep) => f.write_str("change the key and the root key"),
            Self::Close => f.write_str("close"),
            Self::ReadOnly => f.write_str("open for reading only"),
            Self::Backup => f.write_str("back up"),
            Self::Rotate => f.write_str("rotate the backups"),
            Self::Restore(number) => write!(f, "close and restore backup {number} of those there are"),
            Self::Send => f.write_str("back up into the repository"),
            Self::Prune(choice) => write!(f, "prune the repository to its newest {}", 1 + choice % 3),
            Self::Fetch(choice) => match choice % 3 {
                0 => f.write_str("close and restore from the repository"),
                before => {
                    write!(f, "close and restore from the repository, {before} commits before its last")
                }
            },
            Self::Fork(steps) => {
                let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
                write!(f, "on a copy of the files alone: {}", steps.join("; "))
            }
            Self::Rot(seed) => write!(f, "rot (seed {seed})"),
            Self::Crash(crash) => write!(f, "{crash}"),
            Self::Stop(skip, crash) => write!(f, "after {skip} operations from now {crash}"),
            Self::Fail(Aim::Any(skip), fault) => write!(f, "after {skip} operations one fails: {fault:?}"),
            Self::Fail(Aim::Of(class, skip), fault) => {
                write!(f, "after {skip} of {class:?} one fails: {fault:?}")
            }
            Self::Full(room) => write!(f, "{room} bytes are left on the disk"),
            Self::Relent => f.write_str("no faults any more, and space"),
        }
    }
}
