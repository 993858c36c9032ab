//! The past of a ledger of a million commits, each a frame of its own: the history of one key, a state in the middle, and
//! the whole log.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use codex::{Durability, EncryptionKey, Mode, Options, Point, Store};
use criterion::{Criterion, criterion_group, criterion_main};

const COMMITS: u32 = 1_000_000;
/// Each has ten versions.
const KEYS: u32 = COMMITS / 10;
const VALUE: [u8; 100] = [1; 100];

fn past(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("a folder beside the benches");
    let path = folder.path().join("ledger.db");
    filled(&path);
    let mut group = c.benchmark_group(format!("among {COMMITS} commits"));
    group.sample_size(10);
    group.bench_function("first history of a key, which makes the index", |b| {
        b.iter_custom(|count| (0..count).map(|_| first_history(&path)).sum());
    });
    let store = options().open(&path).expect("it is whole");
    assert_eq!(versions(&store, 0), 10);
    let mut number = 0;
    group.bench_function("later history of a key of ten versions", |b| {
        b.iter(|| {
            number = (number + 7919) % KEYS;
            assert_eq!(versions(&store, number), 10);
        });
    });
    let middle = u64::from(COMMITS / 2);
    group.bench_function("at the middle", |b| {
        b.iter(|| store.at(Point::Sequence(middle)).expect("a commit").len());
    });
    group.bench_function("log, all of it", |b| {
        b.iter(|| {
            let log = store.log(..).expect("a ledger");
            assert_eq!(log.filter(|commit| black_box(commit).is_ok()).count(), COMMITS as usize);
        });
    });
    group.finish();
    store.close().expect("a clean end");
}

/// What the first history after an opening takes.
fn first_history(path: &Path) -> Duration {
    let store = options().open(path).expect("it is whole");
    let start = Instant::now();
    assert_eq!(versions(&store, 7), 10);
    let took = start.elapsed();
    store.close().expect("a clean end");
    took
}

fn versions(store: &Store, number: u32) -> usize {
    let history = store.history(number.to_be_bytes()).expect("a ledger");
    history.filter(|version| black_box(version).is_ok()).count()
}

fn options() -> Options {
    Options::new().mode(Mode::Ledger).encryption_key(EncryptionKey::from_bytes([7; 32]))
}

fn filled(path: &Path) {
    // Each commit is handed to the system by itself, as with `Sync`, but the disk is not waited for.
    let options = options().durability(Durability::Interval(Duration::from_hours(1)));
    let store = options.open(path).expect("a new database");
    for number in 0..COMMITS {
        store.set_bytes((number % KEYS).to_be_bytes(), VALUE).expect("a commit");
    }
    store.close().expect("a clean end");
}

criterion_group!(benches, past);
criterion_main!(benches);
