//! What a database must show: a small state for every commit, cheap to keep and to compare.

use std::fmt;
use std::ops::Bound;

use codex_storage::vfs::sim::Random;
use codex_storage::{Batch, SequenceNumber, View};

/// How many keys there are.
pub const KEY_COUNT: usize = 10;

/// A value: its bytes follow from the stamp, which no other value of a history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Says which value it is.
    pub stamp: u32,
    /// In bytes.
    pub len: u32,
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        Random::new(u64::from(self.stamp)).fill(&mut bytes);
        bytes
    }
}

/// One change of a commit. Keys are numbers below [`KEY_COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key gets a value.
    Set(usize, Value),
    /// A key goes.
    Delete(usize),
    /// Everything goes.
    Clear,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(key, Value { stamp, len }) => write!(f, "set {key} to #{stamp} of {len} bytes"),
            Self::Delete(key) => write!(f, "delete {key}"),
            Self::Clear => f.write_str("clear"),
        }
    }
}

/// The bytes of a key: short ones, a long one, and one that is not text.
#[must_use]
pub fn key(number: usize) -> Vec<u8> {
    match number {
        8 => vec![b'l'; 600],
        9 => vec![0xff, 0, number.to_le_bytes()[0]],
        _ => format!("key {number}").into_bytes(),
    }
}

/// The changes as the library takes them.
#[must_use]
pub fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::new();
    for change in changes {
        match change {
            Change::Set(number, value) => batch.set(&key(*number), &[&value.bytes()]),
            Change::Delete(number) => batch.delete(&key(*number)),
            Change::Clear => {
                batch.clear();
                Ok(())
            }
        }
        .expect("keys and values are within bounds");
    }
    batch
}

/// What a commit comes to.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// The state behind it.
    pub state: State,
    /// Something is written, so that the commit takes a sequence number.
    pub writes: bool,
    /// Deletions that find their key.
    pub removed: u64,
}

/// All records, by the number of their key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State([Option<Value>; KEY_COUNT]);

impl State {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: usize) -> Option<Value> {
        self.0[key]
    }

    /// What changes come to, by the rules of the file format: only what changes something is recorded.
    #[must_use]
    pub fn after(&self, changes: &[Change]) -> Effect {
        let mut effect = Effect { state: *self, writes: false, removed: 0 };
        for change in changes {
            let records = &mut effect.state.0;
            match change {
                Change::Set(key, value) => {
                    records[*key] = Some(*value);
                    effect.writes = true;
                }
                Change::Delete(key) => {
                    if records[*key].take().is_some() {
                        effect.writes = true;
                        effect.removed += 1;
                    }
                }
                Change::Clear => {
                    effect.writes |= records.iter().any(Option::is_some);
                    *records = [None; KEY_COUNT];
                }
            }
        }
        effect
    }

    /// Holds all records of a view against this state, in both ways of reading.
    pub fn compare(&self, view: &View) -> Result<(), String> {
        let mut expected: Vec<(Vec<u8>, Value)> =
            self.0.iter().enumerate().filter_map(|(number, value)| Some((key(number), (*value)?))).collect();
        expected.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let found: Vec<_> = view.range((Bound::Unbounded, Bound::Unbounded)).collect();
        let keys = |keys: Vec<&[u8]>| keys.iter().map(|key| name(key)).collect::<Vec<_>>().join(", ");
        if expected.iter().map(|(key, _)| key.as_slice()).ne(found.iter().map(codex_storage::Record::key)) {
            let (expected, found) = (
                keys(expected.iter().map(|(key, _)| key.as_slice()).collect()),
                keys(found.iter().map(codex_storage::Record::key).collect()),
            );
            return Err(format!("expected the keys [{expected}], found [{found}]"));
        }
        for ((key, value), record) in expected.iter().zip(&found) {
            if record.value() != value.bytes() {
                let (stamp, len) = (value.stamp, record.value().len());
                return Err(format!("{}: expected #{stamp}, found another value of {len} bytes", name(key)));
            }
            if view.get(key).as_ref() != Some(record) {
                return Err(format!("{}: reading by key and by range differ", name(key)));
            }
        }
        if view.totals().records != expected.len() as u64 {
            return Err(format!(
                "{} records are counted where {} are",
                view.totals().records,
                expected.len()
            ));
        }
        Ok(())
    }
}

fn name(bytes: &[u8]) -> String {
    let number = (0..KEY_COUNT).find(|number| key(*number) == bytes);
    number.map_or_else(|| "a key that was never written".to_owned(), |number| number.to_string())
}

/// The state behind each commit of a database, from the empty one before the first; and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    states: Vec<State>,
    /// The numbers of the keys, ascending; none without encryption.
    pub keys: Vec<u8>,
}

impl Timeline {
    /// A new database that these keys open.
    #[must_use]
    pub fn new(keys: Vec<u8>) -> Self {
        Self { states: vec![State::default()], keys }
    }

    /// The number of commits, and so the sequence number of the last.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// The state behind the last commit.
    #[must_use]
    pub fn state(&self) -> State {
        self.states[self.states.len() - 1]
    }

    /// The state behind a commit.
    #[must_use]
    pub fn at(&self, sequence: u64) -> Option<State> {
        self.states.get(usize::try_from(sequence).ok()?).copied()
    }

    /// One more commit.
    pub fn push(&mut self, state: State) {
        self.states.push(state);
    }

    /// Forgets the commits behind `sequence`.
    pub fn truncate(&mut self, sequence: u64) {
        self.states.truncate(usize::try_from(sequence).expect("counts commits in memory") + 1);
    }

    /// Demands that a view shows the end of this timeline.
    pub fn compare(&self, view: &View) -> Result<(), String> {
        if view.sequence() != SequenceNumber(self.last()) {
            return Err(format!("expected commit {} to be the last, found {}", self.last(), view.sequence()));
        }
        self.state().compare(view)
    }
}
