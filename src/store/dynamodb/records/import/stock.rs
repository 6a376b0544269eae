//! What an import finds: the table as it should be, and the records that are stored.

use std::{collections::BTreeSet, sync::Arc};

use aws_sdk_dynamodb::types::{IndexStatus, KeyType, TableDescription, TableStatus};
use tokio::task::JoinSet;

use super::{
    super::{
        row,
        scratch::{Fate, Owed, OwedRow, OwedUntil, Stored},
        states,
        withdrawn::Published,
    },
    OpenImport,
};
use crate::{
    dataset::{Definition, Record, Value},
    store::{
        StoreError,
        dynamodb::{
            BATCH_READS_MAX, Dynamo, fetch,
            item::{Item, get_text},
            unavailable,
        },
        records::{DIFFERENCES_MAX, RecordStoreError, outcome::Columns, rules},
    },
};

/// Segments that the table is read in at most: each holds a page in memory.
const SEGMENTS_MAX: usize = 16;

/// How many stored records have a value of each column.
#[derive(Debug, Default)]
pub(super) struct Filled(Vec<u64>);

impl Filled {
    /// Counts a record; a bit for each column that it has a value of.
    fn count(&mut self, record: &Record) -> Vec<u8> {
        self.0.resize(record.values.len(), 0);
        let mut bits = vec![0; record.values.len().div_ceil(8)];
        for (place, (value, count)) in record.values.iter().zip(&mut self.0).enumerate() {
            if let Some(byte) = bits.get_mut(place / 8).filter(|_| !value.is_null()) {
                *byte |= 1 << (place % 8);
                *count += 1;
            }
        }
        bits
    }

    fn has(bits: &[u8], place: usize) -> bool {
        bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    }

    /// How many have one of these columns.
    pub(super) fn of(&self, columns: &[usize]) -> Vec<u64> {
        columns.iter().map(|column| self.0.get(*column).copied().unwrap_or_default()).collect()
    }
}

/// How a stored record is seen under the definition of the import.
struct Conversion {
    /// For each column, the stored one whose values it keeps.
    kept: Vec<Option<usize>>,
    /// Stored columns whose values nobody keeps: a record that has one is written anew.
    dropped: Vec<usize>,
}

impl Conversion {
    fn new(before: &Definition, now: &Definition) -> Self {
        let kept = rules::kept_columns(before, now);
        let dropped = (0..before.columns.len()).filter(|column| !kept.contains(&Some(*column))).collect();
        Self { kept, dropped }
    }

    fn convert(&self, record: &Record) -> Record {
        let values = self.kept.iter().map(|kept| kept.map_or(Value::Null, |column| row::value(record, column).clone()));
        Record { values: values.collect() }
    }

    /// Whether the stored item says something that the new definition would misread, now or later.
    fn needs_rewriting(&self, record: &Record) -> bool {
        self.dropped.iter().any(|column| !row::value(record, *column).is_null())
    }
}

/// How what is stored is looked at.
struct StockRules {
    conversion: Conversion,
    /// What is published; none before the first import.
    before: Option<Published>,
    /// What will be, where this import brings other columns.
    after: Option<Published>,
}

impl OpenImport {
    /// Checks that the table and its indexes are there and ready.
    pub(super) fn check_table(&self) -> Result<(), RecordStoreError> {
        let (dynamo, table) = (self.dynamo.clone(), self.writer.target().table.clone());
        let described = self.run(async move {
            let described = dynamo.client().describe_table().table_name(&table).send().await;
            described.map(|described| described.table).map_err(|error| unavailable(&table, &error))
        })?;
        let target = self.writer.target();
        let wrong = |what: String| RecordStoreError::Unavailable {
            doing: format!("import into {}", self.name()),
            reason: format!("table {}: {what}", target.table),
        };
        let Some(description) = described else { return Err(wrong("DynamoDB does not describe it".to_owned())) };
        if !matches!(description.table_status(), Some(TableStatus::Active | TableStatus::Updating)) {
            return Err(wrong("it is not ready yet: repeat the import a little later".to_owned()));
        }
        if keys(&description) != [(KeyType::Hash, target.key.as_str()), (KeyType::Range, target.id.as_str())] {
            let text = format!(
                "its keys are not {} and {}, as the definition says: delete the table, run `permitd aws setup`, and \
                 import again",
                target.key, target.id
            );
            return Err(wrong(text));
        }
        let ready: BTreeSet<&str> = description
            .global_secondary_indexes()
            .iter()
            .filter(|index| index.index_status() == Some(&IndexStatus::Active))
            .filter_map(|index| index.index_name())
            .collect();
        let missing: Vec<&str> = self
            .layout
            .indexes()
            .iter()
            .map(|index| index.name.as_str())
            .filter(|name| !ready.contains(name))
            .collect();
        if !missing.is_empty() {
            let names = missing.join(", ");
            return Err(wrong(format!(
                "it has no such index, or it is not ready yet ({names}): run `permitd aws setup`"
            )));
        }
        Ok(())
    }

    /// Reads what is stored into the temporary file, and clears away what nobody can need any more.
    pub(super) fn take_stock(&mut self) -> Result<(), RecordStoreError> {
        let view = self.view()?;
        self.read_table(|session, item| session.take_stock_of(item, &view))?;
        if self.order.is_dry {
            return Ok(());
        }
        self.pay_debts()?;
        self.writer.finish().map_err(|error| self.write_failed(error))
    }

    /// Reads, once more, what is stored of the columns that the file does not have: which these are is known only now.
    pub(super) fn note_absent(&mut self) -> Result<(), RecordStoreError> {
        let Some(stored) = self.stored.clone() else { return Ok(()) };
        let conversion = Conversion::new(stored.layout.definition(), &self.order.definition);
        let id_attribute = self.layout.id_attribute().to_owned();
        self.read_table(|session, item| {
            let (from, to) = row::epochs(item).map_err(|error| session.failed(error))?;
            if !stored.epochs.sees(from, to) {
                return Ok(());
            }
            let sort_key = get_text(item, &id_attribute).map_err(|error| session.failed(error))?;
            let (id, _) = row::split_sort_key(sort_key).unwrap_or((sort_key, 0));
            let record = conversion.convert(&stored.layout.record(item).map_err(|error| session.failed(error))?);
            let value = |place| Some(row::value(&record, place)).filter(|value| !value.is_null());
            let values: Vec<_> = session.absent.places().map(|place| value(place).map(Value::to_string)).collect();
            session.scratch.note_values(&row::value(&record, session.order.definition.key).to_string(), id, &values)
        })
    }

    /// Notes what an update does to the values of a stored record.
    pub(super) fn note_effects(
        &mut self,
        key: &str,
        (id, epoch): (&str, u64),
        record: &Record,
    ) -> Result<(), RecordStoreError> {
        let definition = Arc::clone(&self.order.definition);
        let own = [Some(definition.record_id), definition.load_date];
        let is_blank = |place: &usize| row::value(record, *place).is_null() && !own.contains(&Some(*place));
        let blank: Vec<usize> = (0..definition.columns.len()).filter(is_blank).collect();
        if !blank.is_empty() {
            let filled = self.scratch.filled(key, id)?;
            self.effects.lose(blank.into_iter().filter(|place| Filled::has(&filled, *place)));
        }
        if self.updated.len() < DIFFERENCES_MAX {
            self.updated.push((key.to_owned(), row::sort_key(id, epoch), record.clone()));
        }
        Ok(())
    }

    /// Looks at what the first updated records were, at once.
    pub(super) fn note_differences(&mut self) -> Result<(), RecordStoreError> {
        let updated = std::mem::take(&mut self.updated);
        let Some(stored) = self.stored.clone().filter(|_| !updated.is_empty()) else { return Ok(()) };
        let target = self.writer.target();
        let (key_name, id_name) = (target.key.clone(), target.id.clone());
        let wanted = updated.iter().map(|(key, sort_key, _)| target.key_of(key, sort_key)).collect();
        let (dynamo, table) = (self.dynamo.clone(), target.table.clone());
        let found = self.run(async move { fetch::get_all(&dynamo, &table, wanted).await })?;
        let definition = Arc::clone(&self.order.definition);
        let conversion = Conversion::new(stored.layout.definition(), &definition);
        for (key, sort_key, record) in updated {
            let is_it = |item: &&Item| {
                get_text(item, &key_name).is_ok_and(|found| found == key)
                    && get_text(item, &id_name).is_ok_and(|found| found == sort_key)
            };
            let Some(item) = found.iter().find(is_it) else { continue };
            let old = stored.layout.record(item).map_err(|error| self.failed(error))?;
            self.effects.compare(&definition, &conversion.convert(&old), &record);
        }
        Ok(())
    }

    /// Reads all of the table, some segments at a time.
    pub(super) fn read_table(
        &mut self,
        mut take: impl FnMut(&mut Self, &Item) -> Result<(), RecordStoreError>,
    ) -> Result<(), RecordStoreError> {
        let segments = self.shared.settings.parallel_requests.clamp(1, SEGMENTS_MAX);
        let mut left: Vec<Segment> = (0..segments).map(|number| Segment { number, of: segments, next: None }).collect();
        while !left.is_empty() {
            let (dynamo, table) = (self.dynamo.clone(), self.writer.target().table.clone());
            let read = self.run(async move { scan(&dynamo, &table, left).await })?;
            left = Vec::new();
            for (segment, items) in read {
                for item in &items {
                    take(self, item)?;
                }
                left.extend(segment);
            }
        }
        Ok(())
    }

    fn view(&self) -> Result<StockRules, RecordStoreError> {
        let now = &self.order.definition;
        let Some(stored) = &self.stored else {
            return Ok(StockRules { conversion: Conversion::new(now, now), before: None, after: None });
        };
        let (dynamo, manifest) = (self.dynamo.clone(), stored.clone());
        let read = self.run(async move { states::ended(&dynamo, &manifest).await })?;
        // What is cleared away already is needed for no row that stays.
        let generations = stored.kept.generations.iter();
        let ended = generations.filter_map(|(generation, until)| Some((*until, Arc::clone(read.get(generation)?))));
        let ended: Vec<_> = ended.collect();
        let after = (self.columns != Columns::Same).then(|| {
            let ended = ended.iter().cloned().chain([(self.epoch(), Arc::clone(&stored.layout))]);
            Published::new(ended, Arc::clone(&self.layout))
        });
        let before = Some(Published::new(ended, Arc::clone(&stored.layout)));
        Ok(StockRules { conversion: Conversion::new(stored.layout.definition(), now), before, after })
    }

    /// Does what was found to be done while the table was read.
    fn pay_debts(&mut self) -> Result<(), RecordStoreError> {
        let (mut done, mut has_waited) = (0, false);
        loop {
            let rows = self.scratch.owed_after(done, OwedUntil::Read, BATCH_READS_MAX)?;
            let Some(last) = rows.last() else { return Ok(()) };
            done = last.number;
            let visible = self.stored.as_ref().map_or(0, |stored| stored.epochs.visible());
            // What withdrew it may have become visible a moment ago.
            if !has_waited && rows.iter().any(|row| matches!(row.owed, Owed::Erase(_))) {
                self.let_others_hear()?;
                has_waited = true;
            }
            let mut to_index = Vec::new();
            for OwedRow { key, sort_key, owed, .. } in &rows {
                let paid = match owed {
                    Owed::Erase(attributes) => self.writer.erase(key, sort_key, attributes, visible),
                    Owed::Delete => self.writer.delete(key, sort_key),
                    Owed::Revive(dead) => self.writer.revive(key, sort_key, *dead),
                    Owed::Index => {
                        to_index.push(self.writer.target().key_of(key, sort_key));
                        Ok(())
                    }
                };
                paid.map_err(|error| self.write_failed(error))?;
            }
            let (dynamo, table) = (self.dynamo.clone(), self.writer.target().table.clone());
            let items = self.run(async move { fetch::get_all(&dynamo, &table, to_index).await })?;
            for item in &items {
                self.index_held(item)?;
            }
        }
    }

    fn take_stock_of(&mut self, item: &Item, view: &StockRules) -> Result<(), RecordStoreError> {
        let target = self.writer.target();
        let key = get_text(item, &target.key).map_err(|error| self.failed(error))?;
        let sort_key = get_text(item, &target.id).map_err(|error| self.failed(error))?;
        let (from, to) = row::epochs(item).map_err(|error| self.failed(error))?;
        let epochs = self.stored.as_ref().map(|stored| &stored.epochs);
        let now_us = self.shared.clock.now().as_microsecond();
        if epochs.is_none_or(|epochs| epochs.is_garbage(from, to, now_us)) {
            return self.scratch.owe(key, sort_key, OwedUntil::Read, &Owed::Delete);
        }
        let (Some(stored), Some(epochs)) = (&self.stored, epochs) else { return Ok(()) };
        if !epochs.sees(from, to) {
            return self.take_stock_of_past(item, (key, sort_key), to.unwrap_or_default(), view);
        }
        if let Some(dead) = to {
            self.scratch.owe(key, sort_key, OwedUntil::Read, &Owed::Revive(dead))?;
        }
        // Whatever has such a value is replaced or removed by this import.
        let withdrawn = view.after.as_ref().map(|after| after.withdrawn_from(item, self.epoch()));
        self.owe_erasure((key, sort_key), OwedUntil::Committed, withdrawn.unwrap_or_default())?;
        let (id, _) = row::split_sort_key(sort_key).unwrap_or((sort_key, 0));
        let mut found =
            Stored { key: key.to_owned(), id: id.to_owned(), epoch: from, rewrite: false, fate: Fate::Foreign };
        if self.columns == Columns::New {
            return self.scratch.add(&found, &[0; 16], &[]);
        }
        let record = stored.layout.record(item).map_err(|error| self.failed(error))?;
        found.fate = Fate::Unseen;
        found.rewrite = view.conversion.needs_rewriting(&record);
        let seen = view.conversion.convert(&record);
        let fingerprint = row::fingerprint(&self.order.definition, &seen);
        self.empty = false;
        self.scratch.add(&found, &fingerprint, &self.filled.count(&seen))
    }

    /// Notes what is to be done with a row that an epoch ended.
    fn take_stock_of_past(
        &self,
        item: &Item,
        of: (&str, &str),
        ended: u64,
        view: &StockRules,
    ) -> Result<(), RecordStoreError> {
        let held_from = self.stored.as_ref().and_then(|stored| stored.epoch(stored.data_set.held_from));
        let is_held = ended > held_from.unwrap_or(u64::MAX);
        let withdrawn = |published: Option<&Published>| {
            published.map_or_else(Vec::new, |published| published.withdrawn_from(item, ended))
        };
        if !is_held {
            // An import that withdrew columns died before it came to that.
            self.owe_erasure(of, OwedUntil::Read, withdrawn(view.before.as_ref()))?;
        } else if self.columns == Columns::Same && self.reindex {
            self.scratch.owe(of.0, of.1, OwedUntil::Read, &Owed::Index)?;
        }
        // Versions of other columns are not read any more.
        self.owe_erasure(of, OwedUntil::Committed, withdrawn(view.after.as_ref()))
    }

    fn owe_erasure(
        &self,
        (key, sort_key): (&str, &str),
        due: OwedUntil,
        attributes: Vec<String>,
    ) -> Result<(), RecordStoreError> {
        if attributes.is_empty() {
            return Ok(());
        }
        self.scratch.owe(key, sort_key, due, &Owed::Erase(attributes))
    }

    /// Brings a row that is held, but not seen any more, into indexes that it is not in yet.
    fn index_held(&mut self, item: &Item) -> Result<(), RecordStoreError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let target = self.writer.target();
        let key = get_text(item, &target.key).map_err(|error| self.failed(error))?;
        let sort_key = get_text(item, &target.id).map_err(|error| self.failed(error))?;
        let record = stored.layout.record(item).map_err(|error| self.failed(error))?;
        let attributes = self.layout.index_attributes(0, &record)?;
        self.writer.set(key, sort_key, &attributes).map_err(|error| self.write_failed(error))?;
        self.wrote = true;
        Ok(())
    }

    /// A stored record under the definition of the import.
    pub(super) fn converted(&self, item: &Item) -> Result<Record, RecordStoreError> {
        let Some(stored) = &self.stored else {
            let reason = "a record was stored before the first import".to_owned();
            return Err(RecordStoreError::Corrupt { name: self.name().to_owned(), reason });
        };
        let record = stored.layout.record(item).map_err(|error| self.failed(error))?;
        Ok(Conversion::new(stored.layout.definition(), &self.order.definition).convert(&record))
    }
}

fn keys(description: &TableDescription) -> Vec<(KeyType, &str)> {
    let mut keys: Vec<(KeyType, &str)> =
        description.key_schema().iter().map(|key| (key.key_type().clone(), key.attribute_name())).collect();
    keys.sort_by(|left, right| left.0.as_str().cmp(right.0.as_str()));
    keys
}

/// A part of the table that is read by itself.
struct Segment {
    number: usize,
    of: usize,
    next: Option<Item>,
}

/// The next page of each segment, with the segment if more follows.
async fn scan(
    dynamo: &Dynamo,
    table: &str,
    segments: Vec<Segment>,
) -> Result<Vec<(Option<Segment>, Vec<Item>)>, StoreError> {
    let mut scanning = JoinSet::new();
    for segment in segments {
        // There are few.
        let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let request = dynamo
            .client()
            .scan()
            .table_name(table)
            .consistent_read(true)
            .segment(number(segment.number))
            .total_segments(number(segment.of))
            .set_exclusive_start_key(segment.next.clone());
        scanning.spawn(async move { (segment, request.send().await) });
    }
    let mut pages = Vec::new();
    while let Some(scanned) = scanning.join_next().await {
        let (segment, page) = scanned.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let page = page.map_err(|error| unavailable(table, &error))?;
        let next = page.last_evaluated_key.filter(|key| !key.is_empty());
        let rest = next.map(|next| Segment { next: Some(next), ..segment });
        pages.push((rest, page.items.unwrap_or_default()));
    }
    Ok(pages)
}
