//! Reads frames one behind the other, and believes none before it is good.

use codex_crypto::Digest;
use codex_crypto::merkle::leaf_hash;

use super::Seals;
use crate::format::frame::{self, FrameHeader};
use crate::vfs::File;

/// A frame that authenticates at the offset that it names.
#[derive(Debug)]
pub(crate) struct GoodFrame<'a> {
    pub(crate) header: FrameHeader,
    pub(crate) leaf: Digest,
    pub(crate) payload: &'a [u8],
    /// Where the next frame would stand.
    pub(crate) end: u64,
}

/// Reads a part of a file ahead, in large steps.
pub(crate) struct FrameReader<'a> {
    file: &'a dyn File,
    /// Nothing is read from here on.
    limit: u64,
    chunk: Vec<u8>,
    chunk_offset: u64,
}

impl<'a> FrameReader<'a> {
    /// A reader of `file`, up to `limit`.
    pub(crate) fn new(file: &'a dyn File, limit: u64) -> Self {
        Self { file, limit, chunk: Vec::new(), chunk_offset: 0 }
    }

    /// The good frame at `offset`; `None` where no good frame stands.
    pub(crate) fn frame_at(&mut self, offset: u64, seals: &Seals) -> std::io::Result<Option<GoodFrame<'_>>> {
        let Some(encoded) = self.bytes(offset, FrameHeader::LEN)? else { return Ok(None) };
        let encoded: [u8; FrameHeader::LEN] = encoded.try_into().expect("as many bytes as were asked for");
        let Some(header) = FrameHeader::decode(&encoded, offset, seals.id) else { return Ok(None) };
        let sealer = seals.sealer_at(offset);
        let sealed_len = header.payload_len as usize + sealer.tag_len();
        let Some(frame) = self.bytes(offset, FrameHeader::LEN + sealed_len)? else { return Ok(None) };
        let leaf = leaf_hash(&[frame]);
        let end = offset + frame.len() as u64;
        let sealed = &mut frame[FrameHeader::LEN..];
        let opened = frame::open(&header, &encoded, sealed, sealer).is_ok();
        let start = usize::try_from(offset - self.chunk_offset).expect("within the chunk") + FrameHeader::LEN;
        if opened {
            let payload = &self.chunk[start..start + header.payload_len as usize];
            return Ok(Some(GoodFrame { header, leaf, payload, end }));
        }
        // Opening has garbled these bytes. Only they are read again, not the whole chunk: a file can be full of
        // frames that fail.
        let garbled = &mut self.chunk[start..start + sealed_len];
        self.file.read_exact_at(garbled, offset + FrameHeader::LEN as u64)?;
        Ok(None)
    }

    /// `len` bytes at `offset`; `None` if the readable part ends before.
    pub(crate) fn bytes(&mut self, offset: u64, len: usize) -> std::io::Result<Option<&mut [u8]>> {
        if self.limit.checked_sub(offset).is_none_or(|left| left < len as u64) {
            return Ok(None);
        }
        let chunk_end = self.chunk_offset + self.chunk.len() as u64;
        if offset < self.chunk_offset || offset + len as u64 > chunk_end {
            let want = usize::try_from(self.limit - offset).unwrap_or(usize::MAX).min(CHUNK_LEN.max(len));
            self.chunk.resize(want, 0);
            self.chunk_offset = offset;
            let got = self.file.read_at(&mut self.chunk, offset)?;
            self.chunk.truncate(got);
            if got < len {
                return Ok(None);
            }
        }
        let start = usize::try_from(offset - self.chunk_offset).expect("within the chunk");
        Ok(Some(&mut self.chunk[start..start + len]))
    }

    /// The largest piece from `offset` on that is at hand, at least `len` bytes; `None` if fewer are left.
    pub(crate) fn piece(&mut self, offset: u64, len: usize) -> std::io::Result<Option<&[u8]>> {
        if self.bytes(offset, len)?.is_none() {
            return Ok(None);
        }
        let start = usize::try_from(offset - self.chunk_offset).expect("within the chunk");
        Ok(Some(&self.chunk[start..]))
    }
}

/// Twice the largest frame, so that a frame at the end of a chunk costs no second read of the whole.
const CHUNK_LEN: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::Path;

    use codex_crypto::{DatabaseId, RootKey, Salt};

    use crate::format::SequenceNumber;
    use crate::format::frame::Kind;
    use crate::sync::Arc;
    use crate::vfs::sim::{Operation, SimVfs};
    use crate::vfs::{Access, Vfs};

    fn file(bytes: &[u8]) -> Arc<dyn File> {
        file_on(&SimVfs::new(1), bytes)
    }

    fn file_on(disk: &SimVfs, bytes: &[u8]) -> Arc<dyn File> {
        disk.write_file("/file", bytes).expect("a new file");
        disk.open(Path::new("/file"), Access::Read).expect("it is there")
    }

    #[test]
    fn bytes_are_given_up_to_the_limit_and_backwards_too() {
        let file = file(b"0123456789");
        let mut reader = FrameReader::new(&*file, 8);
        assert_eq!(reader.bytes(4, 4).expect("it reads").as_deref(), Some(&b"4567"[..]));
        assert_eq!(reader.bytes(1, 3).expect("it reads").as_deref(), Some(&b"123"[..]), "backwards");
        assert_eq!(reader.bytes(5, 4).expect("it reads"), None, "beyond the limit");
        assert_eq!(reader.bytes(9, 1).expect("it reads"), None, "behind the limit");
        assert_eq!(reader.piece(6, 1).expect("it reads"), Some(&b"67"[..]));
        assert_eq!(reader.piece(6, 3).expect("it reads"), None);
    }

    #[test]
    fn what_was_read_ahead_is_not_read_again() {
        let disk = SimVfs::new(1);
        let file = file_on(&disk, b"0123456789");
        let mut reader = FrameReader::new(&*file, 10);
        for (offset, len) in [(2, 3), (2, 8), (5, 5), (9, 1)] {
            assert!(reader.bytes(offset, len).expect("it reads").is_some());
        }
        let reads = disk.log().into_iter().filter(|logged| logged.operation == Operation::Read);
        assert_eq!(reads.count(), 1, "{:#?}", disk.log());
    }

    #[test]
    fn a_file_shorter_than_the_limit_ends_where_it_ends() {
        let file = file(b"0123");
        let mut reader = FrameReader::new(&*file, 100);
        assert_eq!(reader.bytes(1, 4).expect("it reads"), None);
        let mut reader = FrameReader::new(&*file, 100);
        assert_eq!(reader.bytes(1, 3).expect("it reads").as_deref(), Some(&b"123"[..]), "its last bytes");
    }

    #[test]
    fn behind_a_frame_that_does_not_open_the_bytes_are_those_of_the_file() {
        let root = RootKey::generate().expect("there is randomness");
        let seals = Seals::encrypted(DatabaseId::from_bytes([1; 16]), root);
        let offset = 200;
        let header = FrameHeader {
            kind: Kind::Commit,
            begins: true,
            ends: true,
            offset,
            first_sequence: SequenceNumber(1),
            commit_count: 1,
            payload_len: 0,
            time_ns: 0,
            durable: 0,
            previous_leaf: Digest::ZERO,
            salt: Salt::from_bytes([0; Salt::LEN]),
        };
        let mut frame = vec![7; FrameHeader::LEN + 50];
        frame::seal(header, &mut frame, seals.id, &*seals.sealer).expect("there is randomness");
        frame[FrameHeader::LEN + 3] ^= 1;
        let all = [&[5; 200][..], &frame, &[6; 300]].concat();
        let file = file(&all);
        let mut reader = FrameReader::new(&*file, all.len() as u64);
        assert!(reader.frame_at(offset, &seals).expect("it reads").is_none(), "it does not authenticate");
        let read = reader.bytes(offset, all.len() - 200).expect("it reads").map(|bytes| bytes.to_vec());
        assert_eq!(read.as_deref(), Some(&all[200..]));
    }
}
