//! The records that every engine is given: keys of 16 bytes, values of 100.
//!
//! A key is the hexadecimal form of a mixed group number and a mixed member number. Records that follow each other in
//! number lie in different groups, so that they are set in random order; the 100 members of a group share a prefix of
//! eight bytes, so that a scan of a prefix sees exactly them. Values do not compress.

pub(crate) type Key = [u8; 16];
pub(crate) type Value = [u8; 100];
pub(crate) type Record = (Key, Value);

/// Members of a group.
pub(crate) const PREFIX_RECORDS: u64 = 100;

/// Bytes of key and value.
pub(crate) const RECORD_LEN: u64 = 116;

/// The keys of a database of a certain size. A number beyond the size is a key that is absent from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    groups: u64,
}

impl Keys {
    pub(crate) fn of(records: u64) -> Self {
        Self { groups: records.div_ceil(PREFIX_RECORDS) }
    }

    pub(crate) fn key(self, number: u64) -> Key {
        let mut key = [0; 16];
        let (group, member) = key.split_at_mut(8);
        group.copy_from_slice(&hexadecimal(mixed(number % self.groups)));
        member.copy_from_slice(&hexadecimal(mixed(number / self.groups)));
        key
    }

    /// The prefix of a group, any number taken.
    pub(crate) fn prefix(self, number: u64) -> [u8; 8] {
        hexadecimal(mixed(number % self.groups))
    }

    pub(crate) fn record(self, number: u64) -> Record {
        (self.key(number), value(number))
    }

    /// The records from `first` on, without one at or beyond `end`.
    pub(crate) fn batch(self, first: u64, end: u64) -> Vec<Record> {
        (first..end).map(|number| self.record(number)).collect()
    }
}

pub(crate) fn value(number: u64) -> Value {
    let mut random = Random::of(number);
    let mut value = [0; 100];
    for word in value.chunks_mut(8) {
        word.copy_from_slice(&random.next().to_le_bytes()[..word.len()]);
    }
    value
}

/// Numbers that look random and are the same in every run (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Maps 32 bits one to one (the last step of `MurmurHash3`).
fn mixed(number: u64) -> u32 {
    let number = u32::try_from(number).expect("fewer than 2^32 groups and members");
    let number = (number ^ (number >> 16)).wrapping_mul(0x85eb_ca6b);
    let number = (number ^ (number >> 13)).wrapping_mul(0xc2b2_ae35);
    number ^ (number >> 16)
}

fn hexadecimal(number: u32) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 8];
    for (place, digit) in text.iter_mut().rev().enumerate() {
        *digit = DIGITS[(number >> (4 * place)) as usize & 15];
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_distinct_and_each_prefix_has_its_hundred() {
        let keys = Keys::of(10_000);
        let all: BTreeSet<Key> = (0..10_000).map(|number| keys.key(number)).collect();
        assert_eq!(all.len(), 10_000);
        for number in [0, 99, 12_345] {
            let prefix = keys.prefix(number);
            assert_eq!(all.iter().filter(|key| key.starts_with(&prefix)).count(), 100);
        }
        assert!(!all.contains(&keys.key(10_000)), "a number beyond the size is absent");
    }

    #[test]
    fn a_number_is_written_with_its_highest_digit_first() {
        assert_eq!(&hexadecimal(0x0123_abcd), b"0123abcd");
    }
}
