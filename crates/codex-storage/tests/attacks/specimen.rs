//! Small databases to attack, each with all that the referee must know of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use codex_crypto::{EncryptionKey, PassphraseCost, Unlock};
use codex_storage::clock::Clock;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, Database, Durability, Mode, NewKey, OpenOptions, Result};

use crate::referee::Referee;

pub(crate) const PATH: &str = "/app.db";
pub(crate) const CHECKPOINT: &str = "/app.db.ckpt";
pub(crate) const LOCK: &str = "/app.db.lock";
pub(crate) const TORN: &str = "/app.db.torn";

/// What a database holds: stored values by key.
pub(crate) type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The bytes of a database, and of the checkpoint beside it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) database: Vec<u8>,
    pub(crate) checkpoint: Option<Vec<u8>>,
}

/// A database at rest.
pub(crate) struct Specimen {
    pub(crate) name: &'static str,
    pub(crate) encrypted: bool,
    pub(crate) files: Files,
    pub(crate) referee: Referee,
}

/// A clock that stands still, so that no floor is written because time passes.
#[derive(Debug)]
struct StillClock;

impl Clock for StillClock {
    fn wall_ns(&self) -> u64 {
        1
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

pub(crate) fn unlock(encrypted: bool) -> Option<Unlock> {
    encrypted.then(|| Unlock::from(EncryptionKey::from_bytes([7; 32])))
}

pub(crate) fn options(disk: &SimVfs) -> OpenOptions {
    OpenOptions {
        create: false,
        vfs: Arc::new(disk.clone()),
        clock: Arc::new(StillClock),
        passphrase_cost: PassphraseCost::MINIMUM,
        ..OpenOptions::default()
    }
}

/// A database in the making.
pub(crate) struct Making {
    pub(crate) disk: SimVfs,
    encrypted: bool,
    mode: Mode,
    durability: Durability,
    database: Option<Database>,
    state: State,
    sequence: u64,
    pub(crate) referee: Referee,
}

pub(crate) enum Change {
    Set(&'static str, Vec<u8>),
    Delete(&'static str),
    Clear,
}

impl Making {
    pub(crate) fn new(mode: Mode, encrypted: bool, durability: Durability) -> Self {
        let disk = SimVfs::new(1);
        let mut making = Self {
            disk,
            encrypted,
            mode,
            durability,
            database: None,
            state: State::new(),
            sequence: 0,
            referee: Referee::default(),
        };
        making.open().expect("a new database");
        making.learn();
        making
    }

    /// The same database, copied to another disk; both go on apart. Must be closed.
    pub(crate) fn fork(&self) -> Self {
        assert!(self.database.is_none(), "a fork is a copy of a database at rest");
        let mut fork = Self {
            disk: self.disk.snapshot(),
            encrypted: self.encrypted,
            mode: self.mode,
            durability: self.durability,
            database: None,
            state: self.state.clone(),
            sequence: self.sequence,
            referee: self.referee.clone(),
        };
        fork.open().expect("a whole copy");
        fork
    }

    pub(crate) fn open(&mut self) -> Result<()> {
        let (mode, durability) = (Some(self.mode), self.durability);
        let options = OpenOptions { create: true, mode, durability, ..options(&self.disk) };
        self.database = Some(options.open(Path::new(PATH), unlock(self.encrypted).as_ref())?);
        Ok(())
    }

    pub(crate) fn database(&self) -> &Database {
        self.database.as_ref().expect("open")
    }

    pub(crate) fn commit(&mut self, changes: impl IntoIterator<Item = Change>) {
        let mut batch = Batch::new();
        for change in changes {
            match change {
                Change::Set(key, value) => {
                    batch.set(key.as_bytes(), &[&value]).expect("within bounds");
                    self.state.insert(key.into(), value);
                }
                Change::Delete(key) => {
                    batch.delete(key.as_bytes()).expect("within bounds");
                    self.state.remove(key.as_bytes());
                }
                Change::Clear => {
                    batch.clear();
                    self.state.clear();
                }
            }
        }
        self.database().commit(batch).expect("the disk is sound");
        self.sequence += 1;
        self.referee.acknowledge(self.sequence, &self.state);
    }

    /// Five commits with all operations.
    pub(crate) fn commit_five(&mut self, mark: u8) {
        self.commit([Change::Set("a", vec![mark; 30]), Change::Set("b", b"two".to_vec())]);
        self.commit([Change::Delete("a"), Change::Set("c", vec![mark; 300])]);
        self.commit([Change::Clear, Change::Set("d", vec![mark; 10])]);
        self.commit([Change::Set("e", Vec::new())]);
        self.commit([Change::Set("d", vec![mark; 20])]);
    }

    /// Rewrites, or writes a checkpoint.
    pub(crate) fn maintain(&mut self) {
        self.learn();
        match self.mode {
            Mode::Snapshot => self.database().compact().expect("the disk is sound"),
            Mode::Ledger => self.database().checkpoint().expect("the disk is sound"),
        }
        self.learn();
        if let Some(checkpoint) = self.files().checkpoint {
            self.referee.learn_checkpoint(&checkpoint, &self.files().database);
        }
    }

    /// Puts another root key behind the same key, for what is written from now on.
    pub(crate) fn change_root_key(&mut self) {
        self.learn();
        let same = unlock(true).expect("it is encrypted");
        self.database().change_key_deep(&NewKey::from(same)).expect("the disk is sound");
        self.learn();
    }

    pub(crate) fn close(&mut self) {
        self.learn();
        self.database.take().expect("open").close().expect("the disk is sound");
        self.learn();
    }

    /// The files as they are now.
    pub(crate) fn files(&self) -> Files {
        Files {
            database: self.disk.read_file(PATH).expect("it is there"),
            checkpoint: self.disk.read_file(CHECKPOINT).ok(),
        }
    }

    /// Tells the referee of all that stands in the file now.
    pub(crate) fn learn(&mut self) {
        let files = self.files();
        self.referee.learn(&files.database, self.encrypted);
    }

    /// Ends the making with the files as a killed process leaves them, most of the space set aside left out.
    pub(crate) fn killed(mut self, name: &'static str) -> Specimen {
        self.learn();
        let mut files = self.files();
        let end = self.database().head().offset;
        files.database.truncate(usize::try_from(end).expect("small") + SPACE_KEPT);
        Specimen { name, encrypted: self.encrypted, files, referee: self.referee }
    }

    pub(crate) fn closed(mut self, name: &'static str) -> Specimen {
        self.close();
        Specimen { name, encrypted: self.encrypted, files: self.files(), referee: self.referee }
    }
}

/// Bytes of space set aside that a specimen keeps.
const SPACE_KEPT: usize = 600;

/// One of each kind, all of them short.
pub(crate) fn all() -> Vec<Specimen> {
    let five = |mode, encrypted| {
        let mut making = Making::new(mode, encrypted, Durability::Sync);
        making.commit_five(1);
        making
    };
    let maintained = |mode, encrypted| {
        let mut making = five(mode, encrypted);
        making.maintain();
        making.commit_five(2);
        making
    };
    let reopened = |mode, encrypted| {
        let mut making = five(mode, encrypted);
        making.close();
        making.open().expect("it is whole");
        making.commit_five(2);
        making
    };
    let mut stale = maintained(Mode::Ledger, true);
    stale.close();
    stale.open().expect("it is whole");
    stale.commit_five(3);
    vec![
        five(Mode::Snapshot, false).killed("snapshot, plaintext, killed"),
        five(Mode::Snapshot, true).closed("snapshot, encrypted, closed"),
        maintained(Mode::Snapshot, true).killed("snapshot with base, encrypted, killed"),
        maintained(Mode::Snapshot, false).closed("snapshot with base, plaintext, closed"),
        reopened(Mode::Ledger, true).killed("ledger, encrypted, reopened and killed"),
        maintained(Mode::Ledger, false).closed("ledger with checkpoint, plaintext, closed"),
        stale.killed("ledger with checkpoint, encrypted, reopened and killed"),
        groups().killed("groups of several commits, encrypted, killed"),
        rekeyed(),
    ]
}

/// A ledger that was sealed under three root keys, one after the other.
pub(crate) fn rekeyed() -> Specimen {
    let mut making = Making::new(Mode::Ledger, true, Durability::Sync);
    making.commit_five(1);
    making.change_root_key();
    making.commit_five(2);
    making.maintain();
    making.change_root_key();
    making.maintain();
    making.commit_five(3);
    making.killed("ledger under three root keys, with checkpoint, killed")
}

/// Groups of several commits. Which commits go together is up to the threads, but some do in the end.
fn groups() -> Making {
    loop {
        let mut making = Making::new(Mode::Ledger, true, Durability::Buffered);
        for mark in 0..3 {
            making.commit_five(mark);
            making.database().flush().expect("the disk is sound");
        }
        making.learn();
        if making.referee.largest_group() > 2 {
            return making;
        }
    }
}

/// A database and a copy of it that went on apart: same id, same root key, same lengths, other commits.
/// Each referee knows all of both.
pub(crate) fn twins(mode: Mode, encrypted: bool) -> [Specimen; 2] {
    let mut one = Making::new(mode, encrypted, Durability::Sync);
    one.commit_five(1);
    one.maintain();
    one.commit_five(2);
    one.close();
    let mut other = one.fork();
    one.open().expect("it is whole");
    for (twin, mark) in [(&mut one, 3), (&mut other, 4)] {
        twin.commit_five(mark);
        twin.close();
        twin.open().expect("it is whole");
        twin.commit_five(mark + 2);
        if mode == Mode::Ledger {
            twin.maintain();
        }
        twin.commit_five(mark + 4);
    }
    let mut twins = [one.killed("one twin"), other.killed("the other twin")];
    let learned = twins[1].referee.clone();
    twins[0].referee.join(learned);
    twins[1].referee = twins[0].referee.clone();
    twins
}

/// A commit that spans three frames, between short ones.
pub(crate) fn spanning() -> Vec<Specimen> {
    let make = |mode, encrypted| {
        let mut making = Making::new(mode, encrypted, Durability::Sync);
        making.commit([Change::Set("before", b"1".to_vec())]);
        let value = (0..2_200_000_u32).map(|index| (index % 251).to_le_bytes()[0]).collect();
        making.commit([Change::Set("large", value), Change::Set("with it", b"2".to_vec())]);
        making.commit([Change::Set("after", b"3".to_vec())]);
        making
    };
    let mut last = Making::new(Mode::Ledger, false, Durability::Sync);
    last.commit([Change::Set("before", b"1".to_vec())]);
    last.commit([Change::Set("large", vec![5; 1_100_000])]);
    vec![
        make(Mode::Snapshot, true).killed("one commit over three frames, encrypted, killed"),
        last.killed("one commit over two frames at the end, plaintext, killed"),
    ]
}
