//! What calls return: an error has a cause on the disk, and an error of the disk is returned by the call that met it.

use std::error::Error;
use std::io;
use std::path::Path;

use codex_backup::BackupError;
use codex_storage::vfs::sim::Operation;
use codex_storage::{Mode, StorageError};

use crate::watch::{DiskFailure, Written};
use crate::world::{End, PATH, Taken, World, fail};

impl World {
    /// What a call has returned: `None` for an error that has a cause.
    pub(crate) fn answer<T, E: Told>(&mut self, what: &str, result: Result<T, E>) -> Taken<Option<T>> {
        self.answer_but(what, result, is_best_effort)
    }

    /// As [`World::answer`], of closing: a rewrite or checkpoint that fails there before its rename stops nothing.
    pub(crate) fn answer_of_closing(&mut self, result: Result<(), StorageError>) -> Taken<Option<()>> {
        self.answer_but("closing", result, |failure| is_best_effort(failure) || is_of_temporary(failure))
    }

    fn answer_but<T, E: Told>(
        &mut self,
        what: &str,
        result: Result<T, E>,
        is_passed_over: impl Fn(&DiskFailure) -> bool,
    ) -> Taken<Option<T>> {
        let failures = self.watched.take_failures();
        self.counts.errors += failures.len() as u64;
        self.note_failures(&failures);
        match result {
            Ok(value) => match failures.iter().find(|failure| !is_passed_over(failure)) {
                Some(failure) => fail(format!("{what} returned Ok although {failure:?}")),
                None => Ok(Some(value)),
            },
            Err(_) if self.watched.is_off() => Err(End::Off),
            Err(error) => {
                let refused = matches!(error.storage(), Some(StorageError::WritesStopped { .. }));
                if if failures.is_empty() { self.stopped && refused } else { has_io_error(&error) } {
                    Ok(None)
                } else {
                    let because = if failures.is_empty() { "without a cause" } else { "of another kind" };
                    fail(format!("{what}: an error {because}: {}; {failures:?}", chain(&error)))
                }
            }
        }
    }

    /// As [`World::answer`], of a call that may rewrite the file. The folder's sync comes behind the rename: where it
    /// fails, nobody knows which file will stand there, so that nothing more may be written.
    pub(crate) fn answer_of_rewrite<T>(
        &mut self,
        what: &str,
        result: Result<T, StorageError>,
    ) -> Taken<Option<T>> {
        let unsettled = self.watched.is_unsettled() && self.setup.mode == Mode::Snapshot;
        let answer = self.answer(what, result)?;
        if unsettled {
            self.stop_writes();
        }
        Ok(answer)
    }

    /// What an open database makes of errors: `docs/durability.md`, "When writing fails".
    pub(crate) fn note_failures(&mut self, failures: &[DiskFailure]) {
        for failure in failures.iter().filter(|failure| failure.path == Path::new(PATH)) {
            match failure.operation {
                // The cache may have dropped what an opening wanted to make durable.
                Operation::Sync if self.database.is_none() => self.handed = self.durable,
                _ if self.database.is_none() => {}
                Operation::Write if failure.space => {
                    self.header_doubtful |= failure.written == Some(Written::Header);
                }
                Operation::Write | Operation::Sync | Operation::SetLen => self.stop_writes(),
                _ => {}
            }
        }
    }

    /// After a failed sync the cache may have lost what it held.
    pub(crate) fn stop_writes(&mut self) {
        self.stopped = true;
        self.handed = self.durable;
        self.protected = None;
    }

    /// A writing call that succeeds must not do so once writes are stopped.
    pub(crate) fn must_not_be_stopped(&self, what: &str) -> Taken {
        if self.stopped { fail(format!("{what} succeeded although writes must be stopped")) } else { Ok(()) }
    }
}

/// Errors that a call returns.
pub(crate) trait Told: Error + 'static {
    /// The error of the storage layer that it is.
    fn storage(&self) -> Option<&StorageError>;
}

impl Told for StorageError {
    fn storage(&self) -> Option<&StorageError> {
        match self {
            Self::Shared(inner) => inner.storage(),
            error => Some(error),
        }
    }
}

impl Told for BackupError {
    fn storage(&self) -> Option<&StorageError> {
        match self {
            Self::Storage(error) => error.storage(),
            _ => None,
        }
    }
}

/// Space is set aside where there is some; a commit that still fits is made without.
fn is_best_effort(failure: &DiskFailure) -> bool {
    let operation = failure.operation;
    // The lock goes with the file.
    operation == Operation::Reserve
        || operation == Operation::Unlock
        || failure.space && failure.written == Some(Written::Zeros)
}

fn is_of_temporary(failure: &DiskFailure) -> bool {
    let name = failure.path.file_name();
    !failure.unsettled && name.is_some_and(|name| name.to_string_lossy().contains(".tmp-"))
}

pub(crate) fn is_unknown(error: &StorageError) -> bool {
    matches!(error.storage(), Some(StorageError::OutcomeUnknown { .. }))
}

fn has_io_error(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(<dyn Error>::is::<io::Error>)
}

pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// An error and what lies behind it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}
