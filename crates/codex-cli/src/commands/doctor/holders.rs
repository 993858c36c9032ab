//! Which processes hold the lock of a file, where the system tells.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Who has a database open.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// A writer has it: nobody else can open it.
    pub(super) for_writing: bool,
    /// Processes that hold a lock, as far as they are known; empty where the system does not tell.
    pub(super) processes: Vec<Holder>,
}

/// A process that has it open.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) pid: u32,
    /// The name of its program; empty if that is not known.
    pub(super) name: String,
    pub(super) for_writing: bool,
}

impl Holders {
    /// Who holds the lock of the file at `path`. Takes it for a moment, as a reader does.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let for_writing = match file.try_lock_shared() {
            Ok(()) => {
                file.unlock()?;
                false
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        Ok(Self { for_writing, processes: processes(&file) })
    }
}

/// From the list that Linux keeps (`proc_locks(5)`). File systems whose files show another device there than to a
/// program, as btrfs does, are not found in it.
#[cfg(target_os = "linux")]
fn processes(file: &File) -> Vec<Holder> {
    use std::os::unix::fs::MetadataExt as _;

    let (Ok(metadata), Ok(locks)) = (file.metadata(), std::fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    let device = metadata.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let mut holders: Vec<_> = locks.lines().filter_map(|line| held(line, &place)).collect();
    holders.sort_unstable_by_key(|holder| holder.pid);
    for holder in &mut holders {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", holder.pid)).unwrap_or_default();
        holder.name = name.trim_end().chars().filter(|character| !character.is_control()).collect();
    }
    holders
}

#[cfg(not(target_os = "linux"))]
fn processes(_: &File) -> Vec<Holder> {
    Vec::new()
}

/// The holder of a line of the list, if it is of this file and holds the lock, rather than waits for it. The process
/// of another namespace has no number here.
#[cfg(target_os = "linux")]
fn held(line: &str, place: &str) -> Option<Holder> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let for_writing = words.nth(1)? == "WRITE";
    let pid = words.next()?.parse().ok().filter(|pid| *pid > 0)?;
    (words.next()? == place).then_some(Holder { pid, name: String::new(), for_writing })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_holders_of_this_file_are_read_from_the_list() {
        let holder = |line| held(line, "08:01:131").map(|holder| (holder.pid, holder.for_writing));
        assert_eq!(holder("1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF"), Some((1234, true)));
        assert_eq!(holder("22: FLOCK  ADVISORY  READ  7 08:01:131 0 EOF"), Some((7, false)));
        for other in [
            "",
            "1: POSIX  ADVISORY  WRITE 1234 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 1234 08:01:1310 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  WRITE -1 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 08:01:131 0 EOF",
        ] {
            assert_eq!(holder(other), None, "{other}");
        }
    }
}
