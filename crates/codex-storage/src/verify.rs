//! Reads every byte of a database file again, from the start, and holds it against what this process knows.

use std::path::Path;

use crate::database::Shared;
use crate::error::{Damage, Result, StorageError};
use crate::format::header::Floor;
use crate::log::scan::{LogFile, scan};
use crate::log::{Position, Seals};
use crate::observe::{self, Work};
use crate::progress::{Observer, Stage};
use crate::recovery::{last_nonzero, verify_header};
use crate::vfs::File;

/// What a verification has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Frames whose seal, link and place were checked.
    pub frames: u64,
    /// Commits in them.
    pub commits: u64,
    /// The last commit.
    pub sequence: u64,
    /// Bytes that were read and checked.
    pub bytes: u64,
    /// Where the log ends, with its Merkle head.
    pub head: Floor,
    /// Bytes behind the log of a group that a crash cut short; only in a database that is open for reading.
    pub torn_bytes: u64,
}

/// Checks a file that nobody writes to, up to `end`: both header copies, the floor, and every frame.
pub(crate) fn verify_file(
    file: &dyn File,
    path: &Path,
    seals: &Seals,
    end: &Position,
    observer: &Observer,
) -> Result<Report> {
    let header = verify_header(file, path, seals)?;
    verify_log(LogFile { file, path, header: &header, seals }, end, observer)
}

/// Checks the log up to `end`, which this process knows.
pub(crate) fn verify_log(log: LogFile<'_>, end: &Position, observer: &Observer) -> Result<Report> {
    let start = Position::start(log.header);
    let mut meter = observer.begin(Stage::Verifying, end.offset.saturating_sub(start.offset));
    let scanned = scan(log, start, end.offset, &mut meter, |_| {})?;
    if scanned.end != *end {
        let sequence = Some(scanned.end.sequence.0);
        return Err(StorageError::damaged(log.path, scanned.stop, sequence, Damage::LogChanged));
    }
    if scanned.end.offset < log.header.floor.offset {
        let sequence = Some(scanned.end.sequence.0);
        return Err(StorageError::damaged(log.path, scanned.stop, sequence, Damage::Floor));
    }
    meter.finish();
    Ok(Report {
        frames: scanned.frames,
        commits: scanned.commits,
        sequence: scanned.end.sequence.0,
        bytes: scanned.end.offset,
        head: scanned.end.floor(),
        torn_bytes: 0,
    })
}

/// Checks an open database. Commits go on meanwhile; those made after the call began need not be covered.
pub(crate) fn verify(shared: &Shared) -> Result<Report> {
    let _span = observe::begin(Work::Verify);
    let path = shared.files.database();
    let (file, header, seals, end) = shared.core.with_engine(|engine| {
        if !shared.read_only && !engine.log().is_stopped() {
            engine.log_mut().write_out()?;
        }
        let log = engine.log();
        // Under the I/O lock, because the floor may be written at any other time.
        let header = verify_header(&**log.file(), path, log.seals())?;
        Ok((log.file().clone(), header, log.seals().clone(), log.end().clone()))
    })?;
    let log = LogFile { file: &*file, path, header: &header, seals: &seals };
    let mut report = verify_log(log, &end, &shared.observer)?;
    if shared.read_only {
        report.torn_bytes = shared.recovery.torn_bytes;
    } else {
        report.bytes = shared.core.with_engine(|engine| {
            let current = engine.log();
            let len = current.file().len().map_err(StorageError::io("read the length of", path))?;
            // A failed write may have left anything behind the end; reopening deals with it.
            if !current.is_stopped() {
                let end = current.end();
                if let Some(offset) = last_nonzero(&**current.file(), path, end.offset, len)? {
                    let sequence = Some(end.sequence.0);
                    return Err(StorageError::damaged(path, offset, sequence, Damage::TrailingBytes));
                }
            }
            Ok(len)
        })?;
    }
    Ok(report)
}
