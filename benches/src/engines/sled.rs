//! sled: a log of B-tree pages.

use std::hint::black_box;
use std::path::Path;

use anyhow::Result;
use sled::{Batch, Db};

use super::{Engine, Session, last_byte};
use crate::data::Record;

pub(super) struct Peer(Db);

impl Peer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self(sled::open(path)?))
    }
}

impl Engine for Peer {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(PeerSession(&self.0)))
    }
}

struct PeerSession<'e>(&'e Db);

impl Session for PeerSession<'_> {
    fn set(&mut self, record: &Record) -> Result<()> {
        self.set_buffered(record)?;
        self.flush()
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        let mut batch = Batch::default();
        for (key, value) in records {
            batch.insert(key, value.as_slice());
        }
        self.0.apply_batch(batch)?;
        self.flush()
    }

    fn set_buffered(&mut self, (key, value): &Record) -> Result<()> {
        self.0.insert(key, value.as_slice())?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()?;
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        Ok(self.0.get(key)?.map(|value| last_byte(&value)))
    }

    fn scan(&mut self, prefix: &[u8]) -> Result<u64> {
        let mut count = 0;
        for entry in self.0.scan_prefix(prefix) {
            black_box(last_byte(&entry?.1));
            count += 1;
        }
        Ok(count)
    }
}
