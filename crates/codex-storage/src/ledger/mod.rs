//! Ledger mode: the log is kept whole; a checkpoint beside it spares opening the reading of it.

pub(crate) mod checkpoint;
pub(crate) mod commits;
pub(crate) mod history;
pub(crate) mod past;

use crate::core::Engine;
use crate::engine::{LogEngine, Maintenance, Occasion};
use crate::error::Result;
use crate::files::Files;
use crate::format::SequenceNumber;
use crate::log::writer::Log;
use crate::sync::Arc;
use crate::table::{Group, Totals};
use crate::vfs::Vfs;
use crate::view::View;

/// The engine of ledger mode.
#[derive(Debug)]
pub(crate) struct LedgerEngine {
    log: Log,
    vfs: Arc<dyn Vfs>,
    files: Files,
    /// The log before this offset is covered by the checkpoint.
    checkpointed: u64,
}

impl LedgerEngine {
    pub(crate) fn new(log: Log, vfs: Arc<dyn Vfs>, files: Files, checkpointed: u64) -> Self {
        Self { log, vfs, files, checkpointed }
    }
}

impl Engine<Group> for LedgerEngine {
    fn last_sequence(&self) -> SequenceNumber {
        self.log.last_sequence()
    }

    fn append(&mut self, group: &Group) -> Result<()> {
        self.log.append(group)
    }
}

impl LogEngine for LedgerEngine {
    fn log(&self) -> &Log {
        &self.log
    }

    fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    fn maintenance_is_due(&self, live: Totals, occasion: Occasion) -> bool {
        let tail = self.log.end().offset.saturating_sub(self.checkpointed);
        match occasion {
            // A checkpoint writes what is live: it is due when as much has been logged, so that all
            // checkpoints together cost no more than the log.
            Occasion::Running => tail > CHECKPOINT_TAIL_MIN && tail > live.bytes,
            Occasion::Closing => tail > CLOSING_CHECKPOINT_TAIL_MIN && tail > live.bytes / 2,
        }
    }

    fn plan_maintenance(&mut self, view: View) -> Result<Box<dyn Maintenance>> {
        // A checkpoint covers only what is durable.
        self.log.flush()?;
        let (vfs, files) = (self.vfs.clone(), self.files.clone());
        Ok(Box::new(checkpoint::CheckpointJob::plan(&self.log, vfs, files, view)?))
    }

    fn replace_log(&mut self, log: Log) {
        self.log = log;
    }

    fn note_checkpoint(&mut self, offset: u64) {
        self.checkpointed = offset;
    }
}

/// Opening reads the tail of a log at several hundred MiB a second; a shorter one is not worth a checkpoint, in bytes.
const CHECKPOINT_TAIL_MIN: u64 = 16 << 20;
const CLOSING_CHECKPOINT_TAIL_MIN: u64 = 4 << 20;
