//! The table `changes`: what each import inserted, updated and removed, when versions came to be, and what columns they had.
//!
//! | partition key | sort key | item |
//! |---|---|---|
//! | `<data set>#<instance>#<epoch>#<shard>` | the record's place in the order of keys and ids | a change, with the epoch of what the record was before |
//! | `<data set>#<instance>#versions` | the version | its epoch, its moment, how many changes it has |
//! | `<data set>#<instance>#generations` | the generation | the definition that it ended with |
//!
//! What a record was and became is in the table of records. Changes count when their epoch does. The instance keeps those of a
//! data set apart from those of one of the same name that is gone.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    fetch::{Source, Stream},
    order::{self, Range},
};
use crate::{
    dataset::Value,
    store::{
        StoreError,
        dynamodb::{
            Dynamo,
            item::{
                Item, damaged, find_number, get_moment, get_number, get_text, item, moment, number, put_some, text,
            },
            schema,
        },
        records::{DataSet, past::Kind, retention::Known},
    },
};

/// The attribute of the partition key.
pub(super) const PARTITION: &str = "k";
/// The attribute of the sort key.
pub(super) const SORT: &str = "r";
/// Digits of a version or generation in a sort key.
const DIGITS: usize = 20;

/// Whose past it is.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    name: String,
    instance: Uuid,
}

impl Whose {
    pub(super) fn new(name: &str, instance: Uuid) -> Self {
        Self { name: name.to_owned(), instance }
    }

    pub(super) fn of(data_set: &DataSet) -> Self {
        Self::new(&data_set.definition.name, data_set.instance)
    }

    fn partition(&self, what: &str) -> String {
        format!("{}#{}#{what}", self.name, self.instance.simple())
    }

    /// The partition of one shard of an epoch's changes.
    pub(super) fn changes(&self, epoch: u64, shard: u32) -> String {
        self.partition(&format!("{epoch}#{shard}"))
    }

    fn versions(&self) -> String {
        self.partition("versions")
    }

    fn generations(&self) -> String {
        self.partition("generations")
    }
}

/// A change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) key: String,
    /// The record id, as it is written.
    pub(super) id: String,
    /// The epoch of what the record was before, if it was there.
    pub(super) was: Option<u64>,
}

impl Change {
    /// The item of a change. `id` is its record id as a value.
    pub(super) fn item(&self, partition: String, id: &Value) -> Item {
        let mut item = item([
            (PARTITION, text(partition)),
            (SORT, text(place(&self.key, id))),
            ("change", text(self.kind.name())),
            ("key", text(&self.key)),
            ("id", text(&self.id)),
        ]);
        put_some(&mut item, "was", self.was.map(number));
        item
    }

    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let name = get_text(item, "change")?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        Ok(Self {
            kind: kind.ok_or_else(|| damaged("change", "there is no such change"))?,
            key: get_text(item, "key")?.to_owned(),
            id: get_text(item, "id")?.to_owned(),
            was: find_number(item, "was")?,
        })
    }
}

/// The place of a change among those of its version.
pub(super) fn place(key: &str, id: &Value) -> String {
    order::place([&Value::Text(key.to_owned()), id])
}

/// A version that came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) version: u64,
    pub(super) epoch: u64,
    pub(super) at: Timestamp,
    /// How many changes of it are kept.
    pub(super) changes: u64,
}

impl Version {
    /// What tells how long it is kept.
    pub(super) fn known(&self) -> Known {
        Known { version: self.version, at: self.at, changes: self.changes }
    }

    pub(super) fn item(&self, whose: &Whose) -> Item {
        item([
            (PARTITION, text(whose.versions())),
            (SORT, text(digits(self.version))),
            ("epoch", number(self.epoch)),
            ("at", moment(self.at)),
            ("changes", number(self.changes)),
        ])
    }

    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        Ok(Self {
            version: get_text(item, SORT)?.parse().map_err(|error| damaged(SORT, error))?,
            epoch: get_number(item, "epoch")?,
            at: get_moment(item, "at")?,
            changes: get_number(item, "changes")?,
        })
    }
}

/// The item of the definition that a generation of columns ended with.
pub(super) fn generation(whose: &Whose, generation: u64, definition: String) -> Item {
    item([(PARTITION, text(whose.generations())), (SORT, text(digits(generation))), ("definition", text(definition))])
}

/// The partition key and sort key of a version's item.
pub(super) fn version_key(whose: &Whose, version: u64) -> (String, String) {
    (whose.versions(), digits(version))
}

/// The partition key and sort key of a generation's item.
pub(super) fn generation_key(whose: &Whose, generation: u64) -> (String, String) {
    (whose.generations(), digits(generation))
}

fn digits(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

/// How the table is read.
pub(super) fn source(dynamo: &Dynamo) -> Source {
    Source {
        table: dynamo.table(schema::CHANGES),
        index: None,
        partition: PARTITION.to_owned(),
        sort: SORT.to_owned(),
        descending: false,
        consistent: true,
        costs: false,
    }
}

/// The versions from one on up to another, in order.
pub(super) fn versions(whose: &Whose, from: u64, to: u64) -> Stream {
    Stream::new(whose.versions(), Some(Range { from: digits(from), to: digits(to) }))
}

/// All that is known of versions, in order.
pub(super) async fn all_versions(dynamo: &Dynamo, whose: &Whose) -> Result<Vec<Version>, StoreError> {
    all(dynamo, whose.versions()).await?.iter().map(Version::read).collect()
}

/// The definitions that generations ended with.
pub(super) async fn all_generations(dynamo: &Dynamo, whose: &Whose) -> Result<Vec<(u64, String)>, StoreError> {
    let read = |item: &Item| {
        let generation = get_text(item, SORT)?.parse().map_err(|error| damaged(SORT, error))?;
        Ok((generation, get_text(item, "definition")?.to_owned()))
    };
    all(dynamo, whose.generations()).await?.iter().map(read).collect()
}

async fn all(dynamo: &Dynamo, partition: String) -> Result<Vec<Item>, StoreError> {
    let (mut stream, mut items) = (Stream::new(partition, None), Vec::new());
    while !stream.is_done() {
        items.extend(stream.fetch(dynamo, &source(dynamo), None).await?.items);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_as_they_were_written() {
        let whose = Whose::new("things", Uuid::from_u128(7));
        let (inserted, id) = (Kind::Inserted, Value::Integer(2));
        let change = Change { kind: inserted, key: "k#1".to_owned(), id: "2".to_owned(), was: None };
        assert_eq!(Change::read(&change.item(whose.changes(3, 1), &id)).unwrap(), change);
        let removed = Change { kind: Kind::Removed, was: Some(9), ..change };
        assert_eq!(Change::read(&removed.item(whose.changes(3, 1), &id)).unwrap(), removed);
        let at = Timestamp::from_microsecond(3_000_007).unwrap();
        let one = Version { version: 12, epoch: 15, at, changes: 4 };
        assert_eq!(Version::read(&one.item(&whose)).unwrap(), one);
    }
}
