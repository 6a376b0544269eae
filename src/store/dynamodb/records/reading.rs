//! One version of a data set, being read within a budget: the records of a way in no order, or merged from the shards of an
//! index in its own.

use std::collections::VecDeque;

use tokio::task::JoinSet;

use super::{
    Served, Shared, failed,
    fetch::{Source, Stream},
    merge::Merge,
    order,
    plan::{self, IndexWay, Way},
    row, withdrawn,
};
use crate::{
    dataset::{
        Definition, Record,
        query::{Filter, SortTerm, Test},
    },
    store::{
        StoreError,
        dynamodb::{
            Dynamo, PARTITION_KEY_BYTES_MAX,
            item::{Item, get_text},
        },
        records::{RecordStoreError, rules},
    },
};

/// Why a way was not gone to its end.
pub(super) enum Stop {
    /// It has to read more than the budget.
    OverBudget,
    Failed(RecordStoreError),
}

impl From<RecordStoreError> for Stop {
    fn from(error: RecordStoreError) -> Self {
        Self::Failed(error)
    }
}

/// A version that is being read.
pub(super) struct Reading<'a> {
    pub(super) served: &'a Served,
    pub(super) dynamo: &'a Dynamo,
    /// Which version it is.
    pub(super) version: u64,
    epoch: u64,
    filter: &'a Filter,
    shared: &'a Shared,
    /// When the version was last known to be held, microseconds of the clock that is never set.
    held_us: i64,
    /// Whether to ask what it costs.
    costs: bool,
    parallel_requests: usize,
    /// Records that one page may look at.
    pub(super) records_max: u64,
    /// Records that were looked at so far.
    pub(super) examined: u64,
    /// What it cost so far, if that is known.
    pub(super) units: Option<f64>,
}

impl<'a> Reading<'a> {
    /// Begins to read a version, the present one if none is named.
    pub(super) fn begin(
        shared: &'a Shared,
        served: &'a Served,
        filter: &'a Filter,
        version: Option<u64>,
    ) -> Result<Self, RecordStoreError> {
        let data_set = &served.manifest.data_set;
        let version = version.unwrap_or(data_set.version);
        let epoch = served
            .manifest
            .epoch(version)
            .ok_or_else(|| rules::gone(&data_set.definition, version, data_set.held_from))?;
        let settings = &shared.settings;
        Ok(Self {
            served,
            dynamo: &shared.dynamo,
            version,
            epoch,
            filter,
            held_us: shared.known_since_us(),
            shared,
            costs: false,
            parallel_requests: settings.parallel_requests.max(1),
            records_max: settings.find_records_max.max(1),
            examined: 0,
            units: None,
        })
    }

    /// The same, asking what it costs.
    pub(super) fn with_costs(self, costs: bool) -> Self {
        Self { costs, ..self }
    }

    pub(super) fn definition(&self) -> &'a Definition {
        self.served.manifest.layout.definition()
    }

    pub(super) fn is_present(&self) -> bool {
        self.version == self.served.manifest.data_set.version
    }

    /// Makes sure, where it is not known any more, that nothing of what was read so far had been cleared away or erased.
    pub(super) async fn check_held(&mut self) -> Result<(), RecordStoreError> {
        let now_us = self.shared.clock.monotonic_us();
        if now_us.saturating_sub(self.held_us) >= self.shared.good_for_us() {
            self.held_us = self.shared.still_held(self.served, self.version).await?;
        }
        Ok(())
    }

    /// An error of the store, said of what is read.
    pub(super) fn failed(&self, error: StoreError) -> RecordStoreError {
        failed("query", &self.definition().name, error)
    }

    /// That it would have to read more than it may, and what would make it read less.
    pub(super) fn too_much(&self, narrow: String) -> RecordStoreError {
        RecordStoreError::TooMuchToRead { records_max: self.records_max, narrow }
    }

    fn source(&self, way: &Way) -> Source {
        let layout = &self.served.manifest.layout;
        let (table, costs, consistent) = (self.served.table.clone(), self.costs, false);
        match way {
            Way::Index(IndexWay { index, descending, .. }) if let Some(index) = layout.indexes().get(*index) => {
                Source {
                    table,
                    index: Some(index.name.clone()),
                    partition: index.partition_attribute.clone(),
                    sort: index.order_attribute.clone(),
                    descending: *descending,
                    consistent,
                    costs,
                }
            }
            _ => Source {
                table,
                index: None,
                partition: layout.key_attribute().to_owned(),
                sort: layout.id_attribute().to_owned(),
                descending: false,
                consistent,
                costs,
            },
        }
    }

    /// The partitions that hold the values of a way, one for each value and shard.
    fn partitions(&self, way: &IndexWay) -> Vec<String> {
        let layout = &self.served.manifest.layout;
        let Some(index) = layout.indexes().get(way.index) else { return Vec::new() };
        let shards = 0..layout.shards();
        let of_value = |value| shards.clone().map(move |shard| layout.partition(index, value, shard));
        // A longer one holds nothing: no record can have such a key.
        way.partitions.iter().flat_map(of_value).filter(|key| key.len() <= PARTITION_KEY_BYTES_MAX).collect()
    }

    /// All that a way without order reads, each with where it is read from and the place of its alternative.
    fn streams(&self, way: &Way, alternative: usize, streams: &mut VecDeque<(Stream, Source, usize)>) {
        let mut add = |stream| streams.push_back((stream, self.source(way), alternative));
        match way {
            Way::Keys(keys) => {
                // No record has an empty or a longer key.
                let possible = keys.iter().filter(|key| (1..=PARTITION_KEY_BYTES_MAX).contains(&key.len()));
                possible.for_each(|key| add(Stream::new(key.clone(), None)));
            }
            Way::Index(index) => {
                for range in &index.ranges {
                    self.partitions(index).into_iter().for_each(|key| add(Stream::new(key, Some(range.clone()))));
                }
            }
            Way::Any(alternatives) => {
                for (place, (_, way)) in alternatives.iter().enumerate() {
                    self.streams(way, place, streams);
                }
            }
        }
    }

    /// A record of this version, if the item holds one.
    pub(super) fn row(&self, item: &Item) -> Result<Option<Record>, RecordStoreError> {
        let manifest = &self.served.manifest;
        let (from, to) = row::epochs(item).map_err(|error| self.failed(error))?;
        if !manifest.epochs.sees_at(self.epoch, from, to) {
            return Ok(None);
        }
        if withdrawn::is_news(item, manifest.epochs.visible()).map_err(|error| self.failed(error))? {
            return Err(RecordStoreError::DefinitionChanged { name: self.definition().name.clone() });
        }
        manifest.layout.record(item).map(Some).map_err(|error| self.failed(error))
    }

    /// The place of an item in an index.
    pub(super) fn place<'i>(&self, way: &IndexWay, item: &'i Item) -> Option<&'i str> {
        let index = self.served.manifest.layout.indexes().get(way.index)?;
        get_text(item, &index.order_attribute).ok()
    }

    /// The record of an item of an index, seen or not, and its place, if it is of the present columns.
    pub(super) fn unseen(&self, way: &IndexWay, item: &Item) -> Option<(String, Record)> {
        let layout = &self.served.manifest.layout;
        let (index, record) = (layout.indexes().get(way.index)?, layout.record(item).ok()?);
        let place = self.place(way, item)?;
        (layout.place(index, &record) == place).then(|| (place.to_owned(), record))
    }

    /// Hands each record that the filter means to `take`, once and in no order.
    pub(super) async fn each(
        &mut self,
        way: &Way,
        take: impl FnMut(Record) -> Result<(), RecordStoreError>,
    ) -> Result<(), Stop> {
        self.each_that(way, Self::row, take).await
    }

    /// The same of all that is stored of the present columns, whichever version it is of.
    pub(super) async fn each_stored(&mut self, way: &Way, mut take: impl FnMut(Record)) -> Result<(), Stop> {
        let any = |reading: &Self, item: &Item| Ok(reading.served.manifest.layout.record(item).ok());
        self.each_that(way, any, |record| {
            take(record);
            Ok(())
        })
        .await
    }

    async fn each_that(
        &mut self,
        way: &Way,
        read: impl Fn(&Self, &Item) -> Result<Option<Record>, RecordStoreError>,
        mut take: impl FnMut(Record) -> Result<(), RecordStoreError>,
    ) -> Result<(), Stop> {
        if self.is_surely_over(way) {
            return Err(Stop::OverBudget);
        }
        let mut waiting = VecDeque::new();
        self.streams(way, 0, &mut waiting);
        let alternatives = if let Way::Any(alternatives) = way { alternatives.as_slice() } else { &[] };
        let mut fetching = JoinSet::new();
        let mut examined = 0_u64;
        loop {
            while fetching.len() < self.parallel_requests
                && let Some((mut stream, source, alternative)) = waiting.pop_front()
            {
                let dynamo = self.dynamo.clone();
                fetching.spawn(async move {
                    let fetched = stream.fetch(&dynamo, &source, None).await;
                    (stream, source, alternative, fetched)
                });
            }
            let Some(done) = fetching.join_next().await else { return Ok(()) };
            let (stream, source, alternative, fetched) = done.map_err(|error| interrupted(&error))?;
            let fetched = fetched.map_err(|error| self.failed(error))?;
            self.add_units(fetched.units);
            let before = alternatives.get(..alternative).unwrap_or_default();
            // An index also yields records that only a later alternative means: that one finds them.
            let own = alternatives.get(alternative).map(|(filter, _)| filter);
            for item in &fetched.items {
                if let Some(record) = read(self, item)?
                    && self.filter.matches(&record)
                    && own.is_none_or(|filter| filter.matches(&record))
                    && !before.iter().any(|(filter, _)| filter.matches(&record))
                {
                    take(record)?;
                }
            }
            let count = u64::try_from(fetched.items.len()).unwrap_or(u64::MAX);
            (examined, self.examined) = (examined + count, self.examined + count);
            if examined > self.records_max {
                return Err(Stop::OverBudget);
            }
            if !stream.is_done() {
                waiting.push_back((stream, source, alternative));
            }
        }
    }

    /// Whether a way reads all records, and these are known to be too many.
    fn is_surely_over(&self, way: &Way) -> bool {
        let Way::Index(way) = way else { return false };
        let all = order::Range::of(String::new());
        way.index == 0
            && way.ranges == [all]
            && self.is_present()
            && self.served.manifest.data_set.records > self.records_max
    }

    fn add_units(&mut self, units: Option<f64>) {
        if let Some(units) = units {
            self.units = Some(self.units.unwrap_or(0.0) + units);
        }
    }

    /// Begins to read an index in its order.
    pub(super) fn walk(&self, way: &IndexWay) -> Walk {
        let source = self.source(&Way::Index(way.clone()));
        let (partitions, ranges) = (self.partitions(way), way.ranges.iter().cloned().collect());
        Walk { source, partitions, ranges, merge: None }
    }

    /// How many records a filter means. Without one, those of the present version are known.
    pub(super) async fn count(&mut self) -> Result<u64, Stop> {
        if self.filter.parts().is_empty() && self.is_present() {
            return Ok(self.served.manifest.data_set.records);
        }
        let Some(way) = plan::everything(&self.served.manifest.layout, self.filter) else { return Ok(0) };
        let mut count = 0;
        self.each(&way, |_| {
            count += 1;
            Ok(())
        })
        .await?;
        Ok(count)
    }
}

/// An index that is read in its order.
pub(super) struct Walk {
    source: Source,
    partitions: Vec<String>,
    /// The parts of each partition that were not begun yet.
    ranges: VecDeque<order::Range>,
    merge: Option<Merge>,
}

impl Walk {
    /// The next item, whether it is seen or not. `wanted` is how many more there are probably to be.
    pub(super) async fn next(
        &mut self,
        reading: &mut Reading<'_>,
        wanted: usize,
    ) -> Result<Option<Item>, RecordStoreError> {
        loop {
            let merge = match &mut self.merge {
                Some(merge) => merge,
                None => {
                    let Some(range) = self.ranges.pop_front() else { return Ok(None) };
                    let streams = self.partitions.iter().map(|key| Stream::new(key.clone(), Some(range.clone())));
                    self.merge.insert(Merge::new(self.source.clone(), streams, reading.parallel_requests))
                }
            };
            let next = merge.next(reading.dynamo, wanted).await.map_err(|error| reading.failed(error))?;
            reading.add_units(merge.units.take());
            if next.is_some() {
                reading.examined += 1;
                return Ok(next);
            }
            self.merge = None;
        }
    }
}

/// What would make a question read less.
pub(super) fn narrow(definition: &Definition, filter: &Filter, sort: &[SortTerm]) -> String {
    let name = |column: usize| definition.column_name(column);
    let is_listed = |test: &Test| matches!(test, Test::Equal(_) | Test::In(_));
    let filtered = filter.conjuncts().into_iter().find(|term| is_listed(&term.test));
    let sorted = sort.first().map(|term| name(term.column));
    let declared = match (filtered.map(|term| name(term.column)), sorted) {
        (Some(partition), Some(sort)) if partition != sort => format!("partition {partition}, sort {sort}"),
        (Some(partition), _) => format!("partition {partition}"),
        (None, Some(sort)) => format!("a partition to filter by, sort {sort}"),
        (None, None) => "a partition to filter by".to_owned(),
    };
    let indexed = rules::indexed(definition).join(", ");
    format!("filter by one value of an indexed column ({indexed}), or let the definition declare an index ({declared})")
}

fn interrupted(error: &tokio::task::JoinError) -> RecordStoreError {
    RecordStoreError::Unavailable { doing: "run the query".to_owned(), reason: error.to_string() }
}
