//! The log in the order of time: merges the slices of the indexes `feed` and `outbox`.
//!
//! Guarantees: an index only says where to look; commits are read from the table, consistently. An index may show a commit a moment
//! after it was written, and may still show a mark that was cleared.

use std::collections::VecDeque;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use jiff::{SignedDuration, Timestamp};

use super::{
    Dynamo, StoreError,
    commit::{self, SHARDS, SLICES, microsecond_of},
    fetch,
    item::{self, Item, get_number, number, text},
    schema::{EVENTS, FEED, OUTBOX},
    unavailable,
};
use crate::{
    domain::{
        persisted::StoredCommit,
        reached::{Reached, WINDOW_COMMITS_MAX},
    },
    store::ReadingPace,
};

/// Entries to read of each slice beyond its share of the requested ones.
const SPARE_ENTRIES: usize = 16;

/// Commits after a position in log order, at most `max`.
pub(super) async fn read(dynamo: &Dynamo, after: u64, max: usize) -> Result<Vec<StoredCommit>, StoreError> {
    let from = Some(("t >= :at", microsecond_of(after)));
    let mut merge = FeedMerge::new(dynamo, FeedIndex::Feed, from, Direction::Forwards, max);
    collect(&mut merge, max, |commit| commit.position > after).await
}

/// Commits before a position, or the last ones, newest first, at most `max`.
pub(super) async fn read_back(
    dynamo: &Dynamo,
    before: Option<u64>,
    max: usize,
) -> Result<Vec<StoredCommit>, StoreError> {
    let from = before.map(|before| ("t <= :at", microsecond_of(before)));
    let mut merge = FeedMerge::new(dynamo, FeedIndex::Feed, from, Direction::Backwards, max);
    collect(&mut merge, max, |commit| before.is_none_or(|before| commit.position < before)).await
}

/// Marked commits, behind a position or all, oldest first, at most `max`.
pub(super) async fn unpublished(
    dynamo: &Dynamo,
    after: Option<u64>,
    max: usize,
) -> Result<Vec<StoredCommit>, StoreError> {
    let from = after.map(|after| ("t >= :at", microsecond_of(after)));
    let mut merge = FeedMerge::new(dynamo, FeedIndex::Outbox, from, Direction::Forwards, max);
    collect(&mut merge, max, |commit| commit.marked && after.is_none_or(|after| commit.position > after)).await
}

/// Reads on in the window of a reader: of its commits only those are loaded that were not read yet.
pub(super) async fn read_on(
    dynamo: &Dynamo,
    reached: &mut Reached,
    pace: ReadingPace,
) -> Result<(Vec<StoredCommit>, bool), StoreError> {
    let begin = reached.begin();
    let from = reached.reads_from().as_microsecond().max(microsecond_of(begin));
    let mut merge = FeedMerge::new(dynamo, FeedIndex::Feed, Some(("t >= :at", from)), Direction::Forwards, pace.max);
    let (mut places, mut last, mut wanted) = (0, None, Vec::new());
    let is_new = |reached: &Reached, entry: &FeedEntry| {
        let at = Timestamp::from_microsecond(entry.us).unwrap_or_default();
        reached.is_new(&entry.stream, entry.version, at)
    };
    let is_all = loop {
        if places >= pace.max {
            break false;
        }
        let Some(group) = merge.next().await? else { break true };
        places += group.len();
        last = group.first().map(|entry| entry.us).or(last);
        // A commit's position depends on the others of its microsecond.
        if group.iter().any(|entry| is_new(reached, entry)) {
            wanted.extend(group);
        }
    };
    if reached.remembered().saturating_add(wanted.len()) > WINDOW_COMMITS_MAX {
        return Err(StoreError::Limit(format!(
            "more than {WINDOW_COMMITS_MAX} commits within {}: follow the log with a smaller window",
            pace.window
        )));
    }
    let mut commits = if wanted.is_empty() { Vec::new() } else { merge.commits(&wanted).await? };
    commits.retain(|commit| {
        commit.position > begin && reached.is_new(&commit.stream.to_string(), commit.version, placed_at(commit))
    });
    for commit in &commits {
        reached.read(&commit.stream, commit.version, placed_at(commit), commit.position);
    }
    if let Some(last) = last.and_then(|us| Timestamp::from_microsecond(us).ok()) {
        let next = last.checked_add(SignedDuration::from_micros(1)).ok();
        reached.passed(last, pace.now, pace.window, next.filter(|_| !is_all));
    } else {
        reached.passed(Timestamp::MIN, pace.now, pace.window, None);
    }
    Ok((commits, is_all))
}

/// The moment of a commit's place: its writer's time, unless it was moved here.
fn placed_at(commit: &StoredCommit) -> Timestamp {
    Timestamp::from_microsecond(microsecond_of(commit.position)).unwrap_or_default()
}

/// Reads commits, microsecond by microsecond, until `max` of them are wanted ones.
async fn collect(
    merge: &mut FeedMerge<'_>,
    max: usize,
    wanted: impl Fn(&StoredCommit) -> bool,
) -> Result<Vec<StoredCommit>, StoreError> {
    let mut found = Vec::new();
    while found.len() < max {
        let mut entries = Vec::new();
        while entries.len() < max - found.len()
            && let Some(group) = merge.next().await?
        {
            entries.extend(group);
        }
        if entries.is_empty() {
            break;
        }
        let commits = merge.commits(&entries).await?;
        found.extend(commits.into_iter().filter(&wanted));
    }
    found.truncate(max);
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forwards,
    Backwards,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FeedIndex {
    Feed,
    Outbox,
}

/// An entry of an index.
#[derive(Clone)]
struct FeedEntry {
    us: i64,
    stream: String,
    version: u64,
}

/// The slices of an index, read in parallel.
struct FeedMerge<'d> {
    dynamo: &'d Dynamo,
    table: String,
    direction: Direction,
    slices: Vec<Slice>,
}

/// The part of a slice that was read.
struct Slice {
    request: QueryFluentBuilder,
    entries: VecDeque<FeedEntry>,
    is_at_end: bool,
}

impl<'d> FeedMerge<'d> {
    fn new(dynamo: &'d Dynamo, index: FeedIndex, bound: Option<(&str, i64)>, direction: Direction, max: usize) -> Self {
        let table = dynamo.table(EVENTS);
        let (name, partition, count) = match index {
            FeedIndex::Feed => (FEED, "f", SLICES),
            FeedIndex::Outbox => (OUTBOX, "ob", SHARDS),
        };
        let share = max / usize::try_from(count).unwrap_or(1) + SPARE_ENTRIES;
        let slice = |number_of: u32| {
            let mut request = dynamo
                .client()
                .query()
                .table_name(&table)
                .index_name(name)
                .expression_attribute_values(":slice", text(number_of.to_string()))
                .scan_index_forward(direction == Direction::Forwards)
                .limit(fetch::page_limit(share));
            let mut condition = format!("{partition} = :slice");
            if let Some((bound, at)) = bound {
                condition.push_str(&format!(" AND {bound}"));
                request = request.expression_attribute_values(":at", number(at));
            }
            Slice { request: request.key_condition_expression(condition), entries: VecDeque::new(), is_at_end: false }
        };
        let slices = (0..count).map(slice).collect();
        Self { dynamo, table, direction, slices }
    }

    /// All entries of the next microsecond; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<FeedEntry>>, StoreError> {
        self.fill().await?;
        let heads = self.slices.iter().filter_map(|slice| slice.entries.front()).map(|entry| entry.us);
        let next = match self.direction {
            Direction::Forwards => heads.min(),
            Direction::Backwards => heads.max(),
        };
        let Some(us) = next else { return Ok(None) };
        let mut group = Vec::new();
        loop {
            for slice in &mut self.slices {
                while slice.entries.front().is_some_and(|entry| entry.us == us) {
                    group.extend(slice.entries.pop_front());
                }
            }
            // A used-up slice may continue with the same microsecond.
            if self.slices.iter().all(|slice| slice.is_at_end || !slice.entries.is_empty()) {
                return Ok(Some(group));
            }
            self.fill().await?;
            if self.slices.iter().all(|slice| slice.entries.front().is_none_or(|entry| entry.us != us)) {
                return Ok(Some(group));
            }
        }
    }

    /// Reads on in every used-up slice.
    async fn fill(&mut self) -> Result<(), StoreError> {
        let table = &self.table;
        let empty = self.slices.iter_mut().filter(|slice| slice.entries.is_empty());
        fetch::in_parallel(empty.map(|slice| slice.read_on(table)).collect()).await?;
        Ok(())
    }

    /// The commits of entries, always whole microseconds, in log order or backwards.
    async fn commits(&self, entries: &[FeedEntry]) -> Result<Vec<StoredCommit>, StoreError> {
        let keys = entries.iter().map(|entry| key(&entry.stream, entry.version)).collect();
        let items = fetch::get_all(self.dynamo, &self.table, keys).await?;
        if items.len() != entries.len() {
            let missing = entries.len().saturating_sub(items.len());
            return Err(StoreError::Corrupt(format!(
                "an index of {} shows {missing} commits that it lacks",
                self.table
            )));
        }
        let mut commits: Vec<StoredCommit> = items.iter().map(commit::from_item).collect::<Result<_, _>>()?;
        let us = |commit: &StoredCommit| microsecond_of(commit.position);
        commits.sort_by_key(us);
        for group in commits.chunk_by_mut(|a, b| us(a) == us(b)) {
            commit::in_order(group)?;
        }
        if self.direction == Direction::Backwards {
            commits.reverse();
        }
        Ok(commits)
    }
}

impl Slice {
    /// Reads pages until there is an entry, or the end.
    async fn read_on(&mut self, table: &str) -> Result<(), StoreError> {
        while self.entries.is_empty() && !self.is_at_end {
            let page = self.request.clone().send().await.map_err(|error| unavailable(table, &error))?;
            for item in page.items.unwrap_or_default() {
                self.entries.push_back(entry(&item)?);
            }
            self.is_at_end = page.last_evaluated_key.is_none();
            self.request = self.request.clone().set_exclusive_start_key(page.last_evaluated_key);
        }
        Ok(())
    }
}

/// The key of a commit's item.
pub(super) fn key(stream: &str, version: u64) -> Item {
    item::item([("s", text(stream)), ("v", number(version))])
}

fn entry(item: &Item) -> Result<FeedEntry, StoreError> {
    Ok(FeedEntry {
        us: get_number(item, "t")?,
        stream: item::get_text(item, "s")?.to_owned(),
        version: get_number(item, "v")?,
    })
}
