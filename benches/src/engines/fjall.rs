//! fjall: a log-structured merge tree.

use std::hint::black_box;
use std::path::Path;

use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Engine, Session, last_byte};
use crate::data::Record;

/// All records fit in, as they do in memory with us.
const CACHE_LEN: u64 = 512 << 20;

pub(super) struct Peer {
    database: Database,
    records: Keyspace,
}

impl Peer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let database = Database::builder(path).cache_size(CACHE_LEN).open()?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
        Ok(Self { database, records })
    }
}

impl Engine for Peer {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(PeerSession(self)))
    }
}

struct PeerSession<'e>(&'e Peer);

impl Session for PeerSession<'_> {
    fn set(&mut self, record: &Record) -> Result<()> {
        self.set_buffered(record)?;
        self.flush()
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        let mut batch = self.0.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in records {
            batch.insert(&self.0.records, key.as_slice(), value.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn set_buffered(&mut self, (key, value): &Record) -> Result<()> {
        Ok(self.0.records.insert(key.as_slice(), value.as_slice())?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.0.database.persist(PersistMode::SyncData)?)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        Ok(self.0.records.get(key)?.map(|value| last_byte(&value)))
    }

    fn scan(&mut self, prefix: &[u8]) -> Result<u64> {
        let mut count = 0;
        for entry in self.0.records.prefix(prefix) {
            black_box(last_byte(&entry.into_inner()?.1));
            count += 1;
        }
        Ok(count)
    }
}
