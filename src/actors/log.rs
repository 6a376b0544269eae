//! Searches the log.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    domain::{
        id::StreamId,
        persisted::{self, StoredCommit},
    },
    store::{EventLog, StoreError},
};

/// Commits that are read at a time.
const BATCH_COMMITS: usize = 512;
/// The most commits that one page looks through; the page ends there even if it is not full.
const LOOKED_THROUGH_MAX: usize = 20_000;

/// Which end of the log comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingOrder {
    /// The oldest commit.
    OldestFirst,
    /// The newest commit.
    NewestFirst,
}

/// A filter for the log.
#[derive(Debug, Clone, Default)]
pub struct Sieve {
    /// Only events of this type.
    pub type_name: Option<String>,
    /// Only events recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Only events recorded before this moment.
    pub until: Option<Timestamp>,
    /// Only events of this stream.
    pub stream: Option<StreamId>,
    /// Only events of the request with this id.
    pub correlation: Option<String>,
}

impl Sieve {
    /// Whether the filter accepts events of this type.
    pub fn wants_type(&self, name: &str) -> bool {
        self.type_name.as_deref().is_none_or(|wanted| wanted == name)
    }

    fn wants(&self, commit: &StoredCommit) -> bool {
        let has_type = || persisted::type_names(commit).unwrap_or_default().iter().any(|name| self.wants_type(name));
        self.since.is_none_or(|since| commit.recorded_at >= since)
            && self.until.is_none_or(|until| commit.recorded_at < until)
            && self.stream.as_ref().is_none_or(|stream| *stream == commit.stream)
            && self.correlation.as_ref().is_none_or(|id| persisted::belongs_to(commit, id))
            && (self.type_name.is_none() || has_type())
    }
}

/// A filtered reading of the log.
pub struct EventReading {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The filter.
    pub sieve: Sieve,
    /// The order.
    pub direction: ReadingOrder,
}

/// A page of the log.
#[derive(Debug, Default)]
pub struct LogPage {
    /// The accepted commits.
    pub commits: Vec<StoredCommit>,
    /// The position after which the next page begins; `None` at the end.
    pub next: Option<u64>,
    /// The last position that was read.
    pub seen: Option<u64>,
    /// The latest time of the commits that were read.
    pub seen_at: Option<Timestamp>,
}

impl EventReading {
    /// At most `max` accepted commits after a position, or before it when the newest come first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn page(&self, after: Option<u64>, max: usize) -> Result<LogPage, StoreError> {
        let (mut page, mut looked_through) = (LogPage::default(), 0);
        let mut version = 0;
        loop {
            let from = page.seen.or(after);
            let batch = if self.is_filtered() { BATCH_COMMITS } else { max.saturating_add(1) };
            let commits = match (&self.sieve.stream, self.direction) {
                (Some(stream), ReadingOrder::OldestFirst) => self.log.load(stream, version, batch).await?,
                (_, ReadingOrder::OldestFirst) => self.log.read(from.unwrap_or(0), batch).await?,
                (_, ReadingOrder::NewestFirst) => self.log.read_back(from, batch).await?,
            };
            let is_end = commits.len() < batch;
            looked_through += commits.len();
            for commit in commits {
                version = commit.version;
                if self.direction == ReadingOrder::OldestFirst && after.is_some_and(|after| commit.position <= after) {
                    continue;
                }
                let is_wanted = self.sieve.wants(&commit);
                if is_wanted && page.commits.len() == max {
                    page.next = page.seen;
                    return Ok(page);
                }
                page.seen = Some(commit.position);
                page.seen_at = page.seen_at.max(Some(commit.recorded_at));
                if is_wanted {
                    page.commits.push(commit);
                }
            }
            if is_end {
                return Ok(page);
            }
            if looked_through >= LOOKED_THROUGH_MAX {
                page.next = page.seen.or(after);
                return Ok(page);
            }
        }
    }

    fn is_filtered(&self) -> bool {
        let Sieve { type_name, since, until, stream, correlation } = &self.sieve;
        let is_bound = since.is_some() || until.is_some();
        type_name.is_some() || is_bound || stream.is_some() || correlation.is_some()
    }
}
