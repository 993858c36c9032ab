//! Copies: hot backups, the rotation, restore, and files that are copied as they are.

use std::path::{Path, PathBuf};

use codex_backup::RestoreOptions;
use codex_storage::vfs::Vfs;
use codex_storage::vfs::replace::Existing;
use codex_storage::{Database, OpenOptions, Prefix, StorageError, View};

use crate::answers::chain;
use crate::history::Step;
use crate::model::Timeline;
use crate::repository::Held;
use crate::world::{Counts, End, PATH, Taken, World, fail, files};

impl World {
    pub(crate) fn back_up(&mut self) -> Taken {
        let Some(prefix) = self.prefix()? else { return Ok(()) };
        if self.copies.len() == COPY_COUNT_MAX {
            return Ok(());
        }
        self.check_copies()?;
        self.copies_made += 1;
        let path = PathBuf::from(format!("/folder/copy {}.db", self.copies_made));
        self.copying = Some((path.clone(), self.timeline.clone()));
        let result = codex_backup::copy(&prefix, &self.vfs(), &path, Existing::Refuse);
        let unsettled = self.watched.is_unsettled();
        if self.answer("a backup", result)?.is_some() {
            self.copies.extend(self.copying.take());
        } else if !unsettled {
            self.copying = None;
            if self.watched.disk().read_file(&path).is_ok() {
                return fail("a backup that failed has left its file");
            }
        }
        Ok(())
    }

    pub(crate) fn prefix(&mut self) -> Taken<Option<Prefix>> {
        if !self.open()? {
            return Ok(None);
        }
        let Some(result) = self.database.as_ref().map(Database::durable_prefix) else { return Ok(None) };
        let prefix = self.answer("preparing a backup", result)?;
        if prefix.is_some() {
            self.must_not_be_stopped("preparing a backup")?;
            self.all_is_durable();
        }
        Ok(prefix)
    }

    pub(crate) fn rotate(&mut self) -> Taken {
        let Some(prefix) = self.prefix()? else { return Ok(()) };
        self.check_copies()?;
        self.rotating = Some(self.timeline.clone());
        let result = codex_backup::rotate(&prefix, &self.vfs(), &files(), self.setup.keep);
        if self.answer("rotating backups", result)?.is_some() {
            // Their paths are looked up before they are used.
            self.rotation.extend(self.rotating.take().map(|newest| (PathBuf::new(), newest)));
            self.rotation.rotate_right(1);
            self.rotation.truncate(self.setup.keep as usize);
        }
        Ok(())
    }

    pub(crate) fn restore(&mut self, number: u64) -> Taken {
        self.close()?;
        self.check_copies()?;
        let sources: Vec<_> = self.copies.iter().chain(&self.rotation).collect();
        let Some(choice) = number.checked_rem(sources.len() as u64) else { return Ok(()) };
        let (path, timeline) = sources[usize::try_from(choice).expect("an index")].clone();
        // Until it is opened again, either file may stand there.
        self.closed_cleanly = false;
        self.protected = None;
        self.others.push(timeline);
        let unlock = self.unlock_of(self.watched.disk(), &path);
        let options = RestoreOptions { overwrite: true, vfs: self.vfs(), ..RestoreOptions::default() };
        let result = codex_backup::restore(&path, Path::new(PATH), unlock.as_ref(), &options);
        let unsettled = self.watched.is_unsettled();
        if self.answer("restoring", result)?.is_some() {
            self.timeline =
                self.others.pop().ok_or_else(|| End::Failure("nothing was restored".to_owned()))?;
            self.keys_unknown = None;
            self.others.clear();
            self.unknown.clear();
            self.created = true;
            self.all_is_durable();
            self.closed_cleanly = true;
        } else if !unsettled {
            self.others.pop();
        }
        Ok(())
    }

    /// The files as they are, put somewhere else: two databases that go on apart.
    pub(crate) fn fork(&self) -> Self {
        Self {
            watched: self.watched.fork(),
            clock: self.clock.clone(),
            database: None,
            timeline: self.timeline.clone(),
            unknown: self.unknown.clone(),
            keys_unknown: self.keys_unknown.clone(),
            others: self.others.clone(),
            views: Vec::new(),
            copies: Vec::new(),
            copying: None,
            rotation: Vec::new(),
            rotating: None,
            held: Held::default(),
            stop: None,
            counts: Counts::default(),
            ..*self
        }
    }

    pub(crate) fn fork_and_go_on(&mut self, steps: &[Step]) -> Taken {
        let mut fork = self.fork();
        fork.rotation.clear();
        fork.alone();
        for step in steps {
            fork.step(step).map_err(|why| format!("on the copy: {why}"))?;
        }
        fork.step(&Step::Close).map_err(|why| format!("on the copy: {why}"))?;
        fork.counts.operations += fork.watched.disk().operations();
        self.counts.add(fork.counts);
        Ok(())
    }

    /// The rotation stays behind when files are copied.
    pub(crate) fn alone(&mut self) {
        self.watched.disk().set_capacity(None);
        let names = self.watched.disk().file_names();
        for name in names.iter().filter(|name| name.to_string_lossy().contains(".bak.")) {
            // The name is there: it was just listed.
            self.watched.disk().remove(name).expect("a copy of a disk without faults");
        }
    }

    /// Names that an interrupted call has left are made durable, so that what is found now is found later too.
    pub(crate) fn settle_names(&mut self) -> Taken {
        while self.copying.is_some() || self.rotating.is_some() {
            match self.watched.sync_directory(files().folder()) {
                Ok(()) => return Ok(()),
                Err(_) if self.watched.is_off() => return Err(End::Off),
                // A fault that was waiting strikes once.
                Err(_) => drop(self.watched.take_failures()),
            }
        }
        Ok(())
    }

    /// Demands of all copies that they are what they were when they were made. Works on a copy of the disk.
    pub(crate) fn check_copies(&mut self) -> Taken {
        self.settle_names()?;
        let fork = self.fork();
        if let Some((path, timeline)) = self.copying.take()
            && fork.watched.disk().read_file(&path).is_ok()
        {
            self.copies.push((path, timeline));
        }
        for (path, timeline) in &self.copies {
            let view = fork.peek(path)?;
            timeline.compare(&view).map_err(|why| format!("the backup {}: {why}", path.display()))?;
            if fork.keys_of(fork.watched.disk(), path) != timeline.keys {
                return fail(format!("the backup {} opens with other keys than it did", path.display()));
            }
        }
        if self.rotation.is_empty() && self.rotating.is_none() {
            return Ok(());
        }
        let listed = codex_backup::list(&fork.watched, &files()).map_err(|error| chain(&error))?;
        let mut found: Vec<(PathBuf, Timeline)> = Vec::new();
        for backup in listed {
            let view = fork.peek(&backup.path)?;
            let keys = fork.keys_of(fork.watched.disk(), &backup.path);
            let known = self.rotating.iter().chain(self.rotation.iter().map(|(_, timeline)| timeline));
            let Some(timeline) =
                known.into_iter().find(|timeline| timeline.keys == keys && timeline.compare(&view).is_ok())
            else {
                let (path, sequence) = (backup.path.display(), view.sequence());
                return fail(format!("{path} shows a state at {sequence} that no backup had"));
            };
            found.push((backup.path, timeline.clone()));
        }
        let names = |timelines: &[&Timeline]| {
            let mut names: Vec<_> =
                timelines.iter().map(|timeline| (timeline.last(), timeline.state())).collect();
            // A rename that a crash interrupted may leave two names of one file.
            names.dedup();
            names
        };
        let old: Vec<_> = self.rotation.iter().map(|(_, timeline)| timeline).collect();
        let newest: Vec<_> = self.rotating.iter().collect();
        let shorter = &old[..old.len().min(self.setup.keep as usize - 1)];
        let mut allowed = vec![old.clone()];
        if !newest.is_empty() {
            allowed.extend([
                shorter.to_vec(),
                [&newest[..], &old[..]].concat(),
                [&newest[..], shorter].concat(),
            ]);
        }
        let found_names = names(&found.iter().map(|(_, timeline)| timeline).collect::<Vec<_>>());
        if !allowed.iter().any(|allowed| names(allowed) == found_names) {
            let sequences = |list: &[&Timeline]| list.iter().map(|t| t.last()).collect::<Vec<_>>();
            let found: Vec<_> = found.iter().map(|(path, t)| (path.clone(), t.last())).collect();
            return fail(format!("the rotation held commits {:?}, and now {found:?}", sequences(&old)));
        }
        self.rotation = found;
        self.rotating = None;
        Ok(())
    }

    /// The state that the database at a path shows a reader. It verifies.
    pub(crate) fn peek(&self, path: &Path) -> Taken<View> {
        let options = OpenOptions { read_only: true, create: false, ..self.options() };
        let at = |error: StorageError| End::Failure(format!("{}: {}", path.display(), chain(&error)));
        let database = options.open(path, self.unlock_of(self.watched.disk(), path).as_ref()).map_err(at)?;
        database.verify().map_err(at)?;
        Ok(database.view())
    }
}

const COPY_COUNT_MAX: usize = 3;
