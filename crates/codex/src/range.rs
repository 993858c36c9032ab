//! Ranges of keys.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// A range of keys: any of the standard library's ranges over what can be read as bytes, `..`, or a pair of bounds.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use std::ops::Bound;
///
/// store.set_many([("a", &1), ("b", &2), ("c", &3)])?;
/// assert_eq!(store.range(..).count(), 3);
/// assert_eq!(store.range("a".."c").count(), 2);
/// assert_eq!(store.range("b"..).count(), 2);
/// assert_eq!(store.range("a"..="c").count(), 3);
/// assert_eq!(store.range((Bound::Excluded("a"), Bound::Unbounded)).count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KeyRange: sealed::IntoBounds {}

impl<R: sealed::IntoBounds> KeyRange for R {}

pub(crate) use codex_storage::Bounds;

pub(crate) mod sealed {
    /// Lower and upper bound, owned.
    pub trait IntoBounds {
        fn into_bounds(self) -> super::Bounds;
    }
}

use sealed::IntoBounds;

fn owned<K: AsRef<[u8]>>(key: K) -> Vec<u8> {
    key.as_ref().to_vec()
}

impl IntoBounds for RangeFull {
    fn into_bounds(self) -> Bounds {
        (Bound::Unbounded, Bound::Unbounded)
    }
}

impl<K: AsRef<[u8]>> IntoBounds for Range<K> {
    fn into_bounds(self) -> Bounds {
        (Bound::Included(owned(self.start)), Bound::Excluded(owned(self.end)))
    }
}

impl<K: AsRef<[u8]>> IntoBounds for RangeInclusive<K> {
    fn into_bounds(self) -> Bounds {
        let (start, end) = self.into_inner();
        (Bound::Included(owned(start)), Bound::Included(owned(end)))
    }
}

impl<K: AsRef<[u8]>> IntoBounds for RangeFrom<K> {
    fn into_bounds(self) -> Bounds {
        (Bound::Included(owned(self.start)), Bound::Unbounded)
    }
}

impl<K: AsRef<[u8]>> IntoBounds for RangeTo<K> {
    fn into_bounds(self) -> Bounds {
        (Bound::Unbounded, Bound::Excluded(owned(self.end)))
    }
}

impl<K: AsRef<[u8]>> IntoBounds for RangeToInclusive<K> {
    fn into_bounds(self) -> Bounds {
        (Bound::Unbounded, Bound::Included(owned(self.end)))
    }
}

impl<K: AsRef<[u8]>> IntoBounds for (Bound<K>, Bound<K>) {
    fn into_bounds(self) -> Bounds {
        (self.0.map(owned), self.1.map(owned))
    }
}

/// All keys that begin with `prefix`.
pub(crate) fn prefix_bounds(prefix: &[u8]) -> Bounds {
    let mut end = prefix.to_vec();
    // The first key behind them: the prefix with its last byte raised, after trailing 0xff are dropped.
    while end.pop_if(|byte| *byte == u8::MAX).is_some() {}
    let upper = match end.last_mut() {
        Some(byte) => {
            *byte += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    };
    (Bound::Included(prefix.to_vec()), upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_the_highest_bytes_has_no_upper_bound() {
        assert_eq!(prefix_bounds(b"a\xff").1, Bound::Excluded(b"b".to_vec()));
        assert_eq!(prefix_bounds(b"\xff\xff").1, Bound::Unbounded);
        assert_eq!(prefix_bounds(b"").1, Bound::Unbounded);
    }
}
