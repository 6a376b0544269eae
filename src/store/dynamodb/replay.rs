//! The input and output of a replay: the log, read stream by stream, and the live views, which are repaired in place.
//!
//! Guarantees: a row is replaced only by what its stream says, and only if it is still the row that was read; concurrent appends
//! project as always. Memory grows with the number of streams (some 40 bytes for each), not with the log.

mod progress;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;

use self::progress::RecordedRebuild;
use super::{
    Dynamo, StoreError, commits, fetch, no_bridge,
    orphans::{self, Orphan},
    quarantine,
    read_pace::{self, ReadPace},
    repair,
    schema::PERSONAL,
    streams::Streams,
    twice,
};
use crate::{
    aws::Bridge,
    clock::SystemClock,
    domain::{
        id::{StreamId, UserId},
        persisted::StoredCommit,
        personal::PersonalKey,
    },
    failpoint::crash_point,
    store::{
        CommitBatch, IssuedTwice, Live, Progress, ReplayBatch, ReplayBeginning, ReplayLog, ReplayPlan, ReplaySpace,
        ReplayStatus, ReplayView, ReplayViews, Replayable, Settled, replay_plan::named,
    },
};

/// Streams that are read ahead of the first one that is handed on.
const STREAMS_AHEAD: usize = 64;

#[async_trait]
impl Replayable for Dynamo {
    fn replay_space_for(&self, plan: &ReplayPlan) -> Result<Box<dyn ReplaySpace>, StoreError> {
        let bridge = Arc::new(Bridge::start("replay-dynamodb").map_err(no_bridge)?);
        let dynamo = self.with_own_connections();
        let pace = plan.read_units_per_s.map(|per_s| ReadPace::new(per_s, SystemClock::shared()));
        let views = InPlace {
            bridge: Arc::clone(&bridge),
            dynamo: dynamo.clone(),
            pace: pace.clone(),
            view: plan.view,
            twice: BTreeSet::new(),
            began: None,
        };
        let log = DynamoLog { bridge, dynamo, pace, view: plan.view, streams: None, at: 0, loaded: VecDeque::new() };
        Ok(Box::new(DynamoSpace { plan: *plan, log, views }))
    }

    fn mend(&self, stream: &StreamId, view: Option<ReplayView>) -> Result<Progress, StoreError> {
        let bridge = Bridge::start("mend-dynamodb").map_err(no_bridge)?;
        let (dynamo, stream) = (self.with_own_connections(), stream.clone());
        bridge.run(async move { repair::mend(&dynamo, &stream, view).await }).map_err(no_bridge)?
    }

    async fn replay_status(&self) -> Result<Option<ReplayStatus>, StoreError> {
        Ok(progress::read(self).await?.map(|recorded| recorded.status()))
    }
}

struct DynamoSpace {
    plan: ReplayPlan,
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

    fn begin(&mut self) -> Result<ReplayBeginning, StoreError> {
        let quarantined = named(&self.quarantined()?);
        let total = self.commits_total()?;
        let recorded = self.log.run(|dynamo| async move { progress::read(&dynamo).await })?;
        let obstacle = recorded
            .as_ref()
            .and_then(|recorded| recorded.interrupted.obstacle(&self.plan, &quarantined, Timestamp::now()));
        if let (Some(recorded), None) = (&recorded, &obstacle) {
            // Its rows are in place. What was written to these streams since has written its rows itself.
            let streams = self.log.streams()?;
            self.log.at = streams.all.partition_point(|stream| recorded.reached.as_ref() >= Some(stream));
            self.views.began = Some(recorded.clone());
            return Ok(ReplayBeginning::Resumed(recorded.progress));
        }
        let began = RecordedRebuild::new(&self.plan, quarantined, total);
        self.views.began = Some(began.clone());
        self.log.run(|dynamo| async move { progress::write(&dynamo, &began).await })?;
        Ok(obstacle.map_or(ReplayBeginning::New, ReplayBeginning::Anew))
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
        let mut orphans = self.log.find_orphans()?;
        orphans.retain(|orphan| self.plan.view.is_none_or(|view| orphan.is_of(view)));
        self.log.run(|dynamo| async move {
            orphans::remove(&dynamo, orphans).await?;
            progress::end(&dynamo).await
        })
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
    pace: Option<Arc<ReadPace>>,
    /// The view that is rebuilt; none for all.
    view: Option<ReplayView>,
    streams: Option<Arc<Streams>>,
    /// How many of the streams have been loaded, or passed over.
    at: usize,
    loaded: VecDeque<Loaded>,
}

impl DynamoLog {
    fn run<T, Work>(&self, work: impl FnOnce(Dynamo) -> Work) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.bridge.run(read_pace::within(self.pace.clone(), work(self.dynamo.clone()))).map_err(no_bridge)?
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
        let is_wanted = |stream: &StreamId| self.view.is_none_or(|view| view.follows_from(stream));
        let rest = streams.all.iter().enumerate().skip(self.at);
        let next: Vec<(usize, StreamId)> = rest
            .filter(|(_, stream)| is_wanted(stream))
            .take(STREAMS_AHEAD)
            .map(|(at, stream)| (at, stream.clone()))
            .collect();
        self.at = next.last().map_or(streams.all.len(), |(at, _)| at + 1);
        let next: Vec<StreamId> = next.into_iter().map(|(_, stream)| stream).collect();
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
    pace: Option<Arc<ReadPace>>,
    /// The view that is rebuilt; none for all.
    view: Option<ReplayView>,
    /// What is recorded of the rebuild.
    began: Option<RecordedRebuild>,
    /// The keys that were issued twice.
    twice: BTreeSet<IssuedTwice>,
}

impl ReplayViews for InPlace {
    fn put(&mut self, ReplayBatch { rows, reached }: &ReplayBatch) -> Result<(), StoreError> {
        let (dynamo, rows, view) = (self.dynamo.clone(), rows.to_vec(), self.view);
        if let (Some(began), Some(reached)) = (&mut self.began, reached) {
            began.reach(reached);
        }
        let record = self.began.clone().filter(|_| reached.is_some());
        let work = async move {
            let twice = repair::put_right(&dynamo, rows, view).await?;
            if let Some(record) = record {
                progress::write(&dynamo, &record).await?;
            }
            Ok::<_, StoreError>(twice)
        };
        let twice = self.bridge.run(read_pace::within(self.pace.clone(), work)).map_err(no_bridge)??;
        self.twice.extend(twice);
        crash_point("replay-batch");
        Ok(())
    }
}
