//! The states that the records of a key had.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use super::{
    Served, Shared, failed,
    fetch::{Source, Stream},
    past::{self, Version, Whose},
    states::{Span, States},
};
use crate::{
    dataset::{
        Value, json,
        query::{PageStart, Position, ascending},
    },
    store::{
        StoreError,
        dynamodb::{Dynamo, PARTITION_KEY_BYTES_MAX, fetch, item::Item, records::write::Target, schema},
        records::{
            DataSet, Past, RecordStoreError,
            past::{self as told, Listing},
            rules,
        },
    },
};

/// The states of the records that bear a key, or of one of them: at most so many.
pub(super) async fn history(
    shared: &Shared,
    data_set: &DataSet,
    (key, record_id): (&str, Option<&str>),
    after: Option<&PageStart>,
    limit: u32,
) -> Result<Option<Past>, RecordStoreError> {
    if key.is_empty() || key.len() > PARTITION_KEY_BYTES_MAX {
        return Ok(None);
    }
    let id = match record_id {
        None => None,
        Some(text) => match rules::written_id(&data_set.definition, text) {
            Some(id) => Some(id),
            None => return Ok(None),
        },
    };
    let narrow = || rules::narrowing(&data_set.definition, false);
    shared
        .bounded(narrow, async {
            let served = shared.served_for(data_set, None).await?;
            let looking = Looking { served: &served, dynamo: &shared.dynamo, key, id: id.as_ref(), limit };
            let found = looking.answer(shared.settings.find_records_max, after).await;
            if !matches!(found, Err(RecordStoreError::Corrupt { .. })) {
                return found;
            }
            // Another node may have given up, and cleared away, what this one has not heard of yet.
            shared.refresh().await?;
            let served = shared.served_for(data_set, None).await?;
            let looking = Looking { served: &served, ..looking };
            looking.answer(shared.settings.find_records_max, after).await
        })
        .await
}

/// What a record was for a time.
struct State {
    id: Value,
    span: Span,
    /// The last row of it: others were written before for other columns.
    item: Item,
}

impl State {
    /// Its place among others: that of the record id, then of time.
    fn compare(&self, id: &Value, version: u64) -> Ordering {
        ascending(&self.id, id).then(self.span.version.cmp(&version))
    }
}

struct Looking<'a> {
    served: &'a Served,
    dynamo: &'a Dynamo,
    key: &'a str,
    /// The one record that is asked for.
    id: Option<&'a Value>,
    limit: u32,
}

impl Looking<'_> {
    fn failed(&self, error: StoreError) -> RecordStoreError {
        failed("read", &self.served.manifest.data_set.definition.name, error)
    }

    async fn answer(&self, records_max: u64, after: Option<&PageStart>) -> Result<Option<Past>, RecordStoreError> {
        let data_set = &self.served.manifest.data_set;
        let states = States::open(self.dynamo, &self.served.manifest).await?;
        let mut found = self.states(&states, records_max).await?;
        if let Some(place) = after {
            let (id, version) = self.placed(place, &found)?;
            found.retain(|state| state.compare(&id, version).is_gt());
        } else if found.is_empty() {
            return Ok(None);
        }
        let shown = found.get(..usize::try_from(self.limit).unwrap_or(usize::MAX)).unwrap_or(&found);
        let moments = self.moments(shown).await?;
        let mut listing = Listing::new(self.limit);
        for State { id, span, item } in &found {
            if listing.is_full() {
                break;
            }
            let at = |version: u64| (version, moments.get(&version).map(String::as_str));
            let state = told::State { id, from: at(span.version), until: span.until.map(at) };
            let record = states.record(item).map_err(|error| self.failed(error))?;
            let place = Position { version: span.version, values: vec![id.clone()] };
            listing.add(place, |out| {
                state.write(out, |out| {
                    json::write_record(&data_set.definition, &record, out);
                    Ok::<_, RecordStoreError>(())
                })
            })?;
        }
        Ok(Some(listing.finish(data_set.version)))
    }

    /// The record id and version of the state to go on after, found again where its cursor did not take the id along.
    fn placed(&self, place: &PageStart, found: &[State]) -> Result<(Value, u64), RecordStoreError> {
        match place {
            PageStart::At(position) => Ok((position.values.first().cloned().unwrap_or(Value::Null), position.version)),
            PageStart::Behind(anchor) => {
                let state = found.iter().find(|state| anchor.is_at(std::slice::from_ref(&state.id)));
                let data_set = &self.served.manifest.data_set;
                let gone = || rules::gone(&data_set.definition, anchor.version, data_set.changes_from);
                Ok((state.ok_or_else(gone)?.id.clone(), anchor.version))
            }
        }
    }

    /// All states that are kept, in order.
    async fn states(&self, states: &States<'_>, records_max: u64) -> Result<Vec<State>, RecordStoreError> {
        let layout = &self.served.manifest.layout;
        let source = Source {
            table: self.served.table.clone(),
            index: None,
            partition: layout.key_attribute().to_owned(),
            sort: layout.id_attribute().to_owned(),
            descending: false,
            consistent: true,
            costs: false,
        };
        let floor = self.served.manifest.epochs.floor();
        let mut stream = Stream::new(self.key.to_owned(), None);
        let (mut found, mut looked): (BTreeMap<(String, u64), State>, u64) = (BTreeMap::new(), 0);
        while !stream.is_done() {
            let fetched = stream.fetch(self.dynamo, &source, None).await.map_err(|error| self.failed(error))?;
            looked += u64::try_from(fetched.items.len()).unwrap_or(u64::MAX);
            if looked > records_max {
                let narrow = "this key has too many records and states: import fewer of them, or keep their past for \
                              a shorter time"
                    .to_owned();
                return Err(RecordStoreError::TooMuchToRead { records_max, narrow });
            }
            for item in fetched.items {
                let span = states.span(&item).map_err(|error| self.failed(error))?;
                let Some(span) = span.filter(|span| span.to.is_none_or(|to| to > floor)) else { continue };
                let id = layout.record_id(&item).map_err(|error| self.failed(error))?;
                if self.id.is_some_and(|wanted| ascending(wanted, &id).is_ne()) {
                    continue;
                }
                let state = State { id, span, item };
                match found.entry((state.id.to_string(), span.version)) {
                    Entry::Occupied(mut known) if known.get().span.from < span.from => {
                        known.insert(state);
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(place) => {
                        place.insert(state);
                    }
                }
            }
        }
        let mut found: Vec<State> = found.into_values().collect();
        found.sort_by(|left, right| left.compare(&right.id, right.span.version));
        Ok(found)
    }

    /// When the versions came to be that states begin and end with, as far as that is kept.
    async fn moments(&self, found: &[State]) -> Result<BTreeMap<u64, String>, RecordStoreError> {
        let data_set = &self.served.manifest.data_set;
        let ends = found.iter().flat_map(|state| [Some(state.span.version), state.span.until]).flatten();
        let kept: BTreeSet<u64> = ends.filter(|version| *version >= data_set.changes_from).collect();
        let (whose, table) = (Whose::of(data_set), self.dynamo.table(schema::CHANGES));
        let target = Target { table, key: past::PARTITION.to_owned(), id: past::SORT.to_owned() };
        let keys = kept.into_iter().map(|version| {
            let (partition, sort) = past::version_key(&whose, version);
            target.key_of(&partition, &sort)
        });
        let items = fetch::get_all(self.dynamo, &target.table, keys.collect()).await;
        let read = |item: &Item| Version::read(item).map(|version| (version.version, told::moment(version.at)));
        let moments = items.and_then(|items| items.iter().map(read).collect::<Result<_, _>>());
        moments.map_err(|error| self.failed(error))
    }
}
