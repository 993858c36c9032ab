//! How a store is opened.

use std::env;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use codex_crypto::{EncryptionKey, Passphrase, PassphraseCost, Unlock};
use codex_storage::progress::{Observer, Progress};
use codex_storage::{Durability, ExpectedHead, Mode, OpenOptions};

use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::rotation::{BackupPolicy, Rotation};
use crate::store::Store;
use crate::value::Compression;

/// Opens or creates a [`Store`]. What is not set has a default that is safe.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{BackupPolicy, Compression, EncryptionKey, Mode, Options};
///
/// let store = Options::new()
///     .mode(Mode::Ledger)
///     .encryption_key(EncryptionKey::generate()?)
///     .compression(Compression::Zstd)
///     .backups(BackupPolicy::keep(5))
///     .open(&path)?;
/// store.set("greeting", "hello")?;
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let store = codex::Options::new().open(&path)?;
    /// let stats = store.stats();
    /// assert_eq!((stats.mode, stats.encrypted), (codex::Mode::Snapshot, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{ErrorKind, Mode, Options};
    ///
    /// Options::new().mode(Mode::Ledger).open(&path)?.close()?;
    /// assert_eq!(Options::new().open(&path)?.stats().mode, Mode::Ledger);
    /// let other = Options::new().mode(Mode::Snapshot).open(&path);
    /// assert!(other.is_err_and(|error| error.kind() == ErrorKind::Validation));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.storage.mode = Some(mode);
        self
    }

    /// The key that opens the database; a new database is encrypted with it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{EncryptionKey, ErrorKind, Options, Store};
    ///
    /// let key = EncryptionKey::generate()?;
    /// let kept = key.to_hex(); // 64 digits, wiped when dropped
    /// Options::new().encryption_key(key).open(&path)?.close()?;
    /// assert!(Store::open(&path).is_err_and(|error| error.kind() == ErrorKind::Encryption));
    /// Options::new().encryption_key(EncryptionKey::from_hex(&kept)?).open(&path)?.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn encryption_key(self, key: EncryptionKey) -> Self {
        self.unlock(Unlock::from(key))
    }

    /// The passphrase that opens the database; a new database is encrypted with it. Argon2id turns it into a key,
    /// which takes some tenths of a second and 64 MiB of memory; salt and cost are recorded in the file.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let store = codex::Options::new().passphrase("correct horse battery staple").open(&path)?;
    /// assert!(store.stats().encrypted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn passphrase(self, passphrase: impl Into<String>) -> Self {
        self.unlock(Unlock::from(Passphrase::new(passphrase)))
    }

    /// What a guess at the passphrase of a new database is to cost, and so each opening with it; by default 3 passes over
    /// 64 MiB. [`calibrate`](crate::calibrate) finds one for a time.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{Argon2Cost, Options};
    ///
    /// // 128 MiB, three passes, four lanes.
    /// let cost = Argon2Cost::new(128 * 1024, 3, 4)?;
    /// let store = Options::new().passphrase("correct horse battery staple").passphrase_cost(cost).open(&path)?;
    /// assert_eq!(store.key_slots()?[0].cost, Some(cost));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn passphrase_cost(mut self, cost: PassphraseCost) -> Self {
        self.storage.passphrase_cost = cost;
        self
    }

    /// The key or passphrase, whichever it is.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{EncryptionKey, Options, Unlock};
    ///
    /// // What a program was configured with.
    /// let unlock = Unlock::from(EncryptionKey::generate()?);
    /// let store = Options::new().unlock(unlock).open(&path)?;
    /// assert!(store.stats().encrypted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn unlock(mut self, unlock: Unlock) -> Self {
        self.unlock = Some(unlock);
        self
    }

    /// When a commit is durable; by default when it returns.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{Durability, Options};
    ///
    /// // Sessions: after a loss of power the last 50 milliseconds may be missing.
    /// let store = Options::new().durability(Durability::Interval(std::time::Duration::from_millis(50))).open(&path)?;
    /// store.set("session", "Ada")?;
    /// store.flush()?; // durable at once
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.storage.durability = durability;
        self
    }

    /// How values are compressed that are written from now on; by default not at all.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{Compression, Options};
    ///
    /// let store = Options::new().compression(Compression::Lz4).open(&path)?;
    /// let text = "the same again and again, ".repeat(1000);
    /// store.set("text", &text)?;
    /// assert!(store.stats().live_bytes < 1000);
    /// assert_eq!(store.get::<String>("text")?, Some(text));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// How typed values are encoded that are written from now on; by default as JSON.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{Codec, Options};
    ///
    /// let store = Options::new().codec(Codec::Bincode).open(&path)?;
    /// store.set("numbers", &[1_u8, 2, 3])?;
    /// assert_eq!(store.get_bytes("numbers")?.as_deref(), Some(&[1, 2, 3][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Which copies are kept beside the database; by default none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{BackupPolicy, Options};
    ///
    /// let hourly = BackupPolicy::keep(24).every(std::time::Duration::from_hours(1));
    /// let store = Options::new().backups(hourly).open(&path)?;
    /// assert!(store.backups()?.is_empty(), "there is nothing to copy yet");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn backups(mut self, policy: BackupPolicy) -> Self {
        self.backups = policy;
        self
    }

    /// Whether a database that does not exist is created, with missing folders; by default it is.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let opened = codex::Options::new().create(false).open(&path);
    /// assert!(opened.is_err_and(|error| error.kind() == codex::ErrorKind::NotFound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.storage.create = create;
        self
    }

    /// Opens only a database that goes on from this head, a [`Head`](crate::Head) or better a
    /// [`LogHead`](crate::proof::LogHead): this notices an older copy in the place of the database, and a history that was
    /// cut. One that does not go on from there is left as it is, and a missing one is not created;
    /// [`Store::compare_head`] has the errors.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{ErrorKind, Mode, Options, Store};
    ///
    /// let options = || Options::new().mode(Mode::Ledger);
    /// let store = options().open(&path)?;
    /// store.set("balance", &100)?;
    /// let copy = folder.path().join("copy.db");
    /// store.backup(&copy)?;
    /// store.set("balance", &40)?;
    /// let kept = store.log_head();
    /// store.close()?;
    ///
    /// options().expect_head(kept).open(&path)?.close()?;
    /// // Somebody puts the older copy in its place.
    /// std::fs::rename(&copy, &path)?;
    /// assert!(options().expect_head(kept).open(&path).is_err_and(|error| error.kind() == ErrorKind::Integrity));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expect_head(mut self, head: impl Into<ExpectedHead>) -> Self {
        self.storage.expect_head = Some(head.into());
        self
    }

    /// Has `tell` called while the store is being opened, and then during [`Store::verify`], [`Store::backup`],
    /// [`Store::rotate_backup`] and [`Store::compact`], and while [`Store::at`], [`Store::history`] and [`Store::log`] read
    /// the log for their answer: see [`Progress`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// let store = codex::Options::new()
    ///     .progress(|at| eprintln!("{:?}: {} of {} bytes", at.stage, at.done, at.total))
    ///     .open(&path)?;
    /// store.verify()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.storage.observer = Observer::new(tell);
        self
    }

    /// Opens for reading only, beside other readers; no byte of any file is changed. By default off.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{ErrorKind, Options, Store};
    ///
    /// Store::open(&path)?.close()?;
    /// let store = Options::new().read_only(true).open(&path)?;
    /// assert!(store.set("a", &1).is_err_and(|error| error.kind() == ErrorKind::Permission));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.storage.read_only = read_only;
        self
    }

    /// Opens the database at `path`, or creates it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{ErrorKind, Options};
    ///
    /// let store = Options::new().open(folder.path().join("a new folder").join("app.db"))?;
    /// // A database is open once; clones of a store share it.
    /// let again = Options::new().open(folder.path().join("a new folder").join("app.db"));
    /// assert!(again.is_err_and(|error| error.kind() == ErrorKind::Concurrency));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```no_run
    /// let settings = codex::Options::new().open_home("settings")?; // ~/.codex/settings.db
    /// # Ok::<(), codex::Error>(())
    /// ```
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
