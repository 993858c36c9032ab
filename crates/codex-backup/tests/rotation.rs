//! What the rotation promises: the newest copies are there, whatever fails or crashes.

mod common;

use codex_backup::{BackupError, list, rotate};
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::{Database, Mode};
use common::{PATH, files, number_in, open, set, temporaries, vfs};

/// The rotation as numbers and what the copies hold, each of them opened and verified.
fn rotation(disk: &SimVfs) -> Vec<(u32, u64)> {
    let backups = list(disk, &files()).expect("the disk is whole");
    let path = |number| files().backup(number).to_string_lossy().into_owned();
    backups.iter().map(|backup| (backup.number, number_in(disk, &path(backup.number)))).collect()
}

fn rotate_into(disk: &SimVfs, database: &Database, keep: u32) -> Result<(), BackupError> {
    let prefix = database.durable_prefix().expect("the disk is whole");
    rotate(&prefix, &vfs(disk), &files(), keep)
}

/// A database at 4, with copies 1 to 3 of three that are kept.
fn three_copies() -> (SimVfs, Database) {
    let disk = SimVfs::new(1);
    let database = open(&disk, PATH, Mode::Snapshot).expect("a new database");
    for number in 1..=3 {
        set(&database, number);
        rotate_into(&disk, &database, 3).expect("nothing fails");
    }
    set(&database, 4);
    (disk, database)
}

#[test]
fn the_newest_copies_stay_in_order_and_the_others_go() {
    let (disk, database) = three_copies();
    assert_eq!(rotation(&disk), [(1, 3), (2, 2), (3, 1)]);
    rotate_into(&disk, &database, 3).expect("nothing fails");
    assert_eq!(rotation(&disk), [(1, 4), (2, 3), (3, 2)]);
    rotate_into(&disk, &database, 2).expect("nothing fails");
    assert_eq!(rotation(&disk), [(1, 4), (2, 4)], "fewer are kept from now on");
    rotate_into(&disk, &database, 0).expect("nothing to do");
    assert_eq!(rotation(&disk), [(1, 4), (2, 4)], "no rotation is kept, and none is touched");
}

#[test]
fn gaps_are_closed_and_foreign_names_are_left_alone() {
    let (disk, database) = three_copies();
    disk.write_file("/folder/app.db.bak.01", b"mine").expect("the disk is whole");
    disk.write_file("/folder/app.db.bak.old", b"mine").expect("the disk is whole");
    for (removed, after) in [(2, [(1, 4), (2, 3), (3, 1)]), (1, [(1, 4), (2, 3), (3, 1)])] {
        let vfs = vfs(&disk);
        vfs.remove(&files().backup(removed)).expect("it is there");
        rotate_into(&disk, &database, 3).expect("nothing fails");
        assert_eq!(rotation(&disk), after, "after a gap at {removed}");
    }
    assert_eq!(disk.read_file("/folder/app.db.bak.01").expect("it is there"), b"mine");
    assert_eq!(disk.read_file("/folder/app.db.bak.old").expect("it is there"), b"mine");
}

#[test]
fn a_new_copy_that_fails_before_it_is_durable_moves_no_older_one() {
    let kinds = [Operation::Create, Operation::Write, Operation::Sync, Operation::Read, Operation::List];
    for kind in kinds {
        for error in [DiskError::Io, DiskError::NoSpace] {
            let (disk, database) = three_copies();
            let prefix = database.durable_prefix().expect("the disk is whole");
            let before = rotation(&disk);
            // As often as it likes: five failures must not push five copies out.
            for _ in 0..5 {
                disk.fail_always(kind, Fault::Midway(error));
                let result = rotate(&prefix, &vfs(&disk), &files(), 3);
                disk.clear_faults();
                assert!(
                    matches!(
                        result,
                        Err(BackupError::Write { .. }
                            | BackupError::Verify { .. }
                            | BackupError::Read { .. })
                    ),
                    "{kind:?} {error:?}: {result:?}"
                );
                assert_eq!(rotation(&disk), before, "{kind:?} {error:?}");
            }
            rotate(&prefix, &vfs(&disk), &files(), 3).expect("nothing fails any more");
            assert_eq!(rotation(&disk), [(1, 4), (2, 3), (3, 2)], "{kind:?} {error:?}");
            assert_eq!(temporaries(&disk), [""; 0], "{kind:?} {error:?}");
        }
    }
}

#[test]
fn a_crash_at_any_operation_leaves_whole_copies_and_at_most_the_oldest_is_gone() {
    let (disk, database) = three_copies();
    let before = disk.operations();
    rotate_into(&disk, &database, 3).expect("nothing fails");
    let operations = disk.operations() - before;
    for operation in 0..operations {
        for seed in 0..5 {
            let place = format!("operation {operation}, seed {seed}");
            let (disk, database) = three_copies();
            let prefix = database.durable_prefix().expect("the disk is whole");
            disk.stop_at(operation);
            // Reading the prefix has taken operations of its own, so that the last stops come after the end.
            let result = rotate(&prefix, &vfs(&disk), &files(), 3);
            let disk = disk.crash(seed);
            let held: Vec<u64> = rotation(&disk).into_iter().map(|(_, held)| held).collect();
            let newest = if result.is_ok() { &[4, 3, 2][..] } else { &[3, 2] };
            for number in newest {
                assert!(held.contains(number), "{place}: the copy of {number} is gone from {held:?}");
            }
            assert!(held.is_sorted_by(|newer, older| newer >= older), "{place}: out of order, {held:?}");

            // The database goes on, and the next rotation is what it would have been.
            let database = open(&disk, PATH, Mode::Snapshot).expect("it opens");
            set(&database, 5);
            rotate_into(&disk, &database, 3).expect("nothing fails any more");
            let held: Vec<u64> = rotation(&disk).into_iter().map(|(_, held)| held).collect();
            assert_eq!(held[..2], if held[1] == 4 { [5, 4] } else { [5, 3] }, "{place}: {held:?}");
            assert!(held.len() <= 3, "{place}: {held:?}");
            assert_eq!(temporaries(&disk), [""; 0], "{place}");
        }
    }
}
