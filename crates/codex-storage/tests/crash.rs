//! A short history is stopped, or made to fail, at every one of its operations; then the disk keeps any part of
//! what was not synced. Whatever was acknowledged as durable must be there, in whole commits, without a hole.
#![cfg(not(loom))]

use std::path::Path;
use std::time::Duration;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, MachineOff, Operation, SimVfs};
use codex_storage::{Batch, Database, Durability, Mode, OpenOptions, Result, StorageError};

const PATH: &str = "/folder/app.db";
const DURABILITIES: [Durability; 3] =
    [Durability::Sync, Durability::Interval(Duration::from_hours(1)), Durability::Buffered];

fn unlock() -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([7; 32]))
}

fn open(disk: &SimVfs, mode: Mode, durability: Durability) -> Result<Database> {
    let vfs = Arc::new(disk.clone());
    let options = OpenOptions { vfs, durability, mode: Some(mode), ..OpenOptions::default() };
    options.open(Path::new(PATH), Some(&unlock()))
}

/// What the referee knows: commits that were acknowledged, and those among them that must survive.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    tried: u64,
    durable: u64,
}

/// Eight commits: the counter is set in each, commit 3 spans frames, commit 5 follows a rewrite or checkpoint.
fn history(disk: &SimVfs, mode: Mode, durability: Durability) -> (Known, Result<()>) {
    let mut known = Known::default();
    let result = steps(disk, mode, durability, &mut known);
    (known, result)
}

fn steps(disk: &SimVfs, mode: Mode, durability: Durability, known: &mut Known) -> Result<()> {
    let database = open(disk, mode, durability)?;
    for number in 1..=8_u64 {
        let mut batch = Batch::new();
        batch.set(b"counter", &[&number.to_le_bytes()])?;
        batch.set(format!("commit {number}").as_bytes(), &[&[7; 100]])?;
        if number == 3 {
            batch.set(b"large", &[&vec![9; 1_100_000]])?;
        }
        if number == 4 {
            batch.delete(b"large")?;
        }
        known.tried = number;
        database.commit(batch)?;
        if durability == Durability::Sync {
            known.durable = number;
        }
        if number == 4 {
            match mode {
                Mode::Snapshot => database.compact()?,
                Mode::Ledger => database.checkpoint()?,
            }
            known.durable = number;
        }
        if number == 6 {
            database.flush()?;
            known.durable = number;
        }
    }
    database.close()?;
    known.durable = known.tried;
    Ok(())
}

/// Opens what is left, and demands a whole prefix of the commits that holds all that was durable.
fn judge(disk: &SimVfs, mode: Mode, known: Known, place: &str) {
    let database = open(disk, mode, Durability::Sync).unwrap_or_else(|error| panic!("{place}: {error:?}"));
    let found = found(&database);
    assert!(found >= known.durable && found <= known.tried, "{place}: {found} of {known:?}");
    for number in 1..=8_u64 {
        let there = database.has(format!("commit {number}").as_bytes());
        assert_eq!(there, number <= found, "{place}: commit {number} with the counter at {found}");
    }
    assert_eq!(
        database.has(b"large"),
        found == 3,
        "{place}: a commit over several frames, whole or not at all"
    );
    database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
    let mut batch = Batch::new();
    batch.set(b"after", &[b"1"]).expect("within bounds");
    database.commit(batch).unwrap_or_else(|error| panic!("{place}: {error:?}"));
    database.close().unwrap_or_else(|error| panic!("{place}: {error:?}"));
    let database = open(disk, mode, Durability::Sync).unwrap_or_else(|error| panic!("{place}: {error:?}"));
    assert!(database.has(b"after"), "{place}");
}

fn found(database: &Database) -> u64 {
    database.get(b"counter").map_or(0, |(record, _)| {
        u64::from_le_bytes(record.value().try_into().expect("a counter has eight bytes"))
    })
}

fn folder() -> SimVfs {
    SimVfs::new(1)
}

#[test]
fn a_power_loss_at_any_operation_keeps_what_was_durable_in_whole_commits() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for durability in DURABILITIES {
            let disk = folder();
            history(&disk, mode, durability).1.expect("nothing fails");
            for operation in 0..disk.operations() {
                let disk = folder();
                disk.stop_at(operation);
                let (known, _) = history(&disk, mode, durability);
                for seed in 0..3 {
                    let place = format!("{mode} {durability:?} operation {operation} seed {seed}");
                    judge(&disk.crash(seed), mode, known, &place);
                }
            }
        }
    }
}

#[test]
fn a_killed_process_leaves_what_verifies_before_anything_is_repaired() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for durability in DURABILITIES {
            let disk = folder();
            history(&disk, mode, durability).1.expect("nothing fails");
            let mut stale_copies = 0;
            for operation in 0..disk.operations() {
                let disk = folder();
                disk.stop_at(operation);
                let (known, _) = history(&disk, mode, durability);
                let disk = disk.process_crash();
                let place = format!("{mode} {durability:?} operation {operation}");
                let vfs = Arc::new(disk.clone());
                let options = OpenOptions { vfs, read_only: true, ..OpenOptions::default() };
                let database = match options.open(Path::new(PATH), Some(&unlock())) {
                    Err(StorageError::NotFound { .. }) => {
                        assert_eq!(known.durable, 0, "{place}: the database is gone");
                        continue;
                    }
                    opened => opened.unwrap_or_else(|error| panic!("{place}: {error:?}")),
                };
                let report = database.verify().unwrap_or_else(|error| panic!("{place}: {error:?}"));
                assert_eq!(report.head, database.head(), "{place}");
                stale_copies += u64::from(database.stats().recovery.header_copy_stale);
            }
            assert!(
                stale_copies > 0,
                "{mode} {durability:?}: a crash between the header copies was among them"
            );
        }
    }
}

#[test]
fn a_second_power_loss_during_recovery_changes_nothing() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let disk = folder();
        history(&disk, mode, Durability::Buffered).1.expect("nothing fails");
        let operations = disk.operations();
        for operation in (0..operations).step_by(3) {
            let disk = folder();
            disk.stop_at(operation);
            let (known, _) = history(&disk, mode, Durability::Buffered);
            let crashed = disk.crash(operation);
            let whole = crashed.snapshot();
            drop(open(&whole, mode, Durability::Sync).expect("recovery succeeds"));
            for again in 0..whole.operations().saturating_sub(crashed.operations()) {
                let disk = crashed.snapshot();
                disk.stop_at(again);
                drop(open(&disk, mode, Durability::Sync));
                let place = format!("{mode} operation {operation}, then {again}");
                judge(&disk.crash(again), mode, known, &place);
            }
        }
    }
}

#[test]
fn a_commit_after_a_killed_process_survives_the_power_loss_after_it() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let disk = folder();
        history(&disk, mode, Durability::Sync).1.expect("nothing fails");
        for operation in 0..disk.operations() {
            let disk = folder();
            disk.stop_at(operation);
            let (known, _) = history(&disk, mode, Durability::Sync);
            let disk = disk.process_crash();
            let database = open(&disk, mode, Durability::Sync).expect("a killed process leaves a database");
            let found = found(&database);
            assert!(found >= known.durable, "{mode} operation {operation}");
            let mut batch = Batch::new();
            batch.set(b"next", &[b"1"]).expect("within bounds");
            database.commit(batch).expect("nothing fails");
            for seed in 0..3 {
                let place = format!("{mode} operation {operation} seed {seed}");
                let crashed = disk.crash(seed);
                let database = open(&crashed, mode, Durability::Sync)
                    .unwrap_or_else(|error| panic!("{place}: {error:?}"));
                assert!(database.has(b"next"), "{place}: an acknowledged commit is lost");
            }
        }
    }
}

#[test]
fn an_error_at_any_operation_is_reported_and_costs_nothing_durable() {
    let faults =
        [Fault::Before(DiskError::Io), Fault::Midway(DiskError::Io), Fault::Midway(DiskError::NoSpace)];
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for durability in DURABILITIES {
            let disk = folder();
            history(&disk, mode, durability).1.expect("nothing fails");
            for operation in 0..disk.operations() {
                for (seed, fault) in (0..).zip(faults) {
                    let disk = folder();
                    disk.fail_at(operation, fault);
                    let (known, _) = history(&disk, mode, durability);
                    disk.clear_faults();
                    let place = format!("{mode} {durability:?} operation {operation} {fault:?}");
                    judge(&disk.crash(seed), mode, known, &place);
                }
            }
        }
    }
}

#[test]
fn a_full_disk_is_survived_and_writing_goes_on_when_there_is_space() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for durability in [Durability::Sync, Durability::Buffered] {
            let disk = folder();
            let database = open(&disk, mode, durability).expect("a new database");
            disk.set_capacity(Some(200_000));
            let mut acknowledged = 0_u64;
            let full = loop {
                let mut batch = Batch::new();
                batch.set(&acknowledged.to_be_bytes(), &[&[1; 10_000]]).expect("within bounds");
                match database.commit(batch) {
                    Ok(_) => acknowledged += 1,
                    Err(error) => break error,
                }
            };
            assert!(full.is_out_of_space(), "{full:?}");
            assert_eq!(database.record_count(), acknowledged, "a failed commit is not visible");
            disk.set_capacity(None);
            let mut batch = Batch::new();
            batch.set(b"after", &[b"1"]).expect("within bounds");
            database.commit(batch).expect("there is space again");
            database.verify().expect("nothing is damaged");
            database.close().expect("there is space");
            let database = open(&disk, mode, durability).expect("it opens");
            assert_eq!(database.record_count(), acknowledged + 1);
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_written_until_the_database_is_opened_again() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let disk = folder();
        let database = open(&disk, mode, Durability::Sync).expect("a new database");
        let set = |key: &[u8]| {
            let mut batch = Batch::new();
            batch.set(key, &[b"1"]).expect("within bounds");
            database.commit(batch)
        };
        set(b"before").expect("nothing fails");
        disk.fail_next(Operation::Sync, 0, Fault::Before(DiskError::Io));
        let StorageError::Shared(error) = set(b"unknown").expect_err("the sync fails") else {
            panic!("a group's error is shared")
        };
        assert!(matches!(*error, StorageError::OutcomeUnknown { .. }), "{error:?}");
        assert!(!database.has(b"unknown"), "never visible now");
        let StorageError::Shared(error) = set(b"after").expect_err("writes are stopped") else {
            panic!("a group's error is shared")
        };
        assert!(matches!(*error, StorageError::WritesStopped { .. }), "{error:?}");
        assert!(matches!(database.close(), Err(StorageError::WritesStopped { .. })));
        let database = open(&disk, mode, Durability::Sync).expect("it opens");
        assert!(database.has(b"before") && !database.has(b"after"));
    }
}

#[test]
fn what_an_opening_believes_although_its_sync_had_failed_is_written_again() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let disk = folder();
        let database = open(&disk, mode, DURABILITIES[1]).expect("a new database");
        set(&database, b"before").expect("nothing fails");
        // The system drops these bytes, and takes them for clean.
        disk.fail_next(Operation::Sync, 0, Fault::Before(DiskError::Io));
        database.flush().expect_err("the sync fails");
        let disk = disk.process_crash();
        let database = open(&disk, mode, Durability::Sync).expect("it opens");
        assert!(database.has(b"before"), "the system still has it");
        for seed in 0..8 {
            let database = open(&disk.snapshot().crash(seed), mode, Durability::Sync).expect("it opens");
            assert!(database.has(b"before"), "{mode}, seed {seed}: it had been shown");
        }
    }
}

fn set(database: &Database, key: &[u8]) -> Result<()> {
    let mut batch = Batch::new();
    batch.set(key, &[b"1"]).expect("within bounds");
    database.commit(batch).map(drop)
}

/// Every loss of power from here must leave a database that opens and holds these keys.
fn survives(disk: &SimVfs, seeds: u64, keys: &[&[u8]], place: &str) {
    for seed in 0..seeds {
        let database = open(&disk.snapshot().crash(seed), Mode::Snapshot, Durability::Sync)
            .unwrap_or_else(|error| panic!("{place}, seed {seed}: {error:?}"));
        for key in keys {
            assert!(database.has(key), "{place}, seed {seed}: {key:?} was acknowledged");
        }
    }
}

#[test]
fn what_is_committed_behind_a_rename_that_was_interrupted_before_its_folders_sync_stays() {
    // The creation, and a rewrite, are killed between their rename and the sync of the folder; whoever opens next
    // goes on in a file whose name is not durable yet.
    let whole = folder();
    let database = open(&whole, Mode::Snapshot, Durability::Sync).expect("a new database");
    let created = whole.operations();
    set(&database, b"before").expect("nothing fails");
    database.compact().expect("nothing fails");
    let rewritten = whole.operations();
    for stop in [0..created, created..rewritten].into_iter().flatten() {
        let disk = folder();
        disk.stop_at(stop);
        let acknowledged = open(&disk, Mode::Snapshot, Durability::Sync).and_then(|database| {
            set(&database, b"before")?;
            // However far it comes.
            drop(database.compact());
            Ok(())
        });
        let disk = disk.process_crash();
        let database = open(&disk, Mode::Snapshot, Durability::Sync).expect("it opens");
        set(&database, b"after").expect("nothing fails");
        let keys: &[&[u8]] = if acknowledged.is_ok() { &[b"before", b"after"] } else { &[b"after"] };
        survives(&disk, 12, keys, &format!("killed at operation {stop}"));
    }
}

#[test]
fn a_power_loss_in_the_opening_behind_a_kill_finds_a_whole_header_copy() {
    // Closing writes both copies of the header. Whoever is killed there leaves a copy that reads as new and is not
    // durable yet beside one that is torn.
    let write = || {
        let disk = folder();
        let database = open(&disk, Mode::Snapshot, Durability::Sync).expect("a new database");
        set(&database, b"key").expect("nothing fails");
        (disk, database)
    };
    let (disk, database) = write();
    let before = disk.operations();
    database.close().expect("nothing fails");
    for operation in 0..disk.operations() - before {
        let (disk, database) = write();
        disk.stop_at(operation);
        drop(database);
        let killed = disk.process_crash();
        let whole = killed.snapshot();
        drop(open(&whole, Mode::Snapshot, Durability::Sync).expect("it opens"));
        for again in 0..whole.operations() {
            let disk = killed.snapshot();
            disk.stop_at(again);
            drop(open(&disk, Mode::Snapshot, Durability::Sync));
            survives(&disk, 60, &[b"key"], &format!("killed at {operation}, then {again}"));
        }
    }
}

#[test]
fn the_header_copies_take_turns_in_being_written_first() {
    // A copy whose sync failed may be torn on disk and read as written. It was the second, so it is the first next time,
    // and the other stays whole until it is durable.
    let disk = folder();
    let mut firsts = Vec::new();
    for number in 0..4_u8 {
        let database = open(&disk, Mode::Snapshot, Durability::Sync).expect("it opens");
        set(&database, &[b'k', number]).expect("nothing fails");
        let before = disk.log().len();
        database.close().expect("nothing fails");
        let log = disk.log().split_off(before);
        let offset = log.iter().map(ToString::to_string).find_map(|line| {
            let (_, range) = line.split_once(" at ").filter(|(call, _)| call.contains("Write"))?;
            range.strip_suffix(", 4096 bytes").map(ToOwned::to_owned)
        });
        firsts.push(offset.expect("closing writes the header"));
    }
    assert_eq!(firsts, ["0", "4096", "0", "4096"]);
}

#[test]
fn a_rewrite_whose_rename_took_place_and_reports_an_error_stops_writes() {
    let disk = folder();
    let database = open(&disk, Mode::Snapshot, Durability::Sync).expect("a new database");
    set(&database, b"before").expect("nothing fails");
    disk.fail_next(Operation::Rename, 0, Fault::Midway(DiskError::Io));
    let error = database.compact().expect_err("the rename reports an error");
    assert!(matches!(&error, StorageError::Shared(error) if matches!(**error, StorageError::Io { .. })));
    // The file that the database holds has no name any more.
    let StorageError::Shared(error) = set(&database, b"lost").expect_err("writes are stopped") else {
        panic!("a group's error is shared")
    };
    assert!(matches!(*error, StorageError::WritesStopped { .. }), "{error:?}");
    drop(database);
    let database = open(&disk, Mode::Snapshot, Durability::Sync).expect("it opens");
    assert!(database.has(b"before") && !database.has(b"lost"));
}

#[test]
fn a_commit_whose_error_does_not_say_unknown_is_not_on_disk() {
    let whole = folder();
    let database = open(&whole, Mode::Snapshot, Durability::Sync).expect("a new database");
    let opened = whole.operations();
    set(&database, b"first").expect("nothing fails");
    for operation in 0..whole.operations() - opened {
        let disk = folder();
        let database = open(&disk, Mode::Snapshot, Durability::Sync).expect("a new database");
        disk.fail_at(operation, Fault::Before(DiskError::Io));
        let Err(StorageError::Shared(error)) = set(&database, b"first") else {
            // Setting space aside is best effort.
            continue;
        };
        drop(database);
        let unknown = matches!(*error, StorageError::OutcomeUnknown { .. });
        let database = open(&disk, Mode::Snapshot, Durability::Sync).expect("it opens");
        assert!(unknown || !database.has(b"first"), "operation {operation}: {error:?}");
    }
}

#[test]
fn a_commit_whose_write_fails_without_being_cut_off_says_that_its_outcome_is_unknown() {
    // All of it may have got there, or all but bytes that the file held already.
    let disk = folder();
    let database = open(&disk, Mode::Ledger, Durability::Sync).expect("a new database");
    set(&database, b"first").expect("nothing fails");
    disk.fail_next(Operation::Write, 0, Fault::Midway(DiskError::Io));
    let Err(StorageError::Shared(error)) = set(&database, b"second") else { panic!("the write fails") };
    assert!(matches!(*error, StorageError::OutcomeUnknown { .. }), "{error:?}");
    assert!(!database.has(b"second"), "never visible now");
}

#[test]
fn a_machine_that_is_off_says_so_and_is_no_damage() {
    let disk = folder();
    disk.stop_at(0);
    let error = open(&disk, Mode::Snapshot, Durability::Sync).expect_err("the machine is off");
    let StorageError::Io { source, .. } = error else { panic!("{error:?}") };
    assert!(MachineOff::is(&source));
}
