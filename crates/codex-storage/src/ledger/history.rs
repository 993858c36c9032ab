//! The versions of one key, found without reading what others wrote.
//!
//! An index in memory divides the log into segments of a few KiB and keeps a hash of every key that is set or deleted
//! in each. It is made when the first history is asked for, by reading the log once, and from then on only continued:
//! commits do not wait for it and pay nothing. A history then reads those segments that may hold its key, each from a
//! place that the index has seen linked to the start of the log up to the next one. Where a part of the log begins is
//! found in it as well.

use std::fmt;
use std::iter::FusedIterator;

use super::past::{PastLog, Place, STEP_LEN};
use crate::batch::{Operation, check_key};
use crate::database::Shared;
use crate::error::Result;
use crate::format::SequenceNumber;
use crate::log::scan::Found;
use crate::progress::Stage;
use crate::record::{Record, hash_of};

/// Which parts of a log may hold a key.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    segments: Vec<Segment>,
    /// The hashes of the keys in all segments, one behind the other.
    hashes: Vec<u32>,
}

/// Some groups of a log, one behind the other; the first segment begins where the log does.
#[derive(Debug)]
struct Segment {
    to: Place,
    /// How many hashes there are up to the segment's end.
    hash_count: usize,
    /// Everything is deleted somewhere in it.
    clears: bool,
}

impl KeyIndex {
    /// Goes on up to a commit at least, or by as much of the log as is read at a time.
    fn extend(&mut self, log: &PastLog, sequence: SequenceNumber) -> Result<()> {
        if self.end(log).sequence >= sequence {
            return Ok(());
        }
        self.drop_short_end(log);
        let enough = self.end(log).offset.saturating_add(STEP_LEN);
        let mut hashes = Vec::new();
        while self.end(log).sequence < sequence && self.end(log).offset < enough {
            let mut clears = false;
            let to = log.step(self.end(log), log.end(), SEGMENT_LEN, |found| match found.record.key() {
                Some(key) => hashes.push(hash_of(key)),
                None => clears = true,
            })?;
            self.hashes.append(&mut hashes);
            self.segments.push(Segment { to, hash_count: self.hashes.len(), clears });
        }
        Ok(())
    }

    /// The last segment is read again together with what came behind it if that was little, so that however often
    /// histories are asked for between commits, segments do not get many.
    fn drop_short_end(&mut self, log: &PastLog) {
        let Some(last) = self.segments.pop() else { return };
        if last.to.offset - self.end(log).offset < SEGMENT_LEN / 2 {
            self.hashes.truncate(self.segments.last().map_or(0, |segment| segment.hash_count));
        } else {
            self.segments.push(last);
        }
    }

    fn end(&self, log: &PastLog) -> Place {
        self.segments.last().map_or_else(|| log.start(), |segment| segment.to)
    }

    /// The segments of a log from `start` to `end` that tell the history of a key, oldest first: those that may hold it,
    /// and behind each the next one that may have cleared it. The index may know more than the log has. It may also know
    /// a little less than it did, where somebody else failed to go on: what it does not know may hold any key.
    fn segments_of(&self, start: Place, end: Place, key: &[u8]) -> Vec<(Place, Place)> {
        let hash = hash_of(key);
        let mut found = Vec::new();
        let mut from = start;
        let (mut hashes_before, mut may_be_live) = (0, false);
        for segment in &self.segments {
            if from.offset >= end.offset {
                break;
            }
            let holds = self.hashes[hashes_before..segment.hash_count].contains(&hash);
            if holds || (segment.clears && may_be_live) {
                let to = if segment.to.offset < end.offset { segment.to } else { end };
                found.push((from, to));
                may_be_live = holds;
            }
            from = segment.to;
            hashes_before = segment.hash_count;
        }
        if from.offset < end.offset {
            found.push((from, end));
        }
        found
    }
}

/// Has the index know the log up to a commit. The index is held for one step at a time, so that nothing is locked while
/// the database's observer is told.
fn catch_up(shared: &Shared, log: &PastLog, sequence: SequenceNumber) -> Result<()> {
    let from = shared.key_index.lock().end(log);
    if from.sequence >= sequence {
        return Ok(());
    }
    let mut meter = shared.observer.begin(Stage::ReadingLog, log.end().offset - from.offset);
    loop {
        let mut index = shared.key_index.lock();
        index.extend(log, sequence)?;
        let end = index.end(log);
        drop(index);
        if end.sequence >= sequence {
            meter.finish();
            return Ok(());
        }
        meter.reach(end.offset.saturating_sub(from.offset));
    }
}

/// Where to begin in order to read what stands behind a commit. To skip what stands before it, that is read once, unless
/// the checkpoint skips it.
pub(super) fn place_before(shared: &Shared, log: &PastLog, sequence: SequenceNumber) -> Result<Place> {
    let known = shared.key_index.lock().end(log).sequence;
    if known < sequence
        && let Some(checkpoint) = log.checkpoint(shared, sequence)?
    {
        return Ok(Place::of(&checkpoint.covers));
    }
    catch_up(shared, log, sequence)?;
    let index = shared.key_index.lock();
    let count = index.segments.partition_point(|segment| segment.to.sequence <= sequence);
    Ok(count.checked_sub(1).map_or_else(|| log.start(), |last| index.segments[last].to))
}

/// What a commit made of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this value.
    Set(Record),
    /// It was deleted.
    Deleted,
    /// Everything was deleted, and so was the key.
    Cleared,
}

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// The commit that made it.
    pub sequence: SequenceNumber,
    /// When that commit's group was written, by the system's clock, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// What it is.
    pub change: Change,
}

/// An iterator over the versions of a key, newest first: one for each commit behind which the key is not what it was,
/// or has been set again. It goes on after the database is closed, and an error ends it.
pub struct History {
    log: PastLog,
    key: Box<[u8]>,
    /// What is not read yet, oldest first.
    segments: Vec<(Place, Place)>,
    /// What the commits of a segment made of the key, oldest first.
    read: Vec<Version>,
    /// The end of a version that is still to be found.
    end: Option<Version>,
}

impl History {
    pub(crate) fn of(shared: &Shared, key: &[u8]) -> Result<Self> {
        check_key(key)?;
        let log = PastLog::of(shared)?;
        catch_up(shared, &log, log.end().sequence)?;
        let segments = shared.key_index.lock().segments_of(log.start(), log.end(), key);
        Ok(Self { log, key: key.into(), segments, read: Vec::new(), end: None })
    }

    fn read_segment(&mut self, (from, to): (Place, Place)) -> Result<()> {
        let mut place = from;
        while place.offset < to.offset {
            place = self.log.step(place, to, to.offset - place.offset, |found| {
                if found.record.key().is_some_and(|key| *key != *self.key) {
                    return;
                }
                let change = match found.record.operation(found.sequence) {
                    Operation::Set(record) => Change::Set(record),
                    Operation::Delete(_) => Change::Deleted,
                    Operation::Clear => Change::Cleared,
                };
                let Found { sequence, time_ns, .. } = found;
                let version = Version { sequence, time_ns, change };
                match self.read.last_mut().filter(|last| last.sequence == sequence) {
                    None => self.read.push(version),
                    // What the commit itself had ended before is not ended again.
                    Some(last) if version.change == Change::Cleared && last.change == Change::Deleted => {}
                    Some(last) => *last = version,
                }
            })?;
        }
        Ok(())
    }
}

impl Iterator for History {
    type Item = Result<Version>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(version) = self.read.pop() {
                // An end counts only directly behind what it ended: before it may stand nothing, or another end.
                if !matches!(version.change, Change::Set(_)) {
                    self.end = Some(version);
                    continue;
                }
                let Some(end) = self.end.take() else { return Some(Ok(version)) };
                self.read.push(version);
                return Some(Ok(end));
            }
            let segment = self.segments.pop()?;
            if let Err(error) = self.read_segment(segment) {
                self.read.clear();
                self.segments.clear();
                return Some(Err(error));
            }
        }
    }
}

impl FusedIterator for History {}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}

/// How much of the log a segment has, in bytes, unless its first group is longer: what a disk reads anyway.
const SEGMENT_LEN: u64 = 4096;

#[cfg(test)]
mod tests {
    use codex_crypto::{Digest, Frontier};

    use super::*;
    use crate::log::Position;

    #[test]
    fn a_segment_takes_the_memory_that_the_documentation_gives() {
        assert_eq!(size_of::<Segment>(), 64);
    }

    #[test]
    fn what_the_index_does_not_know_is_part_of_every_history() {
        let place = |offset| {
            let (sequence, leaf, frontier) = (SequenceNumber(offset), Digest::ZERO, Frontier::default());
            Place::of(&Position { offset, sequence, leaf, frontier, last_frame: None })
        };
        let (start, middle, end) = (place(64), place(1000), place(2000));
        assert_eq!(KeyIndex::default().segments_of(start, end, b"key"), [(start, end)]);
        let known = |hashes: Vec<u32>| KeyIndex {
            segments: vec![Segment { to: middle, hash_count: hashes.len(), clears: false }],
            hashes,
        };
        let of = |index: &KeyIndex, end| index.segments_of(start, end, b"key");
        assert_eq!(of(&known(vec![hash_of(b"key")]), end), [(start, middle), (middle, end)]);
        assert_eq!(of(&known(vec![]), end), [(middle, end)]);
        assert_eq!(of(&known(vec![]), middle), []);
        assert_eq!(of(&known(vec![hash_of(b"key")]), place(500)), [(start, place(500))]);
    }
}
