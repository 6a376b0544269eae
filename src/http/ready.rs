//! A cache of ready answers to repeated questions: pages, summaries and lists of changes, within a limit of bytes. An entry is found
//! by its tag alone, which names the data set version: an import makes all older entries unreachable at once.

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};

use super::coding::Coding;

/// Bytes of an entry besides its texts.
const ENTRY_BYTES: u64 = 128;
/// Bytes of a typical entry, to size the table of entries.
const ENTRY_BYTES_TYPICAL: u64 = 32 * 1024;
/// The divisor of the cache's size that limits one entry: larger entries would evict too many others.
const ENTRY_PART_MAX: u64 = 16;

/// The tag of an answer, without its coding.
pub(super) type Digest = [u8; 12];

/// An answer as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) body: Bytes,
    /// The coding of the body; possibly none although the client accepts one.
    pub(super) coding: Option<Coding>,
    /// The address at which the answer continues.
    pub(super) next: Option<Box<str>>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<(Digest, Option<Coding>), Ready> for Weight {
    fn weight(&self, _: &(Digest, Option<Coding>), ready: &Ready) -> u64 {
        let texts = ready.body.len() + ready.next.as_ref().map_or(0, |next| next.len());
        texts as u64 + ENTRY_BYTES
    }
}

/// The ready answers of a node.
#[derive(Debug)]
pub struct ReadyAnswers {
    answers: Cache<(Digest, Option<Coding>), Ready, Weight>,
    entry_bytes_max: u64,
}

impl ReadyAnswers {
    /// A cache of at most `bytes_max` bytes; 0 keeps nothing.
    pub fn new(bytes_max: u64) -> Self {
        let entries = usize::try_from(bytes_max / ENTRY_BYTES_TYPICAL).unwrap_or(usize::MAX).max(1);
        Self { answers: Cache::with_weighter(entries, bytes_max, Weight), entry_bytes_max: bytes_max / ENTRY_PART_MAX }
    }

    pub(super) fn get(&self, tag: &Digest, wanted: Option<Coding>) -> Option<Ready> {
        self.answers.get(&(*tag, wanted))
    }

    pub(super) fn insert(&self, tag: Digest, wanted: Option<Coding>, ready: Ready) {
        let key = (tag, wanted);
        if Weight.weight(&key, &ready) <= self.entry_bytes_max {
            self.answers.insert(key, ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(bytes: usize) -> Ready {
        Ready { body: Bytes::from(vec![b'x'; bytes]), coding: None, next: None }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let answers = ReadyAnswers::new(1 << 20);
        for nth in 0..1000_u32 {
            let mut tag = [0; 12];
            tag[..4].copy_from_slice(&nth.to_be_bytes());
            answers.insert(tag, None, ready(30_000));
        }
        assert!(answers.answers.weight() <= 1 << 20);
        answers.insert([9; 12], None, ready(100_000));
        assert!(answers.get(&[9; 12], None).is_none(), "one that would take too much of the room");
        answers.insert([8; 12], Some(Coding::Gzip), ready(10));
        assert!(answers.get(&[8; 12], None).is_none(), "another coding is another answer");
        assert!(answers.get(&[8; 12], Some(Coding::Gzip)).is_some());
        let none = ReadyAnswers::new(0);
        none.insert([1; 12], None, ready(1));
        assert!(none.get(&[1; 12], None).is_none());
    }
}
