//! What is wrong with a file of the original, and where.

use std::io;
use std::path::Path;

use codex::ErrorKind;

use crate::exit::{Failure, Place};

/// Why a file of the original cannot be read, or not on. No part of it holds what the file holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The disk fails.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    /// A ledger's frame is damaged or cut.
    #[error("the frame at byte {offset} {what}")]
    Frame {
        /// Where the frame begins in the file.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A snapshot is damaged or cut.
    #[error("byte {offset} of its JSON text: {what}")]
    Snapshot {
        /// Where in the JSON text, once it is decrypted and decompressed.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// It is whole, and holds what the original is not known to have written.
    #[error("{what}{}", offset.map_or_else(String::new, |offset| format!(" (byte {offset})")))]
    NotUnderstood {
        /// Where, if that can be told.
        offset: Option<u64>,
        /// What it is.
        what: &'static str,
    },
    /// Not a form of the original's.
    #[error("it is neither a snapshot, plain or compressed, nor a ledger of the original program")]
    Unknown,
    /// The same, but it may be encrypted.
    #[error(
        "without a key it is neither a snapshot nor a ledger: it is encrypted, damaged or something else"
    )]
    NoKey,
    /// The key opens neither the first frame nor the whole.
    #[error(
        "the key opens it neither as a ledger nor as a snapshot: it is of another key, damaged or something else"
    )]
    WrongKey,
    /// A key for a file that needs none.
    #[error("a key is given, and the file is not encrypted")]
    NotEncrypted,
}

impl Fault {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(_) => ErrorKind::Io,
            Self::Frame { .. } | Self::Snapshot { .. } => ErrorKind::Integrity,
            Self::NotUnderstood { .. } | Self::Unknown | Self::NotEncrypted => ErrorKind::Validation,
            Self::NoKey | Self::WrongKey => ErrorKind::Encryption,
        }
    }

    /// Where it is: in a ledger's file, or in a snapshot's JSON text.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Frame { offset, .. } | Self::Snapshot { offset, .. } => Some(*offset),
            Self::NotUnderstood { offset, .. } => *offset,
            Self::Read(_) | Self::Unknown | Self::NoKey | Self::WrongKey | Self::NotEncrypted => None,
        }
    }

    /// What the user is told, with what to do next.
    pub(crate) fn of_file(self, path: &Path) -> Failure {
        let shown = path.display();
        let offset = self.offset();
        let hint = match self {
            Self::Read(error) => return Failure::io(format!("read {shown}"), error),
            Self::Frame { .. } | Self::Snapshot { .. } => {
                "nothing was imported; --partial takes what stands before the damage, and says what that is"
            }
            Self::NotUnderstood { .. } => "nothing was imported",
            Self::Unknown => "`codex import FILE` without --from reads JSON Lines",
            Self::NoKey => {
                "give the key that the original used with --from-key-file or the variable CODEXDB_GO_KEY"
            }
            Self::WrongKey => "nothing was imported; --from-mode ledger or snapshot says which of them it is",
            Self::NotEncrypted => "leave out --from-key-file, or unset CODEXDB_GO_KEY",
        };
        let message = match self.kind() {
            ErrorKind::Integrity => format!("{shown} is damaged: {self}"),
            _ => format!("{shown}: {self}"),
        };
        Failure::new(self.kind(), message).hint(hint).at(Place { offset, ..Place::default() })
    }
}
