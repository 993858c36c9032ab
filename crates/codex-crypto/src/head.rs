//! Heads of a database's Merkle log as text, and proofs against them: what is kept elsewhere, signed, and handed
//! to an auditor.
//!
//! | text | form |
//! | --- | --- |
//! | a head | the checkpoint of <https://c2sp.org/tlog-checkpoint>; without signatures, its three lines alone |
//! | a leaf is in a head's log | <https://c2sp.org/tlog-proof> |
//! | a head's log continues an older one | what <https://c2sp.org/tlog-witness> takes to add a checkpoint |
//!
//! The origin line of a head is `codex/` and the database's id in hexadecimal, so that the head of another database
//! is told apart.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};

use crate::note::{Note, SigningKey, VerifyingKey};
use crate::proof::{ConsistencyProof, InclusionProof, PROOF_HASHES_MAX};
use crate::{DatabaseId, Digest, HeadError, NoteError};

/// The head of one database's Merkle log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogHead {
    /// The database.
    pub id: DatabaseId,
    /// How many leaves the log has.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl LogHead {
    /// The line that says of which database it is.
    #[must_use]
    pub fn origin(&self) -> String {
        Self::origin_of(self.id)
    }

    /// The line that names a database.
    #[must_use]
    pub fn origin_of(id: DatabaseId) -> String {
        format!("{ORIGIN_PREFIX}{}", base16ct::lower::encode_string(id.as_bytes()))
    }

    fn parse(text: &str) -> Result<Self, HeadError> {
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or(HeadError::Malformed { what: "its three lines" });
        let (origin, size, root) = (next()?, next()?, next()?);
        let id = id_of(origin).ok_or_else(|| HeadError::Origin { origin: shown(origin) })?;
        let size = number(size).ok_or(HeadError::Malformed { what: "its size" })?;
        let root = digest(root).ok_or(HeadError::Malformed { what: "its root" })?;
        // What follows are extensions, which anybody may define and nobody need know.
        if lines.any(str::is_empty) {
            return Err(HeadError::Malformed { what: "an empty line" });
        }
        Ok(Self { id, size, root })
    }
}

impl fmt::Display for LogHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin(), self.size, Base64::encode_string(self.root.as_bytes()))
    }
}

/// A head with its signatures, or without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadNote {
    head: LogHead,
    note: Note,
}

impl HeadNote {
    /// The head. Nobody vouches for it before [`verify`](Self::verify).
    #[must_use]
    pub fn head(&self) -> LogHead {
        self.head
    }

    /// Whether there are signatures, of whatever worth.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.note.is_signed()
    }

    /// Adds a signature.
    pub fn sign(&mut self, key: &SigningKey) {
        self.note.sign(key);
    }

    /// Checks that `key` signed the head.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), NoteError> {
        self.note.verify(key)
    }
}

impl From<LogHead> for HeadNote {
    fn from(head: LogHead) -> Self {
        let note = Note::new(head.to_string()).expect("three lines without control characters");
        Self { head, note }
    }
}

impl FromStr for HeadNote {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let note = if text.contains("\n\n") { Note::parse(text)? } else { Note::new(text.to_owned())? };
        Ok(Self { head: LogHead::parse(note.text())?, note })
    }
}

impl fmt::Display for HeadNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// That a leaf is in the log of a head, with what the leaf is the hash of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionText {
    /// The bytes of the leaf. Nothing vouches for them but their hash, in [`proof`](Self::proof).
    pub leaf: Vec<u8>,
    /// The proof, for the head's size.
    pub proof: InclusionProof,
    /// The head.
    pub head: HeadNote,
}

impl FromStr for InclusionText {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (above, head) = split(text)?;
        let mut lines = above.split('\n');
        if lines.next() != Some(INCLUSION_TITLE) {
            return Err(HeadError::NotAProof);
        }
        let mut field = |name| lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let leaf = field("extra").and_then(|extra| Base64::decode_vec(extra).ok());
        let leaf = leaf.ok_or(HeadError::Malformed { what: "its leaf" })?;
        let index = field("index").and_then(number).ok_or(HeadError::Malformed { what: "its index" })?;
        let proof = InclusionProof { index, size: head.head.size, hashes: hashes(lines)? };
        Ok(Self { leaf, proof, head })
    }
}

impl fmt::Display for InclusionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra = Base64::encode_string(&self.leaf);
        writeln!(f, "{INCLUSION_TITLE}\nextra {extra}\nindex {}", self.proof.index)?;
        write_hashes(f, &self.proof.hashes)?;
        write!(f, "\n{}", self.head)
    }
}

/// That the log of a head continues that of an older one, which is named by its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyText {
    /// The proof, up to the head's size.
    pub proof: ConsistencyProof,
    /// The newer head.
    pub head: HeadNote,
}

impl FromStr for ConsistencyText {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (above, head) = split(text)?;
        let mut lines = above.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix(CONSISTENCY_FIELD)?.strip_prefix(' '));
        let old = old.ok_or(HeadError::NotAProof)?;
        let from = number(old).ok_or(HeadError::Malformed { what: "its older size" })?;
        let proof = ConsistencyProof { from, to: head.head.size, hashes: hashes(lines)? };
        Ok(Self { proof, head })
    }
}

impl fmt::Display for ConsistencyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{CONSISTENCY_FIELD} {}", self.proof.from)?;
        write_hashes(f, &self.proof.hashes)?;
        write!(f, "\n{}", self.head)
    }
}

/// What stands above the first empty line, and the head below it.
fn split(text: &str) -> Result<(&str, HeadNote), HeadError> {
    if text.len() > TEXT_LEN_MAX {
        return Err(NoteError::TooLong.into());
    }
    let (above, head) = text.split_once("\n\n").ok_or(HeadError::NotAProof)?;
    Ok((above, head.parse()?))
}

fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Digest>, HeadError> {
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == PROOF_HASHES_MAX {
            return Err(HeadError::TooManyHashes);
        }
        hashes.push(digest(line).ok_or(HeadError::Malformed { what: "a hash" })?);
    }
    Ok(hashes)
}

fn write_hashes(f: &mut fmt::Formatter<'_>, hashes: &[Digest]) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", Base64::encode_string(hash.as_bytes())))
}

fn digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; Digest::LEN];
    let decoded = Base64::decode(text, &mut bytes).ok()?.len();
    (decoded == Digest::LEN).then(|| Digest::from_bytes(bytes))
}

/// A decimal number in the one way to write it.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn id_of(line: &str) -> Option<DatabaseId> {
    let mut bytes = [0; DatabaseId::LEN];
    let decoded = base16ct::lower::decode(line.strip_prefix(ORIGIN_PREFIX)?, &mut bytes).ok()?.len();
    (decoded == DatabaseId::LEN).then(|| DatabaseId::from_bytes(bytes))
}

/// As much of a foreign line as a message should hold.
fn shown(line: &str) -> String {
    line.chars().filter(|letter| !letter.is_control()).take(80).collect()
}

const ORIGIN_PREFIX: &str = "codex/";
const INCLUSION_TITLE: &str = "c2sp.org/tlog-proof@v1";
const CONSISTENCY_FIELD: &str = "old";
/// The longest text that is read, in bytes: a leaf of a little more than 1 MiB in base64, a proof, and signatures.
const TEXT_LEN_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> LogHead {
        LogHead { id: DatabaseId::from_bytes([0xA5; 16]), size: 3, root: Digest::from_bytes([7; 32]) }
    }

    fn signer() -> SigningKey {
        SigningKey::generate("example.com/log").unwrap()
    }

    const TEXT: &str =
        "codex/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\n3\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";

    #[test]
    fn a_head_is_three_lines_and_reads_back_signed_or_not() {
        assert_eq!(head().to_string(), TEXT);
        let mut note = HeadNote::from(head());
        assert_eq!(note.to_string(), TEXT);
        assert_eq!(TEXT.parse(), Ok(note.clone()));
        let key = signer();
        note.sign(&key);
        let read: HeadNote = note.to_string().parse().unwrap();
        assert_eq!((read.head(), read.is_signed()), (head(), true));
        assert_eq!(read.verify(key.verifying_key()), Ok(()));
        let larger = note.to_string().replacen("\n3\n", "\n4\n", 1);
        let larger: HeadNote = larger.parse().unwrap();
        let bad = NoteError::BadSignature { key: key.verifying_key().label() };
        assert_eq!(larger.verify(key.verifying_key()), Err(bad));
    }

    #[test]
    fn extension_lines_are_read_and_signed_with_the_rest() {
        let extended = format!("{TEXT}an extension\n");
        let mut note: HeadNote = extended.parse().unwrap();
        assert_eq!(note.head(), head());
        let key = signer();
        note.sign(&key);
        let read: HeadNote = note.to_string().parse().unwrap();
        assert_eq!(read.verify(key.verifying_key()), Ok(()));
        let without: HeadNote = note.to_string().replace("an extension\n", "").parse().unwrap();
        assert!(matches!(without.verify(key.verifying_key()), Err(NoteError::BadSignature { .. })));
    }

    #[test]
    fn what_is_no_head_is_refused_with_what_is_wrong() {
        let origin = |origin: &str| HeadError::Origin { origin: origin.into() };
        let lacks = |what| HeadError::Malformed { what };
        for (text, error) in [
            (TEXT.replace("codex/", "example.com/"), origin(&format!("example.com/{}", "a5".repeat(16)))),
            (TEXT.replace("a5a5\n", "a5\n"), origin(&format!("codex/{}", "a5".repeat(15)))),
            (TEXT.replace("a5a5\n", "A5A5\n"), origin(&format!("codex/{}A5A5", "a5".repeat(14)))),
            (TEXT.replace("\n3\n", "\n03\n"), lacks("its size")),
            (TEXT.replace("\n3\n", "\n-3\n"), lacks("its size")),
            (TEXT.replace("\n3\n", "\n18446744073709551616\n"), lacks("its size")),
            (TEXT.replace("Bwc=", "Bw=="), lacks("its root")),
            (TEXT.replace("Bwc=", "Bwd="), lacks("its root")),
            (TEXT[..=TEXT.find("\nBw").unwrap()].to_owned(), lacks("its three lines")),
            (TEXT.trim_end().to_owned(), NoteError::Malformed { what: "its text" }.into()),
            (String::new(), NoteError::Malformed { what: "its text" }.into()),
        ] {
            assert_eq!(text.parse::<HeadNote>(), Err(error), "{text}");
        }
    }

    #[test]
    fn proofs_have_the_published_forms_and_read_back() {
        let hashes = vec![Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32])];
        let lines =
            "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\nAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n";
        let proof = InclusionProof { index: 1, size: 3, hashes: hashes.clone() };
        let inclusion = InclusionText { leaf: b"leaf".to_vec(), proof, head: head().into() };
        let text = format!("c2sp.org/tlog-proof@v1\nextra bGVhZg==\nindex 1\n{lines}\n{TEXT}");
        assert_eq!(inclusion.to_string(), text);
        assert_eq!(text.parse(), Ok(inclusion));
        let proof = ConsistencyProof { from: 2, to: 3, hashes };
        let consistency = ConsistencyText { proof, head: head().into() };
        let text = format!("old 2\n{lines}\n{TEXT}");
        assert_eq!(consistency.to_string(), text);
        assert_eq!(text.parse(), Ok(consistency));
    }

    #[test]
    fn what_is_no_proof_is_refused_with_what_is_wrong() {
        let line = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
        let whole = format!("c2sp.org/tlog-proof@v1\nextra bGVhZg==\nindex 1\n{line}\n{TEXT}");
        assert!(whole.parse::<InclusionText>().is_ok());
        let lacks = |what| HeadError::Malformed { what };
        for (text, error) in [
            (whole.replace("@v1", "@v2"), HeadError::NotAProof),
            (TEXT.to_owned(), HeadError::NotAProof),
            (whole.replace("extra bGVhZg==\n", ""), lacks("its leaf")),
            (whole.replace("bGVhZg==", "bGVhZg="), lacks("its leaf")),
            (whole.replace("index 1", "index 01"), lacks("its index")),
            (whole.replace("index 1", "index 1\r"), lacks("its index")),
            (whole.replace(line, &line[1..]), lacks("a hash")),
            (whole.replace(line, &line.repeat(65)), HeadError::TooManyHashes),
            (whole.replace("codex/", "x/"), HeadError::Origin { origin: format!("x/{}", "a5".repeat(16)) }),
            (format!("{whole}{}", "a".repeat(TEXT_LEN_MAX)), NoteError::TooLong.into()),
        ] {
            assert_eq!(text.parse::<InclusionText>(), Err(error), "{text:.99}");
        }
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let _: HeadError = whole[..end].parse::<InclusionText>().expect_err("it is cut");
        }
        assert_eq!(whole.parse::<ConsistencyText>(), Err(HeadError::NotAProof));
        assert_eq!(format!("old x\n\n{TEXT}").parse::<ConsistencyText>(), Err(lacks("its older size")));
    }
}
