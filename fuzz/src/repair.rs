//! Gives damaged plaintext files checksums, tags and links that are right, so that a fuzzer gets past them.
//!
//! Nobody can do this to an encrypted database; to one without a key anybody can, and so there any field may hold
//! anything. Offsets: `docs/file-format.md`.

use codex_crypto::merkle::{leaf_hash, origin_leaf};
use codex_crypto::{DatabaseId, Digest, PlaintextSealer, Purpose, Salt, Sealer as _, sha256};
use codex_storage::format::frame::{FrameHeader, MAGIC, PAYLOAD_LEN_MAX};
use codex_storage::format::header::{BLOCK_LEN, LOG_START};

/// Bytes of a plaintext tag.
const TAG_LEN: usize = 32;

/// Computes a header copy's authentication code, as for a database without encryption, and its checksum.
pub fn header(block: &mut [u8]) {
    block[16..80].fill(0);
    let code = PlaintextSealer::new(id_in(block)).authenticate(block);
    block[48..80].copy_from_slice(code.as_bytes());
    let checksum = sha256(&[block]);
    block[16..48].copy_from_slice(checksum.as_bytes());
}

/// Repairs both header copies of a database file, and its frames as far as they stand one behind the other. The id and
/// the predecessor are the first copy's.
pub fn database(file: &mut [u8]) {
    let start = 2 * BLOCK_LEN;
    if file.len() < start {
        return;
    }
    let (head, _) = file.split_at_mut(start);
    head.chunks_mut(BLOCK_LEN).for_each(header);
    let id = id_in(file);
    let predecessor = Digest::from_bytes(file[160..192].try_into().expect("32 bytes"));
    frames(file, LOG_START, Purpose::LogFrame, id, origin_leaf(id, &predecessor));
}

/// Repairs the frames of a checkpoint file of the plaintext database with this id.
pub fn checkpoint(file: &mut [u8], id: DatabaseId) {
    frames(file, 0, Purpose::CheckpointFrame, id, origin_leaf(id, &Digest::ZERO));
}

fn frames(file: &mut [u8], start: u64, purpose: Purpose, id: DatabaseId, origin: Digest) {
    let sealer = PlaintextSealer::new(id);
    let mut leaf = origin;
    let mut at = usize::try_from(start).expect("the log starts early");
    while file.len() - at >= FrameHeader::LEN + TAG_LEN && file[at..].starts_with(&MAGIC) {
        let room = file.len() - at - FrameHeader::LEN - TAG_LEN;
        let len: [u8; 4] = file[at + 28..at + 32].try_into().expect("four bytes");
        // What is longer than the file is shortened: otherwise nothing behind it would ever be reached.
        let len =
            usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX).min(room).min(PAYLOAD_LEN_MAX);
        let put = u32::try_from(len).expect("at most 1 MiB");
        file[at + 28..at + 32].copy_from_slice(&put.to_le_bytes());
        file[at + 8..at + 16].copy_from_slice(&(at as u64).to_le_bytes());
        file[at + 48..at + 80].copy_from_slice(leaf.as_bytes());
        let checksum = sha256(&[id.as_bytes(), &file[at..at + 112]]);
        file[at + 112..at + 128].copy_from_slice(&checksum.as_bytes()[..16]);

        let (encoded, rest) = file[at..].split_at_mut(FrameHeader::LEN);
        let salt = Salt::from_bytes(encoded[80..112].try_into().expect("32 bytes"));
        let mut sealed = rest[..len].to_vec();
        let done = sealer.seal(purpose, &salt, encoded, &mut sealed, 0);
        done.expect("sealing without encryption asks for nothing");
        rest[..sealed.len()].copy_from_slice(&sealed);
        leaf = leaf_hash(&[encoded, &sealed]);
        at += FrameHeader::LEN + len + TAG_LEN;
    }
}

fn id_in(block: &[u8]) -> DatabaseId {
    DatabaseId::from_bytes(block[96..112].try_into().expect("16 bytes"))
}

const _: () = assert!(LOG_START == 2 * BLOCK_LEN as u64);
