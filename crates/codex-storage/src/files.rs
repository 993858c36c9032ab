//! The names of the files of one database.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A database's path, links followed, and the names beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    database: PathBuf,
}

impl Files {
    /// The files of the database at a path that [`crate::vfs::Vfs::resolve`] gave.
    #[must_use]
    pub fn of(database: PathBuf) -> Self {
        Self { database }
    }

    /// `app.db`: the database.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The folder of all of them.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new("."))
    }

    /// `app.db.lock`: held by whoever has the database open; never deleted.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// `app.db.ckpt`: derived from the log, and may be deleted at any time.
    #[must_use]
    pub fn checkpoint(&self) -> PathBuf {
        self.beside(".ckpt")
    }

    /// `app.db.torn`: what the latest recovery cut off.
    #[must_use]
    pub fn torn(&self) -> PathBuf {
        self.beside(".torn")
    }

    /// `app.db.bak.1`, `.2` and so on: 1 is the newest.
    #[must_use]
    pub fn backup(&self, number: u32) -> PathBuf {
        self.beside(&format!(".bak.{number}"))
    }

    /// The number of a backup, from a name in the folder.
    #[must_use]
    pub fn backup_number(&self, name: &OsStr) -> Option<u32> {
        let name = name.as_encoded_bytes();
        let prefix = self.backup_prefix();
        let digits = std::str::from_utf8(name.strip_prefix(prefix.as_encoded_bytes())?).ok()?;
        let number = digits.parse().ok()?;
        // `bak.01` and `bak.+1` are not ours.
        (number > 0 && u32::to_string(&number) == digits).then_some(number)
    }

    fn backup_prefix(&self) -> OsString {
        let mut name = self.database.file_name().unwrap_or_default().to_os_string();
        name.push(".bak.");
        name
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_rotation_makes_are_backups() {
        let files = Files::of("/data/app.db".into());
        let number = |name: &str| files.backup_number(OsStr::new(name));
        assert_eq!(number("app.db.bak.12"), Some(12));
        for other in
            ["app.db.bak.0", "app.db.bak.01", "app.db.bak.+1", "app.db.bak.", "x.db.bak.1", "app.db.bak.1x"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
