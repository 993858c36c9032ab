//! What to do before a disk dies, and after: a rotation beside the database, a repository elsewhere, restoring, and
//! salvaging what is whole of a damaged file.
//!
//! Run with `cargo run -p codex --example backup_and_recovery`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::fs;
use std::path::Path;

use codex::{
    BackupPolicy, ErrorKind, Mode, Options, Point, RepairOptions, Repository, RestoreOptions, Retention,
    Store, repair, restore,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.db");

    println!("-- a rotation beside the database");
    // One copy at each opening that finds something new; `every(Duration::from_hours(1))` makes them while it is open.
    let options = Options::new().mode(Mode::Ledger).backups(BackupPolicy::keep(3));
    let store = options.open(&path)?;
    store.set("stock:apples", &10)?;
    store.rotate_backup()?;
    store.set("stock:apples", &7)?;
    store.set("stock:pears", &4)?;
    store.rotate_backup()?;
    for backup in store.backups()? {
        println!("{}: {} bytes", name(&backup.path), backup.bytes);
    }

    println!("-- a repository, which may be on another disk");
    let repository = Repository::open_or_create(folder.path().join("backups"))?;
    let first = repository.back_up(&store)?;
    store.set("stock:plums", &9)?;
    let second = repository.back_up(&store)?;
    println!("backup {} holds {} commits", first.number, first.sequence);
    println!("backup {} holds {} commits", second.number, second.sequence);
    println!("the second sent less than the first: {}", second.sent_bytes < first.sent_bytes);
    // The receipt, kept elsewhere, shows whether the repository lost this backup. No key is needed.
    let report = repository.verify(Some(&second.receipt))?;
    println!("{} backups are whole", report.backups);
    // `keep_daily(7).keep_monthly(12)` is more usual. This is a dry run.
    let pruned = repository.prune(Retention::new().keep_last(1), None, true)?;
    println!("pruning would keep {} and remove {}", pruned.kept.len(), pruned.removed.len());

    println!("-- somebody deletes everything");
    store.clear()?;
    store.close()?;

    println!("-- restoring the newest backup, a past point, and a copy of the rotation");
    repository.restore(None, &path, RestoreOptions::new().overwrite(true))?;
    print_stock(&path)?;
    let past = RestoreOptions::new().at(Point::Sequence(first.sequence));
    repository.restore(None, folder.path().join("past.db"), past)?;
    print_stock(&folder.path().join("past.db"))?;
    restore(path.with_extension("db.bak.2"), folder.path().join("older.db"), RestoreOptions::new())?;
    print_stock(&folder.path().join("older.db"))?;

    println!("-- a disk flips a bit of the second commit");
    damage(&path)?;
    match Store::open(&path) {
        Err(error) if error.kind() == ErrorKind::Integrity => println!("opening it: {}", error.kind()),
        other => return Err(format!("the damage is not noticed: {other:?}").into()),
    }
    let salvaged = folder.path().join("salvaged.db");
    let report = repair(&path, &salvaged, RepairOptions::new())?;
    println!("salvaged {} commits, complete: {}", report.commits, report.complete);
    for gap in &report.gaps {
        if let (Some(first), Some(last)) = (gap.first_missing, gap.last_missing) {
            println!("lost: commits {first} to {last}");
        }
    }
    print_stock(&salvaged)?;
    Ok(())
}

fn print_stock(path: &Path) -> codex::Result<()> {
    let store = Options::new().read_only(true).open(path)?;
    let stock = store.entries(..).map(|entry| {
        let entry = entry?;
        Ok(format!("{}={}", String::from_utf8_lossy(&entry.key), entry.decode::<u32>()?))
    });
    println!("{}: {}", name(path), stock.collect::<codex::Result<Vec<_>>>()?.join(" "));
    store.close()
}

/// Flips one bit in the value of the second commit, whose text is found in a database without encryption.
fn damage(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut bytes = fs::read(path)?;
    let text = b"stock:apples";
    let places: Vec<_> = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| window == text)
        .map(|(at, _)| at)
        .collect();
    let [_, second] = places[..] else { return Err("the commits are not where they were".into()) };
    bytes[second] ^= 1;
    fs::write(path, bytes)?;
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
