//! The format document against bytes, and databases of this format version, which every later program must read.

use std::fs;
use std::path::{Path, PathBuf};

use codex::{EncryptionKey, Mode, Options, Store};
use sha2::{Digest, Sha256};

const FORMAT: &str = include_str!("../../../docs/file-format.md");
const LEDGER: &[u8] = include_bytes!("vectors/plaintext_ledger.db");

/// Offset and bytes of each line of the worked example.
fn example() -> Vec<(usize, Vec<u8>)> {
    let (_, section) = FORMAT.split_once("## Worked example").expect("the section");
    let (_, block) = section.split_once("```text\n").expect("its block");
    let (block, _) = block.split_once("```").expect("the block's end");
    block
        .lines()
        .map(|line| {
            let (offset, rest) = line.split_once("  ").expect("an offset, then bytes");
            let bytes = rest.split("  ").next().expect("bytes").split(' ');
            let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal")).collect();
            (usize::from_str_radix(offset, 16).expect("hexadecimal"), bytes)
        })
        .collect()
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().to_vec()
}

/// The beginning of the example's file, with zeros in one range.
fn header_without(zeros: std::ops::Range<usize>) -> Vec<u8> {
    let mut block = LEDGER[..0x1000].to_vec();
    block[zeros].fill(0);
    block
}

#[test]
fn the_worked_example_is_the_file_to_the_last_byte() {
    let mut shown = vec![0; LEDGER.len()];
    for (offset, bytes) in example() {
        shown[offset..offset + bytes.len()].copy_from_slice(&bytes);
    }
    let (copy, second) = shown.split_at_mut(0x1000);
    second[..0x1000].copy_from_slice(copy);
    assert_eq!(shown, LEDGER);
}

#[test]
fn the_worked_example_is_computed_as_the_page_says() {
    let id = &LEDGER[0x60..0x70];
    let leaf = |frame: &[u8]| sha256(&[&[0], frame]);
    let (first, second) = (&LEDGER[0x2000..0x20a7], &LEDGER[0x20a7..0x2152]);
    assert_eq!(LEDGER[0x30..0x50], sha256(&[b"codexdb/1 header", id, &header_without(0x10..0x50)]));
    assert_eq!(LEDGER[0x10..0x30], sha256(&[&header_without(0x10..0x30)]));
    assert_eq!(LEDGER[0x2030..0x2050], sha256(&[&[2], id, &[0; 32]]));
    assert_eq!(LEDGER[0x2070..0x2080], sha256(&[id, &LEDGER[0x2000..0x2070]])[..16]);
    let tag = sha256(&[b"codexdb/1 log frame", id, &LEDGER[0x2000..0x2080], &LEDGER[0x2080..0x2087]]);
    assert_eq!(LEDGER[0x2087..0x20a7], tag);
    assert_eq!(LEDGER[0x20d7..0x20f7], leaf(first));
    assert_eq!(LEDGER[0x80..0xa0], sha256(&[&[1], &leaf(first), &leaf(second)]));
}

/// A copy of a kept database in a folder of its own.
fn kept(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name), &path).expect("a copy");
    (folder, path)
}

fn goes_on(store: &Store, sequence: u64) {
    store.verify().expect("it verifies");
    let commit = store.commit(codex::Batch::new()).expect("an empty batch");
    assert_eq!(commit.sequence, sequence);
    store.set("more", &true).expect("it goes on");
    store.close().expect("it closes");
}

#[test]
fn opens_a_plaintext_ledger_of_format_1() {
    let (_folder, path) = kept("plaintext_ledger.db");
    let store = Options::new().mode(Mode::Ledger).create(false).open(&path).expect("it opens");
    assert_eq!(store.head().size, 2);
    assert_eq!(store.head().root, LEDGER[0x80..0xa0]);
    assert_eq!(store.get_bytes("b").expect("raw").as_deref(), Some(&[1, 2][..]));
    assert_eq!(store.len(), 1);
    goes_on(&store, 2);
}

#[test]
fn opens_encrypted_databases_of_format_1() {
    for (name, mode) in [("encrypted_ledger.db", Mode::Ledger), ("encrypted_snapshot.db", Mode::Snapshot)] {
        let (_folder, path) = kept(name);
        let key = EncryptionKey::from_bytes([7; 32]);
        let options = Options::new().mode(mode).create(false).encryption_key(key);
        let store = options.open(&path).expect("it opens");
        assert_eq!(store.keys().expect("keys"), [&b"after"[..], b"b", b"bincode", b"long"]);
        assert_eq!(store.get::<String>("long").expect("compressed JSON"), Some("0123456789".repeat(50)));
        assert_eq!(store.get::<(u32, String)>("bincode").expect("bincode"), Some((1, "x".into())));
        assert_eq!(store.get_bytes("after").expect("raw").as_deref(), Some(&b"1"[..]));
        goes_on(&store, 5);
    }
}
