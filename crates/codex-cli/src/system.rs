//! What the files that the command itself writes need from the system, where systems differ: `docs/platforms.md`.
//!
//! A database's own files are `codex_storage::vfs::os`'s.

pub(crate) use self::of_this_system::{for_the_owner, others_can_use, sync_folder_of};

#[cfg(unix)]
mod of_this_system {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    /// A file that is created is its owner's only.
    pub(crate) fn for_the_owner(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    /// Whether others than its owner can read or write a file.
    pub(crate) fn others_can_use(metadata: &Metadata) -> bool {
        metadata.permissions().mode() & 0o077 != 0
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

    #[expect(clippy::unnecessary_wraps, reason = "the same signature on every system")]
    pub(crate) fn sync_folder_of(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
