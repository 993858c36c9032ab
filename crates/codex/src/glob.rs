//! Patterns of keys, with the rules of Redis: over bytes, not characters.

use std::fmt;

use crate::error::{Error, Result};

/// A pattern that keys match as a whole.
///
/// | in a pattern | matches |
/// | --- | --- |
/// | `*` | any bytes, also none |
/// | `?` | any one byte |
/// | `[abc]`, `[a-c]` | one byte of the class |
/// | `[^abc]` | one byte that is not of the class |
/// | `\` and a byte | that byte, in a class too |
/// | any other byte | itself |
///
/// In a class, `-` makes a range of the bytes before and behind it, in whichever order they stand and whatever they are.
/// Then the first `]` ends it; a `[` without its `]` is refused. A character that is not ASCII is several bytes, so `?` does not match it and `*` does.
///
/// ```
/// use codex::Glob;
///
/// let glob = Glob::new("user:[0-9]*:name")?;
/// assert!(glob.matches("user:17:name"));
/// assert!(!glob.matches("user:x:name"));
/// assert_eq!(glob.prefix(), b"user:");
/// # Ok::<(), codex::Error>(())
/// ```
#[derive(Clone)]
pub struct Glob {
    parts: Vec<Part>,
    /// What stands before the first part that may match more than one thing.
    prefix: Vec<u8>,
}

#[derive(Clone)]
enum Part {
    Byte(u8),
    AnyByte,
    AnyBytes,
    Class(Box<Class>),
}

/// The bytes that match, one bit for each.
#[derive(Clone, Default)]
struct Class([u64; 4]);

impl Glob {
    /// Reads a pattern.
    ///
    /// ```
    /// let unclosed = codex::Glob::new("user:[0-9");
    /// assert!(unclosed.is_err_and(|error| error.kind() == codex::ErrorKind::Validation));
    /// ```
    pub fn new(pattern: impl AsRef<[u8]>) -> Result<Self> {
        let mut rest = pattern.as_ref();
        let mut parts = Vec::new();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            parts.push(match (byte, behind) {
                (b'*', _) => {
                    // One is as good as many, and quicker.
                    if matches!(parts.last(), Some(Part::AnyBytes)) {
                        continue;
                    }
                    Part::AnyBytes
                }
                (b'?', _) => Part::AnyByte,
                (b'[', _) => {
                    let (class, behind) = Class::read(behind)?;
                    rest = behind;
                    Part::Class(Box::new(class))
                }
                (b'\\', [escaped, behind @ ..]) => {
                    rest = behind;
                    Part::Byte(*escaped)
                }
                _ => Part::Byte(byte),
            });
        }
        let literal = |part: &Part| if let Part::Byte(byte) = part { Some(*byte) } else { None };
        let prefix = parts.iter().map_while(literal).collect();
        Ok(Self { parts, prefix })
    }

    /// Whether a key matches. Takes no longer than the product of both lengths.
    ///
    /// ```
    /// assert!(codex::Glob::new("a?c*")?.matches("abcdef"));
    /// assert!(!codex::Glob::new(r"a\*")?.matches("abc"));
    /// # Ok::<(), codex::Error>(())
    /// ```
    #[must_use]
    pub fn matches(&self, key: impl AsRef<[u8]>) -> bool {
        let key = key.as_ref();
        let (mut part, mut byte) = (0, 0);
        // Behind the last `*`, and how far it reaches: where the rest does not match, it takes one byte more. What an
        // earlier one took need not be tried again, since the last one can take that as well.
        let mut star = None;
        loop {
            let matched = match (self.parts.get(part), key.get(byte)) {
                (None, None) => return true,
                (Some(Part::AnyBytes), _) => {
                    part += 1;
                    star = Some((part, byte));
                    continue;
                }
                (Some(part), Some(byte)) => part.takes(*byte),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if matched {
                part += 1;
                byte += 1;
                continue;
            }
            match &mut star {
                Some((behind_star, reach)) if *reach < key.len() => {
                    *reach += 1;
                    (part, byte) = (*behind_star, *reach);
                }
                _ => return false,
            }
        }
    }

    /// What all matching keys begin with: the pattern up to the first part that may match more than one thing.
    ///
    /// ```
    /// assert_eq!(codex::Glob::new("user:*:name")?.prefix(), b"user:");
    /// assert_eq!(codex::Glob::new("*")?.prefix(), b"");
    /// # Ok::<(), codex::Error>(())
    /// ```
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Glob").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

impl Part {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::AnyByte | Self::AnyBytes => true,
            Self::Class(class) => class.has(byte),
        }
    }
}

impl Class {
    /// Reads a class from behind its `[`, and returns what stands behind its `]`.
    fn read(pattern: &[u8]) -> Result<(Self, &[u8])> {
        let (negated, mut rest) = match pattern {
            [b'^', rest @ ..] => (true, rest),
            _ => (false, pattern),
        };
        let mut class = Self::default();
        loop {
            let (first, last, behind) = match rest {
                [] => return Err(Error::validation("the pattern has a `[` without its `]`")),
                [b']', behind @ ..] => return Ok((if negated { class.negated() } else { class }, behind)),
                [b'\\', byte, behind @ ..] => (byte, byte, behind),
                [one, b'-', other, behind @ ..] => (one.min(other), one.max(other), behind),
                [byte, behind @ ..] => (byte, byte, behind),
            };
            class.add(*first, *last);
            rest = behind;
        }
    }

    fn add(&mut self, first: u8, last: u8) {
        for byte in first..=last {
            self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }

    fn negated(self) -> Self {
        Self(self.0.map(|bits| !bits))
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn matches(pattern: &[u8], key: &[u8]) -> bool {
        Glob::new(pattern).unwrap().matches(key)
    }

    #[test]
    fn each_part_matches_what_redis_says() {
        for (pattern, key, expected) in [
            ("user:*:name", "user:1:name", true),
            ("user:*:name", "user:1:2:name", true),
            ("user:*:name", "user:1:names", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a**b", "ab", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hbllo", true),
            ("h[a-c]llo", "hcllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("[a-]-z]", "_z]", false),
            ("[a-]-z]", "_", true),
            ("[]a", "]a", false),
            ("[^]a", "xa", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
            ("[a\\-z]", "b", false),
            ("[a\\-z]", "-", true),
            ("]", "]", true),
            ("a\\", "a\\", true),
            ("?", "ä", false),
            ("??", "ä", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), key.as_bytes()), expected, "{pattern} {key}");
        }
        assert!(matches(b"[\x80-\xff]*", b"\xff\x00"), "keys are bytes");
    }

    #[test]
    fn a_class_without_its_end_is_refused() {
        for pattern in ["[", "[a", "[^", "a[b-", "[a-]", "[\\]", "x[a]["] {
            assert_eq!(Glob::new(pattern).unwrap_err().kind(), ErrorKind::Validation, "{pattern}");
        }
    }

    #[test]
    fn what_stands_before_the_first_choice_bounds_the_search() {
        for (pattern, prefix) in
            [("user:*", "user:"), ("a\\*b?", "a*b"), ("[a]b", ""), ("whole", "whole"), ("*", "")]
        {
            assert_eq!(Glob::new(pattern).unwrap().prefix(), prefix.as_bytes(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_against_a_long_key_end_soon() {
        // Trying every way of sharing out the key would take longer than there is time.
        let pattern = [&b"*a".repeat(30)[..], b"*b"].concat();
        assert!(!matches(&pattern, &b"a".repeat(20_000)));
    }

    /// The rules once more, as a search through all ways to match.
    fn naive(pattern: &[u8], key: &[u8]) -> bool {
        match (pattern, key) {
            ([], _) => key.is_empty(),
            ([b'*', rest @ ..], _) => (0..=key.len()).any(|taken| naive(rest, &key[taken..])),
            (_, []) => false,
            ([b'?', rest @ ..], [_, key @ ..]) => naive(rest, key),
            ([b'[', rest @ ..], [first, key @ ..]) => {
                let negated = rest.first() == Some(&b'^');
                let mut at = usize::from(negated);
                let mut found = false;
                while rest[at] != b']' {
                    if rest[at] == b'\\' && rest.len() > at + 1 {
                        found |= rest[at + 1] == *first;
                        at += 2;
                    } else if rest.get(at + 1) == Some(&b'-') && rest.len() > at + 2 {
                        let (low, high) = (rest[at].min(rest[at + 2]), rest[at].max(rest[at + 2]));
                        found |= (low..=high).contains(first);
                        at += 3;
                    } else {
                        found |= rest[at] == *first;
                        at += 1;
                    }
                }
                found != negated && naive(&rest[at + 1..], key)
            }
            ([b'\\', byte, rest @ ..] | [byte, rest @ ..], [first, key @ ..]) => {
                byte == first && naive(rest, key)
            }
        }
    }

    fn bytes_of(alphabet: &'static [u8], len: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(alphabet), 0..len)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_pattern_matches_what_a_search_of_all_ways_matches(
            pattern in bytes_of(b"ab-^*?[]\\", 10),
            key in bytes_of(b"ab-^*?[]\\", 8),
        ) {
            if let Ok(glob) = Glob::new(&pattern) {
                prop_assert_eq!(glob.matches(&key), naive(&pattern, &key));
                prop_assert!(!glob.matches(&key) || key.starts_with(glob.prefix()));
            }
        }
    }
}
