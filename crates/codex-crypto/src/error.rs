//! What can go wrong, one type for each thing that a caller does.
//!
//! No message and no `Debug` text holds key material, a passphrase or a payload.

use std::collections::TryReserveError;

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct RandomError(#[source] pub(crate) getrandom::Error);

/// Why a frame could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// There is no fresh salt without random bytes.
    #[error("cannot make a salt")]
    Random(#[from] RandomError),
    /// AES-GCM seals less than 64 GiB under one nonce (NIST SP 800-38D, section 5.2.1.1).
    #[error("a payload of {payload_len} bytes is too long to seal")]
    PayloadTooLong {
        /// Bytes that were to be sealed.
        payload_len: usize,
    },
    /// The payload was said to start behind the end of the buffer.
    #[error("the payload starts at byte {payload_start} of a buffer of {buffer_len} bytes")]
    PayloadStart {
        /// Where the payload was said to start, in bytes.
        payload_start: usize,
        /// Length of the buffer, in bytes.
        buffer_len: usize,
    },
}

/// Why a sealed payload or an authenticated block is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than its tag.
    #[error("{sealed_len} bytes are too few to end in a tag of {tag_len}")]
    TooShort {
        /// Bytes that were to be opened.
        sealed_len: usize,
        /// Bytes that the tag alone takes.
        tag_len: usize,
    },
    /// The bytes, what they are bound to, or the key are not those of the seal. Which of them
    /// cannot be told, nor whether by accident or intent.
    #[error("does not authenticate")]
    Authentication,
}

/// Why a key could not be made, or a key slot not be written, read or opened.
///
/// That a slot is not opened by a key or passphrase is no error; see
/// [`KeySlot::unwrap`](crate::KeySlot::unwrap).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no key without random bytes.
    #[error("cannot make a key")]
    Random(#[from] RandomError),
    /// The text is not a key. It is not shown: most of it may be right.
    #[error("an encryption key is written as 64 hexadecimal digits")]
    Hex,
    /// A slot is neither made nor opened with an empty passphrase.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Found before Argon2id runs, so that a damaged file costs neither time nor memory.
    #[error("Argon2id {parameter} of {got} lie outside {min} to {max}")]
    CostOutOfBounds {
        /// What the number counts, unit included.
        parameter: &'static str,
        /// The cost asked for, or found in a slot.
        got: u32,
        /// The least that is accepted.
        min: u32,
        /// The most that is accepted.
        max: u32,
    },
    /// The machine has less free memory than the passphrase was made to cost.
    #[error("cannot allocate {memory_kib} KiB for Argon2id")]
    OutOfMemory {
        /// Memory that the slot asks for, in KiB.
        memory_kib: u32,
        /// What the allocator says.
        source: TryReserveError,
    },
    /// Argon2id refused its input; with bounded costs that leaves a passphrase of 4 GiB or more.
    #[error("Argon2id does not accept the passphrase")]
    Argon2id(#[source] argon2::Error),
    /// The slot is opened by this key or passphrase, but the root key in it does not authenticate.
    #[error("the root key in the slot does not authenticate")]
    SlotDamaged,
    /// A slot of a kind that this version does not know.
    #[error("unknown key slot kind {got}")]
    UnknownSlotKind {
        /// The kind found.
        got: u8,
    },
    /// A label is too long, or not one line of plain text. It is not shown: it may steer a terminal.
    #[error("a label has at most {max} bytes and no control characters", max = crate::KeySlot::LABEL_LEN_MAX)]
    Label,
    /// A retired root key does not authenticate under the root key of now.
    #[error("a retired root key does not authenticate")]
    RetiredKeyDamaged,
    /// Bytes that this version writes as zeros are not.
    #[error("reserved bytes of the key slot are not zero")]
    ReservedNotZero,
}

/// Why bytes are not an encoded [`Frontier`](crate::Frontier).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// Too short to hold even the tree's size.
    #[error("{got} bytes are too few for a tree size")]
    NoSize {
        /// Bytes that were given.
        got: usize,
    },
    /// More leaves than a log can have.
    #[error("a tree of {size} leaves is larger than any log")]
    SizeTooLarge {
        /// The size found.
        size: u64,
    },
    /// A tree of this size has another number of full subtrees, so that the encoding has another
    /// length.
    #[error("the frontier of {size} leaves takes {expected} bytes, not {got}")]
    Length {
        /// The size found.
        size: u64,
        /// Bytes that a frontier of this size takes.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
}

/// Why a proof shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no such leaf in a tree of this size.
    #[error("a log of {size} frames has no frame {index}")]
    IndexOutside {
        /// The leaf that the proof names.
        index: u64,
        /// The size that the proof names.
        size: u64,
    },
    /// The older tree is said to be the larger one.
    #[error("a log of {from} frames is not the beginning of one of {to}")]
    Backwards {
        /// The older size.
        from: u64,
        /// The newer size.
        to: u64,
    },
    /// A part of the proof is missing, or it is one for a smaller tree.
    #[error("the proof has too few hashes for a log of {size} frames")]
    TooFewHashes {
        /// The size that the proof names.
        size: u64,
    },
    /// Something was added to the proof, or it is one for a larger tree.
    #[error("the proof has too many hashes for a log of {size} frames")]
    TooManyHashes {
        /// The size that the proof names.
        size: u64,
    },
    /// The hashes lead from the leaf to another root.
    #[error("the proof does not lead from the frame to the head")]
    NotIncluded,
    /// The hashes do not give the older root.
    #[error("the proof does not agree with the older head")]
    OlderRoot,
    /// The hashes give the older root, and not the newer.
    #[error("the proof does not lead from the older head to the newer one")]
    NewerRoot,
}

/// Why a text is no signed note, or is not signed by a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The form of the text is not that of a note.
    #[error("the text is not a signed note: {what} is not as it must be")]
    Malformed {
        /// Which part of it.
        what: &'static str,
    },
    /// Longer, or with more signatures, than any note is.
    #[error("the text is longer than any note")]
    TooLong,
    /// The text is not a key that checks signatures.
    #[error("the text is not a public key of signed notes")]
    VerifyingKey,
    /// There is no signature of this key.
    #[error("{key} has not signed it")]
    NotSigned {
        /// Name and id of the key.
        key: String,
    },
    /// There is a signature that names this key, and it is not of this text.
    #[error("the signature of {key} is not of this text")]
    BadSignature {
        /// Name and id of the key.
        key: String,
    },
}

/// Why a text is no head, or no proof against one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// It is not even the note that a head is.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The head is that of another kind of log.
    #[error("the head is not that of a CodexDB database: its first line is {origin:?}")]
    Origin {
        /// The beginning of its first line.
        origin: String,
    },
    /// The form of the text is not that of a head or proof.
    #[error("the text is damaged: {what} is not as it must be")]
    Malformed {
        /// Which part of it.
        what: &'static str,
    },
    /// It does not begin as this kind of proof does, or has no head.
    #[error("the text is not a proof of this kind")]
    NotAProof,
    /// More hashes than any proof has.
    #[error("the proof has more hashes than any log needs")]
    TooManyHashes,
}
