//! Records by the hash of their key, for point reads.
//!
//! A record lies in a bucket of one cache line, beside a byte of each neighbour's hash. So a search waits for memory
//! twice: for the bucket, and for the record that it wants; it seldom looks at another one. Where a bucket is full, what
//! belongs there lies in the next one that has room, and each bucket in between counts it: a search that comes to a
//! bucket which nothing had to pass ends there.
//!
//! The records are spread over many small tables, because a table that is full is moved as a whole: that of one
//! shard takes less than a millisecond among ten million records, and nothing else waits for it.

use std::iter;
use std::mem;

use crate::record::{Record, hash_of};

/// Records by key.
#[derive(Default)]
pub(super) struct Hashed {
    /// None as long as there are no records.
    shards: Vec<Shard>,
}

impl Hashed {
    /// The record of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        let hash = hash_of(key);
        let shard = self.shards.get(shard_of(hash))?;
        let (bucket, slot) = shard.find(hash, |record| record.key() == key)?;
        shard.buckets[bucket].records[slot].as_ref()
    }

    /// All records, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.shards.iter().flat_map(|shard| &shard.buckets).flat_map(|bucket| bucket.records.iter().flatten())
    }

    /// Puts a record in the place of the one with its key, which is returned.
    pub(super) fn put(&mut self, record: Record) -> Option<Record> {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARD_COUNT, Shard::default);
        }
        let hash = record.hash();
        let shard = &mut self.shards[shard_of(hash)];
        let is_same = |found: &Record| found.hash() == hash && found.key() == record.key();
        if let Some((bucket, slot)) = shard.find(hash, is_same) {
            return shard.buckets[bucket].records[slot].replace(record);
        }
        if shard.len == shard.buckets.len() * BUCKET_RECORDS {
            shard.grow();
        }
        shard.insert(hash, record);
        None
    }

    /// Takes out the record of a key.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Record> {
        let hash = hash_of(key);
        self.shards.get_mut(shard_of(hash))?.take(hash, |record| record.key() == key)
    }
}

/// Buckets that are looked at one behind the other, the first behind the last.
#[derive(Default)]
struct Shard {
    /// None, or a power of two.
    buckets: Vec<Bucket>,
    len: usize,
}

impl Shard {
    /// The bucket that a hash belongs to, and all behind it.
    fn probe(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let count = self.buckets.len();
        let home = (hash >> SHARD_COUNT.trailing_zeros()) as usize;
        (home..home + count).map(move |index| index & (count - 1))
    }

    /// Bucket and slot of the record with a hash that `is_wanted`.
    fn find(&self, hash: u32, is_wanted: impl Fn(&Record) -> bool) -> Option<(usize, usize)> {
        for index in self.probe(hash) {
            let bucket = &self.buckets[index];
            let wanted = |slot: &usize| bucket.records[*slot].as_ref().is_some_and(&is_wanted);
            if let Some(slot) = bucket.marks.slots(mark_of(hash)).find(wanted) {
                return Some((index, slot));
            }
            if bucket.marks.passed() == 0 {
                return None;
            }
        }
        None
    }

    /// Adds a record whose key is absent; there must be room.
    fn insert(&mut self, hash: u32, record: Record) {
        for index in self.probe(hash) {
            let bucket = &mut self.buckets[index];
            let Some(slot) = bucket.marks.slots(FREE).next() else {
                bucket.marks.count_passed(1);
                continue;
            };
            bucket.marks.set(slot, mark_of(hash));
            bucket.records[slot] = Some(record);
            self.len += 1;
            return;
        }
        unreachable!("a shard grows before it is full")
    }

    fn take(&mut self, hash: u32, is_wanted: impl Fn(&Record) -> bool) -> Option<Record> {
        let (found, slot) = self.find(hash, is_wanted)?;
        for index in self.probe(hash).take_while(|index| *index != found) {
            self.buckets[index].marks.count_passed(-1);
        }
        let bucket = &mut self.buckets[found];
        bucket.marks.set(slot, FREE);
        self.len -= 1;
        bucket.records[slot].take()
    }

    fn grow(&mut self) {
        let count = (2 * self.buckets.len()).max(1);
        let buckets = iter::repeat_with(Bucket::default).take(count).collect();
        let buckets = mem::replace(&mut self.buckets, buckets);
        let mut records = Vec::with_capacity(self.len);
        records.extend(buckets.into_iter().flat_map(|bucket| bucket.records).flatten());
        // By itself, because the processor overlaps waits for memory that do not need each other.
        let hashes: Vec<_> = records.iter().map(Record::hash).collect();
        self.len = 0;
        hashes.into_iter().zip(records).for_each(|(hash, record)| self.insert(hash, record));
    }
}

/// A cache line.
#[derive(Default)]
#[repr(align(64))]
struct Bucket {
    marks: Marks,
    records: [Option<Record>; BUCKET_SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// What a bucket knows without a look at its records. The lowest bytes are the marks of its slots; the highest counts
/// the records that were put behind the bucket because it was full.
#[derive(Clone, Copy, Default)]
struct Marks(u64);

impl Marks {
    /// The slots that have a mark, the first exactly; a later one may have another mark.
    fn slots(self, mark: u8) -> impl Iterator<Item = usize> {
        // A byte that is zero borrows from the one above, which sets its highest bit; that one may then do so, too.
        let difference = self.0 ^ (EACH_BYTE * u64::from(mark));
        let mut found = difference.wrapping_sub(EACH_BYTE) & !difference & HIGHEST_BITS;
        iter::from_fn(move || {
            let slot = found.trailing_zeros() as usize / 8;
            found &= found.checked_sub(1)?;
            Some(slot)
        })
    }

    fn set(&mut self, slot: usize, mark: u8) {
        self.0 = self.0 & !(0xff << (8 * slot)) | u64::from(mark) << (8 * slot);
    }

    fn passed(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// One that has ever been the highest number counts no more: it may stand for any.
    fn count_passed(&mut self, by: i8) {
        if self.passed() != u8::MAX {
            let passed = self.passed().saturating_add_signed(by);
            self.0 = self.0 << 8 >> 8 | u64::from(passed) << (8 * BUCKET_SLOTS);
        }
    }
}

/// The lowest bits of a hash choose the shard, the next ones the bucket, the highest ones are its mark.
fn shard_of(hash: u32) -> usize {
    hash as usize % SHARD_COUNT
}

fn mark_of(hash: u32) -> u8 {
    hash.to_be_bytes()[0].max(1)
}

const SHARD_COUNT: usize = 1024;
const BUCKET_SLOTS: usize = 7;
/// So many records a bucket has on the average when a shard grows. At most every sixth record then lies in another
/// bucket than it belongs to.
const BUCKET_RECORDS: usize = 6;

/// No hash has this mark.
const FREE: u8 = 0;
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
/// Of the marks.
const HIGHEST_BITS: u64 = 0x0080_8080_8080_8080;

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    fn record(key: u16) -> Record {
        Record::new(&key.to_be_bytes(), 2)
    }

    fn is(key: u16) -> impl Fn(&Record) -> bool {
        move |record| record.key() == key.to_be_bytes()
    }

    proptest! {
        #[test]
        fn holds_what_a_map_holds(changes in prop::collection::vec((any::<bool>(), 0..30_000_u16), 0..20_000)) {
            let (mut hashed, mut model) = (Hashed::default(), BTreeMap::new());
            for (count, (put, key)) in changes.into_iter().enumerate() {
                let stored = Record::new(&[&key.to_be_bytes()[..], &count.to_be_bytes()].concat(), 2);
                let (old, expected) = if put {
                    (hashed.put(stored.clone()), model.insert(key, stored))
                } else {
                    (hashed.take(&key.to_be_bytes()), model.remove(&key))
                };
                prop_assert_eq!(old, expected);
            }
            for key in 0..30_000_u16 {
                prop_assert_eq!(hashed.get(&key.to_be_bytes()), model.get(&key));
            }
            let mut all: Vec<_> = hashed.iter().map(|record| record.bytes().to_vec()).collect();
            all.sort();
            prop_assert!(all.into_iter().eq(model.values().map(|record| record.bytes().to_vec())));
        }

        /// Most records lie in other buckets than they belong to, as they never do in so great a number by chance.
        #[test]
        fn records_that_crowd_together_are_found_and_leave_nothing_behind(
            changes in prop::collection::vec((any::<bool>(), 0..48_u16), 0..500),
        ) {
            let mut shard = Shard { buckets: iter::repeat_with(Bucket::default).take(8).collect(), len: 0 };
            let hash_of = |key: u16| u32::from(key % 3) << 10 | u32::from(key % 5) << 24;
            let mut model = BTreeSet::new();
            for (put, key) in changes {
                let found = shard.find(hash_of(key), is(key)).is_some();
                prop_assert_eq!(found, model.contains(&key));
                if put && !found {
                    shard.insert(hash_of(key), record(key));
                    model.insert(key);
                } else if !put {
                    prop_assert_eq!(shard.take(hash_of(key), is(key)).is_some(), model.remove(&key));
                }
                prop_assert_eq!(shard.len, model.len());
            }
            for key in 0..48 {
                prop_assert_eq!(shard.take(hash_of(key), is(key)).is_some(), model.contains(&key));
            }
            prop_assert!(shard.buckets.iter().all(|bucket| bucket.marks.0 == 0));
        }

        #[test]
        fn marks_show_every_slot_that_has_one_and_the_first_exactly(
            marks in prop::array::uniform7(0..4_u8),
            passed in any::<u8>(),
            sought in 0..4_u8,
        ) {
            let mut all = Marks(u64::from(passed) << 56);
            marks.iter().enumerate().for_each(|(slot, mark)| all.set(slot, *mark));
            prop_assert_eq!(all.passed(), passed);
            let shown: Vec<_> = all.slots(sought).collect();
            let having: Vec<_> = (0..7).filter(|slot| marks[*slot] == sought).collect();
            prop_assert_eq!(shown.first(), having.first());
            prop_assert!(having.iter().all(|slot| shown.contains(slot)));
            prop_assert!(shown.iter().all(|slot| *slot < 7));
        }
    }

    #[test]
    fn a_count_that_was_full_stays_so_that_no_record_is_lost() {
        let mut marks = Marks::default();
        (0..254).for_each(|_| marks.count_passed(1));
        marks.count_passed(-1);
        assert_eq!(marks.passed(), 253);
        (0..3).for_each(|_| marks.count_passed(1));
        marks.count_passed(-1);
        assert_eq!(marks.passed(), 255);
    }

    #[test]
    fn no_record_has_the_mark_of_a_free_slot() {
        assert_eq!(mark_of(0x0012_3456), 1);
        assert_eq!(mark_of(u32::MAX), 0xff);
        assert_eq!(shard_of(u32::MAX), SHARD_COUNT - 1);
    }
}
