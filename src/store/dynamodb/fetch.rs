//! Reads: all pages of a query, all parts of a batch, and several requests at once.

use std::{collections::HashMap, future::Future};

use aws_sdk_dynamodb::{
    operation::{query::builders::QueryFluentBuilder, scan::builders::ScanFluentBuilder},
    types::KeysAndAttributes,
};
use futures_util::{TryStreamExt, stream};

use super::{
    BATCH_READS_MAX, Dynamo, PARALLEL, StoreError,
    item::{Item, text},
    not_built, read_pace,
    schema::STATE,
    unavailable,
    write::{TRIES_MAX, back_off},
};

/// Runs all of the work, at most [`PARALLEL`] at once; the results are in the order of the work. Ends with the first error.
pub(super) async fn in_parallel<T, E>(work: Vec<impl Future<Output = Result<T, E>>>) -> Result<Vec<T>, E> {
    use futures_util::StreamExt;
    stream::iter(work).buffered(PARALLEL).try_collect().await
}

/// A query's items, page after page, at most `max`.
pub(super) async fn query(table: &str, request: QueryFluentBuilder, max: usize) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    if max == 0 {
        return Ok(items);
    }
    let mut pages = request.set_return_consumed_capacity(read_pace::asked()).into_paginator().send();
    loop {
        read_pace::turn().await;
        let Some(page) = pages.next().await else { break };
        let page = page.map_err(|error| unavailable(table, &error))?;
        read_pace::took(&page.consumed_capacity);
        items.extend(page.items.unwrap_or_default());
        if items.len() >= max {
            break;
        }
    }
    items.truncate(max);
    Ok(items)
}

/// All items of the table `state` of one kind, read consistently.
pub(super) async fn of_kind(dynamo: &Dynamo, kind: &str) -> Result<Vec<Item>, StoreError> {
    let table = dynamo.table(STATE);
    let request = dynamo
        .client()
        .query()
        .table_name(&table)
        .key_condition_expression("k = :k")
        .expression_attribute_values(":k", text(kind))
        .consistent_read(true);
    query(&table, request, usize::MAX).await
}

/// A page limit in DynamoDB's type.
pub(super) fn page_limit(max: usize) -> i32 {
    i32::try_from(max).unwrap_or(i32::MAX)
}

/// All items of a scan, in as many segments as may be read at once. Hands each page to `take`. Returns how many items were scanned,
/// including those that a filter left out.
pub(super) async fn scan<T: Send>(
    table: &str,
    request: ScanFluentBuilder,
    segments: i32,
    take: impl Fn(Item) -> Result<T, StoreError> + Sync,
) -> Result<(Vec<T>, u64), StoreError> {
    let segment = async |number| {
        let request = request.clone().segment(number).total_segments(segments);
        let (mut taken, mut scanned) = (Vec::new(), 0);
        let mut pages = request.set_return_consumed_capacity(read_pace::asked()).into_paginator().send();
        loop {
            read_pace::turn().await;
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| unavailable(table, &error))?;
            read_pace::took(&page.consumed_capacity);
            scanned += u64::try_from(page.scanned_count).unwrap_or(0);
            for item in page.items.unwrap_or_default() {
                taken.push(take(item)?);
            }
        }
        Ok::<_, StoreError>((taken, scanned))
    };
    let work = (0..segments).map(segment).collect();
    let (mut all, mut scanned_total) = (Vec::new(), 0);
    for (taken, scanned) in in_parallel(work).await? {
        all.extend(taken);
        scanned_total += scanned;
    }
    Ok((all, scanned_total))
}

/// The item with this key, read consistently.
pub(super) async fn get(dynamo: &Dynamo, table: &str, key: Item) -> Result<Option<Item>, StoreError> {
    let request = dynamo.client().get_item().table_name(table).set_key(Some(key)).consistent_read(true);
    read_pace::turn().await;
    let request = request.set_return_consumed_capacity(read_pace::asked());
    let answer = request.send().await.map_err(|error| unavailable(table, &error))?;
    read_pace::took(&answer.consumed_capacity);
    Ok(answer.item)
}

/// The items with these keys, which must differ, read consistently. They come in any order; missing ones are left out.
pub(super) async fn get_all(dynamo: &Dynamo, table: &str, keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
    let work = keys.chunks(BATCH_READS_MAX).map(|batch| get_batch(dynamo, table, batch.to_vec())).collect();
    Ok(in_parallel(work).await?.into_iter().flatten().collect())
}

/// Checks that these tables, each with a key, can be read: one request for each hundred.
pub(super) async fn probe(dynamo: &Dynamo, tables: Vec<(String, Item)>) -> Result<(), StoreError> {
    for some in tables.chunks(BATCH_READS_MAX) {
        let wanted = |(table, key): &(String, Item)| {
            let keys = KeysAndAttributes::builder().keys(key.clone()).build().map_err(not_built)?;
            Ok((table.clone(), keys))
        };
        let wanted = some.iter().map(wanted).collect::<Result<HashMap<_, _>, StoreError>>()?;
        let names: Vec<&str> = some.iter().map(|(table, _)| table.as_str()).collect();
        let sent = dynamo.client().batch_get_item().set_request_items(Some(wanted)).send().await;
        sent.map_err(|error| unavailable(&names.join(", "), &error))?;
    }
    Ok(())
}

/// Gets a batch. DynamoDB answers a large batch, or one of a busy table, in parts: the rest is requested again.
async fn get_batch(dynamo: &Dynamo, table: &str, mut keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
    let (mut found, mut idle_tries) = (Vec::new(), 0);
    while !keys.is_empty() {
        let asked = keys.len();
        let wanted = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys)).build();
        let wanted = wanted.map_err(not_built)?;
        read_pace::turn().await;
        let request = dynamo.client().batch_get_item().set_return_consumed_capacity(read_pace::asked());
        let sent = request.request_items(table, wanted).send().await;
        let answer = sent.map_err(|error| unavailable(table, &error))?;
        read_pace::took(answer.consumed_capacity.iter().flatten());
        found.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
        keys = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
        idle_tries = if keys.len() < asked { 0 } else { idle_tries + 1 };
        if idle_tries == TRIES_MAX {
            return Err(StoreError::Unavailable(format!("table {table} is throttled: give it more capacity")));
        }
        if !keys.is_empty() {
            back_off(idle_tries).await;
        }
    }
    Ok(found)
}
