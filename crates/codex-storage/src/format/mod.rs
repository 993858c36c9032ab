//! The bytes on disk, as pure functions. Their source is `docs/file-format.md`.

pub mod frame;
pub mod header;
pub mod record;

use std::fmt;

use serde::Serialize;

/// The format version that this program writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// What a database keeps; chosen when it is created.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex_storage::{Mode, OpenOptions};
///
/// let options = OpenOptions { mode: Some(Mode::Ledger), ..OpenOptions::default() };
/// assert_eq!(options.open(&path, None)?.mode(), Mode::Ledger);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The current state; superseded records are reclaimed.
    Snapshot,
    /// Every commit, for ever.
    Ledger,
}

impl Mode {
    /// The byte that stands for the mode in a header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Snapshot => 1,
            Self::Ledger => 2,
        }
    }

    /// The mode that a byte stands for.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Snapshot),
            2 => Some(Self::Ledger),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "snapshot",
            Self::Ledger => "ledger",
        })
    }
}

/// The position of a commit in the history of a database: from 1, without gaps; 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(pub u64);

impl SequenceNumber {
    /// The largest that is believed of a header or a checkpoint: counting on from it does not overflow, whatever a
    /// file holds. No database gets there.
    pub const MAX: Self = Self(1 << 63);

    /// The number `count` commits later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the `N` bytes at `offset`; the caller has checked that the block is long enough.
fn field<const N: usize>(block: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[offset..offset + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_a_mode_by_its_name_and_a_sequence_number_by_its_digits() {
        assert_eq!(
            format!("{}, {}: {:>3}", Mode::Snapshot, Mode::Ledger, SequenceNumber(70)),
            "snapshot, ledger:  70"
        );
    }
}
