//! The input and output of a replay: the log, read stream by stream, and the live views, which are repaired in place.
//!
//! Guarantees: a row is replaced only by what its stream says, and only if it is still the row that was read; concurrent appends
//! project as always. Memory grows with the number of streams (some 40 bytes for each), not with the log.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    Dynamo, StoreError, commits, fetch,
    orphans::{self, Orphan},
    quarantine, repair,
    schema::PERSONAL,
    streams::Streams,
    twice,
};
use crate::{
    aws::{Bridge, BridgeError},
    domain::{
        id::{StreamId, UserId},
        persisted::StoredCommit,
        personal::PersonalKey,
        view::Rows,
    },
    failpoint::crash_point,
    store::{CommitBatch, IssuedTwice, Live, ReplayLog, ReplaySpace, ReplayViews, Replayable, Settled},
};

/// Streams that are read ahead of the first one that is handed on.
const STREAMS_AHEAD: usize = 64;

impl Replayable for Dynamo {
    fn replay_space(&self) -> Result<Box<dyn ReplaySpace>, StoreError> {
        let bridge = Arc::new(Bridge::start("replay-dynamodb").map_err(no_bridge)?);
        let dynamo = self.with_own_connections();
        let views = InPlace { bridge: Arc::clone(&bridge), dynamo: dynamo.clone(), twice: BTreeSet::new() };
        let log = DynamoLog { bridge, dynamo, streams: None, at: 0, loaded: VecDeque::new() };
        Ok(Box::new(DynamoSpace { log, views }))
    }
}

fn no_bridge(error: BridgeError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

struct DynamoSpace {
    log: DynamoLog,
    views: InPlace,
}

impl ReplaySpace for DynamoSpace {
    fn commits_total(&mut self) -> Result<u64, StoreError> {
        Ok(self.log.streams()?.commits)
    }

    fn quarantined(&mut self) -> Result<BTreeSet<StreamId>, StoreError> {
        self.log.run(|dynamo| async move { quarantine::streams(&dynamo).await })
    }

    fn sides(&mut self) -> (&mut dyn ReplayLog, &mut dyn ReplayViews) {
        (&mut self.log, &mut self.views)
    }

    /// Does nothing: concurrent appends write their rows into the same views.
    fn catch_up(&mut self, _last: bool) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn switch(&mut self) -> Result<(), StoreError> {
        crash_point("replay-before-switch");
        let orphans = self.log.find_orphans()?;
        let dynamo = self.views.dynamo.clone();
        self.views.bridge.run(async move { orphans::remove(&dynamo, orphans).await }).map_err(no_bridge)?
    }

    fn issued_twice(&mut self) -> Vec<IssuedTwice> {
        self.views.twice.iter().copied().collect()
    }
}

/// A stream with all its commits, and the key of its person.
struct Loaded {
    commits: Vec<StoredCommit>,
    key: Option<PersonalKey>,
}

struct DynamoLog {
    bridge: Arc<Bridge>,
    dynamo: Dynamo,
    streams: Option<Arc<Streams>>,
    /// How many of the streams have been loaded.
    at: usize,
    loaded: VecDeque<Loaded>,
}

impl DynamoLog {
    fn run<T, Work>(&self, work: impl FnOnce(Dynamo) -> Work) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.bridge.run(work(self.dynamo.clone())).map_err(no_bridge)?
    }

    fn streams(&mut self) -> Result<Arc<Streams>, StoreError> {
        if let Some(streams) = &self.streams {
            return Ok(Arc::clone(streams));
        }
        let streams = Arc::new(self.run(|dynamo| async move { Streams::read(&dynamo).await })?);
        self.streams = Some(Arc::clone(&streams));
        Ok(streams)
    }

    fn find_orphans(&mut self) -> Result<Vec<Orphan>, StoreError> {
        let streams = self.streams()?;
        self.run(|dynamo| async move { orphans::find(&dynamo, &streams).await })
    }

    /// Loads the next streams; if none result, all have been loaded.
    fn load_on(&mut self) -> Result<(), StoreError> {
        let streams = self.streams()?;
        let next: Vec<StreamId> = streams.all.iter().skip(self.at).take(STREAMS_AHEAD).cloned().collect();
        self.at += next.len();
        self.loaded = self.run(|dynamo| async move { load(&dynamo, next).await })?.into();
        Ok(())
    }
}

impl ReplayLog for DynamoLog {
    fn next(&mut self, max: usize) -> Result<CommitBatch, StoreError> {
        let mut chunk = CommitBatch::default();
        loop {
            if self.loaded.is_empty() {
                self.load_on()?;
            }
            let Some(stream) = self.loaded.front() else { return Ok(chunk) };
            if !chunk.is_empty() && chunk.len() + stream.commits.len() > max {
                return Ok(chunk);
            }
            for commit in &stream.commits {
                chunk.push(commit.encoded(), stream.key.clone());
            }
            self.loaded.pop_front();
        }
    }

    fn live_rows(&mut self, streams: &[StreamId]) -> Result<Vec<Live>, StoreError> {
        let streams = streams.to_vec();
        self.run(|dynamo| async move { repair::live(&dynamo, &streams).await })
    }

    fn again(&mut self, stream: &StreamId) -> Result<Option<Settled>, StoreError> {
        let stream = stream.clone();
        self.run(|dynamo| async move { repair::settled(&dynamo, &stream).await }).map(Some)
    }

    fn issued_twice(&mut self, stream: &StreamId) -> Result<Vec<IssuedTwice>, StoreError> {
        let stream = stream.clone();
        self.run(|dynamo| async move {
            let now = super::now::Now::read(&dynamo, &stream).await?;
            twice::of_stream(&dynamo, &stream, &now).await
        })
    }

    fn orphans(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(self.find_orphans()?.iter().map(Orphan::name).collect())
    }
}

/// Loads whole streams, keys first: a person who is deleted in between is read as deleted, with the key that sealed their events. A
/// stream that was counted has had its key since its first commit.
async fn load(dynamo: &Dynamo, streams: Vec<StreamId>) -> Result<Vec<Loaded>, StoreError> {
    let users = streams.iter().filter_map(|stream| match stream {
        StreamId::User(user) => Some(*user),
        StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => None,
    });
    let keys = personal_keys(dynamo, users.collect()).await?;
    let work = streams.iter().map(|stream| commits::load(dynamo, stream, 0, usize::MAX)).collect();
    let loaded = fetch::in_parallel(work).await?;
    let with_key = |(stream, commits): (&StreamId, Vec<StoredCommit>)| {
        let key = keys.iter().find(|(user, _)| *stream == StreamId::User(*user)).map(|(_, key)| key.clone());
        Loaded { commits, key }
    };
    Ok(streams.iter().zip(loaded).map(with_key).collect())
}

async fn personal_keys(dynamo: &Dynamo, users: Vec<UserId>) -> Result<Vec<(UserId, PersonalKey)>, StoreError> {
    let wanted = users.into_iter().map(commits::personal_item_key).collect();
    let items = fetch::get_all(dynamo, &dynamo.table(PERSONAL), wanted).await?;
    items.iter().map(commits::read_personal_key).collect()
}

/// The live views.
struct InPlace {
    bridge: Arc<Bridge>,
    dynamo: Dynamo,
    /// The keys that were issued twice.
    twice: BTreeSet<IssuedTwice>,
}

impl ReplayViews for InPlace {
    fn put(&mut self, rows: &[Rows]) -> Result<(), StoreError> {
        let (dynamo, rows) = (self.dynamo.clone(), rows.to_vec());
        let twice = self.bridge.run(async move { repair::put_right(&dynamo, rows).await }).map_err(no_bridge)??;
        self.twice.extend(twice);
        Ok(())
    }
}
