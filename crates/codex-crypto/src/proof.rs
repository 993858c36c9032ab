//! Proofs over the Merkle log (RFC 9162, sections 2.1.3 and 2.1.4): that a leaf is in a tree, and that one tree is
//! the beginning of another.
//!
//! Verifying takes the proof, the leaf and the roots, and nothing else: no file, no key. Proving takes the hashes of
//! full subtrees, from wherever they are kept; both are logarithmic in the size of the tree.

use std::ops::Range;

use crate::merkle::{Frontier, node_hash};
use crate::{Digest, ProofError};

/// More hashes than any proof has: a tree of 2^62 leaves has 62 levels, and a consistency proof one hash more.
pub const PROOF_HASHES_MAX: usize = 64;

/// That a leaf is in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Which leaf, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// From the leaf's sibling up to the child of the root.
    pub hashes: Vec<Digest>,
}

/// That a tree is the beginning of a larger one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// How many leaves the older tree has.
    pub from: u64,
    /// How many leaves the newer tree has.
    pub to: u64,
    /// In the order of RFC 9162.
    pub hashes: Vec<Digest>,
}

/// A subtree whose leaves are all there: `2^height` of them, from leaf `position * 2^height` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullSubtree {
    /// 0 for a leaf.
    pub height: u32,
    /// From the left, among those of its height.
    pub position: u64,
}

impl InclusionProof {
    /// The proof for leaf `index` in the tree of the first `size` leaves, which has it; `subtree` gives the hashes of
    /// full subtrees within those leaves.
    pub fn build<E>(
        index: u64,
        size: u64,
        mut subtree: impl FnMut(FullSubtree) -> Result<Digest, E>,
    ) -> Result<Self, E> {
        assert!(index < size, "the tree has the leaf");
        let mut within = 0..size;
        let mut hashes = Vec::new();
        while within.end - within.start > 1 {
            let split = split(&within);
            let (with, sibling) = if index < split {
                (within.start..split, split..within.end)
            } else {
                (split..within.end, within.start..split)
            };
            hashes.push(hash_of(sibling, &mut subtree)?);
            within = with;
        }
        hashes.reverse();
        Ok(Self { index, size, hashes })
    }

    /// Checks that the leaf with this hash is in the tree with this root, at the index and in the size that the proof
    /// names.
    pub fn verify(&self, leaf: &Digest, root: &Digest) -> Result<(), ProofError> {
        if self.index >= self.size {
            return Err(ProofError::IndexOutside { index: self.index, size: self.size });
        }
        // RFC 9162, section 2.1.3.2; the names are its own.
        let (mut f, mut s) = (self.index, self.size - 1);
        let mut reached = *leaf;
        for hash in &self.hashes {
            if s == 0 {
                return Err(ProofError::TooManyHashes { size: self.size });
            }
            if f & 1 == 1 || f == s {
                reached = node_hash(hash, &reached);
                rise_to_right_child(&mut f, &mut s);
            } else {
                reached = node_hash(&reached, hash);
            }
            f >>= 1;
            s >>= 1;
        }
        if s != 0 {
            return Err(ProofError::TooFewHashes { size: self.size });
        }
        if reached == *root { Ok(()) } else { Err(ProofError::NotIncluded) }
    }
}

impl ConsistencyProof {
    /// The proof that the tree of the first `from` leaves is the beginning of that of the first `to`, which are at
    /// least as many; `subtree` gives the hashes of full subtrees within those leaves.
    pub fn build<E>(
        from: u64,
        to: u64,
        mut subtree: impl FnMut(FullSubtree) -> Result<Digest, E>,
    ) -> Result<Self, E> {
        assert!(from <= to, "the older tree is not the larger one");
        let mut within = 0..to;
        let mut hashes = Vec::new();
        // Every tree continues the one without leaves, and there is nothing to show.
        while from > 0 && within.end != from {
            let split = split(&within);
            let (on, aside) = if from <= split {
                (within.start..split, split..within.end)
            } else {
                (split..within.end, within.start..split)
            };
            hashes.push(hash_of(aside, &mut subtree)?);
            within = on;
        }
        // If this is all of the older tree, the verifier has its root.
        if from > 0 && within.start > 0 {
            hashes.push(hash_of(within, &mut subtree)?);
        }
        hashes.reverse();
        Ok(Self { from, to, hashes })
    }

    /// Checks that the tree with the root `from_root` is the beginning of the tree with the root `to_root`, in the
    /// sizes that the proof names.
    pub fn verify(&self, from_root: &Digest, to_root: &Digest) -> Result<(), ProofError> {
        let (from, to) = (self.from, self.to);
        if from > to {
            return Err(ProofError::Backwards { from, to });
        }
        if from == 0 || from == to {
            // Sizes for which RFC 9162 gives no proof, because none is needed.
            if !self.hashes.is_empty() {
                return Err(ProofError::TooManyHashes { size: to });
            }
            let holds =
                (from > 0 || *from_root == Frontier::new().root()) && (from < to || from_root == to_root);
            return if holds { Ok(()) } else { Err(ProofError::OlderRoot) };
        }
        // RFC 9162, section 2.1.4.2.
        let mut hashes = self.hashes.iter();
        let first = if from.is_power_of_two() { Some(from_root) } else { hashes.next() };
        let first = *first.ok_or(ProofError::TooFewHashes { size: to })?;
        let (mut f, mut s) = (from - 1, to - 1);
        let whole = f.trailing_ones();
        f >>= whole;
        s >>= whole;
        let (mut older, mut newer) = (first, first);
        for hash in hashes {
            if s == 0 {
                return Err(ProofError::TooManyHashes { size: to });
            }
            if f & 1 == 1 || f == s {
                older = node_hash(hash, &older);
                newer = node_hash(hash, &newer);
                rise_to_right_child(&mut f, &mut s);
            } else {
                newer = node_hash(&newer, hash);
            }
            f >>= 1;
            s >>= 1;
        }
        if s != 0 {
            return Err(ProofError::TooFewHashes { size: to });
        }
        if older != *from_root {
            return Err(ProofError::OlderRoot);
        }
        if newer == *to_root { Ok(()) } else { Err(ProofError::NewerRoot) }
    }
}

/// The root over the first `size` leaves, from the hashes of full subtrees.
pub fn root_of<E>(size: u64, mut subtree: impl FnMut(FullSubtree) -> Result<Digest, E>) -> Result<Digest, E> {
    if size == 0 { Ok(Frontier::new().root()) } else { hash_of(0..size, &mut subtree) }
}

/// "Until either LSB(fn) is set or fn is 0": past the levels at which the path's node has no sibling.
fn rise_to_right_child(f: &mut u64, s: &mut u64) {
    while *f & 1 == 0 && *f != 0 {
        *f >>= 1;
        *s >>= 1;
    }
}

/// Where the left subtree of these leaves ends: it has as many as the largest power of two below their number.
fn split(leaves: &Range<u64>) -> u64 {
    leaves.start + (leaves.end - leaves.start).next_power_of_two() / 2
}

/// The hash of the tree over these leaves, of which there is at least one. In a tree of RFC 9162 such a range starts at
/// a multiple of its largest full subtree.
fn hash_of<E>(
    leaves: Range<u64>,
    subtree: &mut impl FnMut(FullSubtree) -> Result<Digest, E>,
) -> Result<Digest, E> {
    let mut full = Vec::new();
    let mut start = leaves.start;
    while start < leaves.end {
        let height = (leaves.end - start).ilog2();
        full.push(subtree(FullSubtree { height, position: start >> height })?);
        start += 1 << height;
    }
    let from_the_right = full.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    Ok(from_the_right.expect("there is at least one leaf"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::merkle::leaf_hash;

    fn numbered_leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(&[&number.to_le_bytes()])).collect()
    }

    /// The definitions of RFC 9162, sections 2.1.1, 2.1.3.1 and 2.1.4.1, word for word.
    mod definition {
        use super::*;

        pub(super) fn mth(leaves: &[Digest]) -> Digest {
            match leaves {
                [] => Frontier::new().root(),
                [leaf] => *leaf,
                _ => {
                    let k = leaves.len().next_power_of_two() / 2;
                    node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
                }
            }
        }

        pub(super) fn path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
            if leaves.len() == 1 {
                return Vec::new();
            }
            let k = leaves.len().next_power_of_two() / 2;
            if m < k {
                [path(m, &leaves[..k]), vec![mth(&leaves[k..])]].concat()
            } else {
                [path(m - k, &leaves[k..]), vec![mth(&leaves[..k])]].concat()
            }
        }

        pub(super) fn subproof(m: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
            if m == leaves.len() {
                return if whole { Vec::new() } else { vec![mth(leaves)] };
            }
            let k = leaves.len().next_power_of_two() / 2;
            if m <= k {
                [subproof(m, &leaves[..k], whole), vec![mth(&leaves[k..])]].concat()
            } else {
                [subproof(m - k, &leaves[k..], false), vec![mth(&leaves[..k])]].concat()
            }
        }
    }

    fn subtree_of(leaves: &[Digest]) -> impl Fn(FullSubtree) -> Result<Digest, Infallible> {
        |subtree| {
            let start = usize::try_from(subtree.position << subtree.height).unwrap();
            Ok(definition::mth(&leaves[start..start + (1 << subtree.height)]))
        }
    }

    const SIZE_MAX: usize = 40;

    #[test]
    fn proofs_are_those_of_the_definition_at_every_size() {
        let leaves = numbered_leaves(SIZE_MAX as u64);
        for size in 1..=SIZE_MAX {
            let root = definition::mth(&leaves[..size]);
            assert_eq!(root_of(size as u64, subtree_of(&leaves)), Ok(root));
            for index in 0..size {
                let Ok(proof) = InclusionProof::build(index as u64, size as u64, subtree_of(&leaves));
                assert_eq!(proof.hashes, definition::path(index, &leaves[..size]), "{index} in {size}");
                assert_eq!(proof.verify(&leaves[index], &root), Ok(()));
            }
            for from in 1..=size {
                let Ok(proof) = ConsistencyProof::build(from as u64, size as u64, subtree_of(&leaves));
                assert_eq!(proof.hashes, definition::subproof(from, &leaves[..size], true));
                assert_eq!(
                    proof.verify(&definition::mth(&leaves[..from]), &root),
                    Ok(()),
                    "{from} to {size}"
                );
            }
        }
    }

    #[test]
    fn an_inclusion_proof_holds_for_no_other_leaf_index_size_or_hash() {
        let leaves = numbered_leaves(SIZE_MAX as u64);
        for size in 1..=17_u64 {
            let root = definition::mth(&leaves[..usize::try_from(size).unwrap()]);
            for index in 0..size {
                let Ok(proof) = InclusionProof::build(index, size, subtree_of(&leaves));
                let leaf = leaves[usize::try_from(index).unwrap()];
                assert_eq!(proof.verify(&root, &leaf), Err(ProofError::NotIncluded).or(no_path(&proof)));
                for other in (0..20).filter(|other| *other != index) {
                    let moved = InclusionProof { index: other, ..proof.clone() };
                    moved.verify(&leaf, &root).expect_err("another index");
                }
                for hash in 0..proof.hashes.len() {
                    let mut changed = proof.clone();
                    changed.hashes[hash] = leaf;
                    assert_eq!(changed.verify(&leaf, &root), Err(ProofError::NotIncluded));
                    let mut cut = proof.clone();
                    cut.hashes.remove(hash);
                    assert_eq!(cut.verify(&leaf, &root), Err(ProofError::TooFewHashes { size }));
                }
                let mut longer = proof.clone();
                longer.hashes.push(root);
                assert_eq!(longer.verify(&leaf, &root), Err(ProofError::TooManyHashes { size }));
            }
        }
        let outside = InclusionProof { index: 3, size: 3, hashes: Vec::new() };
        assert_eq!(
            outside.verify(&leaves[0], &leaves[0]),
            Err(ProofError::IndexOutside { index: 3, size: 3 })
        );
    }

    /// In a tree of one leaf the leaf is the root, so that changing one for the other changes nothing.
    fn no_path(proof: &InclusionProof) -> Result<(), ProofError> {
        if proof.hashes.is_empty() { Ok(()) } else { Err(ProofError::NotIncluded) }
    }

    #[test]
    fn a_consistency_proof_holds_for_no_other_size_root_or_hash() {
        let leaves = numbered_leaves(SIZE_MAX as u64);
        let root = |size: u64| definition::mth(&leaves[..usize::try_from(size).unwrap()]);
        for to in 2..=17_u64 {
            for from in 1..to {
                let Ok(proof) = ConsistencyProof::build(from, to, subtree_of(&leaves));
                let (older, newer) = (root(from), root(to));
                assert_eq!(proof.verify(&older, &root(to + 1)), Err(ProofError::NewerRoot));
                let wrong = proof.verify(&root(from + 20), &newer);
                // The older root stands in for a hash where its size is a power of two.
                assert!(matches!(wrong, Err(ProofError::OlderRoot | ProofError::NewerRoot)), "{wrong:?}");
                for hash in 0..proof.hashes.len() {
                    let mut changed = proof.clone();
                    changed.hashes[hash] = Digest::ZERO;
                    let wrong = changed.verify(&older, &newer);
                    assert!(matches!(wrong, Err(ProofError::OlderRoot | ProofError::NewerRoot)), "{wrong:?}");
                    let mut cut = proof.clone();
                    cut.hashes.remove(hash);
                    assert_eq!(cut.verify(&older, &newer), Err(ProofError::TooFewHashes { size: to }));
                }
                let mut longer = proof.clone();
                longer.hashes.push(newer);
                assert_eq!(longer.verify(&older, &newer), Err(ProofError::TooManyHashes { size: to }));
                let backwards = ConsistencyProof { from: to, to: from, ..proof };
                let error = ProofError::Backwards { from: to, to: from };
                assert_eq!(backwards.verify(&newer, &older), Err(error));
            }
        }
    }

    #[test]
    fn a_tree_continues_itself_and_the_one_without_leaves_and_shows_nothing_for_it() {
        let leaves = numbered_leaves(5);
        let (root, empty) = (definition::mth(&leaves), Frontier::new().root());
        for (from, from_root) in [(0, empty), (5, root)] {
            let Ok(proof) = ConsistencyProof::build(from, 5, subtree_of(&leaves));
            assert_eq!(proof, ConsistencyProof { from, to: 5, hashes: Vec::new() });
            assert_eq!(proof.verify(&from_root, &root), Ok(()));
            assert_eq!(proof.verify(&leaves[0], &root), Err(ProofError::OlderRoot));
            let extra = ConsistencyProof { hashes: vec![root], ..proof };
            assert_eq!(extra.verify(&from_root, &root), Err(ProofError::TooManyHashes { size: 5 }));
        }
    }

    #[test]
    fn no_size_or_index_panics() {
        let numbers = [0, 1, 2, 3, 5, 1 << 62, u64::MAX - 1, u64::MAX];
        for a in numbers {
            for b in numbers {
                for count in [0, 1, 2, 63, 64] {
                    let hashes = vec![Digest::ZERO; count];
                    let inclusion = InclusionProof { index: a, size: b, hashes: hashes.clone() };
                    // The one leaf of a tree is its root.
                    let alone = (a, b, count) == (0, 1, 0);
                    assert_eq!(inclusion.verify(&Digest::ZERO, &Digest::ZERO).is_ok(), alone);
                    let consistency = ConsistencyProof { from: a, to: b, hashes };
                    // Equal roots of equal sizes need no proof.
                    let trivial = a == b && a > 0 && count == 0;
                    assert_eq!(consistency.verify(&Digest::ZERO, &Digest::ZERO).is_ok(), trivial);
                }
            }
        }
    }
}
