//! Events and spans of `tracing`. Below level `INFO` no path is shown.

use codex_crypto::DatabaseId;
use tracing::{Span, debug, error, info, info_span, trace, warn};

use super::{Event, Work};
use crate::error::chain;
use crate::format::Mode;
use crate::recovery::Recovery;

pub(super) fn span(work: Work) -> Span {
    match work {
        Work::Open => info_span!(target: "codex::open", "open"),
        Work::Rewrite => info_span!(target: "codex::rewrite", "rewrite"),
        Work::Checkpoint => info_span!(target: "codex::checkpoint", "checkpoint"),
        Work::Verify => info_span!(target: "codex::verify", "verify"),
        Work::Close => info_span!(target: "codex::open", "close"),
    }
}

pub(super) fn event(database: DatabaseId, event: &Event<'_>) {
    match *event {
        Event::Opened { path, mode, encrypted, read_only, records, sequence, took } => info!(
            target: "codex::open", ?database, ?path, %mode, encrypted, read_only, records, sequence, ?took, "opened"
        ),
        Event::Recovered { mode, recovery } => recovered(database, mode, recovery),
        Event::GroupWritten { sequence, commits, bytes } => {
            trace!(target: "codex::commit", ?database, sequence, commits, bytes, "group written");
        }
        Event::Synced { took } => trace!(target: "codex::commit", ?database, ?took, "synced"),
        Event::Conflicted => debug!(target: "codex::commit", ?database, "conflict"),
        Event::Rewritten { records, bytes_before, bytes, took } => {
            info!(target: "codex::rewrite", ?database, records, bytes_before, bytes, ?took, "rewritten");
        }
        Event::CheckpointWritten { sequence, records, bytes, took } => {
            info!(target: "codex::checkpoint", ?database, sequence, records, bytes, ?took, "checkpoint written");
        }
        Event::KeysChanged { change, slot } => {
            info!(target: "codex::keys", ?database, change, slot, "keys changed");
        }
        Event::BackgroundFailed { error } => {
            let error = chain(error);
            warn!(target: "codex::background", ?database, error = error.as_str(), "failed in the background");
        }
        Event::WritesStopped { error } => {
            let error = chain(error);
            error!(target: "codex::commit", ?database, error = error.as_str(), "writes stopped");
        }
        Event::Closed { sequence, took } => {
            info!(target: "codex::open", ?database, sequence, ?took, "closed");
        }
    }
}

/// At `WARN` where something was not as a clean end leaves it.
fn recovered(database: DatabaseId, mode: Mode, recovery: &Recovery) {
    let Recovery { frames_read, torn_bytes, header_copy_stale, checkpoint_sequence, .. } = *recovery;
    let checkpoint = match (mode, checkpoint_sequence) {
        (Mode::Snapshot, _) => "none in this mode",
        (Mode::Ledger, Some(_)) => "used",
        (Mode::Ledger, None) if recovery.checkpoint_damaged => "damaged",
        (Mode::Ledger, None) => "missing",
    };
    let as_left = torn_bytes == 0 && !header_copy_stale && !recovery.checkpoint_damaged;
    macro_rules! recovered {
        ($level:ident) => {
            $level!(
                target: "codex::recovery", ?database, frames_read, torn_bytes, header_copy_stale, checkpoint,
                checkpoint_sequence, "recovered"
            )
        };
    }
    if as_left { recovered!(debug) } else { recovered!(warn) }
}
