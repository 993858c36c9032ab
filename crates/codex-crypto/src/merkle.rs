//! The Merkle log of RFC 9162, section 2.1, over SHA-256.
//!
//! Leaves and nodes are hashed as that standard says, so published test vectors and verifiers
//! apply. Leaves hash ciphertext: a head can be computed and compared without any key, and tells
//! nothing about the data.

use crate::{DatabaseId, Digest, FrontierError, sha256};

/// The hash of a leaf that holds these parts, one after the other.
#[must_use]
pub fn leaf_hash(parts: &[&[u8]]) -> Digest {
    let mut prefixed = Vec::with_capacity(parts.len() + 1);
    prefixed.push(LEAF_PREFIX);
    prefixed.extend_from_slice(parts);
    sha256(&prefixed)
}

/// The hash of the node over two subtrees.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[NODE_PREFIX, left.as_bytes(), right.as_bytes()])
}

/// What the first frame of a file names as the leaf before it: the id of the database, and the last
/// root of the file that this one replaced, or [`Digest::ZERO`] if there was none. Its prefix is
/// neither that of a leaf nor that of a node.
#[must_use]
pub fn origin_leaf(id: DatabaseId, replaced_root: &Digest) -> Digest {
    sha256(&[ORIGIN_PREFIX, id.as_bytes(), replaced_root.as_bytes()])
}

/// What must be kept of a growing tree to go on appending and to know its root: the roots of its
/// full subtrees, one for each bit that is set in its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first.
    subtrees: Vec<Digest>,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, given by its hash, behind the others.
    pub fn append(&mut self, leaf: Digest) {
        // Appending is adding one to the size: where the carry passes, a full subtree is doubled.
        let kept = self.subtrees.len() - self.size.trailing_ones() as usize;
        let doubled = self.subtrees.drain(kept..).rev();
        let root = doubled.fold(leaf, |right, left| node_hash(&left, &right));
        self.subtrees.push(root);
        self.size += 1;
    }

    /// The root of the tree. Without leaves: SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let from_the_right = self.subtrees.iter().rev().copied();
        from_the_right.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| sha256(&[]))
    }

    /// The frontier as bytes: the size (`u64`, little-endian), then the digests of the full
    /// subtrees, largest first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.size.to_le_bytes().to_vec();
        for subtree in &self.subtrees {
            bytes.extend_from_slice(subtree.as_bytes());
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else: the number of digests must fit
    /// the size, and no byte may follow.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrontierError> {
        let (size, digests) = bytes.split_first_chunk().ok_or(FrontierError::NoSize { got: bytes.len() })?;
        let size = u64::from_le_bytes(*size);
        if size > SIZE_MAX {
            return Err(FrontierError::SizeTooLarge { size });
        }
        let (subtrees, rest) = digests.as_chunks();
        let full_subtrees = size.count_ones() as usize;
        if subtrees.len() != full_subtrees || !rest.is_empty() {
            let expected = size_of::<u64>() + full_subtrees * Digest::LEN;
            return Err(FrontierError::Length { size, expected, got: bytes.len() });
        }
        Ok(Self { size, subtrees: subtrees.iter().copied().map(Digest::from_bytes).collect() })
    }
}

const LEAF_PREFIX: &[u8] = &[0];
const NODE_PREFIX: &[u8] = &[1];
const ORIGIN_PREFIX: &[u8] = &[2];

// So that the size of a frontier read from a file does not overflow, however long the log goes on.
const SIZE_MAX: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        base16ct::lower::decode_vec(text).unwrap()
    }

    /// Leaves and roots of the reference tree of Certificate Transparency (RFC 6962, whose tree is
    /// that of RFC 9162), as its published test data has them.
    const REFERENCE_LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const REFERENCE_ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// The definition in RFC 9162, section 2.1.1, word for word.
    fn tree_hash(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => sha256(&[]),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&tree_hash(&leaves[..split]), &tree_hash(&leaves[split..]))
            }
        }
    }

    fn numbered_leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(&[&number.to_le_bytes()])).collect()
    }

    fn frontier_of(leaves: &[Digest]) -> Frontier {
        let mut frontier = Frontier::new();
        for leaf in leaves {
            frontier.append(*leaf);
        }
        frontier
    }

    #[test]
    fn root_follows_the_reference_tree() {
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root().to_hex(), REFERENCE_ROOTS[0]);
        for (leaf, root) in REFERENCE_LEAVES.iter().zip(&REFERENCE_ROOTS[1..]) {
            frontier.append(leaf_hash(&[&hex(leaf)]));
            assert_eq!(frontier.root().to_hex(), *root, "with {} leaves", frontier.size());
        }
    }

    #[test]
    fn root_is_that_of_the_definition_at_every_size() {
        let leaves = numbered_leaves(300);
        let mut frontier = Frontier::new();
        for size in 0..leaves.len() {
            assert_eq!(frontier.root(), tree_hash(&leaves[..size]), "with {size} leaves");
            assert_eq!(frontier.size(), u64::try_from(size).unwrap());
            frontier.append(leaves[size]);
        }
    }

    #[test]
    fn decoded_frontier_goes_on_like_the_encoded_one() {
        let leaves = numbered_leaves(70);
        for size in 0..leaves.len() {
            let frontier = frontier_of(&leaves[..size]);
            let mut decoded = Frontier::decode(&frontier.encode()).unwrap();
            assert_eq!(decoded, frontier);
            for leaf in &leaves[size..] {
                decoded.append(*leaf);
            }
            assert_eq!(decoded.root(), tree_hash(&leaves), "decoded at {size} leaves");
        }
    }

    #[test]
    fn encoding_is_the_size_then_the_largest_subtree_first() {
        let leaves = numbered_leaves(3);
        let mut expected = vec![3, 0, 0, 0, 0, 0, 0, 0];
        expected.extend_from_slice(node_hash(&leaves[0], &leaves[1]).as_bytes());
        expected.extend_from_slice(leaves[2].as_bytes());
        assert_eq!(frontier_of(&leaves).encode(), expected);
    }

    #[test]
    fn decode_takes_the_exact_length_only() {
        let bytes = frontier_of(&numbered_leaves(5)).encode();
        for got in 0..bytes.len() {
            let expected = if got < 8 {
                FrontierError::NoSize { got }
            } else {
                FrontierError::Length { size: 5, expected: bytes.len(), got }
            };
            assert_eq!(Frontier::decode(&bytes[..got]), Err(expected));
        }
        for extra in [1, Digest::LEN] {
            let longer = [&bytes[..], &vec![0; extra]].concat();
            let (expected, got) = (bytes.len(), bytes.len() + extra);
            let error = FrontierError::Length { size: 5, expected, got };
            assert_eq!(Frontier::decode(&longer), Err(error));
        }
    }

    #[test]
    fn decode_refuses_a_size_that_could_overflow() {
        for size in [SIZE_MAX + 1, u64::MAX] {
            let subtrees = usize::try_from(size.count_ones()).unwrap();
            let bytes = [&size.to_le_bytes()[..], &vec![0; subtrees * Digest::LEN]].concat();
            assert_eq!(Frontier::decode(&bytes), Err(FrontierError::SizeTooLarge { size }));
        }
        let bytes = [&SIZE_MAX.to_le_bytes()[..], &[0; Digest::LEN]].concat();
        let mut largest = Frontier::decode(&bytes).unwrap();
        largest.append(Digest::ZERO);
        assert_eq!(largest.size(), SIZE_MAX + 1);
    }

    #[test]
    fn leaf_hash_ignores_where_parts_end() {
        assert_eq!(leaf_hash(&[b"he", b"ad", b""]), leaf_hash(&[b"head"]));
    }

    #[test]
    fn leaf_node_and_origin_hash_the_same_bytes_differently() {
        let id = DatabaseId::from_bytes([7; 16]);
        let (left, right) = (Digest::from_bytes([7; 32]), Digest::from_bytes([8; 32]));
        assert_ne!(leaf_hash(&[left.as_bytes(), right.as_bytes()]), node_hash(&left, &right));
        assert_ne!(leaf_hash(&[id.as_bytes(), right.as_bytes()]), origin_leaf(id, &right));
    }
}
