//! The log in the tables as a whole. It is read by a scan of several segments side by side, each of which has whole streams in order; by
//! positions it is that scan, sorted on the disk of this machine. A log is written in batches.
//!
//! A commit of another store keeps its position: `t` is then the microsecond of the position, not the writer's time, so that new commits come
//! after it whatever that store counted by.

use std::sync::Arc;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    Dynamo, StoreError, administrators, answers, checkpoints, claims,
    commit::{from_item, moved_item},
    commits, fetch,
    item::{self, get_text, text},
    no_bridge, quarantine,
    records::write::{BatchWriter, WriteTarget},
    schema::{EVENTS, LEDGER, PERSONAL, STATE},
    spool::SortingSpool,
    streams::SCAN_SEGMENTS,
    terms::live_key,
    unavailable, upkeep,
};
use crate::{
    aws::Bridge,
    domain::{
        id::StreamId,
        persisted::{self, StoredCommit},
    },
    store::{
        BesideLog, DeploymentMark, KeptCheckpoints, LogChunk, LogOrder, LogSource, LogTarget, Room, TakeBeside,
        Transferable, Upkeep,
    },
};

/// ScannedPages that are read ahead, in all segments together. A page has at most 1 MiB.
const PAGES_AHEAD: usize = 8;
/// Requests that write at once.
const PARALLEL_WRITES: usize = 16;
/// What is beside the log, handed over at a time.
const CHUNK_BESIDE: usize = 1024;

impl Transferable for Dynamo {
    fn log_source(&self, order: LogOrder) -> Result<Box<dyn LogSource>, StoreError> {
        let bridge = Arc::new(Bridge::start("log-dynamodb").map_err(no_bridge)?);
        let dynamo = self.with_own_connections();
        Ok(Box::new(ScannedLog { bridge, dynamo, order, pages: None, sorted: None }))
    }

    fn log_target(&self) -> Result<Box<dyn LogTarget>, StoreError> {
        let bridge = Arc::new(Bridge::start("log-dynamodb").map_err(no_bridge)?);
        let dynamo = self.with_own_connections();
        let writer = |table: &str, key: &str, id: &str| {
            let target = WriteTarget { table: dynamo.table(table), key: key.to_owned(), id: id.to_owned() };
            BatchWriter::new(Arc::clone(&bridge), dynamo.clone(), target, PARALLEL_WRITES)
        };
        let (events, state, personal) = (writer(EVENTS, "s", "v"), writer(STATE, "k", "r"), writer(PERSONAL, "k", "k"));
        Ok(Box::new(FillingTables { bridge, dynamo, events, state, personal, source: Uuid::nil(), commits: 0 }))
    }
}

/// The pages of a scan, as they come.
type ScannedPages = mpsc::Receiver<Result<LogChunk, StoreError>>;

/// The log as a scan finds it.
struct ScannedLog {
    bridge: Arc<Bridge>,
    dynamo: Dynamo,
    order: LogOrder,
    pages: Option<ScannedPages>,
    sorted: Option<SortingSpool>,
}

impl ScannedLog {
    fn pages(&mut self) -> &mut ScannedPages {
        let (bridge, dynamo) = (&self.bridge, &self.dynamo);
        self.pages.get_or_insert_with(|| {
            let (send, pages) = mpsc::channel(PAGES_AHEAD);
            for segment in 0..SCAN_SEGMENTS {
                bridge.spawn(scan(dynamo.clone(), segment, send.clone()));
            }
            pages
        })
    }

    fn next_page(&mut self) -> Result<LogChunk, StoreError> {
        self.pages().blocking_recv().unwrap_or_else(|| Ok(LogChunk::default()))
    }

    fn next_sorted(&mut self) -> Result<LogChunk, StoreError> {
        if self.sorted.is_none() {
            let mut spool = SortingSpool::new();
            loop {
                let LogChunk { commits, .. } = self.next_page()?;
                if commits.is_empty() {
                    break;
                }
                spool.add(&commits)?;
            }
            self.sorted = Some(spool.sorted()?);
        }
        let commits = self.sorted.as_mut().map_or(Ok(Vec::new()), SortingSpool::next)?;
        Ok(LogChunk { lane: 0, commits })
    }

    fn run<T, Work>(&self, work: impl FnOnce(Dynamo) -> Work) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.bridge.run(work(self.dynamo.clone())).map_err(no_bridge)?
    }
}

/// Sends the commits of a segment, page after page, until nobody takes them.
async fn scan(dynamo: Dynamo, segment: i32, send: mpsc::Sender<Result<LogChunk, StoreError>>) {
    let table = dynamo.table(EVENTS);
    let request = dynamo.client().scan().table_name(&table).consistent_read(true);
    let mut pages = request.segment(segment).total_segments(SCAN_SEGMENTS).into_paginator().send();
    let lane = usize::try_from(segment).unwrap_or(0);
    while let Some(page) = pages.next().await {
        let commits = page.map_err(|error| unavailable(&table, &error)).and_then(|page| {
            page.items.unwrap_or_default().iter().map(from_item).collect::<Result<Vec<StoredCommit>, _>>()
        });
        // An empty page is not the end of a segment, and an empty chunk is the end of the log.
        if matches!(&commits, Ok(commits) if commits.is_empty()) {
            continue;
        }
        let failed = commits.is_err();
        if send.send(commits.map(|commits| LogChunk { lane, commits })).await.is_err() || failed {
            return;
        }
    }
}

impl LogSource for ScannedLog {
    fn commits_total(&mut self) -> Result<u64, StoreError> {
        // DynamoDB counts its items every six hours, which is good enough for a bar.
        self.run(|dynamo| async move {
            let table = dynamo.table(EVENTS);
            let described = dynamo.client().describe_table().table_name(&table).send().await;
            let described = described.map_err(|error| unavailable(&table, &error))?;
            let count = described.table.and_then(|table| table.item_count).unwrap_or(0);
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    fn next(&mut self) -> Result<LogChunk, StoreError> {
        match self.order {
            LogOrder::Streams => self.next_page(),
            LogOrder::Positions => self.next_sorted(),
        }
    }

    fn beside(&mut self, with_personal_keys: bool, take: TakeBeside<'_>) -> Result<(), StoreError> {
        let few = self.run(|dynamo| async move {
            let mut few: Vec<BesideLog> =
                administrators::read(&dynamo).await?.map(BesideLog::Administrators).into_iter().collect();
            few.extend(dynamo.secret_marks().await?.into_iter().map(BesideLog::SecretMark));
            few.extend(
                crate::store::quarantine::QuarantineTable::in_force(&dynamo)
                    .await?
                    .into_iter()
                    .map(BesideLog::Quarantine),
            );
            let earlier = crate::store::AdminTokens::earlier(&dynamo).await?;
            few.extend(earlier.into_iter().map(BesideLog::EarlierToken));
            Ok(few)
        })?;
        take(few)?;
        self.checkpoints(take)?;
        self.all_of(STATE, take, |item| match get_text(item, "k")? {
            claims::CLAIM => Ok(Some(BesideLog::Claim {
                name: get_text(item, "r")?.to_owned(),
                owner: get_text(item, "owner")?.to_owned(),
            })),
            kind if answers::is_answer(kind) => answers::beside(item),
            _ => Ok(None),
        })?;
        if with_personal_keys {
            self.all_of(PERSONAL, take, |item| {
                let (user, key) = commits::read_personal_key(item)?;
                Ok(Some(BesideLog::PersonalKey(user, key)))
            })?;
        }
        Ok(())
    }
}

impl ScannedLog {
    /// Hands over the signed checkpoints, the first one first.
    fn checkpoints(&self, take: TakeBeside<'_>) -> Result<(), StoreError> {
        let last = self.run(|dynamo| async move { dynamo.checkpoints(None, 1).await })?;
        for number in 1..=last.first().map_or(0, |last| last.number) {
            let found = self.run(move |dynamo| async move {
                let kept = dynamo.checkpoints(Some(number + 1), 1).await?.pop().filter(|kept| kept.number == number);
                Ok(kept.zip(dynamo.leaves(number).await?))
            })?;
            if let Some((kept, leaves)) = found {
                take(BesideLog::of_checkpoint(kept, &leaves))?;
            }
        }
        Ok(())
    }

    /// Hands over what `read` makes of the items of a table, in the order of their keys.
    fn all_of(
        &self,
        table: &str,
        take: TakeBeside<'_>,
        read: impl Fn(&item::Item) -> Result<Option<BesideLog>, StoreError> + Send + Sync + 'static,
    ) -> Result<(), StoreError> {
        let (dynamo, name) = (self.dynamo.clone(), self.dynamo.table(table));
        let (send, mut pages) = mpsc::channel(1);
        self.bridge.spawn(async move {
            let request = dynamo.client().scan().table_name(&name).consistent_read(true);
            let mut found = request.into_paginator().send();
            while let Some(page) = found.next().await {
                let read = page.map_err(|error| unavailable(&name, &error)).and_then(|page| {
                    let items = page.items.unwrap_or_default();
                    items.iter().filter_map(|item| read(item).transpose()).collect::<Result<Vec<_>, _>>()
                });
                let failed = read.is_err();
                if send.send(read).await.is_err() || failed {
                    return;
                }
            }
        });
        while let Some(page) = pages.blocking_recv() {
            for some in page?.chunks(CHUNK_BESIDE) {
                take(some.to_vec())?;
            }
        }
        Ok(())
    }
}

/// Tables that are being filled.
struct FillingTables {
    bridge: Arc<Bridge>,
    dynamo: Dynamo,
    events: BatchWriter,
    state: BatchWriter,
    personal: BatchWriter,
    source: Uuid,
    /// The commits of the source that are written.
    commits: u64,
}

impl FillingTables {
    fn run<T, Work>(&self, work: impl FnOnce(Dynamo) -> Work) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.bridge.run(work(self.dynamo.clone())).map_err(no_bridge)?
    }

    fn set_mark(&self, mark: Option<DeploymentMark>) -> Result<(), StoreError> {
        self.run(|dynamo| async move { dynamo.set_mark(mark).await })
    }
}

impl LogTarget for FillingTables {
    fn room(&mut self) -> Result<Room, StoreError> {
        let room = self.run(|dynamo| async move {
            Ok(match dynamo.mark().await? {
                Some(DeploymentMark::Filling { source, commits }) => Room::Filling { source, commits },
                Some(DeploymentMark::Moving(_) | DeploymentMark::Moved { .. }) => Room::Taken,
                None if is_empty(&dynamo, EVENTS).await? && is_empty(&dynamo, STATE).await? => Room::Empty,
                None => Room::Taken,
            })
        })?;
        if let Room::Filling { source, commits } = room {
            (self.source, self.commits) = (source, commits);
        }
        Ok(room)
    }

    fn begin(&mut self, source: Uuid) -> Result<(), StoreError> {
        (self.source, self.commits) = (source, 0);
        self.set_mark(Some(DeploymentMark::Filling { source, commits: 0 }))
    }

    fn put(&mut self, commits: &[StoredCommit]) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        for commit in commits {
            self.events.put(moved_item(commit)?)?;
            if let Some(place) = answers::of_moved(commit) {
                self.state.put(place)?;
            }
            if let StreamId::User(user) = commit.stream {
                let issued = persisted::issued_keys(&commit.events).unwrap_or_default();
                keys.extend(issued.into_iter().map(|key| (key, user)));
            }
        }
        self.state.finish()?;
        self.events.finish()?;
        self.run(|dynamo| async move {
            let table = dynamo.table(LEDGER);
            let own = keys.into_iter().map(async |(key, user)| {
                let request = dynamo.client().update_item().table_name(&table).set_key(Some(live_key(key)));
                // The first owner keeps a key that an earlier permitd issued twice.
                let request = request.update_expression("SET u = if_not_exists(u, :u)");
                let sent = request.expression_attribute_values(":u", text(user.to_string())).send().await;
                sent.map(drop).map_err(|error| unavailable(&table, &error))
            });
            fetch::in_parallel(own.collect()).await.map(drop)
        })?;
        self.commits = self.commits.saturating_add(u64::try_from(commits.len()).unwrap_or(u64::MAX));
        self.set_mark(Some(DeploymentMark::Filling { source: self.source, commits: self.commits }))
    }

    fn put_beside(&mut self, items: &[BesideLog]) -> Result<(), StoreError> {
        for item in items {
            match item {
                BesideLog::Answer { command, request_hash, answer, expires_at } => {
                    self.state.put(answers::item_of(command, request_hash, answer, *expires_at))?;
                }
                BesideLog::Claim { name, owner } => {
                    let mut claim = claims::claim_key(name);
                    claim.insert("owner".to_owned(), text(owner));
                    self.state.put(claim)?;
                }
                BesideLog::Administrators(users) => self.state.put(administrators::item(users))?,
                BesideLog::SecretMark(mark) => self.state.put(upkeep::mark_item(mark))?,
                BesideLog::EarlierToken(token) => self.state.put(super::admin_tokens::earlier_item(token))?,
                BesideLog::Quarantine(set_aside) => self.state.put(quarantine::item_of(set_aside))?,
                BesideLog::Checkpoint(kept, leaves) => self.state.put(checkpoints::head(kept, leaves)?)?,
                BesideLog::CheckpointLeaves { number, sha256, part, bytes } => {
                    self.state.put(checkpoints::part(*number, sha256, *part, bytes))?;
                }
                BesideLog::PersonalKey(user, key) => {
                    let mut personal = commits::personal_item_key(*user);
                    personal.insert("key".to_owned(), item::binary(key.as_bytes()));
                    self.personal.put(personal)?;
                }
            }
        }
        self.state.finish()?;
        self.personal.finish()
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.run(|dynamo| async move { super::chain::complete(&dynamo).await })
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.set_mark(None)
    }
}

async fn is_empty(dynamo: &Dynamo, table: &str) -> Result<bool, StoreError> {
    let table = dynamo.table(table);
    let found = dynamo.client().scan().table_name(&table).limit(1).consistent_read(true).send().await;
    Ok(found.map_err(|error| unavailable(&table, &error))?.items.unwrap_or_default().is_empty())
}
