//! The header of a database file: two copies, one a block. Layout: `docs/file-format.md`, "Header".

use codex_crypto::{DatabaseId, Digest, KeySlot, OpenError, RetiredKey, Sealer, Suite, sha256};

use super::{Mode, SequenceNumber, VERSION, field};
use crate::error::Damage;

/// Length of one header copy, in bytes.
pub const BLOCK_LEN: usize = 4096;
/// Where the log begins, in bytes from the start of the file.
pub const LOG_START: u64 = 2 * BLOCK_LEN as u64;
/// How many ways in a database can have.
pub const SLOT_COUNT: usize = 8;
/// How many root keys a ledger can have had before the one that it has.
pub const RETIRED_COUNT: usize = 16;

const MAGIC: [u8; 8] = *b"\x89CodexDB";
const CHECKSUM: usize = 16;
const CODE: usize = 48;
const RETIRED: usize = 200;
const RETIRED_END: usize = RETIRED + RETIRED_COUNT * RetiredKey::LEN;
const SLOTS: usize = 2048;
const _: () = assert!(RETIRED_END <= SLOTS);
/// Counting on from it does not overflow.
const GENERATION_MAX: u64 = 1 << 63;

/// The key slots, encoded; all zeros where empty.
pub type Slots = [[u8; KeySlot::LEN]; SLOT_COUNT];

/// One copy of the header, as bytes.
pub type Block = [u8; BLOCK_LEN];

/// An offset, tree size and root that a returned sync covers. A log that does not reach it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// End of the covered frames, in bytes from the start of the file.
    pub offset: u64,
    /// How many frames are covered.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Digest,
}

/// What a database says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Counts the changes of the header; the higher copy is the newer one.
    pub generation: u64,
    /// What the database keeps.
    pub mode: Mode,
    /// How frames are sealed.
    pub suite: Suite,
    /// Random, of this database alone.
    pub id: DatabaseId,
    /// What is known to be durable.
    pub floor: Floor,
    /// The root of the file that this one replaced, as it was when the base was taken; zeros if none.
    pub predecessor_root: Digest,
    /// The last sequence number that the base frames cover.
    pub base_sequence: SequenceNumber,
    /// The root keys that older parts of the log were sealed under, oldest first; ledger mode with encryption only.
    pub retired: Vec<RetiredKey>,
    /// The key slots, encoded; all zeros where empty.
    pub slots: Slots,
}

/// Why a block is no copy of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It does not begin as a header does.
    Magic,
    /// It begins as a header does, and its checksum is wrong.
    Checksum,
    /// It is intact and of a version that this program does not know.
    Version(u32),
    /// It is intact and holds a field with an impossible value.
    Field(&'static str),
}

impl Header {
    /// The bytes of one copy, with authentication code and checksum.
    #[must_use]
    pub fn encode(&self, sealer: &dyn Sealer) -> Block {
        let mut block = [0; BLOCK_LEN];
        let mut put =
            |offset: usize, bytes: &[u8]| block[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(80, &self.generation.to_le_bytes());
        put(88, &[self.mode.code(), self.suite.code()]);
        put(96, self.id.as_bytes());
        put(112, &self.floor.offset.to_le_bytes());
        put(120, &self.floor.size.to_le_bytes());
        put(128, self.floor.root.as_bytes());
        put(160, self.predecessor_root.as_bytes());
        put(192, &self.base_sequence.0.to_le_bytes());
        for (index, retired) in self.retired.iter().enumerate() {
            put(RETIRED + index * RetiredKey::LEN, &retired.encode());
        }
        for (index, slot) in self.slots.iter().enumerate() {
            put(SLOTS + index * KeySlot::LEN, slot);
        }
        // Code and checksum are computed over the block with zeros in their places, the code first.
        let code = sealer.authenticate(&block);
        block[CODE..CODE + Digest::LEN].copy_from_slice(code.as_bytes());
        let checksum = sha256(&[&block]);
        block[CHECKSUM..CHECKSUM + Digest::LEN].copy_from_slice(checksum.as_bytes());
        block
    }

    /// Reads a copy whose checksum is right. Nothing of it is believed before [`authenticate`].
    pub fn decode(block: &Block) -> Result<Self, Unreadable> {
        if field(block, 0) != MAGIC {
            return Err(Unreadable::Magic);
        }
        let mut unsummed = *block;
        unsummed[CHECKSUM..CHECKSUM + Digest::LEN].fill(0);
        if sha256(&[&unsummed]) != Digest::from_bytes(field(block, CHECKSUM)) {
            return Err(Unreadable::Checksum);
        }
        let version = u32::from_le_bytes(field(block, 8));
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let mut slots = [[0; KeySlot::LEN]; SLOT_COUNT];
        for (index, slot) in slots.iter_mut().enumerate() {
            *slot = field(block, SLOTS + index * KeySlot::LEN);
        }
        let reserved = [12..CHECKSUM, 90..96, RETIRED_END..SLOTS];
        if reserved.into_iter().any(|range| block[range].iter().any(|&byte| byte != 0)) {
            return Err(Unreadable::Field("reserved byte"));
        }
        let floor = Floor {
            offset: u64::from_le_bytes(field(block, 112)),
            size: u64::from_le_bytes(field(block, 120)),
            root: Digest::from_bytes(field(block, 128)),
        };
        if floor.offset < LOG_START {
            return Err(Unreadable::Field("floor"));
        }
        let generation = u64::from_le_bytes(field(block, 80));
        if generation > GENERATION_MAX {
            return Err(Unreadable::Field("generation"));
        }
        let base_sequence = SequenceNumber(u64::from_le_bytes(field(block, 192)));
        if base_sequence > SequenceNumber::MAX {
            return Err(Unreadable::Field("base sequence"));
        }
        let mode = Mode::from_code(block[88]).ok_or(Unreadable::Field("mode"))?;
        let suite = Suite::from_code(block[89]).ok_or(Unreadable::Field("cipher suite"))?;
        let retired = decode_retired(block).filter(|retired| {
            let possible = mode == Mode::Ledger && suite != Suite::Plaintext;
            let in_log = |retired: &RetiredKey| (LOG_START..=floor.offset).contains(&retired.until());
            retired.iter().all(|retired| possible && in_log(retired))
                && retired.is_sorted_by_key(RetiredKey::until)
        });
        Ok(Self {
            generation,
            mode,
            suite,
            id: DatabaseId::from_bytes(field(block, 96)),
            floor,
            predecessor_root: Digest::from_bytes(field(block, 160)),
            base_sequence,
            retired: retired.ok_or(Unreadable::Field("retired root key"))?,
            slots,
        })
    }
}

/// The retired root keys; `None` if something stands behind an empty place.
fn decode_retired(block: &Block) -> Option<Vec<RetiredKey>> {
    let mut entries = block[RETIRED..RETIRED_END]
        .chunks_exact(RetiredKey::LEN)
        .map(|entry| RetiredKey::decode(entry.try_into().expect("exact chunks")));
    let retired = entries.by_ref().map_while(|entry| entry).collect();
    entries.all(|entry| entry.is_none()).then_some(retired)
}

/// Judges a copy whose checksum is right by its authentication code.
pub fn authenticate(block: &Block, sealer: &dyn Sealer) -> Result<(), OpenError> {
    let mut uncoded = *block;
    uncoded[CHECKSUM..CODE + Digest::LEN].fill(0);
    sealer.verify(&uncoded, &Digest::from_bytes(field(block, CODE)))
}

/// The copy that counts, and what is to be said of the other.
#[derive(Debug)]
pub struct Choice {
    /// The header that counts.
    pub header: Header,
    /// Which of the two copies it is: 0 or 1.
    pub index: usize,
    /// The other copy is damaged or older, and is to be rewritten from this one.
    pub other_is_stale: bool,
}

/// Why no copy counts.
#[derive(Debug)]
pub enum NoChoice {
    /// Neither begins as a header does.
    NotADatabase,
    /// The file is of a version that this program does not know.
    Version(u32),
    /// The header is damaged.
    Damaged(Damage),
}

/// Chooses between the two copies: by checksum and the highest generation.
///
/// What never changes must be the same in both. A copy of another database may authenticate, because one key may
/// open both, and would make this one an empty database with a torn end.
pub fn choose(blocks: &[Block; 2]) -> Result<Choice, NoChoice> {
    let copies = [Header::decode(&blocks[0]), Header::decode(&blocks[1])];
    // A newer program writes a higher generation; its copy must not be overlooked for an older one.
    for copy in &copies {
        if let Err(Unreadable::Version(version)) = copy {
            return Err(NoChoice::Version(*version));
        }
    }
    match copies {
        [Ok(first), Ok(second)] => {
            let other_is_stale = first.generation != second.generation;
            let index = usize::from(first.generation < second.generation);
            let (header, other) = if index == 0 { (first, second) } else { (second, first) };
            let is_foreign = (other.id, other.suite, other.mode) != (header.id, header.suite, header.mode);
            if is_foreign || (!other_is_stale && blocks[0] != blocks[1]) {
                return Err(NoChoice::Damaged(Damage::HeaderCopiesDiffer));
            }
            Ok(Choice { header, index, other_is_stale })
        }
        [Ok(header), _] => Ok(Choice { header, index: 0, other_is_stale: true }),
        [Err(_), Ok(header)] => Ok(Choice { header, index: 1, other_is_stale: true }),
        [Err(Unreadable::Magic), Err(Unreadable::Magic)] => Err(NoChoice::NotADatabase),
        [Err(Unreadable::Field(name)), _] | [_, Err(Unreadable::Field(name))] => {
            Err(NoChoice::Damaged(Damage::HeaderField(name)))
        }
        [Err(_), Err(_)] => Err(NoChoice::Damaged(Damage::NoHeader)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use codex_crypto::{PlaintextSealer, RootKey};

    /// Retired root keys that end at these offsets.
    fn retired(until: &[u64]) -> Vec<RetiredKey> {
        let [old, new] = [(); 2].map(|()| RootKey::generate().expect("there is randomness"));
        let wrap = |until: &u64| RetiredKey::wrap(&old, *until, &new, DatabaseId::from_bytes([1; 16]));
        until.iter().map(|until| wrap(until).expect("there is randomness")).collect()
    }

    #[test]
    fn a_header_is_read_as_it_was_written_with_every_slot_and_the_largest_numbers() {
        let id = DatabaseId::from_bytes([1; 16]);
        let header = Header {
            generation: GENERATION_MAX,
            mode: Mode::Ledger,
            suite: Suite::Aes256Gcm,
            id,
            floor: Floor { offset: LOG_START, size: 3, root: Digest::from_bytes([2; 32]) },
            predecessor_root: Digest::from_bytes([3; 32]),
            base_sequence: SequenceNumber::MAX,
            retired: retired(&[LOG_START; RETIRED_COUNT]),
            slots: [1, 2, 3, 4, 5, 6, 7, 8].map(|byte| [byte; KeySlot::LEN]),
        };
        let sealer = PlaintextSealer::new(id);
        assert_eq!(Header::decode(&header.encode(&sealer)).as_ref(), Ok(&header));
        let beyond = Header { generation: GENERATION_MAX + 1, ..header.clone() };
        assert_eq!(Header::decode(&beyond.encode(&sealer)), Err(Unreadable::Field("generation")));
        let beyond = Header { base_sequence: SequenceNumber(SequenceNumber::MAX.0 + 1), ..header };
        assert_eq!(Header::decode(&beyond.encode(&sealer)), Err(Unreadable::Field("base sequence")));
    }

    #[test]
    fn retired_root_keys_stand_in_order_below_the_floor_of_an_encrypted_ledger() {
        let id = DatabaseId::from_bytes([1; 16]);
        let sealer = PlaintextSealer::new(id);
        let header = Header {
            generation: 1,
            mode: Mode::Ledger,
            suite: Suite::Aes256Gcm,
            id,
            floor: Floor { offset: LOG_START + 100, size: 3, root: Digest::from_bytes([2; 32]) },
            predecessor_root: Digest::ZERO,
            base_sequence: SequenceNumber(0),
            retired: retired(&[LOG_START, LOG_START, LOG_START + 100]),
            slots: [[0; KeySlot::LEN]; SLOT_COUNT],
        };
        let whole = header.encode(&sealer);
        assert_eq!(Header::decode(&whole).as_ref(), Ok(&header));
        for impossible in [
            Header { mode: Mode::Snapshot, ..header.clone() },
            Header { suite: Suite::Plaintext, ..header.clone() },
            Header { retired: retired(&[LOG_START - 1]), ..header.clone() },
            Header { retired: retired(&[LOG_START + 101]), ..header.clone() },
            Header { retired: retired(&[LOG_START + 1, LOG_START]), ..header.clone() },
        ] {
            let decoded = Header::decode(&impossible.encode(&sealer));
            assert_eq!(decoded, Err(Unreadable::Field("retired root key")), "{impossible:?}");
        }
        let mut gap = whole;
        gap[RETIRED..RETIRED + RetiredKey::LEN].fill(0);
        gap[CHECKSUM..CHECKSUM + Digest::LEN].fill(0);
        let checksum = sha256(&[&gap]);
        gap[CHECKSUM..CHECKSUM + Digest::LEN].copy_from_slice(checksum.as_bytes());
        assert_eq!(Header::decode(&gap), Err(Unreadable::Field("retired root key")));
    }
}
