//! What backups tell of themselves: events for `tracing`, counts for `metrics`. Both are features, and without them
//! [`tell`] does nothing. Names, levels and fields are listed in `docs/observability.md`.
//!
//! [`Event`] is all that leaves this way. Errors go to the caller and are not told a second time.

use std::path::Path;

/// Something that was done, and is durable.
#[cfg_attr(
    not(feature = "tracing"),
    expect(dead_code, reason = "some of it is for a listener that is not built")
)]
pub(crate) enum Event<'a> {
    /// A copy of a database has its name.
    Copied { path: &'a Path, bytes: u64 },
    /// A repository holds another backup; so much of it was new there.
    BackedUp { database: &'a str, number: u64, sequence: u64, bytes: u64, sent_bytes: u64 },
    /// Backups were removed from a repository, and pieces that no other one names.
    Pruned { removed: u64, pieces: u64 },
    /// A backup has become a database.
    Restored { path: &'a Path },
}

pub(crate) fn tell(event: &Event<'_>) {
    #[cfg(feature = "tracing")]
    trace(event);
    #[cfg(feature = "metrics")]
    count(event);
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    let _ = event;
}

#[cfg(feature = "tracing")]
fn trace(event: &Event<'_>) {
    use tracing::info;
    match *event {
        Event::Copied { path, bytes } => info!(target: "codex::backup", ?path, bytes, "copied"),
        Event::BackedUp { database, number, sequence, bytes, sent_bytes } => info!(
            target: "codex::backup", %database, number, sequence, bytes, sent_bytes, "backed up"
        ),
        Event::Pruned { removed, pieces } => info!(target: "codex::backup", removed, pieces, "pruned"),
        Event::Restored { path } => info!(target: "codex::backup", ?path, "restored"),
    }
}

#[cfg(feature = "metrics")]
fn count(event: &Event<'_>) {
    use metrics::{Unit, counter, describe_counter};
    let add = |name: &'static str, unit: Unit, text: &'static str, amount: u64| {
        describe_counter!(name, unit, text);
        counter!(name).increment(amount);
    };
    let made = |bytes| {
        add("codex_backups_total", Unit::Count, "Backups that were made", 1);
        add("codex_backup_bytes_total", Unit::Bytes, "Bytes that were written for backups", bytes);
    };
    match *event {
        Event::Copied { bytes, .. } => made(bytes),
        Event::BackedUp { sent_bytes, .. } => made(sent_bytes),
        Event::Restored { .. } => add("codex_restores_total", Unit::Count, "Backups that were restored", 1),
        Event::Pruned { .. } => {}
    }
}
