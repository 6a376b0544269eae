//! The quarantine: streams that cannot be read, with who set them aside, when and why. It is kept beside the log and not in it: it has to
//! be readable where the log is not, and it says how this deployment treats a stream, not what happened to its subject.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::StoreError;
use crate::domain::id::{StreamId, UserId};

/// The most streams in quarantine at once. More that cannot be read are no accident of single streams.
pub const QUARANTINES_MAX: usize = 1_000;
/// Longest reason and longest description of what cannot be read, characters.
pub const QUARANTINE_CHARS_MAX: usize = 1_000;
/// How long a node trusts the quarantines that it has read, microseconds: another process's reach it within this time.
const TRUSTED_US: i64 = 60_000_000;

/// A stream in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The stream.
    pub stream: StreamId,
    /// Since when.
    pub since: Timestamp,
    /// Who set it aside, such as `cli:ana`.
    pub who: String,
    /// Why, in their words.
    pub reason: String,
    /// What could not be read.
    pub problem: String,
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, since, who, reason, .. } = self;
        write!(f, "{stream} is in quarantine since {since} ({who}): {reason}")
    }
}

/// A quarantine that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastQuarantine {
    /// What it was.
    pub quarantine: Quarantine,
    /// When it was released.
    pub released_at: Timestamp,
    /// Who released it.
    pub released_by: String,
}

/// A quarantine as a document.
#[derive(Debug, Serialize)]
pub struct QuarantineDocument<'a> {
    stream: String,
    since: Timestamp,
    who: &'a str,
    reason: &'a str,
    problem: &'a str,
}

impl Quarantine {
    /// The document.
    pub fn document(&self) -> QuarantineDocument<'_> {
        let Self { stream, since, who, reason, problem } = self;
        QuarantineDocument { stream: stream.to_string(), since: *since, who, reason, problem }
    }
}

/// Where quarantines are kept.
#[async_trait]
pub trait QuarantineTable: Send + Sync {
    /// The quarantines in force, in any order.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn in_force(&self) -> Result<Vec<Quarantine>, StoreError>;

    /// Those that have ended, the last released first, at most `max`.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    async fn past(&self, max: usize) -> Result<Vec<PastQuarantine>, StoreError>;

    /// Records a quarantine. `false` when the stream is in quarantine already.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: repeat the call.
    async fn begin(&self, quarantine: Quarantine) -> Result<bool, StoreError>;

    /// Records the end of a quarantine. `false` when the stream is in none.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: repeat the call.
    async fn end(&self, stream: &StreamId, released_at: Timestamp, released_by: &str) -> Result<bool, StoreError>;
}

/// The streams in quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quarantined(BTreeMap<StreamId, Quarantine>);

impl Quarantined {
    /// The quarantine of a stream, if it is in one.
    pub fn of(&self, stream: &StreamId) -> Option<&Quarantine> {
        self.0.get(stream)
    }

    /// Whether a person's stream is in quarantine.
    pub fn holds_user(&self, user: UserId) -> bool {
        !self.0.is_empty() && self.0.contains_key(&StreamId::User(user))
    }

    /// All, by stream.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Quarantine> {
        self.0.values()
    }

    /// The streams alone.
    pub fn streams(&self) -> BTreeSet<StreamId> {
        self.0.keys().cloned().collect()
    }
}

impl FromIterator<Quarantine> for Quarantined {
    fn from_iter<I: IntoIterator<Item = Quarantine>>(all: I) -> Self {
        Self(all.into_iter().map(|quarantine| (quarantine.stream.clone(), quarantine)).collect())
    }
}

/// What was read, and when by the monotonic clock.
type QuarantinesSeen = Option<(i64, Arc<Quarantined>)>;

/// The quarantines of a deployment, as a node sees them. Clones share what was read.
#[derive(Clone)]
pub struct Quarantines {
    table: Arc<dyn QuarantineTable>,
    seen: Arc<Mutex<QuarantinesSeen>>,
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl Quarantines {
    /// Those of this table.
    pub fn new(table: Arc<dyn QuarantineTable>) -> Self {
        Self { table, seen: Arc::default(), reading: Arc::default() }
    }

    /// The streams in quarantine, at most a minute old by the monotonic clock, which stands at `now_us`.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read: whoever depends on it refuses then.
    pub async fn recent(&self, now_us: i64) -> Result<Arc<Quarantined>, StoreError> {
        if let Some(seen) = self.seen_at(now_us) {
            return Ok(seen);
        }
        // Of several that find it too old, one reads.
        let _reading = self.reading.lock().await;
        if let Some(seen) = self.seen_at(now_us) {
            return Ok(seen);
        }
        let fresh = self.fresh().await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((now_us, Arc::clone(&fresh)));
        Ok(fresh)
    }

    /// The streams in quarantine now.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn fresh(&self) -> Result<Arc<Quarantined>, StoreError> {
        Ok(Arc::new(self.table.in_force().await?.into_iter().collect()))
    }

    /// As [`QuarantineTable::past`].
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn past(&self, max: usize) -> Result<Vec<PastQuarantine>, StoreError> {
        self.table.past(max).await
    }

    /// As [`QuarantineTable::begin`]. Over-long texts are cut.
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: repeat the call.
    pub async fn begin(&self, quarantine: Quarantine) -> Result<bool, StoreError> {
        let cut = |text: &str| text.chars().take(QUARANTINE_CHARS_MAX).collect::<String>();
        let (reason, problem) = (cut(&quarantine.reason), cut(&quarantine.problem));
        let begun = self.table.begin(Quarantine { reason, problem, ..quarantine }).await;
        self.forget();
        begun
    }

    /// As [`QuarantineTable::end`].
    ///
    /// # Errors
    /// [`StoreError`] where it may not have been written: repeat the call.
    pub async fn end(&self, stream: &StreamId, at: Timestamp, who: &str) -> Result<bool, StoreError> {
        let ended = self.table.end(stream, at, who).await;
        self.forget();
        ended
    }

    fn seen_at(&self, now_us: i64) -> Option<Arc<Quarantined>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (at_us, seen) = seen.as_ref()?;
        (now_us.saturating_sub(*at_us) < TRUSTED_US).then(|| Arc::clone(seen))
    }

    fn forget(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
