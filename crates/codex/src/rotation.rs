//! The rotation beside an open database: when it gets a new copy, by the store's [`BackupPolicy`].
//!
//! What holds at all times: one copy is made at a time; a copy that fails pushes none out, is reported by
//! [`Store::stats`](crate::Store::stats), and is tried again later.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codex_backup::{BackupError, Source};
use codex_storage::clock::Clock;
use codex_storage::progress::Observer;
use codex_storage::vfs::{File, Vfs};
use codex_storage::{Chore, Database, Prefix, StorageError};

use crate::error::{Error, Result};
use crate::observe;

/// When the rotation beside a database gets a new copy, and how many are kept.
///
/// ```
/// # use std::time::Duration;
/// use codex::{BackupPolicy, Commits, OnOpen};
///
/// BackupPolicy::keep(5); // at opening, if the database has changed: the same as `every(OnOpen)`
/// BackupPolicy::keep(24).every(Duration::from_hours(1)); // and only if it has changed
/// BackupPolicy::keep(3).every(Commits(10_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupPolicy {
    keep: u32,
    every: BackupInterval,
}

impl BackupPolicy {
    /// Keeps `count` copies: `.bak.1`, the newest, to `.bak.count`. A copy is made when the database is opened for
    /// writing and has changed since the newest, and by [`Store::rotate_backup`](crate::Store::rotate_backup). Zero: none.
    ///
    /// ```
    /// let policy = codex::BackupPolicy::keep(5);
    /// assert_eq!(policy, policy.every(codex::OnOpen));
    /// ```
    #[must_use]
    pub fn keep(count: u32) -> Self {
        Self { keep: count, every: BackupInterval::OnOpen }
    }

    /// Makes a copy whenever so much time has passed ([`Duration`]) or so much was committed ([`Commits`]) since the newest,
    /// and there is something new to copy; in the background, or at opening if it is due then. Commits go on meanwhile.
    ///
    /// ```
    /// use codex::{BackupPolicy, Commits};
    /// use std::time::Duration;
    ///
    /// let hourly = BackupPolicy::keep(24).every(Duration::from_hours(1));
    /// let often = BackupPolicy::keep(3).every(Commits(10_000));
    /// assert_ne!(hourly, often);
    /// ```
    #[must_use]
    pub fn every(mut self, interval: impl Into<BackupInterval>) -> Self {
        self.every = interval.into();
        self
    }
}

/// What lies between two copies of a rotation.
///
/// ```
/// use codex::{BackupInterval, Commits, OnOpen};
///
/// assert_eq!(BackupInterval::from(OnOpen), BackupInterval::default());
/// assert_eq!(BackupInterval::from(Commits(100)), BackupInterval::Commits(100));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupInterval {
    /// An opening for writing.
    #[default]
    OnOpen,
    /// So many commits; 0 counts as 1.
    Commits(u64),
    /// So much time.
    Time(Duration),
}

/// So many commits between two copies ([`BackupPolicy::every`]).
///
/// ```
/// let policy = codex::BackupPolicy::keep(3).every(codex::Commits(1_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commits(pub u64);

/// A copy at each opening for writing ([`BackupPolicy::every`]).
///
/// ```
/// let policy = codex::BackupPolicy::keep(3).every(codex::OnOpen);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnOpen;

impl From<Duration> for BackupInterval {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<Commits> for BackupInterval {
    fn from(Commits(count): Commits) -> Self {
        Self::Commits(count)
    }
}

impl From<OnOpen> for BackupInterval {
    fn from(OnOpen: OnOpen) -> Self {
        Self::OnOpen
    }
}

/// The rotation of one open database.
#[derive(Debug)]
pub(crate) struct Rotation {
    policy: BackupPolicy,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Held while a copy is made. Taken before `state`.
    rotating: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The last commit that the newest copy holds; `None` until the opening has looked.
    copied: Option<u64>,
    /// When the next copy is due by time, and before when none is made after a failure; in monotonic time.
    due_at: Duration,
    not_before: Duration,
    /// Why the latest copy failed.
    error: Option<String>,
}

impl Rotation {
    pub(crate) fn new(policy: BackupPolicy, vfs: Arc<dyn Vfs>, clock: Arc<dyn Clock>) -> Self {
        Self { policy, vfs, clock, state: Mutex::default(), rotating: Mutex::default() }
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.policy.keep > 0
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.state().error.clone()
    }

    /// Makes the copy that is due at opening, and has the background make those that come. A failure stops nothing.
    pub(crate) fn begin(&self, database: &Database) {
        if !self.is_kept() {
            return;
        }
        let begun = self.look(database).and_then(|due| if due { self.rotate_now(database) } else { Ok(()) });
        self.note(begun);
        database.look_after();
    }

    /// Whether a copy is due as the database is opened.
    fn look(&self, database: &Database) -> Result<bool> {
        let (head, sequence) = (database.head(), database.stats().sequence);
        let newest = database.files().backup(1);
        // A copy that cannot be read is no copy: the new one comes before it, and moves it up.
        let recorded = codex_storage::recorded_floor(&*self.vfs, &newest).ok().flatten();
        let behind = match recorded {
            _ if head.size == 0 => Some(0),
            Some(floor) => database.commits_behind(&floor)?,
            None => None,
        };
        // What only an old key opens is no copy to whoever has put that key away.
        let keys_changed = recorded.is_some() && !database.has_slots_of(&newest)?;
        let age = match codex_backup::list(&*self.vfs, database.files())?.first() {
            Some(backup) if recorded.is_some() && backup.number == 1 => {
                Duration::from_nanos(self.clock.wall_ns().saturating_sub(backup.modified_ns))
            }
            _ => Duration::MAX,
        };
        let mut state = self.state();
        // Of a copy from before a rewrite nobody knows how far it is behind.
        state.copied = Some(sequence.saturating_sub(behind.unwrap_or(u64::MAX)));
        let due = match self.policy.every {
            _ if keys_changed && head.size > 0 => true,
            _ if behind == Some(0) => false,
            BackupInterval::OnOpen => true,
            BackupInterval::Commits(count) => behind.is_none_or(|behind| behind >= count.max(1)),
            BackupInterval::Time(time) => age >= time,
        };
        if let BackupInterval::Time(time) = self.policy.every {
            state.due_at = self.clock.monotonic().saturating_add(time.saturating_sub(age));
        }
        Ok(due)
    }

    /// Makes a copy now.
    pub(crate) fn rotate_now(&self, database: &Database) -> Result<()> {
        let prefix = database.durable_prefix()?.observed_by(database.observer());
        Ok(self.rotate(&prefix, &|| true)?)
    }

    fn rotate(&self, prefix: &Prefix, wanted: &dyn Fn() -> bool) -> Result<(), BackupError> {
        let _one_at_a_time = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let source = WhileWanted { prefix, wanted };
        codex_backup::rotate(&source, &self.vfs, prefix.files(), self.policy.keep)?;
        let mut state = self.state();
        state.copied = Some(prefix.sequence().0);
        if let BackupInterval::Time(time) = self.policy.every {
            state.due_at = self.clock.monotonic().saturating_add(time);
        }
        Ok(())
    }

    fn note(&self, result: Result<()>) {
        let failed = result.err().map(|error| {
            let causes =
                std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        });
        if let Some(error) = &failed {
            observe::backup_failed(error);
        }
        let mut state = self.state();
        if failed.is_some() {
            state.not_before = self.clock.monotonic() + PAUSE;
        }
        state.error = failed;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chore for Rotation {
    fn due_in(&self, sequence: u64, now: Duration) -> Option<Duration> {
        let state = self.state();
        let copied = state.copied.filter(|copied| self.is_kept() && *copied < sequence)?;
        let due = match self.policy.every {
            BackupInterval::OnOpen => return None,
            BackupInterval::Commits(count) if sequence - copied < count.max(1) => return None,
            BackupInterval::Commits(_) => Duration::ZERO,
            BackupInterval::Time(_) => state.due_at.saturating_sub(now),
        };
        Some(due.max(state.not_before.saturating_sub(now)))
    }

    fn run(&self, database: Result<Prefix, StorageError>, wanted: &dyn Fn() -> bool) {
        let result = database
            .map_err(Error::from)
            .and_then(|prefix| self.rotate(&prefix, wanted).map_err(Error::from));
        if result.is_ok() || wanted() {
            self.note(result);
        }
    }
}

/// A prefix that is copied only as long as the store is open.
struct WhileWanted<'a> {
    prefix: &'a Prefix,
    wanted: &'a dyn Fn() -> bool,
}

impl Source for WhileWanted<'_> {
    fn len(&self) -> u64 {
        self.prefix.len()
    }

    fn read_at(&self, target: &mut [u8], offset: u64) -> io::Result<()> {
        if !(self.wanted)() {
            return Err(io::Error::other("the store is being closed"));
        }
        self.prefix.read_at(target, offset)
    }

    fn verify(&self, copy: &dyn File, path: &Path) -> Result<(), StorageError> {
        Source::verify(self.prefix, copy, path)
    }

    fn observer(&self) -> &Observer {
        self.prefix.observer()
    }
}

/// After a copy failed, the next is tried after this time.
const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use codex_crypto::{EncryptionKey, Unlock};
    use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
    use codex_storage::{Background, Batch, Mode, NewKey, OpenOptions};

    use super::*;

    const PATH: &str = "/app.db";
    const DAY: Duration = Duration::from_hours(24);

    /// A clock that a test sets, in seconds.
    #[derive(Debug, Default)]
    struct SetClock(AtomicU64);

    impl SetClock {
        fn pass(&self, seconds: u64) {
            self.0.fetch_add(seconds, Ordering::AcqRel);
        }
    }

    impl Clock for SetClock {
        fn wall_ns(&self) -> u64 {
            self.0.load(Ordering::Acquire) * 1_000_000_000
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Acquire))
        }
    }

    /// A database on a simulated disk, whose background does what is due when it is told to.
    struct Opened {
        disk: SimVfs,
        clock: Arc<SetClock>,
        rotation: Arc<Rotation>,
        database: Database,
    }

    fn open(disk: &SimVfs, clock: &Arc<SetClock>, policy: BackupPolicy) -> Opened {
        open_with(disk, clock, policy, None)
    }

    fn open_with(
        disk: &SimVfs,
        clock: &Arc<SetClock>,
        policy: BackupPolicy,
        unlock: Option<&Unlock>,
    ) -> Opened {
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        let rotation = Arc::new(Rotation::new(policy, vfs.clone(), clock.clone()));
        let options = OpenOptions {
            mode: Some(Mode::Ledger),
            vfs,
            clock: clock.clone(),
            background: Background::Caller,
            chore: Some(rotation.clone()),
            ..OpenOptions::default()
        };
        let database = options.open(Path::new(PATH), unlock).expect("it opens");
        rotation.begin(&database);
        Opened { disk: disk.clone(), clock: clock.clone(), rotation, database }
    }

    impl Opened {
        fn new(policy: BackupPolicy) -> Self {
            open(&SimVfs::new(1), &Arc::new(SetClock::default()), policy)
        }

        fn commit(&self, count: u64) {
            for _ in 0..count {
                let mut batch = Batch::new();
                batch.set(b"n", &[&self.database.stats().sequence.to_le_bytes()]).expect("within bounds");
                self.database.commit(batch).expect("the disk is whole");
            }
        }

        /// The last commits that the copies hold, newest first, after whatever is due was done.
        fn copies(&self) -> Vec<u64> {
            self.database.tend().expect("the log is whole");
            let copies = codex_backup::list(&self.disk, self.database.files()).expect("the disk is whole");
            let options =
                OpenOptions { vfs: Arc::new(self.disk.clone()), read_only: true, ..OpenOptions::default() };
            let sequence = |path: &Path| options.open(path, None).expect("it is whole").stats().sequence;
            copies.iter().map(|copy| sequence(&copy.path)).collect()
        }

        fn reopen(self, policy: BackupPolicy) -> Self {
            self.database.close().expect("the disk is whole");
            open(&self.disk, &self.clock, policy)
        }
    }

    #[test]
    fn a_copy_is_made_after_so_many_commits_and_they_are_counted_across_openings() {
        let policy = BackupPolicy::keep(2).every(Commits(3));
        let opened = Opened::new(policy);
        assert_eq!(opened.copies(), [0; 0], "nothing is there to copy");
        opened.commit(2);
        assert_eq!(opened.copies(), [0; 0]);
        opened.commit(1);
        assert_eq!(opened.copies(), [3]);
        opened.commit(2);
        assert_eq!(opened.copies(), [3]);
        let opened = opened.reopen(policy);
        assert_eq!(opened.copies(), [3], "two commits are not three");
        opened.commit(1);
        assert_eq!(opened.copies(), [6, 3]);
        opened.commit(4);
        assert_eq!(opened.copies(), [10, 6], "two are kept");
        opened.commit(2);
        let opened = opened.reopen(BackupPolicy::keep(2).every(Commits(2)));
        assert_eq!(opened.copies(), [12, 10], "it was due as the database was opened");
    }

    #[test]
    fn a_copy_is_made_after_so_much_time_if_something_was_committed() {
        let policy = BackupPolicy::keep(3).every(Duration::from_mins(1));
        let opened = Opened::new(policy);
        opened.commit(1);
        assert_eq!(opened.copies(), [1], "there was no copy at all");
        opened.clock.pass(100);
        assert_eq!(opened.copies(), [1], "nothing was committed");
        opened.commit(1);
        assert_eq!(opened.copies(), [2, 1]);
        opened.commit(1);
        opened.clock.pass(59);
        assert_eq!(opened.copies(), [2, 1]);
        opened.clock.pass(1);
        assert_eq!(opened.copies(), [3, 2, 1]);
    }

    #[test]
    fn on_open_copies_what_has_changed_and_nothing_in_between() {
        for policy in [BackupPolicy::keep(3), BackupPolicy::keep(3).every(OnOpen)] {
            let opened = Opened::new(policy);
            opened.commit(5);
            opened.clock.pass(1_000_000);
            assert_eq!(opened.copies(), [0; 0]);
            let opened = opened.reopen(policy);
            assert_eq!(opened.copies(), [5]);
            let opened = opened.reopen(policy);
            assert_eq!(opened.copies(), [5], "nothing has changed");
        }
    }

    #[test]
    fn an_opening_behind_a_change_of_keys_makes_a_copy_that_the_new_one_opens() {
        let key = |byte| Unlock::from(EncryptionKey::from_bytes([byte; 32]));
        let disk = SimVfs::new(1);
        let copies = |with: u8, policy| {
            let opened = open_with(&disk, &Arc::default(), policy, Some(&key(with)));
            if opened.database.stats().sequence == 0 {
                opened.commit(1);
            }
            opened.database.tend().expect("the log is whole");
            let copies = codex_backup::list(&disk, opened.database.files()).expect("the disk is whole").len();
            (opened, copies)
        };
        let policies = [
            BackupPolicy::keep(9),
            BackupPolicy::keep(9).every(Commits(100)),
            BackupPolicy::keep(9).every(DAY),
        ];
        drop(copies(1, policies[0]));
        assert_eq!(copies(1, policies[0]).1, 1);
        for (number, policy) in (1..).zip(policies) {
            let (opened, before) = copies(number, policy);
            assert_eq!(before, usize::from(number), "nothing has changed");
            let new = NewKey::from(key(number + 1));
            if number == 2 {
                opened.database.change_key_deep(&new).expect("nothing fails");
            } else {
                opened.database.change_key(&new).expect("nothing fails");
            }
            drop(opened);
            assert_eq!(copies(number + 1, policy).1, before + 1, "{policy:?}");
            let options =
                OpenOptions { vfs: Arc::new(disk.clone()), read_only: true, ..OpenOptions::default() };
            let newest = options.open(Path::new("/app.db.bak.1"), Some(&key(number + 1))).expect("it opens");
            assert_eq!(newest.stats().sequence, 1);
        }
    }

    #[test]
    fn failures_are_reported_tried_again_later_and_push_no_copy_out() {
        let opened = Opened::new(BackupPolicy::keep(2).every(Commits(1)));
        opened.commit(1);
        assert_eq!(opened.copies(), [1]);
        opened.commit(1);
        assert_eq!(opened.copies(), [2, 1]);
        opened.commit(1);
        for _ in 0..5 {
            opened.clock.pass(10);
            opened.disk.fail_always(Operation::Create, Fault::Before(DiskError::NoSpace));
            opened.database.tend().expect("the log is whole");
            opened.disk.clear_faults();
            assert!(opened.rotation.error().is_some_and(|error| error.contains("app.db.bak.1")));
            assert_eq!(opened.copies(), [2, 1], "it is not tried again at once");
        }
        opened.clock.pass(10);
        assert_eq!(opened.copies(), [3, 2]);
        assert_eq!(opened.rotation.error(), None, "what passed is not reported");
    }

    #[test]
    fn a_copy_ends_early_once_the_database_is_closing() {
        let opened = Opened::new(BackupPolicy::keep(2).every(Commits(1)));
        opened.commit(1);
        let prefix = opened.database.durable_prefix().expect("the disk is whole");
        opened.rotation.run(Ok(prefix), &|| false);
        assert_eq!(opened.rotation.error(), None);
        assert!(codex_backup::list(&opened.disk, opened.database.files()).expect("a folder").is_empty());
    }
}
