//! emdb: a hash index over an append-only log.

use std::hint::black_box;
use std::path::Path;

use anyhow::Result;
use emdb::{Emdb, FlushPolicy};

use super::{Engine, Session, last_byte};
use crate::data::Record;

#[derive(Clone, Copy, Debug)]
pub(super) enum Variant {
    Plain,
    Encrypted,
    /// With the index that scans need.
    Ordered,
}

pub(super) struct Peer(Emdb);

impl Peer {
    pub(super) fn open(path: &Path, variant: Variant) -> Result<Self> {
        let builder = Emdb::builder().path(path).flush_policy(FlushPolicy::Group);
        let builder = match variant {
            Variant::Plain => builder,
            Variant::Encrypted => builder.encryption_key([7; 32]),
            Variant::Ordered => builder.enable_range_scans(true),
        };
        Ok(Self(builder.build()?))
    }
}

impl Engine for Peer {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(PeerSession(&self.0)))
    }
}

struct PeerSession<'e>(&'e Emdb);

impl Session for PeerSession<'_> {
    fn set(&mut self, record: &Record) -> Result<()> {
        self.set_buffered(record)?;
        self.flush()
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        self.0.insert_many(records.iter().map(|(key, value)| (key, value)))?;
        self.flush()
    }

    fn set_buffered(&mut self, (key, value): &Record) -> Result<()> {
        Ok(self.0.insert(*key, *value)?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        Ok(self.0.get_zerocopy(key)?.map(|value| last_byte(&value)))
    }

    fn scan(&mut self, prefix: &[u8]) -> Result<u64> {
        let mut count = 0;
        for (_, value) in self.0.range_prefix_iter(prefix)? {
            black_box(last_byte(&value));
            count += 1;
        }
        Ok(count)
    }
}
