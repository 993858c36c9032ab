//! The folders of a simulated disk: the names that programs see, the durable ones, and the changes between.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::content::Mood;
use super::random::Random;

/// One folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    entries: Entries,
    durable: Entries,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
}

pub(super) type Entries = BTreeMap<OsString, Entry>;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    File(NodeId),
    Folder,
}

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) u64);

#[derive(Clone, Debug)]
enum Change {
    Add { name: OsString, entry: Entry },
    Rename { from: OsString, to: OsString, entry: Entry },
    Remove { name: OsString },
}

impl Folder {
    pub(super) fn get(&self, name: &OsStr) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &OsString> {
        self.entries.keys()
    }

    /// Every file that is named now, or that a crash could give a name.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let pending = self.pending.iter().filter_map(|change| match change {
            Change::Add { entry, .. } | Change::Rename { entry, .. } => Some(entry),
            Change::Remove { .. } => None,
        });
        self.entries.values().chain(self.durable.values()).chain(pending).filter_map(Entry::node)
    }

    /// Every file that is named now.
    pub(super) fn named_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.entries.values().filter_map(Entry::node)
    }

    pub(super) fn add(&mut self, name: OsString, entry: Entry) {
        self.change(Change::Add { name, entry });
    }

    /// As [`Folder::add`], durable at once.
    pub(super) fn add_settled(&mut self, name: OsString, entry: Entry) {
        let pending = std::mem::take(&mut self.pending);
        self.pending = pending.into_iter().filter_map(|change| change.without(&name)).collect();
        self.entries.insert(name.clone(), entry);
        self.durable.insert(name, entry);
    }

    pub(super) fn rename(&mut self, from: OsString, to: OsString, entry: Entry) {
        self.change(Change::Rename { from, to, entry });
    }

    pub(super) fn remove(&mut self, name: OsString) {
        self.change(Change::Remove { name });
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Makes some changes durable and leaves all of them pending.
    pub(super) fn sync_in_part(&mut self, random: &mut Random) {
        self.durable = self.entries_after_power_loss(Mood::Scattered { keep: 128 }, random);
    }

    /// The folder as a disk may hold it after the power was lost now.
    pub(super) fn after_power_loss(&self, mood: Mood, random: &mut Random) -> Self {
        let entries = self.entries_after_power_loss(mood, random);
        Self { durable: entries.clone(), entries, pending: Vec::new() }
    }

    /// The names that now lead to folders.
    pub(super) fn folders(&self) -> impl Iterator<Item = &OsString> {
        self.entries.iter().filter(|(_, entry)| **entry == Entry::Folder).map(|(name, _)| name)
    }

    fn entries_after_power_loss(&self, mood: Mood, random: &mut Random) -> Entries {
        let mut entries = self.durable.clone();
        let count = u64::try_from(self.pending.len()).expect("lengths fit 64 bits");
        let first_lost = random.below(count + 1);
        for (index, change) in (0..).zip(&self.pending) {
            let kept = match mood {
                Mood::Nothing => false,
                Mood::Everything => true,
                Mood::Beginning => index < first_lost,
                Mood::Scattered { keep } => random.below(256) < keep,
            };
            if !kept {
                continue;
            }
            change.apply(&mut entries);
            // The new name is there, the old one not yet gone.
            if let Change::Rename { from, entry, .. } = change
                && matches!(mood, Mood::Scattered { .. })
                && random.one_in(4)
            {
                entries.insert(from.clone(), *entry);
            }
        }
        entries
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.entries);
        self.pending.push(change);
    }
}

impl Entry {
    fn node(&self) -> Option<NodeId> {
        match self {
            Self::File(node) => Some(*node),
            Self::Folder => None,
        }
    }
}

impl Change {
    /// What the change does to other names.
    fn without(self, name: &OsStr) -> Option<Self> {
        match self {
            Self::Rename { from, to, .. } if to == name => Some(Self::Remove { name: from }),
            Self::Rename { from, to, entry } if from == name => Some(Self::Add { name: to, entry }),
            Self::Add { name: other, .. } | Self::Remove { name: other } if other == name => None,
            other => Some(other),
        }
    }

    fn apply(&self, entries: &mut Entries) {
        match self {
            Self::Add { name, entry } => {
                entries.insert(name.clone(), *entry);
            }
            Self::Rename { from, to, entry } => {
                entries.insert(to.clone(), *entry);
                entries.remove(from);
            }
            Self::Remove { name } => {
                entries.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Entry = Entry::File(NodeId(1));
    const NEW: Entry = Entry::File(NodeId(2));

    #[test]
    fn crash_before_the_folders_sync_leaves_the_target_old_or_new() {
        let mut folder = Folder::default();
        folder.add_settled("target".into(), OLD);
        folder.add("temporary".into(), NEW);
        folder.rename("temporary".into(), "target".into(), NEW);
        let mut seen = [false; 5];
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let after = folder.after_power_loss(Mood::choose(&mut random), &mut random);
            let state = match (after.get("target".as_ref()), after.get("temporary".as_ref())) {
                (Some(OLD), None) => 0,
                (Some(OLD), Some(NEW)) => 1,
                (Some(NEW), None) => 2,
                (Some(NEW), Some(NEW)) => 3,
                _ => 4,
            };
            seen[state] = true;
        }
        assert_eq!(seen, [true, true, true, true, false]);
    }

    #[test]
    fn a_settled_name_outlives_what_was_pending_for_it_and_nothing_else() {
        let mut folder = Folder::default();
        folder.add_settled("a".into(), OLD);
        folder.add_settled("b".into(), OLD);
        folder.rename("a".into(), "c".into(), OLD);
        folder.remove("b".into());
        folder.add_settled("a".into(), NEW);
        folder.add_settled("b".into(), NEW);
        let mut kept = 0;
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let after = folder.after_power_loss(Mood::choose(&mut random), &mut random);
            assert_eq!(after.get("a".as_ref()), Some(NEW), "seed {seed}");
            assert_eq!(after.get("b".as_ref()), Some(NEW), "seed {seed}");
            kept += i32::from(after.get("c".as_ref()) == Some(OLD));
        }
        assert!((1..200).contains(&kept), "{kept}");
    }

    #[test]
    fn synced_names_survive() {
        let mut folder = Folder::default();
        folder.add("a".into(), NEW);
        folder.sync();
        folder.add("b".into(), OLD);
        let after = folder.after_power_loss(Mood::Nothing, &mut Random::new(1));
        assert_eq!(after.names().collect::<Vec<_>>(), ["a"]);
    }
}
