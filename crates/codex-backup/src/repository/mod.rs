//! A repository: incremental backups of one or many databases, in plain files.
//!
//! A database file is a log that only grows, and is sealed already. So a backup is the log's bytes, cut into pieces, and
//! a manifest that names them; the next one of the same file names the same pieces and those that came since. Layout and
//! what it protects: `docs/backups.md`.
//!
//! What holds at all times:
//! - A backup is there once its manifest is, and everything that it names was durable before.
//! - No file is changed once it has its name, which holds the hash of its content.
//! - Whoever writes holds the repository's lock, and whoever reads keeps writers out.
//! - No key is needed but to restore.

mod image;
mod manifest;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base16ct::lower::encode_string as hex;
use codex_crypto::Unlock;
use codex_storage::format::header::LOG_START;
use codex_storage::progress::{Observer, Stage};
use codex_storage::vfs::{Lock, Vfs};
use codex_storage::{Point, Prefix, StorageError, check_unkeyed};
use serde::{Deserialize, Serialize};

pub use self::storage::{LocalStorage, RepositoryLock, RepositoryStorage};

use self::image::{Image, ImageVfs};
use self::manifest::{
    MANIFEST_LEN_MAX, Manifest, PIECE_LEN, Piece, VERSION, hash_of, is_database, manifest_name,
    parse_manifest_name, parse_piece_name, piece_name,
};
use crate::copy::{Pace, write_copy};
use crate::error::BackupError;
use crate::observe::{self, Event};
use crate::restore::{RestoreOptions, Target, reading};
use crate::retention::Retention;

/// A repository of backups.
#[derive(Debug)]
pub struct Repository {
    storage: Arc<dyn RepositoryStorage>,
    observer: Observer,
}

/// A backup that a repository holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepositoryBackup {
    /// The id of the database, in hexadecimal.
    pub database: String,
    /// Counts the backups of that database, from 1.
    pub number: u64,
    /// When it was made, in nanoseconds since the Unix epoch, by the clock of who made it.
    pub time_ns: u64,
    /// The last commit that it holds.
    pub sequence: u64,
    /// How many frames its log has.
    pub size: u64,
    /// The Merkle root over them, in hexadecimal.
    pub root: String,
    /// What a restore writes, in bytes.
    pub bytes: u64,
    /// Stands for this backup and all before it: a repository that has lost it, or another one in its place, was rolled
    /// back. In hexadecimal.
    pub receipt: String,
}

/// What making a backup took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The new backup.
    pub backup: RepositoryBackup,
    /// What had to be written for it beside the manifest, in bytes.
    pub sent_bytes: u64,
}

/// What a verification of a repository has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepositoryReport {
    /// Backups that are whole.
    pub backups: u64,
    /// Their pieces.
    pub pieces: u64,
    /// Length of the pieces, in bytes.
    pub bytes: u64,
}

/// What pruning removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Backups that are kept, newest first.
    pub kept: Vec<RepositoryBackup>,
    /// Backups that go.
    pub removed: Vec<RepositoryBackup>,
    /// How many pieces no backup names any more.
    pub pieces: u64,
}

/// The repository's own file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    codex_repository: u32,
}

/// A manifest with what its name says.
pub(crate) struct Found {
    manifest: Manifest,
    hash: String,
}

impl Repository {
    /// The repository in a folder.
    pub fn open(vfs: &Arc<dyn Vfs>, folder: &Path) -> Result<Self, BackupError> {
        let repository = Self::over(Arc::new(LocalStorage::new(vfs.clone(), folder)));
        repository.check()?;
        Ok(repository)
    }

    /// The repository in a folder; a new one where nothing stands.
    pub fn open_or_create(vfs: &Arc<dyn Vfs>, folder: &Path) -> Result<Self, BackupError> {
        Self::on(Box::new(LocalStorage::new(vfs.clone(), folder)))
    }

    /// The repository that a storage holds; a new one where it holds nothing.
    pub fn on(storage: Box<dyn RepositoryStorage>) -> Result<Self, BackupError> {
        let repository = Self::over(Arc::from(storage));
        match repository.check() {
            Err(BackupError::NoRepository { .. }) => repository.create()?,
            checked => checked?,
        }
        Ok(repository)
    }

    fn over(storage: Arc<dyn RepositoryStorage>) -> Self {
        Self { storage, observer: Observer::default() }
    }

    /// Has an observer told how far backing up, verifying, pruning and restoring are; by default nobody is.
    #[must_use]
    pub fn observed_by(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    fn create(&self) -> Result<(), BackupError> {
        let names = self.storage.list("").map_err(self.io("list"))?;
        // What an interrupted creation leaves.
        if names.iter().any(|name| name != "lock" && !name.starts_with(&format!(".{MARKER}.tmp-"))) {
            return Err(BackupError::NotARepository { path: self.path() });
        }
        let _lock = self.lock(Lock::Exclusive)?;
        let marker = serde_json::to_vec(&Marker { codex_repository: VERSION }).map_err(io::Error::from);
        marker.and_then(|bytes| self.storage.put(MARKER, &bytes)).map_err(self.io("create"))
    }

    fn check(&self) -> Result<(), BackupError> {
        let marker = match self.storage.get(MARKER, MARKER_LEN_MAX) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(BackupError::NotARepository { path: self.path() });
            }
            marker => marker.map_err(self.io("read"))?,
        };
        let marker = marker.ok_or_else(|| BackupError::NoRepository { path: self.path() })?;
        match serde_json::from_slice(&marker) {
            Ok(Marker { codex_repository: VERSION }) => Ok(()),
            _ => Err(BackupError::NotARepository { path: self.path() }),
        }
    }

    /// Adds a backup of a database: of its log only what the repository does not have. `time_ns` is now.
    ///
    /// The database must continue its latest backup; else it, or the repository, was put back, and the error is
    /// [`BackupError::NotContinued`]. With `forked` it may be any state of the same database, and what it shares with the
    /// latest backup is found by reading it.
    pub fn back_up(&self, source: &Prefix, time_ns: u64, forked: bool) -> Result<Sent, BackupError> {
        let _lock = self.lock(Lock::Exclusive)?;
        let database = hex(source.id().as_bytes());
        let latest = self.manifests(&database)?.pop();
        let floor = source.floor();
        let mut pieces = Vec::new();
        if let Some(Found { manifest: latest, .. }) = &latest {
            if latest.origin == hex(source.origin().as_bytes()) {
                pieces = self.common(source, latest, forked)?;
            } else if source.sequence().0 < latest.sequence && !forked {
                return Err(BackupError::NotContinued { path: self.path() });
            }
        }
        let mut at = pieces.iter().map(|piece: &Piece| piece.len).sum::<u64>() + LOG_START;
        let mut sent_bytes = 0;
        let start = at;
        let mut meter = self.observer.begin(Stage::Copying, source.len() - start);
        while at < source.len() {
            let bytes =
                read_piece(source, at, source.len() - at).map_err(self.io("read the database for"))?;
            at += bytes.len() as u64;
            meter.reach(at - start);
            let sha256 = hash_of(&bytes);
            pieces.push(Piece { sha256: sha256.clone(), len: bytes.len() as u64 });
            let name = piece_name(&database, &sha256);
            // An interrupted backup may have brought it here.
            if self.get_piece(&name)?.as_ref() == Some(&bytes) {
                continue;
            }
            self.storage.put(&name, &bytes).map_err(self.io("write into"))?;
            if self.get_piece(&name)?.as_ref() != Some(&bytes) {
                let files = vec![(name, "does not read back as it was written")];
                return Err(BackupError::RepositoryDamaged { path: self.path(), files });
            }
            sent_bytes += bytes.len() as u64;
        }
        let mut header = vec![0; usize::try_from(LOG_START / 2).unwrap_or_default()];
        source.read_at(&mut header, 0).map_err(self.io("read the database for"))?;
        let manifest = Manifest {
            version: VERSION,
            number: latest.as_ref().map_or(0, |latest| latest.manifest.number) + 1,
            time_ns,
            sequence: source.sequence().0,
            size: floor.size,
            root: hex(floor.root.as_bytes()),
            origin: hex(source.origin().as_bytes()),
            header: hex(&header),
            pieces,
            previous: latest.map(|latest| latest.hash),
        };
        let (bytes, hash) = manifest.encode().map_err(|error| self.io("write into")(error.into()))?;
        let name = manifest_name(&database, manifest.number, &hash);
        self.storage.put(&name, &bytes).map_err(self.io("write into"))?;
        meter.finish();
        let backup = listed(&database, &Found { manifest, hash });
        let RepositoryBackup { number, sequence, bytes, .. } = backup;
        observe::tell(&Event::BackedUp { database: &database, number, sequence, bytes, sent_bytes });
        Ok(Sent { backup, sent_bytes })
    }

    /// A piece as it stands there; `None` where none does, or something that is too long to be one.
    fn get_piece(&self, name: &str) -> Result<Option<Vec<u8>>, BackupError> {
        match self.storage.get(name, PIECE_LEN) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            bytes => bytes.map_err(self.io("read")),
        }
    }

    /// The pieces of the latest backup that the database begins with.
    fn common(&self, source: &Prefix, latest: &Manifest, forked: bool) -> Result<Vec<Piece>, BackupError> {
        let mut at = LOG_START;
        let mut common = Vec::new();
        let mut meter = self.observer.begin(Stage::Comparing, latest.log_end() - LOG_START);
        for (index, piece) in latest.pieces.iter().enumerate() {
            let is_last = index + 1 == latest.pieces.len();
            let fits = at + piece.len <= source.len();
            // A frame names the one before it, so the last piece stands for all; of a fork nothing does.
            let same = fits
                && (!forked && !is_last || {
                    let bytes =
                        read_piece(source, at, piece.len).map_err(self.io("read the database for"))?;
                    hash_of(&bytes) == piece.sha256
                });
            if !same && forked {
                break;
            }
            if !same {
                return Err(BackupError::NotContinued { path: self.path() });
            }
            common.push(piece.clone());
            at += piece.len;
            meter.reach(at - LOG_START);
        }
        meter.finish();
        Ok(common)
    }

    /// The backups of all databases, each database's newest first.
    pub fn list(&self) -> Result<Vec<RepositoryBackup>, BackupError> {
        let _lock = self.lock(Lock::Shared)?;
        let mut backups = Vec::new();
        for database in self.databases()? {
            backups.extend(self.manifests(&database)?.iter().rev().map(|found| listed(&database, found)));
        }
        Ok(backups)
    }

    /// Checks every file: that each is what its name says, that each backup has all its pieces, and of the newest of each
    /// database file that its log is whole, as far as that can be told without the key. Damage is
    /// [`BackupError::RepositoryDamaged`], with all files that are.
    ///
    /// `receipt`, of a backup that was made once, notices a repository that was rolled back to before it.
    pub fn verify(&self, receipt: Option<&str>) -> Result<RepositoryReport, BackupError> {
        let _lock = self.lock(Lock::Shared)?;
        let mut report = RepositoryReport::default();
        let mut damaged = Vec::new();
        let mut received = receipt.is_none();
        for database in self.databases()? {
            let found = match self.manifests(&database) {
                Err(BackupError::RepositoryDamaged { files, .. }) => {
                    damaged.extend(files);
                    continue;
                }
                found => found?,
            };
            received |= found.iter().any(|found| {
                receipt.is_some_and(|receipt| {
                    found.hash == receipt || found.manifest.previous.as_deref() == Some(receipt)
                })
            });
            report.backups += found.len() as u64;
            self.verify_pieces(&database, &found, &mut report, &mut damaged)?;
        }
        if !received {
            damaged
                .push((receipt.unwrap_or_default().to_owned(), "is not there: it was rolled back or pruned"));
        }
        self.damage(damaged)?;
        Ok(report)
    }

    fn verify_pieces(
        &self,
        database: &str,
        found: &[Found],
        report: &mut RepositoryReport,
        damaged: &mut Vec<(String, &'static str)>,
    ) -> Result<(), BackupError> {
        let before = damaged.len();
        let pieces = found.iter().flat_map(|found| &found.manifest.pieces);
        let pieces: BTreeSet<_> = pieces.map(|piece| (&piece.sha256, piece.len)).collect();
        let total = pieces.iter().map(|(_, len)| len).sum();
        let mut meter = self.observer.begin(Stage::Verifying, total);
        let mut read = 0;
        for (sha256, len) in pieces {
            let name = piece_name(database, sha256);
            match self.get_piece(&name)? {
                Some(bytes) if bytes.len() as u64 == len && hash_of(&bytes) == *sha256 => {
                    report.pieces += 1;
                    report.bytes += len;
                }
                _ => damaged.push((name, "is missing, or not what was put there")),
            }
            read += len;
            meter.reach(read);
        }
        if damaged.len() > before {
            return Ok(());
        }
        meter.finish();
        for (index, listed) in found.iter().enumerate() {
            let Found { manifest, hash } = listed;
            let later = found.get(index + 1);
            let continued = later.is_some_and(|later| {
                later.manifest.origin == manifest.origin
                    && later.manifest.pieces.starts_with(&manifest.pieces)
            });
            if continued {
                continue;
            }
            let image = Image::new(&self.storage, database, listed);
            let whole = check_unkeyed(&image, image.path(), &self.observer).is_ok_and(|(_, report)| {
                report.head.size == manifest.size
                    && hex(report.head.root.as_bytes()) == manifest.root
                    && report.sequence == manifest.sequence
            });
            if !whole {
                let name = manifest_name(database, manifest.number, hash);
                damaged.push((name, "names a log that is not whole"));
            }
        }
        Ok(())
    }

    /// Removes the backups of each database (or of one) that a retention does not keep, and then the pieces that none
    /// names. The newest backup always stays. A dry run removes nothing.
    pub fn prune(
        &self,
        retention: &Retention,
        database: Option<&str>,
        dry_run: bool,
    ) -> Result<Pruned, BackupError> {
        let _lock = self.lock(Lock::Exclusive)?;
        let mut pruned = Pruned::default();
        let databases = match database {
            Some(database) => vec![self.one(Some(database))?],
            None => self.databases()?,
        };
        for database in databases {
            let mut found = self.manifests(&database)?;
            found.reverse();
            let times: Vec<_> = found.iter().map(|found| found.manifest.time_ns).collect();
            let mut named = BTreeSet::new();
            for (found, keep) in found.iter().zip(retention.keeps(&times)) {
                if keep {
                    named.extend(found.manifest.pieces.iter().map(|piece| piece.sha256.as_str()));
                    pruned.kept.push(listed(&database, found));
                    continue;
                }
                pruned.removed.push(listed(&database, found));
                if !dry_run {
                    let name = manifest_name(&database, found.manifest.number, &found.hash);
                    self.storage.remove(&name).map_err(self.io("remove a file of"))?;
                }
            }
            let pieces = found.iter().flat_map(|found| &found.manifest.pieces);
            let lens: BTreeMap<_, _> = pieces
                .map(|piece| (piece.sha256.as_str(), piece.len))
                .filter(|(hash, _)| !dry_run && !named.contains(hash))
                .collect();
            let mut meter = self.observer.begin(Stage::Removing, lens.values().sum());
            let mut removed = 0;
            for name in self.storage.list(&database).map_err(self.io("list"))? {
                let Some(hash) = parse_piece_name(&name).filter(|hash| !named.contains(hash)) else {
                    continue;
                };
                pruned.pieces += 1;
                if !dry_run {
                    let name = piece_name(&database, hash);
                    self.storage.remove(&name).map_err(self.io("remove a file of"))?;
                    removed += lens.get(hash).unwrap_or(&0);
                    meter.reach(removed);
                }
            }
            meter.finish();
        }
        if !dry_run {
            let removed = pruned.removed.len() as u64;
            observe::tell(&Event::Pruned { removed, pieces: pruned.pieces });
        }
        Ok(pruned)
    }

    /// Restores the newest backup of a database, or with [`RestoreOptions::at`] the point that the repository reaches, to
    /// `target`. `database` may be left out where the repository holds only one.
    ///
    /// The newest backup must open with `unlock`. For a point, those that do not open with it are passed over.
    pub fn restore(
        &self,
        database: Option<&str>,
        target: &Path,
        unlock: Option<&Unlock>,
        options: &RestoreOptions,
    ) -> Result<(), BackupError> {
        let _lock = self.lock(Lock::Shared)?;
        let database = self.one(database)?;
        let (image, prefix) = self.reaching(&database, unlock, options)?;
        let target = Target::take(target, options)?;
        let copy = write_copy(&prefix, &options.vfs, target.path(), Pace::Alone);
        target.put(copy.map_err(|error| self.read_error(&image, error))?)
    }

    /// The newest backup that opens and reaches the point, cut there.
    fn reaching(
        &self,
        database: &str,
        unlock: Option<&Unlock>,
        RestoreOptions { at, observer, .. }: &RestoreOptions,
    ) -> Result<(Arc<Image>, Prefix), BackupError> {
        let at = *at;
        let mut found = self.manifests(database)?;
        found.reverse();
        let mut behind = BTreeSet::new();
        let (mut unopened, mut reported) = (None, None);
        for (age, listed) in found.iter().enumerate() {
            let Found { manifest, .. } = listed;
            // An older backup of the same file holds nothing that the newer one does not.
            if behind.contains(&manifest.origin) {
                continue;
            }
            let image = Arc::new(Image::new(&self.storage, database, listed));
            let passed_over = match open_at(&image, unlock, at, observer) {
                Ok(_) if age > 0 && is_made_before(manifest, at) => {
                    // What was committed between the two up to that time, no backup tells.
                    BackupError::Storage(StorageError::NoSuchTime { path: image.path().to_path_buf() })
                }
                Ok(prefix) => return Ok((image, prefix)),
                Err(error) => self.read_error(&image, error),
            };
            match passed_over {
                BackupError::Storage(StorageError::WrongKey { .. }) if at.is_some() => {
                    unopened.get_or_insert(passed_over);
                }
                error if reaches_behind(&error) => {
                    behind.insert(&manifest.origin);
                    reported = Some(error);
                }
                error => return Err(unopened.unwrap_or(error)),
            }
        }
        Err(unopened.or(reported).unwrap_or_else(|| BackupError::NoBackup { path: self.path() }))
    }

    /// An error that comes of a piece which is not what was put there says so.
    fn read_error(&self, image: &Image, error: BackupError) -> BackupError {
        match image.damaged() {
            Some(name) => {
                let files = vec![(name, "is missing, or not what was put there")];
                BackupError::RepositoryDamaged { path: self.path(), files }
            }
            None => error,
        }
    }

    /// The one database that is meant.
    fn one(&self, database: Option<&str>) -> Result<String, BackupError> {
        let mut databases = self.databases()?;
        if let Some(database) = database {
            databases.retain(|held| held == database);
        }
        match (databases.pop(), databases.is_empty()) {
            (Some(one), true) => Ok(one),
            (Some(_), false) => Err(BackupError::SeveralDatabases { path: self.path() }),
            (None, _) => Err(BackupError::NoBackup { path: self.path() }),
        }
    }

    fn databases(&self) -> Result<Vec<String>, BackupError> {
        let mut names = self.storage.list("").map_err(self.io("list"))?;
        names.retain(|name| is_database(name));
        names.sort_unstable();
        Ok(names)
    }

    /// The manifests of a database, oldest first. Each is what its name says and, where the one before it was not pruned,
    /// names that one.
    fn manifests(&self, database: &str) -> Result<Vec<Found>, BackupError> {
        let names = self.storage.list(database).map_err(self.io("list"))?;
        let mut found: Vec<Found> = Vec::new();
        let mut damaged = Vec::new();
        for name in names {
            let Some((number, hash)) = parse_manifest_name(&name) else { continue };
            let full = manifest_name(database, number, hash);
            let bytes = match self.storage.get(&full, MANIFEST_LEN_MAX) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
                bytes => bytes.map_err(self.io("read"))?,
            };
            match bytes.and_then(|bytes| Manifest::decode(&bytes, number, hash)) {
                Some(manifest) if manifest.database().as_deref() != Some(database) => {
                    damaged.push((full, "is of another database"));
                }
                Some(manifest) => found.push(Found { manifest, hash: hash.to_owned() }),
                None => damaged.push((full, "is not what was put there")),
            }
        }
        found.sort_by_key(|found| found.manifest.number);
        for pair in found.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            let next = before.manifest.number.checked_add(1) == Some(after.manifest.number);
            if after.manifest.number == before.manifest.number
                || next && after.manifest.previous.as_deref() != Some(&before.hash)
            {
                let name = manifest_name(database, after.manifest.number, &after.hash);
                damaged.push((name, "does not continue the backup before it"));
            }
        }
        self.damage(damaged)?;
        Ok(found)
    }

    fn damage(&self, mut files: Vec<(String, &'static str)>) -> Result<(), BackupError> {
        files.sort_unstable();
        if files.is_empty() {
            Ok(())
        } else {
            Err(BackupError::RepositoryDamaged { path: self.path(), files })
        }
    }

    fn lock(&self, lock: Lock) -> Result<RepositoryLock, BackupError> {
        let held = self.storage.lock(lock).map_err(self.io("lock"))?;
        held.ok_or_else(|| BackupError::RepositoryLocked { path: self.path() })
    }

    fn path(&self) -> PathBuf {
        self.storage.place().to_path_buf()
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> BackupError {
        BackupError::write(action, self.storage.place())
    }
}

fn read_piece(source: &Prefix, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(PIECE_LEN)];
    source.read_at(&mut bytes, at)?;
    Ok(bytes)
}

/// Opens a backup where it lies.
fn open_at(
    image: &Arc<Image>,
    unlock: Option<&Unlock>,
    at: Option<Point>,
    observer: &Observer,
) -> Result<Prefix, BackupError> {
    let vfs: Arc<dyn Vfs> = Arc::new(ImageVfs(Arc::clone(image)));
    let prefix = reading(&vfs, observer).open(image.path(), unlock)?.durable_prefix()?.observed_by(observer);
    Ok(match at {
        Some(point) => prefix.at(point)?,
        None => prefix,
    })
}

fn is_made_before(manifest: &Manifest, at: Option<Point>) -> bool {
    let made = UNIX_EPOCH + Duration::from_nanos(manifest.time_ns);
    matches!(at, Some(Point::Time(time)) if made < time)
}

/// Whether a point lies before what a backup reaches back to, so that one of an older file may have it.
fn reaches_behind(error: &BackupError) -> bool {
    match error {
        BackupError::Storage(StorageError::NoSuchCommit { sequence, first, .. }) => sequence < first,
        BackupError::Storage(StorageError::NoSuchTime { .. }) => true,
        _ => false,
    }
}

fn listed(database: &str, Found { manifest, hash }: &Found) -> RepositoryBackup {
    RepositoryBackup {
        database: database.to_owned(),
        number: manifest.number,
        time_ns: manifest.time_ns,
        sequence: manifest.sequence,
        size: manifest.size,
        root: manifest.root.clone(),
        bytes: manifest.log_end(),
        receipt: hash.clone(),
    }
}

const MARKER: &str = "codex-repository.json";
const MARKER_LEN_MAX: usize = 4096;
