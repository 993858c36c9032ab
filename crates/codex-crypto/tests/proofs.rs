//! Proofs against what others have published: the reference tree of Certificate Transparency with its proofs (the
//! tests of `transparency-dev/merkle`, and of `certificate-transparency` before it), and the wrong proofs that they are
//! held against.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use std::convert::Infallible;

use codex_crypto::merkle::leaf_hash;
use codex_crypto::proof::FullSubtree;
use codex_crypto::{ConsistencyProof, Digest, Frontier, InclusionProof, ProofError, sha256};

const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
/// Leaf (from 0), size, hashes.
const INCLUSIONS: [(u64, u64, &[&str]); 5] = [
    (0, 1, &[]),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];
/// Older size, newer size, hashes.
const CONSISTENCIES: [(u64, u64, &[&str]); 5] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

fn hex(text: &str) -> Vec<u8> {
    base16ct::lower::decode_vec(text).unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::from_bytes(hex(text).try_into().unwrap())
}

fn root(size: u64) -> Digest {
    digest(ROOTS[usize::try_from(size).unwrap() - 1])
}

fn leaf(index: u64) -> Digest {
    leaf_hash(&[&hex(LEAVES[usize::try_from(index).unwrap()])])
}

/// The hash of a full subtree of the reference tree, folded from its leaves.
fn subtree(subtree: FullSubtree) -> Digest {
    let first = subtree.position << subtree.height;
    let mut frontier = Frontier::new();
    (first..first + (1 << subtree.height)).for_each(|index| frontier.append(leaf(index)));
    frontier.root()
}

#[test]
fn published_inclusion_proofs_are_what_we_build_and_verify() {
    for (index, size, hashes) in INCLUSIONS {
        let hashes: Vec<_> = hashes.iter().map(|hash| digest(hash)).collect();
        let proof = InclusionProof { index, size, hashes };
        assert_eq!(proof.verify(&leaf(index), &root(size)), Ok(()), "{proof:?}");
        let Ok(built) = InclusionProof::build(index, size, |full| Ok::<_, Infallible>(subtree(full)));
        assert_eq!(built, proof);
    }
}

#[test]
fn published_consistency_proofs_are_what_we_build_and_verify() {
    for (from, to, hashes) in CONSISTENCIES {
        let hashes: Vec<_> = hashes.iter().map(|hash| digest(hash)).collect();
        let proof = ConsistencyProof { from, to, hashes };
        assert_eq!(proof.verify(&root(from), &root(to)), Ok(()), "{proof:?}");
        let Ok(built) = ConsistencyProof::build(from, to, |full| Ok::<_, Infallible>(subtree(full)));
        assert_eq!(built, proof);
    }
}

/// The ways of going wrong that the published tests try on each of their proofs.
#[test]
fn no_published_corruption_of_an_inclusion_proof_verifies() {
    let (empty, some) = (sha256(&[]), sha256(&[b"some"]));
    for (index, size, hashes) in INCLUSIONS {
        let hashes: Vec<_> = hashes.iter().map(|hash| digest(hash)).collect();
        let (leaf, root) = (leaf(index), root(size));
        let refused = |index, size, hashes: Vec<Digest>, leaf: &Digest, root: &Digest| {
            let proof = InclusionProof { index, size, hashes };
            assert!(proof.verify(leaf, root).is_err(), "{proof:?}");
        };
        for index in [index.wrapping_sub(1), index + 1, index ^ 2] {
            refused(index, size, hashes.clone(), &leaf, &root);
        }
        for size in [size * 2, size / 2] {
            refused(index, size, hashes.clone(), &leaf, &root);
        }
        refused(index, size, hashes.clone(), &some, &root);
        refused(index, size, hashes.clone(), &leaf, &empty);
        refused(index, size, hashes.clone(), &leaf, &some);
        refused(index, size, [&hashes[..], &[root]].concat(), &leaf, &root);
        refused(index, size, [&[root], &hashes[..]].concat(), &leaf, &root);
        for at in 0..hashes.len() {
            let mut flipped = hashes.clone();
            let mut bytes = *flipped[at].as_bytes();
            bytes[0] ^= 8;
            flipped[at] = Digest::from_bytes(bytes);
            refused(index, size, flipped, &leaf, &root);
        }
        if let Some((last, rest)) = hashes.split_last() {
            refused(index, size, rest.to_vec(), &leaf, &root);
            refused(index, size, [rest, &[some, *last]].concat(), &leaf, &root);
        }
    }
}

#[test]
fn no_published_corruption_of_a_consistency_proof_verifies() {
    for (from, to, hashes) in &CONSISTENCIES[1..] {
        let hashes: Vec<_> = hashes.iter().map(|hash| digest(hash)).collect();
        let (older, newer) = (root(*from), root(*to));
        let refused = |from, to, hashes: Vec<Digest>, older: &Digest, newer: &Digest| {
            let proof = ConsistencyProof { from, to, hashes };
            assert!(proof.verify(older, newer).is_err(), "{proof:?}");
        };
        for from in [from - 1, from + 1, from ^ 2] {
            refused(from, *to, hashes.clone(), &older, &newer);
        }
        for to in [to * 2, to / 2] {
            refused(*from, to, hashes.clone(), &older, &newer);
        }
        refused(*from, *to, hashes.clone(), &newer, &older);
        refused(*from, *to, Vec::new(), &older, &newer);
        for garbage in [older, newer, hashes[0]] {
            refused(*from, *to, [&hashes[..], &[garbage]].concat(), &older, &newer);
            refused(*from, *to, [&[garbage], &hashes[..]].concat(), &older, &newer);
        }
        refused(*from, *to, hashes[..hashes.len() - 1].to_vec(), &older, &newer);
        for at in 0..hashes.len() {
            let mut flipped = hashes.clone();
            let mut bytes = *flipped[at].as_bytes();
            bytes[0] ^= 16;
            flipped[at] = Digest::from_bytes(bytes);
            refused(*from, *to, flipped, &older, &newer);
        }
    }
}

#[test]
fn sizes_that_need_no_proof_take_none() {
    let (empty, some) = (sha256(&[]), sha256(&[b"some"]));
    let verify =
        |from, to, hashes, older, newer| ConsistencyProof { from, to, hashes }.verify(&older, &newer);
    assert_eq!(verify(0, 0, vec![], empty, empty), Ok(()));
    assert_eq!(verify(0, 1, vec![], empty, some), Ok(()));
    assert_eq!(verify(1, 1, vec![], some, some), Ok(()));
    for size in [0, 1] {
        assert_eq!(verify(size, size, vec![], empty, some), Err(ProofError::OlderRoot));
        assert_eq!(verify(size, size, vec![], some, empty), Err(ProofError::OlderRoot));
    }
    assert_eq!(verify(2, 1, vec![], some, some), Err(ProofError::Backwards { from: 2, to: 1 }));
    assert_eq!(verify(1, 2, vec![], some, some), Err(ProofError::TooFewHashes { size: 2 }));
    for (from, to) in [(0, 0), (0, 1), (1, 1)] {
        let error = ProofError::TooManyHashes { size: to };
        assert_eq!(verify(from, to, vec![empty], empty, empty), Err(error));
    }
}
