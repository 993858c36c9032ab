//! What the two engines have in common beyond [`Engine`]: a log, and work to do behind the commits.

use crate::core::Engine;
use crate::error::Result;
use crate::keys::NewRoot;
use crate::log::writer::Log;
use crate::progress::Observer;
use crate::table::{Group, Totals};
use crate::view::View;

/// An engine over a log that the database looks after.
pub(crate) trait LogEngine: Engine<Group> {
    /// The log.
    fn log(&self) -> &Log;

    /// The log, for writing. Called with the I/O lock held.
    fn log_mut(&mut self) -> &mut Log;

    /// Whether maintenance is worth its cost.
    fn maintenance_is_due(&self, live: Totals, occasion: Occasion) -> bool;

    /// Plans maintenance; `view` shows what the log holds. Called with the I/O lock held.
    fn plan_maintenance(&mut self, view: View) -> Result<Box<dyn Maintenance>>;

    /// Plans the change to another root key, for all that is written from then on. Called with the I/O lock held.
    fn plan_renewal(&mut self, view: View, new: NewRoot) -> Result<Box<dyn Maintenance>>;

    /// Takes over a log that a rewrite has put in place of the engine's.
    fn replace_log(&mut self, log: Log);

    /// Takes note of a checkpoint that covers the log up to an offset.
    fn note_checkpoint(&mut self, offset: u64);
}

/// When maintenance is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Commits go on.
    Running,
    /// The database is being closed.
    Closing,
}

/// Work behind the commits: runs without the I/O lock, and takes it for short steps.
pub(crate) trait Maintenance: Send {
    /// Does the work. After an error nothing has changed, and no temporary file is left.
    fn run(self: Box<Self>, host: &dyn MaintenanceHost) -> Result<()>;
}

/// What maintenance needs from the database.
pub(crate) trait MaintenanceHost {
    /// Runs `step` under the I/O lock.
    fn with_engine(&self, step: &mut dyn FnMut(&mut dyn LogEngine) -> Result<()>) -> Result<()>;

    /// An error once the work should be given up, because the database is being closed.
    fn check_wanted(&self) -> Result<()>;

    /// Who waits for the work. By default nobody does: it is behind the commits.
    fn observer(&self) -> &Observer {
        Observer::NONE
    }
}
