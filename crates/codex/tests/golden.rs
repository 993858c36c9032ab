//! The databases that were kept when a format version was released: every later program reads them.
//!
//! `cargo run -p codex-fuzz --example make_vectors` wrote them once. They are never written again: where one of
//! these tests fails, the program is wrong and not the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use codex::{EncryptionKey, ErrorKind, Mode, Options, Point, Repository, RestoreOptions, Store};
use sha2::{Digest, Sha256};

/// A folder of kept files for each format version.
const KEPT: [&str; 1] = ["tests/vectors/format_1"];

fn kept(version: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(KEPT[version - 1])
}

/// The files below a folder, by their paths from it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let name = path.file_name().expect("it is in a folder");
            found.extend(files(&path).into_iter().map(|below| Path::new(name).join(below)));
        } else {
            found.push(path.strip_prefix(folder).expect("it is in the folder").to_path_buf());
        }
    }
    found.sort();
    found
}

#[test]
fn kept_files_are_never_changed() {
    for version in 1..=KEPT.len() {
        let folder = kept(version);
        let sums = fs::read_to_string(folder.join("SHA256SUMS")).expect("the sums");
        let sums: Vec<(&str, &str)> =
            sums.lines().map(|line| line.split_once("  ").expect("a sum, then a name")).collect();
        let listed: Vec<&Path> = sums.iter().map(|(_, name)| Path::new(name)).collect();
        let mut there = files(&folder);
        there.retain(|path| path != Path::new("SHA256SUMS"));
        assert_eq!(there, listed);
        for (sum, name) in sums {
            let hash = Sha256::digest(fs::read(folder.join(name)).expect("it is there"));
            let byte = |at: usize| u8::from_str_radix(&sum[at..at + 2], 16).expect("hexadecimal");
            let sum: Vec<u8> = (0..sum.len()).step_by(2).map(byte).collect();
            assert_eq!(hash[..], sum, "{name}");
        }
    }
}

/// Which way in.
#[derive(Clone, Copy)]
enum Key {
    Bytes,
    Passphrase,
}

/// A copy of a kept database, with its checkpoint if it has one, in a folder of its own.
struct Copy {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Copy {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        let kept = kept(1).join(name);
        fs::copy(&kept, &path).expect("a copy");
        let checkpoint = kept.with_extension("db.ckpt");
        if name.starts_with("ledger") {
            fs::copy(checkpoint, path.with_extension("db.ckpt")).expect("a copy of the checkpoint");
        }
        Self { path, _folder: folder }
    }

    fn open(&self, name: &str, key: Key) -> codex::Result<Store> {
        let mode = if name.starts_with("ledger") { Mode::Ledger } else { Mode::Snapshot };
        let options = Options::new().mode(mode).create(false);
        match key {
            _ if name.contains("plaintext") => options,
            Key::Bytes => options.encryption_key(EncryptionKey::from_bytes([7; 32])),
            Key::Passphrase => options.passphrase("correct horse battery staple"),
        }
        .open(&self.path)
    }
}

const DATABASES: [&str; 12] = [
    "ledger_encrypted_lz4.db",
    "ledger_encrypted_none.db",
    "ledger_encrypted_zstd.db",
    "ledger_plaintext_lz4.db",
    "ledger_plaintext_none.db",
    "ledger_plaintext_zstd.db",
    "snapshot_encrypted_lz4.db",
    "snapshot_encrypted_none.db",
    "snapshot_encrypted_zstd.db",
    "snapshot_plaintext_lz4.db",
    "snapshot_plaintext_none.db",
    "snapshot_plaintext_zstd.db",
];

/// The records of every database of format 1.
fn holds_what_was_committed(store: &Store) {
    assert_eq!(store.keys().expect("keys"), [&b"bincode"[..], b"expires", b"json", b"long", b"raw", b"tail"]);
    assert_eq!(store.get::<Vec<u32>>("json").expect("JSON"), Some(vec![1, 2, 3]));
    assert_eq!(store.get::<(u32, String)>("bincode").expect("bincode"), Some((1, "x".into())));
    assert_eq!(store.get::<String>("long").expect("a value"), Some("0123456789".repeat(50)));
    assert_eq!(store.get_bytes("raw").expect("raw").as_deref(), Some(&[0, 255, 254][..]));
    assert_eq!(store.get_bytes("tail").expect("raw").as_deref(), Some(&b"after"[..]));
    assert_eq!(store.get::<bool>("expires").expect("JSON"), Some(true));
    let deadline = store.expires_at("expires").expect("it expires");
    let year_2100 = UNIX_EPOCH + Duration::from_hours(1_139_568);
    let apart = deadline.duration_since(year_2100).unwrap_or_else(|earlier| earlier.duration());
    assert!(apart < Duration::from_mins(1), "{apart:?}");
    assert_eq!(store.stats().sequence, 8);
}

#[test]
fn opens_every_kind_of_database_of_format_1_and_goes_on() {
    for name in DATABASES {
        let keys =
            if name.contains("plaintext") { &[Key::Bytes][..] } else { &[Key::Bytes, Key::Passphrase] };
        for key in keys {
            let copy = Copy::of(name);
            let store = copy.open(name, *key).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            holds_what_was_committed(&store);
            assert!(!store.stats().checkpoint_damaged && !store.stats().header_copy_stale, "{name}");
            store.verify().unwrap_or_else(|error| panic!("{name}: {error:?}"));
            if name.starts_with("ledger") {
                let past = store.at(Point::Sequence(1)).expect("its past");
                assert_eq!(past.get::<String>("gone").expect("JSON").as_deref(), Some("cleared"), "{name}");
            }
            let mut batch = codex::Batch::new();
            batch.set_bytes("more", b"1");
            assert_eq!(store.commit(batch).expect("it goes on").sequence, 9, "{name}");
            store.close().expect("it closes");
            let store = copy.open(name, *key).expect("it opens again");
            store.verify().expect("it verifies");
            assert_eq!(store.len(), 7, "{name}");
        }
    }
}

#[test]
fn an_encrypted_database_of_format_1_refuses_any_other_key() {
    for name in DATABASES.into_iter().filter(|name| name.contains("encrypted")) {
        let copy = Copy::of(name);
        let before = fs::read(&copy.path).expect("its bytes");
        for options in [
            Options::new(),
            Options::new().encryption_key(EncryptionKey::from_bytes([8; 32])),
            Options::new().passphrase("correct horse battery"),
        ] {
            let error = options.create(false).open(&copy.path).expect_err("it is not its key");
            assert_eq!(error.kind(), ErrorKind::Encryption, "{name}");
        }
        assert_eq!(fs::read(&copy.path).expect("its bytes"), before, "{name}");
    }
}

#[test]
fn a_checkpoint_of_format_1_stands_for_the_log_before_it() {
    for name in DATABASES.into_iter().filter(|name| name.starts_with("ledger")) {
        let copy = Copy::of(name);
        // In the first frame, which opening reads only where there is no checkpoint to believe.
        let mut bytes = fs::read(&copy.path).expect("its bytes");
        bytes[0x2090] ^= 1;
        fs::write(&copy.path, bytes).expect("it is ours");
        let store = copy.open(name, Key::Bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        holds_what_was_committed(&store);
        drop(store);
        fs::remove_file(copy.path.with_extension("db.ckpt")).expect("it is there");
        let error = copy.open(name, Key::Bytes).expect_err("the log is damaged");
        assert_eq!(error.kind(), ErrorKind::Integrity, "{name}");
    }
}

#[test]
fn restores_from_a_repository_of_format_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path().join("repository");
    for file in files(&kept(1).join("repository")) {
        let to = repository.join(&file);
        fs::create_dir_all(to.parent().expect("it is in a folder")).expect("its folder");
        fs::copy(kept(1).join("repository").join(file), to).expect("a copy");
    }
    let repository = Repository::open(&repository).expect("it opens");
    repository.verify(None).expect("it verifies");
    let backups = repository.list().expect("its backups");
    assert_eq!(backups.iter().map(|backup| backup.sequence).collect::<Vec<_>>(), [9, 8, 9, 8]);
    for (number, newest) in backups.iter().step_by(2).enumerate() {
        let target = folder.path().join(format!("restored-{number}.db"));
        let restoring = |options: RestoreOptions| options.encryption_key(EncryptionKey::from_bytes([7; 32]));
        repository
            .restore(Some(&newest.database), &target, restoring(RestoreOptions::new()))
            .expect("the newest backup");
        let open = || {
            let options = Options::new().create(false).encryption_key(EncryptionKey::from_bytes([7; 32]));
            options.open(&target).expect("it opens")
        };
        assert_eq!(open().get::<u32>("backed up").expect("JSON"), Some(2));
        let earlier = RestoreOptions::new().overwrite(true).at(Point::Sequence(8));
        repository.restore(Some(&newest.database), &target, restoring(earlier)).expect("the one before");
        holds_what_was_committed(&open());
    }
}
