//! Records in key order: a tree of two levels, whose leaves are short sorted lists.
//!
//! A leaf knows what all its keys begin with, and keeps the eight bytes behind that of each key in a list of their own.
//! So a search within a leaf seldom looks at a record, and a scan looks at each once.
//!
//! A scan shares a leaf and reads it without the table's lock; who changes a leaf that is shared copies it first.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::mem;
use std::ops::{Bound, Range};

use triomphe::Arc;

use crate::record::Record;

/// Records by key.
#[derive(Default)]
pub(super) struct Ordered {
    /// Each leaf under a key that is not above its first one, and above all keys of the leaf before; the first leaf
    /// under the empty key. No leaf but the first is empty.
    leaves: BTreeMap<Box<[u8]>, Arc<Leaf>>,
}

#[derive(Clone, Default)]
struct Leaf {
    /// What all keys of the leaf begin with; it may be less than they have in common.
    common: Box<[u8]>,
    /// Of each record the bytes of the key behind the common part, as a big-endian number, filled up with zeros.
    nexts: Vec<u64>,
    records: Vec<Record>,
}

/// Records of a leaf as they were when it was looked up, given out from both ends.
#[derive(Default)]
pub(crate) struct Page {
    leaf: Arc<Leaf>,
    rest: Range<usize>,
    /// What lies outside was brought into the cache.
    cold: Range<usize>,
}

impl Page {
    fn new(leaf: &Arc<Leaf>, records: Range<usize>) -> Self {
        Self { leaf: leaf.clone(), rest: records.clone(), cold: records }
    }

    /// Whether all records were given out.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether more of the leaf stands in front of what is left.
    pub(crate) fn begins_within(&self) -> bool {
        self.rest.start > 0
    }

    /// Whether more of the leaf stands behind what is left.
    pub(crate) fn ends_within(&self) -> bool {
        self.rest.end < self.leaf.records.len()
    }

    /// The key that [`Page::next`] comes to.
    pub(crate) fn first_key(&self) -> Option<&[u8]> {
        self.leaf.records[self.rest.clone()].first().map(Record::key)
    }

    /// The key that [`Page::next_back`] comes to.
    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        self.leaf.records[self.rest.clone()].last().map(Record::key)
    }

    /// The next record from the front.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&Record> {
        let index = self.rest.next()?;
        if index == self.cold.start {
            self.cold.start = self.cold.end.min(index + AHEAD_COUNT);
            self.fetch(index..self.cold.start);
        }
        Some(&self.leaf.records[index])
    }

    /// The next record from the back.
    #[inline]
    pub(crate) fn next_back(&mut self) -> Option<&Record> {
        let index = self.rest.next_back()?;
        if index + 1 == self.cold.end {
            self.cold.end = self.cold.start.max(self.cold.end.saturating_sub(AHEAD_COUNT));
            self.fetch(self.cold.end..index + 1);
        }
        Some(&self.leaf.records[index])
    }

    /// Has records brought into the cache, of long ones the ends. They lie anywhere in memory, which is waited for twice
    /// here: the processor overlaps reads that do not need each other, but not with the counting of references that
    /// follows.
    fn fetch(&self, indexes: Range<usize>) {
        let records = &self.leaf.records[indexes];
        for record in records {
            black_box(record.key_len());
        }
        for record in records {
            let value = record.value();
            black_box((value.first().copied(), value.last().copied()));
        }
    }
}

impl Ordered {
    /// Records whose keys differ, in any order.
    pub(super) fn from_records(mut records: Vec<Record>) -> Self {
        if !records.is_sorted_by(|one, next| one.key() < next.key()) {
            sort(&mut records);
        }
        let mut records = records.into_iter().peekable();
        let mut leaves = BTreeMap::new();
        while let Some(record) = records.peek() {
            let under = if leaves.is_empty() { Box::default() } else { record.key().into() };
            let leaf = Leaf::from_sorted(records.by_ref().take(LEAF_LOADED).collect());
            leaves.insert(under, Arc::new(leaf));
        }
        Self { leaves }
    }

    /// Puts a record in the place of the one with its key, which is returned.
    pub(super) fn put(&mut self, record: Record) -> Option<Record> {
        let leaf = match self.leaves.range_mut::<[u8], _>(up_to(record.key())).next_back() {
            Some((_, leaf)) => leaf,
            None => self.leaves.entry(Box::default()).or_default(),
        };
        let leaf = Arc::make_mut(leaf);
        let index = match leaf.find(record.key()) {
            Ok(index) => return Some(mem::replace(&mut leaf.records[index], record)),
            Err(index) => index,
        };
        if leaf.records.len() < LEAF_MAX {
            leaf.insert(index, record);
            return None;
        }
        // Keys that come in order leave full leaves behind them.
        let middle = if index == LEAF_MAX { LEAF_MAX } else { LEAF_MAX / 2 };
        let mut right = leaf.split_off(middle);
        if index < middle {
            leaf.insert(index, record);
        } else {
            right.insert(index - middle, record);
        }
        self.leaves.insert(right.records[0].key().into(), Arc::new(right));
        None
    }

    /// Takes out the record of a key.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Record> {
        let (under, leaf) = self.leaves.range_mut::<[u8], _>(up_to(key)).next_back()?;
        let index = leaf.find(key).ok()?;
        let leaf = Arc::make_mut(leaf);
        leaf.nexts.remove(index);
        let record = leaf.records.remove(index);
        if leaf.records.len() < LEAF_MIN {
            let under = under.clone();
            self.mend(&under);
        }
        Some(record)
    }

    /// The records of a range, leaf by leaf from both ends; no page is empty.
    pub(super) fn pages<'a>(
        &'a self,
        (lower, upper): (Bound<&'a [u8]>, Bound<&'a [u8]>),
    ) -> impl DoubleEndedIterator<Item = Page> {
        let first = match lower {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) | Bound::Excluded(key) => {
                let holds_key = self.leaves.range::<[u8], _>(up_to(key)).next_back();
                holds_key.map_or(Bound::Unbounded, |(under, _)| Bound::Included(&**under))
            }
        };
        let leaves = self.leaves.range::<[u8], _>((first, upper));
        leaves.filter_map(move |(_, leaf)| {
            let start = match lower {
                Bound::Unbounded => 0,
                Bound::Included(key) => leaf.find(key).unwrap_or_else(|index| index),
                Bound::Excluded(key) => leaf.find(key).map_or_else(|index| index, |index| index + 1),
            };
            let end = match upper {
                Bound::Unbounded => leaf.records.len(),
                Bound::Included(key) => leaf.find(key).map_or_else(|index| index, |index| index + 1),
                Bound::Excluded(key) => leaf.find(key).unwrap_or_else(|index| index),
            };
            (start < end).then(|| Page::new(leaf, start..end))
        })
    }

    /// Joins a leaf that has become short with the one behind it, if both fit into one; else gives memory back.
    fn mend(&mut self, under: &[u8]) {
        let len = self.leaves.get(under).map_or(0, |leaf| leaf.records.len());
        if len == 0 && !under.is_empty() {
            self.leaves.remove(under);
            return;
        }
        let behind = self.leaves.range::<[u8], _>((Bound::Excluded(under), Bound::Unbounded)).next();
        let fits = behind.filter(|(_, leaf)| len + leaf.records.len() <= LEAF_LOADED);
        let behind = fits.map(|(under, _)| under.clone()).and_then(|under| self.leaves.remove(&under));
        let Some(leaf) = self.leaves.get_mut(under) else { return };
        if let Some(behind) = behind {
            let (leaf, behind) = (Arc::make_mut(leaf), Arc::unwrap_or_clone(behind));
            *leaf =
                Leaf::from_sorted(mem::take(&mut leaf.records).into_iter().chain(behind.records).collect());
        } else if leaf.records.capacity() > 4 * len {
            let leaf = Arc::make_mut(leaf);
            leaf.nexts.shrink_to(2 * len);
            leaf.records.shrink_to(2 * len);
        }
    }
}

impl Leaf {
    fn from_sorted(records: Vec<Record>) -> Self {
        let common: Box<[u8]> = match (records.first(), records.last()) {
            (Some(first), Some(last)) => first.key()[..common_len(first.key(), last.key())].into(),
            _ => Box::default(),
        };
        let nexts = records.iter().map(|record| number(&record.key()[common.len()..])).collect();
        Self { common, nexts, records }
    }

    /// Where a key is, or where it belongs.
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let head = &key[..key.len().min(self.common.len())];
        match head.cmp(&self.common) {
            std::cmp::Ordering::Less => return Err(0),
            std::cmp::Ordering::Greater => return Err(self.records.len()),
            std::cmp::Ordering::Equal => {}
        }
        // A few cache lines that are waited for together; a search alone would wait for half of them one by one.
        for next in self.nexts.iter().step_by(LINE_NEXTS) {
            black_box(*next);
        }
        let next = number(&key[self.common.len()..]);
        let start = self.nexts.partition_point(|other| *other < next);
        let count = self.nexts[start..].partition_point(|other| *other == next);
        match self.records[start..start + count].binary_search_by(|record| record.key().cmp(key)) {
            Ok(index) => Ok(start + index),
            Err(index) => Err(start + index),
        }
    }

    fn insert(&mut self, index: usize, record: Record) {
        let key = record.key();
        if self.records.is_empty() {
            self.common = key.into();
        } else if !key.starts_with(&self.common) {
            self.set_common(key[..common_len(&self.common, key)].into());
        }
        self.nexts.insert(index, number(&key[self.common.len()..]));
        self.records.insert(index, record);
    }

    fn split_off(&mut self, index: usize) -> Self {
        let (nexts, records) = (self.nexts.split_off(index), self.records.split_off(index));
        let mut right = Self { common: self.common.clone(), nexts, records };
        self.narrow();
        right.narrow();
        right
    }

    /// Makes the common part as long as it can be.
    fn narrow(&mut self) {
        let (Some(first), Some(last)) = (self.records.first(), self.records.last()) else { return };
        let (first, last) = (first.key(), last.key());
        let shared = common_len(first, last);
        if shared > self.common.len() {
            let common = first[..shared].into();
            self.set_common(common);
        }
    }

    fn set_common(&mut self, common: Box<[u8]>) {
        self.common = common;
        for (next, record) in self.nexts.iter_mut().zip(&self.records) {
            *next = number(&record.key()[self.common.len()..]);
        }
    }
}

fn up_to(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(key))
}

/// Sorts by a few bytes of each key that are copied first, so that most comparisons look at no record.
fn sort(records: &mut Vec<Record>) {
    let Some(first) = records.first().cloned() else { return };
    let common = records.iter().map(|record| common_len(first.key(), record.key())).min().unwrap_or_default();
    let beside = |record: Record| (number(&record.key()[common..]), record);
    let mut sorted: Vec<_> = mem::take(records).into_iter().map(beside).collect();
    sorted.sort_unstable_by(|(next, record), (other_next, other)| {
        next.cmp(other_next).then_with(|| record.key().cmp(other.key()))
    });
    *records = sorted.into_iter().map(|(_, record)| record).collect();
}

/// How many bytes two keys begin with in common.
fn common_len(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The first eight bytes as a number that orders as they do, zeros where there are fewer.
fn number(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = bytes.len().min(first.len());
    first[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(first)
}

/// A leaf is split when it would have more records than this. Inserting moves half of a leaf, one KiB.
const LEAF_MAX: usize = 128;
/// What a leaf gets at loading, and at most when two are joined: it leaves room for what comes.
const LEAF_LOADED: usize = 96;
/// With fewer a leaf is joined with the next one, if it can be.
const LEAF_MIN: usize = 32;

/// So many numbers are in a cache line.
const LINE_NEXTS: usize = 64 / size_of::<u64>();

/// Records that a scan has brought into the cache at a time.
const AHEAD_COUNT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    fn record(key: &[u8]) -> Record {
        Record::new(key, u16::try_from(key.len()).unwrap())
    }

    fn keys(ordered: &Ordered) -> Vec<Vec<u8>> {
        keys_within(ordered, (Bound::Unbounded, Bound::Unbounded))
    }

    fn keys_within(ordered: &Ordered, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Vec<Vec<u8>> {
        let each =
            |mut page: Page| std::iter::from_fn(move || page.next().map(|record| record.key().to_vec()));
        ordered.pages(range).flat_map(each).collect()
    }

    /// Keys that share beginnings of all lengths, some of them each other's beginning.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let tail = prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', 255]), 0..6);
        (prop::sample::select(vec![&b"k"[..], b"key:", b"key:0000000000"]), tail)
            .prop_map(|(head, tail)| [head, &tail].concat())
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
    }

    fn assert_sound(ordered: &Ordered) {
        for (index, (under, leaf)) in ordered.leaves.iter().enumerate() {
            assert!(index > 0 || under.is_empty());
            assert!(leaf.records.len() <= LEAF_MAX);
            assert!(index == 0 || !leaf.records.is_empty());
            assert_eq!(leaf.nexts.len(), leaf.records.len());
            for (next, record) in leaf.nexts.iter().zip(&leaf.records) {
                let key = record.key();
                assert!(key >= under && key.starts_with(&leaf.common));
                assert_eq!(*next, number(&key[leaf.common.len()..]));
            }
        }
    }

    proptest! {
        #[test]
        fn holds_what_a_set_of_keys_holds_in_order_and_in_every_range(
            changes in prop::collection::vec((any::<bool>(), key()), 0..3000),
            loaded in prop::collection::btree_set(key(), 0..1000),
            lower in bound(),
            upper in bound(),
        ) {
            let mut model: BTreeSet<Vec<u8>> = loaded;
            let mut ordered = Ordered::from_records(model.iter().rev().map(|key| record(key)).collect());
            for (put, key) in changes {
                if put {
                    let was = ordered.put(record(&key)).is_some();
                    prop_assert_eq!(was, !model.insert(key));
                } else {
                    let was = ordered.take(&key).is_some();
                    prop_assert_eq!(was, model.remove(&key));
                }
            }
            assert_sound(&ordered);
            let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
            if crate::view::is_valid(bounds) {
                let expected: Vec<_> = model.range::<[u8], _>(bounds).cloned().collect();
                let each = |mut page: Page| {
                    std::iter::from_fn(move || page.next_back().map(|record| record.key().to_vec()))
                };
                let mut backwards: Vec<_> = ordered.pages(bounds).rev().flat_map(each).collect();
                backwards.reverse();
                let inwards = |mut page: Page| {
                    let (mut front, mut back) = (Vec::new(), Vec::new());
                    while let Some(record) = page.next() {
                        front.push(record.key().to_vec());
                        back.extend(page.next_back().map(|record| record.key().to_vec()));
                    }
                    front.extend(back.into_iter().rev());
                    front
                };
                prop_assert_eq!(&ordered.pages(bounds).flat_map(inwards).collect::<Vec<_>>(), &expected);
                prop_assert_eq!(&keys_within(&ordered, bounds), &expected);
                prop_assert_eq!(&backwards, &expected);
            }
            for key in std::mem::take(&mut model) {
                prop_assert!(ordered.take(&key).is_some());
            }
            prop_assert!(keys(&ordered).is_empty());
            assert_sound(&ordered);
        }
    }

    #[test]
    fn leaves_are_split_and_joined_again() {
        let mut ordered = Ordered::default();
        let numbers = || (0..10_000_u32).map(|number| number.wrapping_mul(0x9E37_79B1).to_be_bytes());
        for number in numbers() {
            assert!(ordered.put(record(&number)).is_none());
        }
        assert_sound(&ordered);
        assert!(ordered.leaves.len() < 2 * 10_000 / LEAF_MAX * 2, "leaves are at least half full");
        let mut expected: Vec<_> = numbers().map(|number| number.to_vec()).collect();
        expected.sort();
        assert_eq!(keys(&ordered), expected);
        for number in numbers().skip(100) {
            assert!(ordered.take(&number).is_some());
        }
        assert_sound(&ordered);
        assert!(ordered.leaves.len() < 10, "short leaves are joined");
    }

    #[test]
    fn keys_that_come_in_order_fill_their_leaves() {
        let mut ordered = Ordered::default();
        (0..10_000_u32).for_each(|number| assert!(ordered.put(record(&number.to_be_bytes())).is_none()));
        assert_eq!(ordered.leaves.len(), 10_000_usize.div_ceil(LEAF_MAX));
    }
}
