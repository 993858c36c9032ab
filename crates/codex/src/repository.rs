//! A repository of backups, for stores.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex_backup::Retention as Rules;
use codex_storage::progress::{Observer, Progress};
use codex_storage::vfs::Vfs;
use codex_storage::vfs::os::OsVfs;
use serde::Serialize;

use crate::backup::RestoreOptions;
use crate::error::Result;
use crate::report::unix_seconds;
use crate::store::Store;

pub use codex_backup::RepositoryReport;

/// Incremental backups of one or many databases, in a folder of plain files. Of a database only what the repository does
/// not have is written. Neither making nor verifying a backup needs a key; restoring one does.
///
/// ```
/// use codex::{Repository, RestoreOptions, Store};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
///
/// let store = Store::open(folder.join("app.db"))?;
/// store.set("greeting", "hello")?;
/// let repository = Repository::open_or_create(folder.join("backups"))?;
/// let backup = repository.back_up(&store)?;
/// assert_eq!((backup.number, backup.sequence), (1, 1));
///
/// repository.verify(Some(&backup.receipt))?;
/// repository.restore(None, folder.join("restored.db"), RestoreOptions::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Repository(codex_backup::Repository);

/// A backup that a repository holds.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::Repository;
///
/// store.set("greeting", "hello")?;
/// let repository = Repository::open_or_create(folder.path().join("backups"))?;
///
/// let first = repository.back_up(&store)?;
/// let second = repository.back_up(&store)?;
/// assert_eq!((second.number, second.sent_bytes), (2, Some(0)));
/// assert!(first.sent_bytes > Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepositoryBackup {
    /// The id of the database, in hexadecimal.
    pub database: String,
    /// Counts the backups of that database, from 1.
    pub number: u64,
    /// When it was made. Serialized as `time_unix`.
    #[serde(rename = "time_unix", serialize_with = "unix_seconds")]
    pub time: SystemTime,
    /// The last commit that it holds.
    pub sequence: u64,
    /// What a restore writes, in bytes.
    pub bytes: u64,
    /// What making it wrote into the repository, in bytes; `None` where it is only listed.
    pub sent_bytes: Option<u64>,
    /// Stands for this backup and those before it. Kept elsewhere, it shows to [`Repository::verify`] whether the
    /// repository was rolled back.
    pub receipt: String,
}

impl From<codex_backup::RepositoryBackup> for RepositoryBackup {
    fn from(backup: codex_backup::RepositoryBackup) -> Self {
        Self {
            database: backup.database,
            number: backup.number,
            time: UNIX_EPOCH + Duration::from_nanos(backup.time_ns),
            sequence: backup.sequence,
            bytes: backup.bytes,
            sent_bytes: None,
            receipt: backup.receipt,
        }
    }
}

/// Which backups stay when a repository is pruned. A backup stays if any rule keeps it; the newest always does.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::{Repository, Retention};
///
/// store.set("greeting", "hello")?;
/// let repository = Repository::open_or_create(folder.path().join("backups"))?;
///
/// repository.back_up(&store)?;
/// // One for each of the last seven days and twelve months that have one, and the last three anyway.
/// let retention = Retention::new().keep_last(3).keep_daily(7).keep_monthly(12);
/// assert_eq!(repository.prune(retention, None, false)?.removed.len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention(Rules);

impl Retention {
    /// The newest backup alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The newest `count`.
    #[must_use]
    pub fn keep_last(mut self, count: usize) -> Self {
        self.0.last = count;
        self
    }

    /// The newest of each of the last `count` hours that have one.
    #[must_use]
    pub fn keep_hourly(mut self, count: usize) -> Self {
        self.0.hourly = count;
        self
    }

    /// The newest of each of the last `count` days that have one, in UTC.
    #[must_use]
    pub fn keep_daily(mut self, count: usize) -> Self {
        self.0.daily = count;
        self
    }

    /// The newest of each of the last `count` weeks that have one.
    #[must_use]
    pub fn keep_weekly(mut self, count: usize) -> Self {
        self.0.weekly = count;
        self
    }

    /// The newest of each of the last `count` months that have one.
    #[must_use]
    pub fn keep_monthly(mut self, count: usize) -> Self {
        self.0.monthly = count;
        self
    }
}

/// What pruning has removed.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::{Repository, Retention};
///
/// store.set("greeting", "hello")?;
/// let repository = Repository::open_or_create(folder.path().join("backups"))?;
///
/// repository.back_up(&store)?;
/// repository.back_up(&store)?;
/// let pruned: codex::Pruned = repository.prune(Retention::new(), None, true)?;
/// assert_eq!((pruned.kept.len(), pruned.removed.len()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Backups that stay.
    pub kept: Vec<RepositoryBackup>,
    /// Backups that went, or would go.
    pub removed: Vec<RepositoryBackup>,
}

impl Repository {
    /// The repository in a folder. [`NotFound`](crate::ErrorKind::NotFound) where there is none.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::{ErrorKind, Repository};
    ///
    /// let folder = folder.path().join("nothing yet");
    /// assert!(Repository::open(&folder).is_err_and(|error| error.kind() == ErrorKind::NotFound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Ok(Self(codex_backup::Repository::open(&files(), folder.as_ref())?))
    }

    /// The repository in a folder; a new one where the folder is missing or empty.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::Repository;
    ///
    /// let repository = Repository::open_or_create(folder.path().join("backups"))?;
    /// assert!(repository.list()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_or_create(folder: impl AsRef<Path>) -> Result<Self> {
        Ok(Self(codex_backup::Repository::open_or_create(&files(), folder.as_ref())?))
    }

    /// Has `tell` called during [`Repository::back_up`], [`Repository::verify`] and [`Repository::prune`]: see
    /// [`Progress`]. A restore has [options](RestoreOptions::progress) for that.
    #[must_use]
    pub fn progress(self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(self.0.observed_by(Observer::new(tell)))
    }

    /// Adds a backup that holds every commit acknowledged before the call; durable when this returns. Commits go on meanwhile.
    ///
    /// [`Integrity`](crate::ErrorKind::Integrity) if the store does not continue its latest backup, because an older copy
    /// was put back or the two went on apart; [`Repository::back_up_fork`] is for when that was intended.
    /// [`Concurrency`](crate::ErrorKind::Concurrency) while another process has the repository.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::Repository;
    ///
    /// store.set("greeting", "hello")?;
    /// let repository = Repository::open_or_create(folder.path().join("backups"))?;
    /// let backup = repository.back_up(&store)?;
    /// assert_eq!((backup.number, backup.sequence), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn back_up(&self, store: &Store) -> Result<RepositoryBackup> {
        self.add(store, false)
    }

    /// The same for a store that was restored to an earlier point and went on from there.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::{ErrorKind, Mode, Options, Point, Repository, RestoreOptions};
    ///
    /// let options = Options::new().mode(Mode::Ledger);
    /// let store = options.open(&path)?;
    /// store.set("a", &1)?;
    /// store.set("a", &2)?;
    /// let repository = Repository::open_or_create(folder.path().join("backups"))?;
    /// repository.back_up(&store)?;
    /// store.close()?;
    ///
    /// let earlier = RestoreOptions::new().overwrite(true).at(Point::Sequence(1));
    /// repository.restore(None, &path, earlier)?;
    /// let store = options.open(&path)?;
    /// assert!(repository.back_up(&store).is_err_and(|error| error.kind() == ErrorKind::Integrity));
    /// repository.back_up_fork(&store)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn back_up_fork(&self, store: &Store) -> Result<RepositoryBackup> {
        self.add(store, true)
    }

    fn add(&self, store: &Store, forked: bool) -> Result<RepositoryBackup> {
        let sent = self.0.back_up(&store.durable_prefix()?, store.now_ns(), forked)?;
        Ok(RepositoryBackup { sent_bytes: Some(sent.sent_bytes), ..sent.backup.into() })
    }

    /// The backups of all databases, each database's newest first.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::Repository;
    ///
    /// store.set("greeting", "hello")?;
    /// let repository = Repository::open_or_create(folder.path().join("backups"))?;
    /// repository.back_up(&store)?;
    /// repository.back_up(&store)?;
    /// let numbers: Vec<u64> = repository.list()?.iter().map(|backup| backup.number).collect();
    /// assert_eq!(numbers, [2, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list(&self) -> Result<Vec<RepositoryBackup>> {
        Ok(self.0.list()?.into_iter().map(RepositoryBackup::from).collect())
    }

    /// Reads and checks every file, without a key. Damage is an [`Integrity`](crate::ErrorKind::Integrity) error that names
    /// all damaged files; so is a repository that has lost the backup of `receipt`.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::Repository;
    ///
    /// store.set("greeting", "hello")?;
    /// let repository = Repository::open_or_create(folder.path().join("backups"))?;
    /// let receipt = repository.back_up(&store)?.receipt; // kept elsewhere
    /// assert_eq!(repository.verify(Some(&receipt))?.backups, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, receipt: Option<&str>) -> Result<RepositoryReport> {
        Ok(self.0.verify(receipt)?)
    }

    /// Removes the backups that a retention does not keep, of one database or of each, and what only they need. A dry run
    /// removes nothing.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::{Repository, Retention};
    ///
    /// store.set("greeting", "hello")?;
    /// let repository = Repository::open_or_create(folder.path().join("backups"))?;
    /// for _ in 0..5 {
    ///     repository.back_up(&store)?;
    /// }
    /// let pruned = repository.prune(Retention::new().keep_last(2), None, false)?;
    /// assert_eq!((pruned.kept.len(), pruned.removed.len()), (2, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prune(&self, retention: Retention, database: Option<&str>, dry_run: bool) -> Result<Pruned> {
        let pruned = self.0.prune(&retention.0, database, dry_run)?;
        let backups = |backups: Vec<codex_backup::RepositoryBackup>| {
            backups.into_iter().map(RepositoryBackup::from).collect()
        };
        Ok(Pruned { kept: backups(pruned.kept), removed: backups(pruned.removed) })
    }

    /// Restores the newest backup of a database, or the point that the options name, to `target`, as
    /// [`restore`](crate::restore) does. `database` may be left out where the repository holds one only.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Store::open(folder.path().join("app.db"))?;
    /// use codex::{Repository, RestoreOptions, Store};
    ///
    /// store.set("greeting", "hello")?;
    /// let repository = Repository::open_or_create(folder.path().join("backups"))?;
    /// repository.back_up(&store)?;
    /// let target = folder.path().join("restored.db");
    /// repository.restore(None, &target, RestoreOptions::new())?;
    /// assert_eq!(Store::open(&target)?.get::<String>("greeting")?.as_deref(), Some("hello"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // By value, as `restore` takes them: they hold a key, which is wiped with them.
    pub fn restore(
        &self,
        database: Option<&str>,
        target: impl AsRef<Path>,
        options: RestoreOptions,
    ) -> Result<()> {
        let (unlock, restoring) = options.into_parts();
        Ok(self.0.restore(database, target.as_ref(), unlock.as_ref(), &restoring)?)
    }
}

fn files() -> Arc<dyn Vfs> {
    Arc::new(OsVfs)
}
