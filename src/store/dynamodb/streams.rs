//! The streams that existed when they were counted.

use super::{
    Dynamo, StoreError, fetch,
    item::{self, get_text, number},
    schema::EVENTS,
};
use crate::domain::id::StreamId;

/// Segments of a table that are scanned in parallel.
pub(super) const SCAN_SEGMENTS: i32 = 8;

/// The streams that existed when they were counted.
pub(super) struct Streams {
    /// Sorted.
    pub(super) all: Vec<StreamId>,
    pub(super) commits: u64,
}

impl Streams {
    pub(super) async fn read(dynamo: &Dynamo) -> Result<Self, StoreError> {
        let table = dynamo.table(EVENTS);
        let request = dynamo
            .client()
            .scan()
            .table_name(&table)
            .filter_expression("v = :first")
            .expression_attribute_values(":first", number(1))
            .projection_expression("s")
            .consistent_read(true);
        let stream =
            |item: item::Item| StreamId::parse(get_text(&item, "s")?).map_err(|error| item::damaged("s", error));
        let (mut all, commits) = fetch::scan(&table, request, SCAN_SEGMENTS, stream).await?;
        all.sort_unstable();
        Ok(Self { all, commits })
    }

    /// Tells whether the stream existed.
    pub(super) fn has(&self, stream: &StreamId) -> bool {
        self.all.binary_search(stream).is_ok()
    }
}
