//! Backups of a store, and restore.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::Point;
use codex_storage::progress::{Observer, Progress};
use serde::Serialize;

use crate::error::Result;
use crate::report::unix_seconds;

/// One copy of the rotation beside a database.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{BackupPolicy, Options, Store};
///
/// let store = Options::new().backups(BackupPolicy::keep(3)).open(&path)?;
/// store.set("a", &1)?;
/// store.rotate_backup()?;
/// let backup: &codex::Backup = &store.backups()?[0];
/// let copy = Store::open(&backup.path)?;
/// assert_eq!(copy.get::<u32>("a")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backup {
    /// Its number: 1 is the newest.
    pub number: u32,
    /// Where it is. It is a database, and opens by itself with the same key.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub bytes: u64,
    /// When it was written. Serialized as `modified_unix`.
    #[serde(rename = "modified_unix", serialize_with = "unix_seconds")]
    pub modified: SystemTime,
}

impl From<codex_backup::Backup> for Backup {
    fn from(backup: codex_backup::Backup) -> Self {
        let modified = UNIX_EPOCH + Duration::from_nanos(backup.modified_ns);
        Self { number: backup.number, path: backup.path, bytes: backup.bytes, modified }
    }
}

/// How a backup is restored.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{Mode, Options, Point, RestoreOptions, Store, restore};
///
/// let store = Options::new().mode(Mode::Ledger).open(&path)?;
/// store.set("a", &1)?;
/// store.clear()?; // a mistake
/// let backup = folder.path().join("backup.db");
/// store.backup(&backup)?;
/// store.close()?;
///
/// restore(&backup, &path, RestoreOptions::new().overwrite(true).at(Point::Sequence(1)))?;
/// assert_eq!(Store::open(&path)?.get::<u32>("a")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct RestoreOptions {
    overwrite: bool,
    at: Option<Point>,
    unlock: Option<Unlock>,
    observer: Observer,
}

impl RestoreOptions {
    /// Into a path where nothing stands, from a backup without encryption.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a database at the target is replaced. It stands until the restored one has verified.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Restores the state at a point instead of the newest: the commits up to there, and no others. The database that
    /// this gives goes on from there by itself, with the same id and key as the one that went on otherwise.
    ///
    /// A point that the backup does not reach back or forward to is [`NotFound`](crate::ErrorKind::NotFound): in snapshot
    /// mode that is what lies before the last rewrite. A time in the future gives the newest state.
    #[must_use]
    pub fn at(mut self, point: Point) -> Self {
        self.at = Some(point);
        self
    }

    /// Has `tell` called while the backup is read, copied and verified: see [`Progress`].
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(tell);
        self
    }

    /// The key that opens the backup.
    #[must_use]
    pub fn encryption_key(self, key: EncryptionKey) -> Self {
        self.unlock(Unlock::from(key))
    }

    /// The passphrase that opens the backup.
    #[must_use]
    pub fn passphrase(self, passphrase: impl Into<String>) -> Self {
        self.unlock(Unlock::passphrase(passphrase))
    }

    /// The key or passphrase, whichever it is.
    #[must_use]
    pub fn unlock(mut self, unlock: Unlock) -> Self {
        self.unlock = Some(unlock);
        self
    }
}

impl RestoreOptions {
    pub(crate) fn into_parts(self) -> (Option<Unlock>, codex_backup::RestoreOptions) {
        let Self { overwrite, at, unlock, observer } = self;
        (unlock, codex_backup::RestoreOptions { overwrite, at, observer, ..Default::default() })
    }
}

/// Restores the backup at `source` to `target`, where nothing may stand unless
/// [`RestoreOptions::overwrite`] is set. Every frame is verified before the target has its name; durable when this
/// returns. The backup is left as it is.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::{ErrorKind, RestoreOptions, Store, restore};
///
/// store.set("a", &1)?;
/// let (backup, target) = (folder.path().join("backup.db"), folder.path().join("restored.db"));
/// store.backup(&backup)?;
/// restore(&backup, &target, RestoreOptions::new())?;
/// assert_eq!(Store::open(&target)?.get::<u32>("a")?, Some(1));
/// // What stands there is replaced only if the options say so.
/// let again = restore(&backup, &target, RestoreOptions::new());
/// assert!(again.is_err_and(|error| error.kind() == ErrorKind::Validation));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn restore(source: impl AsRef<Path>, target: impl AsRef<Path>, options: RestoreOptions) -> Result<()> {
    let (unlock, restoring) = options.into_parts();
    codex_backup::restore(source.as_ref(), target.as_ref(), unlock.as_ref(), &restoring)?;
    Ok(())
}
