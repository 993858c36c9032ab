//! Heads and proofs as somebody sends them.

use std::path::Path;
use std::sync::LazyLock;

use codex::proof::{CommitProof, ContinuationProof, HeadNote, LogHead};
use codex_crypto::Digest;
use codex_crypto::merkle::leaf_hash;
use codex_storage::SequenceNumber;
use codex_storage::vfs::sim::SimVfs;

use crate::image::{self, COMMITS, PATH};

/// Written by `examples/make_seeds.rs`, with the proofs that are this target's seeds.
const LEDGER: &[u8] = include_bytes!("../images/ledger.db");

/// A log that proofs may be about, as whoever checks them knows it.
struct Known {
    /// Of each size, from 0.
    heads: Vec<LogHead>,
    leaves: Vec<Digest>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let disk = SimVfs::new(0);
    disk.write_file(Path::new(PATH), LEDGER).expect("the disk is not full");
    let database = image::open_read_only(&disk, false).expect("the image is whole");
    let size = database.log_head().size;
    let head = |to| database.prove_consistency(0, to).expect("the log was that long").1;
    let commits =
        (1..=COMMITS).map(|sequence| database.prove(SequenceNumber(sequence)).expect("it is there"));
    let mut leaves = vec![Digest::ZERO; usize::try_from(size).expect("a small image")];
    for proof in commits {
        leaves[usize::try_from(proof.inclusion.index).expect("in the log")] = leaf_hash(&[&proof.frame]);
    }
    Known { heads: (0..=size).map(head).collect(), leaves }
});

/// The input is the text, if it is one. Each form reads back as it was, and what holds of the known log is true.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(head) = text.parse::<HeadNote>() {
        assert!(head.to_string() == text, "a head is written in one way");
    }
    let known = |head: LogHead| KNOWN.heads.contains(&head);
    if let Ok(proof) = text.parse::<CommitProof>() {
        assert!(proof.to_string() == text, "a proof is written in one way");
        let holds = proof.verify().is_ok();
        if holds && known(proof.head().head()) {
            let index = usize::try_from(proof.inclusion().index).expect("in the log");
            assert_eq!(leaf_hash(&[proof.frame()]), KNOWN.leaves[index], "no other frame is in the log");
        }
    }
    if let Ok(proof) = text.parse::<ContinuationProof>() {
        assert!(proof.to_string() == text, "a proof is written in one way");
        let (from, head) = (proof.consistency().from, proof.head().head());
        for older in &KNOWN.heads {
            let holds = proof.verify(*older).is_ok();
            // Whoever makes a head can make one that continues any other; but none of a log that was this long before.
            assert!(!holds || older.size == from && (known(head) || head.size > older.size));
        }
    }
}
