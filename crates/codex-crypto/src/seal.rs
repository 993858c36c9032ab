//! Sealing frames: the trait, AES-256-GCM behind it, and SHA-256 for databases without a key.
//!
//! Layouts and labels: `docs/file-format.md`, "Sealing". For an encrypted database:
//!
//! ```text
//! PRK        = HKDF-Extract(salt = database id, input = root key)
//! frame key  = HKDF-Expand(PRK, purpose ‖ salt)      seals one frame, nonce zero
//! salt key   = HKDF-Expand(PRK, "codexdb/1 frame salt")
//! salt       = HMAC(salt key, 32 random bytes ‖ frame header)
//! header key = HKDF-Expand(PRK, "codexdb/1 header")  authenticates the file header
//! ```
//!
//! What the caller must do: take a fresh salt for every frame, also when the same frame is written
//! a second time, and pass as associated data the whole frame header, salt included.

use std::fmt;

use ring::{hkdf, hmac};

use crate::derive::{self, RingKey, SingleUseKey};
use crate::{DatabaseId, Digest, OpenError, RootKey, SealError, random, sha256};

/// Seals and opens the frames of one database, and authenticates its header.
pub trait Sealer: fmt::Debug + Send + Sync {
    /// The cipher suite, as the file header names it.
    fn suite(&self) -> Suite;

    /// Bytes that sealing adds to a payload.
    fn tag_len(&self) -> usize;

    /// A salt that no frame had before. `header` is the frame's header without salt and checksum.
    ///
    /// Random bytes alone would do. The header is mixed in so that, should the system give the same
    /// bytes twice, frames that differ in any field still get keys that differ.
    fn fresh_salt(&self, header: &[u8]) -> Result<Salt, SealError>;

    /// Seals `buffer[payload_start..]` in place and appends the tag.
    ///
    /// `salt` comes from [`fresh_salt`](Self::fresh_salt) and seals this one payload: with
    /// AES-256-GCM, two payloads sealed under one salt and purpose give away both. On error the
    /// buffer is as it was.
    fn seal(
        &self,
        purpose: Purpose,
        salt: &Salt,
        associated_data: &[u8],
        buffer: &mut Vec<u8>,
        payload_start: usize,
    ) -> Result<(), SealError>;

    /// Opens in place what [`seal`](Self::seal) made, payload then tag, and returns the payload.
    ///
    /// On error the content of `sealed` is unspecified and must not be used.
    fn open<'a>(
        &self,
        purpose: Purpose,
        salt: &Salt,
        associated_data: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError>;

    /// Authentication code over a block of the file header: HMAC-SHA-256 under a key of its own, or
    /// without a key SHA-256, which notices damage but no intent.
    fn authenticate(&self, block: &[u8]) -> Digest;

    /// Checks, in constant time, that `code` is the authentication code over `block`.
    fn verify(&self, block: &[u8], code: &Digest) -> Result<(), OpenError> {
        if self.authenticate(block) == *code { Ok(()) } else { Err(OpenError::Authentication) }
    }
}

/// The algorithms that seal a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// SHA-256 tags, no encryption.
    Plaintext = 0,
    /// AES-256-GCM under keys derived by HKDF-SHA-256; the header under HMAC-SHA-256.
    Aes256Gcm = 1,
}

impl Suite {
    /// The suite's number in the file header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Plaintext => 0,
            Self::Aes256Gcm => 1,
        }
    }

    /// Bytes that sealing adds to a payload.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Plaintext => Digest::LEN,
            Self::Aes256Gcm => SingleUseKey::TAG_LEN,
        }
    }

    /// The suite with this number, if there is one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Plaintext),
            1 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }
}

/// What a frame is for. A frame sealed for one purpose does not open for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A frame of the log.
    LogFrame,
    /// A frame of a checkpoint.
    CheckpointFrame,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::LogFrame => b"codexdb/1 log frame",
            Self::CheckpointFrame => b"codexdb/1 checkpoint frame",
        }
    }
}

/// What makes a frame's key its own. Stored in the frame's header; not a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; Self::LEN]);

impl Salt {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The salt with these bytes, as a frame's header holds them. A new frame gets its salt from
    /// [`Sealer::fresh_salt`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the salt.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base16ct::lower::encode_string(&self.0))
    }
}

/// Seals with AES-256-GCM, each frame under a key of its own.
pub struct Aes256GcmSealer {
    /// Frame keys are expanded from this.
    prk: RingKey<hkdf::Prk>,
    salt_key: RingKey<hmac::Key>,
    header_key: RingKey<hmac::Key>,
}

impl Aes256GcmSealer {
    /// The sealer of the database with this root key and id. The root key may be dropped.
    #[must_use]
    pub fn new(root: &RootKey, id: DatabaseId) -> Self {
        let prk = derive::extract(id.as_bytes(), root.as_bytes());
        let salt_key = derive::hmac_key(&prk, &[FRAME_SALT_LABEL]);
        let header_key = derive::hmac_key(&prk, &[HEADER_LABEL]);
        Self { prk, salt_key, header_key }
    }

    fn frame_key(&self, purpose: Purpose, salt: &Salt) -> SingleUseKey {
        SingleUseKey::derive(&self.prk, &[purpose.label(), salt.as_bytes()])
    }

    fn salt_from(&self, random: &[u8; Salt::LEN], header: &[u8]) -> Salt {
        let mut context = hmac::Context::with_key(&self.salt_key);
        context.update(random);
        context.update(header);
        Salt(code_bytes(context.sign()))
    }
}

impl Sealer for Aes256GcmSealer {
    fn suite(&self) -> Suite {
        Suite::Aes256Gcm
    }

    fn tag_len(&self) -> usize {
        SingleUseKey::TAG_LEN
    }

    fn fresh_salt(&self, header: &[u8]) -> Result<Salt, SealError> {
        Ok(self.salt_from(&random::bytes()?, header))
    }

    fn seal(
        &self,
        purpose: Purpose,
        salt: &Salt,
        associated_data: &[u8],
        buffer: &mut Vec<u8>,
        payload_start: usize,
    ) -> Result<(), SealError> {
        let payload = payload_of(buffer, payload_start)?;
        let tag = self.frame_key(purpose, salt).seal(associated_data, payload)?;
        // Only now may the buffer move as it grows: what a move leaves behind is ciphertext.
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    fn open<'a>(
        &self,
        purpose: Purpose,
        salt: &Salt,
        associated_data: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        self.frame_key(purpose, salt).open(associated_data, sealed)
    }

    fn authenticate(&self, block: &[u8]) -> Digest {
        Digest::from_bytes(code_bytes(hmac::sign(&self.header_key, block)))
    }
}

impl fmt::Debug for Aes256GcmSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aes256GcmSealer(redacted)")
    }
}

/// Seals without a key: a SHA-256 tag that notices damage. It hides nothing, and anyone can compute
/// it.
///
/// The tag does not say where the associated data ends and the payload begins: the caller's format
/// must fix the length of one of them.
#[derive(Clone, Copy, Debug)]
pub struct PlaintextSealer {
    id: DatabaseId,
}

impl PlaintextSealer {
    /// The sealer of the database with this id.
    #[must_use]
    pub fn new(id: DatabaseId) -> Self {
        Self { id }
    }

    fn tag(self, purpose: Purpose, associated_data: &[u8], payload: &[u8]) -> Digest {
        sha256(&[purpose.label(), self.id.as_bytes(), associated_data, payload])
    }
}

impl Sealer for PlaintextSealer {
    fn suite(&self) -> Suite {
        Suite::Plaintext
    }

    fn tag_len(&self) -> usize {
        Digest::LEN
    }

    /// Random bytes as they are: without a key there is nothing to keep apart.
    fn fresh_salt(&self, _header: &[u8]) -> Result<Salt, SealError> {
        Ok(Salt(random::bytes()?))
    }

    /// The salt counts only as a part of the associated data.
    fn seal(
        &self,
        purpose: Purpose,
        _salt: &Salt,
        associated_data: &[u8],
        buffer: &mut Vec<u8>,
        payload_start: usize,
    ) -> Result<(), SealError> {
        let tag = self.tag(purpose, associated_data, payload_of(buffer, payload_start)?);
        buffer.extend_from_slice(tag.as_bytes());
        Ok(())
    }

    fn open<'a>(
        &self,
        purpose: Purpose,
        _salt: &Salt,
        associated_data: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let sealed_len = sealed.len();
        let (payload, tag) =
            sealed.split_last_chunk_mut().ok_or(OpenError::TooShort { sealed_len, tag_len: Digest::LEN })?;
        if self.tag(purpose, associated_data, payload) == Digest::from_bytes(*tag) {
            Ok(payload)
        } else {
            Err(OpenError::Authentication)
        }
    }

    fn authenticate(&self, block: &[u8]) -> Digest {
        sha256(&[HEADER_LABEL, self.id.as_bytes(), block])
    }
}

fn payload_of(buffer: &mut [u8], payload_start: usize) -> Result<&mut [u8], SealError> {
    let buffer_len = buffer.len();
    buffer.get_mut(payload_start..).ok_or(SealError::PayloadStart { payload_start, buffer_len })
}

fn code_bytes(code: hmac::Tag) -> [u8; Digest::LEN] {
    code.as_ref().try_into().expect("HMAC-SHA-256 yields 32 bytes")
}

// No label is the beginning of another, so that what follows one cannot be read as the rest of a
// longer one.
const FRAME_SALT_LABEL: &[u8] = b"codexdb/1 frame salt";
const HEADER_LABEL: &[u8] = b"codexdb/1 header";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::key::SecretBytes;

    const HEADER: &[u8] = b"the frame's header";
    const PAYLOAD: &[u8] = b"the frame's payload";
    const PURPOSES: [Purpose; 2] = [Purpose::LogFrame, Purpose::CheckpointFrame];

    fn id(byte: u8) -> DatabaseId {
        DatabaseId::from_bytes([byte; DatabaseId::LEN])
    }

    /// One sealer of each suite.
    fn sealers() -> [Box<dyn Sealer>; 2] {
        let root = RootKey::generate().unwrap();
        [Box::new(Aes256GcmSealer::new(&root, id(1))), Box::new(PlaintextSealer::new(id(1)))]
    }

    fn seal(sealer: &dyn Sealer, purpose: Purpose, salt: &Salt, payload: &[u8]) -> Vec<u8> {
        let mut frame = payload.to_vec();
        sealer.seal(purpose, salt, HEADER, &mut frame, 0).unwrap();
        frame
    }

    fn open(
        sealer: &dyn Sealer,
        purpose: Purpose,
        salt: &Salt,
        header: &[u8],
        frame: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        sealer.open(purpose, salt, header, &mut frame.to_vec()).map(|payload| payload.to_vec())
    }

    /// `N` bytes that count up from `start`.
    fn count<const N: usize>(start: u8) -> [u8; N] {
        std::array::from_fn(|index| start + u8::try_from(index).unwrap())
    }

    /// `bytes` once for each of its bits, with that bit flipped.
    fn flipped(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
        (0..bytes.len() * 8).map(|bit| {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            (bit, flipped)
        })
    }

    #[test]
    fn opening_gives_back_what_was_sealed() {
        for sealer in sealers() {
            for len in [0, 1, 15, 16, 17, 1000, 1 << 20] {
                let payload: Vec<u8> = (0..=255).cycle().take(len).collect();
                let salt = sealer.fresh_salt(HEADER).unwrap();
                let frame = seal(&*sealer, Purpose::LogFrame, &salt, &payload);
                assert_eq!(frame.len(), len + sealer.tag_len());
                let opened = open(&*sealer, Purpose::LogFrame, &salt, HEADER, &frame);
                assert!(opened == Ok(payload), "{sealer:?}, {len} bytes");
            }
        }
    }

    #[test]
    fn seal_leaves_the_bytes_before_the_payload_alone() {
        for sealer in sealers() {
            let salt = sealer.fresh_salt(HEADER).unwrap();
            let mut buffer = [HEADER, PAYLOAD].concat();
            sealer.seal(Purpose::LogFrame, &salt, HEADER, &mut buffer, HEADER.len()).unwrap();
            let (header, frame) = buffer.split_at(HEADER.len());
            assert_eq!(header, HEADER);
            assert_eq!(frame, seal(&*sealer, Purpose::LogFrame, &salt, PAYLOAD));
        }
    }

    #[test]
    fn seal_refuses_a_payload_that_starts_behind_the_buffer() {
        for sealer in sealers() {
            let salt = sealer.fresh_salt(HEADER).unwrap();
            let mut buffer = PAYLOAD.to_vec();
            let start = PAYLOAD.len() + 1;
            let error = sealer.seal(Purpose::LogFrame, &salt, HEADER, &mut buffer, start);
            assert!(
                matches!(
                    error,
                    Err(SealError::PayloadStart { payload_start, buffer_len })
                        if (payload_start, buffer_len) == (start, PAYLOAD.len())
                ),
                "{error:?}"
            );
            assert_eq!(buffer, PAYLOAD);
        }
    }

    #[test]
    fn any_flipped_bit_of_header_payload_or_tag_does_not_authenticate() {
        for sealer in sealers() {
            for purpose in PURPOSES {
                let salt = sealer.fresh_salt(HEADER).unwrap();
                let frame = seal(&*sealer, purpose, &salt, PAYLOAD);
                for (bit, frame) in flipped(&frame) {
                    let opened = open(&*sealer, purpose, &salt, HEADER, &frame);
                    assert_eq!(opened, Err(OpenError::Authentication), "bit {bit}, {sealer:?}");
                }
                for (bit, header) in flipped(HEADER) {
                    let opened = open(&*sealer, purpose, &salt, &header, &frame);
                    assert_eq!(opened, Err(OpenError::Authentication), "bit {bit}, {sealer:?}");
                }
            }
        }
    }

    #[test]
    fn cut_or_lengthened_payloads_do_not_authenticate() {
        for sealer in sealers() {
            let tag_len = sealer.tag_len();
            let salt = sealer.fresh_salt(HEADER).unwrap();
            let mut frame = seal(&*sealer, Purpose::LogFrame, &salt, PAYLOAD);
            for sealed_len in 0..frame.len() {
                let expected = if sealed_len < tag_len {
                    OpenError::TooShort { sealed_len, tag_len }
                } else {
                    OpenError::Authentication
                };
                let cut = &frame[..sealed_len];
                let opened = open(&*sealer, Purpose::LogFrame, &salt, HEADER, cut);
                assert_eq!(opened, Err(expected), "{sealed_len} bytes, {sealer:?}");
            }
            frame.push(0);
            let opened = open(&*sealer, Purpose::LogFrame, &salt, HEADER, &frame);
            assert_eq!(opened, Err(OpenError::Authentication));
        }
    }

    #[test]
    fn a_frame_opens_for_its_own_purpose_only() {
        for sealer in sealers() {
            let salt = sealer.fresh_salt(HEADER).unwrap();
            for sealed_for in PURPOSES {
                let frame = seal(&*sealer, sealed_for, &salt, PAYLOAD);
                for opened_for in PURPOSES {
                    let expected = if sealed_for == opened_for {
                        Ok(PAYLOAD.to_vec())
                    } else {
                        Err(OpenError::Authentication)
                    };
                    assert_eq!(open(&*sealer, opened_for, &salt, HEADER, &frame), expected);
                }
            }
        }
    }

    #[test]
    fn a_frame_does_not_open_in_another_database() {
        let root = RootKey::generate().unwrap();
        let pairs: [[Box<dyn Sealer>; 2]; 2] = [
            [id(1), id(2)].map(|id| Box::new(Aes256GcmSealer::new(&root, id)) as _),
            [id(1), id(2)].map(|id| Box::new(PlaintextSealer::new(id)) as _),
        ];
        for [one, other] in pairs {
            let salt = one.fresh_salt(HEADER).unwrap();
            let frame = seal(&*one, Purpose::LogFrame, &salt, PAYLOAD);
            let opened = open(&*other, Purpose::LogFrame, &salt, HEADER, &frame);
            assert_eq!(opened, Err(OpenError::Authentication));
            let code = one.authenticate(HEADER);
            assert_eq!(other.verify(HEADER, &code), Err(OpenError::Authentication));
        }
    }

    #[test]
    fn an_encrypted_frame_opens_only_under_its_root_key_and_salt() {
        let [sealer, other] = [(); 2].map(|()| Aes256GcmSealer::new(&RootKey::generate().unwrap(), id(1)));
        let salt = sealer.fresh_salt(HEADER).unwrap();
        let frame = seal(&sealer, Purpose::LogFrame, &salt, PAYLOAD);
        let opened = open(&other, Purpose::LogFrame, &salt, HEADER, &frame);
        assert_eq!(opened, Err(OpenError::Authentication));
        for (bit, bytes) in flipped(salt.as_bytes()) {
            let salt = Salt::from_bytes(bytes.try_into().unwrap());
            let opened = open(&sealer, Purpose::LogFrame, &salt, HEADER, &frame);
            assert_eq!(opened, Err(OpenError::Authentication), "bit {bit}");
        }
    }

    #[test]
    fn encryption_leaves_no_piece_of_the_payload() {
        let sealer = Aes256GcmSealer::new(&RootKey::generate().unwrap(), id(1));
        let salt = sealer.fresh_salt(HEADER).unwrap();
        let frame = seal(&sealer, Purpose::LogFrame, &salt, PAYLOAD);
        for piece in PAYLOAD.windows(5) {
            assert!(!frame.windows(5).any(|found| found == piece));
        }
    }

    /// Header and payload unchanged, as after a crash, or in a copy that goes on.
    #[test]
    fn the_same_frame_sealed_again_has_another_salt_and_ciphertext() {
        let sealer = Aes256GcmSealer::new(&RootKey::generate().unwrap(), id(1));
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let salt = sealer.fresh_salt(HEADER).unwrap();
            let frame = seal(&sealer, Purpose::LogFrame, &salt, PAYLOAD);
            assert!(seen.insert(*salt.as_bytes()));
            assert!(seen.insert(*frame.first_chunk().unwrap()));
        }
    }

    #[test]
    fn salts_differ_by_header_and_root_key_should_the_system_repeat_its_random_bytes() {
        let random = [7; Salt::LEN];
        let [sealer, other] = [(); 2].map(|()| Aes256GcmSealer::new(&RootKey::generate().unwrap(), id(1)));
        let salt = sealer.salt_from(&random, HEADER);
        assert_eq!(salt, sealer.salt_from(&random, HEADER));
        assert_ne!(salt, other.salt_from(&random, HEADER));
        for (bit, header) in flipped(HEADER) {
            assert_ne!(salt, sealer.salt_from(&random, &header), "bit {bit}");
        }
        // Without a key the salt is the random bytes; nothing is sealed under it.
        let plaintext = PlaintextSealer::new(id(1));
        assert_ne!(plaintext.fresh_salt(HEADER).unwrap(), plaintext.fresh_salt(HEADER).unwrap());
    }

    /// Computed by `tests/vectors/generate.py`; the other vectors are in `tests/vectors.rs`.
    #[test]
    fn salt_is_an_hmac_under_a_key_of_its_own() {
        let mut root = SecretBytes::zeros();
        root.as_mut_bytes().copy_from_slice(&count::<32>(0x00));
        let id = DatabaseId::from_bytes(count(0x20));
        let sealer = Aes256GcmSealer::new(&RootKey::from_secret(root), id);
        assert_eq!(
            format!("{:?}", sealer.salt_from(&count(0x50), HEADER)),
            "e9893aa38061a4b9019cd8e222ca22feb002b00105640e1a57ea9b26b486fc47"
        );
    }

    #[test]
    fn authentication_codes_are_for_their_block_only() {
        for sealer in sealers() {
            let code = sealer.authenticate(HEADER);
            assert_eq!(sealer.verify(HEADER, &code), Ok(()));
            for (bit, block) in flipped(HEADER) {
                let verified = sealer.verify(&block, &code);
                assert_eq!(verified, Err(OpenError::Authentication), "bit {bit}, {sealer:?}");
            }
            for (bit, code) in flipped(code.as_bytes()) {
                let code = Digest::from_bytes(code.try_into().unwrap());
                let verified = sealer.verify(HEADER, &code);
                assert_eq!(verified, Err(OpenError::Authentication), "bit {bit}, {sealer:?}");
            }
        }
    }

    #[test]
    fn no_label_is_the_beginning_of_another() {
        let [log, checkpoint] = PURPOSES.map(Purpose::label);
        let labels = [log, checkpoint, FRAME_SALT_LABEL, HEADER_LABEL];
        for (index, label) in labels.iter().enumerate() {
            for (other_index, other) in labels.iter().enumerate() {
                assert!(index == other_index || !other.starts_with(label));
            }
        }
    }

    #[test]
    fn suite_codes_read_back_and_others_are_unknown() {
        for suite in [Suite::Plaintext, Suite::Aes256Gcm] {
            assert_eq!(Suite::from_code(suite.code()), Some(suite));
        }
        assert_eq!(sealers().map(|sealer| sealer.suite().code()), [1, 0]);
        for code in 2..=u8::MAX {
            assert_eq!(Suite::from_code(code), None);
        }
    }

    #[test]
    fn debug_of_a_sealer_shows_no_key() {
        let root = RootKey::generate().unwrap();
        let sealer = Aes256GcmSealer::new(&root, id(1));
        assert_eq!(format!("{sealer:?} {sealer:#?}"), "Aes256GcmSealer(redacted) ".repeat(2).trim_end());
    }
}
