//! The keys that a caller holds, and the database id they are bound to.
//!
//! A database has one random [`RootKey`], from which all its other keys are derived. It is stored
//! only wrapped, in a [`KeySlot`](crate::KeySlot), and what opens a slot is an [`Unlock`]: an
//! [`EncryptionKey`] or a [`Passphrase`]. So either can be changed without sealing any data anew.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::{KeyError, RandomError, random};

/// A 256-bit key that unlocks a database. Wiped when dropped.
///
/// ```
/// use codex_crypto::EncryptionKey;
///
/// # fn main() -> Result<(), codex_crypto::KeyError> {
/// let key = EncryptionKey::generate()?;
/// let kept = key.to_hex(); // 64 digits, wiped when dropped
/// let same = EncryptionKey::from_hex(&kept)?;
/// assert_eq!(same.to_hex(), kept);
/// # Ok(())
/// # }
/// ```
pub struct EncryptionKey(SecretBytes);

impl EncryptionKey {
    /// A new random key.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(SecretBytes::random()?))
    }

    /// The key with these bytes. They must be as good as random; for text that a person chose there
    /// is [`Passphrase`]. The array passed is a copy of the caller's, who wipes the original.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let mut key = SecretBytes::zeros();
        key.as_mut_bytes().copy_from_slice(&bytes);
        bytes.zeroize();
        Self(key)
    }

    /// The key written as exactly 64 hexadecimal digits, in either case. Takes the same time for
    /// all digits.
    pub fn from_hex(hex: &str) -> Result<Self, KeyError> {
        let mut key = SecretBytes::zeros();
        match base16ct::mixed::decode(hex, key.as_mut_bytes()) {
            Ok(decoded) if decoded.len() == SecretBytes::LEN => Ok(Self(key)),
            // The error of `base16ct` says no more, and the text may be almost a key.
            _ => Err(KeyError::Hex),
        }
    }

    /// The key as 64 lower-case hexadecimal digits: for showing a new key to the person who is to
    /// keep it, and nothing else.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(base16ct::lower::encode_string(self.as_bytes()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SecretBytes::LEN] {
        self.0.as_bytes()
    }
}

/// Text that a person chose to unlock a database. Wiped when dropped.
///
/// Its UTF-8 bytes are used as they are: nothing is trimmed, and two ways of writing one accented
/// letter differ.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase. A `String` is taken over without a copy and wiped later; a `&str` is copied,
    /// and its owner wipes it.
    pub fn new(passphrase: impl Into<String>) -> Self {
        Self(Zeroizing::new(passphrase.into()))
    }

    /// The bytes, unless there are none.
    pub(crate) fn as_bytes(&self) -> Result<&[u8], KeyError> {
        if self.0.is_empty() { Err(KeyError::EmptyPassphrase) } else { Ok(self.0.as_bytes()) }
    }
}

/// What opens a key slot.
///
/// ```
/// use codex_crypto::{EncryptionKey, Unlock};
///
/// # fn main() -> Result<(), codex_crypto::KeyError> {
/// let for_people = Unlock::passphrase("correct horse battery staple");
/// let for_machines = Unlock::from(EncryptionKey::generate()?);
/// assert!(matches!((for_people, for_machines), (Unlock::Passphrase(_), Unlock::EncryptionKey(_))));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Unlock {
    /// Opens slots made for an encryption key.
    EncryptionKey(EncryptionKey),
    /// Opens slots made for a passphrase, at the cost recorded in the slot.
    Passphrase(Passphrase),
}

impl Unlock {
    /// Short for [`Unlock::Passphrase`] of [`Passphrase::new`].
    pub fn passphrase(passphrase: impl Into<String>) -> Self {
        Self::Passphrase(Passphrase::new(passphrase))
    }
}

impl From<EncryptionKey> for Unlock {
    fn from(key: EncryptionKey) -> Self {
        Self::EncryptionKey(key)
    }
}

impl From<Passphrase> for Unlock {
    fn from(passphrase: Passphrase) -> Self {
        Self::Passphrase(passphrase)
    }
}

/// The random 256-bit key from which all other keys of a database are derived. Wiped when dropped.
pub struct RootKey(SecretBytes);

impl RootKey {
    /// A new random key.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(SecretBytes::random()?))
    }

    pub(crate) fn from_secret(bytes: SecretBytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SecretBytes::LEN] {
        self.0.as_bytes()
    }
}

/// 16 random bytes that name a database, from its creation on and in all its copies. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DatabaseId([u8; Self::LEN]);

impl DatabaseId {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// A new id.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self(random::bytes()?))
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(redacted)")
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(redacted)")
    }
}

/// 32 secret bytes on the heap, so that moving their owner leaves no copy of them behind. Wiped
/// when dropped.
pub(crate) struct SecretBytes(Box<Zeroizing<[u8; Self::LEN]>>);

impl SecretBytes {
    pub(crate) const LEN: usize = 32;

    /// Zeros, to be filled in place.
    pub(crate) fn zeros() -> Self {
        Self(Box::new(Zeroizing::new([0; Self::LEN])))
    }

    pub(crate) fn random() -> Result<Self, RandomError> {
        let mut secret = Self::zeros();
        random::fill(secret.as_mut_bytes())?;
        Ok(secret)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8; Self::LEN] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";
    const HEX: &str = "3031323334353637383961626364656630313233343536373839414243444546";

    #[test]
    fn generated_keys_and_ids_differ() {
        let keys = [EncryptionKey::generate().unwrap(), EncryptionKey::generate().unwrap()];
        assert_ne!(keys[0].as_bytes(), keys[1].as_bytes());
        let roots = [RootKey::generate().unwrap(), RootKey::generate().unwrap()];
        assert_ne!(roots[0].as_bytes(), roots[1].as_bytes());
        assert_ne!(DatabaseId::generate().unwrap(), DatabaseId::generate().unwrap());
    }

    #[test]
    fn hex_of_a_key_reads_back_in_either_case() {
        let key = EncryptionKey::from_bytes(BYTES);
        assert_eq!(*key.to_hex(), HEX);
        for text in [HEX, &HEX.to_uppercase()] {
            assert_eq!(EncryptionKey::from_hex(text).unwrap().as_bytes(), &BYTES);
        }
    }

    #[test]
    fn from_hex_takes_64_digits_only_and_never_shows_them() {
        let short = &HEX[..62];
        let odd = &HEX[..63];
        let long = format!("{HEX}00");
        let spaced = format!(" {}", &HEX[..63]);
        let not_hex = format!("{}g", &HEX[..63]);
        let two_byte_letter = format!("{}é", &HEX[..62]);
        for text in ["", short, odd, &long, &spaced, &not_hex, &two_byte_letter] {
            let error = EncryptionKey::from_hex(text).unwrap_err();
            assert!(matches!(error, KeyError::Hex), "{text}: {error:?}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("3031"), "{shown}");
        }
    }

    #[test]
    fn passphrase_is_its_utf8_bytes() {
        assert_eq!(Passphrase::new(" pässword\n").as_bytes().unwrap(), " pässword\n".as_bytes());
        assert!(matches!(Passphrase::new("").as_bytes(), Err(KeyError::EmptyPassphrase)));
    }

    #[test]
    fn debug_of_secrets_shows_nothing_of_them() {
        let key = || EncryptionKey::from_bytes(BYTES);
        let mut secret = SecretBytes::zeros();
        secret.as_mut_bytes().copy_from_slice(&BYTES);
        let passphrase = "0123456789abcdef";
        let shown = [
            format!("{:?} {:#?}", key(), key()),
            format!("{:?} {:#?}", Unlock::from(key()), Unlock::from(key())),
            format!("{:?}", Passphrase::new(passphrase)),
            format!("{:#?}", Unlock::passphrase(passphrase)),
            format!("{:?}", RootKey::from_secret(secret)),
        ]
        .join("\n");
        // As text, as hexadecimal, and as Rust shows a slice of bytes.
        for leak in ["0123", "abcd", "3031", "30, 31", "48, 49", "48,\n"] {
            assert!(!shown.contains(leak), "{leak:?} is in: {shown}");
        }
        assert_eq!(shown.matches("redacted").count(), 7, "{shown}");
    }

    #[test]
    fn debug_of_an_id_is_hex() {
        let id = DatabaseId::from_bytes([0xA5; 16]);
        assert_eq!(format!("{id:?}"), "a5".repeat(16));
    }
}
