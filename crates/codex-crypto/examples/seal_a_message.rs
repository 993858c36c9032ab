//! Seals a message under a passphrase into one block of bytes, and opens it again.
//!
//! The block is database id, key slot, salt, then the sealed message: all that it takes to open it,
//! except the passphrase.
//!
//! Run with `cargo run -p codex-crypto --example seal_a_message`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use codex_crypto::{
    Aes256GcmSealer, DatabaseId, KeySlot, PassphraseCost, Purpose, RootKey, Salt, Sealer, Unlock,
};

fn main() -> Result<(), Box<dyn Error>> {
    let unlock = Unlock::passphrase("correct horse battery staple");
    let mut block = seal(b"attack at dawn", &unlock)?;
    println!("{} bytes sealed", block.len());

    for passphrase in ["correct horse battery staple", "incorrect horse"] {
        show(passphrase, &mut block.clone());
    }
    *block.last_mut().ok_or("a sealed block is not empty")? ^= 1;
    show("correct horse battery staple", &mut block);
    Ok(())
}

fn show(passphrase: &str, block: &mut [u8]) {
    match open(block, &Unlock::passphrase(passphrase)) {
        Ok(message) => println!("opened: {}", String::from_utf8_lossy(&message)),
        Err(error) => println!("not opened: {error}"),
    }
}

fn seal(message: &[u8], unlock: &Unlock) -> Result<Vec<u8>, Box<dyn Error>> {
    let id = DatabaseId::generate()?;
    let root = RootKey::generate()?;
    let slot = KeySlot::wrap(&root, unlock, id, PassphraseCost::RECOMMENDED)?;
    let sealer = Aes256GcmSealer::new(&root, id);

    let mut block = [&id.as_bytes()[..], &slot.encode()].concat();
    let salt = sealer.fresh_salt(&block)?;
    block.extend_from_slice(salt.as_bytes());
    let header = block.clone();
    block.extend_from_slice(message);
    sealer.seal(Purpose::LogFrame, &salt, &header, &mut block, HEADER_LEN)?;
    Ok(block)
}

fn open(block: &mut [u8], unlock: &Unlock) -> Result<Vec<u8>, Box<dyn Error>> {
    let (header, message) = block.split_at_mut_checked(HEADER_LEN).ok_or("not a sealed block")?;
    let (id, rest) = header.split_first_chunk().ok_or("not a sealed block")?;
    let (slot, salt) = rest.split_first_chunk().ok_or("not a sealed block")?;
    let (id, salt) = (DatabaseId::from_bytes(*id), Salt::from_bytes(salt.try_into()?));

    let slot = KeySlot::decode(slot)?.ok_or("the key slot is empty")?;
    let root = slot.unwrap(unlock, id)?.ok_or("the passphrase does not open the key slot")?;
    let sealer = Aes256GcmSealer::new(&root, id);
    Ok(sealer.open(Purpose::LogFrame, &salt, header, message)?.to_vec())
}

const HEADER_LEN: usize = DatabaseId::LEN + KeySlot::LEN + Salt::LEN;
