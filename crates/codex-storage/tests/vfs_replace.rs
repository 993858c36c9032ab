//! Replacing a file: the old one whole or the new one whole, and no temporary of anybody else's touched.

#![cfg(not(loom))]

use std::io::{self, ErrorKind};
use std::path::Path;

use codex_storage::sync::Arc;
use codex_storage::vfs::os::OsVfs;
use codex_storage::vfs::replace::{Existing, Replacement, is_unsettled, remove_temporaries};
use codex_storage::vfs::sim::{DiskError, Fault, MachineOff, Operation, SimVfs};
use codex_storage::vfs::{Access, Vfs};

const TARGET: &str = "/app.db";
const OLD: &[u8] = &[1; 2000];
const NEW: &[u8] = &[2; 3000];

/// A disk with the old file, durable.
fn with_old() -> SimVfs {
    let disk = SimVfs::new(7);
    disk.write_file(TARGET, OLD).expect("the root folder exists");
    disk
}

fn replace(disk: &SimVfs, existing: Existing) -> io::Result<()> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let replacement = Replacement::create(&vfs, Path::new(TARGET))?;
    replacement.file().write_all_at(NEW, 0)?;
    replacement.persist(existing)?;
    Ok(())
}

#[test]
fn names_have_the_targets_name_and_sixteen_digits() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let replacement = Replacement::create(&vfs, &scratch.path().join("app.db"))?;
    let name = replacement.path().file_name().and_then(|name| name.to_str()).unwrap().to_owned();
    let digits = name.strip_prefix(".app.db.tmp-").unwrap();
    assert_eq!(digits.len(), 16);
    assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()));

    replacement.file().write_all_at(b"content", 0)?;
    let file = replacement.persist(Existing::Refuse)?;
    assert_eq!(file.len()?, 7);
    assert_eq!(std::fs::read(scratch.path().join("app.db"))?, b"content");
    assert_eq!(vfs.list(scratch.path())?, ["app.db"]);
    Ok(())
}

#[test]
fn a_dropped_replacement_leaves_nothing() -> io::Result<()> {
    let disk = with_old();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    drop(Replacement::create(&vfs, Path::new(TARGET))?);
    assert_eq!(disk.files().len(), 1);
    Ok(())
}

#[test]
fn refuse_leaves_what_stands_there() {
    let disk = with_old();
    assert_eq!(replace(&disk, Existing::Refuse).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.files().into_values().collect::<Vec<_>>(), [OLD]);
}

#[test]
fn a_failure_before_the_rename_removes_the_temporary_and_keeps_the_target() {
    for operation in [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename] {
        let disk = with_old();
        disk.fail_next(operation, 0, Fault::Before(DiskError::Io));
        let error = replace(&disk, Existing::Replace).unwrap_err();
        assert_eq!(error.raw_os_error(), io::Error::from(DiskError::Io).raw_os_error());
        assert!(!is_unsettled(&error));
        assert_eq!(disk.files().into_values().collect::<Vec<_>>(), [OLD], "{operation:?}");
    }
}

#[test]
fn a_failed_folder_sync_is_told_apart() {
    let disk = with_old();
    disk.fail_next(Operation::SyncDirectory, 0, Fault::Before(DiskError::NoSpace));
    let error = replace(&disk, Existing::Replace).unwrap_err();
    assert!(is_unsettled(&error));
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.files().into_values().collect::<Vec<_>>(), [NEW]);
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_or_the_new_file_whole() {
    let disk = with_old();
    replace(&disk, Existing::Replace).unwrap();
    let count = disk.operations();
    let (mut old, mut new) = (0, 0);
    for number in 0..=count {
        for seed in 0..40 {
            let disk = with_old();
            disk.stop_at(number);
            let result = replace(&disk, Existing::Replace);
            assert_eq!(number < count, result.is_err_and(|error| stopped(&error)));
            let rebooted = if seed == 0 { disk.process_crash() } else { disk.crash(seed) };
            let found = rebooted.read_file(TARGET).unwrap();
            if number == count {
                assert_eq!(found, NEW, "seed {seed}: {:#?}", disk.log());
            }
            old += u32::from(found == OLD);
            new += u32::from(found == NEW);
            assert!(found == OLD || found == NEW, "seed {seed}: {:#?}", disk.log());

            remove_temporaries(&rebooted, Path::new(TARGET)).unwrap();
            assert_eq!(rebooted.files().len(), 1);
            assert_eq!(rebooted.crash(0).files().len(), 1, "the removal is durable");
        }
    }
    assert!(old > 0 && new > 0);
}

fn stopped(error: &io::Error) -> bool {
    MachineOff::is(error) || is_unsettled(error)
}

#[test]
fn only_temporaries_of_this_target_are_removed() -> io::Result<()> {
    let disk = SimVfs::new(1);
    let strangers = [
        "/app.db",
        "/app.db.lock",
        "/.app.db.tmp-0123456789abcde",
        "/.app.db.tmp-0123456789abcdef0",
        "/.app.db.tmp-0123456789ABCDEF",
        "/.app.db.tmp-0123456789abcdeg",
        "/app.db.tmp-0123456789abcdef",
        "/.app.db2.tmp-0123456789abcdef",
        "/.other.db.tmp-0123456789abcdef",
        "/.app.db.ckpt.tmp-0123456789abcdef",
        "/.app.db.tmp-0123456789abcdef.tmp-0123456789abcdef",
        "/below/.app.db.tmp-0123456789abcdef",
    ];
    for path in strangers {
        disk.write_file(path, b"stays")?;
    }
    disk.create_directories(Path::new("/.app.db.tmp-ffffffffffffffff"))?;
    assert_eq!(remove_temporaries(&disk, Path::new(TARGET))?, 0);

    disk.write_file("/.app.db.tmp-0123456789abcdef", b"goes")?;
    disk.write_file("/.app.db.tmp-0000000000000000", b"goes")?;
    assert_eq!(remove_temporaries(&disk, Path::new(TARGET))?, 2);
    assert_eq!(disk.files().len(), strangers.len());
    assert_eq!(disk.log().last().map(|logged| logged.operation), Some(Operation::SyncDirectory));

    let error = remove_temporaries(&disk, Path::new("/")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    Ok(())
}

#[test]
fn the_replaced_file_stays_readable_to_whoever_has_it_open() -> io::Result<()> {
    let disk = with_old();
    let reader = disk.open(Path::new(TARGET), Access::Read)?;
    replace(&disk, Existing::Replace)?;
    let mut bytes = vec![0; OLD.len()];
    reader.read_exact_at(&mut bytes, 0)?;
    assert_eq!(bytes, OLD);
    Ok(())
}
