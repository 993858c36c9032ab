//! Ledger mode: the log is kept whole; a checkpoint beside it spares opening the reading of it.

pub(crate) mod checkpoint;
pub(crate) mod commits;
pub(crate) mod history;
pub(crate) mod past;

use crate::core::Engine;
use crate::engine::{LogEngine, Maintenance, MaintenanceHost, Occasion};
use crate::error::{Result, StorageError};
use crate::files::Files;
use crate::format::SequenceNumber;
use crate::keys::NewRoot;
use crate::log::writer::Log;
use crate::sync::Arc;
use crate::table::{Group, Totals};
use crate::vfs::Vfs;
use crate::view::View;
use checkpoint::remove_checkpoint;

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

    fn plan_renewal(&mut self, _view: View, new: NewRoot) -> Result<Box<dyn Maintenance>> {
        Ok(Box::new(Renewal { new, vfs: self.vfs.clone(), files: self.files.clone() }))
    }

    fn replace_log(&mut self, log: Log) {
        self.log = log;
    }

    fn note_checkpoint(&mut self, offset: u64) {
        self.checkpointed = offset;
    }
}

/// The log goes on under another root key.
struct Renewal {
    new: NewRoot,
    vfs: Arc<dyn Vfs>,
    files: Files,
}

impl Maintenance for Renewal {
    fn run(self: Box<Self>, host: &dyn MaintenanceHost) -> Result<()> {
        // It is under the old key, and the next one is not due before the log has grown.
        remove_checkpoint(&*self.vfs, &self.files)?;
        let mut new = Some(self.new);
        host.with_engine(&mut |engine| {
            engine.note_checkpoint(0);
            let new = new.take().ok_or(StorageError::Internal("a root key was taken twice"))?;
            engine.log_mut().renew_root(new)
        })
    }
}

/// Opening reads the tail of a log at several hundred MiB a second; a shorter one is not worth a checkpoint, in bytes.
const CHECKPOINT_TAIL_MIN: u64 = 16 << 20;
const CLOSING_CHECKPOINT_TAIL_MIN: u64 = 4 << 20;
