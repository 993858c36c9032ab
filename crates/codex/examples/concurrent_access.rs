//! One store, many threads: transactions that conflict and still lose nothing, views that stand still meanwhile, a
//! watcher that sees every change, and commits in flight.
//!
//! Run with `cargo run -p codex --example concurrent_access`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::thread;

use codex::{Batch, KeyChange, Store, View, Watch};

const ACCOUNTS: u64 = 4;
const WRITERS: u64 = 8;
const TRANSFERS: u64 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("bank.db"))?;
    for account in 0..ACCOUNTS {
        store.set(name(account), &1_000)?;
    }
    let before = store.view();
    let changes = store.watch("account:");

    // A clone of a store is the same store; here the threads simply borrow it.
    let bank = &store;
    let conflicts = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || transfer(bank, writer))).collect();
        // Readers never wait for a writer, and see whole transfers only: no money is ever between two accounts.
        for _ in 0..1_000 {
            if total(&store.view())? != ACCOUNTS * 1_000 {
                return Err("a reader has seen half a transfer".into());
            }
        }
        let mut conflicts = 0;
        for writer in writers {
            conflicts += writer.join().map_err(|_| "a writer panicked")??;
        }
        Ok::<u64, Box<dyn Error>>(conflicts)
    })?;
    println!("{WRITERS} threads made {} transfers", WRITERS * TRANSFERS);
    println!("{conflicts} had to be tried again");
    println!("there are {} now, as there were {}", total(&store.view())?, total(&before)?);
    println!("the old view is at commit {}, the store at {}", before.sequence(), store.view().sequence());

    // Many commits from one thread need not wait for each other.
    let pending = (0..100_u64).map(|number| {
        let mut batch = Batch::new();
        batch.set(format!("log:{number:03}"), &number)?;
        store.submit(batch)
    });
    let pending = pending.collect::<codex::Result<Vec<_>>>()?;
    for commit in pending {
        commit.wait()?;
    }
    println!("{} log records", store.prefix("log:").count());

    // Only one thread gets a free name, however many ask for it at the same moment.
    let winners = thread::scope(|scope| {
        let take = || bank.compare_and_swap("name:ada", None, Some(b"taken"));
        let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(take)).collect();
        let mut winners = 0;
        for thread in threads {
            winners += u32::from(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok::<u32, Box<dyn Error>>(winners)
    })?;
    println!("{winners} thread got the name");

    // Closing ends the watch, once all that was committed before has been taken.
    store.close()?;
    let (commits, sets) = count(changes)?;
    println!("the watcher saw {sets} changes in {commits} commits");
    Ok(())
}

/// Moves money about, and counts how often it had to begin again.
fn transfer(store: &Store, writer: u64) -> codex::Result<u64> {
    let mut attempts = 0;
    for round in 0..TRANSFERS {
        let (from, to) = (name((writer + round) % ACCOUNTS), name((writer + round + 1) % ACCOUNTS));
        // What the closure reads must not change before it is committed; if it does, the closure runs again.
        store.transaction(|tx| {
            attempts += 1;
            let (rich, poor): (u64, u64) = (tx.get(&from)?.unwrap_or(0), tx.get(&to)?.unwrap_or(0));
            let amount = rich.min(10);
            tx.set(&from, &(rich - amount))?;
            tx.set(&to, &(poor + amount))
        })?;
    }
    Ok(attempts - TRANSFERS)
}

fn total(view: &View) -> codex::Result<u64> {
    (0..ACCOUNTS).map(|account| Ok(view.get(name(account))?.unwrap_or(0))).sum()
}

/// How many commits a watch has seen, and how many keys they set.
fn count(changes: Watch) -> Result<(usize, usize), Box<dyn Error>> {
    let mut sequences = Vec::new();
    for event in changes {
        let event = event?;
        match event.change {
            KeyChange::Set(_) => sequences.push(event.sequence),
            other => return Err(format!("nobody did this: {other:?}").into()),
        }
    }
    let sets = sequences.len();
    sequences.dedup();
    Ok((sequences.len(), sets))
}

fn name(account: u64) -> String {
    format!("account:{account}")
}
