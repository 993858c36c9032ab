//! Writes the golden databases of this format version: `cargo run -p codex-fuzz --example make_vectors FOLDER`.
//!
//! Every later program must read them (`crates/codex/tests/golden.rs`, which says what they hold), so they are made once
//! for each format version, when it is released, and never again: a file that is there already is an error.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex::{Batch, Codec, Compression, EncryptionKey, Mode, NewKey, Options, Repository, Store};
use codex_crypto::{PassphraseCost, Unlock};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for encrypted in [false, true] {
            for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
                make(&folder, Kind { mode, encrypted, compression })?;
            }
        }
    }
    let repository = Repository::open_or_create(folder.join("repository"))?;
    let backed_up = [Mode::Snapshot, Mode::Ledger].map(|mode| Kind {
        mode,
        encrypted: true,
        compression: Compression::Zstd,
    });
    for kind in backed_up {
        // A copy is backed up before and behind one more commit, so that the second backup names pieces of the first.
        let copy = tempfile::tempdir()?;
        let path = copy.path().join("app.db");
        fs::copy(folder.join(kind.name()), &path)?;
        let store = kind.options().create(false).open(&path)?;
        repository.back_up(&store)?;
        store.set("backed up", &2)?;
        repository.back_up(&store)?;
        store.close()?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Kind {
    mode: Mode,
    encrypted: bool,
    compression: Compression,
}

impl Kind {
    fn name(self) -> String {
        let mode = if self.mode == Mode::Ledger { "ledger" } else { "snapshot" };
        let sealed = if self.encrypted { "encrypted" } else { "plaintext" };
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        format!("{mode}_{sealed}_{compression}.db")
    }

    fn options(self) -> Options {
        let options = Options::new().mode(self.mode).compression(self.compression);
        if self.encrypted { options.encryption_key(key()) } else { options }
    }
}

fn key() -> EncryptionKey {
    EncryptionKey::from_bytes([7; 32])
}

fn make(folder: &Path, kind: Kind) -> Result<(), Box<dyn Error>> {
    let path = folder.join(kind.name());
    if path.exists() {
        return Err(format!("{} is there already", path.display()).into());
    }
    let store = kind.options().open(&path)?;
    if kind.encrypted {
        let passphrase =
            NewKey::passphrase("correct horse battery staple").label("golden").cost(PassphraseCost::MINIMUM);
        store.add_key(passphrase)?;
    }
    commits(&store)?;
    if kind.mode == Mode::Snapshot {
        store.compact()?;
    }
    store.close()?;
    if kind.mode == Mode::Ledger {
        checkpoint(&path, kind.encrypted)?;
    }
    // The tail: behind the checkpoint, or behind what the rewrite left.
    let store = kind.options().create(false).open(&path)?;
    store.set_bytes("tail", b"after")?;
    store.close()?;
    fs::remove_file(path.with_extension("db.lock"))?;
    Ok(())
}

/// Seven commits, which leave five records.
fn commits(store: &Store) -> Result<(), Box<dyn Error>> {
    store.set("gone", &"cleared")?;
    store.clear()?;
    store.set("json", &vec![1, 2, 3])?;
    store.set_with(Codec::Bincode, "bincode", &(1_u32, "x"))?;
    let mut batch = Batch::new();
    batch.set("long", &"0123456789".repeat(50))?;
    batch.set_bytes("raw", [0, 255, 254]);
    batch.set_bytes("deleted", b"1");
    store.commit(batch)?;
    store.delete("deleted")?;
    let deadline = UNIX_EPOCH + Duration::from_hours(1_139_568); // 2100-01-01T00:00:00Z
    store.set_with_ttl("expires", &true, deadline.duration_since(SystemTime::now())?)?;
    Ok(())
}

/// Writes a checkpoint, which a log as short as this one gets only when asked.
fn checkpoint(path: &Path, encrypted: bool) -> Result<(), Box<dyn Error>> {
    let unlock = encrypted.then(|| Unlock::from(key()));
    let options = codex_storage::OpenOptions { create: false, ..codex_storage::OpenOptions::default() };
    let database = options.open(path, unlock.as_ref())?;
    database.checkpoint()?;
    database.close()?;
    Ok(())
}
