//! The two header copies: choosing, decoding and authenticating them.

use codex_crypto::PlaintextSealer;
use codex_storage::format::header::{self, BLOCK_LEN, Block, Header, NoChoice};

use crate::repair;

/// The first byte says which of the two blocks behind it gets a code and a checksum that are right; what is missing of
/// them is zeros.
pub fn run(input: &[u8]) {
    let (flags, rest) = input.split_first().unwrap_or((&0, &[]));
    let mut blocks = [[0; BLOCK_LEN]; 2];
    for (index, (block, source)) in blocks.iter_mut().zip(rest.chunks(BLOCK_LEN)).enumerate() {
        block[..source.len()].copy_from_slice(source);
        if flags & 1 << index != 0 {
            repair::header(block);
        }
    }
    let copies: Vec<Option<Header>> = blocks.iter().map(checked).collect();
    match header::choose(&blocks) {
        Ok(choice) => {
            assert_eq!(copies[choice.index].as_ref(), Some(&choice.header), "a copy that decodes is chosen");
            if let Some(other) = &copies[1 - choice.index] {
                assert!(other.generation <= choice.header.generation, "never the older copy");
                assert_eq!(choice.other_is_stale, other.generation < choice.header.generation);
            } else {
                assert!(choice.other_is_stale, "a damaged copy is reported");
            }
        }
        Err(NoChoice::NotADatabase | NoChoice::Version(_) | NoChoice::Damaged(_)) => {
            if let [Some(first), Some(second)] = &copies[..] {
                let of_two_databases =
                    (first.id, first.suite, first.mode) != (second.id, second.suite, second.mode);
                assert!(
                    of_two_databases || first.generation == second.generation && blocks[0] != blocks[1],
                    "two copies that decode are refused only where nothing tells which one counts"
                );
            }
        }
    }
}

/// The header in a block that decodes; encoding it gives the same block.
fn checked(block: &Block) -> Option<Header> {
    let header = Header::decode(block).ok()?;
    let sealer = PlaintextSealer::new(header.id);
    let mut recoded = *block;
    repair::header(&mut recoded);
    assert!(header.encode(&sealer) == recoded, "what is decoded is encoded to the same bytes");
    let right = block[..] == recoded[..];
    assert_eq!(header::authenticate(block, &sealer).is_ok(), right, "the code is right, or it is refused");
    Some(header)
}
