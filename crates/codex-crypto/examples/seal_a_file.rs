//! Seals a file of any length under a passphrase, in chunks, and opens it again without ever holding all of it.
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 16 | the id that keys are bound to |
//! | [`KeySlot::LEN`] | the root key, wrapped by what the passphrase gives |
//! | 32 | authentication code over the two |
//! | then, for each chunk: 8, 1, 32 | its number from 0, whether it is the last, its salt |
//! | up to [`CHUNK_LEN`] and a tag | its text, sealed together with those three |
//!
//! So no chunk can be changed, moved, left out, or taken from another file, and the end cannot be cut off unseen.
//!
//! Run with `cargo run -p codex-crypto --example seal_a_file`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use codex_crypto::{
    Aes256GcmSealer, DatabaseId, Digest, KeySlot, PassphraseCost, Purpose, RootKey, Salt, Sealer, Unlock,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let [plain, sealed, opened] =
        ["letter.txt", "letter.sealed", "letter.opened"].map(|name| folder.path().join(name));
    fs::write(&plain, "Attack at dawn, unless it rains. ".repeat(5_000))?;
    let passphrase = Unlock::passphrase("correct horse battery staple");

    seal(&mut File::open(&plain)?, &mut File::create_new(&sealed)?, &passphrase)?;
    println!("{} bytes became {}", fs::metadata(&plain)?.len(), fs::metadata(&sealed)?.len());
    open(&mut File::open(&sealed)?, &mut File::create_new(&opened)?, &passphrase)?;
    println!("opened to what it was: {}", fs::read(&opened)? == fs::read(&plain)?);

    say_why_not("another passphrase", &sealed, &Unlock::passphrase("incorrect horse"))?;
    let bytes = fs::read(&sealed)?;
    let damaged = folder.path().join("damaged");
    let (head, chunks) = bytes.split_at(HEAD_LEN + Digest::LEN);
    let (first, others) = chunks.split_at(CHUNK_HEADER_LEN + CHUNK_LEN + 16);
    let (second, last) = others.split_at(first.len());
    for (what, parts) in [
        ("a bit flipped", [head, &flip(first), second, last]),
        ("two chunks swapped", [head, second, first, last]),
        ("the last chunk cut off", [head, first, second, &[]]),
        ("something appended", [head, first, others, b"!"]),
    ] {
        fs::write(&damaged, parts.concat())?;
        say_why_not(what, &damaged, &passphrase)?;
    }
    Ok(())
}

/// Seals all of `plain`.
fn seal(plain: &mut impl Read, sealed: &mut impl Write, unlock: &Unlock) -> Result<(), Box<dyn Error>> {
    let (id, root) = (DatabaseId::generate()?, RootKey::generate()?);
    let slot = KeySlot::wrap(&root, unlock, id, PassphraseCost::RECOMMENDED)?;
    let sealer = Aes256GcmSealer::new(&root, id);
    let head = [&id.as_bytes()[..], &slot.encode()].concat();
    sealed.write_all(&head)?;
    sealed.write_all(sealer.authenticate(&head).as_bytes())?;

    let mut chunk = read_up_to(plain, CHUNK_LEN)?;
    for number in 0_u64.. {
        let next = read_up_to(plain, CHUNK_LEN)?;
        let is_last = next.is_empty();
        let mut header = [&number.to_le_bytes()[..], &[u8::from(is_last)]].concat();
        // A fresh salt, and so a key of its own, for every chunk that is ever sealed.
        let salt = sealer.fresh_salt(&header)?;
        header.extend_from_slice(salt.as_bytes());
        sealer.seal(Purpose::LogFrame, &salt, &header, &mut chunk, 0)?;
        sealed.write_all(&header)?;
        sealed.write_all(&chunk)?;
        if is_last {
            break;
        }
        chunk = next;
    }
    Ok(())
}

/// Opens what [`seal`] made. What was written before an error is what was sealed, but not all of it.
fn open(sealed: &mut impl Read, plain: &mut impl Write, unlock: &Unlock) -> Result<(), Box<dyn Error>> {
    let head: [u8; HEAD_LEN] = read_array(sealed)?;
    let code = Digest::from_bytes(read_array(sealed)?);
    let (id, slot) = head.split_first_chunk().ok_or("no sealed file")?;
    let id = DatabaseId::from_bytes(*id);
    let slot = KeySlot::decode(slot.try_into()?)?.ok_or("the key slot is empty")?;
    let root = slot.unwrap(unlock, id)?.ok_or("the passphrase does not open it")?;
    let sealer = Aes256GcmSealer::new(&root, id);
    sealer.verify(&head, &code)?;

    for number in 0_u64.. {
        let header: [u8; CHUNK_HEADER_LEN] = read_array(sealed)?;
        let mut chunk = read_up_to(sealed, CHUNK_LEN + sealer.tag_len())?;
        let (place, salt) = header.split_last_chunk().ok_or("no chunk")?;
        let text = sealer.open(Purpose::LogFrame, &Salt::from_bytes(*salt), &header, &mut chunk)?;
        // Only now the header can be believed.
        let [counted @ .., last] = place else { return Err("no chunk".into()) };
        if counted != number.to_le_bytes() {
            return Err(format!("chunk {number} is not where it was").into());
        }
        plain.write_all(text)?;
        if *last == 1 {
            break;
        }
    }
    if read_up_to(sealed, 1)?.is_empty() { Ok(()) } else { Err("it goes on behind its last chunk".into()) }
}

fn say_why_not(what: &str, sealed: &Path, unlock: &Unlock) -> Result<(), Box<dyn Error>> {
    match open(&mut File::open(sealed)?, &mut io::sink(), unlock) {
        Ok(()) => Err(format!("{what} went unseen").into()),
        Err(error) => {
            println!("{what}: {error}");
            Ok(())
        }
    }
}

fn flip(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[CHUNK_HEADER_LEN] ^= 1;
    bytes
}

/// The next `len` bytes; fewer at the end only.
fn read_up_to(from: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    from.take(len as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_array<const LEN: usize>(from: &mut impl Read) -> Result<[u8; LEN], Box<dyn Error>> {
    Ok(read_up_to(from, LEN)?.try_into().map_err(|_| "it ends early")?)
}

const HEAD_LEN: usize = DatabaseId::LEN + KeySlot::LEN;
const CHUNK_HEADER_LEN: usize = 8 + 1 + Salt::LEN;
/// Text in a chunk, in bytes; only the last has less.
const CHUNK_LEN: usize = 64 * 1024;
