//! Values in and out, several changes at once, ranges of keys, and closing: what every program does with a store.
//!
//! Run with `cargo run -p codex --example basic_usage`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use codex::{Batch, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.db");

    // Opens the database, or creates it. Each call that writes returns once the change is on disk.
    let store = Store::open(&path)?;
    store.set("city:vienna", "Wien")?;
    store.set("city:rome", "Roma")?;
    store.set("visits", &1)?;

    // A missing key is `None`, not an error.
    let rome: Option<String> = store.get("city:rome")?;
    println!("city:rome is {rome:?}");
    println!("city:oslo is {:?}", store.get::<String>("city:oslo")?);

    // Bytes are stored as they are.
    store.set_bytes("flag", [0xed, 0x29, 0x39])?;
    println!("flag is {:x?}", store.get_bytes("flag")?.as_deref());

    // All of a batch takes place or nothing, also across a loss of power.
    let mut batch = Batch::new();
    batch.set("city:athens", "Athína")?;
    batch.set("visits", &2)?;
    batch.delete("flag");
    let commit = store.commit(batch)?;
    println!("the batch is commit {}", commit.sequence);

    // Keys are sorted by their bytes, so a prefix is a range.
    for entry in store.prefix("city:") {
        let (key, value) = entry?;
        println!("{} = {}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
    }

    println!("deleted: {}, again: {}", store.delete("city:rome")?, store.delete("city:rome")?);
    println!("{} records", store.len());

    // Closing reports what dropping the store would keep to itself.
    store.close()?;

    let store = Store::open(&path)?;
    println!("opened again, visits is {:?}", store.get::<u32>("visits")?);
    store.close()?;
    Ok(())
}
