//! Parts of projections in memory, within a bound of bytes over all data sets.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use crate::dataset::columns::{Codes, Dictionary, Ranks};

/// The cost of an entry besides its content, bytes.
const ENTRY_BYTES: u64 = 160;
/// The typical size of an entry, for the size of the table of entries.
const ENTRY_BYTES_TYPICAL: u64 = 128 * 1024;

/// A part of a projection: the number of the projection, and where in its file the part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PartKey {
    pub(super) projection: u64,
    pub(super) at: u64,
}

/// A part of a projection, as it is used.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Dictionary(Arc<Dictionary>),
    Codes(Arc<Codes>),
    Ranks(Arc<Ranks>),
    Rows(Arc<Vec<i64>>),
}

#[derive(Clone)]
struct PartBytes;

impl Weighter<PartKey, Part> for PartBytes {
    fn weight(&self, _: &PartKey, part: &Part) -> u64 {
        let bytes = match part {
            Part::Dictionary(dictionary) => dictionary.bytes(),
            Part::Codes(codes) => codes.bytes(),
            Part::Ranks(ranks) => ranks.bytes(),
            Part::Rows(rows) => rows.len() * size_of::<i64>(),
        };
        bytes as u64 + ENTRY_BYTES
    }
}

/// The parts in memory. Those that were used once are the first to go, so that a question about everything does not drive out what
/// others use.
pub(in super::super) struct ColumnCache(Cache<PartKey, Part, PartBytes>);

impl ColumnCache {
    pub(in super::super) fn new(bytes_max: u64) -> Self {
        let entries = usize::try_from(bytes_max / ENTRY_BYTES_TYPICAL).unwrap_or(usize::MAX).max(16);
        Self(Cache::with_weighter(entries, bytes_max, PartBytes))
    }

    pub(super) fn get(&self, key: PartKey) -> Option<Part> {
        self.0.get(&key)
    }

    pub(super) fn insert(&self, key: PartKey, part: Part) {
        self.0.insert(key, part);
    }
}
