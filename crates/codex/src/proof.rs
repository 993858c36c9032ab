//! Evidence of what a ledger holds: heads to keep elsewhere, proofs to hand on, and checks that need neither the
//! database nor its key. `docs/evidence.md` walks through all of it.
//!
//! ```
//! use codex::proof::{CommitProof, HeadNote, SigningKey};
//! use codex::{Mode, Options};
//!
//! # fn main() -> codex::Result<()> {
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let path = folder.path().join("app.db");
//! let key = SigningKey::generate("example.com/audit")?;
//! let store = Options::new().mode(Mode::Ledger).open(&path)?;
//! store.set("account:1", &100)?;
//! let mut proof = store.prove(1)?;
//! proof.sign(&key);
//! let sent = proof.to_string();
//!
//! // Elsewhere, with nothing but the public key:
//! let proof: CommitProof = sent.parse()?;
//! proof.head().verify(key.verifying_key())?;
//! assert_eq!(proof.verify()?.last_sequence, 1);
//!
//! // The next opening demands what was there.
//! let kept: HeadNote = store.log_head().into();
//! store.close()?;
//! let store = Options::new().expect_head(kept.head()).open(&path)?;
//! # drop(store);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use codex_crypto::head::{ConsistencyText, InclusionText};
use codex_crypto::merkle::leaf_hash;
use codex_crypto::note::SigningKeyError;
use codex_storage::progress::{Observer, Progress};
use codex_storage::vfs::os::OsVfs;

use crate::error::{Error, ErrorKind, Result};
use crate::options::home_path;
use crate::report::Head;

pub use codex_crypto::{
    ConsistencyProof, DatabaseId, Digest, HeadError, HeadNote, InclusionProof, LogHead, NoteError,
    ProofError, SigningKey, VerifyingKey,
};
pub use codex_storage::{Continuation, ExpectedHead, FrameFacts, HeadMismatch, UnkeyedReport};

/// That a commit is in the log of a head: the sealed frame that ends it, and the hashes from there to the head. As text
/// it is what <https://c2sp.org/tlog-proof> says.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// use codex::proof::CommitProof;
///
/// store.set("a", &1)?;
/// let sent = store.prove(1)?.to_string();
/// // Elsewhere, without the database and its key:
/// let proof: CommitProof = sent.parse()?;
/// assert_eq!(proof.verify()?.last_sequence, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitProof(InclusionText);

impl CommitProof {
    /// The frame as it stands in the file, sealed.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let proof = store.prove(1)?;
    /// let file = std::fs::read(folder.path().join("app.db"))?;
    /// assert!(file.windows(proof.frame().len()).any(|window| window == proof.frame()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.0.leaf
    }

    /// Where the frame is in the log, and the hashes.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// store.set("b", &2)?;
    /// let proof = store.prove(2)?;
    /// assert_eq!((proof.inclusion().index, proof.inclusion().size), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn inclusion(&self) -> &InclusionProof {
        &self.0.proof
    }

    /// The head that the frame is in.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// assert_eq!(store.prove(1)?.head().head(), store.log_head());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn head(&self) -> &HeadNote {
        &self.0.head
    }

    /// Signs the head.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::proof::SigningKey;
    ///
    /// let key = SigningKey::generate("example.com/audit")?;
    /// store.set("a", &1)?;
    /// let mut proof = store.prove(1)?;
    /// proof.sign(&key);
    /// proof.head().verify(key.verifying_key())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(&mut self, key: &SigningKey) {
        self.0.head.sign(key);
    }

    /// Checks that the frame is in the log of the [`head`](Self::head), and reads which commits it ends. That is worth
    /// as much as the head: compare it with one of your own, or check who signed it ([`HeadNote::verify`]).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let facts = store.prove(1)?.verify()?;
    /// assert_eq!(facts.last_sequence, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self) -> Result<FrameFacts> {
        let head = self.head().head();
        self.inclusion().verify(&leaf_hash(&[self.frame()]), &head.root)?;
        FrameFacts::read(self.frame(), head.id)
            .ok_or_else(|| Error::integrity("what is proven to be in the log is no end of a commit"))
    }
}

impl From<codex_storage::CommitProof> for CommitProof {
    fn from(proof: codex_storage::CommitProof) -> Self {
        let codex_storage::CommitProof { frame, inclusion, head } = proof;
        Self(InclusionText { leaf: frame, proof: inclusion, head: head.into() })
    }
}

impl FromStr for CommitProof {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(Self(text.parse()?))
    }
}

impl fmt::Display for CommitProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// That the log of a head continues that of an older one. As text it is what <https://c2sp.org/tlog-witness> takes to
/// add a checkpoint.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// use codex::proof::ContinuationProof;
///
/// store.set("a", &1)?;
/// let monday = store.log_head();
/// store.set("b", &2)?;
/// let sent = store.prove_consistency(monday.size, store.log_head().size)?.to_string();
/// // Elsewhere, with the head that was kept on Monday:
/// let proof: ContinuationProof = sent.parse()?;
/// proof.verify(monday)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinuationProof(ConsistencyText);

impl ContinuationProof {
    pub(crate) fn new(proof: ConsistencyProof, head: LogHead) -> Self {
        Self(ConsistencyText { proof, head: head.into() })
    }

    /// The sizes, and the hashes.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// store.set("b", &2)?;
    /// let proof = store.prove_consistency(1, 2)?;
    /// assert_eq!((proof.consistency().from, proof.consistency().to), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn consistency(&self) -> &ConsistencyProof {
        &self.0.proof
    }

    /// The newer head.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// store.set("b", &2)?;
    /// assert_eq!(store.prove_consistency(1, 2)?.head().head(), store.log_head());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn head(&self) -> &HeadNote {
        &self.0.head
    }

    /// Signs the newer head.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::proof::SigningKey;
    ///
    /// let key = SigningKey::generate("example.com/audit")?;
    /// store.set("a", &1)?;
    /// store.set("b", &2)?;
    /// let mut proof = store.prove_consistency(1, 2)?;
    /// proof.sign(&key);
    /// proof.head().verify(key.verifying_key())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(&mut self, key: &SigningKey) {
        self.0.head.sign(key);
    }

    /// Checks that the log of the [`head`](Self::head) begins with all that the log of the older head had.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// use codex::ErrorKind;
    /// use codex::proof::Digest;
    ///
    /// store.set("a", &1)?;
    /// let mut older = store.log_head();
    /// store.set("b", &2)?;
    /// let proof = store.prove_consistency(1, 2)?;
    /// proof.verify(older)?;
    /// older.root = Digest::from_bytes([0; 32]);
    /// assert!(proof.verify(older).is_err_and(|error| error.kind() == ErrorKind::Integrity));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, older: LogHead) -> Result<()> {
        let head = self.head().head();
        if older.id != head.id {
            return Err(Error::validation("the proof and the older head are of two databases"));
        }
        if older.size != self.consistency().from {
            return Err(Error::because(
                ErrorKind::Validation,
                "the proof is for an older head of another size",
                format!("it begins at {} frames, and the head has {}", self.consistency().from, older.size),
            ));
        }
        Ok(self.consistency().verify(&older.root, &head.root)?)
    }
}

impl FromStr for ContinuationProof {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(Self(text.parse()?))
    }
}

impl fmt::Display for ContinuationProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A database that was read without its key, as far as its Merkle log goes. Whoever can write to the file can make one that
/// passes, with another head: what counts is the head, compared with one that was kept elsewhere.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::proof::{Continuation, UnkeyedLog};
/// use codex::{EncryptionKey, Mode, Options};
///
/// let store = Options::new().mode(Mode::Ledger).encryption_key(EncryptionKey::generate()?).open(&path)?;
/// store.set("secret", "is not read")?;
/// let kept = store.log_head();
/// store.close()?;
///
/// let log = UnkeyedLog::open(&path)?;
/// assert_eq!(log.compare_head(kept)?, Continuation::Same);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnkeyedLog(codex_storage::UnkeyedLog);

impl UnkeyedLog {
    /// Reads every byte of the database at `path`, beside other readers, and changes none. What it checks: places, checksums
    /// and links of all frames, the Merkle log over them, and the floor that the header records. What it cannot:
    /// whether the header and the frames were sealed with the key, and what is in them.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// codex::Store::open(&path)?.close()?;
    /// codex::proof::UnkeyedLog::open(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_observed(path.as_ref(), &Observer::default())
    }

    /// [`UnkeyedLog::open`], with `tell` called meanwhile: see [`Progress`].
    pub fn open_with_progress(
        path: impl AsRef<Path>,
        tell: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::open_observed(path.as_ref(), &Observer::new(tell))
    }

    fn open_observed(path: &Path, observer: &Observer) -> Result<Self> {
        Ok(Self(codex_storage::UnkeyedLog::open(&OsVfs, path, observer)?))
    }

    /// [`UnkeyedLog::open`] for the database called `name` in the user's folder, as [`Options::open_home`](crate::Options::open_home)
    /// finds it.
    ///
    /// ```no_run
    /// let log = codex::proof::UnkeyedLog::open_home("audit")?;
    /// # Ok::<(), codex::Error>(())
    /// ```
    pub fn open_home(name: &str) -> Result<Self> {
        Self::open(home_path(name)?)
    }

    /// [`UnkeyedLog::open_home`], with `tell` called meanwhile.
    pub fn open_home_with_progress(
        name: &str,
        tell: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::open_with_progress(home_path(name)?, tell)
    }

    /// What was read.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
    /// store.set("a", &1)?;
    /// let head = store.log_head();
    /// store.close()?;
    /// let log = codex::proof::UnkeyedLog::open(folder.path().join("app.db"))?;
    /// assert_eq!(log.report().head, head);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn report(&self) -> UnkeyedReport {
        self.0.report()
    }

    /// How the log goes on from a head; see [`Store::compare_head`](crate::Store::compare_head).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// use codex::proof::{UnkeyedLog};
    /// use codex::{EncryptionKey, Mode, Options};
    ///
    /// let store = Options::new().mode(Mode::Ledger).encryption_key(EncryptionKey::generate()?).open(&path)?;
    /// store.set("secret", "is not read")?;
    /// let kept = store.log_head();
    /// store.close()?;
    ///
    /// let mut forged = kept;
    /// forged.root = codex::proof::Digest::from_bytes([0; 32]);
    /// let compared = UnkeyedLog::open(&path)?.compare_head(forged);
    /// assert!(compared.is_err_and(|error| error.kind() == codex::ErrorKind::Integrity));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_head(&self, head: impl Into<ExpectedHead>) -> Result<Continuation> {
        Ok(self.0.compare_head(head)?)
    }
}

impl From<Head> for ExpectedHead {
    /// Without the database's id, another database cannot be told from a fork.
    fn from(head: Head) -> Self {
        Self { id: None, size: head.size, root: Digest::from_bytes(head.root) }
    }
}

impl From<LogHead> for Head {
    fn from(head: LogHead) -> Self {
        Self { size: head.size, root: *head.root.as_bytes() }
    }
}

impl From<ProofError> for Error {
    fn from(error: ProofError) -> Self {
        Self::because(ErrorKind::Integrity, "the proof does not hold", error)
    }
}

impl From<NoteError> for Error {
    fn from(error: NoteError) -> Self {
        match error {
            NoteError::NotSigned { .. } | NoteError::BadSignature { .. } => {
                Self::because(ErrorKind::Integrity, "nobody vouches for the head", error)
            }
            _ => Self::because(ErrorKind::Validation, "the text cannot be read", error),
        }
    }
}

impl From<HeadError> for Error {
    fn from(error: HeadError) -> Self {
        Self::because(ErrorKind::Validation, "the text cannot be read", error)
    }
}

impl From<SigningKeyError> for Error {
    fn from(error: SigningKeyError) -> Self {
        let kind = match error {
            SigningKeyError::Random(_) => ErrorKind::Io,
            _ => ErrorKind::Validation,
        };
        Self::because(kind, "there is no signing key", error)
    }
}
