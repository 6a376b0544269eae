//! What is kept of a data set beside its records: one item of the table `state`, written once by each import that succeeds.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;

use super::{
    epochs::{Epochs, pairs, read_pairs},
    held::Held,
    row::Layout,
};
use crate::{
    dataset::{Definition, figures::TableFigures},
    store::{
        StoreError,
        dynamodb::{
            ITEM_BYTES_MAX,
            item::{self, Item, binary, damaged, get_number, get_text, number, text},
        },
        records::{self, DataSet, DataSetStanding, ImportResult, LastImport},
    },
};

/// The kind of these items: their partition key in the table `state`.
pub(super) const KIND: &str = "dataset";
/// The attribute of the visible epoch, which every write is conditional on.
pub(super) const EPOCH: &str = "epoch";
/// The attribute that an item has while the data set is served to nobody.
pub(super) const WITHDRAWN: &str = "withdrawn";
/// The attribute with the figures of the columns: JSON, packed by zstd.
const FIGURES: &str = "figures";
/// Figures unpacked, bytes at most: more than a thousand columns with long names take.
const FIGURES_BYTES_MAX: usize = 1 << 20;
const PACKING_LEVEL: i32 = 3;
/// The layout that this code reads and writes.
const FORMAT: u32 = 2;

/// A data set's state.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    /// What is published of it.
    pub(super) data_set: Arc<DataSet>,
    /// Which rows are seen.
    pub(super) epochs: Epochs,
    /// What is known of the past.
    pub(super) kept: Kept,
    /// How its rows lie in the table.
    pub(super) layout: Arc<Layout>,
}

/// What is known of the past of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The versions that can be read as they were.
    pub(super) held: Held,
    /// The generations of columns that ended: each with the epoch of the import that ended it, the first one first. Their
    /// definitions are in the table `changes`.
    pub(super) generations: Vec<(u64, u64)>,
    /// The changes of epochs up to this one are cleared away.
    pub(super) cleared: u64,
}

impl Manifest {
    pub(super) fn new(data_set: DataSet, epochs: Epochs, kept: Kept, shards: u32) -> Self {
        let layout = Arc::new(Layout::new(Arc::clone(&data_set.definition), shards));
        Self { data_set: Arc::new(data_set), epochs, kept, layout }
    }

    /// The epoch at which a version is read, if it is held.
    pub(super) fn epoch(&self, version: u64) -> Option<u64> {
        let DataSet { version: present, held_from, .. } = *self.data_set;
        if version == present {
            return Some(self.epochs.visible());
        }
        self.kept.held.epoch(version).filter(|_| (held_from..present).contains(&version))
    }

    pub(super) fn item(&self) -> Result<Item, serde_json::Error> {
        let DataSet {
            definition,
            instance,
            version,
            generation,
            held_from,
            changes_from,
            records,
            last_import,
            standing,
            figures,
        } = &*self.data_set;
        let LastImport { id, day, result } = last_import;
        let (epoch, gaps, given_up) = self.epochs.to_texts();
        let Kept { held, generations, cleared } = &self.kept;
        let attributes: [(&str, AttributeValue); 25] = [
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
            ("given_up", text(given_up)),
            ("held", text(held.to_text())),
            ("generations", text(pairs(generations))),
            ("cleared", number(cleared)),
            ("import_id", text(id.to_string())),
            ("import_day", text(day.to_string())),
            ("changed", number(u8::from(result.changed))),
            ("inserted", number(result.inserted)),
            ("updated", number(result.updated)),
            ("unchanged", number(result.unchanged)),
            ("removed", number(result.removed)),
            ("rejected", number(result.rejected)),
        ];
        let mut item: Item = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if standing.withdrawn {
            item.insert(WITHDRAWN.to_owned(), AttributeValue::Bool(true));
        }
        if let Some(figures) = figures {
            put_figures(&mut item, figures)?;
        }
        Ok(item)
    }

    /// Reads an item. The definition of `before` is kept where it is the same, and what follows from it.
    pub(super) fn read(item: &Item, before: Option<&Self>) -> Result<Self, StoreError> {
        let format: u32 = get_number(item, "format")?;
        if format != FORMAT {
            return Err(StoreError::Incompatible(other_format(format)));
        }
        let definition: Definition =
            serde_json::from_str(get_text(item, "definition")?).map_err(|error| damaged("definition", error))?;
        let shards: u32 = get_number(item, "shards")?;
        let layout = before.map(|before| &before.layout);
        let layout = match layout.filter(|layout| **layout.definition() == definition && layout.shards() == shards) {
            Some(layout) => Arc::clone(layout),
            None => Arc::new(Layout::new(Arc::new(definition), shards)),
        };
        let epochs = Epochs::from_texts(get_number(item, EPOCH)?, get_text(item, "gaps")?, get_text(item, "given_up")?)
            .map_err(|error| damaged("gaps", error))?;
        let kept = Kept {
            held: Held::from_text(get_text(item, "held")?).map_err(|error| damaged("held", error))?,
            generations: read_pairs(get_text(item, "generations")?).map_err(|error| damaged("generations", error))?,
            cleared: get_number(item, "cleared")?,
        };
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
            // No data set has another name here than the one that it began with.
            standing: DataSetStanding { withdrawn: item.contains_key(WITHDRAWN), former_names: Vec::new() },
            figures: read_figures(&layout.definition().name, item),
        };
        Ok(Self { data_set: Arc::new(data_set), epochs, kept, layout })
    }
}

/// Adds the figures of the columns, packed: the state is read again and again. Where they do not fit in beside a long definition it
/// goes without them.
fn put_figures(item: &mut Item, figures: &TableFigures) -> Result<(), serde_json::Error> {
    let packed = zstd::bulk::compress(&serde_json::to_vec(figures)?, PACKING_LEVEL).map_err(serde_json::Error::io)?;
    let bytes = FIGURES.len() + packed.len() + item::bytes(item);
    if bytes > ITEM_BYTES_MAX {
        tracing::warn!(
            bytes,
            "the figures of a data set's columns do not fit in beside its definition, and are left out"
        );
        return Ok(());
    }
    item.insert(FIGURES.to_owned(), binary(&packed));
    Ok(())
}

/// The figures of the columns. An import of an older permitd left none.
fn read_figures(name: &str, item: &Item) -> Option<Arc<TableFigures>> {
    let Some(AttributeValue::B(packed)) = item.get(FIGURES) else { return None };
    // What cannot be unpacked is not understood: it is said there.
    let document = zstd::bulk::decompress(packed.as_ref(), FIGURES_BYTES_MAX).unwrap_or_default();
    records::read_figures(name, &document)
}

/// What to do about a data set of another layout.
fn other_format(format: u32) -> String {
    let advice = if format > FORMAT {
        "use the newer permitd that wrote it".to_owned()
    } else {
        format!(
            "an older permitd wrote it. Delete its item of the table state ({{k: {KIND:?}, r: its name}}) and its table \
             of records, run `permitd aws setup`, and import it again"
        )
    };
    format!("a data set is of the format {format}, and this permitd reads {FORMAT}: {advice}")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;
    use crate::{dataset::figures::TableTally, store::records::samples::definition};

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
            standing: DataSetStanding { withdrawn: true, former_names: Vec::new() },
            figures: Some(Arc::new(TableTally::new(&definition()).finish(3, jiff::Timestamp::UNIX_EPOCH))),
        };
        let kept = Kept { held: Held::only(2, 4).followed_by(3, 7), generations: vec![(1, 4)], cleared: 2 };
        Manifest::new(data_set, Epochs::default().committed(7, 2, 5), kept, 4)
    }

    #[test]
    fn a_version_that_is_held_has_an_epoch() {
        let manifest = manifest();
        assert_eq!([1, 2, 3, 4].map(|version| manifest.epoch(version)), [None, Some(4), Some(7), None]);
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
    fn a_state_goes_without_figures_that_cannot_be_read_or_kept() {
        let mut item = manifest().item().unwrap();
        item.insert(FIGURES.to_owned(), binary(b"no figures"));
        assert_eq!(Manifest::read(&item, None).unwrap().data_set.figures, None);
        item.remove(FIGURES);
        assert_eq!(Manifest::read(&item, None).unwrap().data_set.figures, None);
        item.insert("definition".to_owned(), text("x".repeat(ITEM_BYTES_MAX)));
        put_figures(&mut item, manifest().data_set.figures.as_ref().unwrap()).unwrap();
        assert!(!item.contains_key(FIGURES));
    }

    #[test]
    fn another_format_is_refused() {
        let mut item = manifest().item().unwrap();
        for (format, advice) in [(FORMAT + 1, "newer permitd"), (FORMAT - 1, "import it again")] {
            item.insert("format".to_owned(), number(format));
            let Err(StoreError::Incompatible(text)) = Manifest::read(&item, None) else { panic!("{format} is read") };
            assert!(text.contains(advice), "{text}");
        }
        item.remove("format");
        assert!(matches!(Manifest::read(&item, None), Err(StoreError::Corrupt(_))));
    }
}
