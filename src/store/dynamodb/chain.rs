//! The hashes of commits that have none: those from before streams were chained, and those that an earlier permitd has appended since.

use super::{
    Dynamo, StoreError, commits, feed, fetch,
    item::{self, binary, get_text, text},
    schema::{EVENTS, STATE},
    streams::SCAN_SEGMENTS,
    unavailable, write,
};
use crate::domain::{chain::ChainHash, id::StreamId};

/// The kind of the item that notes that all commits had their hashes, and its name.
const CHAINED: &str = "chained";

impl Dynamo {
    /// Gives the commits from before streams were chained their hashes, once for a deployment: the first node that gets through notes it.
    ///
    /// # Errors
    /// [`StoreError`] where some may not have theirs: the next start goes on.
    pub async fn chain_once(&self) -> Result<(), StoreError> {
        let (table, noted) = (self.table(STATE), item::item([("k", text(CHAINED)), ("r", text(CHAINED))]));
        if fetch::get(self, &table, noted.clone()).await?.is_some() {
            return Ok(());
        }
        complete(self).await?;
        let request = self.client().put_item().table_name(&table).set_item(Some(noted));
        request.send().await.map(drop).map_err(|error| unavailable(&table, &error))
    }
}

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
