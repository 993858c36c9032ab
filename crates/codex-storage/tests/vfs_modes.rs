//! Files and folders are for their owner only, whatever the umask. It belongs to the whole process, so
//! this test starts itself again under each.

#![cfg(all(unix, not(loom)))]

use std::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use codex_storage::sync::Arc;
use codex_storage::vfs::Vfs;
use codex_storage::vfs::os::OsVfs;
use codex_storage::vfs::replace::{Existing, Replacement};

const UNDER_UMASK: &str = "CODEX_TEST_UNDER_UMASK";

#[test]
fn files_are_0600_and_folders_0700_under_any_umask() -> Result<(), Box<dyn Error>> {
    if std::env::var_os(UNDER_UMASK).is_some() {
        return create_and_look();
    }
    for umask in ["000", "022", "777"] {
        let output = Command::new("sh")
            .args(["-c", "umask $1 && shift && exec \"$@\"", "sh", umask])
            .arg(std::env::current_exe()?)
            .args(["--exact", "files_are_0600_and_folders_0700_under_any_umask"])
            .env(UNDER_UMASK, umask)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "umask {umask}: {text}");
    }
    Ok(())
}

fn create_and_look() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    // The folder of the test itself has the mode of the umask, too.
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o700))?;
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let folder = scratch.path().join("a").join("b");
    vfs.create_directories(&folder)?;
    assert_eq!(mode(&scratch.path().join("a"))?, 0o700);
    assert_eq!(mode(&folder)?, 0o700);

    vfs.create_new(&folder.join("file"))?;
    assert_eq!(mode(&folder.join("file"))?, 0o600);

    let replacement = Replacement::create(&vfs, &folder.join("replaced"))?;
    assert_eq!(mode(replacement.path())?, 0o600);
    replacement.persist(Existing::Replace)?;
    assert_eq!(mode(&folder.join("replaced"))?, 0o600);
    Ok(())
}

fn mode(path: &Path) -> std::io::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o7777)
}
