//! What a backup in a repository says about itself. Layout: `docs/backups.md`, "What is where".

use base16ct::lower::encode_string as hex;
use codex_storage::format::header::{self, BLOCK_LEN, LOG_START};
use serde::{Deserialize, Serialize};

use codex_crypto::{Digest, sha256};

/// One backup: the header of the database as it was then, and the pieces of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    /// Counts the backups of one database, from 1.
    pub(crate) number: u64,
    /// When it was made, in nanoseconds since the Unix epoch.
    pub(crate) time_ns: u64,
    /// The last commit that it holds.
    pub(crate) sequence: u64,
    /// Its Merkle head.
    pub(crate) size: u64,
    pub(crate) root: String,
    /// What the first frame names: backups with one origin are of one file.
    pub(crate) origin: String,
    /// One copy of the header, in hexadecimal.
    pub(crate) header: String,
    /// The log, in order and without gaps.
    pub(crate) pieces: Vec<Piece>,
    /// SHA-256 of the manifest before it; none for the first.
    pub(crate) previous: Option<String>,
}

/// A part of the log: a file that is named by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    pub(crate) sha256: String,
    pub(crate) len: u64,
}

impl Manifest {
    /// Its bytes, and their SHA-256, which is a part of its name.
    pub(crate) fn encode(&self) -> serde_json::Result<(Vec<u8>, String)> {
        let bytes = serde_json::to_vec(self)?;
        let hash = hash_of(&bytes);
        Ok((bytes, hash))
    }

    /// Reads what was found under a name with this number and hash; `None` if it is not what was put there.
    pub(crate) fn decode(bytes: &[u8], number: u64, hash: &str) -> Option<Self> {
        let manifest: Self = (hash_of(bytes) == hash).then(|| serde_json::from_slice(bytes).ok())??;
        let whole = manifest.version == VERSION
            && manifest.number == number
            && manifest.header_block().is_some()
            && manifest.pieces.iter().all(|piece| piece.len > 0 && piece.len <= PIECE_LEN as u64)
            && manifest.pieces.iter().all(|piece| is_hash(&piece.sha256));
        whole.then_some(manifest)
    }

    pub(crate) fn header_block(&self) -> Option<Vec<u8>> {
        let block = base16ct::lower::decode_vec(&self.header).ok()?;
        (block.len() == BLOCK_LEN).then_some(block)
    }

    /// The id in its header, in hexadecimal: of which database it is. Nothing but the header's checksum is checked.
    pub(crate) fn database(&self) -> Option<String> {
        let block = self.header_block()?.try_into().ok()?;
        let header = header::choose(&[block, block]).ok()?.header;
        Some(hex(header.id.as_bytes()))
    }

    /// Where the log ends, in bytes from the start of the file.
    pub(crate) fn log_end(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len).sum::<u64>() + LOG_START
    }
}

pub(crate) fn hash_of(bytes: &[u8]) -> String {
    hex(sha256(&[bytes]).as_bytes())
}

pub(crate) fn manifest_name(database: &str, number: u64, hash: &str) -> String {
    format!("{database}/backup-{number:010}-{hash}.json")
}

/// Number and hash of a manifest, from its name in the folder.
pub(crate) fn parse_manifest_name(name: &str) -> Option<(u64, &str)> {
    let (number, hash) = name.strip_prefix("backup-")?.strip_suffix(".json")?.split_once('-')?;
    let number = number.parse().ok().filter(|number| format!("{number:010}") == number_text(name))?;
    is_hash(hash).then_some((number, hash))
}

fn number_text(name: &str) -> &str {
    name.split('-').nth(1).unwrap_or_default()
}

pub(crate) fn piece_name(database: &str, hash: &str) -> String {
    format!("{database}/{PIECE}{hash}")
}

pub(crate) fn parse_piece_name(name: &str) -> Option<&str> {
    name.strip_prefix(PIECE).filter(|hash| is_hash(hash))
}

/// Whether a name in the repository's folder is that of a database.
pub(crate) fn is_database(name: &str) -> bool {
    name.len() == 32 && is_hex(name)
}

fn is_hash(text: &str) -> bool {
    text.len() == 2 * Digest::LEN && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

const PIECE: &str = "piece-";
/// The longest piece, in bytes. One is in memory at a time.
pub(crate) const PIECE_LEN: usize = 16 << 20;
/// The longest manifest that is read, in bytes: of a log of 5 TB in full pieces.
pub(crate) const MANIFEST_LEN_MAX: usize = 32 << 20;
pub(crate) const VERSION: u32 = 1;
