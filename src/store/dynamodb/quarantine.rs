//! The quarantine: items of the kind `quarantine` in the table `state`, by stream; those that have ended are of the kind
//! `quarantine-past`, by the moment of their end.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use jiff::Timestamp;

use super::{
    Dynamo, StoreError, fetch, has_code,
    item::{self, Item, damaged, get_moment, get_text, moment, text},
    not_built,
    schema::STATE,
    unavailable, write,
};
use crate::{
    domain::id::StreamId,
    store::quarantine::{PastQuarantine, Quarantine, QuarantineTable},
};

const IN_FORCE: &str = "quarantine";
const PAST: &str = "quarantine-past";

#[async_trait]
impl QuarantineTable for Dynamo {
    async fn in_force(&self) -> Result<Vec<Quarantine>, StoreError> {
        fetch::of_kind(self, IN_FORCE).await?.iter().map(quarantine).collect()
    }

    async fn past(&self, max: usize) -> Result<Vec<PastQuarantine>, StoreError> {
        let table = self.table(STATE);
        let request = self
            .client()
            .query()
            .table_name(&table)
            .key_condition_expression("k = :k")
            .expression_attribute_values(":k", text(PAST))
            .scan_index_forward(false)
            .consistent_read(true);
        let items = fetch::query(&table, request, max).await?;
        let past = |item: &Item| {
            Ok(PastQuarantine {
                quarantine: quarantine(item)?,
                released_at: get_moment(item, "released_at")?,
                released_by: get_text(item, "released_by")?.to_owned(),
            })
        };
        items.iter().map(past).collect()
    }

    async fn begin(&self, quarantine: Quarantine) -> Result<bool, StoreError> {
        let table = self.table(STATE);
        let item = item_of(&quarantine);
        let put = || {
            let request = self.client().put_item().table_name(&table).set_item(Some(item.clone()));
            request.condition_expression("attribute_not_exists(k)").send()
        };
        write::conditional(&table, put).await
    }

    async fn end(&self, stream: &StreamId, released_at: Timestamp, released_by: &str) -> Result<bool, StoreError> {
        let table = self.table(STATE);
        let key = key_of(stream);
        let Some(mut past) = fetch::get(self, &table, key.clone()).await? else { return Ok(false) };
        let since = past.get("since").cloned();
        past.insert("k".to_owned(), text(PAST));
        // Moments as texts of one length are in the order of time; the stream tells two of one moment apart.
        past.insert("r".to_owned(), text(format!("{:020}#{stream}", released_at.as_microsecond())));
        past.insert("released_at".to_owned(), moment(released_at));
        past.insert("released_by".to_owned(), text(released_by));
        let delete = Delete::builder()
            .table_name(&table)
            .set_key(Some(key))
            .condition_expression("#since = :since")
            .expression_attribute_names("#since", "since")
            .set_expression_attribute_values(since.map(|since| item::item([(":since", since)])))
            .build()
            .map_err(not_built)?;
        let put = Put::builder().table_name(&table).set_item(Some(past)).build().map_err(not_built)?;
        let writes =
            [TransactWriteItem::builder().delete(delete).build(), TransactWriteItem::builder().put(put).build()];
        match self.client().transact_write_items().set_transact_items(Some(writes.to_vec())).send().await {
            Ok(_) => Ok(true),
            // Somebody else released it meanwhile.
            Err(error) if has_code(&error, "TransactionCanceledException") => {
                match fetch::get(self, &table, key_of(stream)).await? {
                    None => Ok(false),
                    Some(_) => Err(unavailable(&table, &error)),
                }
            }
            Err(error) => Err(unavailable(&table, &error)),
        }
    }
}

/// The item of a quarantine in force.
pub(super) fn item_of(Quarantine { stream, since, who, reason, problem }: &Quarantine) -> Item {
    let mut item = key_of(stream);
    item.extend(item::item([
        ("stream", text(stream.to_string())),
        ("since", moment(*since)),
        ("who", text(who)),
        ("reason", text(reason)),
        ("problem", text(problem)),
    ]));
    item
}

fn key_of(stream: &StreamId) -> Item {
    item::item([("k", text(IN_FORCE)), ("r", text(stream.to_string()))])
}

fn quarantine(item: &Item) -> Result<Quarantine, StoreError> {
    Ok(Quarantine {
        stream: StreamId::parse(get_text(item, "stream")?).map_err(|error| damaged("stream", error))?,
        since: get_moment(item, "since")?,
        who: get_text(item, "who")?.to_owned(),
        reason: get_text(item, "reason")?.to_owned(),
        problem: get_text(item, "problem")?.to_owned(),
    })
}

/// The streams in quarantine.
pub(super) async fn streams(dynamo: &Dynamo) -> Result<BTreeSet<StreamId>, StoreError> {
    Ok(dynamo.in_force().await?.into_iter().map(|quarantine| quarantine.stream).collect())
}

/// Whether a stream is in quarantine.
pub(super) async fn holds(dynamo: &Dynamo, stream: &StreamId) -> Result<bool, StoreError> {
    Ok(fetch::get(dynamo, &dynamo.table(STATE), key_of(stream)).await?.is_some())
}
