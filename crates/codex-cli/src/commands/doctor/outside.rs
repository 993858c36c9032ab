//! What is seen without opening the database: its files, who has them open, and the disk.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use codex::ErrorKind;
use codex::inspect::{FilesBeside, HeaderCopy, Inspection, files_beside, header};
use serde_json::{Value, json};

use super::holders::Holders;
use super::{Finding, State};
use crate::exit::{Failure, kind_of};
use crate::secret::quoted;

/// The database from outside, as it stood when it was looked at.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) files: FilesBeside,
    pub(super) header: Result<Inspection, Failure>,
    /// Who has it open; an error if that cannot be found out.
    pub(super) holders: std::io::Result<Holders>,
}

impl Outside {
    pub(super) fn look(path: &Path) -> Result<Self, Failure> {
        let files = files_beside(path)?;
        // Where there is no lock file, nobody but readers has it open, who lock the database itself.
        let locked = if files.lock.exists() { &files.lock } else { &files.database };
        let holders = Holders::of(locked);
        Ok(Self { header: header(path).map_err(Failure::from), holders, files })
    }

    /// Whether another process has the database open for writing, as far as that is known.
    pub(super) fn is_written(&self) -> bool {
        self.holders.as_ref().is_ok_and(|holders| holders.for_writing)
    }

    pub(super) fn file(&self) -> Finding {
        let path = self.files.database.display();
        match &self.header {
            Ok(Inspection { version, mode, encrypted, file_bytes, .. }) => {
                let sealed = if *encrypted { "encrypted" } else { "not encrypted" };
                Finding::ok(
                    "file",
                    format!("{path}: format {version}, {mode} mode, {sealed}, {file_bytes} bytes"),
                )
                .fact("path", path.to_string())
                .fact("version", *version)
                .fact("mode", mode.to_string())
                .fact("encrypted", *encrypted)
                .fact("bytes", *file_bytes)
            }
            Err(failure) => {
                let kind = kind_of(failure).unwrap_or(ErrorKind::Internal);
                let advice = match (kind, self.files.backups.first()) {
                    (ErrorKind::NotFound, Some((_, backup))) => format!(
                        "look whether the path is right; a backup is there: codex restore {} {}",
                        shell(backup),
                        shell(&self.files.database)
                    ),
                    (ErrorKind::NotFound, None) => {
                        "look whether the path is right; `codex set` and `codex import` create a database"
                            .to_owned()
                    }
                    (ErrorKind::Integrity, _) => {
                        "keep a copy of it, then restore a backup to a new path, or salvage what is whole: \
                         codex repair"
                            .to_owned()
                    }
                    (ErrorKind::Permission, _) => "look who owns the file and its folder".to_owned(),
                    (ErrorKind::Io, _) => "check the disk, or the path".to_owned(),
                    _ => "name the database with --file; one that a newer codex made takes a newer codex"
                        .to_owned(),
                };
                Finding::fail("file", failure.message(), advice).fact("path", path.to_string())
            }
        }
    }

    pub(super) fn header(&self) -> Finding {
        let Ok(inspection) = &self.header else {
            return Finding::unchecked("header", "there is no header to look at");
        };
        let names = inspection.copies.map(|copy| match copy {
            HeaderCopy::Current => "current",
            HeaderCopy::Older => "older",
            _ => "damaged",
        });
        let found = if names == ["current"; 2] {
            Finding::ok("header", "both copies are intact and agree")
        } else if self.is_written() {
            let text = format!(
                "its copies are {} and {}, and whoever writes may be changing it",
                names[0], names[1]
            );
            Finding::unchecked("header", text)
        } else {
            let text =
                format!("its two copies are {} and {}; one that is current is enough", names[0], names[1]);
            Finding::warn("header", text, "the next command that writes rewrites the other copy")
        };
        found.fact("copies", json!(names)).fact("generation", inspection.generation)
    }

    pub(super) fn lock(&self) -> Finding {
        let holders = match &self.holders {
            Ok(holders) => holders,
            Err(_) if self.header.is_err() => {
                return Finding::unchecked("lock", "there is nothing that could be locked");
            }
            Err(error) => {
                return Finding::unchecked("lock", format!("who has it open cannot be found out: {error}"));
            }
        };
        let names: Vec<_> = holders
            .processes
            .iter()
            .map(|holder| {
                let what = if holder.for_writing { "for writing" } else { "for reading" };
                let name = if holder.name.is_empty() { String::new() } else { format!(" ({})", holder.name) };
                format!("process {}{name} has it open {what}", holder.pid)
            })
            .collect();
        let text = match (holders.for_writing, names.is_empty()) {
            (_, false) => names.join("; "),
            (true, true) => "a process that is not known has it open for writing".to_owned(),
            (false, true) => "no process is known to have it open".to_owned(),
        };
        let processes: Vec<Value> = holders
            .processes
            .iter()
            .map(|holder| json!({"pid": holder.pid, "name": holder.name, "for_writing": holder.for_writing}))
            .collect();
        Finding::ok("lock", text).fact("for_writing", holders.for_writing).fact("processes", processes)
    }

    /// Files and folder, each a finding of its own.
    pub(super) fn permissions(&self) -> Vec<Finding> {
        let files = &self.files;
        let backups = files.backups.iter().map(|(_, path)| path);
        let all = [&files.database, &files.lock, &files.checkpoint, &files.torn];
        let there: Vec<_> = all
            .into_iter()
            .chain(backups)
            .filter_map(|path| Some((path, fs::metadata(path).ok()?)))
            .collect();
        let folder = files.database.parent().unwrap_or(Path::new("."));
        vec![self.of_files(&there), of_folder(folder)]
    }

    fn of_files(&self, there: &[(&PathBuf, Metadata)]) -> Finding {
        const CHECK: &str = "permissions";
        if there.is_empty() {
            return Finding::unchecked(CHECK, "there are no files");
        }
        let open: Vec<_> = there.iter().filter(|(_, metadata)| rights_of_others(metadata) != 0).collect();
        if !open.is_empty() {
            let names: Vec<_> = open.iter().map(|(path, _)| shell(path)).collect();
            let written = open.iter().any(|(_, metadata)| rights_of_others(metadata) & 0o022 != 0);
            let clear = self.header.as_ref().is_ok_and(|header| !header.encrypted);
            let (state, text) = if written {
                (State::Fail, "others than the owner can write to its files")
            } else if clear {
                (State::Fail, "others than the owner can read its files, which are not encrypted")
            } else {
                (State::Warn, "others than the owner can read its files; they are encrypted")
            };
            return Finding::new(CHECK, state, text).advise(format!("chmod 600 {}", names.join(" ")));
        }
        if let Some((path, _)) = there.iter().find(|(path, _)| !may_write(path)) {
            let text = format!("this user may not write to {}; reading is possible", path.display());
            return Finding::warn(CHECK, text, "to write, run as the owner; look who that is: ls -l");
        }
        Finding::ok(CHECK, "only the owner can use its files")
    }

    pub(super) fn leftovers(&self) -> Finding {
        const CHECK: &str = "leftovers";
        let files = &self.files;
        let bytes: u64 =
            files.temporaries.iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum();
        let count = files.temporaries.len();
        let torn = fs::metadata(&files.torn).ok();
        let found = if count > 0 && self.is_written() {
            Finding::ok(CHECK, format!("{count} temporary files, which whoever has it open may be writing"))
        } else if count > 0 {
            let text = format!("{count} temporary files of something that was interrupted, {bytes} bytes");
            Finding::warn(CHECK, text, "the next command that writes removes them")
        } else if let Some(torn) = &torn {
            let path = files.torn.display();
            let text = format!(
                "{path}: {} bytes that a recovery cut off, of a commit never acknowledged",
                torn.len()
            );
            Finding::warn(CHECK, text, format!("if nobody misses anything: rm {}", shell(&files.torn)))
        } else {
            Finding::ok(CHECK, "nothing was left by an interrupted command")
        };
        found
            .fact("temporaries", count)
            .fact("temporary_bytes", bytes)
            .fact("torn_file_bytes", torn.map(|torn| torn.len()))
    }

    pub(super) fn space(&self) -> Finding {
        let folder = self.files.database.parent().unwrap_or(Path::new("."));
        let disk = match disk(folder) {
            Ok(Some(disk)) => disk,
            Ok(None) => {
                return Finding::unchecked("space", "this system does not tell how much space is free");
            }
            Err(error) => return Finding::unchecked("space", format!("the disk does not tell: {error}")),
        };
        let needed = self.header.as_ref().map_or(0, |header| header.file_bytes);
        of_space(&disk, needed)
    }

    pub(super) fn backup(&self) -> Finding {
        const CHECK: &str = "backup";
        let newest = self.files.backups.iter().find_map(|(_, path)| Some((path, written(path)?)));
        let Some((path, time)) = newest else {
            return Finding::warn(
                CHECK,
                "no rotated backup is beside the database; others cannot be seen from here",
                "keep one elsewhere: codex backup --to DIR, or codex backup FILE",
            )
            .fact("newest", Value::Null)
            .fact("age_seconds", Value::Null);
        };
        let age = SystemTime::now().duration_since(time).unwrap_or_default();
        let changed_since = written(&self.files.database).is_some_and(|changed| changed > time);
        let name = path.display();
        let found = if changed_since && age > BACKUP_AGE_MAX {
            let text = format!("{name} is {} old, and the database has changed since", in_words(age));
            Finding::warn(CHECK, text, "make one: codex backup --to DIR, or codex backup FILE")
        } else {
            Finding::ok(CHECK, format!("{name} is {} old", in_words(age)))
        };
        found.fact("newest", name.to_string()).fact("age_seconds", age.as_secs())
    }
}

/// Whether a disk has space for a database of so many bytes.
fn of_space(disk: &Disk, needed: u64) -> Finding {
    const CHECK: &str = "space";
    let free = disk.free_bytes;
    let found = if disk.read_only {
        let advice = "reading works there; to write, mount it for writing";
        Finding::warn(CHECK, "the file system is mounted for reading only", advice)
    } else if free < FREE_MIN {
        let text = format!("{free} bytes are free: the next commits will fail, and lose nothing");
        Finding::fail(CHECK, text, "free some space")
    } else if free < needed {
        let text = format!("{free} bytes are free, less than the {needed} of the file");
        Finding::warn(
            CHECK,
            text,
            "free some: a backup, a rewrite or a checkpoint may need as much as the file",
        )
    } else {
        Finding::ok(CHECK, format!("{free} bytes are free"))
    };
    found.fact("free_bytes", free).fact("read_only", disk.read_only)
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// A path as a shell takes it.
pub(super) fn shell(path: &Path) -> String {
    quoted(&path.display().to_string())
}

fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "seconds"),
        120..7_200 => (seconds / 60, "minutes"),
        7_200..172_800 => (seconds / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}

/// What a disk says of itself.
#[derive(Debug)]
struct Disk {
    free_bytes: u64,
    read_only: bool,
}

#[cfg(unix)]
fn disk(folder: &Path) -> std::io::Result<Option<Disk>> {
    let told = rustix::fs::statvfs(folder)?;
    Ok(Some(Disk {
        free_bytes: told.f_bavail.saturating_mul(told.f_frsize),
        read_only: told.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    }))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature on every system")]
fn disk(_: &Path) -> std::io::Result<Option<Disk>> {
    Ok(None)
}

/// The bits of a file's mode that are for others than its owner.
#[cfg(unix)]
fn rights_of_others(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077
}

/// Who may use a file follows from its folder there.
#[cfg(not(unix))]
fn rights_of_others(_: &Metadata) -> u32 {
    0
}

#[cfg(unix)]
fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.permissions().readonly())
}

#[cfg(unix)]
fn of_folder(folder: &Path) -> Finding {
    use std::os::unix::fs::PermissionsExt as _;

    const CHECK: &str = "folder";
    let mode = match fs::metadata(folder) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) => return Finding::unchecked(CHECK, format!("{}: {error}", folder.display())),
    };
    let name = shell(folder);
    // In a folder with the sticky bit, as /tmp, nobody replaces what belongs to others.
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let text = format!("others than the owner can replace any file in {}", folder.display());
        return Finding::fail(CHECK, text, format!("chmod go-w {name}"));
    }
    if !may_write(folder) {
        let text = format!("this user may not create files in {}; reading is possible", folder.display());
        return Finding::warn(
            CHECK,
            text,
            format!("to write, run as the owner; look who that is: ls -ld {name}"),
        );
    }
    Finding::ok(CHECK, "only the owner can replace its files")
}

#[cfg(not(unix))]
fn of_folder(_: &Path) -> Finding {
    Finding::unchecked("folder", "who may use a folder is not looked at on this system")
}

/// With less free space than this, in bytes, a commit may find none.
const FREE_MIN: u64 = 1 << 20;
/// After so long a database that goes on being changed should have been backed up.
const BACKUP_AGE_MAX: Duration = Duration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_before_it_is_full_and_a_file_wants_its_size_once_more() {
        let state = |free_bytes, read_only| of_space(&Disk { free_bytes, read_only }, 50 << 20).state;
        assert_eq!(state(FREE_MIN - 1, false), State::Fail);
        assert_eq!(state(FREE_MIN, false), State::Warn);
        assert_eq!(state(50 << 20, false), State::Ok);
        assert_eq!(state(0, true), State::Warn, "nothing is written there");
    }
}
