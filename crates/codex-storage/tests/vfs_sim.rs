//! The simulated disk loses what a real one may lose, and nothing that a real one must keep.

#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, MachineOff, Operation, Random, SimVfs};
use codex_storage::vfs::{Access, File, FileKind, Lock, Vfs};

const PATH: &str = "/data";

fn path() -> &'static Path {
    Path::new(PATH)
}

/// A disk with one synced, named and open file.
fn with_file(bytes: &[u8]) -> (SimVfs, Arc<dyn File>) {
    let disk = SimVfs::new(1);
    disk.write_file(PATH, bytes).expect("the root folder exists");
    let file = disk.open(path(), Access::Write).expect("the file was written");
    (disk, file)
}

fn code_of(error: &io::Error) -> Option<i32> {
    error.raw_os_error()
}

fn code(error: DiskError) -> Option<i32> {
    io::Error::from(error).raw_os_error()
}

/// What must be there after any crash, byte by byte: `None` once a byte was written or cut off after its sync.
struct Model {
    durable: Vec<Option<u8>>,
    cached: Vec<u8>,
}

impl Model {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.cached.resize(self.cached.len().max(end), 0);
        self.cached[offset..end].copy_from_slice(bytes);
        let known = self.durable.len();
        self.durable[offset.min(known)..end.min(known)].fill(None);
    }

    fn set_len(&mut self, len: usize) {
        self.cached.resize(len, 0);
        if len < self.durable.len() {
            self.durable[len..].fill(None);
            while self.durable.last() == Some(&None) {
                self.durable.pop();
            }
        }
    }

    fn sync(&mut self) {
        self.durable = self.cached.iter().copied().map(Some).collect();
    }

    fn assert_kept(&self, found: &[u8], context: &str) {
        for (position, byte) in self.durable.iter().enumerate() {
            if let Some(byte) = byte {
                assert_eq!(found.get(position), Some(byte), "byte {position}, {context}");
            }
        }
    }
}

#[test]
fn synced_bytes_always_survive_and_cached_ones_are_always_read() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (disk, file) = with_file(b"");
        let mut model = Model { durable: Vec::new(), cached: Vec::new() };
        for _ in 0..30 {
            let offset = random.below(3000);
            let start = usize::try_from(offset).unwrap();
            match random.below(8) {
                0 => {
                    file.set_len(offset).unwrap();
                    model.set_len(start);
                }
                1 => {
                    file.reserve(offset, 600).unwrap();
                    model.set_len(model.cached.len().max(start + 600));
                }
                2 | 3 => {
                    file.sync().unwrap();
                    model.sync();
                }
                _ => {
                    let mut bytes = vec![0; usize::try_from(random.below(1500)).unwrap()];
                    random.fill(&mut bytes);
                    if bytes.is_empty() {
                        continue;
                    }
                    file.write_all_at(&bytes, offset).unwrap();
                    model.write(&bytes, start);
                }
            }
            assert_eq!(disk.read_file(PATH).unwrap(), model.cached, "seed {seed}");
            let left = disk.snapshot().crash(random.next_u64()).read_file(PATH).unwrap();
            model.assert_kept(&left, &format!("seed {seed}: {:#?}", disk.log()));
        }
        assert_eq!(disk.process_crash().read_file(PATH).unwrap(), model.cached);
    }
}

#[test]
fn unsynced_bytes_may_be_lost_kept_or_torn() {
    let (disk, file) = with_file(&[1; 1024]);
    file.write_all_at(&[2; 1024], 0).unwrap();
    let left: Vec<Vec<u8>> = (0..200).map(|seed| disk.crash(seed).read_file(PATH).unwrap()).collect();
    assert!(left.contains(&vec![1; 1024]));
    assert!(left.contains(&vec![2; 1024]));
    assert!(left.iter().any(|bytes| bytes[..512] == [1; 512] && bytes[512..] == [2; 512]));
    assert!(left.iter().any(|bytes| bytes[0] == 2 && bytes[511] == 1));
    assert!(left.iter().any(|bytes| bytes[0] == 0));
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_lost() {
    let disk = SimVfs::new(1);
    let file = disk.create_new(path()).unwrap();
    file.write_all_at(b"content", 0).unwrap();
    file.sync().unwrap();
    let counts = (0..100).fold([0, 0], |[there, lost], seed| match disk.crash(seed).read_file(PATH) {
        Ok(bytes) => {
            assert_eq!(bytes, b"content");
            [there + 1, lost]
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            [there, lost + 1]
        }
    });
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
}

#[test]
fn created_folders_are_durable() {
    let disk = SimVfs::new(1);
    disk.create_directories(Path::new("/a/b/c")).unwrap();
    for seed in 0..50 {
        let left = disk.crash(seed);
        assert_eq!(left.kind(Path::new("/a/b/c")).unwrap(), Some(FileKind::Directory));
    }
}

#[test]
fn a_folders_sync_that_fails_midway_is_made_good_by_the_next() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimVfs::new(seed);
        disk.create_new(path()).unwrap();
        disk.fail_next(Operation::SyncDirectory, 0, Fault::Midway(DiskError::Io));
        disk.sync_directory(Path::new("/")).unwrap_err();
        lost += 1 - disk.snapshot().crash(seed).files().len();
        disk.sync_directory(Path::new("/")).unwrap();
        assert_eq!(disk.crash(seed).files().len(), 1, "seed {seed}");
    }
    assert!((1..50).contains(&lost), "{lost}");
}

#[test]
fn a_folder_whose_name_is_not_durable_takes_its_files_with_it() {
    let disk = SimVfs::new(1);
    // The first sync is that of the root, which was there.
    disk.fail_next(Operation::SyncDirectory, 1, Fault::Before(DiskError::Io));
    assert!(disk.create_directories(Path::new("/a")).is_err());
    let file = disk.create_new(Path::new("/a/file")).unwrap();
    file.sync().unwrap();
    disk.sync_directory(Path::new("/a")).unwrap();
    let kept =
        (0..100).filter(|seed| disk.crash(*seed).kind(Path::new("/a/file")).unwrap().is_some()).count();
    assert!((10..90).contains(&kept), "{kept}");
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        let disk = SimVfs::new(seed);
        let file = disk.create_new(path()).unwrap();
        file.write_all_at(&[1; 5000], 0).unwrap();
        disk.fail_next(Operation::Write, 0, Fault::Midway(DiskError::Io));
        disk.fail_next(Operation::Sync, 0, Fault::Midway(DiskError::Io));
        assert!(file.write_all_at(&[2; 5000], 3000).is_err());
        assert!(file.sync().is_err());
        disk.create_new(Path::new("/other")).unwrap();
        (disk.files(), disk.crash(seed).files())
    };
    let runs: Vec<_> = (0..20).map(run).collect();
    assert_eq!(runs, (0..20).map(run).collect::<Vec<_>>());
    assert!(runs.iter().any(|other| *other != runs[0]));
}

#[test]
fn a_crash_leaves_handles_dead_and_locks_free() {
    let (disk, file) = with_file(b"content");
    assert!(file.try_lock(Lock::Exclusive).unwrap());
    let rebooted = disk.crash(1);
    assert!(MachineOff::is(&file.sync().unwrap_err()));
    assert!(MachineOff::is(&disk.open(path(), Access::Read).unwrap_err()));
    let file = rebooted.open(path(), Access::Write).unwrap();
    let waiting = rebooted.open(path(), Access::Write).unwrap();
    assert!(file.try_lock(Lock::Exclusive).unwrap());
    assert!(!waiting.try_lock(Lock::Shared).unwrap());

    let rebooted = rebooted.process_crash();
    assert!(MachineOff::is(&file.len().unwrap_err()));
    let openings = [(); 3].map(|()| rebooted.open(path(), Access::Read).unwrap());
    assert!(openings[2].try_lock(Lock::Exclusive).unwrap());
}

#[test]
fn stop_at_stops_every_later_operation() {
    let (disk, file) = with_file(b"");
    disk.stop_at(1);
    file.write_all_at(b"first", 0).unwrap();
    assert!(MachineOff::is(&file.write_all_at(b"second", 5).unwrap_err()));
    assert!(MachineOff::is(&file.sync().unwrap_err()));
    assert!(MachineOff::is(&disk.kind(path()).unwrap_err()));
    let left = disk.process_crash().read_file(PATH).unwrap();
    assert!(left.starts_with(b"first") && b"firstsecond".starts_with(&left[..]));
    let last = disk.log().last().unwrap().to_string();
    assert_eq!(last, "#2 Write /data at 5, 6 bytes: the machine is off");
}

#[test]
fn what_a_killed_process_left_unsynced_can_still_be_lost_with_the_power() {
    let (disk, file) = with_file(b"old");
    file.write_all_at(b"new", 0).unwrap();
    disk.create_new(Path::new("/unsynced")).unwrap();
    let restarted = disk.process_crash();
    assert_eq!(restarted.read_file(PATH).unwrap(), b"new");
    let left: Vec<_> = (0..100).map(|seed| restarted.snapshot().crash(seed).files()).collect();
    assert!(left.iter().any(|files| files.len() == 1 && files[path()] == b"old"));
    assert!(left.iter().any(|files| files.len() == 2 && files[path()] == b"new"));

    let file = restarted.open(path(), Access::Write).unwrap();
    file.sync().unwrap();
    restarted.sync_directory(Path::new("/")).unwrap();
    for seed in 0..100 {
        assert_eq!(restarted.crash(seed).files(), restarted.files(), "the next process can sync it");
    }
}

#[test]
fn locks_exclude_other_openings_as_flock_does() {
    let (disk, one) = with_file(b"");
    let two = disk.open(path(), Access::Read).unwrap();
    assert!(one.try_lock(Lock::Shared).unwrap());
    assert!(two.try_lock(Lock::Shared).unwrap());
    assert!(!two.try_lock(Lock::Exclusive).unwrap());
    assert!(one.try_lock(Lock::Exclusive).unwrap(), "the refused change has given up the shared lock");
    assert!(!two.try_lock(Lock::Shared).unwrap());
    one.unlock().unwrap();
    assert!(two.try_lock(Lock::Exclusive).unwrap());
    two.unlock().unwrap();
    assert!(one.try_lock(Lock::Exclusive).unwrap());
    let same = Arc::clone(&one);
    drop(one);
    assert!(!two.try_lock(Lock::Shared).unwrap());
    drop(same);
    assert!(two.try_lock(Lock::Shared).unwrap());
}

#[test]
fn every_class_of_operation_fails_when_told_to() {
    type Perform = fn(&SimVfs, &dyn File) -> io::Result<()>;
    let performs: BTreeMap<Operation, Perform> = BTreeMap::from([
        (Operation::Kind, (|disk, _| disk.kind(path()).map(drop)) as Perform),
        (Operation::Open, |disk, _| disk.open(path(), Access::Read).map(drop)),
        (Operation::Create, |disk, _| disk.create_new(Path::new("/new")).map(drop)),
        (Operation::Rename, |disk, _| disk.rename(path(), Path::new("/new"))),
        (Operation::Remove, |disk, _| disk.remove(path())),
        (Operation::List, |disk, _| disk.list(Path::new("/")).map(drop)),
        (Operation::CreateDirectory, |disk, _| disk.create_directories(Path::new("/folder"))),
        (Operation::SyncDirectory, |disk, _| disk.sync_directory(Path::new("/"))),
        (Operation::Resolve, |disk, _| disk.resolve(path()).map(drop)),
        (Operation::Len, |_, file| file.len().map(drop)),
        (Operation::Modified, |_, file| file.modified_ns().map(drop)),
        (Operation::Read, |_, file| file.read_at(&mut [0; 4], 0).map(drop)),
        (Operation::Write, |_, file| file.write_all_at(b"bytes", 0)),
        (Operation::Sync, |_, file| file.sync()),
        (Operation::SetLen, |_, file| file.set_len(3)),
        (Operation::Reserve, |_, file| file.reserve(0, 5000)),
        (Operation::Lock, |_, file| file.try_lock(Lock::Shared).map(drop)),
        (Operation::Unlock, |_, file| file.unlock()),
    ]);
    for (operation, perform) in &performs {
        for fault in [Fault::Before as fn(_) -> _, Fault::Midway] {
            for kind in [DiskError::Io, DiskError::NoSpace, DiskError::QuotaExceeded, DiskError::FileTooLarge]
            {
                let (disk, file) = with_file(b"content");
                disk.fail_next(*operation, 0, fault(kind));
                let error = perform(&disk, &*file).unwrap_err();
                assert_eq!(code_of(&error), code(kind), "{operation:?}");

                let (disk, file) = with_file(b"content");
                perform(&disk, &*file).unwrap();
            }
        }
        let (disk, file) = with_file(b"content");
        disk.fail_always(*operation, Fault::Before(DiskError::Io));
        perform(&disk, &*file).unwrap_err();
        perform(&disk, &*file).unwrap_err();
        assert_eq!(disk.read_file(PATH).unwrap(), b"content", "{operation:?} that fails before it begins");
    }
}

#[test]
fn faults_strike_at_their_number_once() {
    let (disk, file) = with_file(b"");
    disk.fail_next(Operation::Write, 1, Fault::Before(DiskError::Io));
    disk.fail_at(3, Fault::Before(DiskError::NoSpace));
    file.write_all_at(b"a", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(code_of(&file.write_all_at(b"b", 1).unwrap_err()), code(DiskError::Io));
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_all_at(b"b", 1).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.crash(3).read_file(PATH).unwrap(), b"ab");
}

#[test]
fn cleared_faults_and_stops_do_not_strike() {
    let (disk, file) = with_file(b"");
    disk.fail_at(0, Fault::Before(DiskError::Io));
    disk.fail_next(Operation::Write, 0, Fault::Before(DiskError::Io));
    disk.fail_always(Operation::Sync, Fault::Before(DiskError::Io));
    disk.stop_at(1);
    disk.clear_faults();
    file.write_all_at(b"a", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.crash(1).read_file(PATH).unwrap(), b"a");
}

#[test]
fn a_write_that_fails_midway_leaves_a_beginning() {
    let lens: Vec<usize> = (0..50)
        .map(|seed| {
            let disk = SimVfs::new(seed);
            let file = disk.create_new(path()).unwrap();
            disk.fail_next(Operation::Write, 0, Fault::Midway(DiskError::Io));
            file.write_all_at(&[7; 1000], 0).unwrap_err();
            let left = disk.read_file(PATH).unwrap();
            assert!(left.iter().all(|byte| *byte == 7));
            left.len()
        })
        .collect();
    assert!(lens.iter().all(|len| *len < 1000));
    assert!(lens.iter().any(|len| *len != lens[0]));
}

#[test]
fn a_failed_sync_drops_what_it_should_have_written_and_then_reports_success() {
    let (mut reverted, mut still_read) = (false, false);
    for seed in 0..50 {
        let disk = SimVfs::new(seed);
        disk.write_file(PATH, &[1; 512]).unwrap();
        let file = disk.open(path(), Access::Write).unwrap();
        file.write_all_at(&[2; 512], 0).unwrap();
        disk.fail_next(Operation::Sync, 0, Fault::Before(DiskError::Io));
        file.sync().unwrap_err();
        file.sync().unwrap();
        match disk.read_file(PATH).unwrap()[0] {
            1 => reverted = true,
            _ => still_read = true,
        }
        assert_eq!(disk.crash(seed).read_file(PATH).unwrap(), [1; 512], "success, but not on disk");
    }
    assert!(reverted && still_read);
}

#[test]
fn writing_the_same_bytes_again_after_a_failed_sync_makes_them_durable() {
    for seed in 0..50 {
        let disk = SimVfs::new(seed);
        disk.write_file(PATH, &[1; 100]).unwrap();
        let file = disk.open(path(), Access::Write).unwrap();
        file.write_all_at(&[2; 3000], 100).unwrap();
        disk.fail_next(Operation::Sync, 0, Fault::Midway(DiskError::Io));
        file.sync().unwrap_err();
        let disk = disk.process_crash();
        let file = disk.open(path(), Access::Write).unwrap();
        let bytes = disk.read_file(PATH).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        file.sync().unwrap();
        assert_eq!(disk.crash(seed).read_file(PATH).unwrap(), bytes);
    }
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (disk, file) = with_file(&[1; 100]);
    disk.set_capacity(Some(1000));
    file.reserve(100, 400).unwrap();
    assert_eq!(file.write_all_at(&[2; 900], 200).unwrap_err().kind(), ErrorKind::StorageFull);
    let bytes = disk.read_file(PATH).unwrap();
    assert_eq!((bytes.len(), bytes[999]), (1000, 2));
    assert_eq!(file.reserve(0, 1001).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.set_len(1001).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_all_at(&[3; 1000], 0).unwrap();

    let other = disk.create_new(Path::new("/other")).unwrap();
    assert_eq!(other.write_all_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.remove(path()).unwrap();
    assert!(other.write_all_at(b"x", 0).is_err(), "the removed file is open");
    drop(file);
    other.write_all_at(b"x", 0).unwrap();

    assert_eq!(other.set_len(1 << 40).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn rot_reaches_disk_and_memory() {
    let (disk, file) = with_file(&[1; 1536]);
    disk.flip_bit(PATH, 8 * 3 + 1).unwrap();
    disk.overwrite(PATH, 600, b"rot").unwrap();
    let mut expected = vec![1; 1536];
    expected[3] = 3;
    expected[600..603].copy_from_slice(b"rot");
    assert_eq!(disk.read_file(PATH).unwrap(), expected);
    assert_eq!(disk.snapshot().crash(1).read_file(PATH).unwrap(), expected);

    disk.swap_sectors(PATH, 0, 1).unwrap();
    disk.zero_sector(PATH, 2).unwrap();
    let left = disk.snapshot().crash(1).read_file(PATH).unwrap();
    assert_eq!((left[3], left[512 + 3], &left[88..91]), (1, 3, &b"rot"[..]));
    assert_eq!(left[1024..], [0; 512]);

    assert_eq!(disk.revert_sector(PATH, 0).unwrap_err().kind(), ErrorKind::NotFound);
    let before = disk.read_file(PATH).unwrap();
    file.write_all_at(&[9; 512], 0).unwrap();
    file.sync().unwrap();
    disk.revert_sector(PATH, 0).unwrap();
    assert_eq!(disk.crash(1).read_file(PATH).unwrap(), before);

    assert_eq!(disk.flip_bit(PATH, 8 * 1536).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.zero_sector(PATH, 3).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.flip_bit("/missing", 0).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_written_past_the_programs_is_durable_at_once() {
    let disk = SimVfs::new(1);
    // The first sync is that of the root, which was there.
    disk.fail_next(Operation::SyncDirectory, 1, Fault::Before(DiskError::Io));
    disk.create_directories(Path::new("/a")).unwrap_err();
    disk.create_new(Path::new("/a/removed")).unwrap();
    disk.remove(Path::new("/a/removed")).unwrap();
    disk.write_file("/a/removed", b"back").unwrap();
    disk.write_file("/a/new/deep", b"new").unwrap();
    assert_eq!(disk.write_file("/a/new", b"").unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(disk.write_file("/a/removed/x", b"").unwrap_err().kind(), ErrorKind::NotADirectory);
    let names = ["/a/new/deep", "/a/removed"].map(PathBuf::from);
    for seed in 0..100 {
        let left = disk.crash(seed);
        assert_eq!(left.file_names(), names, "seed {seed}");
        assert_eq!(left.read_file("/a/removed").unwrap(), b"back", "seed {seed}");
    }
}

#[test]
fn truncate_cuts_disk_and_memory_and_never_lengthens() {
    let (disk, file) = with_file(&[1; 1000]);
    file.write_all_at(&[2; 1000], 500).unwrap();
    disk.truncate(PATH, 700).unwrap();
    let mut left = vec![1; 500];
    left.resize(700, 2);
    assert_eq!(disk.read_file(PATH).unwrap(), left);
    assert!((0..50).all(|seed| disk.crash(seed).read_file(PATH).unwrap() == left));
    assert_eq!(disk.truncate(PATH, 701).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.truncate("/missing", 0).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn snapshots_are_independent() {
    let (disk, file) = with_file(b"one");
    let copy = disk.snapshot();
    file.write_all_at(b"two", 0).unwrap();
    copy.write_file("/below/other", b"three").unwrap();
    assert_eq!(copy.read_file(PATH).unwrap(), b"one");
    assert_eq!(disk.files().len(), 1);
    assert_eq!(copy.files().len(), 2);
    assert_eq!(copy.operations(), 0);
}

#[test]
fn names_follow_the_rules_of_folders() {
    let (disk, _file) = with_file(b"");
    let kind_of = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind_of(disk.create_new(path()).map(drop)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.create_new(Path::new("/no/file")).map(drop)), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.create_new(Path::new("/data/file")).map(drop)), ErrorKind::NotADirectory);
    assert_eq!(kind_of(disk.open(Path::new("/"), Access::Read).map(drop)), ErrorKind::InvalidInput);
    assert_eq!(kind_of(disk.open(Path::new("/no"), Access::Read).map(drop)), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.remove(Path::new("/no"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.list(Path::new("/no")).map(drop)), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.create_directories(Path::new("/data/below"))), ErrorKind::NotADirectory);
    assert_eq!(kind_of(disk.resolve(Path::new("..")).map(drop)), ErrorKind::InvalidInput);
    assert_eq!(disk.resolve(Path::new("a/./b/../c")).unwrap(), Path::new("/a/c"));
    let reader = disk.open(path(), Access::Read).unwrap();
    assert_eq!(kind_of(reader.write_all_at(b"x", 0)), ErrorKind::PermissionDenied);
    assert_eq!(disk.list(Path::new("/")).unwrap(), ["data"]);
}

#[test]
fn changes_move_the_modified_time_on() {
    let (disk, file) = with_file(b"");
    let created = file.modified_ns().unwrap();
    file.write_all_at(b"x", 0).unwrap();
    let written = file.modified_ns().unwrap();
    assert!(written > created);
    assert_eq!(disk.open(path(), Access::Read).unwrap().modified_ns().unwrap(), written);
}

#[test]
fn forgotten_files_take_no_memory_and_open_ones_stay() {
    let (disk, file) = with_file(b"kept");
    disk.remove(path()).unwrap();
    for _ in 0..1000 {
        drop(disk.create_new(Path::new("/passing")).unwrap());
        disk.remove(Path::new("/passing")).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
    }
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"kept");
}

#[test]
fn threads_share_a_disk() {
    let (disk, file) = with_file(b"");
    std::thread::scope(|scope| {
        for index in 0..4 {
            let file = &file;
            scope.spawn(move || {
                for round in 0..1000 {
                    file.write_all_at(&[index], u64::from(index) * 1000 + round).unwrap();
                }
            });
        }
    });
    let bytes = disk.read_file(PATH).unwrap();
    assert!((0..4000).all(|position| usize::from(bytes[position]) == position / 1000));
}

#[test]
fn a_killed_process_has_kept_every_write_that_a_thread_was_told_of() {
    for seed in 0..300 {
        let disk = SimVfs::new(seed);
        disk.write_file(PATH, &[0; 3]).unwrap();
        let write_until_killed = |offset| {
            let file = disk.open(path(), Access::Write).unwrap();
            std::thread::spawn(move || {
                let mut told = 0_u8;
                while file.write_all_at(&[told.wrapping_add(1)], offset).is_ok() {
                    told = told.wrapping_add(1);
                }
                told
            })
        };
        let writers = [0, 1, 2].map(write_until_killed);
        while disk.operations() < 100 {
            std::thread::yield_now();
        }
        let restarted = disk.process_crash();
        let told = writers.map(|writer| writer.join().unwrap());
        assert_eq!(restarted.read_file(PATH).unwrap(), told, "seed {seed}");
    }
}
