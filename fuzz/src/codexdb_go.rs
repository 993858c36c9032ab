//! Files of the original Go program, as `codex import --from codexdb-go` reads them.

use codex_cli::input::{GoChange, GoChanges, Line, Stream, codexdb_go, exported, lines};
use sha2::{Digest as _, Sha256};

/// The first byte chooses a key (`KEY`; its first 24, its first 16 bytes; none) and whether the rest is a whole file, or a
/// ledger's body, which is put into a frame with the right length and checksum.
pub fn run(input: &[u8]) {
    let Some((&flags, rest)) = input.split_first() else { return };
    let key = [None, Some(&KEY[..16]), Some(&KEY[..24]), Some(KEY)][usize::from(flags & 3)];
    let file = if flags & FRAMED == 0 { rest.to_vec() } else { frame(rest) };

    let Some((changes, fault)) = read(&file, key) else { return };
    let (again, fault_again) = read(&file, key).expect("its form was known");
    assert!(changes == again, "a file is read twice, and must be the same");
    assert_eq!(fault.as_ref().map(ToString::to_string), fault_again.as_ref().map(ToString::to_string));
    for change in &changes {
        if let GoChange::Set(key, codec, value) = change {
            assert!(value.len() <= (file.len() << 10) + (1 << 20), "more than the file accounts for");
            let line = Line { key: key.clone(), value: Some((*codec, value.clone())), expires_unix_ms: None };
            let text = exported(&line).expect("a vector takes all");
            let (read, fault) = lines(&text, Stream::Records);
            let is_storable = (1..=codex::KEY_LEN_MAX).contains(&key.len());
            assert_eq!(fault.is_none(), is_storable, "what is imported can be exported");
            assert!(!is_storable || read == [line], "and is the same then");
        }
    }
    if fault.is_none()
        && let Some((last, cut)) = file.split_last()
        && let Some((fewer, None)) = read(cut, key)
    {
        assert!(fewer != changes || last.is_ascii_whitespace(), "what is cut is missed");
    }
}

fn read(file: &[u8], key: Option<&[u8]>) -> Option<GoChanges> {
    codexdb_go(file.to_vec(), key).ok()
}

fn frame(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 32).expect("the fuzzer's inputs are short");
    [&len.to_be_bytes(), &Sha256::digest(body)[..], body].concat()
}

/// The key of the project's samples.
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The rest of the input is the body of a ledger's only frame.
const FRAMED: u8 = 4;
