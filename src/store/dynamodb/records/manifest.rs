//! What is kept of a data set beside its records: one item of the table `state`, written once by each import that succeeds.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;

use super::{epochs::Epochs, row::Layout};
use crate::{
    dataset::Definition,
    store::{
        StoreError,
        dynamodb::item::{Item, damaged, get_number, get_text, number, text},
        records::{DataSet, ImportResult, LastImport},
    },
};

/// The kind of these items: their partition key in the table `state`.
pub(super) const KIND: &str = "dataset";
/// The attribute of the visible epoch, which every write is conditional on.
pub(super) const EPOCH: &str = "epoch";
/// The layout that this code reads and writes.
const FORMAT: u32 = 2;

/// A data set's state.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    /// What is published of it.
    pub(super) data_set: Arc<DataSet>,
    /// Which rows are seen.
    pub(super) epochs: Epochs,
    /// How its rows lie in the table.
    pub(super) layout: Arc<Layout>,
}

impl Manifest {
    pub(super) fn new(data_set: DataSet, epochs: Epochs, shards: u32) -> Self {
        let layout = Arc::new(Layout::new(Arc::clone(&data_set.definition), shards));
        Self { data_set: Arc::new(data_set), epochs, layout }
    }

    pub(super) fn item(&self) -> Result<Item, serde_json::Error> {
        let DataSet { definition, instance, version, generation, held_from, changes_from, records, last_import } =
            &*self.data_set;
        let LastImport { id, day, result } = last_import;
        let (epoch, gaps, moments) = self.epochs.to_texts();
        let attributes: [(&str, AttributeValue); 22] = [
            ("k", text(KIND)),
            ("r", text(&definition.name)),
            ("format", number(FORMAT)),
            ("instance", text(instance.to_string())),
            ("version", number(version)),
            ("held_from", number(held_from)),
            ("changes_from", number(changes_from)),
            ("generation", number(generation)),
            ("records", number(records)),
            ("shards", number(self.layout.shards())),
            ("definition", text(serde_json::to_string(&**definition)?)),
            (EPOCH, number(epoch)),
            ("gaps", text(gaps)),
            ("moments", text(moments)),
            ("import_id", text(id.to_string())),
            ("import_day", text(day.to_string())),
            ("changed", number(u8::from(result.changed))),
            ("inserted", number(result.inserted)),
            ("updated", number(result.updated)),
            ("unchanged", number(result.unchanged)),
            ("removed", number(result.removed)),
            ("rejected", number(result.rejected)),
        ];
        Ok(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Reads an item. The definition of `before` is kept where it is the same, and what follows from it.
    pub(super) fn read(item: &Item, before: Option<&Self>) -> Result<Self, StoreError> {
        let format: u32 = get_number(item, "format")?;
        if format != FORMAT {
            let text =
                format!("a data set is of the format {format}, and this permitd reads {FORMAT}: use a newer permitd");
            return Err(StoreError::Incompatible(text));
        }
        let definition: Definition =
            serde_json::from_str(get_text(item, "definition")?).map_err(|error| damaged("definition", error))?;
        let shards: u32 = get_number(item, "shards")?;
        let layout = before.map(|before| &before.layout);
        let layout = match layout.filter(|layout| **layout.definition() == definition && layout.shards() == shards) {
            Some(layout) => Arc::clone(layout),
            None => Arc::new(Layout::new(Arc::new(definition), shards)),
        };
        let epochs = Epochs::from_texts(get_number(item, EPOCH)?, get_text(item, "gaps")?, get_text(item, "moments")?)
            .map_err(|error| damaged("gaps", error))?;
        let version = get_number(item, "version")?;
        let result = ImportResult {
            version,
            changed: get_number::<u8>(item, "changed")? == 1,
            inserted: get_number(item, "inserted")?,
            updated: get_number(item, "updated")?,
            unchanged: get_number(item, "unchanged")?,
            removed: get_number(item, "removed")?,
            rejected: get_number(item, "rejected")?,
        };
        let day: Date = get_text(item, "import_day")?.parse().map_err(|error| damaged("import_day", error))?;
        let id = get_text(item, "import_id")?.parse().map_err(|error| damaged("import_id", error))?;
        let data_set = DataSet {
            definition: Arc::clone(layout.definition()),
            instance: get_text(item, "instance")?.parse().map_err(|error| damaged("instance", error))?,
            version,
            generation: get_number(item, "generation")?,
            held_from: get_number(item, "held_from")?,
            changes_from: get_number(item, "changes_from")?,
            records: get_number(item, "records")?,
            last_import: LastImport { id, day, result },
        };
        Ok(Self { data_set: Arc::new(data_set), epochs, layout })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;
    use crate::store::records::samples::definition;

    fn manifest() -> Manifest {
        let result =
            ImportResult { version: 3, changed: true, inserted: 1, updated: 2, unchanged: 3, removed: 4, rejected: 5 };
        let last_import = LastImport { id: Uuid::from_u128(7), day: date(2026, 3, 1), result };
        let data_set = DataSet {
            definition: Arc::new(definition()),
            instance: Uuid::from_u128(5),
            version: 3,
            generation: 2,
            held_from: 2,
            changes_from: 1,
            records: 6,
            last_import,
        };
        Manifest::new(data_set, Epochs::default().committed(2, 5), 4)
    }

    #[test]
    fn it_is_read_as_it_was_stored() {
        let stored = manifest();
        let item = stored.item().unwrap();
        let read = Manifest::read(&item, None).unwrap();
        assert_eq!(format!("{:?}", read), format!("{stored:?}"));
        let again = Manifest::read(&item, Some(&read)).unwrap();
        assert!(Arc::ptr_eq(&read.layout, &again.layout), "the same definition is kept");
    }

    #[test]
    fn another_format_is_refused() {
        let mut item = manifest().item().unwrap();
        item.insert("format".to_owned(), number(3));
        assert!(matches!(Manifest::read(&item, None), Err(StoreError::Incompatible(_))));
        item.remove("format");
        assert!(matches!(Manifest::read(&item, None), Err(StoreError::Corrupt(_))));
    }
}
