//! The bytes of one simulated file: what programs read, what the disk holds, and what lies between.
//!
//! The unit that a disk writes is a sector; a write that a crash interrupts leaves part of one. Bytes
//! that were synced and not touched since are never at risk, even in a sector whose other bytes were
//! being written (the "powersafe overwrite" that `SQLite` assumes too).

use std::collections::BTreeMap;
use std::ops::Range;

use super::random::Random;

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What programs read.
    cached: Vec<u8>,
    /// What is sure to be there after a power loss, if nothing below is taken into account.
    durable: Vec<u8>,
    /// Sectors written since the last sync, each with contents that it had in between, oldest first.
    ///
    /// A sector that is not listed reads as on disk, except after a failed sync: then it may read as
    /// written and yet never reach the disk.
    dirty: BTreeMap<u64, Vec<Sector>>,
    /// Where the length was changed since the last sync: the lowest and the other lengths that it had.
    length: Option<LengthChange>,
    /// What the last sync that wrote a sector has overwritten there.
    previous: BTreeMap<u64, Sector>,
}

#[derive(Clone, Debug)]
struct LengthChange {
    lowest: usize,
    passed: Vec<usize>,
}

/// The bytes of a sector; zeros where the file does not reach.
type Sector = Box<[u8; SECTOR_LEN]>;

/// How much of what is not durable a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// A beginning, the last of it torn.
    Beginning,
    /// Each piece with a chance of `keep` in 256, in any order.
    Scattered {
        /// 0 to 256.
        keep: u64,
    },
}

impl Mood {
    pub(super) fn choose(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 | 3 => Self::Beginning,
            _ => Self::Scattered { keep: random.below(257) },
        }
    }
}

/// What a failed sync leaves of the sectors that it should have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// They read as on disk again.
    Reverted,
    /// They read as written, and are taken for clean.
    StillRead,
}

impl Content {
    /// A file that is wholly durable.
    pub(super) fn settled(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), cached: bytes, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn write(&mut self, source: &[u8], offset: usize) {
        let range = offset..offset + source.len();
        if range.is_empty() {
            return;
        }
        if range.end > self.cached.len() {
            self.set_len(range.end);
        }
        for sector in sectors(&range) {
            self.touch(sector);
        }
        self.cached[range].copy_from_slice(source);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old_len = self.cached.len();
        // What was written and is now cut off may still reach the disk.
        let cut: Vec<u64> = self.dirty.range(number(len / SECTOR_LEN)..).map(|(sector, _)| *sector).collect();
        if len < old_len {
            for sector in cut {
                self.touch(sector);
            }
        }
        let change = self.length.get_or_insert(LengthChange { lowest: old_len, passed: Vec::new() });
        change.lowest = change.lowest.min(len);
        remember(&mut change.passed, old_len);
        self.cached.resize(len, 0);
    }

    pub(super) fn sync(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        for sector in dirty.keys() {
            let old = copy_of(&self.durable, *sector);
            if start_of(*sector) < self.durable.len() && old != copy_of(&self.cached, *sector) {
                self.previous.insert(*sector, old);
            }
        }
        self.sync_length();
        for sector in dirty.keys() {
            self.settle_sector(*sector);
        }
    }

    /// A sync that fails as those of Linux do: what it did not write counts as written from then on.
    ///
    /// The length does not: it belongs to the file system's own records, and the next sync covers it.
    pub(super) fn fail_sync(&mut self, midway: bool, dropped: Dropped, random: &mut Random) {
        if midway && random.one_in(2) {
            self.sync_length();
        }
        for sector in std::mem::take(&mut self.dirty).into_keys() {
            if midway && random.one_in(2) {
                self.settle_sector(sector);
            } else if dropped == Dropped::Reverted {
                let lowest = self.length.as_ref().map_or(usize::MAX, |change| change.lowest);
                let on_disk = copy_of(&self.durable[..lowest.min(self.durable.len())], sector);
                paste(&mut self.cached, sector, &on_disk);
            }
        }
    }

    /// The file as a disk may hold it after the power was lost now.
    pub(super) fn after_power_loss(&self, mood: Mood, random: &mut Random) -> Self {
        let mut bytes = self.durable.clone();
        if let Some(change) = &self.length {
            let len = self.length_after_power_loss(change, mood, &mut bytes, random);
            bytes.resize(len, 0);
        }
        let first_lost = random.below(number(self.dirty.len()) + 1);
        for (index, (sector, between)) in (0..).zip(&self.dirty) {
            let old = copy_of(&self.durable, *sector);
            let new = copy_of(&self.cached, *sector);
            let left = match mood {
                Mood::Everything => new,
                Mood::Beginning if index < first_lost => new,
                Mood::Beginning if index == first_lost => torn(&new, &old, random),
                Mood::Nothing | Mood::Beginning => continue,
                Mood::Scattered { keep } => scattered(&old, between, new, keep, random),
            };
            paste(&mut bytes, *sector, &left);
        }
        Self { previous: self.previous.clone(), ..Self::settled(bytes) }
    }

    /// Chooses a length; where the file was cut since the last sync, also whether the cut reached `bytes`.
    fn length_after_power_loss(
        &self,
        change: &LengthChange,
        mood: Mood,
        bytes: &mut Vec<u8>,
        random: &mut Random,
    ) -> usize {
        let new = self.cached.len();
        let cut = change.lowest < bytes.len();
        let cut_kept = cut && (mood == Mood::Everything || mood != Mood::Nothing && random.one_in(2));
        if cut_kept {
            bytes.truncate(change.lowest);
        }
        let old = bytes.len();
        match mood {
            Mood::Nothing => old,
            Mood::Everything => new,
            Mood::Beginning if random.one_in(2) => new,
            Mood::Beginning | Mood::Scattered { .. } => match random.below(4) {
                0 => old,
                1 => new,
                2 if cut_kept => new,
                2 => change.passed[index(random.below(number(change.passed.len())))],
                // The length follows the data as it arrives, sector after sector.
                _ => {
                    let between = random.below(number(old.abs_diff(new)) + 1);
                    old.min(new) + index(between - between % number(SECTOR_LEN))
                }
            },
        }
    }

    /// Changes a range on disk and in memory alike, past every sync, and in what a crash may bring back of it. `false`
    /// where the file ends first.
    pub(super) fn rot(&mut self, range: Range<usize>, change: impl Fn(&mut [u8])) -> bool {
        let Some(bytes) = self.cached.get_mut(range.clone()) else {
            return false;
        };
        let old = bytes.to_vec();
        change(bytes);
        for sector in sectors(&range) {
            let start = start_of(sector);
            for between in self.dirty.get_mut(&sector).into_iter().flatten() {
                for position in range.start.max(start)..range.end.min(start + SECTOR_LEN) {
                    let byte = &mut between[position - start];
                    if *byte == old[position - range.start] {
                        *byte = self.cached[position];
                    }
                }
            }
        }
        if let Some(bytes) = self.durable.get_mut(range) {
            change(bytes);
        }
        true
    }

    /// The bytes of a sector, or of the part of it that the file has.
    pub(super) fn sector_range(&self, sector: u64) -> Option<Range<usize>> {
        let start = usize::try_from(sector).ok()?.checked_mul(SECTOR_LEN)?;
        (start < self.cached.len()).then(|| start..self.cached.len().min(start + SECTOR_LEN))
    }

    /// What the last sync that wrote this sector has overwritten.
    pub(super) fn previous(&self, sector: u64) -> Option<&[u8; SECTOR_LEN]> {
        self.previous.get(&sector).map(AsRef::as_ref)
    }

    /// Lists a sector as written, keeping what it holds now if that was written since the last sync too.
    fn touch(&mut self, sector: u64) {
        let now = &self.cached;
        self.dirty.entry(sector).and_modify(|between| remember(between, copy_of(now, sector))).or_default();
    }

    fn sync_length(&mut self) {
        if let Some(change) = self.length.take() {
            self.durable.truncate(change.lowest);
            self.durable.resize(self.cached.len(), 0);
        }
    }

    fn settle_sector(&mut self, sector: u64) {
        let bytes = copy_of(&self.cached, sector);
        paste(&mut self.durable, sector, &bytes);
    }
}

/// One sector after a crash: as it was, as it became, as it was in between, torn, or never filled.
fn scattered(old: &Sector, between: &[Sector], new: Sector, keep: u64, random: &mut Random) -> Sector {
    let any = |random: &mut Random| match random.below(number(between.len()) + 2) {
        0 => old.clone(),
        1 => new.clone(),
        choice => between[index(choice - 2)].clone(),
    };
    match random.below(8) {
        0 => any(random),
        1 | 2 => torn(&any(random), &any(random), random),
        3 => never_filled(old, between, &new),
        _ if random.below(256) < keep => new,
        _ => old.clone(),
    }
}

/// A beginning of one content and the rest of another.
fn torn(head: &Sector, rest: &Sector, random: &mut Random) -> Sector {
    let cut = index(random.below(number(SECTOR_LEN)));
    let mut sector = rest.clone();
    sector[..cut].copy_from_slice(&head[..cut]);
    sector
}

/// Zeros wherever something was written since the last sync: space that was set aside, its data not there.
fn never_filled(old: &Sector, between: &[Sector], new: &Sector) -> Sector {
    let mut sector = old.clone();
    for (position, byte) in sector.iter_mut().enumerate() {
        let written = |later: &Sector| later[position] != old[position];
        if written(new) || between.iter().any(written) {
            *byte = 0;
        }
    }
    sector
}

/// Appends, forgetting the oldest where there are too many.
fn remember<T>(list: &mut Vec<T>, item: T) {
    if list.len() == REMEMBERED_COUNT_MAX {
        list.remove(0);
    }
    list.push(item);
}

fn sectors(range: &Range<usize>) -> Range<u64> {
    number(range.start / SECTOR_LEN)..number(range.end.div_ceil(SECTOR_LEN))
}

fn start_of(sector: u64) -> usize {
    index(sector) * SECTOR_LEN
}

/// A sector's bytes, with zeros behind the end of the file.
fn copy_of(bytes: &[u8], sector: u64) -> Sector {
    let mut copy = Box::new([0; SECTOR_LEN]);
    let rest = bytes.get(start_of(sector)..).unwrap_or_default();
    let len = rest.len().min(SECTOR_LEN);
    copy[..len].copy_from_slice(&rest[..len]);
    copy
}

/// Puts a sector's bytes in place, as far as the file reaches.
fn paste(bytes: &mut [u8], sector: u64, source: &Sector) {
    let rest = bytes.get_mut(start_of(sector)..).unwrap_or_default();
    let len = rest.len().min(SECTOR_LEN);
    rest[..len].copy_from_slice(&source[..len]);
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("no simulated file is longer than memory")
}

fn number(index: usize) -> u64 {
    u64::try_from(index).expect("lengths fit 64 bits")
}

/// The unit that a disk writes, in bytes.
pub(super) const SECTOR_LEN: usize = 512;

/// How many earlier contents of a sector, or lengths of a file, a crash can bring back.
const REMEMBERED_COUNT_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_survive_beside_unsynced_ones_of_the_same_sector() {
        let mut content = Content::default();
        content.write(&[7; 700], 0);
        content.sync();
        content.write(&[9; 1000], 700);
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let after = content.after_power_loss(Mood::choose(&mut random), &mut random);
            assert_eq!(after.bytes()[..700], [7; 700], "seed {seed}");
        }
    }

    #[test]
    fn a_synced_cut_brings_no_old_bytes_back() {
        let mut content = Content::settled(vec![7; 4000]);
        content.set_len(1000);
        content.sync();
        content.set_len(4000);
        content.sync();
        assert_eq!(content.durable[1000..], [0; 3000]);
        assert_eq!(content.durable, content.cached);
    }

    #[test]
    fn a_cut_and_regrown_file_is_durable_as_read() {
        let mut content = Content::settled(vec![7; 4000]);
        content.set_len(1000);
        content.write(&[9; 10], 3000);
        content.sync();
        assert_eq!(content.durable, content.cached);
    }

    #[test]
    fn what_was_written_and_cut_off_again_may_be_left() {
        let mut content = Content::settled(vec![1; 512]);
        content.write(&[2; 512], 0);
        content.set_len(0);
        let left = |seed| {
            let mut random = Random::new(seed);
            let mood = Mood::choose(&mut random);
            content.after_power_loss(mood, &mut random)
        };
        assert!((0..500).any(|seed| left(seed).bytes() == [2; 512]));
    }

    #[test]
    fn a_failed_sync_leaves_sectors_that_no_later_sync_writes() {
        for dropped in [Dropped::Reverted, Dropped::StillRead] {
            let mut content = Content::settled(vec![7; 1024]);
            content.write(&[9; 512], 0);
            content.fail_sync(false, dropped, &mut Random::new(1));
            content.sync();
            assert_eq!(content.durable, [7; 1024]);
            assert_eq!(content.cached[0], if dropped == Dropped::Reverted { 7 } else { 9 });
            content.write(&[9; 512], 0);
            content.sync();
            assert_eq!(content.durable[..512], [9; 512]);
        }
    }

    #[test]
    fn rot_that_is_undone_leaves_no_trace_for_a_crash_to_bring_back() {
        let mut content = Content::settled(vec![7; 512]);
        content.write(&[8; 10], 500);
        let flip = |bytes: &mut [u8]| bytes[0] ^= 1;
        assert!(content.rot(3..4, flip));
        content.write(&[9; 10], 490);
        assert!(content.rot(3..4, flip));
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let after = content.after_power_loss(Mood::choose(&mut random), &mut random);
            assert_eq!(after.bytes()[..490], [7; 490], "seed {seed}");
        }
    }

    #[test]
    fn every_kind_of_loss_comes_up() {
        let mut content = Content::settled(vec![1; 2048]);
        content.write(&[2; 512], 0);
        content.write(&[3; 512], 0);
        content.write(&[3; 3000], 2048);
        let (mut old, mut new, mut between, mut zero, mut torn) = (0, 0, 0, 0, 0);
        let (mut short, mut long, mut unfilled) = (0, 0, 0);
        for seed in 0..2000 {
            let mut random = Random::new(seed);
            let after = content.after_power_loss(Mood::choose(&mut random), &mut random);
            let sector = &after.bytes()[..512];
            let all = |byte| sector.iter().all(|b| *b == byte);
            match sector[0] {
                1 if all(1) => old += 1,
                2 if all(2) => between += 1,
                3 if all(3) => new += 1,
                0 if all(0) => zero += 1,
                _ => torn += 1,
            }
            match after.bytes().len() {
                2048 => short += 1,
                5048 => long += 1,
                _ => {}
            }
            unfilled += u32::from(after.bytes().len() == 5048 && after.bytes()[4000] == 0);
        }
        assert!([old, new, between, zero, torn, short, long, unfilled].iter().all(|count| *count > 10));
    }
}
