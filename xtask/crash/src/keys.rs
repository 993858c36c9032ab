//! Changes of keys, and the referee's own look at which keys open a file.
//!
//! A key is a number, and no number is used twice. A file opens with the keys of its timeline, each of them and no
//! other; while a change is under way that was not acknowledged, with those behind it or those before it.

use std::path::Path;

use codex_crypto::{EncryptionKey, KeySlot, Unlock};
use codex_storage::format::header::{self, BLOCK_LEN, Block, Header, RETIRED_COUNT};
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Database, KeysRefusal, Mode, NewKey, StorageError};

use crate::history::KeyChange;
use crate::world::{PATH, Taken, World, fail};

/// The key that a new database is made with.
pub(crate) const FIRST_KEY: u8 = 1;

pub(crate) fn key(number: u8) -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([number; 32]))
}

impl World {
    pub(crate) fn change_keys(&mut self, change: KeyChange) -> Taken {
        if !self.setup.encrypted || !self.open()? {
            return Ok(());
        }
        let Some(database) = &self.database else { return Ok(()) };
        let slots = self.slots_of(self.watched.disk(), Path::new(PATH));
        let opened = opened_slot(database);
        let others = slots.iter().enumerate().filter(|(index, key)| Some(*index) != opened && key.is_some());
        let others: Vec<usize> = others.map(|(index, _)| index).collect();
        let new = self.keys_made + 1;
        let mut after = slots.clone();
        let result = match change {
            KeyChange::Add => {
                after.iter_mut().find(|slot| slot.is_none()).into_iter().for_each(|free| *free = Some(new));
                database.add_key(&NewKey::from(key(new))).map(drop)
            }
            KeyChange::Remove(choice) => {
                let choice = choice.checked_rem(others.len() as u64).unwrap_or(u64::MAX);
                let other = usize::try_from(choice).ok().and_then(|choice| others.get(choice));
                // The one that it was opened with may not go if it is the last.
                let index = other.copied().or(opened).unwrap_or_default();
                after[index] = None;
                database.remove_key(index + 1)
            }
            KeyChange::Change => {
                opened.into_iter().for_each(|index| after[index] = Some(new));
                database.change_key(&NewKey::from(key(new)))
            }
            KeyChange::Deep => {
                after.fill(None);
                after[0] = Some(new);
                database.change_key_deep(&NewKey::from(key(new)))
            }
        };
        self.keys_made = new;
        self.protected = None;
        if let Err(StorageError::KeysRefused { source, .. }) = &result {
            return self.refused(*source, change, &slots, others.is_empty());
        }
        let after = sorted(&after);
        let unknown = matches!(&result, Err(StorageError::KeysUnknown { .. }))
            || self.watched.is_off()
            || (self.setup.mode == Mode::Snapshot && self.watched.is_unsettled());
        if unknown {
            self.keys_unknown = Some(after.clone());
        }
        let stops = matches!(&result, Err(StorageError::KeysUnknown { .. }));
        let answer = if change == KeyChange::Deep {
            self.answer_of_rewrite("a deep change of keys", result)?
        } else {
            self.answer("a change of keys", result)?
        };
        if stops {
            self.stop_writes();
        }
        if answer.is_some() {
            self.must_not_be_stopped("a change of keys")?;
            self.timeline.keys = after;
            if change == KeyChange::Deep {
                self.all_is_durable();
            }
            self.keys_are_those_of_the_timeline()?;
        }
        Ok(())
    }

    /// Nothing failed, and nothing is changed; there must be a reason.
    fn refused(&self, source: KeysRefusal, change: KeyChange, slots: &[Option<u8>], alone: bool) -> Taken {
        let right = match (source, change) {
            (KeysRefusal::Full, KeyChange::Add) => slots.iter().all(Option::is_some),
            (KeysRefusal::LastSlot, KeyChange::Remove(_)) => alone,
            (KeysRefusal::RetiredFull, KeyChange::Deep) => {
                let header = header_of(self.watched.disk(), Path::new(PATH));
                header.is_some_and(|header| header.retired.len() == RETIRED_COUNT)
            }
            _ => false,
        };
        if right { self.keys_are_those_of_the_timeline() } else { fail(format!("{change:?}: {source:?}")) }
    }

    fn keys_are_those_of_the_timeline(&self) -> Taken {
        let found = self.keys_of(self.watched.disk(), Path::new(PATH));
        let expected = &self.timeline.keys;
        if found == *expected || self.stopped {
            return Ok(());
        }
        fail(format!("the keys {found:?} open it where {expected:?} do"))
    }

    /// What opens the database; `None` without encryption.
    pub(crate) fn unlock(&self) -> Option<Unlock> {
        self.unlock_of(self.watched.disk(), Path::new(PATH))
    }

    /// What opens a file, as it says itself.
    pub(crate) fn unlock_of(&self, disk: &SimVfs, path: &Path) -> Option<Unlock> {
        let number = self.keys_of(disk, path).first().copied().unwrap_or(FIRST_KEY);
        self.setup.encrypted.then(|| key(number))
    }

    /// The keys that open a file.
    pub(crate) fn keys_of(&self, disk: &SimVfs, path: &Path) -> Vec<u8> {
        sorted(&self.slots_of(disk, path))
    }

    /// The key of each slot; none in a file without a header.
    fn slots_of(&self, disk: &SimVfs, path: &Path) -> Vec<Option<u8>> {
        let Some(header) = header_of(disk, path) else { return Vec::new() };
        let opener = |slot: &[u8; KeySlot::LEN]| {
            let slot = KeySlot::decode(slot).ok()??;
            (1..=self.keys_made).find(|number| matches!(slot.unwrap(&key(*number), header.id), Ok(Some(_))))
        };
        header.slots.iter().map(opener).collect()
    }
}

fn opened_slot(database: &Database) -> Option<usize> {
    database.key_slots().ok()?.iter().find(|slot| slot.opened).map(|slot| slot.number - 1)
}

fn sorted(slots: &[Option<u8>]) -> Vec<u8> {
    let mut keys: Vec<u8> = slots.iter().flatten().copied().collect();
    keys.sort_unstable();
    keys
}

/// The header that counts.
fn header_of(disk: &SimVfs, path: &Path) -> Option<Header> {
    let file = disk.read_file(path).ok()?;
    let block = |copy: usize| -> Block {
        let mut block = [0; BLOCK_LEN];
        let rest = file.get(copy * BLOCK_LEN..).unwrap_or_default();
        let len = rest.len().min(BLOCK_LEN);
        block[..len].copy_from_slice(&rest[..len]);
        block
    };
    header::choose(&[block(0), block(1)]).ok().map(|choice| choice.header)
}
