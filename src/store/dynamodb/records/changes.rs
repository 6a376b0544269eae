//! What imports have changed: version by version, and of each in the order of keys and record ids.

use std::collections::{HashMap, HashSet};

use super::{
    Served, Shared, failed,
    fetch::Stream,
    merge::Merge,
    order::Range,
    past::{self, Change, Version, Whose},
    row,
    states::States,
};
use crate::{
    dataset::{
        Value, json,
        query::{Anchor, Position},
    },
    store::{
        StoreError,
        dynamodb::{
            Dynamo, fetch,
            item::{Item, get_text},
            records::write::Target,
        },
        records::{
            DataSet, Past, RecordStoreError, Since,
            past::{self as told, Kind, Listing},
            rules,
        },
    },
};

/// Versions that are read at a time.
const VERSIONS_AT_A_TIME: usize = 100;

/// Changes since a version or a change: at most so many.
pub(super) async fn changes(
    shared: &Shared,
    data_set: &DataSet,
    since: &Since,
    limit: u32,
) -> Result<Past, RecordStoreError> {
    let narrow = || rules::narrowing(&data_set.definition, false);
    let asked = since.version();
    shared
        .bounded(narrow, async {
            let served = shared.served_for(data_set, Some(asked)).await?;
            let changes = Feed::new(shared, &served, limit).answer(since).await;
            if !matches!(changes, Err(RecordStoreError::Corrupt { .. })) {
                return changes;
            }
            // Another node may have given up, and cleared away, what this one has not heard of yet.
            shared.refresh().await?;
            let served = shared.served_for(data_set, Some(asked)).await?;
            Feed::new(shared, &served, limit).answer(since).await
        })
        .await
}

/// Where to begin within a version.
#[derive(Default)]
enum After<'a> {
    #[default]
    Nothing,
    /// The place of a change.
    Place(String),
    /// A change whose place is to be found.
    Anchor(&'a Anchor),
}

/// A change of one version.
struct Found {
    version: Version,
    change: Change,
}

/// The table and sort keys of rows.
type RowKey = (String, String);

struct Feed<'a> {
    served: &'a Served,
    dynamo: &'a Dynamo,
    parallel_requests: usize,
    limit: u32,
    whose: Whose,
}

impl<'a> Feed<'a> {
    fn new(shared: &'a Shared, served: &'a Served, limit: u32) -> Self {
        Self {
            served,
            dynamo: &shared.dynamo,
            parallel_requests: shared.settings.parallel_requests.max(1),
            limit,
            whose: Whose::of(&served.manifest.data_set),
        }
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    fn failed(&self, error: StoreError) -> RecordStoreError {
        failed("read the changes of", &self.served.manifest.data_set.definition.name, error)
    }

    fn incomplete(&self, what: String) -> RecordStoreError {
        let name = self.served.manifest.data_set.definition.name.clone();
        RecordStoreError::Corrupt { name, reason: format!("{what} is missing") }
    }

    async fn answer(&self, since: &Since) -> Result<Past, RecordStoreError> {
        let data_set = &self.served.manifest.data_set;
        let version = since.whole_version();
        if version < data_set.changes_from {
            return Err(rules::gone(&data_set.definition, version, data_set.changes_from));
        }
        if version > data_set.version {
            let name = data_set.definition.name.clone();
            return Err(RecordStoreError::NoSuchVersion { name, version, present: data_set.version });
        }
        let after = match since {
            Since::Change(Position { values, .. }) => match values.as_slice() {
                [Value::Text(key), id] => After::Place(past::place(key, id)),
                _ => After::Nothing,
            },
            Since::Behind(anchor) => After::Anchor(anchor),
            Since::Version(_) => After::Nothing,
        };
        let found = self.found(version + 1, after).await?;
        self.shown(&found).await
    }

    /// The changes of a version, after a place in it, and of those that followed: one more than is asked for, if there are.
    async fn found(&self, first: u64, mut after: After<'_>) -> Result<Vec<Found>, RecordStoreError> {
        let present = self.served.manifest.data_set.version;
        let (mut found, mut next) = (Vec::new(), first);
        let mut versions = past::versions(&self.whose, first, present);
        while next <= present && !versions.is_done() {
            let read = versions.fetch(self.dynamo, &past::source(self.dynamo), Some(VERSIONS_AT_A_TIME)).await;
            for item in read.map_err(|error| self.failed(error))?.items {
                let version = Version::read(&item).map_err(|error| self.failed(error))?;
                if version.version != next {
                    return Err(self.incomplete(format!("version {next}")));
                }
                next += 1;
                if version.changes > 0 {
                    self.of_version(version, std::mem::take(&mut after), &mut found).await?;
                }
                if found.len() > self.limit() {
                    return Ok(found);
                }
            }
        }
        if next <= present {
            return Err(self.incomplete(format!("version {next}")));
        }
        Ok(found)
    }

    /// The changes of one version after a place.
    async fn of_version(
        &self,
        version: Version,
        after: After<'_>,
        found: &mut Vec<Found>,
    ) -> Result<(), RecordStoreError> {
        let (range, mut sought) = match after {
            After::Nothing => (None, None),
            After::Place(place) => (Some(Range::after(&place, false)), None),
            After::Anchor(anchor) => {
                let from = Range::starting("", anchor.beginning()).from;
                (Some(Range { from, to: char::MAX.to_string() }), Some(anchor))
            }
        };
        let is_whole = range.is_none();
        let shards = 0..self.served.manifest.layout.shards();
        let streams = shards.map(|shard| Stream::new(self.whose.changes(version.epoch, shard), range.clone()));
        let mut merge = Merge::new(past::source(self.dynamo), streams, self.parallel_requests);
        let mut count = 0;
        while found.len() <= self.limit() {
            let wanted = self.limit().saturating_sub(found.len()).saturating_add(1);
            let next = merge.next(self.dynamo, wanted).await.map_err(|error| self.failed(error))?;
            let Some(item) = next else {
                if sought.is_some() || (is_whole && count != version.changes) {
                    return Err(self.incomplete(format!("a change of version {}", version.version)));
                }
                break;
            };
            count += 1;
            let change = Change::read(&item).map_err(|error| self.failed(error))?;
            match sought {
                None => found.push(Found { version, change }),
                Some(anchor) => {
                    let values = [Value::Text(change.key.clone()), self.id(&change)?];
                    sought = Some(anchor).filter(|anchor| !anchor.is_at(&values));
                }
            }
        }
        Ok(())
    }

    fn id(&self, change: &Change) -> Result<Value, RecordStoreError> {
        rules::written_id(&self.served.manifest.data_set.definition, &change.id)
            .ok_or_else(|| self.incomplete(format!("the record id of {:?}", change.key)))
    }

    /// What the changes were from and to.
    async fn shown(&self, found: &[Found]) -> Result<Past, RecordStoreError> {
        let data_set = &self.served.manifest.data_set;
        let definition = &data_set.definition;
        let states = States::open(self.dynamo, &self.served.manifest).await?;
        // The last one may be there only to tell that more follow.
        let rows = self.rows(&states, found.get(..self.limit()).unwrap_or(found)).await?;
        let mut listing = Listing::new(self.limit);
        for Found { version, change } in found {
            if listing.is_full() {
                break;
            }
            let id = self.id(change)?;
            let (key, at) = (change.key.as_str(), told::moment(version.at));
            let shown = told::Change { version: version.version, at: Some(&at), kind: change.kind, key, id: &id };
            let place = Position { version: version.version, values: vec![Value::Text(key.to_owned()), id.clone()] };
            listing.add(place, |out| {
                shown.write(out, |was, out| {
                    let epoch = if was { change.was.unwrap_or_default() } else { version.epoch };
                    let item = rows
                        .get(&row_key(change, epoch))
                        .ok_or_else(|| self.incomplete(format!("a record of {key:?} at epoch {epoch}")))?;
                    let record = states.record(item).map_err(|error| self.failed(error))?;
                    json::write_record(definition, &record, out);
                    Ok(())
                })
            })?;
        }
        Ok(listing.finish(data_set.version))
    }

    /// The rows that the changes were from and to. One that was written anew for other columns stands in the place of what it
    /// was written for.
    async fn rows(&self, states: &States<'_>, found: &[Found]) -> Result<HashMap<RowKey, Item>, RecordStoreError> {
        let mut wanted: HashSet<RowKey> = HashSet::new();
        for Found { version, change } in found {
            wanted.extend(change.was.map(|epoch| row_key(change, epoch)));
            wanted.extend((change.kind != Kind::Removed).then(|| row_key(change, version.epoch)));
        }
        let mut rows = self.read(wanted.iter().cloned()).await?;
        // From each row that was written anew to the one that it was written for.
        let mut renewed: HashMap<RowKey, RowKey> = HashMap::new();
        for (key, item) in &rows {
            renewed.extend(self.renewal(states, key, item)?.map(|next| (next, key.clone())));
        }
        while !renewed.is_empty() {
            let mut later = HashMap::new();
            for (next, item) in self.read(renewed.keys().cloned()).await? {
                let Some(key) = renewed.get(&next) else { continue };
                let is_same = |item: &Item| states.span(item).map(|span| span.map(|span| span.version));
                let (before, now) = (rows.get(key).map(is_same).transpose(), is_same(&item));
                if before.map_err(|error| self.failed(error))?.flatten() != now.map_err(|error| self.failed(error))? {
                    continue;
                }
                later.extend(self.renewal(states, &next, &item)?.map(|further| (further, key.clone())));
                rows.insert(key.clone(), item);
            }
            renewed = later;
        }
        Ok(rows)
    }

    /// The key of the row by which another may have been written anew for other columns.
    fn renewal(&self, states: &States<'_>, key: &RowKey, item: &Item) -> Result<Option<RowKey>, RecordStoreError> {
        let span = states.span(item).map_err(|error| self.failed(error))?;
        let to = span.and_then(|span| span.to).filter(|to| states.changed_columns(*to));
        let id = row::split_sort_key(&key.1).map(|(id, _)| id);
        Ok(to.zip(id).map(|(to, id)| (key.0.clone(), row::sort_key(id, to))))
    }

    async fn read(&self, keys: impl Iterator<Item = RowKey>) -> Result<HashMap<RowKey, Item>, RecordStoreError> {
        let target = Target::new(self.served.table.clone(), &self.served.manifest.layout);
        let keys = keys.map(|(key, sort_key)| target.key_of(&key, &sort_key)).collect();
        let items = fetch::get_all(self.dynamo, &target.table, keys).await.map_err(|error| self.failed(error))?;
        let keyed = |item: Item| {
            let key = (get_text(&item, &target.key)?.to_owned(), get_text(&item, &target.id)?.to_owned());
            Ok((key, item))
        };
        items.into_iter().map(keyed).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }
}

fn row_key(change: &Change, epoch: u64) -> RowKey {
    (change.key.clone(), row::sort_key(&change.id, epoch))
}
