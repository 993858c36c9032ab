//! Encryption: a passphrase for people, a key for machines, changing either, and what a wrong one meets.
//!
//! Run with `cargo run -p codex --example encryption`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::fs;
use std::path::Path;

use codex::{EncryptionKey, ErrorKind, NewKey, Options, SlotKind, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("vault.db");

    // A new database is encrypted with what it is first opened with.
    let store = Options::new().passphrase("correct horse battery staple").open(&path)?;
    store.set("token", "s3cr3t-t0k3n")?;

    // A second way in: a key that a service keeps where it keeps its secrets. Up to eight are possible.
    let service_key = EncryptionKey::generate()?;
    let kept = service_key.to_hex();
    let number = store.add_key(NewKey::from(service_key).label("nightly job"))?;
    for slot in store.key_slots()? {
        let kind = match slot.kind {
            SlotKind::Passphrase => "a passphrase",
            _ => "a key",
        };
        let opened = if slot.opened { ", which opened the store" } else { "" };
        println!("slot {}: {kind} {:?}{opened}", slot.number, slot.label);
    }
    store.close()?;

    // Neither value nor key of a record is anywhere in the file.
    let bytes = fs::read(&path)?;
    for text in ["s3cr3t-t0k3n", "token"] {
        println!("{text:?} can be read in the file: {}", contains(&bytes, text.as_bytes()));
    }

    // A wrong passphrase, or none, changes nothing and says nothing about the data.
    say_why_not("a wrong passphrase", Options::new().passphrase("incorrect horse").open(&path))?;
    say_why_not("no key", Store::open(&path))?;

    // Another passphrase in place of the old one: nothing is written but the header.
    let store = Options::new().passphrase("correct horse battery staple").open(&path)?;
    store.change_key(NewKey::passphrase("a staple of horses"))?;
    store.close()?;
    say_why_not("the old passphrase", Options::new().passphrase("correct horse battery staple").open(&path))?;
    println!("the service reads {:?}", token(&path, &kept)?);

    // The service's machine was stolen. Removing its slot is enough if nobody copied the file; where somebody may have,
    // a new root key keeps them from all that is written from now on.
    let store = Options::new().passphrase("a staple of horses").open(&path)?;
    store.remove_key(number)?;
    store.change_key_deep(NewKey::passphrase("a staple of new horses"))?;
    store.close()?;
    say_why_not(
        "the stolen key",
        Options::new().encryption_key(EncryptionKey::from_hex(&kept)?).open(&path),
    )?;

    let store = Options::new().passphrase("a staple of new horses").open(&path)?;
    println!("the owner reads {:?}", store.get::<String>("token")?);
    store.close()?;
    Ok(())
}

fn token(path: &Path, key: &str) -> codex::Result<Option<String>> {
    let store = Options::new().encryption_key(EncryptionKey::from_hex(key)?).read_only(true).open(path)?;
    let token = store.get("token")?;
    store.close()?;
    Ok(token)
}

/// An error is expected here, and only of this kind.
fn say_why_not(what: &str, opened: codex::Result<Store>) -> Result<(), Box<dyn Error>> {
    match opened {
        Ok(_) => Err(format!("{what} opens the database").into()),
        Err(error) if error.kind() == ErrorKind::Encryption => {
            println!("{what}: {}", error.kind());
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
