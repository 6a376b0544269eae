//! A stream's commits, and the personal key of the stream's person.

use super::{
    Dynamo, StoreError,
    commit::{STREAM_BYTES_MAX, from_item},
    feed, fetch,
    item::{self, Item, get_binary, get_text, number, text},
    schema::{EVENTS, PERSONAL},
    write,
};
use crate::domain::{
    id::{CommandId, StreamId, UserId},
    persisted::StoredCommit,
    personal::PersonalKey,
};

/// Commits of a stream in order, after a version, at most `max`; read consistently.
pub(super) async fn load(
    dynamo: &Dynamo,
    stream: &StreamId,
    after_version: u64,
    max: usize,
) -> Result<Vec<StoredCommit>, StoreError> {
    let (table, stream) = (dynamo.table(EVENTS), stream.to_string());
    if stream.len() > STREAM_BYTES_MAX {
        // No such version can have been written.
        return Ok(Vec::new());
    }
    let request = dynamo
        .client()
        .query()
        .table_name(&table)
        .key_condition_expression("s = :s AND v > :v")
        .expression_attribute_values(":s", text(stream))
        .expression_attribute_values(":v", number(after_version))
        .consistent_read(true)
        .limit(fetch::page_limit(max));
    fetch::query(&table, request, max).await?.iter().map(from_item).collect()
}

/// The command's commit in a stream, if there is one. Reads the whole stream, however long: only for a writer that lost a race.
pub(super) async fn find_command(
    dynamo: &Dynamo,
    stream: &StreamId,
    command: &CommandId,
) -> Result<Option<StoredCommit>, StoreError> {
    let table = dynamo.table(EVENTS);
    let request = dynamo
        .client()
        .query()
        .table_name(&table)
        .key_condition_expression("s = :s")
        .filter_expression("c = :c")
        .expression_attribute_values(":s", text(stream.to_string()))
        .expression_attribute_values(":c", text(command.as_str()))
        .consistent_read(true);
    fetch::query(&table, request, 1).await?.first().map(from_item).transpose()
}

/// The key of a person's item in the table `personal`.
pub(super) fn personal_item_key(user: UserId) -> Item {
    item::item([("k", text(user.to_string()))])
}

/// The person's key, unless it was destroyed.
pub(super) async fn personal_key(dynamo: &Dynamo, user: UserId) -> Result<Option<PersonalKey>, StoreError> {
    let found = fetch::get(dynamo, &dynamo.table(PERSONAL), personal_item_key(user)).await?;
    Ok(found.as_ref().map(read_personal_key).transpose()?.map(|(_, key)| key))
}

/// Reads an item of the table `personal`.
pub(super) fn read_personal_key(item: &Item) -> Result<(UserId, PersonalKey), StoreError> {
    let user = UserId::parse(get_text(item, "k")?).map_err(|error| item::damaged("k", error))?;
    let bytes: [u8; 32] =
        get_binary(item, "key")?.try_into().map_err(|_| item::damaged("key", "it is not 32 bytes long"))?;
    Ok((user, PersonalKey::from_bytes(bytes)))
}

/// Clears a commit's mark. A commit that has none, or does not exist, stays unchanged.
pub(super) async fn clear_mark(dynamo: &Dynamo, stream: &StreamId, version: u64) -> Result<(), StoreError> {
    let table = dynamo.table(EVENTS);
    let clear = || {
        let request = dynamo.client().update_item().table_name(&table);
        request
            .set_key(Some(feed::key(&stream.to_string(), version)))
            .update_expression("REMOVE ob")
            .condition_expression("attribute_exists(v)")
            .send()
    };
    write::conditional(&table, clear).await?;
    Ok(())
}
