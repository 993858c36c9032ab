//! The durable part of a database file, which never changes: what a backup copies.

use std::path::Path;

use crate::error::{Result, StorageError};
use crate::files::Files;
use crate::format::SequenceNumber;
use crate::format::header::{BLOCK_LEN, Floor, Header, LOG_START};
use crate::log::writer::Log;
use crate::log::{Position, Seals};
use crate::sync::Arc;
use crate::verify::{Report, verify_file};
use crate::vfs::File;

/// The durable prefix of a database: with a header of its own it is a whole database. Reading it takes
/// no lock and blocks no commit, and goes on although the file is rewritten.
#[derive(Debug)]
pub struct Prefix {
    file: Arc<dyn File>,
    files: Files,
    seals: Seals,
    end: Position,
    head: Vec<u8>,
}

impl Prefix {
    /// Everything that `log` holds must be durable.
    pub(crate) fn of(log: &Log, files: &Files) -> Self {
        let (seals, end) = (log.seals().clone(), log.end().clone());
        let header =
            Header { generation: log.header().generation + 1, floor: end.floor(), ..log.header().clone() };
        let block = header.encode(&*seals.sealer);
        Self { file: log.file().clone(), files: files.clone(), seals, end, head: [block, block].concat() }
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
        self.file.read_exact_at(log, offset + split as u64)
    }

    /// Checks that a file is a whole copy of the prefix: header, floor, and every frame.
    pub fn verify(&self, copy: &dyn File, path: &Path) -> Result<Report> {
        let len = copy.len().map_err(StorageError::io("read the length of", path))?;
        let report = verify_file(copy, path, &self.seals, &self.end)?;
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
