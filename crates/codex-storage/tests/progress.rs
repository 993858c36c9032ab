//! What long work tells whoever waits for it, and that being told hurts nothing.
#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::progress::{Observer, Progress, Stage};
use codex_storage::sync::{Arc, Mutex};
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{
    Background, Batch, Database, Mode, OpenOptions, Point, RepairOptions, UnkeyedLog, repair,
};

const PATH: &str = "/folder/app.db";
const RECORDS: u32 = 40;
const RECORD_LEN: usize = 40_000;

/// What was told, in its order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Progress>>>);

impl Told {
    fn observer(&self) -> Observer {
        let told = self.clone();
        Observer::new(move |progress| told.0.lock().push(progress))
    }

    /// The stages that were told since the last call, each checked: from 0 up to its total, with steps between.
    fn stages(&self) -> Vec<Stage> {
        let told = std::mem::take(&mut *self.0.lock());
        let mut stages = Vec::new();
        let mut rest = &told[..];
        while let Some(first) = rest.first() {
            let end = rest.iter().position(|progress| progress.done == progress.total);
            let (stage, behind) = rest.split_at(end.expect("a stage ends at its total") + 1);
            assert_eq!(first.done, 0, "{stage:?}");
            assert!(
                stage.iter().all(|told| (told.stage, told.total) == (first.stage, first.total)),
                "{stage:?}"
            );
            assert!(stage.is_sorted_by(|a, b| a.done < b.done), "{stage:?}");
            assert!(stage.len() > 2, "nothing was told between: {stage:?}");
            stages.push(first.stage);
            rest = behind;
        }
        stages
    }
}

fn unlock() -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([7; 32]))
}

fn options(disk: &SimVfs, mode: Mode, observer: Observer) -> OpenOptions {
    OpenOptions {
        mode: Some(mode),
        vfs: Arc::new(disk.clone()),
        background: Background::Caller,
        observer,
        ..OpenOptions::default()
    }
}

fn open(disk: &SimVfs, mode: Mode, observer: Observer) -> Database {
    options(disk, mode, observer).open(Path::new(PATH), Some(&unlock())).expect("it opens")
}

fn fill(database: &Database) {
    for number in 0..RECORDS {
        let mut batch = Batch::new();
        batch.set(&number.to_be_bytes(), &[&vec![7; RECORD_LEN]]).expect("within bounds");
        database.commit(batch).expect("the disk is whole");
    }
}

fn filled(mode: Mode) -> SimVfs {
    let disk = SimVfs::new(1);
    let database = open(&disk, mode, Observer::default());
    fill(&database);
    database.close().expect("the disk is whole");
    disk
}

#[test]
fn opening_and_verifying_tell_how_far_they_are_up_to_their_end() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let (disk, told) = (filled(mode), Told::default());
        let database = open(&disk, mode, told.observer());
        assert_eq!(told.stages(), [Stage::ReadingLog]);
        database.verify().expect("it is whole");
        assert_eq!(told.stages(), [Stage::Verifying]);
    }
}

#[test]
fn what_a_caller_has_rewritten_is_told_and_what_is_read_of_it_again() {
    let (disk, told) = (filled(Mode::Snapshot), Told::default());
    let database = open(&disk, Mode::Snapshot, told.observer());
    told.stages();
    database.compact().expect("the disk is whole");
    assert_eq!(told.stages(), [Stage::Rewriting]);

    let disk = filled(Mode::Ledger);
    let database = open(&disk, Mode::Ledger, told.observer());
    told.stages();
    database.checkpoint().expect("the disk is whole");
    assert_eq!(told.stages(), [Stage::Rewriting]);
    fill(&database);
    drop(database);
    let _database = open(&disk, Mode::Ledger, told.observer());
    assert_eq!(told.stages(), [Stage::ReadingCheckpoint, Stage::ReadingLog]);
}

#[test]
fn reading_the_past_of_a_ledger_tells_how_far_it_is_where_the_log_is_read_for_it() {
    let told = Told::default();
    let database = open(&SimVfs::new(1), Mode::Ledger, told.observer());
    // More than is read at a time.
    (0..3).for_each(|_| fill(&database));
    told.0.lock().clear();
    let behind = u64::from(2 * RECORDS);
    let past = database.at(Point::Sequence(behind)).expect("it is whole");
    assert_eq!((past.sequence().0, told.stages()), (behind, vec![Stage::ReadingLog]));
    database.log(behind..).expect("it is whole");
    assert_eq!(told.stages(), [Stage::ReadingLog]);
    database.history(b"key").expect("it is whole");
    let told_of_the_rest = std::mem::take(&mut *told.0.lock());
    assert!(!told_of_the_rest.is_empty(), "the rest of the index is made");
    database.history(b"key").expect("it is whole");
    database.log(behind..).expect("it is whole");
    assert_eq!(told.stages(), [], "the index is there");

    database.checkpoint().expect("the disk is whole");
    (0..3).for_each(|_| fill(&database));
    told.stages();
    database.at(Point::Sequence(u64::from(3 * RECORDS) + behind)).expect("it is whole");
    assert_eq!(told.stages(), [Stage::ReadingCheckpoint, Stage::ReadingLog]);
}

#[test]
fn an_observer_may_read_and_commit_while_the_past_is_read() {
    let disk = filled(Mode::Ledger);
    let database: Arc<Mutex<Option<Arc<Database>>>> = Arc::default();
    let commits = Arc::new(Mutex::new(0_u64));
    let observer = Observer::new({
        let (database, commits) = (database.clone(), commits.clone());
        move |progress: Progress| {
            let Some(database) = database.lock().clone() else { return };
            let mut batch = Batch::new();
            batch.set(b"told", &[&progress.done.to_be_bytes()]).expect("within bounds");
            database.commit(batch).expect("no lock is held");
            *commits.lock() += 1;
        }
    });
    let opened = Arc::new(open(&disk, Mode::Ledger, observer));
    *database.lock() = Some(opened.clone());
    // What was committed meanwhile is behind the end that was known as the history was asked for.
    assert_eq!(opened.history(b"told").expect("it is whole").count(), 0);
    assert!(*commits.lock() >= 2, "the beginning and the end were told");
    let log = opened.log(2..).expect("it is whole");
    assert_eq!(log.count() as u64, u64::from(RECORDS) + *commits.lock() - 1);
    let before = *commits.lock();
    let versions = opened.history(b"told").expect("it is whole").count() as u64;
    assert_eq!(versions, before);
    *database.lock() = None;
}

#[test]
fn a_history_goes_as_far_as_when_it_was_asked_for_though_the_index_knows_more() {
    let set = |database: &Database| {
        let mut batch = Batch::new();
        batch.set(b"key", &[b"value"]).expect("within bounds");
        database.commit(batch).expect("the disk is whole");
    };
    let versions = |database: &Database| database.history(b"key").expect("it is whole").count();
    let database: Arc<Mutex<Option<Arc<Database>>>> = Arc::default();
    let observer = Observer::new({
        let database = database.clone();
        move |_| {
            // Once: another commit, and another history, come before the one that is told goes on.
            let Some(database) = database.lock().take() else { return };
            set(&database);
            assert_eq!(versions(&database), 2);
        }
    });
    let opened = Arc::new(open(&SimVfs::new(1), Mode::Ledger, observer));
    set(&opened);
    *database.lock() = Some(opened.clone());
    // Both commits are in one part of the log as the index has it.
    assert_eq!(versions(&opened), 1);
    assert_eq!(versions(&opened), 2);
}

#[test]
fn reading_without_a_key_and_repairing_tell_how_far_they_are() {
    let (disk, told) = (filled(Mode::Ledger), Told::default());
    UnkeyedLog::open(&disk, Path::new(PATH), &told.observer()).expect("it is whole");
    assert_eq!(told.stages(), [Stage::Verifying]);
    let options =
        RepairOptions { vfs: Arc::new(disk), observer: told.observer(), ..RepairOptions::default() };
    repair(Path::new(PATH), Path::new("/repaired.db"), Some(&unlock()), &options).expect("it is whole");
    assert_eq!(told.stages(), [Stage::Salvaging, Stage::Verifying]);
}

#[test]
fn work_that_fails_does_not_tell_that_it_has_ended() {
    let (disk, told) = (filled(Mode::Snapshot), Told::default());
    let len = disk.read_file(PATH).expect("it is there").len() as u64;
    let database = open(&disk, Mode::Snapshot, told.observer());
    told.stages();
    disk.overwrite(PATH, len / 2, b"damage").expect("it is there");
    database.verify().expect_err("it is damaged");
    let told = told.0.lock();
    assert!(told.iter().all(|progress| progress.done < progress.total), "{told:?}");
}

#[test]
fn an_observer_may_read_and_commit() {
    let disk = filled(Mode::Snapshot);
    let database: Arc<Mutex<Option<Arc<Database>>>> = Arc::default();
    let observer = Observer::new({
        let database = database.clone();
        move |progress: Progress| {
            let Some(database) = database.lock().clone() else { return };
            let mut batch = Batch::new();
            batch.set(b"told", &[&progress.done.to_be_bytes()]).expect("within bounds");
            database.commit(batch).expect("no lock is held");
            assert!(database.has(b"told"));
        }
    });
    let opened = Arc::new(open(&disk, Mode::Snapshot, observer));
    *database.lock() = Some(opened.clone());
    opened.verify().expect("it is whole");
    opened.compact().expect("the disk is whole");
    *database.lock() = None;
    opened.verify().expect("it is whole");
}

#[test]
fn an_observer_that_panics_leaves_a_database_that_goes_on() {
    let disk = filled(Mode::Snapshot);
    let panics = Observer::new(|progress| assert_eq!(progress.done, 0, "the observer panics"));
    let opened = catch_unwind(AssertUnwindSafe(|| open(&disk, Mode::Snapshot, panics)));
    opened.expect_err("the observer's panic is the caller's");

    let armed = Arc::new(Mutex::new(false));
    let observer = Observer::new({
        let armed = armed.clone();
        move |progress| assert!(!*armed.lock() || progress.done == 0, "the observer panics")
    });
    // No lock file is still held by the opening that was given up.
    let database = open(&disk, Mode::Snapshot, observer);
    *armed.lock() = true;
    for work in [Database::verify as fn(&Database) -> _, |database| database.compact().and(database.verify())]
    {
        catch_unwind(AssertUnwindSafe(|| work(&database))).expect_err("the observer's panic is the caller's");
    }
    assert!(disk.file_names().iter().all(|name| !name.to_string_lossy().contains(".tmp-")));
    *armed.lock() = false;
    fill(&database);
    database.compact().expect("no maintenance is thought to be running");
    database.verify().expect("it is whole");
    database.close().expect("the disk is whole");
    let database = open(&disk, Mode::Snapshot, Observer::default());
    assert_eq!(database.record_count(), u64::from(RECORDS));
}
