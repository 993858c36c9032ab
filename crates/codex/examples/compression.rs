//! What compression saves, measured on three kinds of values, and what it costs to know.
//!
//! Each value is compressed on its own: compressing several together would mix one caller's secrets with another's text,
//! and the length of the result can be seen. So short values gain little, and values that do not shrink are stored
//! as they are.
//!
//! Run with `cargo run -p codex --example compression`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::path::Path;

use codex::{Compression, EncryptionKey, Options};

const VALUES: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let kinds: [(&str, Vec<String>); 3] = [
        ("log lines, 4 KiB", (0..VALUES).map(log_lines).collect()),
        ("user records, 100 bytes", (0..VALUES).map(user).collect()),
        ("random keys, 1 KiB", (0..VALUES).map(|_| random_text(512)).collect::<codex::Result<_>>()?),
    ];
    println!("{:<24} {:>8} {:>8} {:>8}", "bytes in the store", "None", "Lz4", "Zstd");
    for (number, (kind, values)) in kinds.iter().enumerate() {
        let mut sizes = Vec::new();
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let path = folder.path().join(format!("{number}-{compression:?}.db"));
            sizes.push(stored_bytes(&path, compression, values)?);
        }
        let [none, lz4, zstd] = sizes[..] else { return Err("three sizes were measured".into()) };
        println!("{kind:<24} {none:>8} {lz4:>8} {zstd:>8}");
    }
    Ok(())
}

/// The bytes of keys and stored values after `values` were written, and read back.
fn stored_bytes(path: &Path, compression: Compression, values: &[String]) -> Result<u64, Box<dyn Error>> {
    let store = Options::new().compression(compression).open(path)?;
    let keys = (0..values.len()).map(|number| format!("{number:03}"));
    store.set_many(keys.zip(values))?;
    // Readers need not know how a value is stored, and a store may hold all kinds.
    for (number, value) in values.iter().enumerate() {
        let read: Option<String> = store.get(format!("{number:03}"))?;
        if read.as_ref() != Some(value) {
            return Err("a value is not what was written".into());
        }
    }
    let bytes = store.stats().live_bytes;
    store.close()?;
    Ok(bytes)
}

fn log_lines(number: usize) -> String {
    let line = format!("worker {number} took a request from the queue and answered 200");
    (0..50).flat_map(|second| [format!("12:00:{second:02} "), line.clone(), "\n".to_owned()]).collect()
}

fn user(number: usize) -> String {
    format!(
        "name: User Number {number}, mail: user{number}@example.org, city: Wien, language: de, plan: free, active: yes"
    )
}

/// As many random bytes, in hexadecimal: what a key or a token looks like. Four bits in each byte of text are random.
fn random_text(bytes: usize) -> codex::Result<String> {
    (0..bytes / 32).map(|_| Ok(EncryptionKey::generate()?.to_hex().to_string())).collect()
}
