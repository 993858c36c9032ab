//! Follows the log of a database that another process writes, without its key and without a lock.
//!
//! What is read of a frame is its header, which stands in clear and says which commits the frame ends. Only its checksum
//! is checked: whoever can write to the file can make it say anything. The process that writes does not know of the
//! reader and is not held up by it. It may rewrite its file, which the reader notices by what stands where it read last.

use std::io;
use std::path::{Path, PathBuf};

use codex_crypto::DatabaseId;

use crate::error::{Result, StorageError};
use crate::format::frame::{FrameHeader, Kind, PAYLOAD_LEN_MAX};
use crate::format::header::{Header, LOG_START};
use crate::inspect::{header_now, open};
use crate::log::search::{Claim, ClaimSearch};
use crate::sync::Arc;
use crate::vfs::{File, Vfs};

/// A place in the log of a database, from which it is read on whenever that is asked for.
#[derive(Debug)]
pub struct LogTail {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    id: DatabaseId,
    /// The last frame that was read.
    last: Option<(u64, EncodedHeader)>,
    /// The last commit that was counted: a rewrite copies the newest ones into its file.
    counted: u64,
    reading: TailReading,
}

type EncodedHeader = [u8; FrameHeader::LEN];

/// How far the log goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TailReading {
    /// The last commit.
    pub sequence: u64,
    /// Commits since the tail was opened.
    pub commits: u64,
    /// Groups that they were written in.
    pub groups: u64,
    /// Bytes that these groups take.
    pub group_bytes: u64,
    /// When the last group was written, in nanoseconds since the Unix epoch; zero if none was read.
    pub time_ns: u64,
    /// The end of the log, in bytes from the start of the file.
    pub log_bytes: u64,
    /// Length of the file, with space that is set aside, in bytes.
    pub file_bytes: u64,
    /// How often the file was replaced since the tail was opened: by a rewrite, or by a restore.
    pub replaced: u64,
}

impl LogTail {
    /// A tail of the database at `path`, which begins at its recorded floor.
    pub fn open(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Self> {
        let path = vfs.resolve(path).map_err(StorageError::io("find", path))?;
        let file = open(&*vfs, &path)?;
        let (header, _) = header_now(&*file, &path)?;
        let mut tail =
            Self { vfs, id: header.id, path, last: None, counted: u64::MAX, reading: TailReading::default() };
        tail.begin(&*file, &header)?;
        tail.read_on(&*file, &header)?;
        Ok(tail)
    }

    /// Reads what was written since, and says how far the log goes now.
    pub fn poll(&mut self) -> Result<TailReading> {
        // By name, because a rewrite puts another file in its place.
        let file = open(&*self.vfs, &self.path)?;
        let (header, _) = header_now(&*file, &self.path)?;
        if !self.stands_in(&*file)? {
            if self.last.is_some() {
                self.reading.replaced += 1;
            }
            self.id = header.id;
            self.begin(&*file, &header)?;
        }
        self.read_on(&*file, &header)?;
        Ok(self.reading)
    }

    /// Whether the frame that was read last is where it was.
    fn stands_in(&self, file: &dyn File) -> Result<bool> {
        let Some((offset, read)) = self.last else { return Ok(false) };
        let mut now = [0; FrameHeader::LEN];
        file.read_at(&mut now, offset).map_err(self.io())?;
        Ok(now == read)
    }

    /// Begins at the floor, with the number of the last commit before it.
    fn begin(&mut self, file: &dyn File, header: &Header) -> Result<()> {
        let floor = header.floor.offset;
        self.reading.log_bytes = floor;
        self.reading.sequence = header.base_sequence.0;
        self.last = None;
        if floor == LOG_START {
            return Ok(());
        }
        // The frame before the floor is one that ends there.
        let from = floor.saturating_sub(FRAME_LEN_MAX).max(LOG_START);
        let tag_len = header.suite.tag_len();
        let claim = ClaimSearch::new(file, &self.path, from, floor).next(from, |bytes, at| {
            let frame = FrameHeader::decode(bytes, at, header.id)?;
            (frame_end(&frame, tag_len) == floor).then_some(0)
        })?;
        if let Claim::At(at) = claim
            && let Some((encoded, frame)) = self.frame_at(file, at)?
        {
            self.last = Some((at, encoded));
            self.reading.sequence = last_sequence(&frame);
        }
        Ok(())
    }

    fn read_on(&mut self, file: &dyn File, header: &Header) -> Result<()> {
        self.reading.file_bytes = file.len().map_err(self.io())?;
        while let Some((encoded, frame)) = self.frame_at(file, self.reading.log_bytes)? {
            let end = frame_end(&frame, header.suite.tag_len());
            if end > self.reading.file_bytes {
                // It was written behind the length that was just read, or is cut short.
                break;
            }
            self.last = Some((self.reading.log_bytes, encoded));
            if frame.kind == Kind::Commit {
                let sequence = last_sequence(&frame);
                if sequence > self.counted {
                    self.reading.group_bytes += end - self.reading.log_bytes;
                    self.reading.groups += u64::from(frame.ends);
                    self.reading.commits += if frame.ends { u64::from(frame.commit_count) } else { 0 };
                }
                if frame.ends {
                    self.reading.sequence = sequence;
                    self.reading.time_ns = frame.time_ns;
                }
            }
            self.reading.log_bytes = end;
        }
        self.counted = self.reading.sequence;
        Ok(())
    }

    /// The frame whose header stands at `offset`, encoded and read; `None` where none does.
    fn frame_at(&self, file: &dyn File, offset: u64) -> Result<Option<(EncodedHeader, FrameHeader)>> {
        let mut encoded = [0; FrameHeader::LEN];
        file.read_at(&mut encoded, offset).map_err(self.io())?;
        Ok(FrameHeader::decode(&encoded, offset, self.id).map(|frame| (encoded, frame)))
    }

    fn io(&self) -> impl FnOnce(io::Error) -> StorageError {
        StorageError::io("read", &self.path)
    }
}

fn frame_end(frame: &FrameHeader, tag_len: usize) -> u64 {
    frame.offset + (FrameHeader::LEN + frame.payload_len as usize + tag_len) as u64
}

/// The last commit of a frame's group.
fn last_sequence(frame: &FrameHeader) -> u64 {
    let before = u64::from(frame.kind == Kind::Commit);
    // Nobody has authenticated the numbers: they may be anything.
    frame.first_sequence.0.saturating_add(u64::from(frame.commit_count)).saturating_sub(before)
}

/// The longest frame, with the longer of the two tags.
const FRAME_LEN_MAX: u64 = (FrameHeader::LEN + PAYLOAD_LEN_MAX + 32) as u64;
