//! Retired root keys: what an older part of a log was sealed under, wrapped under the root key of now.
//!
//! Layout and labels: `docs/file-format.md`, "Retired root keys".
//!
//! ```text
//! PRK          = HKDF-Extract(salt = the entry's random bytes, input = root key of now)
//! wrapping key = HKDF-Expand(PRK, "codexdb/1 retired key" ‖ database id); nonce zero
//! ```

use std::fmt;

use ring::hkdf;
use zeroize::Zeroizing;

use crate::derive::{self, SingleUseKey};
use crate::key::SecretBytes;
use crate::{DatabaseId, KeyError, RootKey, random};

/// A root key that seals nothing any more, wrapped under the one that does. Holds nothing that must be kept secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RetiredKey {
    until: u64,
    /// Makes the wrapping key this entry's own.
    random: [u8; 32],
    /// The root key encrypted, then the tag.
    wrapped: [u8; WRAPPED_LEN],
}

impl RetiredKey {
    /// Encoded length in bytes.
    pub const LEN: usize = WRAPPED + WRAPPED_LEN;

    /// Wraps `retired`, which sealed a log before the offset `until`, under `root`, for the database with this id.
    pub fn wrap(retired: &RootKey, until: u64, root: &RootKey, id: DatabaseId) -> Result<Self, KeyError> {
        let mut entry = Self { until, random: random::bytes()?, wrapped: [0; WRAPPED_LEN] };
        let (key, tag) = entry.wrapped.split_at_mut(SecretBytes::LEN);
        key.copy_from_slice(retired.as_bytes());
        let prk = derive::extract(&entry.random, root.as_bytes());
        let associated_data = associated_data(until, &entry.random);
        let sealed = wrapping_key(&prk, id).seal(&associated_data, key);
        tag.copy_from_slice(&sealed.expect("AES-GCM seals 32 bytes"));
        Ok(entry)
    }

    /// The retired key, by the root key that it was wrapped under.
    pub fn unwrap(&self, root: &RootKey, id: DatabaseId) -> Result<RootKey, KeyError> {
        let prk = derive::extract(&self.random, root.as_bytes());
        let mut sealed = Zeroizing::new(self.wrapped);
        let associated_data = associated_data(self.until, &self.random);
        let Ok(opened) = wrapping_key(&prk, id).open(&associated_data, sealed.as_mut_slice()) else {
            return Err(KeyError::RetiredKeyDamaged);
        };
        let mut retired = SecretBytes::zeros();
        retired.as_mut_bytes().copy_from_slice(opened);
        Ok(RootKey::from_secret(retired))
    }

    /// Where its successor begins to seal, in bytes from the start of the file.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.until
    }

    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..WRAPPED].copy_from_slice(&associated_data(self.until, &self.random));
        bytes[WRAPPED..].copy_from_slice(&self.wrapped);
        bytes
    }

    /// Reads an entry; `None` is an empty one, all zeros. Nothing of it is believed before [`RetiredKey::unwrap`].
    pub fn decode(bytes: &[u8; Self::LEN]) -> Option<Self> {
        if *bytes == [0; Self::LEN] {
            return None;
        }
        let [until, random, wrapped] = [0..RANDOM, RANDOM..WRAPPED, WRAPPED..Self::LEN].map(|at| &bytes[at]);
        Some(Self {
            until: u64::from_le_bytes(until.try_into().expect("eight bytes")),
            random: random.try_into().expect("32 bytes"),
            wrapped: wrapped.try_into().expect("48 bytes"),
        })
    }
}

impl fmt::Debug for RetiredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetiredKey").field("until", &self.until).finish_non_exhaustive()
    }
}

/// The entry up to the wrapped key.
fn associated_data(until: u64, random: &[u8; 32]) -> [u8; WRAPPED] {
    let mut bytes = [0; WRAPPED];
    bytes[..RANDOM].copy_from_slice(&until.to_le_bytes());
    bytes[RANDOM..].copy_from_slice(random);
    bytes
}

/// Its nonce can be zero: the entry's random bytes make the key new for every entry.
fn wrapping_key(prk: &hkdf::Prk, id: DatabaseId) -> SingleUseKey {
    SingleUseKey::derive(prk, &[b"codexdb/1 retired key", id.as_bytes()])
}

const WRAPPED_LEN: usize = SecretBytes::LEN + SingleUseKey::TAG_LEN;

// Offsets of the fields, in bytes.
const RANDOM: usize = 8;
const WRAPPED: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: DatabaseId = DatabaseId::from_bytes([1; DatabaseId::LEN]);

    #[test]
    fn a_retired_key_opens_under_the_root_key_and_for_the_database_that_it_was_wrapped_for() {
        let [retired, root, other] = [(); 3].map(|()| RootKey::generate().unwrap());
        let entry = RetiredKey::wrap(&retired, 9000, &root, ID).unwrap();
        let decoded = RetiredKey::decode(&entry.encode()).unwrap();
        assert_eq!((decoded.until(), &decoded), (9000, &entry));
        assert_eq!(decoded.unwrap(&root, ID).unwrap().as_bytes(), retired.as_bytes());
        for (root, id) in [(&other, ID), (&retired, ID), (&root, DatabaseId::from_bytes([2; 16]))] {
            let opened = decoded.unwrap(root, id);
            assert!(matches!(opened, Err(KeyError::RetiredKeyDamaged)), "{opened:?}");
        }
    }

    #[test]
    fn a_flipped_bit_never_opens_a_retired_key() {
        let [retired, root] = [(); 2].map(|()| RootKey::generate().unwrap());
        let bytes = RetiredKey::wrap(&retired, 9000, &root, ID).unwrap().encode();
        for bit in 0..RetiredKey::LEN * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let opened = RetiredKey::decode(&bytes).unwrap().unwrap(&root, ID);
            assert!(matches!(opened, Err(KeyError::RetiredKeyDamaged)), "bit {bit}: {opened:?}");
        }
    }

    #[test]
    fn a_key_that_is_wrapped_twice_shares_no_secret_part() {
        let [retired, root] = [(); 2].map(|()| RootKey::generate().unwrap());
        let [one, other] = [(); 2].map(|()| RetiredKey::wrap(&retired, 9000, &root, ID).unwrap());
        assert_ne!(one.random, other.random);
        assert_ne!(one.wrapped, other.wrapped);
        assert_eq!(format!("{one:?}"), "RetiredKey { until: 9000, .. }");
    }

    #[test]
    fn zeros_are_no_entry() {
        assert_eq!(RetiredKey::decode(&[0; RetiredKey::LEN]), None);
    }
}
