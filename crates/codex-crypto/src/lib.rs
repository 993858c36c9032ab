//! Keys, sealing, key slots and the Merkle log of the `CodexDB` database.
//!
//! This crate chooses algorithms and binds what they protect; the algorithms themselves come from
//! `ring` (AES-256-GCM, HKDF, HMAC, Ed25519), `sha2` (SHA-256) and `argon2` (Argon2id). It knows no files,
//! starts no threads and reads no clock: it works on bytes in memory, and the only thing it asks
//! the system for is random bytes.
//!
//! | to | take |
//! | --- | --- |
//! | encrypt and authenticate frames | [`Sealer`]: [`Aes256GcmSealer`], [`PlaintextSealer`] |
//! | keep a root key under a key or a passphrase | [`KeySlot`], opened by an [`Unlock`] |
//! | keep a root key that was replaced under the one of now | [`RetiredKey`] |
//! | know what a log holds | [`merkle::Frontier`] over [`merkle::leaf_hash`] |
//! | prove and check what it held | [`proof`]: [`proof::InclusionProof`], [`proof::ConsistencyProof`] |
//! | sign its heads, and hand them on as text | [`head`], [`note`] |
//!
//! These hold everywhere in this crate:
//!
//! - A key and a nonce meet once. The nonce is always zero: each AES key is derived for one
//!   message, and sealing consumes it.
//! - Secrets have no `Clone`, and their `Debug` shows nothing. Bytes that this crate keeps are
//!   wiped when dropped.
//! - Tags, digests and commitments are compared in constant time.
//!
//! # What is left in memory
//!
//! Wiping is as good as safe Rust allows, which is less than complete:
//!
//! - Root keys, encryption keys, passphrases, the secret that Argon2id yields and the memory it
//!   worked in are overwritten. Keys lie on the heap, so moving one moves a pointer.
//! - `ring` keeps expanded keys in types of its own that do not wipe themselves. The long-lived
//!   ones are overwritten by a key of zeros on drop ([`Aes256GcmSealer`]); that is an ordinary
//!   write, which the compiler is asked, but not bound, to keep.
//! - An expanded frame key lives on the stack for the time of one call. It is not wiped; the next
//!   call writes over it. So do intermediate values of `ring`, `sha2` and `argon2`, and registers
//!   that the system saved.
//! - A [`SigningKey`] wipes its seed; `ring`'s form of it lives on the stack for the time of one
//!   signature, and is not wiped.
//! - What a caller passes by value or reference stays the caller's to wipe, and so does every
//!   decrypted payload.

pub mod head;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod random;

mod derive;
mod digest;
mod error;
mod key;
mod retired;
mod seal;
mod slot;

pub use digest::{Digest, sha256};
pub use error::{
    FrontierError, HeadError, KeyError, NoteError, OpenError, ProofError, RandomError, SealError,
};
pub use head::{HeadNote, LogHead};
pub use key::{DatabaseId, EncryptionKey, Passphrase, RootKey, Unlock};
pub use merkle::Frontier;
pub use note::{SigningKey, VerifyingKey};
pub use proof::{ConsistencyProof, InclusionProof};
pub use retired::RetiredKey;
pub use seal::{Aes256GcmSealer, PlaintextSealer, Purpose, Salt, Sealer, Suite};
pub use slot::{KeySlot, PassphraseCost, SlotKind};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
