//! What restoring to a point promises: the commits up to there, exactly, in a database that goes on.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use codex_backup::{BackupError, RestoreOptions, restore};
use codex_storage::clock::Clock;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Background, Batch, Damage, Database, Mode, NewKey, OpenOptions, Point, StorageError};
use common::{PATH, number_in, open, set, unlock, vfs};

const TARGET: &str = "/folder/then.db";

/// A clock that stands where a test puts it.
#[derive(Debug, Default)]
struct StandingClock(AtomicU64);

impl Clock for StandingClock {
    fn wall_ns(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Makes commit after commit: the first of `groups` has so many commits, written together at time 10, the next those
/// that come behind, at time 20, and so on. Each commit sets `n` to its own number.
fn commit_groups(disk: &SimVfs, mode: Mode, groups: &[u64]) -> Database {
    let clock = Arc::new(StandingClock::default());
    let options = OpenOptions {
        mode: Some(mode),
        vfs: vfs(disk),
        clock: clock.clone(),
        background: Background::Caller,
        ..OpenOptions::default()
    };
    let database = options.open(Path::new(PATH), Some(&unlock())).expect("it opens");
    let mut number = database.stats().sequence;
    for commits in groups {
        clock.0.fetch_add(10, Ordering::AcqRel);
        let pending: Vec<_> = (0..*commits)
            .map(|_| {
                number += 1;
                let mut batch = Batch::new();
                batch.set(b"n", &[&number.to_le_bytes()]).expect("within bounds");
                database.submit(batch).expect("it is open")
            })
            .collect();
        database.tend().expect("the disk is whole");
        for commit in pending {
            commit.wait().expect("the disk is whole");
        }
    }
    database
}

fn restore_at(disk: &SimVfs, point: Point) -> Result<(), BackupError> {
    let options =
        RestoreOptions { overwrite: true, at: Some(point), vfs: vfs(disk), ..RestoreOptions::default() };
    restore(Path::new(PATH), Path::new(TARGET), Some(&unlock()), &options)
}

fn at_time(ns: u64) -> Point {
    Point::Time(UNIX_EPOCH + Duration::from_nanos(ns))
}

/// The last commit of the restored database, which is verified, and goes on.
fn restored(disk: &SimVfs, mode: Mode) -> u64 {
    let database = open(disk, TARGET, mode).expect("it opens");
    let sequence = database.stats().sequence;
    assert_eq!(database.verify().expect("it is whole").sequence, sequence);
    if sequence > 0 {
        assert_eq!(common::number(&database), sequence);
    } else {
        assert_eq!(database.record_count(), 0);
    }
    set(&database, sequence + 1);
    assert_eq!(database.stats().sequence, sequence + 1, "it goes on where it was cut");
    database.close().expect("the disk is whole");
    assert_eq!(number_in(disk, TARGET), sequence + 1);
    sequence
}

#[test]
fn any_commit_can_be_restored_also_from_the_middle_of_a_group() {
    for mode in [Mode::Ledger, Mode::Snapshot] {
        let disk = SimVfs::new(1);
        let database = commit_groups(&disk, mode, &[1, 4, 1, 3]);
        assert_eq!(database.stats().groups, 4, "the commits were written together");
        database.close().expect("nothing fails");
        let before = disk.read_file(PATH).expect("it is there");
        for sequence in 0..=9 {
            restore_at(&disk, Point::Sequence(sequence)).expect("the log has it");
            assert_eq!(restored(&disk, mode), sequence, "{mode}");
        }
        assert!(disk.read_file(PATH).expect("it is there") == before, "the source is left as it is");
        let error = restore_at(&disk, Point::Sequence(10)).expect_err("nobody made it");
        assert!(
            matches!(
                error,
                BackupError::Storage(StorageError::NoSuchCommit { sequence: 10, first: 1, last: 9 })
            ),
            "{error:?}"
        );
        assert_eq!(number_in(&disk, TARGET), 10, "what stood at the target still does");
    }
}

#[test]
fn a_point_before_a_new_root_key_can_be_restored_and_goes_on_under_it() {
    let disk = SimVfs::new(1);
    for groups in [&[1, 3], &[2, 1], &[1, 2]] {
        let database = commit_groups(&disk, Mode::Ledger, groups);
        database.change_key_deep(&NewKey::from(unlock())).expect("nothing fails");
        database.close().expect("nothing fails");
    }
    commit_groups(&disk, Mode::Ledger, &[2]).close().expect("nothing fails");
    for sequence in 0..=12 {
        restore_at(&disk, Point::Sequence(sequence)).expect("the log has it");
        assert_eq!(restored(&disk, Mode::Ledger), sequence);
    }
}

#[test]
fn a_time_restores_the_commits_written_up_to_it() {
    for mode in [Mode::Ledger, Mode::Snapshot] {
        let disk = SimVfs::new(1);
        commit_groups(&disk, mode, &[1, 4, 1]).close().expect("nothing fails");
        for (time, last) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 5), (29, 5), (30, 6), (1 << 60, 6)] {
            restore_at(&disk, at_time(time)).expect("the log reaches there");
            assert_eq!(restored(&disk, mode), last, "{mode}, at {time}");
        }
    }
}

#[test]
fn what_a_rewrite_has_merged_is_not_found_and_what_came_behind_it_is() {
    let disk = SimVfs::new(1);
    let database = commit_groups(&disk, Mode::Snapshot, &[2, 2]);
    database.compact().expect("nothing fails");
    database.close().expect("nothing fails");
    let database = commit_groups(&disk, Mode::Snapshot, &[1, 1, 1]);
    database.close().expect("nothing fails");
    for sequence in 0..=7 {
        let result = restore_at(&disk, Point::Sequence(sequence));
        if sequence >= 4 {
            result.expect("the log has it");
            assert_eq!(restored(&disk, Mode::Snapshot), sequence);
        } else {
            let Err(BackupError::Storage(StorageError::NoSuchCommit { first: 5, last: 7, .. })) = result
            else {
                panic!("{sequence}: {result:?}")
            };
        }
    }
    // The base was taken at 20, and nothing in the file tells what was before.
    for time in [0, 10, 19] {
        let error = restore_at(&disk, at_time(time)).expect_err("it is merged");
        assert!(matches!(error, BackupError::Storage(StorageError::NoSuchTime { .. })), "{error:?}");
    }
    // The clock of the later process began anew, at 10: all of its commits lie behind the base, and a later time shows them.
    restore_at(&disk, at_time(30)).expect("the log reaches there");
    assert_eq!(restored(&disk, Mode::Snapshot), 7);
}

#[test]
fn a_point_before_damage_is_not_restored_from_a_file_that_does_not_open() {
    let disk = SimVfs::new(1);
    commit_groups(&disk, Mode::Ledger, &[1, 1, 1]).close().expect("nothing fails");
    let len = disk.read_file(PATH).expect("it is there").len() as u64;
    disk.flip_bit(PATH, (len - 1) * 8).expect("it is there");
    let error = restore_at(&disk, Point::Sequence(1)).expect_err("the file is damaged");
    assert!(
        matches!(
            &error,
            BackupError::Storage(StorageError::Damaged { path, source: Damage::Floor, .. })
                if path == Path::new(PATH)
        ),
        "{error:?}"
    );
    assert!(disk.read_file(TARGET).is_err(), "nothing has its name");
}
