//! Signed notes: text with Ed25519 signatures below it, as <https://c2sp.org/signed-note> says.
//!
//! A key has a name, which says whose it is and is not secret. Texts of both halves of a key are those of
//! `golang.org/x/mod/sumdb/note`, so that its tools, and those of other transparency logs, read them.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::key::SecretBytes;
use crate::{NoteError, RandomError, sha256};

/// A text and who signed it. Nothing is said about the signatures before [`Note::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    key_id: KeyId,
    bytes: Vec<u8>,
}

type KeyId = [u8; 4];

/// Checks signatures. Written as `name+key id+base64`; it is not a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    public: [u8; PUBLIC_LEN],
}

/// Makes signatures. Its bytes are wiped when it is dropped; its name is not a secret.
pub struct SigningKey {
    verifying: VerifyingKey,
    seed: SecretBytes,
}

impl Note {
    /// A note without signatures yet. The text consists of lines, the last one ended too, without control characters.
    pub fn new(text: String) -> Result<Self, NoteError> {
        if !is_text(&text) || !text.ends_with('\n') {
            return Err(NoteError::Malformed { what: "its text" });
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note with at least one signature.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_LEN_MAX {
            return Err(NoteError::TooLong);
        }
        let split =
            note.rfind("\n\n").ok_or(NoteError::Malformed { what: "the line before its signatures" })?;
        let mut parsed = Self::new(note[..=split].to_owned())?;
        let below = note[split + 2..].strip_suffix('\n');
        let below = below.ok_or(NoteError::Malformed { what: "the end of its signatures" })?;
        for line in below.split('\n') {
            if parsed.signatures.len() == SIGNATURES_MAX {
                return Err(NoteError::TooLong);
            }
            parsed
                .signatures
                .push(Signature::parse(line).ok_or(NoteError::Malformed { what: "a signature" })?);
        }
        Ok(parsed)
    }

    /// The text, final newline included. Nobody has said it before [`verify`](Self::verify).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there are signatures, of whatever worth.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !self.signatures.is_empty()
    }

    /// Adds a signature; it replaces one of the same key.
    pub fn sign(&mut self, key: &SigningKey) {
        let key_id = key.verifying.key_id();
        self.signatures.retain(|old| (&old.name, old.key_id) != (&key.verifying.name, key_id));
        let bytes = key.key_pair().sign(self.text.as_bytes()).as_ref().to_vec();
        self.signatures.push(Signature { name: key.verifying.name.clone(), key_id, bytes });
    }

    /// Checks that `key` signed the text. Signatures of other keys are passed over.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), NoteError> {
        let key_id = key.key_id();
        let mut by_key = self
            .signatures
            .iter()
            .filter(|signature| signature.name == key.name && signature.key_id == key_id)
            .peekable();
        if by_key.peek().is_none() {
            return Err(NoteError::NotSigned { key: key.label() });
        }
        let public = UnparsedPublicKey::new(&ED25519, &key.public);
        if by_key.all(|signature| public.verify(self.text.as_bytes(), &signature.bytes).is_ok()) {
            Ok(())
        } else {
            Err(NoteError::BadSignature { key: key.label() })
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.is_signed() {
            f.write_str("\n")?;
        }
        for Signature { name, key_id, bytes } in &self.signatures {
            let encoded = Base64::encode_string(&[&key_id[..], bytes].concat());
            writeln!(f, "{SIGNATURE_PREFIX}{name} {encoded}")?;
        }
        Ok(())
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let decoded = Base64::decode_vec(encoded).ok()?;
        let (key_id, bytes) = decoded.split_first_chunk()?;
        let whole = is_name(name) && !bytes.is_empty();
        whole.then(|| Self { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

impl VerifyingKey {
    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A short name for the key: not enough to tell it from one that was made to look like it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}+{}", self.name, base16ct::lower::encode_string(&self.key_id()))
    }

    fn key_id(&self) -> KeyId {
        let digest = sha256(&[self.name.as_bytes(), b"\n", &[ALGORITHM], &self.public]);
        *digest.as_bytes().first_chunk().expect("a digest is longer")
    }
}

impl FromStr for VerifyingKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut key = None;
        parse_key(text, |name, bytes| {
            let made = Self { name: name.to_owned(), public: *bytes };
            let id = made.key_id();
            key = Some(made);
            id
        });
        key.filter(|key| key.to_string() == text).ok_or(NoteError::VerifyingKey)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = Base64::encode_string(&[&[ALGORITHM], &self.public[..]].concat());
        write!(f, "{}+{encoded}", self.label())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

impl SigningKey {
    /// A new random key with this name: not empty, without spaces and plus signs.
    pub fn generate(name: &str) -> Result<Self, SigningKeyError> {
        if !is_name(name) {
            return Err(SigningKeyError::Name);
        }
        Ok(Self::from_seed(name, SecretBytes::random()?))
    }

    /// Reads a key as [`to_text`](Self::to_text) writes it. The error does not show the text.
    pub fn from_text(text: &str) -> Result<Self, SigningKeyError> {
        let text = text.strip_prefix(SECRET_PREFIX).ok_or(SigningKeyError::Text)?;
        let mut key = None;
        let agrees = parse_key(text, |name, bytes| {
            let mut seed = SecretBytes::zeros();
            seed.as_mut_bytes().copy_from_slice(bytes);
            let made = Self::from_seed(name, seed);
            let id = made.verifying.key_id();
            key = Some(made);
            id
        });
        key.filter(|_| agrees).ok_or(SigningKeyError::Text)
    }

    fn from_seed(name: &str, seed: SecretBytes) -> Self {
        let pair = key_pair(&seed);
        let public = pair.public_key().as_ref().try_into().expect("a public key of Ed25519 has 32 bytes");
        Self { verifying: VerifyingKey { name: name.to_owned(), public }, seed }
    }

    /// The key as text: for the file of whoever keeps it, and nothing else.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([ALGORITHM; 1 + SecretBytes::LEN]);
        bytes[1..].copy_from_slice(self.seed.as_bytes());
        let encoded = Zeroizing::new(Base64::encode_string(&*bytes));
        let label = self.verifying.label();
        // At its full size from the start, so that no copy stays behind where it grew.
        let mut text =
            Zeroizing::new(String::with_capacity(SECRET_PREFIX.len() + label.len() + 1 + encoded.len()));
        [SECRET_PREFIX, &label, "+", &encoded].into_iter().for_each(|part| text.push_str(part));
        text
    }

    /// The other half, for those who check.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// `ring`'s form of the key, which does not wipe itself: it is made for one signature and then given up.
    fn key_pair(&self) -> Ed25519KeyPair {
        key_pair(&self.seed)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

fn key_pair(seed: &SecretBytes) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).expect("every 32 bytes are a seed of Ed25519")
}

/// Why a signing key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// There is no key without random bytes.
    #[error("cannot make a signing key")]
    Random(#[from] RandomError),
    /// A name that no key can have.
    #[error("the name of a signing key is not empty and has no spaces, plus signs or control characters")]
    Name,
    /// The text is not a key. It is not shown: most of it may be right.
    #[error("the text is not a signing key")]
    Text,
}

/// Reads `name+key id+base64` and gives name and bytes to `make`, which knows the key's id. Whether that agrees.
fn parse_key(text: &str, make: impl FnOnce(&str, &[u8; PUBLIC_LEN]) -> KeyId) -> bool {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let mut bytes = Zeroizing::new([0; 1 + PUBLIC_LEN]);
    let whole = Base64::decode(encoded, &mut *bytes).is_ok_and(|decoded| decoded.len() == 1 + PUBLIC_LEN);
    let Some((&[ALGORITHM], key)) = bytes.split_first_chunk() else { return false };
    if !whole || !is_name(name) {
        return false;
    }
    let key = key.try_into().expect("the rest of the bytes");
    base16ct::lower::encode_string(&make(name, key)) == id
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|letter: char| letter.is_whitespace() || letter == '+')
        && is_text(name)
}

fn is_text(text: &str) -> bool {
    !text.contains(|letter: char| letter < ' ' && letter != '\n')
}

const SIGNATURE_PREFIX: &str = "\u{2014} ";
const SECRET_PREFIX: &str = "PRIVATE+KEY+";
/// Ed25519, among the signature types of signed notes.
const ALGORITHM: u8 = 1;
/// Length of both halves of a key, in bytes.
const PUBLIC_LEN: usize = 32;
/// The longest note that is read, in bytes, and the most signatures: what is not ours may have some.
const NOTE_LEN_MAX: usize = 1 << 20;
const SIGNATURES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    // Keys and notes that the tests of golang.org/x/mod/sumdb/note publish.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_SECRET: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const BY_PETER: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const BY_ENOCH: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    fn key(text: &str) -> VerifyingKey {
        text.parse().unwrap()
    }

    #[test]
    fn signing_gives_the_published_note() {
        let mut note = Note::new(TEXT.to_owned()).unwrap();
        let signer = SigningKey::from_text(PETER_SECRET).unwrap();
        note.sign(&signer);
        assert_eq!(note.to_string(), format!("{TEXT}\n{BY_PETER}"));
        let once = note.clone();
        note.sign(&signer);
        assert_eq!(note, once, "a key signs a note once");
        assert_eq!(signer.verifying_key().to_string(), PETER);
        assert_eq!(*signer.to_text(), PETER_SECRET);
    }

    #[test]
    fn each_published_signature_is_checked_by_its_own_key_alone() {
        let both = Note::parse(&format!("{TEXT}\n{BY_PETER}{BY_ENOCH}")).unwrap();
        assert_eq!(both.text(), TEXT);
        assert_eq!(both.verify(&key(PETER)), Ok(()));
        assert_eq!(both.verify(&key(ENOCH)), Ok(()));
        let one = Note::parse(&format!("{TEXT}\n{BY_ENOCH}")).unwrap();
        let unsigned = NoteError::NotSigned { key: "PeterNeumann+c74f20a3".into() };
        assert_eq!(one.verify(&key(PETER)), Err(unsigned));
    }

    #[test]
    fn a_changed_text_or_signature_is_refused() {
        let bad = NoteError::BadSignature { key: "PeterNeumann+c74f20a3".into() };
        let other_text = format!("{}\n{BY_PETER}", TEXT.replace("know", "see"));
        assert_eq!(Note::parse(&other_text).unwrap().verify(&key(PETER)), Err(bad.clone()));
        let other_signature = format!("{TEXT}\n{}", BY_PETER.replace("SffcvI", "SffcvJ"));
        assert_eq!(Note::parse(&other_signature).unwrap().verify(&key(PETER)), Err(bad.clone()));
        // A good one beside it is no excuse.
        let two = format!("{TEXT}\n{BY_PETER}{}", BY_PETER.replace("SffcvI", "SffcvJ"));
        assert_eq!(Note::parse(&two).unwrap().verify(&key(PETER)), Err(bad));
    }

    #[test]
    fn what_is_no_note_is_refused_with_what_is_wrong() {
        let many = format!("{TEXT}\n{}", BY_PETER.repeat(SIGNATURES_MAX + 1));
        let long = format!("{}\n\n{BY_PETER}", "a".repeat(NOTE_LEN_MAX));
        for note in [many, long] {
            assert_eq!(Note::parse(&note), Err(NoteError::TooLong));
        }
        let signature = &BY_PETER[..BY_PETER.len() - 1];
        for (note, what) in [
            (TEXT.to_owned(), "the line before its signatures"),
            (format!("{TEXT}\n"), "the end of its signatures"),
            (format!("{TEXT}\n{signature}"), "the end of its signatures"),
            (format!("\u{1}{TEXT}\n{BY_PETER}"), "its text"),
            (format!("{TEXT}\r\n\n{BY_PETER}"), "its text"),
            (format!("{TEXT}\n{BY_PETER}Unexpected line.\n"), "a signature"),
            (format!("{TEXT}\n{signature}\r\n"), "a signature"),
            (format!("{TEXT}\n{}", BY_PETER.replace("PeterNeumann", "Bad Name")), "a signature"),
            (format!("{TEXT}\n{}", BY_PETER.replace("PeterNeumann", "a+b")), "a signature"),
            (format!("{TEXT}\n\u{2014} PeterNeumann x08gow==\n"), "a signature"),
            (format!("{TEXT}\n\u{2014} PeterNeumann BADSIGN\n"), "a signature"),
        ] {
            assert_eq!(Note::parse(&note), Err(NoteError::Malformed { what }), "{note}");
        }
    }

    #[test]
    fn a_mangled_key_is_refused_and_a_secret_one_is_not_shown() {
        for start in 0..=PETER.len() {
            for end in start..=PETER.len() {
                if (start, end) != (0, PETER.len()) {
                    assert_eq!(PETER[start..end].parse::<VerifyingKey>(), Err(NoteError::VerifyingKey));
                }
            }
        }
        for text in [PETER, PETER_SECRET] {
            for at in 0..text.len() {
                let mut mangled = text.as_bytes().to_vec();
                mangled[at] += 1;
                let mangled = String::from_utf8(mangled).unwrap();
                assert_eq!(mangled.parse::<VerifyingKey>(), Err(NoteError::VerifyingKey), "{mangled}");
                let error = SigningKey::from_text(&mangled).unwrap_err();
                assert!(matches!(error, SigningKeyError::Text), "{mangled}: {error:?}");
                assert!(!format!("{error} {error:?}").contains("AYEK"));
            }
        }
        // Of a wrong length, and of an unknown algorithm, with ids that fit.
        for bad in [
            "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
            "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert_eq!(bad.parse::<VerifyingKey>(), Err(NoteError::VerifyingKey));
        }
    }

    #[test]
    fn debug_of_a_signing_key_shows_nothing_of_it() {
        let key = SigningKey::from_text(PETER_SECRET).unwrap();
        assert_eq!(format!("{key:?} {key:#?}"), "SigningKey(redacted) SigningKey(redacted)");
    }

    #[test]
    fn generated_keys_differ_and_read_back() {
        let made = SigningKey::generate("example.com/log").unwrap();
        assert_ne!(made.verifying_key(), SigningKey::generate("example.com/log").unwrap().verifying_key());
        let read = SigningKey::from_text(&made.to_text()).unwrap();
        let mut note = Note::new("text\n".into()).unwrap();
        note.sign(&read);
        assert_eq!(Note::parse(&note.to_string()).unwrap().verify(made.verifying_key()), Ok(()));
        for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{1}"] {
            assert!(matches!(SigningKey::generate(name), Err(SigningKeyError::Name)), "{name:?}");
        }
    }
}
