//! Turns a stream of records into the sealed frames of one group.

use std::io;

use codex_crypto::{Digest, Salt};

use super::{Position, Seals, Tip};
use crate::error::{Result, StorageError};
use crate::format::SequenceNumber;
use crate::format::frame::{self, FrameHeader, Kind, PAYLOAD_LEN_MAX};

/// What all frames of a group have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupInfo {
    pub(crate) kind: Kind,
    pub(crate) first_sequence: SequenceNumber,
    pub(crate) commit_count: u32,
    pub(crate) time_ns: u64,
    pub(crate) durable: u64,
}

/// Takes the payload of a group as it is written, and hands each frame to `emit` as soon as it is full.
pub(crate) struct GroupSealer<'a, F> {
    seals: &'a Seals,
    info: GroupInfo,
    /// The frame in the making: room for the header, then the payload.
    buffer: &'a mut Vec<u8>,
    offset: u64,
    leaf: Digest,
    frames: Vec<(u64, Digest)>,
    emit: F,
    /// Why writing stopped: `io::Write` cannot carry it.
    error: Option<StorageError>,
}

impl<'a, F: FnMut(&[u8], u64) -> Result<()>> GroupSealer<'a, F> {
    /// A group that continues the log at `tip`. `buffer` is used for its memory only.
    pub(crate) fn new(seals: &'a Seals, info: GroupInfo, tip: Tip, buffer: &'a mut Vec<u8>, emit: F) -> Self {
        buffer.clear();
        buffer.resize(FrameHeader::LEN, 0);
        Self {
            seals,
            info,
            buffer,
            offset: tip.offset,
            leaf: tip.leaf,
            frames: Vec::new(),
            emit,
            error: None,
        }
    }

    /// The error behind a failed write.
    pub(crate) fn explain(&mut self, error: &io::Error) -> StorageError {
        if let Some(error) = self.error.take() {
            error
        } else {
            debug_assert!(false, "encoding into memory does not fail: {error}");
            StorageError::Internal("a record could not be encoded")
        }
    }

    /// Ends the group with the frame in the making, and moves `position` behind it.
    pub(crate) fn finish(mut self, position: &mut Position, sequence: SequenceNumber) -> Result<()> {
        self.seal(true)?;
        position.advance(&self.frames, self.offset, sequence);
        Ok(())
    }

    fn seal(&mut self, ends: bool) -> Result<()> {
        let GroupInfo { kind, first_sequence, commit_count, time_ns, durable } = self.info;
        let header = FrameHeader {
            kind,
            begins: self.frames.is_empty(),
            ends,
            offset: self.offset,
            first_sequence,
            commit_count,
            payload_len: 0,
            time_ns,
            durable,
            previous_leaf: self.leaf,
            salt: Salt::from_bytes([0; Salt::LEN]),
        };
        self.leaf = frame::seal(header, self.buffer, self.seals.id, &*self.seals.sealer)?;
        (self.emit)(self.buffer, self.offset)?;
        self.frames.push((self.offset, self.leaf));
        self.offset += self.buffer.len() as u64;
        self.buffer.truncate(FrameHeader::LEN);
        Ok(())
    }
}

impl<F: FnMut(&[u8], u64) -> Result<()>> io::Write for GroupSealer<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PAYLOAD_LEN_MAX + FrameHeader::LEN - self.buffer.len();
        if room == 0 {
            self.seal(false).map_err(|error| {
                self.error = Some(error);
                io::Error::other("the group cannot be written")
            })?;
            return self.write(bytes);
        }
        let len = room.min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
