//! Deriving keys with HKDF-SHA-256 (RFC 5869), and the keys of `ring` that come of it.
//!
//! The one place in this crate where an AES key is used to seal is [`SingleUseKey::seal`], which
//! consumes the key. Every such key is an HKDF output over 32 bytes that are random or derived from
//! random ones, so the nonce can be constant.

use std::hint;
use std::ops::Deref;

use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use crate::{OpenError, SealError};

/// HKDF-Extract: a key to derive others from.
pub(crate) fn extract(salt: &[u8], secret: &[u8]) -> RingKey<hkdf::Prk> {
    RingKey::new(hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret))
}

/// HKDF-Expand to 32 bytes. `info` is used as if it were one slice.
pub(crate) fn expand(prk: &hkdf::Prk, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut output = Zeroizing::new([0; 32]);
    prk.expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(output.as_mut_slice()))
        .expect("HKDF-SHA-256 yields up to 255 times 32 bytes");
    output
}

/// A key for HMAC-SHA-256 (RFC 2104), derived for that purpose alone.
pub(crate) fn hmac_key(prk: &hkdf::Prk, info: &[&[u8]]) -> RingKey<hmac::Key> {
    RingKey::new(hmac::Key::new(hmac::HMAC_SHA256, expand(prk, info).as_slice()))
}

/// An AES-256-GCM key (NIST SP 800-38D) for one message: a frame's payload, or a root key in its
/// slot.
///
/// Not `Clone`, and consumed by use, so that its key and nonce cannot meet twice.
pub(crate) struct SingleUseKey(aead::LessSafeKey);

impl SingleUseKey {
    pub(crate) const TAG_LEN: usize = 16;

    /// HKDF-Expand to an AES key. The caller sees to it that `prk` and `info` together are never
    /// used to seal again.
    pub(crate) fn derive(prk: &hkdf::Prk, info: &[&[u8]]) -> Self {
        Self::from_bytes(&expand(prk, info))
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let key =
            aead::UnboundKey::new(&aead::AES_256_GCM, bytes).expect("AES-256 takes every 32 bytes as a key");
        Self(aead::LessSafeKey::new(key))
    }

    /// Encrypts `payload` in place and returns its tag.
    pub(crate) fn seal(
        self,
        associated_data: &[u8],
        payload: &mut [u8],
    ) -> Result<[u8; Self::TAG_LEN], SealError> {
        let payload_len = payload.len();
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce_zero(), aead::Aad::from(associated_data), payload)
            // The one failure that `ring` names; its error holds nothing.
            .map_err(|_| SealError::PayloadTooLong { payload_len })?;
        Ok(tag.as_ref().try_into().expect("a tag of AES-GCM has 16 bytes"))
    }

    /// Decrypts in place; `sealed` is ciphertext, then tag. Returns the payload.
    pub(crate) fn open<'a>(
        self,
        associated_data: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let sealed_len = sealed.len();
        if sealed_len < Self::TAG_LEN {
            return Err(OpenError::TooShort { sealed_len, tag_len: Self::TAG_LEN });
        }
        self.0
            .open_in_place(nonce_zero(), aead::Aad::from(associated_data), sealed)
            .map_err(|_| OpenError::Authentication) // The error of `ring` holds nothing.
    }
}

fn nonce_zero() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

/// A long-lived key in a type of `ring`, which does not wipe itself.
///
/// It stays in one place on the heap and is overwritten when dropped. Without `unsafe` that is an
/// ordinary write, so `black_box` tells the compiler that somebody may still look; in practice it
/// keeps the write, but promises nothing.
pub(crate) struct RingKey<K: Blank>(Box<K>);

impl<K: Blank> RingKey<K> {
    fn new(key: K) -> Self {
        Self(Box::new(key))
    }
}

impl<K: Blank> Deref for RingKey<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K: Blank> Drop for RingKey<K> {
    fn drop(&mut self) {
        *self.0 = K::blank();
        hint::black_box(&mut *self.0);
    }
}

/// Keys for which there is one that is no secret.
pub(crate) trait Blank {
    /// The key made of zeros.
    fn blank() -> Self;
}

impl Blank for hkdf::Prk {
    fn blank() -> Self {
        Self::new_less_safe(hkdf::HKDF_SHA256, &[0; 32])
    }
}

impl Blank for hmac::Key {
    fn blank() -> Self {
        Self::new(hmac::HMAC_SHA256, &[0; 32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        base16ct::lower::decode_vec(text).unwrap()
    }

    /// RFC 5869, appendix A.1 and A.2; of their output the first 32 bytes, which do not depend on
    /// how many are asked for.
    #[test]
    fn extract_and_expand_give_the_output_of_rfc_5869() {
        let prk = extract(&hex("000102030405060708090a0b0c"), &[0x0B; 22]);
        assert_eq!(
            expand(&prk, &[&hex("f0f1f2f3f4f5f6f7f8f9")]).to_vec(),
            hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
        );

        let [secret, salt, info] =
            [0x00, 0x60, 0xB0].map(|from: u8| (from..=from + 0x4F).collect::<Vec<u8>>());
        assert_eq!(
            expand(&extract(&salt, &secret), &[&info]).to_vec(),
            hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c")
        );
    }

    #[test]
    fn expand_joins_the_parts_of_info() {
        let prk = extract(b"salt", b"secret");
        assert_eq!(expand(&prk, &[b"purpose", b"salt"]), expand(&prk, &[b"purposesalt"]));
        assert_ne!(expand(&prk, &[b"purpose"]), expand(&prk, &[b"purposesalt"]));
    }

    /// RFC 4231, test cases 2 and 6: a key shorter and one longer than a block.
    #[test]
    fn hmac_gives_the_codes_of_rfc_4231() {
        let code = |key: &[u8], data: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
        };
        assert_eq!(
            code(b"Jefe", b"what do ya want for nothing?"),
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
        assert_eq!(
            code(&[0xAA; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
        );
    }

    #[test]
    fn hmac_key_is_an_hkdf_output() {
        let prk = extract(b"salt", b"secret");
        let key = hmac::Key::new(hmac::HMAC_SHA256, expand(&prk, &[b"purpose"]).as_slice());
        assert_eq!(
            hmac::sign(&hmac_key(&prk, &[b"purpose"]), b"block").as_ref(),
            hmac::sign(&key, b"block").as_ref()
        );
    }

    /// The specification of Galois/Counter Mode (GCM) submitted to NIST, test cases 13 and 14:
    /// AES-256 with the nonce that is always ours.
    #[test]
    fn seal_gives_the_ciphertext_of_the_gcm_specification() {
        let mut nothing = [];
        let tag = SingleUseKey::from_bytes(&[0; 32]).seal(b"", &mut nothing).unwrap();
        assert_eq!(tag.to_vec(), hex("530f8afbc74536b9a963b4f1c4cb738b"));

        let mut payload = [0; 16];
        let tag = SingleUseKey::from_bytes(&[0; 32]).seal(b"", &mut payload).unwrap();
        assert_eq!(payload.to_vec(), hex("cea7403d4d606b6e074ec5d3baf39d18"));
        assert_eq!(tag.to_vec(), hex("d0d1c8a799996bf0265b98b5d48ab919"));
    }

    /// The same, test case 16: with associated data, and so with a nonce that only `ring` takes.
    #[test]
    fn ring_gives_the_ciphertext_of_the_gcm_specification() {
        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &key).unwrap());
        let nonce = aead::Nonce::try_assume_unique_for_key(&hex("cafebabefacedbaddecaf888"));
        let associated_data = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let mut payload = hex(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        ));
        let tag = key
            .seal_in_place_separate_tag(nonce.unwrap(), aead::Aad::from(&associated_data), &mut payload)
            .unwrap();
        assert_eq!(
            payload,
            hex(concat!(
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            ))
        );
        assert_eq!(tag.as_ref(), hex("76fc6ece0f4e1768cddf8853bb2d551b"));
    }

    #[test]
    fn open_names_input_that_is_shorter_than_a_tag() {
        for sealed_len in 0..SingleUseKey::TAG_LEN {
            let key = SingleUseKey::from_bytes(&[0; 32]);
            let error = OpenError::TooShort { sealed_len, tag_len: 16 };
            assert_eq!(key.open(b"", &mut vec![0; sealed_len]), Err(error));
        }
    }
}
