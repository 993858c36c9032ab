//! What the real file system is promised to do.

#![cfg(all(unix, not(loom)))]

use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use codex_storage::vfs::os::OsVfs;
use codex_storage::vfs::{Access, FileKind, Lock, Vfs};

#[test]
fn only_regular_files_are_opened_and_nothing_blocks() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let fifo = scratch.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status()?.success());
    let socket = scratch.path().join("socket");
    let _listener = UnixListener::bind(&socket)?;
    let to_fifo = scratch.path().join("to_fifo");
    symlink(&fifo, &to_fifo)?;

    for path in [&fifo, &socket, &to_fifo, scratch.path(), Path::new("/dev/zero")] {
        for access in [Access::Read, Access::Write] {
            let error = OsVfs.open(path, access).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
    }
    assert_eq!(OsVfs.kind(&fifo)?, Some(FileKind::Other));
    assert_eq!(OsVfs.kind(scratch.path())?, Some(FileKind::Directory));
    assert_eq!(OsVfs.kind(&scratch.path().join("missing"))?, None);
    Ok(())
}

#[test]
fn bytes_come_back_from_where_they_were_written() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("file");
    let file = OsVfs.create_new(&path)?;
    file.write_all_at(b"world", 6)?;
    file.write_all_at(b"hello", 0)?;
    file.sync()?;
    let mut bytes = [1; 16];
    assert_eq!(file.read_at(&mut bytes, 0)?, 11);
    assert_eq!(&bytes[..11], b"hello\0world");
    assert_eq!(file.read_at(&mut bytes, 100)?, 0);
    assert_eq!(file.read_exact_at(&mut bytes, 0).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(file.modified_ns()? > 1_600_000_000_000_000_000);

    assert_eq!(OsVfs.create_new(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let reader = OsVfs.open(&path, Access::Read)?;
    assert!(reader.write_all_at(b"x", 0).is_err());
    assert_eq!(reader.len()?, 11);
    Ok(())
}

#[test]
fn create_new_does_not_follow_a_dangling_link() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let link = scratch.path().join("link");
    symlink(scratch.path().join("elsewhere"), &link)?;
    assert_eq!(OsVfs.create_new(&link).unwrap_err().kind(), ErrorKind::AlreadyExists);
    Ok(())
}

#[test]
fn reserve_lengthens_and_never_shortens() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = OsVfs.create_new(&scratch.path().join("file"))?;
    file.write_all_at(&[7; 100], 0)?;
    file.reserve(50, 1000)?;
    assert_eq!(file.len()?, 1050);
    file.reserve(0, 10)?;
    file.reserve(20, 0)?;
    assert_eq!(file.len()?, 1050);
    file.reserve(2000, 0)?;
    assert_eq!(file.len()?, 2000);
    let mut bytes = [1; 2000];
    file.read_exact_at(&mut bytes, 0)?;
    assert_eq!((&bytes[..100], &bytes[100..]), (&[7; 100][..], &[0; 1900][..]));
    assert_eq!(file.reserve(u64::MAX, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
    Ok(())
}

#[test]
fn locks_exclude_other_openings_until_the_last_handle_goes() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("file");
    let one = OsVfs.create_new(&path)?;
    let two = OsVfs.open(&path, Access::Write)?;
    let three = OsVfs.open(&path, Access::Read)?;

    assert!(one.try_lock(Lock::Exclusive)?);
    assert!(!two.try_lock(Lock::Exclusive)?);
    assert!(!three.try_lock(Lock::Shared)?);
    drop(one);
    assert!(two.try_lock(Lock::Shared)?);
    assert!(three.try_lock(Lock::Shared)?);
    two.unlock()?;
    assert!(!two.try_lock(Lock::Exclusive)?);
    three.unlock()?;
    assert!(two.try_lock(Lock::Exclusive)?);
    Ok(())
}

#[test]
fn resolve_follows_links_to_what_is_missing() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let root = scratch.path().canonicalize()?;
    std::fs::create_dir_all(root.join("real/sub"))?;
    std::fs::write(root.join("real/file"), b"")?;
    symlink("real", root.join("folder"))?;
    symlink("folder/../real/missing.db", root.join("dangling"))?;
    symlink("dangling", root.join("chain"))?;
    symlink("../file", root.join("real/sub/up"))?;
    symlink("absent", root.join("to_absent"))?;

    for (path, target) in [
        ("real/file", "real/file"),
        ("./real/sub/../file", "real/file"),
        ("folder/file", "real/file"),
        ("folder/sub/up", "real/file"),
        ("folder/new.db", "real/new.db"),
        ("dangling", "real/missing.db"),
        ("chain", "real/missing.db"),
        ("folder/x/y/new.db", "real/x/y/new.db"),
        ("to_absent/new.db", "absent/new.db"),
    ] {
        assert_eq!(OsVfs.resolve(&root.join(path))?, root.join(target), "{path}");
    }
    assert_eq!(OsVfs.resolve(Path::new("new.db"))?, std::env::current_dir()?.canonicalize()?.join("new.db"));
    Ok(())
}

#[test]
fn resolve_refuses_what_names_no_file() -> io::Result<()> {
    for path in ["", "/", ".", "..", "folder/..", "missing/../new.db"] {
        let error = OsVfs.resolve(Path::new(path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
    }
    let scratch = tempfile::tempdir()?;
    let link = scratch.path().join("loop");
    symlink(&link, &link)?;
    assert!(OsVfs.resolve(&link).unwrap_err().to_string().contains("symbolic links"));

    for index in 0..41 {
        symlink(format!("link{}", index + 1), scratch.path().join(format!("link{index}")))?;
    }
    OsVfs.resolve(&scratch.path().join("link1"))?;
    assert!(OsVfs.resolve(&scratch.path().join("link0")).unwrap_err().to_string().contains("symbolic links"));
    Ok(())
}

#[test]
fn create_directories_accepts_what_exists_and_refuses_files() -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("a/b/c");
    OsVfs.create_directories(&folder)?;
    OsVfs.create_directories(&folder)?;
    OsVfs.create_directories(Path::new(""))?;
    assert!(folder.is_dir());
    OsVfs.create_new(&folder.join("file"))?;
    assert_eq!(OsVfs.list(&folder)?, ["file"]);
    for path in ["file", "file/below"] {
        let error = OsVfs.create_directories(&folder.join(path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory, "{path}");
    }
    OsVfs.rename(&folder.join("file"), &folder.join("other"))?;
    OsVfs.sync_directory(&folder)?;
    OsVfs.remove(&folder.join("other"))?;
    assert!(OsVfs.list(&folder)?.is_empty());
    Ok(())
}
