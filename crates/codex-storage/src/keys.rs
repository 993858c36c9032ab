//! Changing what opens a database: its key slots, and the root key that they hold.
//!
//! A change of slots costs two writes of the header and no data. What must hold of a crash in it, and what a new root
//! key means for what was written before: `docs/durability.md`, "Keys".

use std::path::Path;

use codex_crypto::{KeySlot, PassphraseCost, RootKey, SlotKind, Unlock};

use crate::database::Shared;
use crate::error::{Result, StorageError};
use crate::format::Mode;
use crate::format::header::{RETIRED_COUNT, SLOT_COUNT, Slots};
use crate::observe::Event;
use crate::recovery::read_slots;
use crate::sync::Arc;
use crate::vfs::{Access, Vfs};

/// A key or passphrase that is to open a database, and how.
#[derive(Debug)]
pub struct NewKey {
    /// The key or passphrase.
    pub unlock: Unlock,
    /// One line for people, which anybody who has the file can read. `None`: no label, or that of the slot that is
    /// replaced.
    pub label: Option<String>,
    /// What a guess at a passphrase costs.
    pub cost: PassphraseCost,
}

impl From<Unlock> for NewKey {
    fn from(unlock: Unlock) -> Self {
        Self { unlock, label: None, cost: PassphraseCost::RECOMMENDED }
    }
}

/// A way into a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInfo {
    /// Its number, from 1.
    pub number: usize,
    /// What opens it.
    pub kind: SlotKind,
    /// Its label; empty if it has none.
    pub label: String,
    /// What a guess at its passphrase costs; `None` for an encryption key.
    pub cost: Option<PassphraseCost>,
    /// The database was opened with it.
    pub opened: bool,
}

/// Why key slots are not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysRefusal {
    /// There are no slots without encryption.
    #[error("the database is not encrypted")]
    NotEncrypted,
    /// The slot is empty, or no slot has this number.
    #[error("there is no key slot {number}")]
    NoSuchSlot {
        /// The number that was given.
        number: usize,
    },
    /// Nobody could open the database any more.
    #[error("the last key slot cannot be removed")]
    LastSlot,
    /// Every slot is taken.
    #[error("all {SLOT_COUNT} key slots are taken; remove one first")]
    Full,
    /// There is nothing to replace.
    #[error("the slot that opened the database was removed; add a key instead")]
    OpenerRemoved,
    /// The label is too long, or not one line of plain text.
    #[error("a label has at most {} bytes and no control characters", KeySlot::LABEL_LEN_MAX)]
    Label,
    /// The header has no place for another retired root key.
    #[error(
        "a ledger's root key can be changed {RETIRED_COUNT} times; change the key alone, or copy the records into a new database"
    )]
    RetiredFull,
}

/// A root key that nothing is sealed under yet, and the slots that hold it.
pub(crate) struct NewRoot {
    pub(crate) root: RootKey,
    pub(crate) slots: Slots,
}

/// The key slots that the database at `path` records. Not authenticated: without a key nobody can tell who wrote them.
pub fn recorded_slots(vfs: &dyn Vfs, path: &Path) -> Result<Vec<SlotInfo>> {
    let path = &vfs.resolve(path).map_err(StorageError::io("find", path))?;
    if vfs.kind(path).map_err(StorageError::io("look at", path))?.is_none() {
        return Err(StorageError::NotFound { path: path.clone() });
    }
    let file = vfs.open(path, Access::Read).map_err(StorageError::io("open", path))?;
    infos(&read_slots(&*file, path)?, None, path)
}

pub(crate) fn slots(shared: &Shared) -> Result<Vec<SlotInfo>> {
    let opened = shared.key_slot.lock();
    let slots = shared.core.with_engine(|engine| Ok(engine.log().header().slots))?;
    infos(&slots, *opened, shared.files.database())
}

pub(crate) fn are_those_of(shared: &Shared, copy: &Path) -> Result<bool> {
    let file = shared.vfs.open(copy, Access::Read).map_err(StorageError::io("open", copy))?;
    let slots = read_slots(&*file, copy)?;
    shared.core.with_engine(|engine| Ok(engine.log().header().slots == slots))
}

pub(crate) fn add(shared: &Shared, new: &NewKey) -> Result<usize> {
    let _one_change_at_a_time = shared.key_slot.lock();
    let (root, mut slots) = current(shared)?;
    let free = slots.iter().position(is_empty).ok_or_else(|| refused(shared, KeysRefusal::Full))?;
    slots[free] = wrap(shared, &root, new, "")?;
    write(shared, &slots)?;
    told(shared, "added", Some(free));
    Ok(free + 1)
}

pub(crate) fn remove(shared: &Shared, number: usize) -> Result<()> {
    let mut opened = shared.key_slot.lock();
    let (_, mut slots) = current(shared)?;
    let index = number.checked_sub(1).filter(|index| slots.get(*index).is_some_and(|slot| !is_empty(slot)));
    let index = index.ok_or_else(|| refused(shared, KeysRefusal::NoSuchSlot { number }))?;
    if slots.iter().filter(|slot| !is_empty(slot)).count() == 1 {
        return Err(refused(shared, KeysRefusal::LastSlot));
    }
    slots[index].fill(0);
    write(shared, &slots)?;
    opened.take_if(|opened| *opened == index);
    told(shared, "removed", Some(index));
    Ok(())
}

pub(crate) fn change(shared: &Shared, new: &NewKey) -> Result<()> {
    let opened = shared.key_slot.lock();
    let (root, mut slots) = current(shared)?;
    let index = opened.ok_or_else(|| refused(shared, KeysRefusal::OpenerRemoved))?;
    slots[index] = wrap(shared, &root, new, &label_of(shared, &slots[index])?)?;
    write(shared, &slots)?;
    told(shared, "changed", Some(index));
    Ok(())
}

pub(crate) fn change_deep(shared: &Shared, new: &NewKey) -> Result<()> {
    let mut opened = shared.key_slot.lock();
    let (_, slots) = current(shared)?;
    let index = opened.ok_or_else(|| refused(shared, KeysRefusal::OpenerRemoved))?;
    let retired = shared.core.with_engine(|engine| Ok(engine.log().header().retired.len()))?;
    if shared.mode == Mode::Ledger && retired == RETIRED_COUNT {
        return Err(refused(shared, KeysRefusal::RetiredFull));
    }
    let root = RootKey::generate().map_err(StorageError::key(shared.files.database()))?;
    // What else opened the old root key is not here to wrap the new one.
    let mut only = [EMPTY; SLOT_COUNT];
    only[0] = wrap(shared, &root, new, &label_of(shared, &slots[index])?)?;
    // Nobody is told: the slots are locked, and an observer might ask for them.
    shared.maintain_as(shared, |engine, view| engine.plan_renewal(view, NewRoot { root, slots: only }))?;
    *opened = Some(0);
    told(shared, "root key changed", None);
    Ok(())
}

/// The root key, and the slots that hold it. Neither changes as long as the caller holds `key_slot`.
fn current(shared: &Shared) -> Result<(Arc<RootKey>, Slots)> {
    let (root, slots) = shared.core.with_engine(|engine| {
        let log = engine.log();
        log.check()?;
        Ok((log.seals().root().cloned(), log.header().slots))
    })?;
    Ok((root.ok_or_else(|| refused(shared, KeysRefusal::NotEncrypted))?, slots))
}

/// A slot, made without the I/O lock: with a passphrase that takes time.
fn wrap(shared: &Shared, root: &RootKey, new: &NewKey, label: &str) -> Result<[u8; KeySlot::LEN]> {
    let label = new.label.as_deref().unwrap_or(label);
    let slot = KeySlot::wrap(root, &new.unlock, shared.id, new.cost)
        .map_err(StorageError::key(shared.files.database()))?;
    Ok(slot.with_label(label).map_err(|_| refused(shared, KeysRefusal::Label))?.encode())
}

fn write(shared: &Shared, slots: &Slots) -> Result<()> {
    shared.core.with_engine(|engine| engine.log_mut().write_slots(slots))
}

fn told(shared: &Shared, change: &'static str, index: Option<usize>) {
    shared.teller.tell(&Event::KeysChanged { change, slot: index.map(|index| index + 1) });
}

fn refused(shared: &Shared, source: KeysRefusal) -> StorageError {
    StorageError::KeysRefused { path: shared.files.database().to_path_buf(), source }
}

fn is_empty(slot: &[u8; KeySlot::LEN]) -> bool {
    *slot == EMPTY
}

fn label_of(shared: &Shared, slot: &[u8; KeySlot::LEN]) -> Result<String> {
    let slot = KeySlot::decode(slot).map_err(StorageError::key(shared.files.database()))?;
    Ok(slot.map_or_else(String::new, |slot| slot.label().to_owned()))
}

fn infos(slots: &Slots, opened: Option<usize>, path: &Path) -> Result<Vec<SlotInfo>> {
    let info = |(index, slot): (usize, &[u8; KeySlot::LEN])| {
        let slot = match KeySlot::decode(slot) {
            Ok(slot) => slot?,
            Err(error) => return Some(Err(StorageError::key(path)(error))),
        };
        Some(Ok(SlotInfo {
            number: index + 1,
            kind: slot.kind(),
            label: slot.label().to_owned(),
            cost: slot.cost(),
            opened: opened == Some(index),
        }))
    };
    slots.iter().enumerate().filter_map(info).collect()
}

const EMPTY: [u8; KeySlot::LEN] = [0; KeySlot::LEN];
