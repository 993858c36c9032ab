//! `CodexDB`: an embedded, encrypted, tamper-evident key-value database.
//!
//! Live data is served from memory; every commit is sealed, linked and on disk before it is acknowledged.
//! [`Store`] is the database, [`Options`] says how it is opened, [`View`] is a consistent state to read.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("app.db");
//! let store = codex::Options::new().encryption_key(codex::EncryptionKey::generate()?).open(&path)?;
//! store.set("user:1", "Ada")?; // on disk when it returns
//! assert_eq!(store.get::<String>("user:1")?.as_deref(), Some("Ada"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # By task
//!
//! | to | take |
//! | --- | --- |
//! | open or create | [`Options::open`], [`Store::open`], [`Options::open_home`] |
//! | write | [`Store::set`], [`set_with`](Store::set_with), [`set_bytes`](Store::set_bytes), [`set_many`](Store::set_many), [`set_with_ttl`](Store::set_with_ttl), [`delete`](Store::delete), [`delete_many`](Store::delete_many), [`clear`](Store::clear) |
//! | write together | a [`Batch`], with [`Store::commit`] or [`submit`](Store::submit) |
//! | read | [`Store::get`], [`get_bytes`](Store::get_bytes), [`get_entry`](Store::get_entry), [`get_many`](Store::get_many), [`has`](Store::has), [`len`](Store::len), [`expires_at`](Store::expires_at) |
//! | read in order | [`Store::range`], [`prefix`](Store::prefix), [`glob`](Store::glob), [`entries`](Store::entries), [`keys`](Store::keys) |
//! | read one state | [`Store::view`], then what [`View`] has |
//! | read, then write | [`Store::transaction`], [`try_transaction`](Store::try_transaction), [`compare_and_swap`](Store::compare_and_swap) |
//! | follow changes | [`Store::watch`] |
//! | look back, in a ledger | [`Store::history`], [`at`](Store::at), [`log`](Store::log) |
//! | prove what was committed | [`Store::head`], [`prove`](Store::prove), [`prove_consistency`](Store::prove_consistency), [`compare_head`](Store::compare_head), [`Options::expect_head`], the module [`proof`] |
//! | back up | [`Store::backup`], [`Options::backups`] with a [`BackupPolicy`], [`Repository`] |
//! | restore | [`restore`], [`Repository::restore`] |
//! | check, salvage | [`Store::verify`], [`proof::UnkeyedLog`], [`repair`] |
//! | change keys | [`Store::key_slots`], [`add_key`](Store::add_key), [`remove_key`](Store::remove_key), [`change_key`](Store::change_key), [`change_key_deep`](Store::change_key_deep), [`calibrate`] |
//! | look after it | [`Store::stats`], [`flush`](Store::flush), [`compact`](Store::compact), [`close`](Store::close) |
//! | handle errors | [`Error::kind`], [`Error::outcome_is_unknown`] |
//!
//! The tutorial, answers by task, all errors and limits, and how it works inside are in the book: `docs/README.md`.
//!
//! Two features, off by default, tell programs what goes on inside: `tracing` as events and spans, `metrics` through the
//! facade of that name. `docs/observability.md` lists them; neither shows what is stored or what unlocks it.

pub mod inspect;
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
mod observe;
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
pub use codex_storage::progress::{Progress, Stage};
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
