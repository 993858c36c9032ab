//! Opening a database: locks, header, recovery, and the table filled from the log.

use std::path::Path;

use codex_crypto::{DatabaseId, Digest, Frontier, KeySlot, PassphraseCost, RootKey, Suite, Unlock};

use crate::background::{Background, Chore};
use crate::batch::Operation;
use crate::clock::{Clock, SystemClock};
use crate::database::{Database, Parts};
use crate::engine::LogEngine;
use crate::error::{Result, StorageError};
use crate::files::Files;
use crate::format::header::{BLOCK_LEN, Floor, Header, LOG_START, SLOT_COUNT};
use crate::format::{Mode, SequenceNumber};
use crate::ledger::{LedgerEngine, checkpoint};
use crate::lock::{lock, lock_file};
use crate::log::leaves::LeafIndex;
use crate::log::scan::LogFile;
use crate::log::writer::{Log, LogParts};
use crate::log::{Durability, Position, Seals};
use crate::observe::{self, Teller, Work};
use crate::progress::{Observer, Stage};
use crate::prove::{ExpectedHead, compare_log};
use crate::recovery::{
    Behind, Opened, Recovery, looks_like_a_database, read_header, read_log, rewrite_stale_copy, settle,
};
use crate::snapshot::SnapshotEngine;
use crate::sync::{Arc, Mutex};
use crate::table::TableLoader;
use crate::vfs::os::OsVfs;
use crate::vfs::replace::{Existing, Replacement, remove_temporaries};
use crate::vfs::{Access, File, FileKind, Lock, Vfs};

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// What a new database keeps (snapshot mode if left out), or what an existing one must keep.
    pub mode: Option<Mode>,
    /// When a commit is durable.
    pub durability: Durability,
    /// Whether a database that does not exist is created, with missing folders.
    pub create: bool,
    /// Opens only a database that goes on from this head. One that does not is left as it is, and none is created.
    pub expect_head: Option<ExpectedHead>,
    /// Opens for reading only: no byte of any file is changed.
    pub read_only: bool,
    /// What guessing a passphrase costs; recorded in the key slot of a new database.
    pub passphrase_cost: PassphraseCost,
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who looks after the database behind the commits.
    pub background: Background,
    /// What is done with the database from time to time while it is open for writing.
    pub chore: Option<Arc<dyn Chore>>,
    /// Who is told how far the opening is, and later the long work that a caller waits for: verifying, compacting, writing
    /// a checkpoint, and reading the past of a ledger.
    pub observer: Observer,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            mode: None,
            durability: Durability::Sync,
            create: true,
            expect_head: None,
            read_only: false,
            passphrase_cost: PassphraseCost::RECOMMENDED,
            vfs: Arc::new(OsVfs),
            clock: Arc::new(SystemClock::new()),
            background: Background::Thread,
            chore: None,
            observer: Observer::default(),
        }
    }
}

impl OpenOptions {
    /// Opens the database at `path`. `unlock` opens an encrypted one, and makes a new one encrypted.
    pub fn open(&self, path: &Path, unlock: Option<&Unlock>) -> Result<Database> {
        let _span = observe::begin(Work::Open);
        let start = self.clock.monotonic();
        let resolved = self.vfs.resolve(path).map_err(StorageError::io("find", path))?;
        let files = Files::of(resolved);
        let exists = self.exists(&files)?;
        if !exists {
            if !self.creates() {
                return Err(StorageError::NotFound { path: files.database().to_path_buf() });
            }
            self.vfs
                .create_directories(files.folder())
                .map_err(StorageError::io("create the folder of", files.database()))?;
        }
        let lock = lock(&*self.vfs, &files, self.lock_kind())?;
        let (file, opened) = self.open_or_create(&files, unlock)?;
        if self.mode.is_some_and(|mode| mode != opened.header.mode) {
            let (path, found) = (files.database().to_path_buf(), opened.header.mode);
            return Err(StorageError::WrongMode { path, found });
        }
        let database = self.load(files, lock, file, opened)?;
        database.tell_opened(self.clock.monotonic().saturating_sub(start));
        Ok(database)
    }

    /// Whether something stands at the path that may be a database; an error if something else does.
    fn exists(&self, files: &Files) -> Result<bool> {
        let path = files.database();
        let not_a_database = || StorageError::NotADatabase { path: path.to_path_buf() };
        match self.vfs.kind(path).map_err(StorageError::io("look at", path))? {
            None => return Ok(false),
            Some(FileKind::Regular) => {}
            Some(FileKind::Directory | FileKind::Other) => return Err(not_a_database()),
        }
        // Nothing is created beside a file that is something else.
        let file = self.vfs.open(path, Access::Read).map_err(StorageError::io("open", path))?;
        if looks_like_a_database(&*file, path)? { Ok(true) } else { Err(not_a_database()) }
    }

    fn creates(&self) -> bool {
        self.create && !self.read_only && self.expect_head.is_none()
    }

    fn lock_kind(&self) -> Lock {
        if self.read_only { Lock::Shared } else { Lock::Exclusive }
    }

    fn open_or_create(&self, files: &Files, unlock: Option<&Unlock>) -> Result<(Arc<dyn File>, Opened)> {
        let path = files.database();
        if !self.read_only {
            for target in [path.to_path_buf(), files.checkpoint(), files.torn()] {
                remove_temporaries(&*self.vfs, &target)
                    .map_err(StorageError::io("remove temporary files beside", path))?;
            }
        }
        // Asked again under the lock: another process may have created or removed it.
        if !self.exists(files)? {
            if !self.creates() {
                return Err(StorageError::NotFound { path: path.to_path_buf() });
            }
            return self.create(files, unlock);
        }
        let access = if self.read_only { Access::Read } else { Access::Write };
        let file = self.vfs.open(path, access).map_err(StorageError::io("open", path))?;
        lock_file(&*file, path, files, self.lock_kind())?;
        let opened = read_header(&*file, path, unlock)?;
        if !self.read_only {
            // The process before may have been killed between a rename and the folder's sync. Nothing may be acknowledged
            // in a file whose name a power loss can still give back to another one.
            self.vfs
                .sync_directory(files.folder())
                .map_err(StorageError::io("make durable the name of", path))?;
        }
        Ok((file, opened))
    }

    /// A new database, whole before it has its name.
    fn create(&self, files: &Files, unlock: Option<&Unlock>) -> Result<(Arc<dyn File>, Opened)> {
        let path = files.database();
        let key_error = |source| StorageError::Key { path: path.to_path_buf(), source };
        let id = DatabaseId::generate().map_err(|error| key_error(error.into()))?;
        let mut slots = [[0; KeySlot::LEN]; SLOT_COUNT];
        let (suite, seals) = match unlock {
            None => (Suite::Plaintext, Seals::plaintext(id)),
            Some(unlock) => {
                let root = RootKey::generate().map_err(key_error)?;
                slots[0] =
                    KeySlot::wrap(&root, unlock, id, self.passphrase_cost).map_err(key_error)?.encode();
                (Suite::Aes256Gcm, Seals::encrypted(id, root))
            }
        };
        let header = Header {
            generation: 1,
            mode: self.mode.unwrap_or(Mode::Snapshot),
            suite,
            id,
            floor: Floor { offset: LOG_START, size: 0, root: Frontier::default().root() },
            predecessor_root: Digest::ZERO,
            base_sequence: SequenceNumber(0),
            retired: Vec::new(),
            slots,
        };
        let block = header.encode(&*seals.sealer);
        let io = || StorageError::io("create", path);
        let replacement = Replacement::create(&self.vfs, path).map_err(io())?;
        let file = replacement.file();
        file.write_all_at(&block, 0)
            .and_then(|()| file.write_all_at(&block, BLOCK_LEN as u64))
            .map_err(io())?;
        lock_file(&**file, path, files, self.lock_kind())?;
        let file = replacement.persist(Existing::Refuse).map_err(io())?;
        let slot = unlock.map(|_| 0);
        Ok((file, Opened { header, seals, slot, copy: 0, other_is_stale: false }))
    }

    fn load(
        &self,
        files: Files,
        lock: Option<Arc<dyn File>>,
        file: Arc<dyn File>,
        opened: Opened,
    ) -> Result<Database> {
        let path = files.database().to_path_buf();
        let log = LogFile { file: &*file, path: &path, header: &opened.header, seals: &opened.seals };
        let mut recovery = Recovery { header_copy_stale: opened.other_is_stale, ..Recovery::default() };
        let log_len = file.len().map_err(StorageError::io("read the length of", &path))?;
        let mut table = TableLoader::new(log_len);
        let mut from = Position::start(&opened.header);
        let mut checkpointed = 0;
        let mut leaves = LeafIndex::default();
        if opened.header.mode == Mode::Ledger
            && let Some(found) = self.read_checkpoint(&files, log, &mut recovery)?
        {
            from = found.covers;
            checkpointed = from.offset;
            leaves = found.leaves;
            found.records.into_iter().for_each(|record| table.push(Operation::Set(record)));
        }
        let unread = log_len.saturating_sub(from.offset);
        let mut meter = self.observer.begin(Stage::ReadingLog, unread);
        let recovered = read_log(log, from, &mut meter, |found| table.replay(found.sequence, found.record))?;
        let leaves = Arc::new(Mutex::new(leaves));
        if let Some(head) = self.expect_head {
            compare_log(log, &recovered.end, &leaves, head)?;
        }
        let table = table.finish(recovered.end.sequence, Some(self.clock.clone()))?;
        meter.finish();
        recovery.frames_read = recovered.frames;
        if let Behind::Torn(to) = recovered.behind {
            recovery.torn_bytes = to - recovered.end.offset;
        }
        let mut allocated = file.len().map_err(StorageError::io("read the length of", &path))?;
        if !self.read_only {
            if opened.other_is_stale {
                rewrite_stale_copy(&*file, &path, &opened)?;
            }
            recovery.torn_file = settle(log, &recovered, &self.vfs, &files)?;
            allocated = recovered.end.offset;
        }
        let (mode, encrypted) = (opened.header.mode, opened.header.suite != Suite::Plaintext);
        let (id, key_slot) = (opened.header.id, opened.slot);
        let teller = Arc::new(Teller::new(id));
        let log = Log::new(LogParts {
            file,
            path,
            header: opened.header,
            seals: opened.seals,
            clock: self.clock.clone(),
            durability: self.durability,
            teller: teller.clone(),
            end: recovered.end,
            allocated,
        })
        .with_leaves(leaves);
        let engine: Box<dyn LogEngine> = match mode {
            Mode::Snapshot => Box::new(SnapshotEngine::new(log, self.vfs.clone(), files.clone())),
            Mode::Ledger => Box::new(LedgerEngine::new(log, self.vfs.clone(), files.clone(), checkpointed)),
        };
        let (read_only, durability, clock) = (self.read_only, self.durability, self.clock.clone());
        Database::start(Parts {
            engine,
            table,
            files,
            lock,
            recovery,
            id,
            key_slot,
            mode,
            encrypted,
            read_only,
            durability,
            clock,
            background: self.background,
            chore: self.chore.clone().filter(|_| !self.read_only),
            vfs: self.vfs.clone(),
            teller,
            observer: self.observer.clone(),
        })
    }

    /// The checkpoint, if there is a good one and the log agrees with it.
    fn read_checkpoint(
        &self,
        files: &Files,
        log: LogFile<'_>,
        recovery: &mut Recovery,
    ) -> Result<Option<checkpoint::Checkpoint>> {
        let path = files.checkpoint();
        if self.vfs.kind(&path).map_err(StorageError::io("look at", &path))? != Some(FileKind::Regular) {
            return Ok(None);
        }
        let file = self.vfs.open(&path, Access::Read).map_err(StorageError::io("open", &path))?;
        if let Some(found) = checkpoint::read(&*file, &path, log.seals, &self.observer)? {
            checkpoint::confirm(&found, log)?;
            recovery.checkpoint_sequence = Some(found.covers.sequence.0);
            Ok(Some(found))
        } else {
            recovery.checkpoint_damaged = true;
            Ok(None)
        }
    }
}
