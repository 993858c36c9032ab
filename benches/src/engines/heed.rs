//! heed: LMDB, a copy-on-write B-tree in a memory map.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Result, anyhow};
use heed::types::ByteSlice;
use heed::{Database, Env, EnvOpenOptions, RwTxn};

use super::{Engine, Session, last_byte};
use crate::data::Record;

/// The most that the map can hold; the file takes only what is used.
const MAP_LEN: usize = 16 << 30;

pub(super) struct Peer {
    env: Env,
    records: Database<ByteSlice, ByteSlice>,
}

impl Peer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)?;
        let env = EnvOpenOptions::new().map_size(MAP_LEN).open(path).map_err(plain)?;
        let records = env.create_database(None).map_err(plain)?;
        Ok(Self { env, records })
    }
}

impl Engine for Peer {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(PeerSession { peer: self, buffered: None }))
    }
}

struct PeerSession<'e> {
    peer: &'e Peer,
    /// The transaction of sets that are not flushed.
    buffered: Option<RwTxn<'e, 'e>>,
}

impl Session for PeerSession<'_> {
    fn set(&mut self, record: &Record) -> Result<()> {
        self.set_all(std::slice::from_ref(record))
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        let mut transaction = self.peer.env.write_txn().map_err(plain)?;
        for (key, value) in records {
            self.peer.records.put(&mut transaction, key, value).map_err(plain)?;
        }
        transaction.commit().map_err(plain)
    }

    fn set_buffered(&mut self, (key, value): &Record) -> Result<()> {
        let transaction = match &mut self.buffered {
            Some(transaction) => transaction,
            none => none.insert(self.peer.env.write_txn().map_err(plain)?),
        };
        self.peer.records.put(transaction, key, value).map_err(plain)
    }

    fn flush(&mut self) -> Result<()> {
        self.buffered.take().map_or(Ok(()), |transaction| transaction.commit().map_err(plain))
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        let transaction = self.peer.env.read_txn().map_err(plain)?;
        Ok(self.peer.records.get(&transaction, key).map_err(plain)?.map(last_byte))
    }

    fn scan(&mut self, prefix: &[u8]) -> Result<u64> {
        let transaction = self.peer.env.read_txn().map_err(plain)?;
        let mut count = 0;
        let entries = if prefix.is_empty() {
            Entries::All(self.peer.records.iter(&transaction).map_err(plain)?)
        } else {
            Entries::Prefix(self.peer.records.prefix_iter(&transaction, prefix).map_err(plain)?)
        };
        let mut see = |value: &[u8]| {
            black_box(last_byte(value));
            count += 1;
        };
        match entries {
            Entries::All(entries) => {
                for entry in entries {
                    see(entry.map_err(plain)?.1);
                }
            }
            Entries::Prefix(entries) => {
                for entry in entries {
                    see(entry.map_err(plain)?.1);
                }
            }
        }
        Ok(count)
    }
}

/// LMDB takes no empty prefix.
enum Entries<'t> {
    All(heed::RoIter<'t, ByteSlice, ByteSlice>),
    Prefix(heed::RoPrefix<'t, ByteSlice, ByteSlice>),
}

/// Its errors may not go from thread to thread.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` calls takes the error")]
fn plain(error: heed::Error) -> anyhow::Error {
    anyhow!("heed: {error}")
}
