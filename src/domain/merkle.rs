//! A Merkle tree over sorted leaves: one hash that stands for all of them, and short proofs that one of them is in it. As RFC 6962, section 2.1,
//! which certificate transparency uses, so that its verifiers work here, too.

use std::fmt;

use sha2::{Digest, Sha256};

use super::id::{hex, unhex};

/// The prefix of what a leaf's hash is made of.
const LEAF: u8 = 0;
/// The prefix of what an inner node's hash is made of.
const NODE: u8 = 1;

/// The hash of a leaf, of an inner node or of a whole tree: SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHash([u8; 32]);

impl NodeHash {
    /// The hash of a leaf: SHA-256 of a zero byte and its text.
    pub fn of_leaf(text: &str) -> Self {
        Self(Sha256::new().chain_update([LEAF]).chain_update(text.as_bytes()).finalize().into())
    }

    /// The hash of the node over two others: SHA-256 of a one byte and both.
    fn over(left: Self, right: Self) -> Self {
        Self(Sha256::new().chain_update([NODE]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// Reads the hexadecimal form; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of the tree over these leaves, in their order. Of no leaves it is the SHA-256 of nothing.
pub fn root(leaves: &[NodeHash]) -> NodeHash {
    match leaves {
        [] => NodeHash(Sha256::digest([]).into()),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(left_of(more.len()));
            NodeHash::over(root(left), root(right))
        }
    }
}

/// The nodes beside the way from a leaf up to the root, the lowest first; `None` where there is no such leaf.
pub fn path(leaves: &[NodeHash], index: usize) -> Option<Vec<NodeHash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut some, mut index, mut path) = (leaves, index, Vec::new());
    while some.len() > 1 {
        let (left, right) = some.split_at(left_of(some.len()));
        if index < left.len() {
            path.push(root(right));
            some = left;
        } else {
            path.push(root(left));
            index -= left.len();
            some = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The root that follows from a leaf at this index, of so many, and the nodes beside its way; `None` where these do not fit.
pub fn root_from(leaf: NodeHash, index: usize, count: usize, path: &[NodeHash]) -> Option<NodeHash> {
    if index >= count {
        return None;
    }
    // The sides on which the way lies, the highest first.
    let (mut sides, mut index, mut count) = (Vec::new(), index, count);
    while count > 1 {
        let left = left_of(count);
        let is_left = index < left;
        sides.push(is_left);
        (index, count) = if is_left { (index, left) } else { (index - left, count - left) };
    }
    if sides.len() != path.len() {
        return None;
    }
    let up = sides.iter().rev().zip(path);
    Some(up.fold(leaf, |at, (is_left, beside)| match is_left {
        true => NodeHash::over(at, *beside),
        false => NodeHash::over(*beside, at),
    }))
}

/// How many of so many leaves, at least two, are under the left one of a node's two: the largest power of two that is less.
fn left_of(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<NodeHash> {
        (0..count).map(|number| NodeHash::of_leaf(&number.to_string())).collect()
    }

    #[test]
    fn trees_are_those_of_rfc_6962() {
        // The tree over the entries of the reference implementation's tests (google/certificate-transparency, merkletree).
        let entries =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let leaf = |text: &str| {
            let bytes = unhex(text).unwrap();
            NodeHash(Sha256::new().chain_update([LEAF]).chain_update(bytes).finalize().into())
        };
        let hashes: Vec<NodeHash> = entries.iter().map(|text| leaf(text)).collect();
        let roots = [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ];
        for (count, expected) in roots {
            assert_eq!(root(&hashes[..count]).to_string(), expected, "{count}");
        }
    }

    proptest! {
        #[test]
        fn each_leaf_is_proven_and_no_other(count in 1..70usize, at: prop::sample::Index, other: prop::sample::Index) {
            let all = leaves(count);
            let (at, other) = (at.index(count), other.index(count));
            let proof = path(&all, at).unwrap();
            prop_assert!(proof.len() <= 7);
            prop_assert_eq!(root_from(all[at], at, count, &proof), Some(root(&all)));
            if other != at {
                prop_assert_ne!(root_from(all[other], at, count, &proof), Some(root(&all)));
                prop_assert_ne!(root_from(all[at], other, count, &proof), Some(root(&all)));
            }
            prop_assert_eq!(root_from(all[at], count, count, &proof), None);
            prop_assert_eq!(path(&all, count), None);
            let mut longer = proof;
            longer.push(all[0]);
            prop_assert_eq!(root_from(all[at], at, count, &longer), None);
        }

        #[test]
        fn a_tree_of_other_leaves_is_another(count in 1..40usize, at: prop::sample::Index) {
            let all = leaves(count);
            let mut changed = all.clone();
            changed[at.index(count)] = NodeHash::of_leaf("other");
            prop_assert_ne!(root(&changed), root(&all));
            prop_assert_ne!(root(&all[..count - 1]), root(&all));
        }
    }
}
