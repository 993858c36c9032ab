//! Records that expire: which of them are due, and by what time. See `docs/concurrency.md`, "Records that expire".
//!
//! For readers a record is gone the moment its deadline has passed; the background deletes it by and by, with a commit
//! like any other. So the table holds records that are due and not deleted yet, and who counts what is there subtracts
//! them. They stand in the order of their deadlines, and how many were due the last time is remembered: each is counted
//! once.
//!
//! Time does not go back: what somebody has seen expired stays so, whatever the system's clock is set to.

use std::cmp::Ordering as Order;
use std::collections::BTreeSet;
use std::mem;
use std::ops::Bound::Excluded;

use super::Totals;
use crate::clock::Clock;
use crate::record::Record;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// The newest versions of keys that expire, unpublished ones among them.
#[derive(Default)]
pub(super) struct Expiring {
    /// `None`: time stands still.
    clock: Option<Arc<dyn Clock>>,
    /// The latest time that decided something, in nanoseconds since the Unix epoch.
    latest_ns: AtomicU64,
    places: Places,
    /// Its lock is taken with the table's lock held, never the other way.
    due: Mutex<Due>,
}

/// Records in the order of their deadlines.
pub(super) type Places = BTreeSet<Place>;

/// Those of the records that were due at a time.
#[derive(Default)]
struct Due {
    at_ns: u64,
    totals: Totals,
}

impl Expiring {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..Self::default() }
    }

    /// Takes note of a record that is in the table now; the one that it superseded must be taken out before.
    pub(super) fn put(&mut self, record: &Record) {
        let Some(deadline_ns) = record.deadline_ns() else { return };
        self.places.insert(Place { deadline_ns, record: Some(record.clone()) });
        let mut due = self.due.lock();
        if deadline_ns <= due.at_ns {
            due.totals.add(record);
        }
    }

    /// Takes note of a record that is no longer the newest of its key.
    pub(super) fn take(&mut self, record: &Record) {
        let Some(deadline_ns) = record.deadline_ns() else { return };
        self.places.remove(&Place { deadline_ns, record: Some(record.clone()) });
        let mut due = self.due.lock();
        if deadline_ns <= due.at_ns {
            due.totals.subtract(record);
        }
    }

    /// Forgets all records, and gives them back to be dropped.
    pub(super) fn clear(&mut self) -> Places {
        self.due.lock().totals = Totals::default();
        mem::take(&mut self.places)
    }

    /// The time: that of the clock, or the latest that decided something if the clock was set back.
    pub(super) fn now_ns(&self) -> u64 {
        let clock_ns = self.clock.as_ref().map_or(0, |clock| clock.wall_ns());
        self.latest_ns.fetch_max(clock_ns, Ordering::AcqRel).max(clock_ns)
    }

    /// Whether a deadline has passed. Cheaper than [`Expiring::now_ns`]: a record that is still there decides nothing
    /// that later readers are held to.
    pub(super) fn has_passed(&self, deadline_ns: u64) -> bool {
        if deadline_ns <= self.latest_ns.load(Ordering::Acquire) {
            return true;
        }
        let passed = self.clock.as_ref().is_some_and(|clock| deadline_ns <= clock.wall_ns());
        if passed {
            self.latest_ns.fetch_max(deadline_ns, Ordering::AcqRel);
        }
        passed
    }

    /// The time, and what is due by then; zero where nothing expires, and the clock is not asked.
    pub(super) fn due(&self) -> (u64, Totals) {
        if self.places.is_empty() {
            return (0, Totals::default());
        }
        let mut due = self.due.lock();
        // Asked with the lock held, so that it is not before `at_ns`.
        let now_ns = self.now_ns();
        if due.at_ns < now_ns {
            let newly = (Excluded(Place::behind(due.at_ns)), Excluded(Place::behind(now_ns)));
            for place in self.places.range(newly) {
                due.totals.add(place.record());
            }
            due.at_ns = now_ns;
        }
        (now_ns, due.totals)
    }

    /// The records that are due, the longest first.
    pub(super) fn due_records(&self) -> impl Iterator<Item = &Record> {
        let now_ns = if self.places.is_empty() { 0 } else { self.now_ns() };
        self.places.iter().take_while(move |place| place.deadline_ns <= now_ns).map(Place::record)
    }

    /// The next deadline, which may have passed.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        self.places.first().map(|place| place.deadline_ns)
    }
}

/// A record by its deadline, and its key where several have one.
pub(super) struct Place {
    deadline_ns: u64,
    /// `None`: no record, but the place behind all records with this deadline.
    record: Option<Record>,
}

impl Place {
    fn behind(deadline_ns: u64) -> Self {
        Self { deadline_ns, record: None }
    }

    fn record(&self) -> &Record {
        self.record.as_ref().expect("what is kept has a record")
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Order {
        self.deadline_ns.cmp(&other.deadline_ns).then_with(|| match (&self.record, &other.record) {
            (Some(one), Some(other)) => one.key().cmp(other.key()),
            (one, other) => one.is_none().cmp(&other.is_none()),
        })
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Place {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::core::{Table as _, TableGroup as _};
    use crate::format::SequenceNumber;
    use crate::table::{Garbage, Group, Outcome, RecordTable, Shown};
    use std::time::Duration;

    #[derive(Debug)]
    struct Hand(Arc<AtomicU64>);

    impl Clock for Hand {
        fn wall_ns(&self) -> u64 {
            self.0.load(Ordering::Acquire)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn table() -> (RecordTable, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(100));
        let expiring = Expiring::new(Arc::new(Hand(time.clone())));
        (RecordTable { expiring, ..RecordTable::default() }, time)
    }

    fn group(table: &RecordTable, fill: impl FnOnce(&mut Batch)) -> (Group, Outcome) {
        let mut batch = Batch::new();
        fill(&mut batch);
        let mut group = Group::starting_at(table.published().plus(1));
        let outcome = table.admit(batch, &mut group);
        (group, outcome)
    }

    fn commit(table: &mut RecordTable, fill: impl FnOnce(&mut Batch)) -> Outcome {
        let (mut group, outcome) = group(table, fill);
        while !table.apply(&mut group, &mut Garbage::default()) {}
        outcome
    }

    fn set_until(batch: &mut Batch, keys: std::ops::Range<u16>, deadline_ns: u64) {
        for key in keys {
            batch.set_until(&key.to_be_bytes(), &[b"v"], deadline_ns).expect("within bounds");
        }
    }

    fn count(table: &RecordTable, shown: Shown) -> usize {
        let live = |key: &u16| {
            table.get(&key.to_be_bytes(), shown.at).is_some_and(|record| !record.is_expired(shown.now_ns))
        };
        (0..1000).filter(live).count()
    }

    #[test]
    fn time_stands_still_for_readers_while_a_group_is_half_applied() {
        let (mut table, time) = table();
        commit(&mut table, |batch| set_until(batch, 0..1000, 200));
        time.store(150, Ordering::Release);
        let (mut group, _) = group(&table, |batch| {
            set_until(batch, 0..500, 300);
            for key in 500..1000_u16 {
                batch.delete(&key.to_be_bytes()).unwrap();
            }
        });
        let mut slices = 0;
        while !table.apply(&mut group, &mut Garbage::default()) {
            if group.is_applied() {
                // What it superseded is being dropped.
                continue;
            }
            slices += 1;
            time.store(250, Ordering::Release);
            let shown = table.shown();
            assert_eq!((shown.at, shown.now_ns, shown.totals.records), (SequenceNumber(1), 150, 1000));
            assert_eq!(count(&table, shown), 1000, "what is counted is what is there");
            assert!(
                table.live(&0_u16.to_be_bytes()).is_some() && table.live(&999_u16.to_be_bytes()).is_some()
            );
        }
        assert!(slices >= 3, "{slices}");
        let shown = table.shown();
        assert_eq!((shown.at, shown.now_ns, shown.totals.records), (SequenceNumber(2), 250, 500));
        assert_eq!(count(&table, shown), 500);
        time.store(300, Ordering::Release);
        assert_eq!((table.shown().totals.records, count(&table, table.shown())), (0, 0));
    }

    #[test]
    fn what_was_written_again_before_its_deletion_came_to_its_turn_stays() {
        let (mut table, time) = table();
        commit(&mut table, |batch| set_until(batch, 0..3, 200));
        time.store(200, Ordering::Release);
        let expired: Vec<_> = table.expired().cloned().collect();
        assert_eq!(expired.len(), 3);
        commit(&mut table, |batch| batch.set(&1_u16.to_be_bytes(), &[b"new"]).unwrap());
        // One more is written in the very group of the deletion.
        let (mut group, _) = group(&table, |batch| set_until(batch, 2..3, 500));
        let mut batch = Batch::new();
        expired.iter().for_each(|record| batch.expire(record).unwrap());
        let outcome = table.admit(batch, &mut group);
        assert_eq!(outcome, Outcome::Committed { sequence: SequenceNumber(4), removed: 0 });
        assert_eq!(group.commits()[1].len(), 1, "only the first of the three");
        while !table.apply(&mut group, &mut Garbage::default()) {}
        let there: Vec<_> = (0..3_u16).map(|key| table.live(&key.to_be_bytes()).is_some()).collect();
        assert_eq!(there, [false, true, true]);
        assert_eq!(table.expired().count(), 0);
    }
}
