//! redb: a copy-on-write B-tree.

use std::hint::black_box;
use std::path::Path;

use anyhow::Result;
use redb::{Database, Durability, ReadableDatabase as _, TableDefinition};

use super::{Engine, Session, last_byte};
use crate::data::Record;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

pub(super) struct Peer(Database);

impl Peer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let database = Database::create(path)?;
        let transaction = database.begin_write()?;
        // Reading a table that does not exist is an error.
        transaction.open_table(RECORDS)?;
        transaction.commit()?;
        Ok(Self(database))
    }
}

impl Engine for Peer {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(PeerSession(&self.0)))
    }
}

struct PeerSession<'e>(&'e Database);

impl PeerSession<'_> {
    fn commit(&self, records: &[Record], durability: Durability) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for (key, value) in records {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Session for PeerSession<'_> {
    fn set(&mut self, record: &Record) -> Result<()> {
        self.set_all(std::slice::from_ref(record))
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        self.commit(records, Durability::Immediate)
    }

    fn set_buffered(&mut self, record: &Record) -> Result<()> {
        self.commit(std::slice::from_ref(record), Durability::None)
    }

    fn flush(&mut self) -> Result<()> {
        self.commit(&[], Durability::Immediate)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        Ok(table.get(key)?.map(|value| last_byte(value.value())))
    }

    fn scan(&mut self, prefix: &[u8]) -> Result<u64> {
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        let mut count = 0;
        for entry in table.range(prefix..)? {
            let (key, value) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            black_box(last_byte(value.value()));
            count += 1;
        }
        Ok(count)
    }
}
