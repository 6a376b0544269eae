//! The relay: publishes the commits that a crash left unpublished, and lets old messages expire. One in the process.
//!
//! Guarantees: a commit keeps its mark until its messages have been sent, so none is lost; one whose mark could not be
//! cleared is sent again, so that a message may come twice. Two relays at once do no harm.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use jiff::{SignedDuration, Timestamp};

use super::{
    ask::{Busy, Reply, ask},
    commit::{CommandError, Committer},
};
use crate::{
    domain::persisted::{self, StoredCommit},
    queue::QueueError,
    store::StoreError,
};

/// Commits of one sweep.
const SWEEP_COMMITS: usize = 100;
/// How old a commit must be before the relay takes it for left behind, milliseconds: its writer may still be at it.
const LEFT_BEHIND_MS: i64 = 500;
/// Sweeps between two looks for messages that have expired.
const SWEEPS_PER_EXPIRY: u64 = 600;

/// Why a sweep ended early. The next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue does not answer.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A stream cannot be read.
    #[error(transparent)]
    Stream(#[from] CommandError),
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
}

#[derive(Message)]
#[rtype(result = "()")]
struct Sweep {
    reply: Option<Reply<Result<u64, SweepError>>>,
    left_behind_ms: i64,
}

/// What the relay has counted.
#[derive(Debug, Default)]
pub struct RelayCounters {
    sweeps: AtomicU64,
    published: AtomicU64,
    failed: AtomicU64,
    expired: AtomicU64,
}

/// A reading of [`RelayCounters`].
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct RelayCounts {
    /// Sweeps.
    pub sweeps: u64,
    /// Commits that were left behind and are published now.
    pub published: u64,
    /// Sweeps that ended early.
    pub failed: u64,
    /// Messages and dead letters removed for their age.
    pub expired: u64,
}

/// The actor.
pub struct RelayActor {
    committer: Arc<Committer>,
    counters: Arc<RelayCounters>,
    interval: Duration,
    mailbox_capacity: usize,
    /// One sweep at a time.
    sweeping: Arc<tokio::sync::Mutex<()>>,
}

impl Actor for RelayActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
        context.run_interval(self.interval, |relay, _| relay.start_sweep(None, LEFT_BEHIND_MS));
    }
}

impl Handler<Sweep> for RelayActor {
    type Result = ();

    fn handle(&mut self, Sweep { reply, left_behind_ms }: Sweep, _: &mut Self::Context) {
        self.start_sweep(reply, left_behind_ms);
    }
}

impl RelayActor {
    fn start_sweep(&self, reply: Option<Reply<Result<u64, SweepError>>>, left_behind_ms: i64) {
        let (committer, counters) = (Arc::clone(&self.committer), Arc::clone(&self.counters));
        let sweeping = Arc::clone(&self.sweeping);
        actix::spawn(async move {
            // A tick that comes while a sweep is under way has nothing to add; whoever asks for one waits.
            let _guard = match (&reply, sweeping.try_lock()) {
                (_, Ok(guard)) => guard,
                (None, Err(_)) => return,
                (Some(_), Err(_)) => sweeping.lock().await,
            };
            let swept = sweep(&committer, &counters, left_behind_ms).await;
            if let Err(error) = &swept {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "a sweep of unpublished commits ended early; the next one begins anew");
            }
            if let Some(reply) = reply {
                drop(reply.send(swept));
            }
        });
    }
}

async fn sweep(committer: &Committer, counters: &RelayCounters, left_behind_ms: i64) -> Result<u64, SweepError> {
    let sweeps = counters.sweeps.fetch_add(1, Ordering::Relaxed);
    if sweeps.is_multiple_of(SWEEPS_PER_EXPIRY) {
        counters.expired.fetch_add(committer.queue.expire().await?, Ordering::Relaxed);
    }
    let now = committer.clock.now();
    let before = now.checked_sub(SignedDuration::from_millis(left_behind_ms)).unwrap_or(now);
    let commits = committer.stores.log.unpublished(Timestamp::MAX, SWEEP_COMMITS).await?;
    // The clock of a writer that is ahead says nothing of a commit's age; to publish it twice does no harm.
    let is_young = |commit: &&StoredCommit| commit.recorded_at >= before && commit.recorded_at <= now;
    let left_behind = commits.iter().filter(|commit| left_behind_ms == 0 || !is_young(commit));
    let (mut published, mut failure) = (0, None);
    for commit in left_behind {
        match relay(committer, commit).await {
            Ok(()) => {
                published += 1;
                counters.published.fetch_add(1, Ordering::Relaxed);
            }
            // A stream that cannot be read stops nobody else's.
            Err(error @ SweepError::Stream(CommandError::Codec(_))) => {
                tracing::error!(stream = %commit.stream, version = commit.version, %error, "a commit cannot be published");
                failure = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    failure.map_or(Ok(published), Err)
}

/// Projects and publishes one commit. The rows are those of the whole stream: the store keeps what is newer.
async fn relay(committer: &Committer, commit: &StoredCommit) -> Result<(), SweepError> {
    let loaded = committer.load(&commit.stream, None).await?;
    committer.stores.log.project(loaded.state.rows()).await?;
    let events = persisted::decode(commit, None).map_err(CommandError::from)?;
    committer.publish(&events).await?;
    tracing::info!(stream = %commit.stream, version = commit.version, "published a commit that had been left behind");
    Ok(())
}

/// How others reach the relay.
#[derive(Clone)]
pub struct Relay {
    actor: Addr<RelayActor>,
    counters: Arc<RelayCounters>,
}

impl Relay {
    /// Starts the relay on the calling thread's arbiter; it sweeps every `interval`.
    pub fn start(committer: Arc<Committer>, interval: Duration, mailbox_capacity: usize) -> Self {
        let counters = Arc::new(RelayCounters::default());
        let sweeping = Arc::new(tokio::sync::Mutex::default());
        let actor =
            RelayActor { committer, counters: Arc::clone(&counters), interval, mailbox_capacity, sweeping }.start();
        Self { actor, counters }
    }

    /// Sweeps now; returns how many commits were published.
    ///
    /// # Errors
    /// When the store or the queue does not answer.
    pub async fn sweep(&self) -> Result<u64, SweepError> {
        ask(&self.actor, |reply| Sweep { reply: Some(reply), left_behind_ms: LEFT_BEHIND_MS }, None).await?
    }

    /// The same of every commit that is not published, however young: its writer may have died a moment ago. Where it lives,
    /// its commit is published twice, which does no harm.
    ///
    /// # Errors
    /// As [`Relay::sweep`].
    pub async fn sweep_everything(&self) -> Result<u64, SweepError> {
        ask(&self.actor, |reply| Sweep { reply: Some(reply), left_behind_ms: 0 }, None).await?
    }

    /// What was counted.
    pub fn counts(&self) -> RelayCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RelayCounts {
            sweeps: read(&self.counters.sweeps),
            published: read(&self.counters.published),
            failed: read(&self.counters.failed),
            expired: read(&self.counters.expired),
        }
    }
}
