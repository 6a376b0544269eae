//! The chain of a stream: each commit has a hash over what it holds and over the hash of the commit before it, so that nothing in a stream can
//! be changed, removed, exchanged or put in without every later hash changing. What is hashed never changes when a person is erased: their
//! data is in the events only as ciphertext.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::id::{CommandId, StreamId, hex, unhex};

/// Names the form of what is hashed: another form would have another name.
const FORM: &[u8] = b"permitd commit 1";

/// The hash of a stream up to and with a commit: SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainHash([u8; 32]);

/// A commit's content, as the chain covers it. Its position is left out: it is the place in one store's log.
#[derive(Debug, Clone, Copy)]
pub struct CommitContent<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The commit's version in the stream, from 1.
    pub version: u64,
    /// The writer's time.
    pub recorded_at: Timestamp,
    /// The command.
    pub command: &'a CommandId,
    /// The mark of the client's request, if it was a client's.
    pub request_hash: Option<&'a str>,
    /// The encoded events, byte for byte.
    pub events: &'a str,
}

impl ChainHash {
    /// What the first commit of a stream follows on.
    pub const START: Self = Self([0; 32]);

    /// The hash of the commit that follows: SHA-256 over this hash and, each after its length in bytes (8 bytes, the most significant first),
    /// the texts `permitd commit 1`, stream, version, microseconds since the Unix epoch, command, the mark of the request (empty for none) and
    /// events. Numbers are in decimal.
    #[must_use]
    pub fn then(self, link: &CommitContent<'_>) -> Self {
        let mut hash = Sha256::new_with_prefix(self.0);
        let mut add = |text: &[u8]| {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text);
        };
        add(FORM);
        add(link.stream.to_string().as_bytes());
        add(link.version.to_string().as_bytes());
        add(link.recorded_at.as_microsecond().to_string().as_bytes());
        add(link.command.as_str().as_bytes());
        add(link.request_hash.unwrap_or_default().as_bytes());
        add(link.events.as_bytes());
        Self(hash.finalize().into())
    }

    /// The hash of these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the hexadecimal form; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link<'a>(stream: &'a StreamId, command: &'a CommandId) -> CommitContent<'a> {
        let recorded_at = Timestamp::from_microsecond(1_700_000_000_000_001).unwrap();
        CommitContent { stream, version: 1, recorded_at, command, request_hash: Some("mark"), events: "[{}]" }
    }

    #[test]
    fn a_hash_is_that_of_the_documented_bytes() {
        let (stream, command) = (StreamId::Plan("free".to_owned()), CommandId::stored("once:1"));
        let mut bytes = vec![0u8; 32];
        for text in ["permitd commit 1", "plan#free", "1", "1700000000000001", "once:1", "mark", "[{}]"] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        let hash = ChainHash::START.then(&link(&stream, &command));
        assert_eq!(hash.as_bytes()[..], Sha256::digest(&bytes)[..]);
        assert_eq!(ChainHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(ChainHash::parse("ab"), None);
    }

    #[test]
    fn each_part_of_a_commit_is_covered() {
        let (stream, command) = (StreamId::Plan("free".to_owned()), CommandId::stored("once:1"));
        let (other_stream, other_command) = (StreamId::Plan("fre".to_owned()), CommandId::stored("once:12"));
        let first = link(&stream, &command);
        let others = [
            CommitContent { stream: &other_stream, ..first },
            CommitContent { version: 2, ..first },
            CommitContent { recorded_at: first.recorded_at + jiff::SignedDuration::from_micros(1), ..first },
            CommitContent { command: &other_command, ..first },
            CommitContent { request_hash: None, ..first },
            CommitContent { request_hash: Some("mark["), events: "{}]", ..first },
            CommitContent { events: "[{} ]", ..first },
        ];
        let hash = ChainHash::START.then(&first);
        for other in others {
            assert_ne!(ChainHash::START.then(&other), hash, "{other:?}");
        }
        assert_ne!(hash.then(&first), hash, "and what came before");
    }
}
