//! Stored values of any bytes, through the public library: codec tags, compression, and decoding to types.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use codex::{Compression, Durability, Entry, ErrorKind, Options, Result, Store};
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Batch, OpenOptions};
use tempfile::TempDir;

use crate::image::{self, PATH};

/// The input is what stands under a key; and a value that is stored in every way there is.
pub fn run(input: &[u8]) {
    thread_local! {
        static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
    }
    BENCH.with_borrow_mut(|bench| {
        bench.read(input);
        bench.round_trip(input);
    });
}

/// What one process keeps from input to input, because making it costs more than a run.
struct Bench {
    folder: TempDir,
    stores: Vec<Store>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let stores = [Compression::None, Compression::Lz4, Compression::Zstd].map(|compression| {
            let options = Options::new().durability(Durability::Buffered).compression(compression);
            options.open(folder.path().join(format!("{compression:?}.db"))).expect("a new database")
        });
        Self { folder, stores: stores.into() }
    }

    /// Reads a stored value that this library did not write.
    fn read(&self, stored: &[u8]) {
        let path = self.folder.path().join("stored.db");
        std::fs::write(&path, database_with(stored)).expect("there is room for temporary files");
        let store = Options::new().read_only(true).open(&path).expect("the database is whole");
        match store.get_entry("key") {
            Ok(entry) => decode(&entry.expect("the key is there"), stored.len()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Integrity, "{error}"),
        }
    }

    fn round_trip(&self, value: &[u8]) {
        for store in &self.stores {
            store.set_bytes("key", value).expect("the value is within bounds");
            assert_eq!(store.get_bytes("key").expect("it was just set").as_deref(), Some(value));
            let typed: Option<Vec<u8>> = store.get("key").expect("raw bytes are a sequence of bytes");
            assert_eq!(typed.as_deref(), Some(value));
        }
    }
}

fn decode(entry: &Entry, stored_len: usize) {
    assert!(entry.value.len() <= stored_len.saturating_mul(256), "what is stored bounds what it becomes");
    judge(&entry.decode::<serde_json::Value>());
    judge(&entry.decode::<String>());
    judge(&entry.decode::<Vec<u8>>());
    judge(&entry.decode::<Vec<Vec<Option<u32>>>>());
    judge(&entry.decode::<BTreeMap<String, Vec<i64>>>());
    judge(&entry.decode::<(bool, char, f64, Option<u128>, [u8; 3])>());
}

fn judge<T>(decoded: &Result<T>) {
    if let Err(error) = decoded {
        assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
    }
}

/// How a value is stored without compression, with LZ4 and with Zstandard: seeds.
#[must_use]
pub fn stored(value: &[u8]) -> [Vec<u8>; 3] {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    [Compression::None, Compression::Lz4, Compression::Zstd].map(|compression| {
        let path = folder.path().join(format!("{compression:?}.db"));
        let store = Options::new().compression(compression).open(&path).expect("a new database");
        store.set_bytes("key", value).expect("nothing fails");
        drop(store);
        let database = codex_storage::Database::open(&path, None).expect("it was just closed");
        let (record, _) = database.get(b"key").expect("it was just set");
        record.value().to_vec()
    })
}

/// A database file that holds these bytes as the stored value of `key`.
fn database_with(stored: &[u8]) -> Vec<u8> {
    let disk = SimVfs::new(0);
    let options = OpenOptions { durability: codex_storage::Durability::Buffered, ..image::options(&disk) };
    let database = options.open(Path::new(PATH), None).expect("a new database");
    let mut batch = Batch::new();
    batch.set(b"key", &[stored]).expect("within bounds");
    database.commit(batch).expect("nothing fails");
    database.close().expect("nothing fails");
    disk.read_file(PATH).expect("it was just closed")
}
