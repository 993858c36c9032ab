//! Repair: what is whole of a damaged database becomes a new one.

use std::path::Path;

use codex_crypto::{EncryptionKey, Unlock};
use codex_storage::progress::{Observer, Progress};
use serde::Serialize;

use crate::error::Result;
use crate::report::Head;

pub use codex_storage::{Gap, Resumed};

/// How a database is repaired.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{EncryptionKey, Options, RepairOptions, repair};
///
/// let key = EncryptionKey::generate()?;
/// let kept = key.to_hex();
/// Options::new().encryption_key(key).open(&path)?.close()?;
/// let options = RepairOptions::new().dry_run(true).encryption_key(EncryptionKey::from_hex(&kept)?);
/// assert!(repair(&path, folder.path().join("salvaged.db"), options)?.complete);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct RepairOptions {
    dry_run: bool,
    unlock: Option<Unlock>,
    observer: Observer,
}

impl RepairOptions {
    /// A repair of a database without encryption.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only reports what would be salvaged, and creates nothing; by default off.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Has `tell` called while the database is read, and the new one copied and verified: see [`Progress`].
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(tell);
        self
    }

    /// The key that opens the database. It opens the new one as well, and so does every other way in.
    #[must_use]
    pub fn encryption_key(self, key: EncryptionKey) -> Self {
        self.unlock(Unlock::from(key))
    }

    /// The passphrase that opens the database.
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

/// What a repair has salvaged, and what is missing.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::{RepairOptions, RepairReport, repair};
///
/// store.set("a", &1)?;
/// store.close()?;
/// let (path, salvaged) = (folder.path().join("app.db"), folder.path().join("salvaged.db"));
/// let report: RepairReport = repair(&path, &salvaged, RepairOptions::new())?;
/// assert_eq!((report.complete, report.commits, report.gaps.len()), (true, 1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct RepairReport {
    /// Whether the source shows no sign that anything is missing which had been acknowledged.
    pub complete: bool,
    /// Length of the source, in bytes.
    pub source_bytes: u64,
    /// How much of the source's start stands in the new file unchanged, in bytes; the header, which is new, is
    /// counted. A head taken of that part is extended by the new file.
    pub kept_bytes: u64,
    /// Frames that were salvaged.
    pub frames: u64,
    /// Commits in them; what a rewrite left of older ones is not counted.
    pub commits: u64,
    /// Operations in them: records set and deleted, and clears.
    pub records: u64,
    /// The sequence number of the new file's last commit.
    pub sequence: u64,
    /// The head of the new file; `None` after a dry run.
    pub head: Option<Head>,
    /// What is missing, in the order of the file. Commits behind a gap have new numbers.
    pub gaps: Vec<Gap>,
    /// Bytes of a commit at the end that a crash cut short before it was acknowledged; they are not salvaged.
    pub torn_bytes: u64,
    /// Whether one copy of the header was damaged or older.
    pub header_copy_stale: bool,
    /// Whether the copy of the header that counts does not authenticate, so that the other one was taken, which may
    /// be older.
    pub header_fallback: bool,
    /// Whether the log contradicts what the header says of it.
    pub floor_contradicted: bool,
    /// From this offset on, the file holds so many forged frames that it was not searched.
    pub search_ended: Option<u64>,
}

impl From<codex_storage::RepairReport> for RepairReport {
    fn from(report: codex_storage::RepairReport) -> Self {
        Self {
            complete: report.is_complete(),
            source_bytes: report.source_bytes,
            kept_bytes: report.kept_bytes,
            frames: report.frames,
            commits: report.commits,
            records: report.records,
            sequence: report.sequence,
            head: report.head.map(Head::from),
            gaps: report.gaps,
            torn_bytes: report.torn_bytes,
            header_copy_stale: report.header_copy_stale,
            header_fallback: report.header_fallback,
            floor_contradicted: report.floor_contradicted,
            search_ended: report.search_ended,
        }
    }
}

/// Salvages everything that authenticates of the database at `source`, in its order and in whole commits, into a new
/// database at `target`, where nothing may stand. Verified and durable when this returns; the source and all files
/// beside it are left as they are.
///
/// The result is a database of the same mode, with the same keys. It may lack commits, and then a record can have the
/// value that a missing commit had replaced or deleted: [`RepairReport::gaps`] says what is missing.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{ErrorKind, Mode, Options, RepairOptions, Store, repair};
///
/// let store = Options::new().mode(Mode::Ledger).open(&path)?;
/// store.set("first", &1)?;
/// store.set("second", &2)?;
/// store.set("third", &3)?;
/// store.close()?;
/// std::fs::remove_file(path.with_extension("db.ckpt")).ok(); // else the ledger opens without reading the first commits
/// // A disk changes one byte of the second commit.
/// let mut bytes = std::fs::read(&path)?;
/// let place = bytes.windows(6).position(|window| window == b"second").expect("it is not encrypted");
/// bytes[place] = b'S';
/// std::fs::write(&path, bytes)?;
/// assert!(Store::open(&path).is_err_and(|error| error.kind() == ErrorKind::Integrity));
///
/// let salvaged = folder.path().join("salvaged.db");
/// let report = repair(&path, &salvaged, RepairOptions::new())?;
/// assert_eq!((report.complete, report.commits, report.gaps[0].first_missing), (false, 2, Some(2)));
/// assert_eq!(Store::open(&salvaged)?.get::<u32>("third")?, Some(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn repair(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: RepairOptions,
) -> Result<RepairReport> {
    let RepairOptions { dry_run, unlock, observer } = options;
    let repairing = codex_storage::RepairOptions { dry_run, observer, ..Default::default() };
    let report = codex_storage::repair(source.as_ref(), target.as_ref(), unlock.as_ref(), &repairing)?;
    Ok(report.into())
}
