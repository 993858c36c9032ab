//! `CodexDB`: an embedded, encrypted, tamper-evident key-value database.
//!
//! Live data is served from memory; every commit is sealed, linked and on disk before it is acknowledged.
//! [`Store`] is the database, [`Options`] says how it is opened, [`View`] is a consistent state to read.

pub mod proof;

mod backup;
mod batch;
mod bytes;
mod codec;
mod error;
mod expiry;
mod glob;
mod history;
mod keys;
mod options;
mod range;
mod repair;
mod report;
mod repository;
mod rotation;
mod store;
mod transaction;
mod value;
mod view;
mod watch;

pub use codex_crypto::{EncryptionKey, PassphraseCost as Argon2Cost, SlotKind, Unlock};
pub use codex_storage::{Durability, Mode, Point};

pub use backup::{Backup, RestoreOptions, restore};
pub use batch::Batch;
pub use bytes::Bytes;
pub use codec::Codec;
pub use error::{Error, ErrorKind, Result};
pub use expiry::Expiry;
pub use glob::Glob;
pub use history::{Change, History, Log, LoggedCommit, Operation, Version};
pub use keys::{KeySlot, NewKey, calibrate, key_slots, key_slots_home};
pub use options::Options;
pub use range::KeyRange;
pub use repair::{Gap, RepairOptions, RepairReport, Resumed, repair};
pub use report::{Head, Report, Stats};
pub use repository::{Pruned, Repository, RepositoryBackup, RepositoryReport, Retention};
pub use rotation::{BackupInterval, BackupPolicy, Commits, OnOpen};
pub use store::{Commit, Pending, Store};
pub use transaction::Transaction;
pub use value::Compression;
pub use view::{Entries, Entry, Range, View};
pub use watch::{Event, KeyChange, Watch};

/// Longest key, in bytes.
pub const KEY_LEN_MAX: usize = codex_storage::KEY_LEN_MAX;
/// Longest encoded value, in bytes.
pub const VALUE_LEN_MAX: usize = codex_storage::USER_VALUE_LEN_MAX;
/// Longest batch, in bytes of keys and values.
pub const BATCH_LEN_MAX: u64 = codex_storage::BATCH_LEN_MAX;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;

#[cfg(doctest)]
mod book;
