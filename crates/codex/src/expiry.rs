//! How long a record lives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex_storage::{Database, Record, StorageError};

use crate::error::{Error, Result};

/// When a record is absent again, without anybody having deleted it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::{Batch, Codec, Expiry};
/// use std::time::{Duration, SystemTime};
///
/// let midnight = SystemTime::now() + Duration::from_secs(3600);
/// let mut batch = Batch::new();
/// batch.set_encoded(Codec::Json, "offer", "9.90", Expiry::At(midnight))?;
/// store.commit(batch)?;
/// assert_eq!(store.expires_at("offer"), Some(midnight));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// So long after it is committed. At least a nanosecond, and not beyond the year 2554.
    In(Duration),
    /// From this time on, by the system's clock; at once if it has passed. Not beyond the year 2554.
    At(SystemTime),
}

impl Expiry {
    /// The expiry itself, if there can be a record that has it.
    pub(crate) fn checked(self) -> Result<Self> {
        match self {
            Self::In(ttl) if ttl.is_zero() || nanoseconds(ttl).is_none() => {
                Err(StorageError::TtlOutOfBounds { ttl }.into())
            }
            Self::At(at) if nanoseconds_of(at).is_none() => {
                Err(Error::validation("a record cannot live beyond the year 2554"))
            }
            possible => Ok(possible),
        }
    }

    /// The deadline of a record that is committed now.
    pub(crate) fn deadline_ns(self, database: &Database) -> Result<Option<u64>> {
        match self.checked()? {
            Self::Never => Ok(None),
            Self::In(ttl) => Ok(Some(database.deadline_in(ttl)?)),
            Self::At(at) => Ok(nanoseconds_of(at)),
        }
    }
}

/// When a record expires.
pub(crate) fn expires_at(record: &Record) -> Option<SystemTime> {
    record.deadline_ns().map(|deadline_ns| UNIX_EPOCH + Duration::from_nanos(deadline_ns))
}

fn nanoseconds(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_nanos()).ok()
}

/// Since the Unix epoch; what was before it has passed as well as the epoch has.
fn nanoseconds_of(time: SystemTime) -> Option<u64> {
    nanoseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
