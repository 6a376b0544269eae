//! Partitions that are in order, such as the shards of an index, read as one.

use std::collections::VecDeque;

use tokio::task::JoinSet;

use super::fetch::{Source, Stream};
use crate::store::{
    StoreError,
    dynamodb::{
        Dynamo,
        item::{Item, get_text},
    },
};

/// What is fetched more than is expected to be needed, since shards hold unequal parts of a page.
const SLACK: usize = 4;

/// Items of several partitions in the order of their sort keys.
pub(super) struct Merge {
    source: Source,
    lanes: Vec<Lane>,
    parallel_requests: usize,
    /// What it cost so far, if that was asked for and is known.
    pub(super) units: Option<f64>,
}

/// A partition on its way into the order.
struct Lane {
    stream: Stream,
    fetched: VecDeque<(String, Item)>,
}

impl Lane {
    /// Whether more has to be fetched before its next item is known.
    fn is_empty(&self) -> bool {
        self.fetched.is_empty() && !self.stream.is_done()
    }
}

impl Merge {
    pub(super) fn new(source: Source, streams: impl IntoIterator<Item = Stream>, parallel_requests: usize) -> Self {
        let lanes = streams.into_iter().map(|stream| Lane { stream, fetched: VecDeque::new() });
        Self { source, lanes: lanes.collect(), parallel_requests: parallel_requests.max(1), units: None }
    }

    /// The next item, if there is one. `wanted` is how many more there are probably to be.
    pub(super) async fn next(&mut self, dynamo: &Dynamo, wanted: usize) -> Result<Option<Item>, StoreError> {
        let lanes = self.lanes.len().max(1);
        let limit = wanted.max(1).div_ceil(lanes).saturating_add(if lanes > 1 { SLACK } else { 0 });
        self.fill(dynamo, limit).await?;
        let mut first: Option<&mut Lane> = None;
        for lane in &mut self.lanes {
            let Some((place, _)) = lane.fetched.front() else { continue };
            let known = first.as_ref().and_then(|lane| lane.fetched.front());
            if known.is_none_or(|(known, _)| if self.source.descending { place > known } else { place < known }) {
                first = Some(lane);
            }
        }
        Ok(first.and_then(|lane| lane.fetched.pop_front()).map(|(_, item)| item))
    }

    /// Fetches for all lanes that have nothing left, so that the next item of each is known.
    async fn fill(&mut self, dynamo: &Dynamo, limit: usize) -> Result<(), StoreError> {
        loop {
            let empty = self.lanes.iter().enumerate().filter(|(_, lane)| lane.is_empty());
            let mut empty: VecDeque<usize> = empty.map(|(place, _)| place).collect();
            if empty.is_empty() {
                return Ok(());
            }
            let mut fetching = JoinSet::new();
            loop {
                while fetching.len() < self.parallel_requests
                    && let Some(place) = empty.pop_front()
                    && let Some(lane) = self.lanes.get(place)
                {
                    let (dynamo, source, mut stream) = (dynamo.clone(), self.source.clone(), lane.stream.clone());
                    fetching.spawn(async move {
                        let fetched = stream.fetch(&dynamo, &source, Some(limit)).await;
                        (place, stream, fetched)
                    });
                }
                let Some(done) = fetching.join_next().await else { break };
                let (place, stream, fetched) = done.map_err(|error| StoreError::Unavailable(error.to_string()))?;
                let fetched = fetched?;
                if let Some(units) = fetched.units {
                    self.units = Some(self.units.unwrap_or(0.0) + units);
                }
                if let Some(lane) = self.lanes.get_mut(place) {
                    lane.stream = stream;
                    for item in fetched.items {
                        let place = get_text(&item, &self.source.sort)?.to_owned();
                        lane.fetched.push_back((place, item));
                    }
                }
            }
        }
    }
}
