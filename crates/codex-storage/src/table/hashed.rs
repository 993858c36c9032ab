//! Records by the hash of their key: one look for a point read, wherever the key stands in the order.
//!
//! The records are spread over many small tables, because a table that is full is moved as a whole: that of one
//! shard takes less than a millisecond among ten million records, and nothing else waits for it.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::record::Record;

/// Records by key.
#[derive(Default)]
pub(super) struct Hashed {
    /// Keyed at random, so that nobody can choose keys that collide.
    hasher: RandomState,
    /// None as long as there are no records.
    shards: Vec<HashTable<Record>>,
}

impl Hashed {
    /// The record of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        let hash = self.hasher.hash_one(key);
        self.shards.get(shard(hash))?.find(hash, |record| record.key() == key)
    }

    /// All records, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.shards.iter().flatten()
    }

    /// Puts a record in the place of the one with its key, which is returned.
    pub(super) fn put(&mut self, record: Record) -> Option<Record> {
        let hash = self.hasher.hash_one(record.key());
        if self.shards.is_empty() {
            self.shards.resize_with(SHARD_COUNT, HashTable::new);
        }
        let rehash = |record: &Record| self.hasher.hash_one(record.key());
        match self.shards[shard(hash)].entry(hash, |found| found.key() == record.key(), rehash) {
            Entry::Occupied(mut found) => Some(std::mem::replace(found.get_mut(), record)),
            Entry::Vacant(place) => {
                place.insert(record);
                None
            }
        }
    }

    /// Takes out the record of a key.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Record> {
        let hash = self.hasher.hash_one(key);
        let found = self.shards.get_mut(shard(hash))?.find_entry(hash, |record| record.key() == key);
        Some(found.ok()?.remove().0)
    }
}

/// A table itself uses the lowest and the highest bits.
fn shard(hash: u64) -> usize {
    usize::try_from(hash >> 40 & (SHARD_COUNT as u64 - 1)).expect("below the number of shards")
}

const SHARD_COUNT: usize = 1024;
