//! SHA-256 (FIPS 180-4) and its result.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::Digest as _;
use subtle::ConstantTimeEq;

/// A SHA-256 digest, or an HMAC-SHA-256 code, which has the same size.
///
/// Equality takes the same time wherever two digests differ. A digest is not a secret, and `Debug`
/// and `Display` show it in lower-case hexadecimal.
#[derive(Clone, Copy)]
pub struct Digest([u8; Self::LEN]);

impl Digest {
    /// Length in bytes.
    pub const LEN: usize = 32;
    /// All zeros: stands where there is no digest to name.
    pub const ZERO: Self = Self([0; Self::LEN]);

    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The digest as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        base16ct::lower::encode_string(&self.0)
    }
}

/// SHA-256 over the parts one after the other, as if they were one slice.
///
/// Where parts end leaves no trace in the digest: at most one of them may have a length that is not
/// fixed by the format.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    /// The examples that NIST publishes for FIPS 180-4, and the empty message.
    const EXAMPLES: [(&[u8], &str); 3] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ];

    #[test]
    fn sha256_gives_the_published_digests() {
        for (message, digest) in EXAMPLES {
            assert_eq!(sha256(&[message]).to_hex(), digest);
        }
    }

    #[test]
    fn sha256_of_parts_is_that_of_the_whole() {
        for (message, digest) in EXAMPLES {
            for split in 0..=message.len() {
                let (start, end) = message.split_at(split);
                assert_eq!(sha256(&[start, &[], end]).to_hex(), digest, "split at {split}");
            }
        }
    }

    #[test]
    fn digests_that_differ_in_any_one_bit_are_not_equal() {
        let digest = sha256(&[b"abc"]);
        for bit in 0..Digest::LEN * 8 {
            let mut bytes = *digest.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Digest::from_bytes(bytes), digest, "bit {bit}");
        }
    }

    #[test]
    fn equal_digests_hash_alike() {
        let digests = HashSet::from([sha256(&[b"abc"]), sha256(&[b"a", b"bc"]), sha256(&[b"ab"])]);
        assert_eq!(digests.len(), 2);
    }

    #[test]
    fn debug_and_display_are_lower_case_hex() {
        let digest = Digest::from_bytes([0xAB; Digest::LEN]);
        assert_eq!(format!("{digest}"), "ab".repeat(Digest::LEN));
        assert_eq!(format!("{digest:?}"), "ab".repeat(Digest::LEN));
    }

    #[test]
    fn digests_spread_over_a_hash_table() {
        let state = std::hash::RandomState::new();
        let hashes: HashSet<_> =
            (0..=255).map(|byte| BuildHasher::hash_one(&state, Digest::from_bytes([byte; 32]))).collect();
        assert!(hashes.len() > 250);
    }
}
