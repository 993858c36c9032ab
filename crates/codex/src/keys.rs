//! What opens a store: its key slots, and how they are changed.

use std::path::Path;
use std::time::{Duration, Instant};

use codex_crypto::{DatabaseId, EncryptionKey, KeySlot as Slot, PassphraseCost, RootKey, SlotKind, Unlock};
use codex_storage::SlotInfo;
use codex_storage::vfs::os::OsVfs;

use crate::error::{Error, Result};
use crate::options::home_path;

/// A way into a store: a slot of its header that holds the root key for one encryption key or passphrase.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{Argon2Cost, Options, SlotKind};
///
/// let store = Options::new().passphrase("correct horse").passphrase_cost(Argon2Cost::MINIMUM).open(&path)?;
/// let slot = &store.key_slots()?[0];
/// assert_eq!((slot.number, slot.kind, slot.opened), (1, SlotKind::Passphrase, true));
/// assert_eq!(slot.cost, Some(Argon2Cost::MINIMUM));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySlot {
    /// Its number, from 1.
    pub number: usize,
    /// What opens it.
    pub kind: SlotKind,
    /// One line for people; empty if there is none. Anybody who has the file can read it.
    pub label: String,
    /// What a guess at its passphrase costs; `None` for an encryption key.
    pub cost: Option<PassphraseCost>,
    /// The store was opened with it.
    pub opened: bool,
}

impl From<SlotInfo> for KeySlot {
    fn from(slot: SlotInfo) -> Self {
        let SlotInfo { number, kind, label, cost, opened, .. } = slot;
        Self { number, kind, label, cost, opened }
    }
}

/// The key slots that the file at `path` records, without a key, also while it is open elsewhere. Nobody has
/// authenticated them: whoever can write to the file can make this say anything. [`Store::key_slots`] can be believed.
///
/// [`Store::key_slots`]: crate::Store::key_slots
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{EncryptionKey, Options, SlotKind};
///
/// Options::new().encryption_key(EncryptionKey::generate()?).open(&path)?.close()?;
/// // Is it a passphrase or a key that is to be asked for?
/// assert_eq!(codex::key_slots(&path)?[0].kind, SlotKind::EncryptionKey);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn key_slots(path: impl AsRef<Path>) -> Result<Vec<KeySlot>> {
    let slots = codex_storage::recorded_slots(&OsVfs, path.as_ref())?;
    Ok(slots.into_iter().map(KeySlot::from).collect())
}

/// [`key_slots`] of the database called `name` in the user's folder, as
/// [`Options::open_home`](crate::Options::open_home) finds it.
///
/// ```no_run
/// let encrypted = !codex::key_slots_home("settings")?.is_empty();
/// # Ok::<(), codex::Error>(())
/// ```
pub fn key_slots_home(name: &str) -> Result<Vec<KeySlot>> {
    key_slots(home_path(name)?)
}

/// An encryption key or passphrase that is to open a store. An [`Unlock`] is one without a label, at the recommended
/// cost.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{Argon2Cost, EncryptionKey, NewKey, Options};
///
/// let store = Options::new().encryption_key(EncryptionKey::generate()?).open(&path)?;
/// let number = store.add_key(NewKey::passphrase("correct horse").label("Ada").cost(Argon2Cost::MINIMUM))?;
/// assert_eq!(store.key_slots()?[number - 1].label, "Ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NewKey(pub(crate) codex_storage::NewKey);

impl NewKey {
    /// A passphrase.
    pub fn passphrase(passphrase: impl Into<String>) -> Self {
        Unlock::passphrase(passphrase).into()
    }

    /// Says which slot it is, for people who look at the slots later: at most 111 bytes, without control characters.
    /// Anybody who has the file can read it. Without a label, one that replaces another keeps that one's.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// What a guess at the passphrase is to cost, and so each opening with it; see [`calibrate`].
    #[must_use]
    pub fn cost(mut self, cost: PassphraseCost) -> Self {
        self.0.cost = cost;
        self
    }
}

impl From<Unlock> for NewKey {
    fn from(unlock: Unlock) -> Self {
        Self(unlock.into())
    }
}

impl From<EncryptionKey> for NewKey {
    fn from(key: EncryptionKey) -> Self {
        Unlock::from(key).into()
    }
}

/// A cost at which trying one passphrase takes about `target` on this machine. Takes a few times as long.
///
/// Memory is raised first, up to 256 MiB, with three passes; what a longer time demands is made up for by more passes.
/// The least cost that is possible may take longer than a very short `target`.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::Options;
/// use std::time::Duration;
///
/// let cost = codex::calibrate(Duration::from_millis(50))?;
/// let store = Options::new().passphrase("correct horse").passphrase_cost(cost).open(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn calibrate(target: Duration) -> Result<PassphraseCost> {
    let (root, id) = (RootKey::generate()?, DatabaseId::generate().map_err(codex_crypto::KeyError::from)?);
    let guess = Unlock::passphrase("a guess");
    settle(target, |cost| {
        let start = Instant::now();
        Slot::wrap(&root, &guess, id, cost)?;
        Ok(start.elapsed())
    })
}

/// Finds the cost by two measurements: time grows with memory times passes, nearly.
fn settle(
    target: Duration,
    mut measure: impl FnMut(PassphraseCost) -> Result<Duration>,
) -> Result<PassphraseCost> {
    let mut cost = cost_of(TRIAL_MIB)?;
    for _ in 0..2 {
        let work = u128::from(cost.memory_kib() / 1024) * u128::from(cost.passes());
        let took = measure(cost)?.as_micros().max(1);
        cost = cost_of(u64::try_from(target.as_micros() * work / took).unwrap_or(u64::MAX))?;
    }
    Ok(cost)
}

/// The cost whose memory in MiB, times its passes, is `work`, as far as there is one.
fn cost_of(work: u64) -> Result<PassphraseCost> {
    let (least, most) = (PassphraseCost::MINIMUM, PassphraseCost::MAXIMUM);
    let [least_mib, most_mib] = [least, most].map(|cost| u64::from(cost.memory_kib() / 1024));
    let mib = (work / PASSES).clamp(least_mib, USUAL_MIB_MAX).max(work / u64::from(most.passes()));
    let mib = mib.min(most_mib);
    let passes = (work / mib).clamp(u64::from(least.passes()), u64::from(most.passes()));
    let [mib, passes] = [mib, passes].map(|number| u32::try_from(number).expect("within bounds"));
    PassphraseCost::new(mib * 1024, passes, PassphraseCost::RECOMMENDED.lanes()).map_err(Error::from)
}

/// What is measured first: long enough to tell, in MiB times passes.
const TRIAL_MIB: u64 = 64;
/// As recommended in RFC 9106, section 4, where memory is bounded.
const PASSES: u64 = 3;
/// More memory than this would be missed by other programs, in MiB.
const USUAL_MIB_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that takes so many microseconds for a MiB, and some for nothing.
    fn settled(target_ms: u64, us_per_mib: u64) -> (u32, u32, u64) {
        let time =
            |cost: PassphraseCost| 300 + u64::from(cost.memory_kib() / 1024 * cost.passes()) * us_per_mib;
        let cost = settle(Duration::from_millis(target_ms), |cost| Ok(Duration::from_micros(time(cost))));
        let cost = cost.expect("nothing fails");
        (cost.memory_kib() / 1024, cost.passes(), time(cost) / 1000)
    }

    #[test]
    fn a_calibrated_cost_takes_about_the_time_that_was_asked_for() {
        for us_per_mib in [200, 500, 1000, 3000] {
            for target_ms in [100, 300, 500, 1000, 2500] {
                let (mib, passes, took_ms) = settled(target_ms, us_per_mib);
                let place =
                    format!("{target_ms} ms at {us_per_mib}: {mib} MiB, {passes} passes: {took_ms} ms");
                assert!(took_ms <= target_ms + target_ms / 50, "{place}");
                assert!(took_ms >= target_ms * 3 / 4, "{place}");
            }
        }
    }

    #[test]
    fn memory_comes_before_passes_and_neither_leaves_its_bounds() {
        assert_eq!(settled(300, 1000), (99, 3, 297));
        assert_eq!(settled(0, 1000), (8, 1, 8));
        assert_eq!(settled(10, 1000), (8, 1, 8));
        let (mib, passes, _) = settled(2_000, 1000);
        assert_eq!((mib, passes), (256, 7));
        let (mib, passes, _) = settled(10_000_000, 1000);
        assert_eq!((mib, passes), (1024, 16));
    }

    #[test]
    fn calibration_runs_what_it_measures() {
        let cost = calibrate(Duration::from_millis(1)).expect("there is memory");
        assert!(cost.memory_kib() >= PassphraseCost::MINIMUM.memory_kib());
    }
}
