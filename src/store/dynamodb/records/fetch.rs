//! One page of a table's or an index's partition.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::order::Range;
use crate::store::{
    StoreError,
    dynamodb::{
        Dynamo, SORT_KEY_BYTES_MAX,
        item::{Item, text},
        unavailable,
    },
};

/// What is read from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The table's whole name.
    pub(super) table: String,
    /// The index, or the table itself.
    pub(super) index: Option<String>,
    /// The name of the partition key.
    pub(super) partition: String,
    /// The name of the sort key.
    pub(super) sort: String,
    /// From the end to the beginning.
    pub(super) descending: bool,
    /// Whether what has just been written has to be seen, which costs twice as much and no index can.
    pub(super) consistent: bool,
    /// Whether to ask what it costs.
    pub(super) costs: bool,
}

/// A partition, or a part of it, that is read page by page.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    partition: String,
    range: Option<Range>,
    next: Next,
}

#[derive(Debug, Clone)]
enum Next {
    Beginning,
    After(Item),
    Nothing,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The items, in their order.
    pub(super) items: Vec<Item>,
    /// What it cost, if that was asked for and is known.
    pub(super) units: Option<f64>,
}

impl Stream {
    pub(super) fn new(partition: String, range: Option<Range>) -> Self {
        let range = range.map(|range| range.within(SORT_KEY_BYTES_MAX));
        Self { partition, range, next: Next::Beginning }
    }

    /// Whether there is nothing more to fetch.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    /// Reads on: at most so many items, and no more than DynamoDB gives at a time.
    pub(super) async fn fetch(
        &mut self,
        dynamo: &Dynamo,
        source: &Source,
        limit: Option<usize>,
    ) -> Result<Fetched, StoreError> {
        let mut request = dynamo
            .client()
            .query()
            .table_name(&source.table)
            .set_index_name(source.index.clone())
            .expression_attribute_names("#p", &source.partition)
            .expression_attribute_values(":p", AttributeValue::S(self.partition.clone()))
            .scan_index_forward(!source.descending)
            .set_consistent_read(source.consistent.then_some(true))
            // No page holds as many as this type can say.
            .set_limit(limit.map(|limit| i32::try_from(limit.max(1)).unwrap_or(i32::MAX)));
        request = match &self.range {
            None => request.key_condition_expression("#p = :p"),
            Some(range) => request
                .key_condition_expression("#p = :p AND #s BETWEEN :from AND :to")
                .expression_attribute_names("#s", &source.sort)
                .expression_attribute_values(":from", text(&range.from))
                .expression_attribute_values(":to", text(&range.to)),
        };
        if source.costs {
            request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        }
        if let Next::After(key) = &self.next {
            request = request.set_exclusive_start_key(Some(key.clone()));
        }
        let output = request.send().await.map_err(|error| unavailable(&source.table, &error))?;
        let units = output.consumed_capacity.and_then(|consumed| consumed.capacity_units);
        self.next = match output.last_evaluated_key {
            Some(key) if !key.is_empty() => Next::After(key),
            _ => Next::Nothing,
        };
        Ok(Fetched { items: output.items.unwrap_or_default(), units })
    }
}
