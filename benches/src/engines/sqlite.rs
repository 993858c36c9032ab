//! `SQLite`, through rusqlite: a B-tree with a write-ahead log.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Engine, Session, Use, last_byte};
use crate::data::Record;

const INSERT: &str = "INSERT OR REPLACE INTO records (key, value) VALUES (?1, ?2)";
const GET: &str = "SELECT value FROM records WHERE key = ?1";
const SCAN: &str = "SELECT key, value FROM records WHERE key >= ?1 ORDER BY key";

pub(super) struct Peer {
    path: PathBuf,
    /// Writers of one process wait here rather than in `SQLite`, where waiting is polling.
    writer: Mutex<Connection>,
}

impl Peer {
    pub(super) fn open(path: &Path, purpose: Use) -> Result<Self> {
        let writer = Connection::open(path)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match purpose {
            Use::Durable => "FULL",
            Use::Buffered => "NORMAL",
        };
        writer.pragma_update(None, "synchronous", synchronous)?;
        // 256 MiB: all records fit in.
        writer.pragma_update(None, "cache_size", -262_144)?;
        writer.execute_batch(
            "CREATE TABLE IF NOT EXISTS records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        )?;
        Ok(Self { path: path.to_path_buf(), writer: Mutex::new(writer) })
    }
}

impl Engine for Peer {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        let reader = Connection::open(&self.path)?;
        reader.pragma_update(None, "mmap_size", 4_i64 << 30)?;
        Ok(Box::new(PeerSession { peer: self, reader }))
    }
}

struct PeerSession<'e> {
    peer: &'e Peer,
    reader: Connection,
}

impl PeerSession<'_> {
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.peer.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session for PeerSession<'_> {
    fn set(&mut self, (key, value): &Record) -> Result<()> {
        self.writer().prepare_cached(INSERT)?.execute(params![key, value])?;
        Ok(())
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for (key, value) in records {
                insert.execute(params![key, value])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn set_buffered(&mut self, record: &Record) -> Result<()> {
        self.set(record)
    }

    fn flush(&mut self) -> Result<()> {
        // With `synchronous=NORMAL` a checkpoint is what makes commits durable.
        Ok(self.writer().query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))?)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        let mut get = self.reader.prepare_cached(GET)?;
        Ok(get.query_row(params![key], |row| Ok(last_byte(row.get_ref(0)?.as_blob()?))).optional()?)
    }

    fn scan(&mut self, prefix: &[u8]) -> Result<u64> {
        let mut scan = self.reader.prepare_cached(SCAN)?;
        let mut rows = scan.query(params![prefix])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            if !row.get_ref(0)?.as_blob()?.starts_with(prefix) {
                break;
            }
            black_box(last_byte(row.get_ref(1)?.as_blob()?));
            count += 1;
        }
        Ok(count)
    }
}
