//! A small repository of two databases, and everything that its host can do to one file, or two: damage is named, and
//! what is restored is a state that was backed up, of the database that was asked for.
//!
//! `CODEX_ATTACKS=all` tries every byte of every file; without it, 25 of each.

mod common;

use std::path::{Path, PathBuf};

use codex_backup::{BackupError, Repository, RestoreOptions};
use codex_storage::Mode;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::vfs::{FileKind, Vfs as _};
use common::{number_in, open, set, temporaries, unlock, vfs};

const REPOSITORY: &str = "/backups";
const TARGET: &str = "/restored.db";

/// A repository, and what each database's newest backup holds. Both databases open with the same key.
struct Specimen {
    disk: SimVfs,
    /// The ids, and the numbers that their three backups hold, oldest first.
    databases: [(String, [u64; 3]); 2],
    receipts: Vec<String>,
}

/// What one attack came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    tried: u64,
    named: u64,
    refused: u64,
    earlier: u64,
}

impl Specimen {
    fn new() -> Self {
        let disk = SimVfs::new(1);
        let repository = Repository::open_or_create(&vfs(&disk), Path::new(REPOSITORY)).expect("a new one");
        let mut receipts = Vec::new();
        let databases =
            [(Mode::Snapshot, "/a.db", 10), (Mode::Ledger, "/b.db", 20)].map(|(mode, path, from)| {
                let database = open(&disk, path, mode).expect("a new database");
                let numbers = [from + 1, from + 2, from + 3];
                let mut id = String::new();
                for number in numbers {
                    set(&database, number);
                    let prefix = database.durable_prefix().expect("the disk is whole");
                    let sent = repository.back_up(&prefix, number, false).expect("nothing fails");
                    receipts.push(sent.backup.receipt);
                    id = sent.backup.database;
                }
                database.close().expect("nothing fails");
                disk.remove(Path::new(path)).expect("it is there");
                (id, numbers)
            });
        Self { disk, databases, receipts }
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.disk.files().into_iter().filter(|(path, _)| path.starts_with(REPOSITORY)).collect()
    }

    /// Puts other contents under some names, judges, and puts back what was there. `None` removes the name.
    fn attack(&self, changes: &[(&Path, Option<&[u8]>)], tally: &mut Tally) {
        let before: Vec<_> =
            changes.iter().map(|(path, _)| (*path, self.disk.read_file(path).ok())).collect();
        for (path, bytes) in changes {
            self.put(path, *bytes);
        }
        let names: Vec<_> = changes.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect();
        self.judge(&names, tally);
        for (path, bytes) in &before {
            self.put(path, bytes.as_deref());
        }
    }

    fn put(&self, path: &Path, bytes: Option<&[u8]>) {
        if self.disk.kind(path).expect("the disk is whole") == Some(FileKind::Regular) {
            self.disk.remove(path).expect("it is there");
        }
        if let Some(bytes) = bytes {
            self.disk.write_file(path, bytes).expect("the disk is whole");
        }
    }

    fn judge(&self, changed: &[String], tally: &mut Tally) {
        tally.tried += 1;
        let repository = match Repository::open(&vfs(&self.disk), Path::new(REPOSITORY)) {
            Ok(repository) => repository,
            Err(BackupError::NotARepository { .. } | BackupError::NoRepository { .. }) => {
                assert!(changed.iter().any(|name| name.ends_with("codex-repository.json")), "{changed:?}");
                tally.named += 1;
                tally.refused += 1;
                return;
            }
            Err(error) => panic!("{changed:?}: {error:?}"),
        };
        let whole = match repository.verify(None) {
            Ok(_) => true,
            Err(BackupError::RepositoryDamaged { files, .. }) => {
                let named = |(file, _): &(String, _)| changed.iter().any(|name| name.ends_with(file));
                assert!(files.iter().any(named), "{changed:?}: {files:?}");
                tally.named += 1;
                false
            }
            Err(error) => panic!("{changed:?}: {error:?}"),
        };
        for (id, numbers) in &self.databases {
            let options =
                RestoreOptions { overwrite: true, vfs: vfs(&self.disk), ..RestoreOptions::default() };
            match repository.restore(Some(id), Path::new(TARGET), Some(&unlock()), &options) {
                Ok(()) => {
                    let found = number_in(&self.disk, TARGET);
                    if found == numbers[2] {
                        continue;
                    }
                    // The newest backup is gone as if it had been pruned: whoever kept its receipt sees that.
                    assert!(numbers.contains(&found), "{changed:?}: {found} was restored of {numbers:?}");
                    let lost =
                        self.receipts.iter().filter(|receipt| repository.verify(Some(receipt)).is_err());
                    assert!(lost.count() > 0, "{changed:?}: an earlier state, and every receipt is there");
                    tally.earlier += 1;
                }
                Err(BackupError::RepositoryDamaged { files, .. }) => {
                    let named = |(file, _): &(String, _)| changed.iter().any(|name| name.ends_with(file));
                    assert!(!whole && files.iter().any(named), "{changed:?}: {files:?}");
                    tally.refused += 1;
                }
                Err(BackupError::NoBackup { .. }) => tally.refused += 1,
                Err(error) => panic!("{changed:?}: {error:?}"),
            }
            assert_eq!(temporaries(&self.disk), [""; 0]);
        }
    }
}

#[test]
fn whatever_is_done_to_a_file_is_named_and_never_restored_as_something_else() {
    let specimen = Specimen::new();
    let files = specimen.files();
    assert_eq!(files.len(), 1 + 1 + 2 * 6, "marker, lock, and three manifests and pieces of each");
    let every = std::env::var("CODEX_ATTACKS").is_ok_and(|all| all == "all");
    let mut flips = Tally::default();
    let mut cuts = Tally::default();
    let mut removals = Tally::default();
    for (path, bytes) in &files {
        let step = if every { 1 } else { 1 + bytes.len() / 25 };
        for at in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            specimen.attack(&[(path, Some(&flipped))], &mut flips);
            specimen.attack(&[(path, Some(&bytes[..at]))], &mut cuts);
        }
        let longer = [bytes, &b"\n"[..]].concat();
        if !path.ends_with("lock") && !path.ends_with("codex-repository.json") {
            specimen.attack(&[(path, Some(&longer))], &mut cuts);
        }
        specimen.attack(&[(path, None)], &mut removals);
    }
    let mut swaps = Tally::default();
    let others = || files.iter().filter(|(path, _)| !path.ends_with("lock"));
    for (one, one_bytes) in others() {
        for (other, other_bytes) in others().filter(|(other, _)| other != one) {
            specimen.attack(&[(one, Some(other_bytes))], &mut swaps);
            if one < other {
                specimen.attack(&[(one, Some(other_bytes)), (other, Some(one_bytes))], &mut swaps);
            }
        }
    }
    assert_eq!((flips.tried, cuts.tried), (flips.named, cuts.named), "{flips:?} {cuts:?}");
    assert_eq!(swaps.tried, swaps.named, "{swaps:?}");
    // Of what is missing only a piece and the marker are missed; a manifest was pruned, for all that the files say.
    assert_eq!(removals.named, 1 + 6, "{removals:?}");
    assert_eq!(removals.earlier, 2, "{removals:?}");
    println!("flips: {flips:?}\ncuts: {cuts:?}\nremovals: {removals:?}\nswaps: {swaps:?}");
    Repository::open(&vfs(&specimen.disk), Path::new(REPOSITORY))
        .expect("it is one")
        .verify(None)
        .expect("all is as it was");
}

#[test]
fn backups_of_another_database_never_pass_for_those_of_the_one_that_is_named() {
    let specimen = Specimen::new();
    let [(a, _), (b, _)] = &specimen.databases;
    let folder = |id: &str| Path::new(REPOSITORY).join(id);
    let moved: Vec<_> = specimen
        .files()
        .into_iter()
        .filter_map(|(path, bytes)| Some((folder(b).join(path.strip_prefix(folder(a)).ok()?), bytes)))
        .collect();
    assert_eq!(moved.len(), 6);
    let mut tally = Tally::default();
    // Beside those of the other database, and in their place.
    let own: Vec<_> = specimen.files().into_iter().filter(|(path, _)| path.starts_with(folder(b))).collect();
    let added: Vec<(&Path, Option<&[u8]>)> =
        moved.iter().map(|(path, bytes)| (path.as_path(), Some(bytes.as_slice()))).collect();
    let removed = own.iter().map(|(path, _)| (path.as_path(), None));
    specimen.attack(&added, &mut tally);
    specimen.attack(&removed.chain(added.iter().copied()).collect::<Vec<_>>(), &mut tally);
    assert_eq!((tally.tried, tally.named, tally.refused), (2, 2, 2), "{tally:?}");
}

#[test]
fn a_forged_manifest_does_not_fit_the_one_behind_it_and_in_the_newest_ones_place_lacks_its_receipt() {
    for forged in 1..=3 {
        let specimen = Specimen::new();
        let (id, numbers) = &specimen.databases[1];
        let beginning = format!("{REPOSITORY}/{id}/backup-{forged:010}-");
        let (path, bytes) = specimen
            .files()
            .into_iter()
            .find(|(path, _)| path.to_string_lossy().starts_with(&beginning))
            .expect("it was made");
        let text = String::from_utf8(bytes).expect("JSON");
        let time = numbers[forged - 1];
        let other = text.replacen(&format!("\"time_ns\":{time},"), "\"time_ns\":99,", 1);
        assert_ne!(other, text);
        let hash = base16ct::lower::encode_string(codex_crypto::sha256(&[other.as_bytes()]).as_bytes());
        specimen.put(&path, None);
        specimen.put(Path::new(&format!("{beginning}{hash}.json")), Some(other.as_bytes()));
        let repository = Repository::open(&vfs(&specimen.disk), Path::new(REPOSITORY)).expect("it is one");
        match repository.verify(None) {
            Err(BackupError::RepositoryDamaged { files, .. }) => {
                let behind = format!("{id}/backup-{:010}-", forged + 1);
                assert!(files.len() == 1 && files[0].0.starts_with(&behind), "{forged}: {files:?}");
            }
            result => assert!(forged == 3 && result.is_ok(), "{forged}: {result:?}"),
        }
        let receipt = &specimen.receipts[3 + forged - 1];
        let error = repository.verify(Some(receipt)).expect_err("the backup is gone");
        assert!(matches!(error, BackupError::RepositoryDamaged { .. }), "{forged}: {error:?}");
    }
}

#[test]
fn every_earlier_state_of_a_repository_is_whole_and_lacks_a_receipt() {
    let specimen = Specimen::new();
    let (id, numbers) = &specimen.databases[1];
    let manifests: Vec<_> = specimen
        .files()
        .into_iter()
        .filter(|(path, _)| path.starts_with(Path::new(REPOSITORY).join(id)))
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    let mut tally = Tally::default();
    for kept in 1..3 {
        let gone: Vec<(&Path, Option<&[u8]>)> =
            manifests[kept..].iter().map(|(path, _)| (path.as_path(), None)).collect();
        specimen.attack(&gone, &mut tally);
    }
    assert_eq!((tally.tried, tally.named, tally.earlier), (2, 0, 2), "{tally:?} {numbers:?}");
}
