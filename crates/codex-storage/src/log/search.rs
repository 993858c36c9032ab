//! Looks through bytes of any content for what claims to be a frame.

use std::path::Path;

use super::reader::FrameReader;
use crate::error::{Result, StorageError};
use crate::format::frame::{FrameHeader, MAGIC};
use crate::vfs::File;

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A frame's header stands here; whether it is a good frame is not known.
    At(u64),
    /// There is none up to the end.
    None,
    /// From here on the claims cost more to check than can be believed of an honest file.
    TooMany(u64),
}

/// A search that goes forward through a file.
pub(crate) struct ClaimSearch<'a> {
    reader: FrameReader<'a>,
    path: &'a Path,
    /// What claims to be a frame costs its length to check. Honest frames do not overlap, so together they cost no
    /// more than the bytes searched; forged ones could stand every few bytes and each cost 1 MiB.
    budget: u64,
}

impl<'a> ClaimSearch<'a> {
    /// A search of the bytes `from..limit`.
    pub(crate) fn new(file: &'a dyn File, path: &'a Path, from: u64, limit: u64) -> Self {
        let budget = limit.saturating_sub(from).saturating_mul(4).saturating_add(4 << 20);
        Self { reader: FrameReader::new(file, limit), path, budget }
    }

    /// The first place at or behind `from` where the frame magic stands and `judge` takes what follows for a
    /// frame's header: it gives the payload's length, which counts as the cost of checking.
    pub(crate) fn next(
        &mut self,
        from: u64,
        judge: impl Fn(&[u8; FrameHeader::LEN], u64) -> Option<u32>,
    ) -> Result<Claim> {
        let io = || StorageError::io("read", self.path);
        let mut offset = from;
        while let Some(bytes) = self.reader.piece(offset, MAGIC.len()).map_err(io())? {
            let Some(next) = find_magic(bytes) else {
                offset += (bytes.len() - ACROSS) as u64;
                continue;
            };
            offset += next as u64;
            let header = self.reader.bytes(offset, FrameHeader::LEN).map_err(io())?;
            let header = header.and_then(|bytes| <[u8; FrameHeader::LEN]>::try_from(&*bytes).ok());
            if let Some(payload_len) = header.and_then(|header| judge(&header, offset)) {
                let cost = u64::from(payload_len) + (FrameHeader::LEN + TAG_LEN_MAX) as u64;
                let Some(left) = self.budget.checked_sub(cost) else { return Ok(Claim::TooMany(offset)) };
                self.budget = left;
                return Ok(Claim::At(offset));
            }
            offset += 1;
        }
        Ok(Claim::None)
    }
}

fn find_magic(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let first = from + bytes[from..].iter().position(|&byte| byte == MAGIC[0])?;
        if bytes[first..].starts_with(&MAGIC) {
            return Some(first);
        }
        from = first + 1;
    }
}

/// So many bytes of a magic, at most, end a piece of the file when the rest of it begins the next.
const ACROSS: usize = MAGIC.len() - 1;
/// The longest tag that follows a payload, in bytes: that of a plaintext frame.
const TAG_LEN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::sync::Arc;
    use crate::vfs::sim::SimVfs;
    use crate::vfs::{Access, Vfs};

    const PATH: &str = "/file";

    fn file(bytes: &[u8]) -> Arc<dyn File> {
        let disk = SimVfs::new(1);
        disk.write_file(PATH, bytes).expect("a new file");
        disk.open(Path::new(PATH), Access::Read).expect("it is there")
    }

    #[test]
    fn a_claim_is_found_wherever_it_lies_across_what_is_read_at_once() {
        // The reader reads ahead in pieces of 4 MiB.
        for before in (0..=FrameHeader::LEN).chain([4 << 10]) {
            let at = (4 << 20) - before;
            let mut bytes = vec![0; at + 2 * FrameHeader::LEN];
            bytes[at..at + MAGIC.len()].copy_from_slice(&MAGIC);
            let file = file(&bytes);
            let mut search = ClaimSearch::new(&*file, Path::new(PATH), 0, bytes.len() as u64);
            assert_eq!(search.next(0, |_, _| Some(0)).expect("it reads"), Claim::At(at as u64), "{before}");
            assert_eq!(search.next(at as u64 + 1, |_, _| Some(0)).expect("it reads"), Claim::None);
        }
    }

    #[test]
    fn claims_are_followed_until_they_cost_more_than_an_honest_file_could() {
        let bytes = MAGIC.repeat(100_000);
        let len = bytes.len() as u64;
        let file = file(&bytes);
        let mut search = ClaimSearch::new(&*file, Path::new(PATH), 0, len);
        let (mut offset, mut claims) = (0, 0);
        let end = loop {
            match search.next(offset, |_, _| Some(0)).expect("it reads") {
                Claim::At(at) => (offset, claims) = (at + 1, claims + 1),
                end => break end,
            }
        };
        assert!(matches!(end, Claim::TooMany(_)), "{end:?}");
        // Four times the bytes and 4 MiB, at the length of the shortest frame each.
        assert_eq!(claims, (4 * len + (4 << 20)) / 160);
    }
}
