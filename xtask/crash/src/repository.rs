//! The repository: backups into it, pruning it, and restoring from it.
//!
//! What the referee knows of it, whatever happened: every backup that was acknowledged and not pruned is there, whole,
//! and can be restored with a key that opened the database then; beside them at most the one that was being made.

use std::path::{Path, PathBuf};

use codex_backup::{BackupError, Repository, RestoreOptions, Retention};
use codex_crypto::{Digest, Unlock};
use codex_storage::vfs::Vfs;
use codex_storage::{Mode, Point, StorageError};

use crate::answers::chain;
use crate::keys::key;
use crate::model::Timeline;
use crate::watch::LOG_START;
use crate::world::{End, PATH, Taken, World, fail};

/// A backup that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    number: u64,
    timeline: Timeline,
    /// What makes another backup its continuation: the same file, which begins with this log.
    origin: Digest,
    log: Vec<u8>,
}

/// The repository as the referee knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Oldest first.
    backups: Vec<Sent>,
    /// One that was being made when an error or a crash came.
    sending: Option<Sent>,
    /// An error or a crash came while only so many were to be kept.
    pruning: Option<usize>,
}

impl World {
    pub(crate) fn send(&mut self) -> Taken {
        let Some(prefix) = self.prefix()? else { return Ok(()) };
        self.check_repository(Look::Verify)?;
        let file = self.watched.disk().read_file(PATH).map_err(|error| error.to_string())?;
        let range = index(LOG_START)..index(prefix.len());
        let latest = self.held.backups.last();
        let sent = Sent {
            number: latest.map_or(0, |latest| latest.number) + 1,
            timeline: self.timeline.clone(),
            origin: prefix.origin(),
            log: file.get(range).ok_or_else(|| "the file is shorter than its prefix".to_owned())?.to_vec(),
        };
        let continues = latest.is_none_or(|latest| {
            if latest.origin == sent.origin {
                sent.log.starts_with(&latest.log)
            } else {
                latest.timeline.last() <= sent.timeline.last()
            }
        });
        let time_ns = self.timeline.last();
        let vfs = self.vfs();
        let send = |forked| {
            let repository = Repository::open_or_create(&vfs, Path::new(REPOSITORY))?;
            repository.back_up(&prefix, time_ns, forked)
        };
        if !continues {
            match send(false) {
                Err(BackupError::NotContinued { .. }) => {}
                result => {
                    if self.answer("refusing a backup", result)?.is_some() {
                        return fail("a backup was taken that does not continue the latest");
                    }
                    return Ok(());
                }
            }
        }
        self.held.sending = Some(sent);
        let result = send(!continues);
        let unsettled = self.watched.is_unsettled();
        if let Some(made) = self.answer("a backup into the repository", result)? {
            let sent = self.held.sending.take().ok_or_else(|| "nothing was sent".to_owned())?;
            if (made.backup.number, made.backup.sequence) != (sent.number, sent.timeline.last()) {
                return fail(format!("{made:?} where number {} was to be made", sent.number));
            }
            self.held.backups.push(sent);
            if let Some(name) = self.repository_names().iter().find(|name| is_temporary(name)) {
                return fail(format!("{} is left behind a backup", name.display()));
            }
        } else if !unsettled {
            self.held.sending = None;
        }
        Ok(())
    }

    pub(crate) fn prune(&mut self, choice: u64) -> Taken {
        self.check_repository(Look::Verify)?;
        if self.held.backups.is_empty() {
            return Ok(());
        }
        let keep = index(1 + choice % 3);
        self.held.pruning = Some(keep);
        let retention = Retention { last: keep, ..Retention::default() };
        let result = Repository::open(&self.vfs(), Path::new(REPOSITORY))
            .and_then(|repository| repository.prune(&retention, None, false));
        if self.answer("pruning", result)?.is_some() {
            self.held.pruning = None;
            let gone = self.held.backups.len().saturating_sub(keep);
            self.held.backups.drain(..gone);
        }
        Ok(())
    }

    /// Restores the newest backup over the database, or the state one or two commits before its last.
    pub(crate) fn fetch(&mut self, choice: u64) -> Taken {
        self.close()?;
        self.check_repository(Look::Verify)?;
        let Some(newest) = self.held.backups.last() else { return Ok(()) };
        let back = choice % 3;
        let at = (back > 0).then(|| newest.timeline.last().saturating_sub(back));
        let unlock = opener(&newest.timeline);
        // What a rewrite has merged is looked for in older backups that the key opens.
        let reaching = self.held.backups.iter().rev().filter_map(|sent| {
            let mut timeline = sent.timeline.clone();
            let opens = timeline.keys.is_empty()
                || newest.timeline.keys.first().is_some_and(|key| timeline.keys.contains(key));
            let sequence = at.unwrap_or(timeline.last());
            timeline.truncate(sequence);
            (opens && timeline.last() == sequence).then_some(timeline)
        });
        let count = if at.is_some() && self.setup.mode == Mode::Snapshot { usize::MAX } else { 1 };
        let possible: Vec<Timeline> = reaching.take(count).collect();
        self.closed_cleanly = false;
        self.protected = None;
        let before = self.others.len();
        self.others.extend(possible.iter().cloned());
        let at = at.map(Point::Sequence);
        let options = RestoreOptions { overwrite: true, at, vfs: self.vfs(), ..RestoreOptions::default() };
        let result = Repository::open(&self.vfs(), Path::new(REPOSITORY))
            .and_then(|repository| repository.restore(None, Path::new(PATH), unlock.as_ref(), &options));
        let unsettled = self.watched.is_unsettled();
        let merged = matches!(
            &result,
            Err(BackupError::Storage(StorageError::NoSuchCommit { .. } | StorageError::WrongKey { .. }))
        );
        if merged && at.is_some() && self.setup.mode == Mode::Snapshot {
            self.others.truncate(before);
        } else if self.answer("restoring from the repository", result)?.is_some() {
            let view = self.fork().peek(Path::new(PATH))?;
            let keys = self.keys_of(self.watched.disk(), Path::new(PATH));
            let found = possible.into_iter().find(|one| one.keys == keys && one.compare(&view).is_ok());
            let Some(found) = found else {
                return fail(format!(
                    "{at:?}: commit {} was restored, with the keys {keys:?}",
                    view.sequence()
                ));
            };
            self.timeline = found;
            self.keys_unknown = None;
            self.others.clear();
            self.unknown.clear();
            self.created = true;
            self.all_is_durable();
            self.closed_cleanly = true;
        } else if !unsettled {
            self.others.truncate(before);
        }
        Ok(())
    }

    /// Demands of the repository that it is whole and holds what it must. Works on a copy of the disk.
    pub(crate) fn check_repository(&mut self, look: Look) -> Taken {
        if self.held.backups.is_empty() && self.held.sending.is_none() {
            return Ok(());
        }
        self.settle_repository()?;
        let fork = self.fork();
        fork.watched.disk().set_capacity(None);
        let vfs = fork.vfs();
        let Held { sending, pruning, .. } = &mut self.held;
        let (sending, pruning) = (sending.take(), pruning.take());
        let repository = match Repository::open(&vfs, Path::new(REPOSITORY)) {
            Err(BackupError::NoRepository { .. }) if self.held.backups.is_empty() => return Ok(()),
            opened => opened.map_err(|error| told(&error))?,
        };
        repository.verify(None).map_err(|error| told(&error))?;
        let listed = repository.list().map_err(|error| told(&error))?;
        let kept = self.held.backups.len().saturating_sub(pruning.unwrap_or(usize::MAX));
        let is_there = |sent: &Sent| listed.iter().any(|backup| backup.number == sent.number);
        for (index, sent) in self.held.backups.iter().enumerate() {
            if index >= kept && !is_there(sent) {
                return fail(format!("backup {} is gone from the repository", sent.number));
            }
        }
        self.held.backups.extend(sending);
        self.held.backups.retain(is_there);
        if self.held.backups.len() != listed.len() {
            return fail(format!("the repository lists {listed:?}, which nobody sent"));
        }
        if look == Look::Verify {
            return Ok(());
        }
        for (sent, listed) in self.held.backups.iter().rev().zip(&listed) {
            let options =
                RestoreOptions { overwrite: true, at: None, vfs: vfs.clone(), ..RestoreOptions::default() };
            let target = Path::new("/elsewhere/restored.db");
            repository
                .restore(None, target, opener(&sent.timeline).as_ref(), &options)
                .map_err(|error| told(&error))?;
            let view = fork.peek(target)?;
            let number = sent.number;
            sent.timeline
                .compare(&view)
                .map_err(|why| format!("backup {number} in the repository: {why}"))?;
            if fork.keys_of(fork.watched.disk(), target) != sent.timeline.keys {
                return fail(format!("backup {number} opens with other keys than the database did"));
            }
            // Then the one before it is the newest.
            let name = format!("{}/backup-{number:010}-{}.json", listed.database, listed.receipt);
            let removed = fork.watched.disk().remove(&Path::new(REPOSITORY).join(name));
            removed.map_err(|error| format!("the manifest of backup {number}: {error}"))?;
        }
        Ok(())
    }

    /// Names that an interrupted call has left are made durable, so that what is found now is found later too.
    fn settle_repository(&mut self) -> Taken {
        if self.held.sending.is_none() && self.held.pruning.is_none() {
            return Ok(());
        }
        let mut folders: Vec<PathBuf> = vec![PathBuf::from("/"), PathBuf::from(REPOSITORY)];
        folders.extend(self.repository_names().iter().filter_map(|name| Some(name.parent()?.to_path_buf())));
        folders.dedup();
        for folder in folders {
            while let Err(error) = self.watched.sync_directory(&folder) {
                if self.watched.is_off() {
                    return Err(End::Off);
                }
                // A fault that was waiting strikes once; a folder may not have been made.
                drop(self.watched.take_failures());
                if error.kind() == std::io::ErrorKind::NotFound {
                    break;
                }
            }
        }
        Ok(())
    }

    fn repository_names(&self) -> Vec<PathBuf> {
        let names = self.watched.disk().file_names();
        names.into_iter().filter(|name| name.starts_with(REPOSITORY)).collect()
    }
}

/// How closely the repository is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It verifies, and lists what it must.
    Verify,
    /// Each backup is restored, too.
    Restore,
}

fn opener(timeline: &Timeline) -> Option<Unlock> {
    timeline.keys.first().map(|number| key(*number))
}

fn told(error: &BackupError) -> String {
    format!("the repository: {}", chain(error))
}

fn is_temporary(path: &Path) -> bool {
    path.to_string_lossy().contains(".tmp-")
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

const REPOSITORY: &str = "/backups";
