//! The paths that everything runs through: a frame, a group commit, reads and scans of the table, and recovery.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use codex::{Batch, Durability, EncryptionKey, Mode, Options, Store};
use codex_crypto::{Aes256GcmSealer, DatabaseId, Purpose, RootKey, Sealer};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const VALUE: [u8; 100] = [1; 100];
const RECORDS: u32 = 100_000;

fn frames(c: &mut Criterion) {
    let id = DatabaseId::from_bytes([1; 16]);
    let root = RootKey::generate().expect("the system gives random bytes");
    let sealer = Aes256GcmSealer::new(&root, id);
    let header = [0; 128];
    let mut group = c.benchmark_group("frame");
    for len in [128_usize, 4096, 1 << 20] {
        group.throughput(Throughput::Bytes(len as u64));
        let seal = || {
            let mut payload = vec![7; len];
            let salt = sealer.fresh_salt(&header).expect("random bytes");
            sealer.seal(Purpose::LogFrame, &salt, &header, &mut payload, 0).expect("within bounds");
            (salt, payload)
        };
        group.bench_function(format!("seal {len}"), |b| b.iter(|| black_box(seal())));
        let (salt, sealed) = seal();
        group.bench_function(format!("open {len}"), |b| {
            // Opening is in place, so that each needs sealed bytes of its own.
            b.iter_batched_ref(
                || sealed.clone(),
                |sealed| {
                    let opened =
                        sealer.open(Purpose::LogFrame, &salt, &header, sealed).expect("it authenticates");
                    black_box(opened.len())
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn commits(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("a folder beside the benches");
    let store = options(Mode::Snapshot).open(folder.path().join("durable.db")).expect("a new database");
    let mut group = c.benchmark_group("commit");
    group.bench_function("durable set", |b| b.iter(|| store.set_bytes(b"key", VALUE).expect("a commit")));
    group.throughput(Throughput::Elements(32));
    group.bench_function("group of 32 by submit", |b| {
        b.iter(|| {
            let pending: Vec<_> = (0..32_u32)
                .map(|number| {
                    let mut batch = Batch::new();
                    batch.set_bytes(number.to_be_bytes(), VALUE);
                    store.submit(batch).expect("it is queued")
                })
                .collect();
            for pending in pending {
                pending.wait().expect("a commit");
            }
        });
    });
    let buffered = options(Mode::Snapshot).durability(Durability::Buffered);
    let buffered = buffered.open(folder.path().join("buffered.db")).expect("a new database");
    group.throughput(Throughput::Elements(1));
    group.bench_function("buffered set", |b| b.iter(|| buffered.set_bytes(b"key", VALUE).expect("a commit")));
    group.finish();
}

fn table(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("a folder beside the benches");
    let store = loaded(Mode::Snapshot, &folder.path().join("table.db"));
    let mut group = c.benchmark_group(format!("among {RECORDS} records"));
    for (name, first) in [("get, hit", 0), ("get, miss", RECORDS)] {
        let mut number = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                number = (number + 7919) % RECORDS;
                black_box(store.get_bytes((first + number).to_be_bytes()).expect("an answer"))
            });
        });
    }
    let view = store.view();
    let hundred = || 1000_u32.to_be_bytes()..1100_u32.to_be_bytes();
    group.throughput(Throughput::Elements(100));
    group.bench_function("scan of 100, iterator", |b| b.iter(|| view.range(hundred()).count()));
    group.bench_function("scan of 100, for_each", |b| {
        b.iter(|| view.for_each(hundred(), see).expect("records"));
    });
    group.throughput(Throughput::Elements(RECORDS.into()));
    group.bench_function("full scan, iterator", |b| b.iter(|| view.range(..).count()));
    group.bench_function("full scan, for_each", |b| {
        b.iter(|| view.for_each(.., see).expect("records"));
    });
    group.finish();
}

fn recovery(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("a folder beside the benches");
    let mut group = c.benchmark_group(format!("opening {RECORDS} records"));
    group.throughput(Throughput::Elements(RECORDS.into())).sample_size(20);
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let path = folder.path().join(format!("{mode}.db"));
        loaded(mode, &path).close().expect("a clean end");
        group.bench_function(mode.to_string(), |b| {
            // Closing is not what is measured.
            b.iter_custom(|count| {
                let opening = |_| {
                    let start = Instant::now();
                    let store = options(mode).open(&path).expect("it is whole");
                    let took = start.elapsed();
                    store.close().expect("a clean end");
                    took
                };
                (0..count).map(opening).sum()
            });
        });
    }
    group.finish();
}

fn options(mode: Mode) -> Options {
    Options::new().mode(mode).encryption_key(EncryptionKey::from_bytes([7; 32]))
}

/// What a scan does with a record.
fn see(key: &[u8], value: &[u8]) {
    black_box((key, value));
}

/// A database of [`RECORDS`], set in batches of 1,000.
fn loaded(mode: Mode, path: &Path) -> Store {
    let store = options(mode).open(path).expect("a new database");
    for first in (0..RECORDS).step_by(1000) {
        let mut batch = Batch::new();
        for number in first..first + 1000 {
            batch.set_bytes(number.to_be_bytes(), VALUE);
        }
        store.commit(batch).expect("a commit");
    }
    store
}

criterion_group!(benches, frames, commits, table, recovery);
criterion_main!(benches);
