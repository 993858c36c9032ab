//! Records by the hash of their key: one look for a point read, wherever the key stands in the order.
//!
//! The records are spread over many small tables, because a table that is full is moved as a whole: that of one
//! shard takes less than a millisecond among ten million records, and nothing else waits for it.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::record::{Record, hash_of};

/// Records by key.
#[derive(Default)]
pub(super) struct Hashed {
    /// None as long as there are no records.
    shards: Vec<HashTable<Record>>,
}

impl Hashed {
    /// The record of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        let hash = hash_of(key);
        self.shards.get(shard(hash))?.find(spread(hash), |record| record.key() == key)
    }

    /// All records, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.shards.iter().flatten()
    }

    /// Puts a record in the place of the one with its key, which is returned.
    pub(super) fn put(&mut self, record: Record) -> Option<Record> {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARD_COUNT, HashTable::new);
        }
        let hash = record.hash();
        let is_same = |found: &Record| found.hash() == hash && found.key() == record.key();
        let rehash = |record: &Record| spread(record.hash());
        match self.shards[shard(hash)].entry(spread(hash), is_same, rehash) {
            Entry::Occupied(mut found) => Some(std::mem::replace(found.get_mut(), record)),
            Entry::Vacant(place) => {
                place.insert(record);
                None
            }
        }
    }

    /// Takes out the record of a key.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Record> {
        let hash = hash_of(key);
        let found = self.shards.get_mut(shard(hash))?.find_entry(spread(hash), |record| record.key() == key);
        Some(found.ok()?.remove().0)
    }
}

fn shard(hash: u32) -> usize {
    usize::try_from(hash).expect("a word has at least 32 bits") % SHARD_COUNT
}

/// A table chooses places by the lowest bits of a hash and tells records apart by the highest; those that have chosen
/// the shard are the same in all of it.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash >> SHARD_COUNT.trailing_zeros())
}

const SHARD_COUNT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashSet;

    #[test]
    fn hashes_of_one_shard_differ_where_a_table_looks() {
        let hashes = (0..4096_u32).map(|number| number.wrapping_mul(0x9E37_79B1) & !0x3ff | 5);
        let spread: Vec<_> = hashes.inspect(|hash| assert_eq!(shard(*hash), 5)).map(spread).collect();
        let tags: HashSet<_> = spread.iter().map(|hash| hash >> 57).collect();
        let places: HashSet<_> = spread.iter().map(|hash| hash & 0xfff).collect();
        assert_eq!(tags.len(), 128);
        assert!(places.len() > 2000);
    }
}
