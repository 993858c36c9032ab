//! One frame sealed and opened, a durable commit, and reads of the table.

use codex::{Durability, EncryptionKey, Options};
use codex_crypto::{Aes256GcmSealer, DatabaseId, Purpose, RootKey, Sealer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn frames(c: &mut Criterion) {
    let id = DatabaseId::from_bytes([1; 16]);
    let root = RootKey::generate().expect("the system gives random bytes");
    let sealer = Aes256GcmSealer::new(&root, id);
    let header = [0; 128];
    let mut group = c.benchmark_group("frame");
    for len in [128_usize, 4096, 1 << 20] {
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("seal {len}"), |b| {
            b.iter(|| {
                let mut payload = vec![7; len];
                let salt = sealer.fresh_salt(&header).expect("random bytes");
                sealer.seal(Purpose::LogFrame, &salt, &header, &mut payload, 0).expect("within bounds");
                black_box(payload)
            });
        });
    }
    group.finish();
}

fn store(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("a folder beside the benches");
    let options = || Options::new().encryption_key(EncryptionKey::from_bytes([7; 32]));
    let durable = options().open(folder.path().join("durable.db")).expect("a new database");
    c.bench_function("durable set", |b| b.iter(|| durable.set_bytes(b"key", [1; 100]).expect("a commit")));
    let buffered = options().durability(Durability::Buffered);
    let buffered = buffered.open(folder.path().join("buffered.db")).expect("a new database");
    c.bench_function("buffered set", |b| b.iter(|| buffered.set_bytes(b"key", [1; 100]).expect("a commit")));
    for number in 0..100_000_u32 {
        buffered.set_bytes(number.to_be_bytes(), [1; 100]).expect("a commit");
    }
    let mut number = 0_u32;
    c.bench_function("get among 100,000", |b| {
        b.iter(|| {
            number = (number + 7919) % 100_000;
            black_box(buffered.get_bytes(number.to_be_bytes()).expect("a value"))
        });
    });
    c.bench_function("scan 100", |b| {
        let view = buffered.view();
        b.iter(|| view.range(1000_u32.to_be_bytes()..1100_u32.to_be_bytes()).count());
    });
}

criterion_group!(benches, frames, store);
criterion_main!(benches);
