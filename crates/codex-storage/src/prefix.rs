//! The durable part of a database file, which never changes: what a backup copies.

use std::path::Path;

use codex_crypto::{DatabaseId, Digest};

use crate::cut::{Cut, cut};
use crate::error::{Result, StorageError};
use crate::files::Files;
use crate::format::SequenceNumber;
use crate::format::header::{BLOCK_LEN, Floor, Header, LOG_START};
use crate::log::scan::LogFile;
use crate::log::writer::Log;
use crate::log::{Position, Seals};
use crate::point::Point;
use crate::progress::Observer;
use crate::sync::Arc;
use crate::verify::{Report, verify_file};
use crate::vfs::File;

/// The durable prefix of a database: with a header of its own it is a whole database. Reading it takes
/// no lock and blocks no commit, and goes on although the file is rewritten.
#[derive(Debug)]
pub struct Prefix {
    file: Arc<dyn File>,
    files: Files,
    header: Header,
    seals: Seals,
    end: Position,
    /// Both copies of the header.
    head: Vec<u8>,
    /// Up to here the log is the file's.
    kept: u64,
    /// What stands behind that in the copy only.
    anew: Vec<u8>,
    observer: Observer,
}

impl Prefix {
    /// Everything that `log` holds must be durable.
    pub(crate) fn of(log: &Log, files: &Files) -> Self {
        let end = log.end().clone();
        let cut = Cut { kept: end.offset, anew: Vec::new(), end };
        Self::new(log.file().clone(), files.clone(), log.header(), log.seals().clone(), cut)
    }

    fn new(file: Arc<dyn File>, files: Files, header: &Header, seals: Seals, cut: Cut) -> Self {
        let Cut { end, kept, anew } = cut;
        let header = Header { generation: header.generation + 1, floor: end.floor(), ..header.clone() };
        let block = header.encode(&*seals.sealer);
        Self {
            file,
            files,
            header,
            seals,
            end,
            head: [block, block].concat(),
            kept,
            anew,
            observer: Observer::default(),
        }
    }

    /// Has an observer told of the work with the prefix: finding a point, and what is made of it; by default nobody is.
    #[must_use]
    pub fn observed_by(self, observer: &Observer) -> Self {
        Self { observer: observer.clone(), ..self }
    }

    /// Who is told of the work with the prefix.
    #[must_use]
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The prefix as it was at a point: a database with the commits up to there and no others. Where the point lies
    /// between two commits of one group, those before it are sealed anew. All of the prefix up to the point is read and
    /// checked.
    ///
    /// A sequence number behind the last commit is [`StorageError::NoSuchCommit`], and so is one that a rewrite has merged
    /// into the state at the file's start; a time before that rewrite is [`StorageError::NoSuchTime`].
    pub fn at(self, point: Point) -> Result<Self> {
        let path = self.files.database();
        let log = LogFile { file: &*self.file, path, header: &self.header, seals: &self.seals };
        let cut = cut(log, &self.end, point, &self.observer)?;
        // What goes on behind the cut does so under the root key of now, also where a retired one sealed what stood there.
        let seals = self.seals.up_to(cut.kept);
        let retired = seals.wrap_retired().map_err(StorageError::key(path))?;
        let header = Header { retired, ..self.header };
        let observer = self.observer;
        Ok(Self { observer, ..Self::new(self.file, self.files, &header, seals, cut) })
    }

    /// Length of the copy, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.offset
    }

    /// Never: a header comes first.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The last commit that the prefix holds.
    #[must_use]
    pub fn sequence(&self) -> SequenceNumber {
        self.end.sequence
    }

    /// The Merkle head of the prefix.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.end.floor()
    }

    /// The id of the database.
    #[must_use]
    pub fn id(&self) -> DatabaseId {
        self.header.id
    }

    /// What the first frame of the file names as the leaf before it: another one in each file that a rewrite makes.
    #[must_use]
    pub fn origin(&self) -> Digest {
        Position::start(&self.header).leaf
    }

    /// Reads a part of the copy, which lies within [`Prefix::len`].
    pub fn read_at(&self, target: &mut [u8], offset: u64) -> std::io::Result<()> {
        let split = usize::try_from(LOG_START.saturating_sub(offset)).unwrap_or(usize::MAX).min(target.len());
        let (head, log) = target.split_at_mut(split);
        if !head.is_empty() {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let source = self.head.get(from..from.saturating_add(head.len()));
            head.copy_from_slice(source.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        }
        if log.is_empty() {
            return Ok(());
        }
        let offset = offset + split as u64;
        let split = usize::try_from(self.kept.saturating_sub(offset)).unwrap_or(usize::MAX).min(log.len());
        let (kept, anew) = log.split_at_mut(split);
        if !kept.is_empty() {
            self.file.read_exact_at(kept, offset)?;
        }
        if !anew.is_empty() {
            let from = usize::try_from(offset + split as u64 - self.kept).unwrap_or(usize::MAX);
            let source = self.anew.get(from..from.saturating_add(anew.len()));
            anew.copy_from_slice(source.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        }
        Ok(())
    }

    /// Checks that a file is a whole copy of the prefix: header, floor, and every frame.
    pub fn verify(&self, copy: &dyn File, path: &Path) -> Result<Report> {
        let len = copy.len().map_err(StorageError::io("read the length of", path))?;
        let report = verify_file(copy, path, &self.seals, &self.end, &self.observer)?;
        if len == self.end.offset {
            Ok(report)
        } else {
            let damage = crate::error::Damage::TrailingBytes;
            Err(StorageError::damaged(path, self.end.offset, Some(self.end.sequence.0), damage))
        }
    }

    /// The database that the prefix was taken from.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }
}

const _: () = assert!(LOG_START == 2 * BLOCK_LEN as u64);
