//! Every work with backups tells how far it is, each stage from 0 to its end.

mod common;

use std::path::Path;

use codex_backup::{Repository, RestoreOptions, Retention, copy, restore};
use codex_storage::progress::{Observer, Progress, Stage};
use codex_storage::sync::{Arc, Mutex};
use codex_storage::vfs::replace::Existing;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, Database, Mode, Point};
use common::{PATH, open, unlock, vfs};

const REPOSITORY: &str = "/backups";
const COPY: &str = "/folder/copy.db";
const RESTORED: &str = "/folder/restored.db";

/// What was told, in its order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Progress>>>);

impl Told {
    fn observer(&self) -> Observer {
        let told = self.clone();
        Observer::new(move |progress| told.0.lock().push(progress))
    }

    /// The stages that were told since the last call, each checked: from 0 up to its total.
    fn stages(&self) -> Vec<Stage> {
        let told = std::mem::take(&mut *self.0.lock());
        let mut stages = Vec::new();
        let mut rest = &told[..];
        while let Some(first) = rest.first() {
            let end = rest.iter().position(|progress| progress.done == progress.total);
            let (stage, behind) = rest.split_at(end.expect("a stage ends at its total") + 1);
            assert!(first.total > 1 << 20 && first.done == 0, "{stage:?}");
            assert!(
                stage.iter().all(|told| (told.stage, told.total) == (first.stage, first.total)),
                "{stage:?}"
            );
            assert!(stage.is_sorted_by(|a, b| a.done < b.done), "{stage:?}");
            stages.push(first.stage);
            rest = behind;
        }
        stages
    }
}

/// Commits more than 1 MiB.
fn fill(database: &Database) {
    for number in 0..40_u8 {
        let mut batch = Batch::new();
        batch.set(&[number], &[&vec![7; 40_000]]).expect("within bounds");
        database.commit(batch).expect("the disk is whole");
    }
}

fn filled(disk: &SimVfs) -> Database {
    let database = open(disk, PATH, Mode::Ledger).expect("a new database");
    fill(&database);
    database
}

#[test]
fn a_copy_is_told_as_it_is_written_and_read_back() {
    let (disk, told) = (SimVfs::new(1), Told::default());
    let prefix = filled(&disk).durable_prefix().expect("all is durable").observed_by(&told.observer());
    copy(&prefix, &vfs(&disk), Path::new(COPY), Existing::Refuse).expect("the disk is whole");
    assert_eq!(told.stages(), [Stage::Copying, Stage::Verifying]);
}

#[test]
fn a_restore_is_told_as_it_reads_copies_and_verifies() {
    let (disk, told) = (SimVfs::new(1), Told::default());
    let prefix = filled(&disk).durable_prefix().expect("all is durable");
    copy(&prefix, &vfs(&disk), Path::new(COPY), Existing::Refuse).expect("the disk is whole");
    for at in [None, Some(Point::Sequence(35))] {
        let observer = told.observer();
        let options = RestoreOptions { overwrite: true, at, vfs: vfs(&disk), observer };
        restore(Path::new(COPY), Path::new(RESTORED), Some(&unlock()), &options).expect("it is whole");
        let finding = at.map(|_| Stage::ReadingLog);
        let expected = [Some(Stage::ReadingLog), finding, Some(Stage::Copying), Some(Stage::Verifying)];
        assert_eq!(told.stages(), expected.into_iter().flatten().collect::<Vec<_>>());
    }
}

#[test]
fn work_with_a_repository_is_told() {
    let (disk, told) = (SimVfs::new(1), Told::default());
    let database = filled(&disk);
    let repository = Repository::open_or_create(&vfs(&disk), Path::new(REPOSITORY)).expect("a new one");
    let repository = repository.observed_by(told.observer());
    let back_up = || {
        let prefix = database.durable_prefix().expect("all is durable");
        repository.back_up(&prefix, 1, false).expect("nothing fails")
    };
    back_up();
    assert_eq!(told.stages(), [Stage::Copying]);
    fill(&database);
    back_up();
    assert_eq!(told.stages(), [Stage::Comparing, Stage::Copying]);

    repository.verify(None).expect("it is whole");
    // The pieces, and then the log in them.
    assert_eq!(told.stages(), [Stage::Verifying, Stage::Verifying]);
    let options = RestoreOptions { vfs: vfs(&disk), observer: told.observer(), ..RestoreOptions::default() };
    repository.restore(None, Path::new(RESTORED), Some(&unlock()), &options).expect("it is whole");
    assert_eq!(told.stages(), [Stage::ReadingLog, Stage::Copying, Stage::Verifying]);
}

#[test]
fn what_a_prune_removes_is_told() {
    let (disk, told) = (SimVfs::new(1), Told::default());
    let database = open(&disk, PATH, Mode::Snapshot).expect("a new database");
    let repository = Repository::open_or_create(&vfs(&disk), Path::new(REPOSITORY)).expect("a new one");
    for _ in 0..2 {
        fill(&database);
        // The rewritten file shares no piece with the one before.
        database.compact().expect("the disk is whole");
        let prefix = database.durable_prefix().expect("all is durable");
        repository.back_up(&prefix, 1, false).expect("nothing fails");
    }
    let repository = repository.observed_by(told.observer());
    let pruned = repository.prune(&Retention::default(), None, false).expect("nothing fails");
    assert_eq!(pruned.removed.len(), 1);
    assert_eq!(told.stages(), [Stage::Removing]);
}
