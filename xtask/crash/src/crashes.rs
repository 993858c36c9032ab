//! Crashes, and the openings that follow: by a reader, by writers that crash or fail as well, and by one that succeeds.

use std::path::Path;

use codex_storage::{OpenOptions, StorageError};

use crate::history::{Again, AgainEvent, Crash, CrashKind};
use crate::repository::Look;
use crate::watch::LOG_START;
use crate::world::{End, PATH, Taken, World, fail};

impl World {
    /// Stops the machine and judges what is left.
    pub(crate) fn crash(&mut self, crash: &Crash) -> Taken {
        self.stop = None;
        self.power_off(crash.kind);
        let mut seen = self.look()?;
        // Behind a power loss what can be read is on the disk, so that no recovery can lose it.
        let mut settled = matches!(crash.kind, CrashKind::Power(_));
        for Again { skip, event } in &crash.again {
            match event {
                AgainEvent::Crash(_) => self.watched.disk().stop_at(*skip),
                AgainEvent::Fault(fault) => self.watched.disk().fail_at(*skip, *fault),
            }
            match (self.open(), event) {
                (Ok(true), _) => break,
                (Ok(false), _) => settled = false,
                (Err(End::Off), AgainEvent::Crash(kind)) => {
                    self.power_off(*kind);
                    let found = self.look()?;
                    // What was not there may have been created in between.
                    if settled && seen.is_some() && found != seen {
                        return fail(format!("showed {seen:?}, and behind a crash in the opening {found:?}"));
                    }
                    // What a killed opening has created is not.
                    settled = matches!(kind, CrashKind::Power(_)) || settled && found == seen;
                    seen = found;
                }
                (Err(end), _) => return Err(end),
            }
            self.watched.disk().clear_faults();
        }
        self.watched.disk().clear_faults();
        if !self.open()? {
            // The disk is full: what recovery has to keep found no room.
            self.relent();
            if !self.open()? {
                return fail("it does not open although nothing fails any more");
            }
        }
        if let Some(seen) = seen.filter(|seen| settled && *seen != self.timeline.last()) {
            return fail(format!("a reader saw commit {seen}, the writer {}", self.timeline.last()));
        }
        self.verify()?;
        self.no_temporaries()?;
        self.check_copies()?;
        self.check_repository(Look::Restore)
    }

    pub(crate) fn power_off(&mut self, kind: CrashKind) {
        self.counts.crashes += 1;
        let disk = self.watched.disk();
        self.counts.operations += disk.operations();
        let left = match kind {
            CrashKind::Power(seed) => {
                self.handed = self.durable;
                disk.crash(seed)
            }
            CrashKind::Kill => disk.process_crash(),
        };
        self.database = None;
        self.closed_cleanly = false;
        self.watched.reboot(left);
    }

    /// Opens for reading only, and judges what it shows. `None`: there is no database yet, or an error with a cause.
    pub(crate) fn look(&mut self) -> Taken<Option<u64>> {
        self.watched.set_only_reading(true);
        let found = self.look_closely();
        self.watched.set_only_reading(false);
        found
    }

    pub(crate) fn look_closely(&mut self) -> Taken<Option<u64>> {
        let options = OpenOptions { read_only: true, ..self.options() };
        let result = options.open(Path::new(PATH), self.unlock().as_ref());
        if !self.created && matches!(result, Err(StorageError::NotFound { .. })) {
            return Ok(None);
        }
        let Some(database) = self.answer("opening for reading", result)? else { return Ok(None) };
        let (found, _) = self.which(&database.view())?;
        match database.verify() {
            // A header copy that a crash tore is reported, and left to the next opening for writing.
            Err(StorageError::Damaged { offset, .. }) if offset < LOG_START => {}
            verified => match self.answer("verify of an opening for reading", verified)? {
                Some(report) if report.sequence != found => {
                    return fail(format!("verify found commit {}, readers see {found}", report.sequence));
                }
                _ => {}
            },
        }
        Ok(Some(found))
    }

    pub(crate) fn no_temporaries(&self) -> Taken {
        for name in self.watched.disk().file_names() {
            let name = name.to_string_lossy();
            if [".app.db.tmp-", ".app.db.ckpt.tmp-", ".app.db.torn.tmp-"]
                .iter()
                .any(|part| name.contains(part))
            {
                return fail(format!("{name} is left although the database was opened for writing"));
            }
        }
        Ok(())
    }
}
