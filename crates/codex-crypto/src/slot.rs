//! Key slots: the root key, wrapped by what unlocks it.
//!
//! Layout and labels: `docs/file-format.md`, "Key slots".
//!
//! ```text
//! secret       = encryption key, or Argon2id(passphrase, salt, cost)
//! PRK          = HKDF-Extract(salt = the slot's random bytes, input = secret)
//! commitment   = HKDF-Expand(PRK, "codexdb/1 slot commitment" ‖ database id)
//! wrapping key = HKDF-Expand(PRK, "codexdb/1 slot wrap" ‖ database id); nonce zero
//! ```
//!
//! AES-GCM alone does not commit to its key: one ciphertext can be made that opens under several.
//! The commitment is compared first, so that a slot opens for one secret only, and so that a wrong
//! secret (an answer) is told from damage (an error).

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::hkdf;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::derive::{self, SingleUseKey};
use crate::key::SecretBytes;
use crate::{DatabaseId, KeyError, Passphrase, RootKey, Unlock, random};

/// A root key wrapped by an encryption key or a passphrase, and a label. Holds nothing that must be kept secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySlot {
    lock: Lock,
    /// Who uses the slot, or where; for people. The seal does not cover it, the code over the file's header does.
    label: String,
    /// Makes the slot's keys its own, also where the same secret locks another slot.
    random: [u8; 32],
    commitment: [u8; 32],
    /// The root key encrypted, then the tag.
    wrapped: [u8; WRAPPED_LEN],
}

impl KeySlot {
    /// Encoded length in bytes.
    pub const LEN: usize = 256;
    /// Longest label, in bytes of UTF-8.
    pub const LABEL_LEN_MAX: usize = Self::LEN - LABEL - 1;

    /// Wraps `root` so that `unlock` opens it, for the database with this id. `cost` counts for a
    /// passphrase only.
    ///
    /// With a passphrase this takes the time and memory that `cost` says.
    pub fn wrap(
        root: &RootKey,
        unlock: &Unlock,
        id: DatabaseId,
        cost: PassphraseCost,
    ) -> Result<Self, KeyError> {
        let random = random::bytes()?;
        let (lock, prk) = match unlock {
            Unlock::EncryptionKey(key) => (Lock::EncryptionKey, derive::extract(&random, key.as_bytes())),
            Unlock::Passphrase(passphrase) => {
                let salt = random::bytes()?;
                let secret = argon2id(passphrase, &salt, cost)?;
                (Lock::Passphrase { cost, salt }, derive::extract(&random, secret.as_bytes()))
            }
        };
        let (label, commitment) = (String::new(), commitment(&prk, id));
        let mut slot = Self { lock, label, random, commitment, wrapped: [0; WRAPPED_LEN] };
        slot.wrapped = seal_root(root, wrapping_key(&prk, id), &slot.associated_data());
        Ok(slot)
    }

    /// The slot with another label: one line of text that anybody who has the file can read.
    pub fn with_label(self, label: &str) -> Result<Self, KeyError> {
        check_label(label)?;
        Ok(Self { label: label.to_owned(), ..self })
    }

    /// The slot's label; empty if it has none.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The root key, if `unlock` opens this slot of the database with this id.
    ///
    /// `None`: another key or passphrase made this slot, or it belongs to another database. A slot
    /// of the other kind is `None` at once; a passphrase slot takes the time and memory that it was
    /// made to cost.
    pub fn unwrap(&self, unlock: &Unlock, id: DatabaseId) -> Result<Option<RootKey>, KeyError> {
        let prk = match (&self.lock, unlock) {
            (Lock::EncryptionKey, Unlock::EncryptionKey(key)) => {
                derive::extract(&self.random, key.as_bytes())
            }
            (Lock::Passphrase { cost, salt }, Unlock::Passphrase(passphrase)) => {
                let secret = argon2id(passphrase, salt, *cost)?;
                derive::extract(&self.random, secret.as_bytes())
            }
            // An empty passphrase is refused by every slot, so that the answer does not depend on
            // which ones there are.
            (Lock::EncryptionKey, Unlock::Passphrase(passphrase)) => {
                return passphrase.as_bytes().map(|_| None);
            }
            (Lock::Passphrase { .. }, Unlock::EncryptionKey(_)) => return Ok(None),
        };
        if !bool::from(commitment(&prk, id).ct_eq(&self.commitment)) {
            return Ok(None);
        }
        let mut sealed = Zeroizing::new(self.wrapped);
        let Ok(opened) = wrapping_key(&prk, id).open(&self.associated_data(), sealed.as_mut_slice()) else {
            return Err(KeyError::SlotDamaged);
        };
        let mut root = SecretBytes::zeros();
        root.as_mut_bytes().copy_from_slice(opened);
        Ok(Some(RootKey::from_secret(root)))
    }

    /// What opens this slot.
    #[must_use]
    pub fn kind(&self) -> SlotKind {
        match self.lock {
            Lock::EncryptionKey => SlotKind::EncryptionKey,
            Lock::Passphrase { .. } => SlotKind::Passphrase,
        }
    }

    /// What a guess at the slot's passphrase costs; `None` for an encryption key.
    #[must_use]
    pub fn cost(&self) -> Option<PassphraseCost> {
        match self.lock {
            Lock::EncryptionKey => None,
            Lock::Passphrase { cost, .. } => Some(cost),
        }
    }

    /// The slot's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..COMMITMENT].copy_from_slice(&self.associated_data());
        bytes[COMMITMENT..WRAPPED].copy_from_slice(&self.commitment);
        bytes[WRAPPED..LABEL].copy_from_slice(&self.wrapped);
        bytes[LABEL] = u8::try_from(self.label.len()).expect("labels are bounded");
        bytes[LABEL + 1..][..self.label.len()].copy_from_slice(self.label.as_bytes());
        bytes
    }

    /// Reads a slot; `None` is an empty one, all zeros. Costs out of bounds are refused here,
    /// before anything is run.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Option<Self>, KeyError> {
        let kind = bytes[KIND];
        let cost = &bytes[MEMORY_KIB..COST_END];
        let salt = array_at(bytes, ARGON2_SALT);
        let lock = match kind {
            EMPTY if *bytes == [0; Self::LEN] => return Ok(None),
            EMPTY => return Err(KeyError::ReservedNotZero),
            ENCRYPTION_KEY if cost.iter().chain(&salt).any(|&byte| byte != 0) => {
                return Err(KeyError::ReservedNotZero);
            }
            ENCRYPTION_KEY => Lock::EncryptionKey,
            PASSPHRASE => Lock::Passphrase {
                cost: PassphraseCost::new(
                    u32_at(bytes, MEMORY_KIB),
                    u32_at(bytes, PASSES),
                    u32_at(bytes, LANES),
                )?,
                salt,
            },
            got => return Err(KeyError::UnknownSlotKind { got }),
        };
        let label = &bytes[LABEL + 1..];
        let (label, reserved) = label.split_at_checked(usize::from(bytes[LABEL])).ok_or(KeyError::Label)?;
        if bytes[KIND + 1..MEMORY_KIB].iter().chain(reserved).any(|&byte| byte != 0) {
            return Err(KeyError::ReservedNotZero);
        }
        let label = std::str::from_utf8(label).map_err(|_| KeyError::Label)?;
        check_label(label)?;
        let random = array_at(bytes, RANDOM);
        Ok(Some(Self {
            lock,
            label: label.to_owned(),
            random,
            commitment: array_at(bytes, COMMITMENT),
            wrapped: array_at(bytes, WRAPPED),
        }))
    }

    /// The encoded slot up to the commitment: all that the wrapped root key is bound to.
    fn associated_data(&self) -> [u8; COMMITMENT] {
        let mut bytes = [0; COMMITMENT];
        match &self.lock {
            Lock::EncryptionKey => bytes[KIND] = ENCRYPTION_KEY,
            Lock::Passphrase { cost, salt } => {
                bytes[KIND] = PASSPHRASE;
                bytes[MEMORY_KIB..PASSES].copy_from_slice(&cost.memory_kib.to_le_bytes());
                bytes[PASSES..LANES].copy_from_slice(&cost.passes.to_le_bytes());
                bytes[LANES..COST_END].copy_from_slice(&cost.lanes.to_le_bytes());
                bytes[ARGON2_SALT..RANDOM].copy_from_slice(salt);
            }
        }
        bytes[RANDOM..].copy_from_slice(&self.random);
        bytes
    }
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySlot").field("lock", &self.lock).finish_non_exhaustive()
    }
}

/// What opens a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotKind {
    /// An [`EncryptionKey`](crate::EncryptionKey).
    EncryptionKey,
    /// A [`Passphrase`].
    Passphrase,
}

/// How much time and memory it takes to try one passphrase: the parameters of Argon2id (RFC 9106),
/// always within bounds.
///
/// ```
/// use codex_crypto::PassphraseCost;
///
/// # fn main() -> Result<(), codex_crypto::KeyError> {
/// // 128 MiB, three passes, four lanes.
/// let cost = PassphraseCost::new(128 * 1024, 3, 4)?;
/// assert_eq!(cost.memory_kib(), 2 * PassphraseCost::RECOMMENDED.memory_kib());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl PassphraseCost {
    /// The least that is accepted: 8 MiB, one pass, one lane. For tests; too cheap for a passphrase
    /// that protects something.
    pub const MINIMUM: Self = Self { memory_kib: 8 * 1024, passes: 1, lanes: 1 };
    /// 64 MiB, three passes, four lanes: the second recommended option of RFC 9106, section 4.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The most that is accepted: 1 GiB, 16 passes, 16 lanes. Bounds what opening a damaged file
    /// can cost.
    pub const MAXIMUM: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

    /// A cost of `memory_kib` KiB, gone through `passes` times, in `lanes` lanes. (The lanes are
    /// computed one after the other: this crate starts no threads.) Each number must lie between
    /// those of [`MINIMUM`](Self::MINIMUM) and [`MAXIMUM`](Self::MAXIMUM).
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, KeyError> {
        let check = |parameter, got, min, max| {
            if (min..=max).contains(&got) {
                Ok(got)
            } else {
                Err(KeyError::CostOutOfBounds { parameter, got, min, max })
            }
        };
        Ok(Self {
            memory_kib: check("KiB", memory_kib, Self::MINIMUM.memory_kib, Self::MAXIMUM.memory_kib)?,
            passes: check("passes", passes, Self::MINIMUM.passes, Self::MAXIMUM.passes)?,
            lanes: check("lanes", lanes, Self::MINIMUM.lanes, Self::MAXIMUM.lanes)?,
        })
    }

    /// Memory, in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// How often the memory is gone through.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes that could be computed side by side.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }
}

/// [`PassphraseCost::RECOMMENDED`].
impl Default for PassphraseCost {
    fn default() -> Self {
        Self::RECOMMENDED
    }
}

/// A slot's kind, with what that kind takes to get from an [`Unlock`] to the slot's secret.
#[derive(Clone, PartialEq, Eq)]
enum Lock {
    EncryptionKey,
    Passphrase { cost: PassphraseCost, salt: [u8; 16] },
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EncryptionKey => f.write_str("EncryptionKey"),
            Self::Passphrase { cost, .. } => f.debug_tuple("Passphrase").field(cost).finish(),
        }
    }
}

/// A terminal shows a label as it is, so none may steer one.
fn check_label(label: &str) -> Result<(), KeyError> {
    let fits = label.len() <= KeySlot::LABEL_LEN_MAX && !label.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(KeyError::Label) }
}

fn argon2id(passphrase: &Passphrase, salt: &[u8; 16], cost: PassphraseCost) -> Result<SecretBytes, KeyError> {
    let passphrase = passphrase.as_bytes()?;
    let PassphraseCost { memory_kib, passes, lanes } = cost;
    let params =
        Params::new(memory_kib, passes, lanes, Some(SecretBytes::LEN)).map_err(KeyError::Argon2id)?;

    // Our own memory: what the crate allocates itself it does not wipe, and without a way to fail
    // it aborts.
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(params.block_count())
        .map_err(|source| KeyError::OutOfMemory { memory_kib, source })?;
    memory.resize(params.block_count(), Block::new());
    let mut memory = Zeroizing::new(memory.into_boxed_slice());

    let mut secret = SecretBytes::zeros();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, secret.as_mut_bytes(), memory.as_mut())
        .map_err(KeyError::Argon2id)?;
    Ok(secret)
}

fn commitment(prk: &hkdf::Prk, id: DatabaseId) -> [u8; 32] {
    *derive::expand(prk, &[b"codexdb/1 slot commitment", id.as_bytes()])
}

/// Its nonce can be zero: the slot's random bytes make the key new for every slot.
fn wrapping_key(prk: &hkdf::Prk, id: DatabaseId) -> SingleUseKey {
    SingleUseKey::derive(prk, &[b"codexdb/1 slot wrap", id.as_bytes()])
}

fn seal_root(root: &RootKey, key: SingleUseKey, associated_data: &[u8]) -> [u8; WRAPPED_LEN] {
    let mut wrapped = [0; WRAPPED_LEN];
    let (root_key, tag) = wrapped.split_at_mut(SecretBytes::LEN);
    root_key.copy_from_slice(root.as_bytes());
    tag.copy_from_slice(&key.seal(associated_data, root_key).expect("AES-GCM seals 32 bytes"));
    wrapped
}

fn u32_at(bytes: &[u8; KeySlot::LEN], offset: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, offset))
}

fn array_at<const N: usize>(bytes: &[u8; KeySlot::LEN], offset: usize) -> [u8; N] {
    *bytes[offset..].first_chunk().expect("every field lies within the slot")
}

const EMPTY: u8 = 0;
const ENCRYPTION_KEY: u8 = 1;
const PASSPHRASE: u8 = 2;

const WRAPPED_LEN: usize = SecretBytes::LEN + SingleUseKey::TAG_LEN;

// Offsets of the fields, in bytes.
const KIND: usize = 0;
const MEMORY_KIB: usize = 4;
const PASSES: usize = 8;
const LANES: usize = 12;
const COST_END: usize = 16;
const ARGON2_SALT: usize = COST_END;
const RANDOM: usize = 32;
const COMMITMENT: usize = 64;
const WRAPPED: usize = 96;
const LABEL: usize = WRAPPED + WRAPPED_LEN;

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};

    use super::*;
    use crate::EncryptionKey;

    const ID: DatabaseId = DatabaseId::from_bytes([1; DatabaseId::LEN]);
    const OTHER_ID: DatabaseId = DatabaseId::from_bytes([2; DatabaseId::LEN]);
    const CHEAP: PassphraseCost = PassphraseCost::MINIMUM;

    fn encryption_key(byte: u8) -> Unlock {
        EncryptionKey::from_bytes([byte; 32]).into()
    }

    fn passphrase() -> Unlock {
        Unlock::passphrase("correct horse")
    }

    /// Decodes and unwraps, and says how that went.
    fn opened_bytes(bytes: &[u8; KeySlot::LEN], unlock: &Unlock) -> Opened {
        let opened = match KeySlot::decode(bytes) {
            Ok(Some(slot)) => slot.unwrap(unlock, ID),
            Ok(None) => return Opened::Empty,
            Err(error) => Err(error),
        };
        match opened {
            Ok(Some(root)) => Opened::Root(*root.as_bytes()),
            Ok(None) => Opened::NotByThis,
            Err(KeyError::SlotDamaged) => Opened::Damaged,
            Err(KeyError::ReservedNotZero) => Opened::ReservedNotZero,
            Err(KeyError::UnknownSlotKind { .. }) => Opened::UnknownKind,
            Err(KeyError::Label) => Opened::Label,
            Err(KeyError::CostOutOfBounds { .. }) => Opened::CostOutOfBounds,
            Err(error) => panic!("{error:?}"),
        }
    }

    #[derive(Debug, PartialEq)]
    enum Opened {
        Root([u8; 32]),
        Empty,
        NotByThis,
        Damaged,
        ReservedNotZero,
        UnknownKind,
        Label,
        CostOutOfBounds,
    }

    #[test]
    fn a_label_is_read_back_and_may_be_no_more_than_one_line_of_text() {
        let root = RootKey::generate().unwrap();
        let slot = KeySlot::wrap(&root, &encryption_key(1), ID, CHEAP).unwrap();
        assert_eq!(slot.label(), "");
        let longest = "é".repeat(KeySlot::LABEL_LEN_MAX / 2) + "e";
        assert_eq!(longest.len(), KeySlot::LABEL_LEN_MAX);
        for label in ["", "Ada's laptop", "größe", &longest] {
            let labelled = slot.clone().with_label(label).unwrap();
            let decoded = KeySlot::decode(&labelled.encode()).unwrap().unwrap();
            assert_eq!((decoded.label(), &decoded), (label, &labelled));
            let opened = decoded.unwrap(&encryption_key(1), ID).unwrap().unwrap();
            assert_eq!(opened.as_bytes(), root.as_bytes());
        }
        for label in [&(longest + "e"), "two\nlines", "\u{1b}[31m", "\u{9b}31m", "\0"] {
            let labelled = slot.clone().with_label(label);
            assert!(matches!(labelled, Err(KeyError::Label)), "{labelled:?}");
        }
    }

    #[test]
    fn decode_refuses_a_label_that_is_too_long_no_text_or_steers_a_terminal() {
        let root = RootKey::generate().unwrap();
        let bytes = KeySlot::wrap(&root, &encryption_key(1), ID, CHEAP).unwrap().encode();
        for label in [&b"\x70"[..], b"\xff", b"\x01\xff", b"\x02\xc3", b"\x01\x1b", b"\x02\xc2\x9b"] {
            let mut bytes = bytes;
            bytes[LABEL..LABEL + label.len()].copy_from_slice(label);
            assert_eq!(opened_bytes(&bytes, &encryption_key(1)), Opened::Label, "{label:?}");
        }
    }

    #[test]
    fn a_slot_opens_by_what_made_it() {
        let root = RootKey::generate().unwrap();
        for (unlock, kind) in
            [(encryption_key(1), SlotKind::EncryptionKey), (passphrase(), SlotKind::Passphrase)]
        {
            let slot = KeySlot::wrap(&root, &unlock, ID, CHEAP).unwrap();
            assert_eq!(slot.kind(), kind);
            let decoded = KeySlot::decode(&slot.encode()).unwrap().unwrap();
            assert_eq!(decoded, slot);
            let opened = decoded.unwrap(&unlock, ID).unwrap().unwrap();
            assert_eq!(opened.as_bytes(), root.as_bytes());
        }
    }

    #[test]
    fn a_slot_does_not_open_by_another_key_or_passphrase_or_for_another_database() {
        let root = RootKey::generate().unwrap();
        let by_key = KeySlot::wrap(&root, &encryption_key(1), ID, CHEAP).unwrap();
        let by_passphrase = KeySlot::wrap(&root, &passphrase(), ID, CHEAP).unwrap();
        for (slot, unlock, id) in [
            (&by_key, encryption_key(2), ID),
            (&by_key, passphrase(), ID),
            (&by_key, encryption_key(1), OTHER_ID),
            (&by_passphrase, Unlock::passphrase("correct horse "), ID),
            (&by_passphrase, Unlock::passphrase("Correct horse"), ID),
            (&by_passphrase, encryption_key(1), ID),
            (&by_passphrase, passphrase(), OTHER_ID),
        ] {
            let opened = slot.unwrap(&unlock, id);
            assert!(matches!(opened, Ok(None)), "{:?}, {id:?}: {opened:?}", slot.kind());
        }
    }

    /// The slot would ask for a gigabyte and 16 passes: a test that runs it does not end soon.
    #[test]
    fn an_encryption_key_does_not_run_argon2id() {
        let root = RootKey::generate().unwrap();
        let mut bytes = KeySlot::wrap(&root, &passphrase(), ID, CHEAP).unwrap().encode();
        let PassphraseCost { memory_kib, passes, lanes } = PassphraseCost::MAXIMUM;
        for (offset, value) in [(MEMORY_KIB, memory_kib), (PASSES, passes), (LANES, lanes)] {
            bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        for _ in 0..1000 {
            assert_eq!(opened_bytes(&bytes, &encryption_key(1)), Opened::NotByThis);
        }
    }

    #[test]
    fn an_empty_passphrase_neither_makes_nor_opens_a_slot() {
        let root = RootKey::generate().unwrap();
        let empty = Unlock::passphrase("");
        let made = KeySlot::wrap(&root, &empty, ID, CHEAP);
        assert!(matches!(made, Err(KeyError::EmptyPassphrase)), "{made:?}");
        for unlock in [encryption_key(1), passphrase()] {
            let slot = KeySlot::wrap(&root, &unlock, ID, CHEAP).unwrap();
            let opened = slot.unwrap(&empty, ID);
            assert!(matches!(opened, Err(KeyError::EmptyPassphrase)), "{opened:?}");
        }
    }

    #[test]
    fn two_slots_of_the_same_key_share_no_secret_part() {
        let root = RootKey::generate().unwrap();
        for unlock in [encryption_key(1), passphrase()] {
            let [one, other] = [(); 2].map(|()| KeySlot::wrap(&root, &unlock, ID, CHEAP).unwrap());
            assert_ne!(one.random, other.random);
            assert_ne!(one.commitment, other.commitment);
            assert_ne!(one.wrapped, other.wrapped);
        }
        let salts = [(); 2].map(|()| {
            let slot = KeySlot::wrap(&root, &passphrase(), ID, CHEAP).unwrap();
            slot.encode()[ARGON2_SALT..RANDOM].to_vec()
        });
        assert_ne!(salts[0], salts[1]);
    }

    #[test]
    fn a_flipped_byte_never_opens_a_key_slot() {
        let root = RootKey::generate().unwrap();
        let bytes = KeySlot::wrap(&root, &encryption_key(1), ID, CHEAP).unwrap().encode();
        assert_eq!(opened_bytes(&bytes, &encryption_key(1)), Opened::Root(*root.as_bytes()));
        for offset in 0..KeySlot::LEN {
            for flip in 1..=u8::MAX {
                let mut bytes = bytes;
                bytes[offset] ^= flip;
                let expected = match offset {
                    KIND if bytes[KIND] == EMPTY => Opened::ReservedNotZero,
                    KIND if bytes[KIND] == PASSPHRASE => Opened::CostOutOfBounds,
                    KIND => Opened::UnknownKind,
                    1..RANDOM => Opened::ReservedNotZero,
                    RANDOM..WRAPPED => Opened::NotByThis,
                    WRAPPED..LABEL => Opened::Damaged,
                    // Zeros are characters of a label, and none that it may have.
                    LABEL => Opened::Label,
                    _ => Opened::ReservedNotZero,
                };
                let opened = opened_bytes(&bytes, &encryption_key(1));
                assert_eq!(opened, expected, "byte {offset} flipped by {flip:#04x}");
            }
        }
    }

    #[test]
    fn a_flipped_byte_never_opens_a_passphrase_slot() {
        let root = RootKey::generate().unwrap();
        let bytes = KeySlot::wrap(&root, &passphrase(), ID, CHEAP).unwrap().encode();
        assert_eq!(opened_bytes(&bytes, &passphrase()), Opened::Root(*root.as_bytes()));
        for offset in 0..KeySlot::LEN {
            let mut bytes = bytes;
            bytes[offset] ^= 2;
            let expected = match offset {
                // The kind becomes 0, that of an empty slot.
                KIND..MEMORY_KIB => Opened::ReservedNotZero,
                // 8192 KiB and 2, 512 or 131,072 more; then one pass, or one lane, and 2 more.
                MEMORY_KIB..=6 | PASSES | LANES => Opened::NotByThis,
                7..COST_END => Opened::CostOutOfBounds,
                ARGON2_SALT..WRAPPED => Opened::NotByThis,
                WRAPPED..LABEL => Opened::Damaged,
                LABEL => Opened::Label,
                _ => Opened::ReservedNotZero,
            };
            let opened = opened_bytes(&bytes, &passphrase());
            assert_eq!(opened, expected, "byte {offset} flipped");
        }
    }

    /// Even where the slot's keys do not depend on those bytes.
    #[test]
    fn a_wrapped_root_key_is_bound_to_the_start_of_its_slot() {
        let root = RootKey::generate().unwrap();
        let unlock = encryption_key(1);
        let mut slot = KeySlot::wrap(&root, &unlock, ID, CHEAP).unwrap();
        let prk = derive::extract(&slot.random, &[1; 32]);
        slot.wrapped = seal_root(&root, wrapping_key(&prk, ID), &[0; COMMITMENT]);
        let opened = slot.unwrap(&unlock, ID);
        assert!(matches!(opened, Err(KeyError::SlotDamaged)), "{opened:?}");
    }

    #[test]
    fn a_lowered_cost_does_not_open_the_slot() {
        let root = RootKey::generate().unwrap();
        let cost = PassphraseCost::new(8 * 1024 + 8, 2, 2).unwrap();
        let bytes = KeySlot::wrap(&root, &passphrase(), ID, cost).unwrap().encode();
        assert_eq!(opened_bytes(&bytes, &passphrase()), Opened::Root(*root.as_bytes()));
        for (offset, lower) in [(MEMORY_KIB, 8 * 1024u32), (PASSES, 1), (LANES, 1)] {
            let mut bytes = bytes;
            bytes[offset..offset + 4].copy_from_slice(&lower.to_le_bytes());
            assert_eq!(opened_bytes(&bytes, &passphrase()), Opened::NotByThis, "at {offset}");
        }
    }

    #[test]
    fn costs_are_bounded_both_ways() {
        let PassphraseCost { memory_kib, passes, lanes } = PassphraseCost::MAXIMUM;
        for (cost, refused) in [
            ((8 * 1024, 1, 1), None),
            ((memory_kib, passes, lanes), None),
            ((8 * 1024 - 1, 1, 1), Some(("KiB", 8 * 1024 - 1))),
            ((8 * 1024, 0, 1), Some(("passes", 0))),
            ((8 * 1024, 1, 0), Some(("lanes", 0))),
            ((memory_kib + 1, passes, lanes), Some(("KiB", memory_kib + 1))),
            ((memory_kib, passes + 1, lanes), Some(("passes", passes + 1))),
            ((memory_kib, passes, lanes + 1), Some(("lanes", lanes + 1))),
            ((u32::MAX, u32::MAX, u32::MAX), Some(("KiB", u32::MAX))),
        ] {
            let made = PassphraseCost::new(cost.0, cost.1, cost.2);
            let got = match &made {
                Ok(made) => {
                    assert_eq!((made.memory_kib(), made.passes(), made.lanes()), cost);
                    None
                }
                Err(KeyError::CostOutOfBounds { parameter, got, .. }) => Some((*parameter, *got)),
                Err(error) => panic!("{error:?}"),
            };
            assert_eq!(got, refused, "{cost:?}");
        }
        assert_eq!(PassphraseCost::default(), PassphraseCost::RECOMMENDED);
        assert_eq!(PassphraseCost::new(65_536, 3, 4).unwrap(), PassphraseCost::RECOMMENDED);
    }

    /// Decoding alone refuses: nothing is left that Argon2id could be run with.
    #[test]
    fn decode_refuses_absurd_costs() {
        let root = RootKey::generate().unwrap();
        let bytes = KeySlot::wrap(&root, &passphrase(), ID, CHEAP).unwrap().encode();
        for offset in [MEMORY_KIB, PASSES, LANES] {
            for absurd in [0, u32::MAX] {
                let mut bytes = bytes;
                bytes[offset..offset + 4].copy_from_slice(&absurd.to_le_bytes());
                let decoded = KeySlot::decode(&bytes);
                assert!(
                    matches!(decoded, Err(KeyError::CostOutOfBounds { got, .. }) if got == absurd),
                    "{decoded:?}"
                );
            }
        }
    }

    #[test]
    fn decode_of_zeros_is_an_empty_slot() {
        assert_eq!(opened_bytes(&[0; KeySlot::LEN], &encryption_key(1)), Opened::Empty);
        for offset in 1..KeySlot::LEN {
            let mut bytes = [0; KeySlot::LEN];
            bytes[offset] = 1;
            assert_eq!(opened_bytes(&bytes, &encryption_key(1)), Opened::ReservedNotZero);
        }
    }

    #[test]
    fn debug_of_a_slot_shows_kind_and_cost_only() {
        let root = RootKey::generate().unwrap();
        let by_key = KeySlot::wrap(&root, &encryption_key(1), ID, CHEAP).unwrap();
        assert_eq!(format!("{by_key:?}"), "KeySlot { lock: EncryptionKey, .. }");
        let by_passphrase = KeySlot::wrap(&root, &passphrase(), ID, CHEAP).unwrap();
        assert_eq!(
            format!("{by_passphrase:?}"),
            "KeySlot { lock: Passphrase(PassphraseCost { memory_kib: 8192, passes: 1, lanes: 1 }), .. }"
        );
    }

    /// RFC 9106, section 5.3. Its secret and associated data are none of ours, and its memory is
    /// below our bounds, so that it runs past `argon2id` into the crate.
    #[test]
    fn argon2id_gives_the_tag_of_rfc_9106() {
        let mut params = ParamsBuilder::new();
        params.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&[4; 12]).unwrap());
        let params = params.build().unwrap();
        let mut memory = vec![Block::new(); params.block_count()];
        let mut tag = [0; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .unwrap()
            .hash_password_into_with_memory(&[1; 32], &[2; 16], &mut tag, &mut memory)
            .unwrap();
        assert_eq!(
            base16ct::lower::encode_string(&tag),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }
}
