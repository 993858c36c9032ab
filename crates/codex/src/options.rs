//! How a store is opened.

use std::env;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use codex_crypto::{EncryptionKey, Passphrase, PassphraseCost, Unlock};
use codex_storage::{Durability, ExpectedHead, Mode, OpenOptions};

use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::rotation::{BackupPolicy, Rotation};
use crate::store::Store;
use crate::value::Compression;

/// Opens or creates a [`Store`]. What is not set has a default that is safe.
#[derive(Debug)]
pub struct Options {
    storage: OpenOptions,
    unlock: Option<Unlock>,
    pub(crate) codec: Codec,
    pub(crate) compression: Compression,
    backups: BackupPolicy,
}

impl Options {
    /// Snapshot mode for a new database, no encryption, durable commits, JSON, no compression, no backups.
    #[must_use]
    pub fn new() -> Self {
        Self {
            storage: OpenOptions::default(),
            unlock: None,
            codec: Codec::default(),
            compression: Compression::default(),
            backups: BackupPolicy::default(),
        }
    }

    /// What a new database keeps. Of an existing one it must be the mode, or be left out.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.storage.mode = Some(mode);
        self
    }

    /// The key that opens the database; a new database is encrypted with it.
    #[must_use]
    pub fn encryption_key(self, key: EncryptionKey) -> Self {
        self.unlock(Unlock::from(key))
    }

    /// The passphrase that opens the database; a new database is encrypted with it. Argon2id turns it into a key,
    /// which takes some tenths of a second and 64 MiB of memory; salt and cost are recorded in the file.
    #[must_use]
    pub fn passphrase(self, passphrase: impl Into<String>) -> Self {
        self.unlock(Unlock::from(Passphrase::new(passphrase)))
    }

    /// What a guess at the passphrase of a new database is to cost, and so each opening with it; by default 3 passes over
    /// 64 MiB. [`calibrate`](crate::calibrate) finds one for a time.
    #[must_use]
    pub fn passphrase_cost(mut self, cost: PassphraseCost) -> Self {
        self.storage.passphrase_cost = cost;
        self
    }

    /// The key or passphrase, whichever it is.
    #[must_use]
    pub fn unlock(mut self, unlock: Unlock) -> Self {
        self.unlock = Some(unlock);
        self
    }

    /// When a commit is durable; by default when it returns.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.storage.durability = durability;
        self
    }

    /// How values are compressed that are written from now on; by default not at all.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How typed values are encoded that are written from now on; by default as JSON.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Which copies are kept beside the database; by default none.
    #[must_use]
    pub fn backups(mut self, policy: BackupPolicy) -> Self {
        self.backups = policy;
        self
    }

    /// Whether a database that does not exist is created, with missing folders; by default it is.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.storage.create = create;
        self
    }

    /// Opens only a database that goes on from this head, a [`Head`](crate::Head) or better a
    /// [`LogHead`](crate::proof::LogHead): this notices an older copy in the place of the database, and a history that was
    /// cut. One that does not go on from there is left as it is, and a missing one is not created;
    /// [`Store::compare_head`] has the errors.
    #[must_use]
    pub fn expect_head(mut self, head: impl Into<ExpectedHead>) -> Self {
        self.storage.expect_head = Some(head.into());
        self
    }

    /// Opens for reading only, beside other readers; no byte of any file is changed. By default off.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.storage.read_only = read_only;
        self
    }

    /// Opens the database at `path`, or creates it.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Store> {
        let OpenOptions { vfs, clock, read_only, .. } = &self.storage;
        let rotation = Arc::new(Rotation::new(self.backups, vfs.clone(), clock.clone()));
        let storage = OpenOptions { chore: Some(rotation.clone()), ..self.storage.clone() };
        let database = storage.open(path.as_ref(), self.unlock.as_ref())?;
        if !read_only {
            rotation.begin(&database);
        }
        Ok(Store::new(database, self, rotation))
    }

    /// Opens the database called `name` in the user's folder: `$CODEX_HOME/NAME.db`, or `~/.codex/NAME.db`.
    /// A name is one plain file name: no separators, not empty, and no dot in front.
    pub fn open_home(&self, name: &str) -> Result<Store> {
        self.open(home_path(name)?)
    }

    pub(crate) fn storage(&self) -> &OpenOptions {
        &self.storage
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) fn home_path(name: &str) -> Result<PathBuf> {
    let mut components = Path::new(name).components();
    let plain = matches!((components.next(), components.next()), (Some(Component::Normal(part)), None) if part == name)
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0']);
    if !plain {
        return Err(Error::validation("a database's name is one plain file name, without separators"));
    }
    let folder = match env::var_os("CODEX_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => {
            let home = env::home_dir().filter(|home| home.is_absolute());
            home.ok_or_else(|| Error::validation("there is no home folder; set CODEX_HOME"))?.join(".codex")
        }
    };
    Ok(folder.join(format!("{name}.db")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_home_folder_or_meet_another_database() {
        for name in ["", ".", "..", "../x", "a/b", "/etc/x", "a\\b", ".hidden", "a/", "a\0b", "./a"] {
            assert!(home_path(name).is_err(), "{name:?}");
        }
        assert_ne!(home_path("my").ok(), home_path("my_app").ok());
        assert!(home_path("my").unwrap().ends_with("my.db"));
    }
}
