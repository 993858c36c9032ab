//! The frame header, and sealing and opening one frame. Layout: `docs/file-format.md`, "Frame".

use codex_crypto::merkle::leaf_hash;
use codex_crypto::{DatabaseId, Digest, OpenError, Purpose, Salt, SealError, Sealer, sha256};

use super::{SequenceNumber, field};

/// The most that one frame carries, in bytes before sealing.
pub const PAYLOAD_LEN_MAX: usize = 1 << 20;

/// Every frame begins with these bytes.
pub const MAGIC: [u8; 4] = *b"CdxF";

const SALT: usize = 80;
const CHECKSUM: usize = 112;
const CHECKSUM_LEN: usize = 16;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commits.
    Commit,
    /// State that a rewrite left; stands before the first commit.
    Base,
    /// State in a checkpoint file.
    Checkpoint,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Base => 2,
            Self::Checkpoint => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Commit),
            2 => Some(Self::Base),
            3 => Some(Self::Checkpoint),
            _ => None,
        }
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::Commit | Self::Base => Purpose::LogFrame,
            Self::Checkpoint => Purpose::CheckpointFrame,
        }
    }
}

/// A frame's header. All of it is the associated data of the frame's seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame carries.
    pub kind: Kind,
    /// The first frame of its group.
    pub begins: bool,
    /// The last frame of its group: with it the group counts.
    pub ends: bool,
    /// Where the frame stands, in bytes from the start of the file.
    pub offset: u64,
    /// The first commit of the group; in base and checkpoint frames the last commit that they cover.
    pub first_sequence: SequenceNumber,
    /// How many commits the group has; none in base and checkpoint frames.
    pub commit_count: u32,
    /// Payload before the tag, in bytes.
    pub payload_len: u32,
    /// When the group was written, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The end of the log as it stood before the latest successfully returned sync began.
    pub durable: u64,
    /// The leaf of the frame before this one.
    pub previous_leaf: Digest,
    /// Makes the frame's key its own.
    pub salt: Salt,
}

impl FrameHeader {
    /// Length of an encoded header, in bytes.
    pub const LEN: usize = 128;

    /// The encoded header.
    #[must_use]
    pub fn encode(&self, id: DatabaseId) -> [u8; Self::LEN] {
        let mut bytes = self.encode_unsalted();
        bytes[SALT..CHECKSUM].copy_from_slice(self.salt.as_bytes());
        let checksum = checksum(&bytes, id);
        bytes[CHECKSUM..].copy_from_slice(&checksum);
        bytes
    }

    /// All fields before the salt; zeros in place of the salt and the checksum.
    fn encode_unsalted(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut put =
            |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(4, &[self.kind.code(), u8::from(self.begins) | u8::from(self.ends) << 1]);
        put(8, &self.offset.to_le_bytes());
        put(16, &self.first_sequence.0.to_le_bytes());
        put(24, &self.commit_count.to_le_bytes());
        put(28, &self.payload_len.to_le_bytes());
        put(32, &self.time_ns.to_le_bytes());
        put(40, &self.durable.to_le_bytes());
        put(48, self.previous_leaf.as_bytes());
        bytes
    }

    /// Reads a header that claims to stand at `offset`; `None` if that cannot be: then no frame stands there.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::LEN], offset: u64, id: DatabaseId) -> Option<Self> {
        let header = Self {
            kind: Kind::from_code(bytes[4])?,
            begins: bytes[5] & 1 != 0,
            ends: bytes[5] & 2 != 0,
            offset: u64::from_le_bytes(field(bytes, 8)),
            first_sequence: SequenceNumber(u64::from_le_bytes(field(bytes, 16))),
            commit_count: u32::from_le_bytes(field(bytes, 24)),
            payload_len: u32::from_le_bytes(field(bytes, 28)),
            time_ns: u64::from_le_bytes(field(bytes, 32)),
            durable: u64::from_le_bytes(field(bytes, 40)),
            previous_leaf: Digest::from_bytes(field(bytes, 48)),
            salt: Salt::from_bytes(field(bytes, SALT)),
        };
        let possible = bytes[..4] == MAGIC
            && bytes[5] < 4
            && bytes[6..8] == [0; 2]
            && header.offset == offset
            && header.durable <= offset
            && usize::try_from(header.payload_len).is_ok_and(|len| len <= PAYLOAD_LEN_MAX)
            && bytes[CHECKSUM..] == checksum(bytes, id);
        possible.then_some(header)
    }

    /// Whether bytes that follow the magic name the place where they stand: all that can be said without the
    /// database's id.
    #[must_use]
    pub fn names_offset(bytes: &[u8; Self::LEN], offset: u64) -> bool {
        Self::named_offset(bytes) == offset
    }

    /// The place that bytes name which may be a frame's header.
    #[must_use]
    pub fn named_offset(bytes: &[u8; Self::LEN]) -> u64 {
        u64::from_le_bytes(field(bytes, 8))
    }
}

fn checksum(bytes: &[u8; FrameHeader::LEN], id: DatabaseId) -> [u8; CHECKSUM_LEN] {
    field(sha256(&[id.as_bytes(), &bytes[..CHECKSUM]]).as_bytes(), 0)
}

/// Seals the frame in `buffer`, which holds [`FrameHeader::LEN`] bytes of any content and then the payload:
/// fills in the header (with a salt and length of its own), encrypts the payload and appends the tag. Returns the leaf.
pub fn seal(
    mut header: FrameHeader,
    buffer: &mut Vec<u8>,
    id: DatabaseId,
    sealer: &dyn Sealer,
) -> Result<Digest, SealError> {
    let payload_len = buffer.len() - FrameHeader::LEN;
    debug_assert!(payload_len <= PAYLOAD_LEN_MAX, "callers split payloads");
    header.payload_len = u32::try_from(payload_len).expect("a payload is at most 1 MiB");
    header.salt = sealer.fresh_salt(&header.encode_unsalted()[..SALT])?;
    let encoded = header.encode(id);
    sealer.seal(header.kind.purpose(), &header.salt, &encoded, buffer, FrameHeader::LEN)?;
    buffer[..FrameHeader::LEN].copy_from_slice(&encoded);
    Ok(leaf_hash(&[buffer]))
}

/// Opens the payload of a frame in place; `sealed` is what stands behind the header: payload and tag.
pub fn open<'a>(
    header: &FrameHeader,
    encoded: &[u8; FrameHeader::LEN],
    sealed: &'a mut [u8],
    sealer: &dyn Sealer,
) -> Result<&'a mut [u8], OpenError> {
    sealer.open(header.kind.purpose(), &header.salt, encoded, sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: DatabaseId = DatabaseId::from_bytes([1; 16]);

    fn header() -> FrameHeader {
        FrameHeader {
            kind: Kind::Commit,
            begins: true,
            ends: true,
            offset: 8192,
            first_sequence: SequenceNumber(1),
            commit_count: 1,
            payload_len: 0,
            time_ns: 0,
            durable: 8192,
            previous_leaf: Digest::ZERO,
            salt: Salt::from_bytes([0; Salt::LEN]),
        }
    }

    #[test]
    fn a_header_ends_with_half_the_hash_of_the_database_id_and_all_before_it() {
        let encoded = header().encode(ID);
        let hash = sha256(&[&[1; 16], &encoded[..112]]);
        assert_eq!(encoded[112..], hash.as_bytes()[..16]);
    }

    #[test]
    fn without_any_key_a_header_with_one_changed_bit_or_of_another_database_is_refused() {
        let encoded = header().encode(ID);
        for bit in 0..8 * FrameHeader::LEN {
            let mut changed = encoded;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&changed, 8192, ID), None, "bit {bit}");
        }
        assert_eq!(FrameHeader::decode(&encoded, 8192, DatabaseId::from_bytes([2; 16])), None);
    }

    #[test]
    fn flags_and_reserved_bytes_of_other_versions_are_refused() {
        let header = header();
        let encoded = header.encode(ID);
        assert_eq!(FrameHeader::decode(&encoded, 8192, ID), Some(header));
        for (place, value) in [(5, 4), (6, 1), (7, 1)] {
            let mut other = encoded;
            other[place] = value;
            let sum = checksum(&other, ID);
            other[CHECKSUM..].copy_from_slice(&sum);
            assert_eq!(FrameHeader::decode(&other, 8192, ID), None, "byte {place}");
        }
    }
}
