//! What a store says about itself.
//!
//! All of it is [`Serialize`], with the members that the `codex` command prints: roots in hexadecimal, durations in
//! seconds, times in seconds since 1970 (UTC).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex_crypto::Digest;
use codex_storage::{Floor, Mode};
use serde::{Serialize, Serializer};

/// The head of the Merkle log over all frames of a file (RFC 9162, section 2.1).
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Options::new().mode(codex::Mode::Ledger).open(folder.path().join("app.db"))?;
/// store.set("a", &1)?;
/// let head: codex::Head = store.head();
/// store.close()?;
/// // The next opening demands that the database goes on from there.
/// let store = codex::Options::new().expect_head(head).open(folder.path().join("app.db"))?;
/// assert_eq!(store.head(), head);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Head {
    /// How many frames the file has.
    pub size: u64,
    /// The root over them.
    #[serde(serialize_with = "hexadecimal")]
    pub root: [u8; 32],
}

impl From<Floor> for Head {
    fn from(floor: Floor) -> Self {
        Self { size: floor.size, root: *floor.root.as_bytes() }
    }
}

/// What a verification has read and found whole.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// store.set_many([("a", &1), ("b", &2)])?;
/// let report: codex::Report = store.verify()?;
/// assert_eq!((report.commits, report.sequence, report.torn_bytes), (1, 1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Frames whose seal, place and link were checked.
    pub frames: u64,
    /// Commits in them.
    pub commits: u64,
    /// The sequence number of the last commit.
    pub sequence: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// The head over the frames. Serialized, its members stand beside the others: `size` and `root`.
    #[serde(flatten)]
    pub head: Head,
    /// Bytes of a commit that a crash cut short before it was acknowledged; the next opening for writing cuts them
    /// off. Only of a store that is open for reading.
    pub torn_bytes: u64,
}

impl From<codex_storage::Report> for Report {
    fn from(report: codex_storage::Report) -> Self {
        Self {
            frames: report.frames,
            commits: report.commits,
            sequence: report.sequence,
            bytes: report.bytes,
            head: report.head.into(),
            torn_bytes: report.torn_bytes,
        }
    }
}

/// Figures of an open store.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// store.set("a", &1)?;
/// let view = store.view();
/// store.set("a", &2)?;
/// let stats: codex::Stats = store.stats();
/// assert_eq!((stats.records, stats.views, stats.oldest_view), (1, 1, Some(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// What the database keeps.
    pub mode: Mode,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The sequence number of the last commit that readers see.
    pub sequence: u64,
    /// Live records.
    pub records: u64,
    /// Bytes of their keys and stored values.
    pub live_bytes: u64,
    /// An estimate of the memory that they take, in bytes.
    pub memory_bytes: u64,
    /// Length of the log with its header, in bytes.
    pub log_bytes: u64,
    /// Length of the file: the log, and space set aside behind it, in bytes.
    pub file_bytes: u64,
    /// What a rewrite would leave of the file, in bytes; of a ledger, all of it.
    pub rewritten_bytes: u64,
    /// Commits since the store was opened.
    pub commits: u64,
    /// Groups that they were written in; each is synced once with [`Durability::Sync`](crate::Durability::Sync).
    pub groups: u64,
    /// Syncs since the store was opened.
    pub syncs: u64,
    /// The moving average of what writing a group takes. Serialized as `write_seconds`.
    #[serde(rename = "write_seconds", serialize_with = "seconds")]
    pub write_time: Duration,
    /// Open views.
    pub views: u64,
    /// The state that the oldest of them shows.
    pub oldest_view: Option<u64>,
    /// Superseded versions that are in memory for views.
    pub superseded_versions: u64,
    /// Bytes that opening cut off: the torn end of a commit that was never acknowledged.
    pub torn_bytes: u64,
    /// Whether one copy of the header was found damaged or older at opening.
    pub header_copy_stale: bool,
    /// Whether a checkpoint was found damaged at opening; the log was read instead.
    pub checkpoint_damaged: bool,
    /// The latest failure of work behind the commits: a rewrite, a checkpoint, a backup at opening.
    pub background_error: Option<String>,
}

impl Stats {
    pub(crate) fn new(stats: codex_storage::Stats, backup_error: Option<String>) -> Self {
        Self {
            mode: stats.mode,
            encrypted: stats.encrypted,
            sequence: stats.sequence,
            records: stats.records,
            live_bytes: stats.live_bytes,
            memory_bytes: stats.memory_bytes,
            log_bytes: stats.log_bytes,
            file_bytes: stats.file_bytes,
            rewritten_bytes: stats.rewritten_bytes,
            commits: stats.commits,
            groups: stats.groups,
            syncs: stats.syncs,
            write_time: stats.write_time,
            views: stats.views,
            oldest_view: stats.oldest_view,
            superseded_versions: stats.superseded_versions,
            torn_bytes: stats.recovery.torn_bytes,
            header_copy_stale: stats.recovery.header_copy_stale,
            checkpoint_damaged: stats.recovery.checkpoint_damaged,
            background_error: stats.background_error.or(backup_error),
        }
    }
}

fn hexadecimal<S: Serializer>(root: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Digest::from_bytes(*root))
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Seconds since 1970, of a time that a program of ours recorded.
#[cfg_attr(
    windows,
    expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference; a time has 8 bytes there"
    )
)]
pub(crate) fn unix_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
