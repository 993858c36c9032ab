//! Hash maps in memory: what reads could be if nothing were a database.

use std::sync::{PoisonError, RwLock};

use anyhow::{Result, bail};
use hashbrown::HashMap;

use super::{Engine, Session, last_byte};
use crate::data::{Key, Record, Value};

/// A map behind the standard library's lock.
#[derive(Default)]
pub(super) struct Locked(RwLock<HashMap<Key, Value>>);

impl Engine for Locked {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(LockedSession(self)))
    }
}

struct LockedSession<'e>(&'e Locked);

impl Session for LockedSession<'_> {
    fn set(&mut self, (key, value): &Record) -> Result<()> {
        self.0.0.write().unwrap_or_else(PoisonError::into_inner).insert(*key, *value);
        Ok(())
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        self.0.0.write().unwrap_or_else(PoisonError::into_inner).extend(records.iter().copied());
        Ok(())
    }

    fn set_buffered(&mut self, record: &Record) -> Result<()> {
        self.set(record)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        let map = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(map.get(key).map(|value| last_byte(value)))
    }

    fn scan(&mut self, _prefix: &[u8]) -> Result<u64> {
        bail!("a hash map has no order")
    }
}

/// A map without a lock.
#[cfg(feature = "peers")]
#[derive(Default)]
pub(super) struct Papaya(papaya::HashMap<Key, Value>);

#[cfg(feature = "peers")]
impl Engine for Papaya {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(PapayaSession(self)))
    }
}

#[cfg(feature = "peers")]
struct PapayaSession<'e>(&'e Papaya);

#[cfg(feature = "peers")]
impl Session for PapayaSession<'_> {
    fn set(&mut self, (key, value): &Record) -> Result<()> {
        self.0.0.pin().insert(*key, *value);
        Ok(())
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        let map = self.0.0.pin();
        for (key, value) in records {
            map.insert(*key, *value);
        }
        Ok(())
    }

    fn set_buffered(&mut self, record: &Record) -> Result<()> {
        self.set(record)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        Ok(self.0.0.pin().get(key).map(|value| last_byte(value)))
    }

    fn scan(&mut self, _prefix: &[u8]) -> Result<u64> {
        bail!("a hash map has no order")
    }
}
