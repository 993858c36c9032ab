//! Key slots. No passphrase is tried: Argon2id costs what the slot says, which is bounded and still far too much here.

use std::sync::OnceLock;

use codex_crypto::{DatabaseId, EncryptionKey, KeySlot, PassphraseCost, RootKey, SlotKind, Unlock};

/// Where the label begins in a slot, which is its end: `docs/file-format.md`, "Key slots".
const LABEL: usize = 144;
const ID: DatabaseId = DatabaseId::from_bytes([9; 16]);

/// The input is a slot, and then what is changed in a slot that the key does open.
pub fn run(input: &[u8]) {
    let Some((slot, change)) = input.split_first_chunk::<{ KeySlot::LEN }>() else { return };
    if let Some(opened) = decoded(slot) {
        assert!(!opened, "nobody has made this slot");
    }
    let (key_slot, _) = genuine();
    let mut changed = *key_slot;
    changed.iter_mut().zip(change).for_each(|(byte, change)| *byte ^= change);
    // The label is told to everybody and held by the header's code, not by the key.
    let opened = decoded(&changed) == Some(true);
    assert!(opened || changed != *key_slot, "the slot opens");
    assert!(!opened || changed[..LABEL] == key_slot[..LABEL], "a changed slot does not open");
}

/// Whether a slot opens; `None` where the bytes are no slot or an empty one.
fn decoded(bytes: &[u8; KeySlot::LEN]) -> Option<bool> {
    let slot = KeySlot::decode(bytes).ok()?;
    let Some(slot) = slot else {
        assert_eq!(*bytes, [0; KeySlot::LEN], "an empty slot is zeros");
        return None;
    };
    assert_eq!(slot.encode(), *bytes, "what is decoded is encoded to the same bytes");
    let opened = slot.unwrap(&genuine().1, ID).is_ok_and(|root| root.is_some());
    assert!(!opened || slot.kind() == SlotKind::EncryptionKey);
    Some(opened)
}

/// A slot, and the key that opens it.
fn genuine() -> &'static ([u8; KeySlot::LEN], Unlock) {
    static SLOT: OnceLock<([u8; KeySlot::LEN], Unlock)> = OnceLock::new();
    SLOT.get_or_init(|| {
        let unlock = Unlock::from(EncryptionKey::from_bytes([7; 32]));
        let root = RootKey::generate().expect("the system has random bytes");
        let slot = KeySlot::wrap(&root, &unlock, ID, PassphraseCost::MINIMUM);
        (slot.expect("the system has random bytes").encode(), unlock)
    })
}
