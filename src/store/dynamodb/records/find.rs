//! Queries, by the ways that [`plan`] gives: merged from the shards of an index in the order asked for, or read and sorted.

use std::{collections::VecDeque, time::Duration};

use tokio::task::JoinSet;

use super::{
    Served, Shared, failed,
    fetch::{Fetched, Source, Stream},
    gather::Gathered,
    plan::{self, IndexWay, Way},
    row,
};
use crate::{
    dataset::{
        Record,
        query::{Position, Query},
    },
    store::{
        dynamodb::{Dynamo, PARTITION_KEY_BYTES_MAX, item::Item, item::get_text},
        records::{DataSet, Explained, Page, RecordStoreError, rules},
    },
};

/// What is fetched more than is expected to be needed, since shards hold unequal parts of a page.
const SLACK: usize = 4;
/// How many records are fetched for one that is expected to match a filter that the index knows nothing of.
const FILTERED_FACTOR: usize = 4;

/// A page of the records that a query asks for.
pub(super) async fn find(shared: &Shared, data_set: &DataSet, query: &Query) -> Result<Page, RecordStoreError> {
    let name = &data_set.definition.name;
    let served = shared.find(name)?;
    if served.manifest.data_set.generation != data_set.generation {
        return Err(RecordStoreError::DefinitionChanged { name: name.clone() });
    }
    let _permit = shared.finding.try_acquire().map_err(|_| RecordStoreError::Busy)?;
    let limit_ms = shared.settings.find_timeout_ms;
    let found = tokio::time::timeout(Duration::from_millis(limit_ms), Finding::new(shared, &served, query).run()).await;
    found.unwrap_or_else(|_| {
        Err(RecordStoreError::TimedOut {
            limit_ms,
            narrow: rules::narrowing(served.manifest.layout.definition(), query),
        })
    })
}

/// Why a way was not gone to its end.
enum Stop {
    /// It has to read more than the budget.
    OverBudget,
    Failed(RecordStoreError),
}

impl From<RecordStoreError> for Stop {
    fn from(error: RecordStoreError) -> Self {
        Self::Failed(error)
    }
}

/// A query that is being answered.
struct Finding<'a> {
    served: &'a Served,
    query: &'a Query,
    dynamo: &'a Dynamo,
    parallel_requests: usize,
    records_max: u64,
    /// Records that were looked at so far.
    examined: u64,
    units: Option<f64>,
}

impl<'a> Finding<'a> {
    fn new(shared: &'a Shared, served: &'a Served, query: &'a Query) -> Self {
        let settings = &shared.settings;
        Self {
            served,
            query,
            dynamo: &shared.dynamo,
            parallel_requests: settings.parallel_requests.max(1),
            records_max: settings.find_records_max.max(1),
            examined: 0,
            units: None,
        }
    }

    async fn run(mut self) -> Result<Page, RecordStoreError> {
        let layout = &self.served.manifest.layout;
        let mut plan = Vec::new();
        for way in plan::ways(layout, self.query) {
            plan.extend(way.explained(layout));
            let taken = match &way {
                Way::Index(index) if index.ordered => self.merge(index).await,
                _ => self.read_and_sort(&way).await,
            };
            match taken {
                Ok(mut page) => {
                    if self.query.explain {
                        page.explained =
                            Some(Explained { plan, read_units: self.units, examined: Some(self.examined) });
                    }
                    return Ok(page);
                }
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::OverBudget) => plan.push("that was more than a page may read".to_owned()),
            }
        }
        Err(RecordStoreError::TooMuchToRead { records_max: self.records_max, narrow: self.narrow() })
    }

    /// What would make it read less.
    fn narrow(&self) -> String {
        let definition = self.served.manifest.layout.definition();
        let name = |column: usize| definition.columns.get(column).map_or("", |column| column.name.as_str());
        let filtered = self.query.filter.conjuncts().into_iter().find(|term| {
            matches!(term.test, crate::dataset::query::Test::Equal(_) | crate::dataset::query::Test::In(_))
        });
        let sorted = self.query.sort.first().map(|term| name(term.column));
        let declared = match (filtered.map(|term| name(term.column)), sorted) {
            (Some(partition), Some(sort)) if partition != sort => format!("partition {partition}, sort {sort}"),
            (Some(partition), _) => format!("partition {partition}"),
            (None, Some(sort)) => format!("a partition to filter by, sort {sort}"),
            (None, None) => "a partition to filter by".to_owned(),
        };
        let indexed = rules::indexed(definition).join(", ");
        format!(
            "filter by one value of an indexed column ({indexed}), or let the definition declare an index ({declared})"
        )
    }

    fn gathered(&self) -> Gathered<'a> {
        let data_set = &self.served.manifest.data_set;
        Gathered::new(&data_set.definition, self.query, data_set.version)
    }

    fn failed(&self, error: crate::store::StoreError) -> RecordStoreError {
        failed("query", &self.served.manifest.data_set.definition.name, error)
    }

    fn source(&self, way: &Way) -> Source {
        let layout = &self.served.manifest.layout;
        let (table, costs) = (self.served.table.clone(), self.query.explain);
        match way {
            Way::Index(IndexWay { index, descending, .. }) if let Some(index) = layout.indexes().get(*index) => {
                Source {
                    table,
                    index: Some(index.name.clone()),
                    partition: index.partition_attribute.clone(),
                    sort: index.order_attribute.clone(),
                    descending: *descending,
                    costs,
                }
            }
            _ => Source {
                table,
                index: None,
                partition: layout.key_attribute().to_owned(),
                sort: layout.id_attribute().to_owned(),
                descending: false,
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

    /// A record that is seen, if the item holds one.
    fn row(&self, item: &Item) -> Result<Option<Record>, RecordStoreError> {
        let manifest = &self.served.manifest;
        let (from, to) = row::epochs(item).map_err(|error| self.failed(error))?;
        if !manifest.epochs.sees(from, to) {
            return Ok(None);
        }
        manifest.layout.record(item).map(Some).map_err(|error| self.failed(error))
    }

    fn count(&mut self, fetched: &Fetched) {
        if let Some(units) = fetched.units {
            self.units = Some(self.units.unwrap_or(0.0) + units);
        }
    }

    /// Reads a way that has no order, sorts what matches, and makes the page of it.
    async fn read_and_sort(&mut self, way: &Way) -> Result<Page, Stop> {
        if self.is_surely_over(way) {
            return Err(Stop::OverBudget);
        }
        let source = self.source(way);
        let mut waiting: VecDeque<Stream> = match way {
            Way::Keys(keys) => {
                // No record has an empty or a longer key.
                let possible = keys.iter().filter(|key| (1..=PARTITION_KEY_BYTES_MAX).contains(&key.len()));
                possible.map(|key| Stream::new(key.clone(), None)).collect()
            }
            Way::Index(index) => {
                let of_range = |range| {
                    self.partitions(index).into_iter().map(move |key| Stream::new(key, Some(Clone::clone(range))))
                };
                index.ranges.iter().flat_map(of_range).collect()
            }
        };
        let mut gathered = self.gathered();
        let kept_max = gathered.room();
        let (mut matching, mut fetching): (Vec<Record>, _) = (Vec::new(), JoinSet::new());
        let mut examined = 0_u64;
        loop {
            while fetching.len() < self.parallel_requests
                && let Some(mut stream) = waiting.pop_front()
            {
                let (dynamo, source) = (self.dynamo.clone(), source.clone());
                fetching.spawn(async move {
                    let fetched = stream.fetch(&dynamo, &source, None).await;
                    (stream, fetched)
                });
            }
            let Some(done) = fetching.join_next().await else { break };
            let (stream, fetched) = done.map_err(|error| interrupted(&error))?;
            let fetched = fetched.map_err(|error| self.failed(error))?;
            self.count(&fetched);
            for item in &fetched.items {
                examined += 1;
                if let Some(record) = self.row(item)?
                    && self.query.filter.matches(&record)
                    && gathered.is_after(&record)
                {
                    matching.push(record);
                }
            }
            self.examined += u64::try_from(fetched.items.len()).unwrap_or(u64::MAX);
            if examined > self.records_max {
                return Err(Stop::OverBudget);
            }
            if matching.len() >= kept_max.saturating_mul(2) {
                matching.sort_unstable_by(|left, right| gathered.compare(left, right));
                matching.truncate(kept_max);
            }
            if !stream.is_done() {
                waiting.push_back(stream);
            }
        }
        matching.sort_unstable_by(|left, right| gathered.compare(left, right));
        for record in matching.iter().take(kept_max) {
            gathered.take(record)?;
        }
        Ok(gathered.page(None))
    }

    /// Whether a way reads all records, and these are known to be too many.
    fn is_surely_over(&self, way: &Way) -> bool {
        let Way::Index(way) = way else { return false };
        let all = super::order::Range::of(String::new());
        way.index == 0 && way.ranges == [all] && self.served.manifest.data_set.records > self.records_max
    }

    /// Reads the shards of an index, which are in order, as one.
    async fn merge(&mut self, way: &IndexWay) -> Result<Page, Stop> {
        let source = self.source(&Way::Index(way.clone()));
        let partitions = self.partitions(way);
        let mut gathered = self.gathered();
        let (mut looked, mut last): (u64, Option<Position>) = (0, None);
        for range in &way.ranges {
            let streams = partitions.iter().map(|key| Lane::new(Stream::new(key.clone(), Some(range.clone()))));
            let mut lanes: Vec<Lane> = streams.collect();
            loop {
                let limit = self.limit(way, &gathered, lanes.len(), looked);
                self.fill(&mut lanes, &source, limit).await?;
                let Some(item) = take_next(&mut lanes, way.descending) else { break };
                looked += 1;
                self.examined += 1;
                // A range whose bound was too long for a key begins a little before the place to go on after.
                if let Some(record) = self.row(&item)?.filter(|record| gathered.is_after(record)) {
                    if self.query.filter.matches(&record) {
                        gathered.take(&record)?;
                    }
                    if gathered.is_done() {
                        return Ok(gathered.page(None));
                    }
                    last = Some(gathered.position(&record));
                }
                if looked >= self.records_max
                    && let Some(at) = last
                {
                    return Ok(gathered.stopped(at, None));
                }
            }
        }
        Ok(gathered.page(None))
    }

    /// How many records to fetch from a lane at a time.
    fn limit(&self, way: &IndexWay, gathered: &Gathered<'_>, lanes: usize, looked: u64) -> usize {
        let wanted = gathered.room().saturating_mul(if way.exact { 1 } else { FILTERED_FACTOR });
        let budget = usize::try_from(self.records_max.saturating_sub(looked)).unwrap_or(usize::MAX);
        let lanes = lanes.max(1);
        wanted.min(budget).div_ceil(lanes).saturating_add(if lanes > 1 { SLACK } else { 0 })
    }

    /// Fetches for all lanes that have nothing left, so that the next record of each is known.
    async fn fill(&mut self, lanes: &mut [Lane], source: &Source, limit: usize) -> Result<(), RecordStoreError> {
        loop {
            let mut empty: VecDeque<usize> = VecDeque::new();
            empty.extend(lanes.iter().enumerate().filter(|(_, lane)| lane.is_empty()).map(|(place, _)| place));
            if empty.is_empty() {
                return Ok(());
            }
            let mut fetching = JoinSet::new();
            loop {
                while fetching.len() < self.parallel_requests
                    && let Some(place) = empty.pop_front()
                    && let Some(lane) = lanes.get(place)
                {
                    let (dynamo, source, mut stream) = (self.dynamo.clone(), source.clone(), lane.stream.clone());
                    fetching.spawn(async move {
                        let fetched = stream.fetch(&dynamo, &source, Some(limit)).await;
                        (place, stream, fetched)
                    });
                }
                let Some(done) = fetching.join_next().await else { break };
                let (place, stream, fetched) = done.map_err(|error| interrupted(&error))?;
                let fetched = fetched.map_err(|error| self.failed(error))?;
                self.count(&fetched);
                if let Some(lane) = lanes.get_mut(place) {
                    lane.stream = stream;
                    for item in fetched.items {
                        let place = get_text(&item, &source.sort).map_err(|error| self.failed(error))?.to_owned();
                        lane.fetched.push_back((place, item));
                    }
                }
            }
        }
    }
}

/// A shard of an index on its way into the page.
struct Lane {
    stream: Stream,
    fetched: VecDeque<(String, Item)>,
}

impl Lane {
    fn new(stream: Stream) -> Self {
        Self { stream, fetched: VecDeque::new() }
    }

    /// Whether more has to be fetched before its next record is known.
    fn is_empty(&self) -> bool {
        self.fetched.is_empty() && !self.stream.is_done()
    }
}

/// The next item in the order of all lanes.
fn take_next(lanes: &mut [Lane], descending: bool) -> Option<Item> {
    let mut first: Option<&mut Lane> = None;
    for lane in lanes {
        let Some((place, _)) = lane.fetched.front() else { continue };
        let known = first.as_ref().and_then(|lane| lane.fetched.front());
        if known.is_none_or(|(known, _)| if descending { place > known } else { place < known }) {
            first = Some(lane);
        }
    }
    first?.fetched.pop_front().map(|(_, item)| item)
}

fn interrupted(error: &tokio::task::JoinError) -> RecordStoreError {
    RecordStoreError::Unavailable { doing: "run the query".to_owned(), reason: error.to_string() }
}
