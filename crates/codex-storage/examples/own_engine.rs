//! The commit core around an engine and a table of one's own: accounts that never go below zero, and a journal of
//! transfers as lines of text.
//!
//! The core brings what is hard: many writers share one write and one sync, each commit is decided in the order of the
//! journal, and readers see whole groups that are durable already. The engine here writes the lines; the table decides.
//! It all stands on a simulated disk, so that the end can be a loss of power. What the journal lacks beside the log of
//! `codex_storage::Database`: it cannot tell a torn end from damage to what was acknowledged.
//!
//! Run with `cargo run -p codex-storage --example own_engine`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::thread;

use codex_crypto::sha256;
use codex_storage::core::{Core, Engine, Pacing, Table, TableGroup};
use codex_storage::sync::{Arc, RwLock};
use codex_storage::vfs::sim::SimVfs;
use codex_storage::vfs::{Access, File, Vfs};
use codex_storage::{Result, SequenceNumber, StorageError};

/// One commit: money goes from an account to another. New money comes from the `bank`, which has no bottom.
#[derive(Clone, Debug)]
struct Transfer {
    from: String,
    to: String,
    amount: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done(SequenceNumber),
    NotEnoughMoney,
}

/// The transfers that are written together; the first has the sequence number `first`.
struct Group {
    first: SequenceNumber,
    transfers: Vec<Transfer>,
}

impl TableGroup for Group {
    fn starting_at(first: SequenceNumber) -> Self {
        Self { first, transfers: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.transfers.is_empty()
    }
}

/// What readers see.
#[derive(Debug, Default)]
struct Accounts(BTreeMap<String, u64>);

impl Accounts {
    fn make(&mut self, transfer: &Transfer) {
        if transfer.from != BANK {
            *self.0.entry(transfer.from.clone()).or_default() -= transfer.amount;
        }
        *self.0.entry(transfer.to.clone()).or_default() += transfer.amount;
    }

    fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl Table for Accounts {
    type Commit = Transfer;
    type Group = Group;
    type Outcome = Outcome;
    type Garbage = ();

    /// Decides with what the group has before it: the table does not show that yet.
    fn admit(&self, transfer: Transfer, group: &mut Group) -> Outcome {
        let amounts = |takes: fn(&Transfer) -> &String| -> u64 {
            let concerned = group.transfers.iter().filter(|earlier| *takes(earlier) == transfer.from);
            concerned.map(|earlier| earlier.amount).sum()
        };
        let has = self.0.get(&transfer.from).copied().unwrap_or(0) + amounts(|earlier| &earlier.to);
        if transfer.from != BANK && has < amounts(|earlier| &earlier.from) + transfer.amount {
            return Outcome::NotEnoughMoney;
        }
        group.transfers.push(transfer);
        Outcome::Done(group.first.plus(group.transfers.len() as u64 - 1))
    }

    fn apply(&mut self, group: &mut Group, (): &mut ()) -> bool {
        group.transfers.drain(..).for_each(|transfer| self.make(&transfer));
        true
    }
}

/// The journal: one line for each transfer, which ends with a checksum over its number and text.
struct Journal {
    file: Arc<dyn File>,
    /// Where the next line goes.
    end: u64,
    last: SequenceNumber,
    /// The first failure. What became of it on disk is unknown, so nothing is written behind it.
    failure: Option<Arc<StorageError>>,
}

impl Journal {
    /// Opens the journal or makes it, and gives the accounts that it leads to.
    fn open(vfs: &dyn Vfs) -> Result<(Self, Accounts)> {
        let io = |action| StorageError::io(action, Path::new(PATH));
        let file = match vfs.kind(Path::new(PATH)).map_err(io("look at"))? {
            Some(_) => vfs.open(Path::new(PATH), Access::Write).map_err(io("open"))?,
            None => vfs.create_new(Path::new(PATH)).map_err(io("create"))?,
        };
        vfs.sync_directory(Path::new("/")).map_err(io("make durable the name of"))?;
        let len = usize::try_from(file.len().map_err(io("measure"))?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0).map_err(io("read"))?;

        let (mut journal, mut accounts) =
            (Self { file, end: 0, last: SequenceNumber(0), failure: None }, Accounts::default());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(transfer) = read_line(line, journal.last.plus(1)) else { break };
            accounts.make(&transfer);
            journal.end += line.len() as u64;
            journal.last = journal.last.plus(1);
        }
        // The rest was never acknowledged. It goes before anything is written behind it.
        journal.file.set_len(journal.end).and_then(|()| journal.file.sync()).map_err(io("cut"))?;
        Ok((journal, accounts))
    }

    fn write(&mut self, lines: &str) -> Result<()> {
        let written = self.file.write_all_at(lines.as_bytes(), self.end).and_then(|()| self.file.sync());
        written.map_err(StorageError::io("write", Path::new(PATH)))
    }
}

impl Engine<Group> for Journal {
    fn last_sequence(&self) -> SequenceNumber {
        self.last
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        if let Some(source) = &self.failure {
            return Err(StorageError::WritesStopped { source: source.clone() });
        }
        let numbered = (group.first.0..).zip(&group.transfers);
        let lines: String =
            numbered.map(|(number, transfer)| line(SequenceNumber(number), transfer)).collect();
        if let Err(error) = self.write(&lines) {
            let source = Arc::new(error);
            self.failure = Some(source.clone());
            return Err(StorageError::OutcomeUnknown { source });
        }
        self.end += lines.len() as u64;
        self.last = group.first.plus(group.transfers.len() as u64 - 1);
        Ok(())
    }
}

fn line(number: SequenceNumber, transfer: &Transfer) -> String {
    let Transfer { from, to, amount } = transfer;
    let text = format!("{from} {to} {amount}");
    format!("{text} {}\n", checksum(number, &text))
}

/// The transfer of a line, if that is whole and has this number.
fn read_line(line: &[u8], number: SequenceNumber) -> Option<Transfer> {
    let (text, found) = str::from_utf8(line).ok()?.strip_suffix('\n')?.rsplit_once(' ')?;
    if found != checksum(number, text) {
        return None;
    }
    let mut words = text.split(' ');
    let (from, to) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Transfer { from, to, amount: words.next()?.parse().ok()? })
}

fn checksum(number: SequenceNumber, text: &str) -> String {
    sha256(&[&number.0.to_le_bytes(), text.as_bytes()]).to_string()
}

/// A leader does not wait for company: who comes while it writes is in the next group anyway.
struct AtOnce;

impl Pacing for AtOnce {
    fn await_company(&self, _all_here: impl Fn() -> bool) {}

    fn time<R>(&self, write: impl FnOnce() -> R) -> R {
        write()
    }

    /// Only what was submitted waits without a writer, and here nothing is.
    fn call_leader(&self) {}
}

type Bank = Core<Journal, Accounts, AtOnce>;

fn open(disk: &SimVfs) -> Result<Bank> {
    let (journal, accounts) = Journal::open(disk)?;
    Ok(Core::new(journal, Arc::new(RwLock::new(accounts)), AtOnce))
}

fn transfer(bank: &Bank, from: &str, to: &str, amount: u64) -> Result<Outcome> {
    let transfer = Transfer { from: from.to_owned(), to: to.to_owned(), amount };
    let len = line(SequenceNumber(0), &transfer).len() as u64;
    bank.commit(transfer, len)
}

fn main() -> Result<(), Box<dyn Error>> {
    let disk = SimVfs::new(1);
    let bank = open(&disk)?;
    println!("{:?}", transfer(&bank, BANK, "ada", 100)?);
    println!("{:?}", transfer(&bank, "ada", "grace", 30)?);
    println!("{:?}", transfer(&bank, "grace", "ada", 31)?);

    // Ada has 70. However the threads meet, she cannot spend it twice.
    let done = thread::scope(|scope| {
        let spend = || transfer(&bank, "ada", "shop", 10);
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(spend)).collect();
        let outcomes =
            threads.into_iter().map(|thread| thread.join().map_err(|_| StorageError::WriterPanicked)?);
        outcomes.collect::<Result<Vec<_>>>()
    })?;
    let done = done.iter().filter(|outcome| **outcome != Outcome::NotEnoughMoney).count();
    println!("{done} of 16 bought something: {:?}", bank.table().read().0);

    // The power fails, whatever was not synced is lost or torn, and what was acknowledged is there.
    let total = bank.table().read().total();
    for seed in 0..100 {
        let bank = open(&disk.crash(seed))?;
        if bank.table().read().total() != total {
            return Err(format!("money is gone after the loss of power with seed {seed}").into());
        }
    }
    println!("after each of 100 power losses there are {total}");

    bank.drain();
    println!("{:?}", transfer(&bank, BANK, "ada", 1).map_err(|error| error.to_string()));
    Ok(())
}

const PATH: &str = "/journal";
const BANK: &str = "bank";
