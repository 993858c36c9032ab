//! The engines under test, each behind the same few calls, in its durable and natural best setting.
//!
//! The calls go through a vtable, which costs all engines the same few nanoseconds.

mod codex;
#[cfg(feature = "peers")]
mod emdb;
#[cfg(feature = "peers")]
mod fjall;
#[cfg(feature = "peers")]
mod heed;
mod maps;
#[cfg(feature = "peers")]
mod redb;
#[cfg(feature = "peers")]
mod sled;
#[cfg(feature = "peers")]
mod sqlite;

use std::path::Path;

use anyhow::{Result, bail};

pub(crate) use self::codex::options;
use crate::data::Record;

/// An open database.
pub(crate) trait Engine: Sync {
    /// What one thread works with.
    fn session(&self) -> Result<Box<dyn Session + '_>>;

    /// Commits and syncs since it was opened; `None` where it does not say.
    fn commits_and_syncs(&self) -> Option<(u64, u64)> {
        None
    }
}

/// One thread's access to an engine.
pub(crate) trait Session {
    /// Sets one record, durable on return.
    fn set(&mut self, record: &Record) -> Result<()>;

    /// Sets many records in one commit, durable on return.
    fn set_all(&mut self, records: &[Record]) -> Result<()>;

    /// Sets one record that need not be durable before [`Session::flush`] has returned.
    fn set_buffered(&mut self, record: &Record) -> Result<()>;

    fn flush(&mut self) -> Result<()>;

    /// The last byte of a key's value, so that the value must have been there.
    fn get(&mut self, key: &[u8]) -> Result<Option<u8>>;

    /// Reads all records whose keys begin with `prefix`, in order; returns how many.
    fn scan(&mut self, prefix: &[u8]) -> Result<u64>;
}

/// How an engine is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// For commits that are durable on return.
    Durable,
    /// For sets that one flush makes durable.
    Buffered,
}

/// A row of the tables.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The package whose version is shown.
    pub(crate) package: &'static str,
    pub(crate) kind: Kind,
    /// How it is used, and what it syncs.
    pub(crate) setting: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    /// Durable when a set returns.
    Peer,
    /// Named among the peers, but a set is not known to be durable when it returns.
    NotDurable,
    /// What the machine allows: no database.
    Limit,
}

/// Every row, in the tables' order.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "codex",
        package: "codex",
        kind: Kind::Ours,
        setting: "snapshot mode, encrypted; one data sync for each group of commits, in space set aside before; scans through `for_each`",
    },
    Row {
        name: "codex-ledger",
        package: "codex",
        kind: Kind::Ours,
        setting: "ledger mode, encrypted; syncs as in snapshot mode",
    },
    Row {
        name: "codex-iterator",
        package: "codex",
        kind: Kind::Ours,
        setting: "as `codex`, scans through the iterator that owns its view",
    },
    Row {
        name: "emdb",
        package: "emdb",
        kind: Kind::Peer,
        setting: "`insert` and `flush`; waiting flushes share one data sync; batches are not atomic across a crash; reads without copies",
    },
    Row { name: "emdb-encrypted", package: "emdb", kind: Kind::Peer, setting: "as `emdb`, with AES-256-GCM" },
    Row {
        name: "emdb-ordered",
        package: "emdb",
        kind: Kind::Peer,
        setting: "as `emdb`, with the ordered index that scans need",
    },
    Row {
        name: "fjall",
        package: "fjall",
        kind: Kind::Peer,
        setting: "`insert` and `persist(SyncData)`, 512 MiB of cache; a data sync each, in a journal whose length is set to 64 MiB before",
    },
    Row {
        name: "heed",
        package: "heed",
        kind: Kind::Peer,
        setting: "LMDB, synchronous transactions; a data sync of the pages and one of the meta page each; buffered: one transaction, as `MDB_NOSYNC` is an `unsafe` call, so nobody else sees or sets anything before its end",
    },
    Row {
        name: "redb",
        package: "redb",
        kind: Kind::Peer,
        setting: "`Durability::Immediate`, one-phase commit; a data sync each; buffered: `Durability::None`, then one durable commit",
    },
    Row {
        name: "sled",
        package: "sled",
        kind: Kind::NotDurable,
        setting: "`insert` and `flush`, which calls `sync_file_range` on Linux: the disk is not asked to flush, so it counts as no durable peer",
    },
    Row {
        name: "sqlite",
        package: "libsqlite3-sys",
        kind: Kind::Peer,
        setting: "bundled, WAL, `synchronous=FULL`, `WITHOUT ROWID`, one writer's connection, one reader's a thread, memory map; a data sync each; buffered: `synchronous=NORMAL`, then a checkpoint",
    },
    Row {
        name: "append",
        package: "",
        kind: Kind::Limit,
        setting: "each thread appends 150 bytes to one file and data-syncs them",
    },
    Row {
        name: "append-group",
        package: "",
        kind: Kind::Limit,
        setting: "one thread appends as many records of 150 bytes as there are writers, and data-syncs them together",
    },
    Row {
        name: "written-group",
        package: "",
        kind: Kind::Limit,
        setting: "as `append-group`, into space that was written before",
    },
    Row {
        name: "map-rwlock",
        package: "hashbrown",
        kind: Kind::Limit,
        setting: "`RwLock<hashbrown::HashMap>` in memory, keys and values inside it",
    },
    Row {
        name: "map-papaya",
        package: "papaya",
        kind: Kind::Limit,
        setting: "a concurrent hash map in memory, keys and values inside it",
    },
];

pub(crate) fn row(name: &str) -> Result<&'static Row> {
    match ROWS.iter().find(|row| row.name == name) {
        Some(row) => Ok(row),
        None => bail!(
            "{name} is no row; there are: {}",
            ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Whether this program was built with what the row needs.
pub(crate) fn is_built(row: &Row) -> bool {
    let peer = matches!(row.kind, Kind::Peer | Kind::NotDurable) || row.package == "papaya";
    !peer || cfg!(feature = "peers")
}

/// Opens the engine of a row with its files in `folder`, or makes it anew.
pub(crate) fn open(row: &str, folder: &Path, purpose: Use) -> Result<Box<dyn Engine>> {
    use ::codex::Mode::{Ledger, Snapshot};
    let database = folder.join("database");
    Ok(match row {
        "codex" => Box::new(codex::Codex::open(&database, Snapshot, purpose, codex::Scan::ForEach)?),
        "codex-ledger" => Box::new(codex::Codex::open(&database, Ledger, purpose, codex::Scan::ForEach)?),
        "codex-iterator" => {
            Box::new(codex::Codex::open(&database, Snapshot, purpose, codex::Scan::Iterator)?)
        }
        "map-rwlock" => Box::new(maps::Locked::default()),
        #[cfg(feature = "peers")]
        "map-papaya" => Box::new(maps::Papaya::default()),
        #[cfg(feature = "peers")]
        "emdb" => Box::new(emdb::Peer::open(&database, emdb::Variant::Plain)?),
        #[cfg(feature = "peers")]
        "emdb-encrypted" => Box::new(emdb::Peer::open(&database, emdb::Variant::Encrypted)?),
        #[cfg(feature = "peers")]
        "emdb-ordered" => Box::new(emdb::Peer::open(&database, emdb::Variant::Ordered)?),
        #[cfg(feature = "peers")]
        "fjall" => Box::new(fjall::Peer::open(&database)?),
        #[cfg(feature = "peers")]
        "heed" => Box::new(heed::Peer::open(&database)?),
        #[cfg(feature = "peers")]
        "redb" => Box::new(redb::Peer::open(&database)?),
        #[cfg(feature = "peers")]
        "sled" => Box::new(sled::Peer::open(&database)?),
        #[cfg(feature = "peers")]
        "sqlite" => Box::new(sqlite::Peer::open(&database, purpose)?),
        other => bail!("{other} is no engine of this build"),
    })
}

/// What [`Session::get`] gives of a value.
fn last_byte(value: &[u8]) -> u8 {
    value.last().copied().unwrap_or(0)
}
