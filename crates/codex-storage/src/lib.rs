//! The storage layer of `CodexDB`: the log, the engines, recovery, and the dual-lock commit core.
//!
//! [`Database`] is the whole of it: an ordered map from keys to values in memory, every commit of which is
//! sealed, linked and on disk before it is acknowledged. [`core::Core`] is the commit core alone, for an
//! [`core::Engine`] of one's own; [`vfs`] is the file system below.
//!
//! This layer knows no codecs and no policies of backup; bytes on disk are specified in
//! `docs/file-format.md`, crash behaviour in `docs/durability.md`, the locks in `docs/concurrency.md`.

pub mod clock;
pub mod core;
pub mod files;
pub mod format;
pub mod lock;
pub mod progress;
pub mod sync;
pub mod table;
pub mod vfs;
pub mod watch;

mod background;
mod batch;
mod cut;
mod database;
mod engine;
mod error;
mod group;
mod inspect;
mod keys;
mod ledger;
mod log;
mod observe;
mod open;
mod pacing;
mod point;
mod prefix;
mod prove;
mod record;
mod recovery;
mod repair;
mod snapshot;
mod stats;
mod tail;
mod unkeyed;
mod verify;
mod view;

pub use background::{Background, Chore};
pub use batch::{
    BATCH_LEN_MAX, Batch, KEY_LEN_MAX, Operation, REQUIRED_RECORDS_MAX, USER_VALUE_LEN_MAX, VALUE_LEN_MAX,
};
pub use database::Database;
pub use error::{Damage, Result, StorageError};
pub use format::header::Floor;
pub use format::{Mode, SequenceNumber};
pub use group::Pending;
pub use inspect::{FilesBeside, HeaderCopy, Inspection, files_beside, inspect};
pub use keys::{KeysRefusal, NewKey, SlotInfo, recorded_slots};
pub use ledger::checkpoint::remove_checkpoint;
pub use ledger::commits::{LoggedCommit, LoggedCommits};
pub use ledger::history::{Change, History, Version};
pub use log::Durability;
pub use open::OpenOptions;
pub use point::Point;
pub use prefix::Prefix;
pub use prove::{CommitProof, Continuation, ExpectedHead, FrameFacts, HeadMismatch};
pub use record::Record;
pub use recovery::{Recovery, recorded_floor};
pub use repair::{Gap, RepairOptions, RepairReport, Resumed, repair};
pub use stats::Stats;
pub use table::{Group, Outcome, Totals};
pub use tail::{LogTail, TailReading};
pub use unkeyed::{UnkeyedLog, UnkeyedReport, check_unkeyed};
pub use verify::Report;
pub use view::{Bounds, Range, View};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
