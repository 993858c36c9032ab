//! The original's encryption: AES-GCM with the key as it was given, a nonce in front and the tag behind.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::array::typenum::U12;
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, KeyInit};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// A key of 16, 24 or 32 bytes, as the original took it. It is wiped when it is dropped.
///
/// 32 hexadecimal digits are a key of 32 bytes, and may be one of 16 bytes written out: what decrypts is the key.
pub(crate) struct GoKey(Vec<Cipher>);

enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<AesGcm<Aes192, U12>>),
    Aes256(Box<Aes256Gcm>),
}

impl GoKey {
    /// The key in a file or a variable: its raw bytes or their hexadecimal digits, perhaps with the newline that an
    /// editor put behind them. `place` is where they stand.
    pub(crate) fn read(bytes: &[u8], place: &str) -> Result<Self, Failure> {
        let trimmed = bytes.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let of = |bytes: &[u8]| -> Vec<Cipher> {
            let digits = base16ct::mixed::decode_vec(bytes).map(Zeroizing::new);
            let written_out = digits.ok().and_then(|key| Cipher::new(&key));
            Cipher::new(bytes).into_iter().chain(written_out).collect()
        };
        let mut ciphers = of(bytes);
        if ciphers.is_empty() {
            ciphers = trimmed.map(of).unwrap_or_default();
        }
        if ciphers.is_empty() {
            return Err(Failure::validation(format!("{place} holds no key of the original program"))
                .hint("it is 16, 24 or 32 bytes, as they are or as hexadecimal digits"));
        }
        Ok(Self(ciphers))
    }

    /// Decrypts a message in place; the name of the cipher, or none, with the message as it was, if it does not
    /// authenticate.
    pub(super) fn open(&self, message: &mut Vec<u8>) -> Option<&'static str> {
        let sealed_len = message.len().checked_sub(NONCE_LEN + TAG_LEN)?;
        let (nonce, rest) = message.split_at_mut(NONCE_LEN);
        let (sealed, tag) = rest.split_at_mut(sealed_len);
        let (nonce, tag) = ((&*nonce).try_into().ok()?, (&*tag).try_into().ok()?);
        let cipher = self.0.iter().find(|cipher| {
            let opened = match cipher {
                Cipher::Aes128(cipher) => cipher.decrypt_inout_detached(nonce, b"", sealed.into(), tag),
                Cipher::Aes192(cipher) => cipher.decrypt_inout_detached(nonce, b"", sealed.into(), tag),
                Cipher::Aes256(cipher) => cipher.decrypt_inout_detached(nonce, b"", sealed.into(), tag),
            };
            opened.is_ok()
        })?;
        message.truncate(NONCE_LEN + sealed_len);
        message.drain(..NONCE_LEN);
        Some(cipher.name())
    }
}

impl Cipher {
    fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Some(Self::Aes128(Box::new(Aes128Gcm::new_from_slice(key).ok()?))),
            24 => Some(Self::Aes192(Box::new(AesGcm::new_from_slice(key).ok()?))),
            32 => Some(Self::Aes256(Box::new(Aes256Gcm::new_from_slice(key).ok()?))),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Aes128(_) => "AES-128-GCM",
            Self::Aes192(_) => "AES-192-GCM",
            Self::Aes256(_) => "AES-256-GCM",
        }
    }
}

impl std::fmt::Debug for GoKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("GoKey(…)")
    }
}

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Vec<&'static str> {
        GoKey::read(bytes, "the test").expect("a key").0.iter().map(Cipher::name).collect()
    }

    #[test]
    fn keys_are_raw_bytes_or_their_digits_with_or_without_a_newline() {
        for (digits, name) in [(24, "AES-192-GCM"), (32, "AES-256-GCM")] {
            let text = "aB".repeat(digits);
            assert_eq!(names(text.as_bytes()), [name]);
            assert_eq!(names(format!("{text}\r\n").as_bytes()), [name]);
        }
        assert_eq!(names(&[0; 16]), ["AES-128-GCM"]);
        assert_eq!(names(b"raw bytes, even\n"), ["AES-128-GCM"], "the newline is one of 16 bytes");
        assert_eq!(names(b"sixteen letters.\n"), ["AES-128-GCM"]);
        assert_eq!(names(&[b'\n'; 24]), ["AES-192-GCM"]);
    }

    #[test]
    fn digits_that_are_a_key_themselves_are_tried_as_both() {
        assert_eq!(names(b"0123456789abcdef0123456789abcdef"), ["AES-256-GCM", "AES-128-GCM"]);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for bytes in [&b""[..], b"s3cret", b"s3cret-s3cret-s3c\n\n", &[b'0'; 33], &[b'x'; 64]] {
            let failure = GoKey::read(bytes, "the test").expect_err("no key");
            assert!(failure.text().contains("16, 24 or 32 bytes"), "{}", failure.text());
            assert!(!failure.text().contains("s3cret"), "{}", failure.text());
        }
    }

    #[test]
    fn a_message_that_does_not_authenticate_stays_as_it_was() {
        let key = GoKey::read(&[7; 32], "the test").expect("a key");
        for len in [0, 27, 28, 100] {
            let mut message = vec![3; len];
            assert_eq!(key.open(&mut message), None);
            assert_eq!(message, vec![3; len]);
        }
    }
}
