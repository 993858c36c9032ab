//! A database's keys from slot to frame, against vectors that `vectors/generate.py` computed from
//! the format's description without any code of this crate.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use codex_crypto::{
    Aes256GcmSealer, DatabaseId, Digest, EncryptionKey, KeySlot, PlaintextSealer, Purpose, RetiredKey,
    RootKey, Salt, Sealer, Unlock, merkle,
};

const LOG_FRAME: &str = "c8f2cae5f00dfa39bba435360893fc7aac3a8ce76e4e359bbbdb0e3116328758466922";
const CHECKPOINT_FRAME: &str = "6df1f0c94bb2112b9eb8a0cd9fbde2870edbf72189d52155d10f00cea637eeb1dcd494";
const HEADER_CODE: &str = "54b2e0067d1430de555965de9d7523e92f1b0b46a02226641a05a8ef3fc9cb84";
const PLAINTEXT_LOG_TAG: &str = "d297500e0cc678454a1a626079fdb4e06a4ff10494399bcedc222226ce13403c";
const PLAINTEXT_CHECKPOINT_TAG: &str = "66009504b9affa29146ff21bb92cf31678d318665d5a142761e58ade6462b59f";
const PLAINTEXT_HEADER_CODE: &str = "b9c782759f6efcee87da9ecbc9decded83893d1cbdf547c22aa807cd35196259";
const ORIGIN_LEAF: &str = "1b8d1f7b137e7858940b7b932eaad9bb95b092bd4b35cc14f5049bc8c8ee1230";
const RETIRED_KEY: &str = concat!(
    "2823000000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7",
    "b8b9babbbcbdbebf89231066bfce72b0dcb13682a9d7f973a4e65a202e7282fd",
    "9d8d1e2d19fd5124d746789db8c7c82d45fb388db04db22a",
);
const RETIRED_HEADER_CODE: &str = "f0b4eab7d3a353c73e1e85560f0c31bcc5b678b7f713b991c9e11830a7708ea0";
// Slots without the zeros at their end.
const KEY_SLOT: &str = concat!(
    "0100000000000000000000000000000000000000000000000000000000000000",
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
    "3711df4d6a28b635699e7804c700b565d4596ac9fe0c8511fdc38418b7d8de28",
    "18a097dbe6f62eaeb94397cfc2819ac69a9ca927e57b8f1947358733271cdeb9",
    "3fde3b621ef1fd238a1305a13736df06",
);
const PASSPHRASE_SLOT: &str = concat!(
    "02000000002000000100000001000000909192939495969798999a9b9c9d9e9f",
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
    "9bba1ba1b9e0bb1979cfd7f7a45fe85c281a5bd0df7323055e311d67df20f402",
    "6a78a89345f0f44039fa619d19a6d38e4d9d78bb5ed7262cde7478947fdc1fbd",
    "7a303ff70f4250f0404b6e7012d311d1",
);

const HEADER: &[u8] = b"the frame's header";
const PAYLOAD: &[u8] = b"the frame's payload";

fn hex(text: &str) -> Vec<u8> {
    base16ct::lower::decode_vec(text).unwrap()
}

/// `N` bytes that count up from `start`.
fn count<const N: usize>(start: u8) -> [u8; N] {
    std::array::from_fn(|index| start + u8::try_from(index).unwrap())
}

fn database_id() -> DatabaseId {
    DatabaseId::from_bytes(count(0x20))
}

fn salt() -> Salt {
    Salt::from_bytes(count(0x30))
}

fn root_key(slot: &str, unlock: &Unlock) -> RootKey {
    let mut bytes = hex(slot);
    bytes.resize(KeySlot::LEN, 0);
    let slot = KeySlot::decode(bytes.as_array().unwrap()).unwrap().unwrap();
    slot.unwrap(unlock, database_id()).unwrap().expect("the slot was made for this unlock")
}

fn encryption_key() -> Unlock {
    EncryptionKey::from_bytes(count(0x70)).into()
}

fn assert_seals_as(sealer: &dyn Sealer, purpose: Purpose, expected: &[u8]) {
    let mut buffer = PAYLOAD.to_vec();
    sealer.seal(purpose, &salt(), HEADER, &mut buffer, 0).unwrap();
    assert_eq!(buffer, expected);
    assert_eq!(sealer.open(purpose, &salt(), HEADER, &mut buffer).unwrap(), PAYLOAD);
}

#[test]
fn both_slots_lead_to_the_frames_of_one_root_key() {
    for root in [
        root_key(KEY_SLOT, &encryption_key()),
        root_key(PASSPHRASE_SLOT, &Unlock::passphrase("correct horse")),
    ] {
        let sealer = Aes256GcmSealer::new(&root, database_id());
        assert_seals_as(&sealer, Purpose::LogFrame, &hex(LOG_FRAME));
        assert_seals_as(&sealer, Purpose::CheckpointFrame, &hex(CHECKPOINT_FRAME));
    }
}

#[test]
fn a_retired_root_key_opens_under_the_one_of_now() {
    let entry = RetiredKey::decode(hex(RETIRED_KEY).as_array().unwrap()).unwrap();
    assert_eq!(entry.until(), 9000);
    let retired = entry.unwrap(&root_key(KEY_SLOT, &encryption_key()), database_id()).unwrap();
    let sealer = Aes256GcmSealer::new(&retired, database_id());
    assert_eq!(sealer.authenticate(HEADER).to_hex(), RETIRED_HEADER_CODE);
}

#[test]
fn header_code_is_an_hmac_under_a_key_of_its_own() {
    let sealer = Aes256GcmSealer::new(&root_key(KEY_SLOT, &encryption_key()), database_id());
    assert_eq!(sealer.authenticate(HEADER).to_hex(), HEADER_CODE);
}

#[test]
fn without_a_key_tags_and_header_codes_are_sha256() {
    let sealer = PlaintextSealer::new(database_id());
    for (purpose, tag) in
        [(Purpose::LogFrame, PLAINTEXT_LOG_TAG), (Purpose::CheckpointFrame, PLAINTEXT_CHECKPOINT_TAG)]
    {
        assert_seals_as(&sealer, purpose, &[PAYLOAD, &hex(tag)].concat());
    }
    assert_eq!(sealer.authenticate(HEADER).to_hex(), PLAINTEXT_HEADER_CODE);
}

#[test]
fn origin_leaf_hashes_id_and_root_behind_a_two() {
    assert_eq!(merkle::origin_leaf(database_id(), &Digest::ZERO).to_hex(), ORIGIN_LEAF);
}
