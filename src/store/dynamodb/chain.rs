//! The hashes of commits that have none: those from before streams were chained, and those that an earlier permitd has appended since.

use super::{
    Dynamo, StoreError, commits, feed, fetch,
    item::{self, binary, get_text},
    schema::EVENTS,
    streams::SCAN_SEGMENTS,
    write,
};
use crate::domain::{chain::ChainHash, id::StreamId};

/// Gives every commit that has no hash the one that follows from its stream. Reads the whole log once, and the streams that have such commits
/// once more. May run beside appends, and twice.
pub(super) async fn complete(dynamo: &Dynamo) -> Result<(), StoreError> {
    let table = dynamo.table(EVENTS);
    let request = dynamo.client().scan().table_name(&table).consistent_read(true);
    let request = request.filter_expression("attribute_not_exists(x)").projection_expression("s");
    let stream = |item: item::Item| StreamId::parse(get_text(&item, "s")?).map_err(|error| item::damaged("s", error));
    let (mut streams, _) = fetch::scan(&table, request, SCAN_SEGMENTS, stream).await?;
    streams.sort_unstable();
    streams.dedup();
    fetch::in_parallel(streams.iter().map(|stream| complete_stream(dynamo, &table, stream)).collect()).await?;
    Ok(())
}

async fn complete_stream(dynamo: &Dynamo, table: &str, stream: &StreamId) -> Result<(), StoreError> {
    let mut head = ChainHash::START;
    for commit in commits::load(dynamo, stream, 0, usize::MAX).await? {
        head = commit.hash_after(head);
        if commit.hash.is_some() {
            continue;
        }
        let update = || {
            let request = dynamo.client().update_item().table_name(table);
            request
                .set_key(Some(feed::key(&stream.to_string(), commit.version)))
                .update_expression("SET x = :x")
                .condition_expression("attribute_exists(v) AND attribute_not_exists(x)")
                .expression_attribute_values(":x", binary(head.as_bytes()))
                .send()
        };
        // Another node may have been first: it wrote the same.
        write::conditional(table, update).await?;
    }
    Ok(())
}
