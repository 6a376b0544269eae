//! Ready answers of point reads, within a bound of bytes. An entry is found only under the version it was read at, so
//! that an import makes all older ones unreachable at once; they are then the first to be dropped.

use quick_cache::{Equivalent, Weighter, sync::Cache};

use crate::store::records::FoundRecords;

/// The cost of an entry besides its texts.
const ENTRY_BYTES: u64 = 160;
/// The typical weight of an entry, for sizing the table of entries.
const ENTRY_BYTES_TYPICAL: u64 = 1024;

/// The question that an entry answers.
#[derive(PartialEq, Eq, Hash)]
struct CacheKey {
    data_set: u64,
    version: u64,
    key: Box<str>,
    record_id: Option<Box<str>>,
}

/// The same, borrowed.
#[derive(Clone, Copy, Hash)]
pub(in crate::store) struct CacheQuestion<'a> {
    pub(in crate::store) data_set: u64,
    pub(in crate::store) version: u64,
    pub(in crate::store) key: &'a str,
    pub(in crate::store) record_id: Option<&'a str>,
}

impl Equivalent<CacheKey> for CacheQuestion<'_> {
    fn equivalent(&self, other: &CacheKey) -> bool {
        (self.data_set, self.version, self.key, self.record_id)
            == (other.data_set, other.version, other.key.as_ref(), other.record_id.as_deref())
    }
}

#[derive(Clone)]
struct AnswerBytes;

impl Weighter<CacheKey, FoundRecords> for AnswerBytes {
    fn weight(&self, key: &CacheKey, found: &FoundRecords) -> u64 {
        let texts = key.key.len() + key.record_id.as_ref().map_or(0, |id| id.len()) + found.document.len();
        texts as u64 + ENTRY_BYTES
    }
}

pub(in crate::store) struct Answers(Cache<CacheKey, FoundRecords, AnswerBytes>);

impl Answers {
    pub(in crate::store) fn new(bytes_max: u64) -> Self {
        let entries = usize::try_from(bytes_max / ENTRY_BYTES_TYPICAL).unwrap_or(usize::MAX).max(1);
        Self(Cache::with_weighter(entries, bytes_max, AnswerBytes))
    }

    pub(in crate::store) fn get(&self, question: &CacheQuestion<'_>) -> Option<FoundRecords> {
        self.0.get(question)
    }

    pub(in crate::store) fn insert(&self, question: &CacheQuestion<'_>, found: FoundRecords) {
        let CacheQuestion { data_set, version, key, record_id } = *question;
        self.0.insert(CacheKey { data_set, version, key: key.into(), record_id: record_id.map(Into::into) }, found);
    }

    #[cfg(test)]
    pub(in crate::store) fn weight(&self) -> u64 {
        self.0.weight()
    }
}
