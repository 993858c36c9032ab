//! Leaves of the Merkle log by their number, for proofs: none of their frames is hashed again.
//!
//! The header of each frame names the leaf of the one before it, so that leaves are read from headers alone. An index
//! in memory keeps, for every full run of 1,024 leaves, where the run begins and its root, with the roots above; it is
//! made when the first proof wants it, by one pass over the headers, and then only continued. A checkpoint keeps it
//! for the next opening. So a proof reads the headers of two runs at most.
//!
//! Nothing here is believed for its own sake: whoever uses it holds the result against the root that this process
//! knows.

use std::path::Path;

use codex_crypto::merkle::node_hash;
use codex_crypto::proof::{self, FullSubtree};
use codex_crypto::{ConsistencyProof, Digest};

use super::Position;
use crate::error::{Damage, Result, StorageError};
use crate::format::SequenceNumber;
use crate::format::frame::{FrameHeader, Kind};
use crate::format::header::{Header, LOG_START};
use crate::vfs::File;

/// The full runs of a log's leaves. It belongs to one file, and goes with it.
#[derive(Clone, Debug)]
pub(crate) struct LeafIndex {
    runs: Vec<Run>,
    /// Roots of the full subtrees over runs: at height 0 of each run, at height 1 of two, and so on.
    roots: Vec<Vec<Digest>>,
    /// Where the first frame behind the full runs stands.
    next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where its first frame stands.
    offset: u64,
    /// What that frame names as the first commit of its group.
    first_sequence: SequenceNumber,
}

impl Default for LeafIndex {
    fn default() -> Self {
        Self { runs: Vec::new(), roots: Vec::new(), next: LOG_START }
    }
}

impl LeafIndex {
    fn push(&mut self, run: Run, root: Digest, next: u64) {
        // Appending is adding one to the number of runs: where the carry passes, a subtree is full.
        let carries = self.runs.len().trailing_ones() as usize;
        self.runs.push(run);
        self.next = next;
        let mut full = root;
        for height in 0..=carries {
            if height == self.roots.len() {
                self.roots.push(Vec::new());
            }
            let row = &mut self.roots[height];
            row.push(full);
            if height < carries {
                full = node_hash(&row[row.len() - 2], &row[row.len() - 1]);
            }
        }
    }

    /// The index of the first `size` leaves, which are all within this one. Layout: `docs/file-format.md`,
    /// "Checkpoint".
    pub(crate) fn encode(&self, size: u64) -> Vec<u8> {
        let count = usize::try_from(size >> RUN_HEIGHT).unwrap_or(usize::MAX).min(self.runs.len());
        let next = self.runs.get(count).map_or(self.next, |run| run.offset);
        let mut bytes = (count as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(&next.to_le_bytes());
        for (run, root) in self.runs.iter().zip(self.roots.first().into_iter().flatten()).take(count) {
            bytes.extend_from_slice(&run.offset.to_le_bytes());
            bytes.extend_from_slice(&run.first_sequence.0.to_le_bytes());
            bytes.extend_from_slice(root.as_bytes());
        }
        bytes
    }

    /// Whether a log of `size` frames has at least the runs of the index.
    pub(crate) fn fits(&self, size: u64) -> bool {
        self.runs.len() as u64 <= size >> RUN_HEIGHT
    }

    /// Reads an index, and what stands behind it. What it says is not believed (see the module).
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, bytes) = take_u64(bytes)?;
        let (next, bytes) = take_u64(bytes)?;
        let len = usize::try_from(count).ok()?.checked_mul(ENTRY_LEN)?;
        let (entries, rest) = bytes.split_at_checked(len)?;
        let mut index = Self::default();
        for entry in entries.chunks_exact(ENTRY_LEN) {
            let (offset, entry) = take_u64(entry)?;
            let (sequence, root) = take_u64(entry)?;
            let run = Run { offset, first_sequence: SequenceNumber(sequence) };
            index.push(run, Digest::from_bytes(root.try_into().ok()?), next);
        }
        Some((index, rest))
    }
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

/// A file whose log is proven, up to a place that this process knows. No key is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProvenLog<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) path: &'a Path,
    pub(crate) header: &'a Header,
    pub(crate) end: &'a Position,
}

impl ProvenLog<'_> {
    pub(crate) fn size(&self) -> u64 {
        self.end.frontier.size()
    }

    /// A header, or a root made of headers, is not what this process knows. The place is the least that is wrong.
    pub(crate) fn damaged(&self, offset: u64) -> StorageError {
        StorageError::damaged(self.path, offset, None, Damage::LogChanged)
    }
}

/// The tree over the leaves of a log.
pub(crate) struct Tree<'a> {
    log: ProvenLog<'a>,
    headers: Headers<'a>,
    index: &'a mut LeafIndex,
    /// Runs whose leaves were read; a proof needs two.
    read: Vec<(u64, Vec<Digest>)>,
}

impl<'a> Tree<'a> {
    /// Continues the index up to the log's end.
    pub(crate) fn new(log: ProvenLog<'a>, index: &'a mut LeafIndex) -> Result<Self> {
        let mut headers = Headers::new(log);
        let full = log.size() >> RUN_HEIGHT;
        while (index.runs.len() as u64) < full {
            let run = headers.run(index.next, RUN_LEN)?;
            let start = Run { offset: index.next, first_sequence: run.first_sequence };
            let next = run.end;
            index.push(start, fold(run.leaves), next);
        }
        Ok(Self { log, headers, index, read: Vec::new() })
    }

    /// The hash of a full subtree of the log's leaves.
    pub(crate) fn subtree(&mut self, subtree: FullSubtree) -> Result<Digest> {
        let FullSubtree { height, position } = subtree;
        if let Some(above) = height.checked_sub(RUN_HEIGHT) {
            let position = usize::try_from(position).expect("it is in memory");
            return Ok(self.index.roots[above as usize][position]);
        }
        let first = position << height;
        let leaves = self.run(first >> RUN_HEIGHT)?;
        let within = usize::try_from(first & (RUN_LEN - 1)).expect("a run is short");
        Ok(fold(leaves[within..within + (1 << height)].to_vec()))
    }

    /// The root over the first `size` leaves, held against the root that this process knows.
    pub(crate) fn root(&mut self, size: u64) -> Result<Digest> {
        let root = proof::root_of(size, |subtree| self.subtree(subtree))?;
        let consistent = ConsistencyProof::build(size, self.log.size(), |subtree| self.subtree(subtree))?;
        match consistent.verify(&root, &self.log.end.frontier.root()) {
            Ok(()) => Ok(root),
            Err(_) => Err(self.log.damaged(LOG_START)),
        }
    }

    /// The number, offset and length of the frame that ends the group of a commit.
    pub(crate) fn frame_of(&mut self, sequence: SequenceNumber) -> Result<(u64, u64, u64)> {
        let behind = self.index.runs.partition_point(|run| run.first_sequence <= sequence);
        let (mut number, mut offset) = match behind.checked_sub(1) {
            Some(run) => ((run as u64) << RUN_HEIGHT, self.index.runs[run].offset),
            None => (0, LOG_START),
        };
        // Ends at the log's end, where no header is, if not before.
        loop {
            let header = self.headers.at(offset)?;
            let len = self.headers.frame_len(&header);
            let behind = sequence.0.checked_sub(header.first_sequence.0);
            if header.kind == Kind::Commit
                && header.ends
                && behind.is_some_and(|behind| behind < header.commit_count.into())
            {
                return Ok((number, offset, len));
            }
            (number, offset) = (number + 1, offset + len);
        }
    }

    fn run(&mut self, number: u64) -> Result<&[Digest]> {
        if let Some(at) = self.read.iter().position(|(run, _)| *run == number) {
            return Ok(&self.read[at].1);
        }
        let run = usize::try_from(number).ok().and_then(|number| self.index.runs.get(number));
        let offset = run.map_or(self.index.next, |run| run.offset);
        let len = (self.log.size() - (number << RUN_HEIGHT)).min(RUN_LEN);
        let leaves = self.headers.run(offset, len)?.leaves;
        self.read.push((number, leaves));
        Ok(&self.read.last().expect("just pushed").1)
    }
}

/// The leaves of a run, and what else its headers say.
struct ReadRun {
    leaves: Vec<Digest>,
    first_sequence: SequenceNumber,
    end: u64,
}

/// Reads the headers of a log's frames one behind the other, and not their payloads where those are long.
struct Headers<'a> {
    log: ProvenLog<'a>,
    piece: Vec<u8>,
    piece_offset: u64,
    last: u64,
}

impl<'a> Headers<'a> {
    fn new(log: ProvenLog<'a>) -> Self {
        Self { log, piece: Vec::new(), piece_offset: 0, last: 0 }
    }

    fn frame_len(&self, header: &FrameHeader) -> u64 {
        FrameHeader::LEN as u64 + u64::from(header.payload_len) + self.log.header.suite.tag_len() as u64
    }

    fn at(&mut self, offset: u64) -> Result<FrameHeader> {
        let left = self.log.end.offset.checked_sub(offset).ok_or_else(|| self.log.damaged(offset))?;
        let within = offset.checked_sub(self.piece_offset).and_then(|within| usize::try_from(within).ok());
        let there =
            |within: usize| within.checked_add(FrameHeader::LEN).is_some_and(|to| to <= self.piece.len());
        let start = if let Some(within) = within.filter(|within| there(*within)) {
            within
        } else {
            // What lies between two headers of large frames is not worth reading.
            let near = offset.checked_sub(self.last).is_some_and(|distance| distance < NEAR);
            let len = if near { PIECE_LEN } else { FrameHeader::LEN };
            self.piece.resize(usize::try_from(left).unwrap_or(usize::MAX).min(len), 0);
            self.piece_offset = offset;
            let read = self.log.file.read_at(&mut self.piece, offset);
            self.piece.truncate(read.map_err(StorageError::io("read", self.log.path))?);
            0
        };
        self.last = offset;
        let header = self.piece[start..].first_chunk();
        let header = header.and_then(|bytes| FrameHeader::decode(bytes, offset, self.log.header.id));
        header.ok_or_else(|| self.log.damaged(offset))
    }

    /// The `len` leaves of the frames from `offset` on.
    fn run(&mut self, offset: u64, len: u64) -> Result<ReadRun> {
        let first = self.at(offset)?;
        let first_sequence = first.first_sequence;
        let mut end = offset;
        let mut header = first;
        let mut leaves = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
        for _ in 0..len {
            end += self.frame_len(&header);
            if end == self.log.end.offset {
                leaves.push(self.log.end.leaf);
            } else {
                header = self.at(end)?;
                leaves.push(header.previous_leaf);
            }
        }
        Ok(ReadRun { leaves, first_sequence, end })
    }
}

/// The root over leaves whose number is a power of two.
fn fold(mut leaves: Vec<Digest>) -> Digest {
    while leaves.len() > 1 {
        leaves = leaves.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    leaves[0]
}

const RUN_HEIGHT: u32 = 10;
const RUN_LEN: u64 = 1 << RUN_HEIGHT;
/// A run in an encoded index: offset, sequence number and root, in bytes.
const ENTRY_LEN: usize = 8 + 8 + Digest::LEN;
/// Headers are read in pieces of this many bytes, if they stand closer to each other than [`NEAR`].
const PIECE_LEN: usize = 64 << 10;
const NEAR: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use codex_crypto::Frontier;
    use codex_crypto::merkle::leaf_hash;

    use super::*;

    fn index(runs: u64) -> LeafIndex {
        let mut index = LeafIndex::default();
        for number in 0..runs {
            let run = Run { offset: number * 10, first_sequence: SequenceNumber(number) };
            index.push(run, leaf_hash(&[&number.to_le_bytes()]), number * 10 + 10);
        }
        index
    }

    #[test]
    fn roots_above_the_runs_are_those_of_the_tree_over_them() {
        for runs in 0..40_u64 {
            let index = index(runs);
            let root = proof::root_of(runs, |subtree| {
                let row = &index.roots[subtree.height as usize];
                Ok::<_, std::convert::Infallible>(row[usize::try_from(subtree.position).unwrap()])
            });
            let mut frontier = Frontier::new();
            (0..runs).for_each(|number| frontier.append(leaf_hash(&[&number.to_le_bytes()])));
            assert_eq!(root, Ok(frontier.root()), "{runs} runs");
        }
    }

    #[test]
    fn an_index_of_more_runs_than_a_log_could_fill_is_of_another_log() {
        let index = index(2);
        assert!(index.fits(2 * RUN_LEN) && index.fits(u64::MAX));
        assert!(!index.fits(2 * RUN_LEN - 1) && !index.fits(0));
    }

    #[test]
    fn an_index_reads_back_up_to_any_size() {
        let whole = index(5);
        for size in [0, 1, RUN_LEN, 3 * RUN_LEN + 7, 5 * RUN_LEN, 9 * RUN_LEN] {
            let mut bytes = whole.encode(size);
            bytes.extend_from_slice(b"behind");
            let (read, rest) = LeafIndex::decode(&bytes).unwrap();
            let expected = index((size >> RUN_HEIGHT).min(5));
            assert_eq!((read.runs, read.roots, rest), (expected.runs, expected.roots, &b"behind"[..]));
        }
    }

    #[test]
    fn a_cut_or_impossible_index_is_none() {
        let bytes = index(3).encode(u64::MAX);
        for len in 0..bytes.len() {
            assert!(LeafIndex::decode(&bytes[..len]).is_none(), "{len} bytes");
        }
        assert!(LeafIndex::decode(&[0xFF; 200]).is_none(), "more runs than memory");
    }
}
