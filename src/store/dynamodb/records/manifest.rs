//! A data set's state beside its records: one item of the table `state`, written once by each import that succeeds.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    epochs::{Epochs, pairs, read_pairs},
    row::Layout,
};
use crate::{
    dataset::figures::TableFigures,
    store::{
        StoreError,
        dynamodb::{
            Dynamo, ITEM_BYTES_MAX, fetch,
            item::{self, Item, binary, damaged, find_number, get_number, get_text, number, put_some, text},
            schema,
        },
        records::{self, DataSet, state},
    },
};

/// The kind of these items: their partition key in the table `state`.
pub(super) const KIND: &str = "dataset";
/// The attribute for the visible epoch. Every write is conditional on it.
pub(super) const EPOCH: &str = "epoch";
/// The attribute for the epoch since which the table of records has to be swept.
pub(super) const OWED: &str = "owed";
/// The attribute with the figures of the columns: JSON, packed by zstd.
const FIGURES: &str = "figures";
/// The largest unpacked figures, bytes: more than a thousand columns with long names take.
const FIGURES_BYTES_MAX: usize = 1 << 20;
const PACKING_LEVEL: i32 = 3;
/// The format that this code reads and writes.
const FORMAT: u32 = 3;

/// A data set's state.
#[derive(Debug, Clone)]
pub(super) struct DataSetManifest {
    /// Its published state.
    pub(super) data_set: Arc<DataSet>,
    /// The epochs, which say which rows are seen.
    pub(super) epochs: Epochs,
    /// The epoch that its records begin with: older rows belong to records that were dropped as a whole.
    pub(super) born: u64,
    /// The generations of columns that ended: each with the epoch of the import that ended it, the first one first.
    pub(super) generations: Vec<(u64, u64)>,
    /// The last epoch whose list was cleared away, as were all earlier lists.
    pub(super) cleared: u64,
    /// The epoch since which rows hold values that must not be kept, until a sweep has removed these.
    pub(super) owed: Option<u64>,
    /// The layout of its records in the table.
    pub(super) layout: Arc<Layout>,
}

impl DataSetManifest {
    /// The generation of the columns that an epoch wrote.
    pub(super) fn generation_at(&self, epoch: u64) -> u64 {
        let ended = self.generations.iter().find(|(_, until)| *until > epoch);
        ended.map_or(self.data_set.generation, |(generation, _)| *generation)
    }

    pub(super) fn item(&self) -> Result<Item, serde_json::Error> {
        let (epoch, gaps, given_up) = self.epochs.to_texts();
        let mut item = item::item([
            ("k", text(KIND)),
            ("r", text(&self.data_set.definition.name)),
            ("format", number(FORMAT)),
            ("document", text(state::write_document(&self.data_set)?)),
            ("since", text(self.layout.since_text())),
            (EPOCH, number(epoch)),
            ("gaps", text(gaps)),
            ("given_up", text(given_up)),
            ("born", number(self.born)),
            ("generations", text(pairs(&self.generations))),
            ("cleared", number(self.cleared)),
        ]);
        put_some(&mut item, OWED, self.owed.map(number));
        if let Some(figures) = &self.data_set.figures {
            put_figures(&mut item, figures)?;
        }
        Ok(item)
    }

    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let format: u32 = get_number(item, "format")?;
        if format != FORMAT {
            return Err(StoreError::Incompatible(other_format(format)));
        }
        let figures = read_figures(get_text(item, "r")?, item);
        let data_set = state::read_document(get_text(item, "document")?, figures);
        let data_set = data_set.map_err(|error| damaged("document", error))?;
        let layout = Layout::read(Arc::clone(&data_set.definition), get_text(item, "since")?)?;
        let epochs = Epochs::from_texts(get_number(item, EPOCH)?, get_text(item, "gaps")?, get_text(item, "given_up")?)
            .map_err(|error| damaged("gaps", error))?;
        Ok(Self {
            data_set: Arc::new(data_set),
            epochs,
            born: get_number(item, "born")?,
            generations: read_pairs(get_text(item, "generations")?).map_err(|error| damaged("generations", error))?,
            cleared: get_number(item, "cleared")?,
            owed: find_number(item, OWED)?,
            layout: Arc::new(layout),
        })
    }
}

/// The key of a data set's item.
pub(super) fn key(name: &str) -> Item {
    item::item([("k", text(KIND)), ("r", text(name))])
}

/// The state of a data set, if an import into it was ever committed.
pub(super) async fn of(dynamo: &Dynamo, name: &str) -> Result<Option<DataSetManifest>, StoreError> {
    let found = fetch::get(dynamo, &dynamo.table(schema::STATE), key(name)).await?;
    found.map(|item| DataSetManifest::read(&item)).transpose()
}

/// The states of all data sets by name, or the error of a state that cannot be read.
pub(super) async fn all(dynamo: &Dynamo) -> Result<Vec<(String, Result<DataSetManifest, StoreError>)>, StoreError> {
    let items = fetch::of_kind(dynamo, KIND).await?;
    items.iter().map(|item| Ok((get_text(item, "r")?.to_owned(), DataSetManifest::read(item)))).collect()
}

/// Adds the figures of the columns, packed, since the state is read again and again. Leaves them out if they do not fit beside a
/// long definition.
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

fn read_figures(name: &str, item: &Item) -> Option<Arc<TableFigures>> {
    let Some(AttributeValue::B(packed)) = item.get(FIGURES) else { return None };
    // If they cannot be unpacked, `read_figures` reports it.
    let document = zstd::bulk::decompress(packed.as_ref(), FIGURES_BYTES_MAX).unwrap_or_default();
    records::read_figures(name, &document)
}

/// The message for a data set of another format, with what to do.
fn other_format(format: u32) -> String {
    let advice = if format > FORMAT {
        "use the newer permitd that wrote it".to_owned()
    } else {
        format!(
            "an older permitd wrote it. Export its records with that one, delete its item of the table state ({{k: {KIND:?}, r: its \
             name}}) and its table of records, run `permitd aws setup`, and import them again"
        )
    };
    format!("a data set is of the format {format}, and this permitd reads {FORMAT}: {advice}")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use uuid::Uuid;

    use super::*;
    use crate::{
        dataset::figures::TableTally,
        store::records::{DataSetStanding, ImportResult, LastImport, samples::definition},
    };

    fn manifest() -> DataSetManifest {
        let result =
            ImportResult { version: 3, changed: true, inserted: 1, updated: 2, unchanged: 3, removed: 4, rejected: 5 };
        let last_import = LastImport { id: Uuid::from_u128(7), day: date(2026, 3, 1), result };
        let definition = Arc::new(definition());
        let data_set = DataSet {
            definition: Arc::clone(&definition),
            instance: Uuid::from_u128(5),
            version: 3,
            generation: 2,
            held_from: 2,
            changes_from: 1,
            records: 6,
            last_import,
            standing: DataSetStanding { withdrawn: true, former_names: Vec::new() },
            figures: Some(Arc::new(TableTally::new(&definition).finish(3, jiff::Timestamp::UNIX_EPOCH))),
        };
        DataSetManifest {
            data_set: Arc::new(data_set),
            epochs: Epochs::default().committed(7, 2, 5),
            born: 2,
            generations: vec![(1, 4)],
            cleared: 2,
            owed: Some(7),
            layout: Arc::new(Layout::new(definition)),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let manifest = manifest();
        let item = manifest.item().unwrap();
        let read = DataSetManifest::read(&item).unwrap();
        assert_eq!(read.item().unwrap(), item);
        assert_eq!(read.data_set.figures, manifest.data_set.figures);
        assert_eq!((read.data_set.standing.withdrawn, read.owed, read.born), (true, Some(7), 2));
        assert_eq!([1, 3, 4, 7].map(|epoch| read.generation_at(epoch)), [1, 1, 2, 2]);
    }

    #[test]
    fn another_format_is_refused_with_what_to_do() {
        for (format, advice) in [(2, "permitd aws setup"), (4, "newer permitd")] {
            let mut item = manifest().item().unwrap();
            item.insert("format".to_owned(), number(format));
            let refused = DataSetManifest::read(&item).unwrap_err().to_string();
            assert!(refused.contains(advice), "{refused}");
        }
    }
}
