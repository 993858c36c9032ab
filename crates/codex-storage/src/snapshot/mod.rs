//! Snapshot mode: the log holds the current state, and is rewritten when most of it is superseded.

mod rewrite;

pub(crate) use rewrite::write_state;

use crate::core::Engine;
use crate::engine::{LogEngine, Maintenance, Occasion};
use crate::error::Result;
use crate::files::Files;
use crate::format::SequenceNumber;
use crate::format::header::LOG_START;
use crate::keys::NewRoot;
use crate::log::writer::Log;
use crate::sync::Arc;
use crate::table::{Group, Totals};
use crate::vfs::Vfs;
use crate::view::View;

/// The engine of snapshot mode.
#[derive(Debug)]
pub(crate) struct SnapshotEngine {
    log: Log,
    vfs: Arc<dyn Vfs>,
    files: Files,
}

impl SnapshotEngine {
    pub(crate) fn new(log: Log, vfs: Arc<dyn Vfs>, files: Files) -> Self {
        Self { log, vfs, files }
    }
}

impl Engine<Group> for SnapshotEngine {
    fn last_sequence(&self) -> SequenceNumber {
        self.log.last_sequence()
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        self.log.append(group)
    }
}

impl LogEngine for SnapshotEngine {
    fn log(&self) -> &Log {
        &self.log
    }

    fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    fn maintenance_is_due(&self, live: Totals, occasion: Occasion) -> bool {
        rewrite_is_due(self.log.end().offset, live, occasion)
    }

    fn plan_maintenance(&mut self, view: View) -> Result<Box<dyn Maintenance>> {
        Ok(Box::new(rewrite::Rewrite::plan(&mut self.log, self.vfs.clone(), self.files.clone(), view)?))
    }

    /// The file is rewritten: nothing of it stays under the old key.
    fn plan_renewal(&mut self, view: View, new: NewRoot) -> Result<Box<dyn Maintenance>> {
        let rewrite = rewrite::Rewrite::plan(&mut self.log, self.vfs.clone(), self.files.clone(), view)?;
        Ok(Box::new(rewrite.with_new_root(new)))
    }

    fn replace_log(&mut self, log: Log) {
        self.log = log;
    }

    fn note_checkpoint(&mut self, _offset: u64) {}
}

/// Whether a log of `len` bytes is to be rewritten: so that it stays below twice what is live while the database is open,
/// and is at most one and a half times that when it is closed.
fn rewrite_is_due(len: u64, live: Totals, occasion: Occasion) -> bool {
    let rewritten = rewritten_len(live);
    match occasion {
        Occasion::Running => len > REWRITE_LEN_MIN && len > rewritten + rewritten / 4 * 3,
        // Short records have much around them; without the second condition each closing would rewrite them in vain.
        Occasion::Closing => {
            len > CLOSING_REWRITE_LEN_MIN
                && len > live.bytes + live.bytes / 2
                && len > rewritten + rewritten / 4
        }
    }
}

/// What a rewrite would leave, in bytes.
pub(crate) fn rewritten_len(live: Totals) -> u64 {
    LOG_START + live.bytes + live.records * RECORD_OVERHEAD + live.bytes / FRAME_SHARE
}

/// What the encoding of a record adds to key and value, in bytes; five for most.
const RECORD_OVERHEAD: u64 = 5;
/// A frame's header and tag are less than this part of a full frame.
const FRAME_SHARE: u64 = 4096;
/// A smaller file is not worth a rewrite, in bytes.
const REWRITE_LEN_MIN: u64 = 1 << 20;
/// Nobody should wait at closing for a rewrite that saves little.
const CLOSING_REWRITE_LEN_MIN: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn due_at_closing(len: u64, live: Totals) -> bool {
        rewrite_is_due(len, live, Occasion::Closing)
    }

    #[test]
    fn a_closed_file_is_at_most_one_and_a_half_times_what_is_live() {
        let live = Totals { records: 1_000_000, bytes: 116_000_000 };
        assert!(!due_at_closing(174_000_000, live));
        assert!(due_at_closing(174_000_001, live));
        assert!(!due_at_closing(16 << 20, Totals::default()), "small files are left alone");
    }

    #[test]
    fn closing_rewrites_no_short_records_in_vain() {
        // A counter each: the rewritten file itself has twice their bytes.
        let live = Totals { records: 10_000_000, bytes: 50_000_000 };
        assert!(!due_at_closing(rewritten_len(live), live));
        assert!(due_at_closing(rewritten_len(live) * 2, live));
    }
}
