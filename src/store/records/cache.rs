//! Ready answers of point reads, within a bound of bytes. An entry is found only under the version it was read at, so
//! that an import makes all older ones unreachable at once; they are then the first to be dropped.

use quick_cache::{Equivalent, Weighter, sync::Cache};

use crate::store::records::Found;

/// What an entry costs besides its texts.
const ENTRY_BYTES: u64 = 160;
/// What a typical entry weighs, to size the table of entries.
const ENTRY_BYTES_TYPICAL: u64 = 1024;

/// The question that an entry answers.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    data_set: u64,
    version: u64,
    key: Box<str>,
    record_id: Option<Box<str>>,
}

/// The same without owning it.
#[derive(Clone, Copy, Hash)]
pub(in crate::store) struct Question<'a> {
    pub(in crate::store) data_set: u64,
    pub(in crate::store) version: u64,
    pub(in crate::store) key: &'a str,
    pub(in crate::store) record_id: Option<&'a str>,
}

impl Equivalent<Key> for Question<'_> {
    fn equivalent(&self, other: &Key) -> bool {
        (self.data_set, self.version, self.key, self.record_id)
            == (other.data_set, other.version, other.key.as_ref(), other.record_id.as_deref())
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Found> for Bytes {
    fn weight(&self, key: &Key, found: &Found) -> u64 {
        let texts = key.key.len() + key.record_id.as_ref().map_or(0, |id| id.len()) + found.document.len();
        texts as u64 + ENTRY_BYTES
    }
}

pub(in crate::store) struct Answers(Cache<Key, Found, Bytes>);

impl Answers {
    pub(in crate::store) fn new(bytes_max: u64) -> Self {
        let entries = usize::try_from(bytes_max / ENTRY_BYTES_TYPICAL).unwrap_or(usize::MAX).max(1);
        Self(Cache::with_weighter(entries, bytes_max, Bytes))
    }

    pub(in crate::store) fn get(&self, question: &Question<'_>) -> Option<Found> {
        self.0.get(question)
    }

    pub(in crate::store) fn insert(&self, question: &Question<'_>, found: Found) {
        let Question { data_set, version, key, record_id } = *question;
        self.0.insert(Key { data_set, version, key: key.into(), record_id: record_id.map(Into::into) }, found);
    }

    #[cfg(test)]
    pub(in crate::store) fn weight(&self) -> u64 {
        self.0.weight()
    }
}
