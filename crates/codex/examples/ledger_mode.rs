//! Ledger mode keeps every commit: the versions of a key, the state at a past point, the commits themselves, and what
//! differs between two points.
//!
//! Run with `cargo run -p codex --example ledger_mode`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use codex::{Batch, Change, Mode, Operation, Options, Point, View};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = Options::new().mode(Mode::Ledger).open(folder.path().join("accounts.db"))?;

    store.set("ada", &100)?;
    store.set("grace", &50)?;
    let mut transfer = Batch::new();
    transfer.set("ada", &70)?;
    transfer.set("grace", &80)?;
    let transfer = store.commit(transfer)?;
    store.delete("grace")?;
    store.set("ada", &65)?;
    store.set("linus", &5)?;

    println!("-- what became of grace, newest first");
    for version in store.history("grace")? {
        let version = version?;
        match version.change {
            Change::Set(entry) => println!("commit {}: {}", version.sequence, entry.decode::<i64>()?),
            Change::Deleted | Change::Cleared => println!("commit {}: gone", version.sequence),
            other => println!("commit {}: {other:?}", version.sequence),
        }
    }

    println!("-- the state after the transfer");
    let past = store.at(Point::Sequence(transfer.sequence))?;
    for entry in past.entries(..) {
        let entry = entry?;
        println!("{}: {}", text(&entry.key), entry.decode::<i64>()?);
    }

    println!("-- the commits from the transfer on");
    for commit in store.log(transfer.sequence..)? {
        let commit = commit?;
        for operation in commit.operations {
            match operation {
                Operation::Set(entry) => {
                    let (key, value) = (text(&entry.key), entry.decode::<i64>()?);
                    println!("commit {} sets {key} to {value}", commit.sequence);
                }
                Operation::Delete(key) => {
                    println!("commit {} deletes {}", commit.sequence, text(&key));
                }
                Operation::Clear => println!("commit {} deletes everything", commit.sequence),
                other => println!("commit {}: {other:?}", commit.sequence),
            }
        }
    }

    println!("-- what has changed since the transfer");
    print_difference(&past, &store.view())?;

    store.close()?;
    Ok(())
}

/// A view answers from memory, so each side can ask the other.
fn print_difference(old: &View, new: &View) -> codex::Result<()> {
    for entry in old.range(..) {
        let (key, before) = entry?;
        match new.get_bytes(&key)? {
            None => println!("- {} {}", text(&key), text(&before)),
            Some(after) if after != before => {
                println!("~ {} {} is now {}", text(&key), text(&before), text(&after));
            }
            Some(_) => {}
        }
    }
    for entry in new.range(..) {
        let (key, value) = entry?;
        if !old.has(&key)? {
            println!("+ {} {}", text(&key), text(&value));
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
