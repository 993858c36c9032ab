//! A whole database file, of any bytes.

use std::path::Path;

use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, StorageError};

use crate::image::{self, PATH, State};
use crate::repair;

/// The first byte says whether checksums and links are repaired (1), and whether the key is given (2); the rest is the file.
pub fn run(input: &[u8]) {
    let Some((flags, file)) = input.split_first() else { return };
    let encrypted = flags & 2 != 0;
    let mut file = file.to_vec();
    if flags & 1 != 0 {
        repair::database(&mut file);
    }
    let disk = SimVfs::new(0);
    disk.write_file(PATH, &file).expect("the disk is not full");
    if let Some((sequence, found)) = examine(&disk, encrypted) {
        // Without the root key nobody can make another state than those that were written.
        assert!(
            !encrypted || found == image::state(sequence),
            "a state that was never committed: {sequence}"
        );
    }
}

/// Opens a database that anybody may have changed, for reading and for writing; the state that it shows, or `None` if it
/// is refused. Whatever is accepted must then behave as any database.
pub fn examine(disk: &SimVfs, encrypted: bool) -> Option<(u64, State)> {
    let before = disk.files();
    let shown = image::open_read_only(disk, encrypted).map(|database| {
        let verified = database.verify().map(|_| ());
        check(verified.as_ref().err());
        (database.stats().sequence, image::contents(&database))
    });
    assert!(disk.files() == before, "a reader changes nothing");

    let database = match (image::open(disk, encrypted), shown.as_ref()) {
        (Ok(database), Ok(shown)) => {
            assert!(
                (database.stats().sequence, image::contents(&database)) == *shown,
                "a writer sees the same"
            );
            database
        }
        (Err(error), Err(_)) => {
            check(Some(&error));
            assert!(
                disk.read_file(PATH).ok().as_ref() == before.get(Path::new(PATH)),
                "what is refused is left"
            );
            return None;
        }
        (Ok(_), Err(error)) => panic!("opens for writing and not for reading: {error:?}"),
        (Err(error), Ok(_)) => panic!("opens for reading and not for writing: {error:?}"),
    };
    let (sequence, shown) = shown.ok()?;
    let mut found = shown.clone();
    database.verify().expect("what opens for writing verifies");

    let mut batch = Batch::new();
    batch.set(b"after", &[b"1"]).expect("within bounds");
    database.commit(batch).expect("a commit is accepted");
    database.close().expect("nothing fails");
    found.insert(b"after".to_vec(), b"1".to_vec());
    let database = image::open(disk, encrypted).expect("what was closed opens");
    assert!(
        image::contents(&database) == found,
        "what was committed is there, and all that was there before"
    );
    assert_eq!(database.stats().sequence, sequence + 1);
    Some((sequence, shown))
}

/// Hostile bytes are no bug of ours, and no failure of the disk.
fn check(error: Option<&StorageError>) {
    let unexpected = |error: &StorageError| {
        matches!(error, StorageError::Internal(_) | StorageError::WriterPanicked | StorageError::Io { .. })
    };
    assert!(!error.is_some_and(unexpected), "{error:?}");
}
