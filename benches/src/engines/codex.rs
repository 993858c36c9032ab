//! `CodexDB`, encrypted, in both modes.

use std::hint::black_box;
use std::path::Path;

use anyhow::Result;
use codex::{Batch, Durability, EncryptionKey, Mode, Options, Store};

use super::{Engine, Session, Use, last_byte};
use crate::data::Record;

/// What all our rows are opened with.
pub(crate) fn options(mode: Mode) -> Options {
    Options::new().mode(mode).encryption_key(EncryptionKey::from_bytes([7; 32]))
}

/// How a scan is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scan {
    ForEach,
    Iterator,
}

pub(super) struct Codex {
    store: Store,
    scan: Scan,
}

impl Codex {
    pub(super) fn open(path: &Path, mode: Mode, purpose: Use, scan: Scan) -> Result<Self> {
        let durability = match purpose {
            Use::Durable => Durability::Sync,
            Use::Buffered => Durability::Buffered,
        };
        Ok(Self { store: options(mode).durability(durability).open(path)?, scan })
    }
}

impl Engine for Codex {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(CodexSession(self)))
    }

    fn commits_and_syncs(&self) -> Option<(u64, u64)> {
        let stats = self.store.stats();
        Some((stats.commits, stats.syncs))
    }
}

struct CodexSession<'e>(&'e Codex);

impl Session for CodexSession<'_> {
    fn set(&mut self, (key, value): &Record) -> Result<()> {
        Ok(self.0.store.set_bytes(key, value)?)
    }

    fn set_all(&mut self, records: &[Record]) -> Result<()> {
        let mut batch = Batch::new();
        for (key, value) in records {
            batch.set_bytes(key, value);
        }
        self.0.store.commit(batch)?;
        Ok(())
    }

    fn set_buffered(&mut self, record: &Record) -> Result<()> {
        self.set(record)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.0.store.flush()?)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<u8>> {
        Ok(self.0.store.get_bytes(key)?.map(|value| last_byte(&value)))
    }

    fn scan(&mut self, prefix: &[u8]) -> Result<u64> {
        let mut count = 0;
        match self.0.scan {
            Scan::ForEach => {
                let view = self.0.store.view();
                let each = |_: &[u8], value: &[u8]| {
                    black_box(last_byte(value));
                    count += 1;
                };
                // A view has no `for_each` of a prefix: the range that ends before the next prefix is the same.
                match next_prefix(prefix) {
                    Some(end) => view.for_each(prefix..end.as_slice(), each)?,
                    None => view.for_each(prefix.., each)?,
                }
            }
            Scan::Iterator => {
                for entry in self.0.store.prefix(prefix) {
                    black_box(last_byte(&entry?.1));
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

/// The lowest key above all that begin with `prefix`; `None` if there is none.
fn next_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)? + 1;
    let mut next = prefix[..kept].to_vec();
    next[kept - 1] += 1;
    Some(next)
}
