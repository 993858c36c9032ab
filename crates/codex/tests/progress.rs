//! Whoever waits for long work is told how far it is.

use std::path::Path;
use std::sync::{Arc, Mutex};

use codex::proof::UnkeyedLog;
use codex::{EncryptionKey, Options, Progress, RepairOptions, Repository, RestoreOptions, Stage, restore};

/// The stages that were told, each as it ended.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Vec<Stage>>>);

impl Ended {
    fn note(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let ended = self.clone();
        move |progress| {
            if progress.done == progress.total {
                ended.0.lock().expect("nobody panics").push(progress.stage);
            }
        }
    }

    fn take(&self) -> Vec<Stage> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics"))
    }
}

fn key() -> EncryptionKey {
    EncryptionKey::from_bytes([7; 32])
}

#[test]
fn each_long_work_of_the_library_is_told_to_its_end() -> codex::Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let ended = Ended::default();
    let options = Options::new().encryption_key(key()).progress(ended.note());
    options.open(path("app.db"))?.set("key", &1)?;
    assert_eq!(ended.take(), [Stage::ReadingLog]);

    let store = options.open(path("app.db"))?;
    assert_eq!(ended.take(), [Stage::ReadingLog]);
    store.verify()?;
    assert_eq!(ended.take(), [Stage::Verifying]);
    store.compact()?;
    assert_eq!(ended.take(), [Stage::Rewriting]);
    store.backup(path("copy.db"))?;
    assert_eq!(ended.take(), [Stage::Copying, Stage::Verifying]);
    let repository = Repository::open_or_create(path("backups"))?.progress(ended.note());
    repository.back_up(&store)?;
    assert_eq!(ended.take(), [Stage::Copying]);
    store.close()?;

    UnkeyedLog::open_with_progress(path("app.db"), ended.note())?;
    assert_eq!(ended.take(), [Stage::Verifying]);
    let restoring = || RestoreOptions::new().encryption_key(key()).progress(ended.note());
    restore(path("copy.db"), path("restored.db"), restoring())?;
    assert_eq!(ended.take(), [Stage::ReadingLog, Stage::Copying, Stage::Verifying]);
    repository.restore(None, path("again.db"), restoring())?;
    assert_eq!(ended.take(), [Stage::ReadingLog, Stage::Copying, Stage::Verifying]);
    let repairing = RepairOptions::new().encryption_key(key()).progress(ended.note());
    codex::repair(path("app.db"), Path::new(&path("repaired.db")), repairing)?;
    assert_eq!(ended.take(), [Stage::Salvaging, Stage::Verifying]);
    Ok(())
}
