//! What the files that the command itself writes need from the system, where systems differ: `docs/platforms.md`.
//!
//! A database's own files are `codex_storage::vfs::os`'s.

pub(crate) use self::of_this_system::{for_the_owner, is_credential, others_can_use, sync_folder_of};

#[cfg(unix)]
mod of_this_system {
    use std::fs::{self, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    /// A file that is created is its owner's only.
    pub(crate) fn for_the_owner(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    /// Whether others than its owner can read or write a file.
    pub(crate) fn others_can_use(metadata: &Metadata) -> bool {
        metadata.permissions().mode() & 0o077 != 0
    }

    /// Whether an open file is a credential that systemd handed to this service: a file directly in the folder that
    /// `$CREDENTIALS_DIRECTORY` names, which nobody else can use. systemd lets the service read it by an access
    /// list (0440 as a mode shows it) where the file is root's, so a group may read it, but not write.
    pub(crate) fn is_credential(path: &Path, opened: &Metadata) -> bool {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
        folder.is_some_and(|folder| is_credential_in(Path::new(&folder), path, opened))
    }

    fn is_credential_in(folder: &Path, path: &Path, opened: &Metadata) -> bool {
        let (Ok(folder), Ok(path)) = (fs::canonicalize(folder), fs::canonicalize(path)) else { return false };
        // What the name leads to now need not be what was opened: a link may have changed in between.
        let is_opened = fs::symlink_metadata(&path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (opened.dev(), opened.ino()));
        path.parent() == Some(&*folder)
            && is_opened
            && opened.is_file()
            && opened.permissions().mode() & 0o027 == 0
    }

    /// Makes a file's name durable.
    pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

/// Windows has no modes, and no sync of folders: who can use a file follows from its folder, and a power loss may take
/// a new name back.
#[cfg(not(unix))]
mod of_this_system {
    use std::fs::{Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(crate) fn for_the_owner(_: &mut OpenOptions) {}

    pub(crate) fn others_can_use(_: &Metadata) -> bool {
        false
    }

    pub(crate) fn is_credential(_: &Path, _: &Metadata) -> bool {
        false
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same signature on every system")]
    pub(crate) fn sync_folder_of(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
