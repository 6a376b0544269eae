//! Checkpoints of the log: a signed text that stands for the heads of all streams and for all versions of data sets, so that whoever keeps it can
//! tell later whether anything before it was changed, removed or put in. Each names the one before it.
//!
//! The signed text has one line for each of its parts, in this order, each ended by a line feed:
//!
//! ```text
//! permitd checkpoint 1
//! number 7
//! time 2026-12-01T10:00:00.000000Z
//! previous <SHA-256 of the text of checkpoint 6, in hex; `none` for the first>
//! position 1234
//! leaves 52
//! root <root of the Merkle tree over the leaves, in hex>
//! ```

use std::{collections::BTreeMap, fmt, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    chain::ChainHash,
    id::{StreamId, hex, unhex},
    merkle::{self, NodeHash},
};

/// The first line, which names the form.
const FORM: &str = "permitd checkpoint 1";

/// What a signed text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The SHA-256 of the text of the one before it, in hex.
    pub previous: Option<String>,
    /// It covers the commits up to this position.
    pub position: u64,
    /// How many leaves its tree has.
    pub leaves: u64,
    /// The root of the tree.
    pub root: NodeHash,
}

/// Why a text or a leaf is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// A line is not what it has to be.
    #[error("line {line} of the checkpoint is {found:?}, and should be `{expected}`")]
    Line {
        /// Its number.
        line: usize,
        /// What it should be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },
    /// A leaf cannot be read.
    #[error("{0:?} is no leaf of a checkpoint")]
    Leaf(String),
    /// The signature, or the key that it was made with, is none.
    #[error("the {0} cannot be read")]
    Unreadable(&'static str),
    /// The signature is not that of the text by the key.
    #[error("the signature is not that of the text by its key: one of them was changed")]
    Forged,
}

impl fmt::Display for LogCheckpoint {
    /// The text that is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, at, previous, position, leaves, root } = self;
        let previous = previous.as_deref().unwrap_or("none");
        write!(
            f,
            "{FORM}\nnumber {number}\ntime {at:.6}\nprevious {previous}\nposition {position}\nleaves {leaves}\nroot {root}\n"
        )
    }
}

impl LogCheckpoint {
    /// Reads a text, which must be exactly as [`Self::to_string`] writes it.
    ///
    /// # Errors
    /// [`CheckpointError::Line`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.split('\n').collect();
        let wrong = |line: usize, expected| CheckpointError::Line {
            line,
            expected,
            found: lines.get(line - 1).copied().unwrap_or_default().chars().take(80).collect(),
        };
        let value = |line: usize, name: &str, expected| {
            let found = lines.get(line - 1).copied().unwrap_or_default();
            found.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(|| wrong(line, expected))
        };
        let number = |line: usize, name: &str, expected| {
            let digits = value(line, name, expected)?;
            digits
                .parse::<u64>()
                .ok()
                .filter(|number| number.to_string() == digits)
                .ok_or_else(|| wrong(line, expected))
        };
        if lines.first() != Some(&FORM) {
            return Err(wrong(1, FORM));
        }
        let time = "time <moment in UTC, with microseconds>";
        let at: Timestamp = value(3, "time", time)?.parse().map_err(|_| wrong(3, time))?;
        let sum = "previous <SHA-256 in hex, or none>";
        let previous = match value(4, "previous", sum)? {
            "none" => None,
            hash if is_sha256(hash) => Some(hash.to_owned()),
            _ => return Err(wrong(4, sum)),
        };
        let root = "root <SHA-256 in hex>";
        let checkpoint = Self {
            number: number(2, "number", "number <number>")?,
            at,
            previous,
            position: number(5, "position", "position <number>")?,
            leaves: number(6, "leaves", "leaves <number>")?,
            root: NodeHash::parse(value(7, "root", root)?).ok_or_else(|| wrong(7, root))?,
        };
        if lines.len() != 8 || lines.last() != Some(&"") {
            return Err(wrong(8, "the end"));
        }
        // One text for one checkpoint: nothing can be hidden in how it is written.
        if checkpoint.to_string() != text {
            return Err(wrong(3, time));
        }
        Ok(checkpoint)
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The SHA-256 of a signed text, in hex: what the next one names.
pub fn hash_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// The key that checkpoints are signed with: Ed25519, of its own. `Debug` does not show it; it is overwritten on drop.
pub struct CheckpointKey(SigningKey);

impl CheckpointKey {
    /// The key of a seed of random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key, in base64.
    pub fn public(&self) -> String {
        BASE64.encode(self.0.verifying_key().as_bytes())
    }

    /// The signature of a text, in base64.
    pub fn sign(&self, text: &str) -> String {
        BASE64.encode(self.0.sign(text.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointKey(public {})", self.public())
    }
}

/// Whether a signature is that of a text by the key with this public part; both in base64.
///
/// # Errors
/// [`CheckpointError::Forged`] where it is not, [`CheckpointError::Unreadable`] where one of them is none.
pub fn check_signature(text: &str, signature: &str, public: &str) -> Result<(), CheckpointError> {
    fn bytes<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], CheckpointError> {
        let bytes = BASE64.decode(text).map_err(|_| CheckpointError::Unreadable(what))?;
        bytes.try_into().map_err(|_| CheckpointError::Unreadable(what))
    }
    let key = VerifyingKey::from_bytes(&bytes(public, "public key")?);
    let key = key.map_err(|_| CheckpointError::Unreadable("public key"))?;
    let signature = Signature::from_bytes(&bytes(signature, "signature")?);
    key.verify_strict(text.as_bytes(), &signature).map_err(|_| CheckpointError::Forged)
}

/// A leaf of a checkpoint's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointLeaf {
    /// A stream up to and with a commit: `stream <stream> <version> <hash in hex>`.
    Stream(StreamId, u64, ChainHash),
    /// The records of a version of a data set: `dataset <name> <version> <SHA-256 in hex>`, of all records as `format=ndjson` exports them.
    DataSet(String, u64, [u8; 32]),
}

impl fmt::Display for CheckpointLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream, version, hash) => write!(f, "stream {stream} {version} {hash}"),
            Self::DataSet(name, version, digest) => write!(f, "dataset {name} {version} {}", hex(digest)),
        }
    }
}

impl CheckpointLeaf {
    /// Reads a leaf's text.
    ///
    /// # Errors
    /// [`CheckpointError::Leaf`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let read = || {
            let (rest, hash) = text.rsplit_once(' ')?;
            let (named, version) = rest.rsplit_once(' ')?;
            let (kind, name) = named.split_once(' ')?;
            let version = version.parse().ok()?;
            let leaf = match kind {
                "stream" => Self::Stream(StreamId::parse(name).ok()?, version, ChainHash::parse(hash)?),
                "dataset" => Self::DataSet(name.to_owned(), version, unhex(hash)?.try_into().ok()?),
                _ => return None,
            };
            (leaf.to_string() == text).then_some(leaf)
        };
        read().ok_or_else(|| CheckpointError::Leaf(text.chars().take(120).collect()))
    }
}

/// What a checkpoint covers: of each stream the version and hash of its last commit, and of data sets' versions the digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    streams: BTreeMap<StreamId, (u64, ChainHash)>,
    data_sets: BTreeMap<(String, u64), [u8; 32]>,
}

impl Covered {
    /// Adds a leaf, in place of one of the same stream or version.
    pub fn take(&mut self, leaf: CheckpointLeaf) {
        match leaf {
            CheckpointLeaf::Stream(stream, version, hash) => {
                self.streams.insert(stream, (version, hash));
            }
            CheckpointLeaf::DataSet(name, version, digest) => {
                self.data_sets.insert((name, version), digest);
            }
        }
    }

    /// The version and hash of a stream's last commit.
    pub fn head(&self, stream: &StreamId) -> Option<(u64, ChainHash)> {
        self.streams.get(stream).copied()
    }

    /// The streams.
    pub fn streams(&self) -> impl Iterator<Item = &StreamId> {
        self.streams.keys()
    }

    /// Whether it has a version of a data set.
    pub fn has_version(&self, name: &str, version: u64) -> bool {
        self.data_sets.contains_key(&(name.to_owned(), version))
    }

    /// The hashes of the leaves in the order of the tree: data sets by name and version, then streams.
    fn hashes(&self) -> Vec<NodeHash> {
        let mut text = String::new();
        let mut hash = |leaf: &CheckpointLeaf| {
            text.clear();
            // Writing into a text does not fail.
            write!(text, "{leaf}").ok();
            NodeHash::of_leaf(&text)
        };
        let data_sets = self.data_sets.iter();
        let data_sets =
            data_sets.map(|((name, version), digest)| CheckpointLeaf::DataSet(name.clone(), *version, *digest));
        let streams = self.streams.iter();
        let streams = streams.map(|(stream, (version, head))| CheckpointLeaf::Stream(stream.clone(), *version, *head));
        data_sets.chain(streams).map(|leaf| hash(&leaf)).collect()
    }

    /// How many leaves there are, and the root of their tree.
    pub fn root(&self) -> (u64, NodeHash) {
        let hashes = self.hashes();
        (u64::try_from(hashes.len()).unwrap_or(u64::MAX), merkle::root(&hashes))
    }

    /// The proofs that versions of data sets are in the tree.
    pub fn proofs(&self, versions: &[(String, u64)]) -> Vec<LeafProof> {
        let hashes = self.hashes();
        let proof = |(index, (name, version, digest)): (usize, (&String, u64, [u8; 32]))| {
            let path = merkle::path(&hashes, index)?;
            let leaf = CheckpointLeaf::DataSet(name.clone(), version, digest);
            Some(LeafProof {
                leaf: leaf.to_string(),
                index: u64::try_from(index).ok()?,
                path: path.iter().map(ToString::to_string).collect(),
            })
        };
        let all = self.data_sets.iter().map(|((name, version), digest)| (name, *version, *digest)).enumerate();
        let wanted = all.filter(|(_, (name, version, _))| versions.contains(&((*name).clone(), *version)));
        wanted.filter_map(proof).collect()
    }
}

/// The proof that a leaf is in a checkpoint's tree (RFC 6962, section 2.1.1).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeafProof {
    /// The leaf's text.
    pub leaf: String,
    /// Its place in the tree, from 0.
    pub index: u64,
    /// The hashes beside the way from the leaf to the root, the lowest first, in hex.
    pub path: Vec<String>,
}

impl LeafProof {
    /// The root that follows from this proof in a tree of so many leaves; `None` where it does not fit.
    pub fn root(&self, leaves: u64) -> Option<NodeHash> {
        let path: Option<Vec<NodeHash>> = self.path.iter().map(|hash| NodeHash::parse(hash)).collect();
        let (index, leaves) = (usize::try_from(self.index).ok()?, usize::try_from(leaves).ok()?);
        merkle::root_from(NodeHash::of_leaf(&self.leaf), index, leaves, &path?)
    }
}

/// The most bytes of a file that [`SignedCheckpoint::parse_file`] reads.
pub const CHECKPOINT_FILE_BYTES_MAX: u64 = 4096;

/// A signed text with its signature and the public key, as it is kept, published and mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The signed text.
    pub text: String,
    /// The signature, in base64.
    pub signature: String,
    /// The public key, in base64.
    pub public_key: String,
}

impl SignedCheckpoint {
    /// Signs a checkpoint.
    pub fn sign(checkpoint: &LogCheckpoint, key: &CheckpointKey) -> Self {
        let text = checkpoint.to_string();
        Self { signature: key.sign(&text), public_key: key.public(), text }
    }

    /// What the text says, if the signature is its.
    ///
    /// # Errors
    /// [`CheckpointError`] where the signature is another, or the text none.
    pub fn checked(&self) -> Result<LogCheckpoint, CheckpointError> {
        check_signature(&self.text, &self.signature, &self.public_key)?;
        LogCheckpoint::parse(&self.text)
    }

    /// The form of a file: the text, an empty line, `key <base64>` and `signature <base64>`.
    pub fn file(&self) -> String {
        format!("{}\nkey {}\nsignature {}\n", self.text, self.public_key, self.signature)
    }

    /// Reads the form of a file. The signature is not checked.
    ///
    /// # Errors
    /// [`CheckpointError`] where it is none.
    pub fn parse_file(file: &str) -> Result<Self, CheckpointError> {
        let file = file.replace("\r\n", "\n");
        let (text, rest) = file.split_once("\n\n").ok_or(CheckpointError::Unreadable("signature"))?;
        let text = format!("{text}\n");
        LogCheckpoint::parse(&text)?;
        let mut lines = rest.lines();
        let mut value = |name: &'static str| {
            let found = lines.next().and_then(|line| line.trim_end().strip_prefix(name)?.strip_prefix(' '));
            found.map(ToOwned::to_owned).ok_or(CheckpointError::Unreadable(name))
        };
        let (public_key, signature) = (value("key")?, value("signature")?);
        Ok(Self { text, signature, public_key })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf() -> impl Strategy<Value = CheckpointLeaf> {
        let name = "[a-z_]{1,3}( [a-z])?";
        prop_oneof![
            (name, 1..9_u64, any::<[u8; 32]>()).prop_map(|(name, version, hash)| CheckpointLeaf::Stream(
                StreamId::Plan(name),
                version,
                ChainHash::from_bytes(hash)
            )),
            (name, 1..9_u64, any::<[u8; 32]>())
                .prop_map(|(name, version, digest)| CheckpointLeaf::DataSet(name, version, digest)),
        ]
    }

    fn sealed(covered: &Covered) -> LogCheckpoint {
        let (leaves, root) = covered.root();
        LogCheckpoint {
            number: 7,
            at: "2026-12-01T10:00:00Z".parse().unwrap(),
            previous: Some(hash_of("six")),
            position: 9,
            leaves,
            root,
        }
    }

    proptest! {
        #[test]
        fn a_leaf_is_one_line_and_reads_back(leaf in leaf()) {
            let text = leaf.to_string();
            prop_assert!(!text.contains('\n'));
            prop_assert_eq!(CheckpointLeaf::parse(&text), Ok(leaf));
        }

        #[test]
        fn the_tree_stands_for_the_leaves_and_proves_each_version_of_a_data_set(
            leaves in proptest::collection::vec(leaf(), 1..30), other in leaf(),
        ) {
            let (mut covered, mut backwards) = (Covered::default(), Covered::default());
            let mut last = BTreeMap::new();
            for leaf in &leaves {
                last.insert(leaf.to_string().rsplit_once(' ').unwrap().0.to_owned(), leaf.clone());
                covered.take(leaf.clone());
            }
            // Of a stream the last leaf counts, in whatever order the others come.
            for leaf in covered.streams.iter().rev() {
                backwards.take(CheckpointLeaf::Stream(leaf.0.clone(), leaf.1.0, leaf.1.1));
            }
            for ((name, version), digest) in covered.data_sets.iter().rev() {
                backwards.take(CheckpointLeaf::DataSet(name.clone(), *version, *digest));
            }
            prop_assert_eq!(backwards.root(), covered.root());
            let (count, root) = covered.root();
            let versions: Vec<_> = covered.data_sets.keys().cloned().collect();
            let proofs = covered.proofs(&versions);
            prop_assert_eq!(proofs.len(), versions.len());
            for proof in &proofs {
                prop_assert_eq!(proof.root(count), Some(root));
                let forged = LeafProof { leaf: format!("{}0", proof.leaf), ..proof.clone() };
                prop_assert_ne!(forged.root(count), Some(root));
            }
            let before = covered.clone();
            covered.take(other);
            prop_assert_eq!(covered == before, covered.root() == before.root());
        }

        #[test]
        fn a_text_reads_back_and_no_other_does(
            number: u64, us in 0..4_000_000_000_000_000_i64, first: bool, position: u64, leaves: u64, hash: [u8; 32],
            at: prop::sample::Index, byte in " -~",
        ) {
            let checkpoint = LogCheckpoint {
                number,
                at: Timestamp::from_microsecond(us).unwrap(),
                previous: (!first).then(|| hex(&hash)),
                position,
                leaves,
                root: NodeHash::of_leaf(&hex(&hash)),
            };
            let text = checkpoint.to_string();
            prop_assert_eq!(LogCheckpoint::parse(&text), Ok(checkpoint.clone()));
            let key = CheckpointKey::from_seed(&hash);
            let signed = SignedCheckpoint::sign(&checkpoint, &key);
            prop_assert_eq!(signed.checked(), Ok(checkpoint.clone()));
            prop_assert_eq!(SignedCheckpoint::parse_file(&signed.file()), Ok(signed.clone()));
            // Whatever one changes, it is not what was signed; and what can be read is written as it is read.
            let mut changed = text.clone();
            let place = at.index(text.len());
            changed.replace_range(place..=place, &byte);
            if changed != text {
                if let Ok(read) = LogCheckpoint::parse(&changed) {
                    prop_assert_eq!(read.to_string(), changed.clone());
                    prop_assert_ne!(read, checkpoint);
                }
                let forged = SignedCheckpoint { text: changed, ..signed };
                prop_assert_eq!(forged.checked(), Err(CheckpointError::Forged));
            }
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused_by_its_line() {
        let text = sealed(&Covered::default()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[5], "leaves 0");
        for (line, wrong) in [
            (1, "permitd checkpoint 2"),
            (2, "number 07"),
            (3, "time 2026-12-01T10:00:00Z"),
            (4, "previous"),
            (5, "position -1"),
            (6, "leaves"),
            (7, "root 00"),
        ] {
            let mut lines = lines.clone();
            lines[line - 1] = wrong;
            let error = LogCheckpoint::parse(&(lines.join("\n") + "\n")).unwrap_err();
            assert!(matches!(&error, CheckpointError::Line { line: told, .. } if *told == line), "{error}");
        }
        for wrong in [text.trim_end().to_owned(), format!("{text}\n"), format!("{text}more"), String::new()] {
            assert!(LogCheckpoint::parse(&wrong).is_err(), "{wrong:?}");
        }
        let (key, other) = (CheckpointKey::from_seed(&[1; 32]), CheckpointKey::from_seed(&[2; 32]));
        let signed = SignedCheckpoint::sign(&sealed(&Covered::default()), &key);
        let by_another = SignedCheckpoint { public_key: other.public(), ..signed.clone() };
        assert_eq!(by_another.checked(), Err(CheckpointError::Forged));
        let cut = SignedCheckpoint { signature: "AAAA".to_owned(), ..signed };
        assert_eq!(cut.checked(), Err(CheckpointError::Unreadable("signature")));
        assert!(!format!("{key:?}").contains(&BASE64.encode([1; 32])));
    }

    #[test]
    fn the_key_is_that_of_the_standard() {
        // RFC 8032, section 7.1, test 2.
        let seed: [u8; 32] =
            unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap().try_into().unwrap();
        let key = CheckpointKey::from_seed(&seed);
        let public = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        assert_eq!(key.public(), BASE64.encode(public));
        let signature = unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00").unwrap();
        assert_eq!(key.sign("r"), BASE64.encode(signature));
    }
}
