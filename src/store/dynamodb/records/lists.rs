//! The table `changes`: the writes of each import, the times of versions, and the columns that they had.
//!
//! | partition key | sort key | item |
//! |---|---|---|
//! | `<data set>#<epoch>` | a number | a part of the list of what the import of that epoch wrote, packed |
//! | `<data set>#versions` | the version | its epoch, its moment, how many changes it has, the data set's state |
//! | `<data set>#generations` | the generation | the definition that it began with, and since when its columns are published |
//!
//! A part of a list is written before the rows that it names: the rows of an import that died are found by its list. A list counts
//! when its epoch does.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{row::Layout, write::WriteTarget};
use crate::{
    dataset::Definition,
    store::{
        StoreError,
        dynamodb::{
            Dynamo, fetch,
            item::{Item, binary, damaged, get_binary, get_moment, get_number, get_text, item, moment, number, text},
            schema, unavailable,
        },
        records::{past::ChangeKind, state::DataSetState},
    },
};

const PARTITION: &str = "k";
const SORT: &str = "r";
/// Digits of a number in a sort key.
const DIGITS: usize = 20;
const PACKING_LEVEL: i32 = 3;
/// Parts of a list in memory at the same time.
const PARTS_AT_A_TIME: i32 = 4;
/// The largest unpacked part of a list, bytes.
const PART_BYTES_MAX: usize = 16 << 20;

/// The table, as a target of writes.
pub(super) fn target(dynamo: &Dynamo) -> WriteTarget {
    WriteTarget { table: dynamo.table(schema::CHANGES), key: PARTITION.to_owned(), id: SORT.to_owned() }
}

/// A write of an import for one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListedChange {
    /// The kind of the change, as a letter.
    #[serde(rename = "c", with = "letter")]
    pub(super) kind: ChangeKind,
    #[serde(rename = "k")]
    pub(super) key: String,
    /// The record id in its written form.
    #[serde(rename = "i")]
    pub(super) id: String,
    /// The epoch of the replaced or removed row.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<u64>,
}

mod letter {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::store::records::past::ChangeKind;

    fn of(kind: ChangeKind) -> &'static str {
        match kind {
            ChangeKind::Inserted => "i",
            ChangeKind::Updated => "u",
            ChangeKind::Removed => "r",
        }
    }

    pub(super) fn serialize<S: Serializer>(kind: &ChangeKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(of(*kind))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<ChangeKind, D::Error> {
        let letter = String::deserialize(deserializer)?;
        let kind = ChangeKind::ALL.into_iter().find(|kind| of(*kind) == letter);
        kind.ok_or_else(|| D::Error::custom("there is no such change"))
    }
}

fn list_partition(data_set: &str, epoch: u64) -> String {
    format!("{data_set}#{epoch}")
}

/// The item of a part of a list.
pub(super) fn part(data_set: &str, epoch: u64, number: u64, listed: &[ListedChange]) -> Result<Item, StoreError> {
    let unwritable = |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("a list of changes: {error}"));
    let text_of = serde_json::to_vec(listed).map_err(|error| unwritable(&error))?;
    let packed = zstd::bulk::compress(&text_of, PACKING_LEVEL).map_err(|error| unwritable(&error))?;
    Ok(item([
        (PARTITION, text(list_partition(data_set, epoch))),
        (SORT, text(digits(number))),
        ("list", binary(&packed)),
    ]))
}

/// The list of the writes of an epoch's import, read some parts at a time.
pub(super) struct ChangeList {
    partition: String,
    /// The item to continue after; none at the end.
    next: Option<Option<Item>>,
}

/// Some parts of a list.
pub(super) struct ListParts {
    pub(super) listed: Vec<ListedChange>,
    /// The keys of their items.
    pub(super) keys: Vec<(String, String)>,
}

impl ChangeList {
    pub(super) fn of(data_set: &str, epoch: u64) -> Self {
        Self { partition: list_partition(data_set, epoch), next: Some(None) }
    }

    /// The next parts; none after the last.
    pub(super) async fn read(&mut self, dynamo: &Dynamo) -> Result<Option<ListParts>, StoreError> {
        let Some(after) = self.next.take() else { return Ok(None) };
        let request = items_of(dynamo, self.partition.clone()).key_condition_expression("#k = :k");
        let sent = request.limit(PARTS_AT_A_TIME).set_exclusive_start_key(after).send().await;
        let page = sent.map_err(|error| unavailable(&dynamo.table(schema::CHANGES), &error))?;
        self.next = page.last_evaluated_key.filter(|key| !key.is_empty()).map(Some);
        let mut parts = ListParts { listed: Vec::new(), keys: Vec::new() };
        for item in page.items.unwrap_or_default() {
            let packed = get_binary(&item, "list")?;
            let text = zstd::bulk::decompress(packed, PART_BYTES_MAX).map_err(|error| damaged("list", error))?;
            let listed: Vec<ListedChange> = serde_json::from_slice(&text).map_err(|error| damaged("list", error))?;
            parts.listed.extend(listed);
            parts.keys.push((get_text(&item, PARTITION)?.to_owned(), get_text(&item, SORT)?.to_owned()));
        }
        Ok(Some(parts))
    }
}

fn versions_partition(data_set: &str) -> String {
    format!("{data_set}#versions")
}

fn generations_partition(data_set: &str) -> String {
    format!("{data_set}#generations")
}

/// The keys of a version's item.
pub(super) fn version_key(data_set: &str, version: u64) -> (String, String) {
    (versions_partition(data_set), digits(version))
}

/// The keys of a generation's item.
pub(super) fn generation_key(data_set: &str, generation: u64) -> (String, String) {
    (generations_partition(data_set), digits(generation))
}

/// A version of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VersionItem {
    pub(super) epoch: u64,
    pub(super) at: Timestamp,
    /// The number of its kept changes.
    pub(super) changes: u64,
    /// The data set's state at that version.
    pub(super) state: DataSetState,
}

impl VersionItem {
    pub(super) fn item(&self, data_set: &str) -> Result<Item, serde_json::Error> {
        Ok(item([
            (PARTITION, text(versions_partition(data_set))),
            (SORT, text(digits(self.state.version))),
            ("epoch", number(self.epoch)),
            ("at", moment(self.at)),
            ("changes", number(self.changes)),
            ("state", text(serde_json::to_string(&self.state)?)),
        ]))
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        Ok(Self {
            epoch: get_number(item, "epoch")?,
            at: get_moment(item, "at")?,
            changes: get_number(item, "changes")?,
            state: serde_json::from_str(get_text(item, "state")?).map_err(|error| damaged("state", error))?,
        })
    }
}

/// The item of a generation of columns.
pub(super) fn generation(data_set: &str, number: u64, layout: &Layout) -> Result<Item, serde_json::Error> {
    Ok(item([
        (PARTITION, text(generations_partition(data_set))),
        (SORT, text(digits(number))),
        ("definition", text(serde_json::to_string(&**layout.definition())?)),
        ("since", text(layout.since_text())),
    ]))
}

fn digits(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

/// All known versions, in order.
pub(super) async fn versions(dynamo: &Dynamo, data_set: &str) -> Result<Vec<VersionItem>, StoreError> {
    all_items(dynamo, versions_partition(data_set)).await?.iter().map(VersionItem::read).collect()
}

/// The versions in a range, in order.
pub(super) async fn versions_between(
    dynamo: &Dynamo,
    data_set: &str,
    from: u64,
    to: u64,
) -> Result<Vec<VersionItem>, StoreError> {
    let request = items_of(dynamo, versions_partition(data_set))
        .key_condition_expression("#k = :k AND #r BETWEEN :from AND :to")
        .expression_attribute_names("#r", SORT)
        .expression_attribute_values(":from", text(digits(from)))
        .expression_attribute_values(":to", text(digits(to)));
    let items = fetch::query(&dynamo.table(schema::CHANGES), request, usize::MAX).await?;
    items.iter().map(VersionItem::read).collect()
}

/// The known generations of columns, in order.
pub(super) async fn generations(dynamo: &Dynamo, data_set: &str) -> Result<Vec<(u64, Arc<Layout>)>, StoreError> {
    let read = |item: &Item| {
        let generation = get_text(item, SORT)?.parse().map_err(|error| damaged(SORT, error))?;
        let definition: Definition =
            serde_json::from_str(get_text(item, "definition")?).map_err(|error| damaged("definition", error))?;
        Ok((generation, Arc::new(Layout::read(definition.into(), get_text(item, "since")?)?)))
    };
    all_items(dynamo, generations_partition(data_set)).await?.iter().map(read).collect()
}

async fn all_items(dynamo: &Dynamo, partition: String) -> Result<Vec<Item>, StoreError> {
    let request = items_of(dynamo, partition).key_condition_expression("#k = :k");
    fetch::query(&dynamo.table(schema::CHANGES), request, usize::MAX).await
}

fn items_of(dynamo: &Dynamo, partition: String) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
    let request = dynamo.client().query().table_name(dynamo.table(schema::CHANGES)).consistent_read(true);
    request.expression_attribute_names("#k", PARTITION).expression_attribute_values(":k", text(partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let listed = [
            ListedChange { kind: ChangeKind::Inserted, key: "k#1".to_owned(), id: "2".to_owned(), was: None },
            ListedChange { kind: ChangeKind::Removed, key: "k".to_owned(), id: String::new(), was: Some(9) },
        ];
        let item = part("things", 3, 0, &listed).unwrap();
        let text = zstd::bulk::decompress(get_binary(&item, "list").unwrap(), PART_BYTES_MAX).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<ListedChange>>(&text).unwrap(), listed);
    }
}
