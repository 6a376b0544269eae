//! The relay: publishes commits that a crash left unpublished, and removes expired messages. One in the process.
//!
//! Guarantees: a commit keeps its mark until its messages were sent, so none is lost; if its mark could not be cleared, it is sent again,
//! so that a message may come twice. Two relays at once do no harm.

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use jiff::SignedDuration;
use tracing::{Instrument, Span};

use super::{
    ask::{Busy, Mailbox, Reply, ask},
    commit::{CommandError, Committer},
    counting::counters,
};
use crate::{
    domain::persisted::{self, StoredCommit},
    queue::QueueError,
    store::StoreError,
};

/// Commits in a page of a sweep.
const PAGE_COMMITS: usize = 100;
/// The most pages of a sweep. The next one does the rest.
const PAGES_MAX: u32 = 1000;
/// The age at which a commit counts as left behind, milliseconds: before, its writer may still publish it.
const LEFT_BEHIND_MS: i64 = 500;
/// Sweeps between two removals of expired messages.
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

impl SweepError {
    /// Whether the error concerns one stream only, which is in no quarantine: it is damaged, or written by a newer permitd.
    fn is_of_the_stream(&self) -> bool {
        use StoreError::{Corrupt, Incompatible};
        matches!(self, Self::Stream(CommandError::Codec(_) | CommandError::Store(Corrupt(_) | Incompatible(_))))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Sweep {
    reply: Option<Reply<Result<u64, SweepError>>>,
    left_behind_ms: i64,
}

counters! {
    /// The counters of the relay.
    RelayCounters read as RelayCounts {
        /// Sweeps.
        sweeps,
        /// Commits that were left behind and have been published.
        published,
        /// Sweeps that ended early.
        failed,
        /// Expired messages and dead letters that were removed.
        expired,
    }
}

/// The actor.
pub struct RelayActor {
    committer: Arc<Committer>,
    counters: Arc<RelayCounters>,
    /// None where nobody may sweep.
    interval: Option<Duration>,
    mailbox_capacity: usize,
    /// Allows one sweep at a time.
    sweeping: Arc<tokio::sync::Mutex<()>>,
}

impl Actor for RelayActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
        if let Some(interval) = self.interval {
            context.run_interval(interval, |relay, _| relay.start_sweep(None, LEFT_BEHIND_MS));
        }
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
        let turn = Arc::clone(&self.sweeping);
        let span = reply.as_ref().map_or_else(Span::none, Reply::span);
        let sweeping = async move {
            // A tick during a sweep is skipped; a caller that asks for a sweep waits.
            let _guard = match (&reply, turn.try_lock()) {
                (_, Ok(guard)) => guard,
                (None, Err(_)) => return,
                (Some(_), Err(_)) => turn.lock().await,
            };
            let swept = sweep(&committer, &counters, left_behind_ms).await;
            if let Err(error) = &swept {
                counters.failed.add(1);
                tracing::warn!(%error, "a sweep of unpublished commits ended early; the next one begins anew");
            }
            if let Some(reply) = reply {
                reply.send(swept);
            }
        };
        actix::spawn(sweeping.instrument(span));
    }
}

async fn sweep(committer: &Committer, counters: &RelayCounters, left_behind_ms: i64) -> Result<u64, SweepError> {
    // Sweeps run one at a time: nobody else counts in between.
    let sweeps = counters.sweeps.read();
    counters.sweeps.add(1);
    if sweeps.is_multiple_of(SWEEPS_PER_EXPIRY) {
        counters.expired.add(committer.queue.expire().await?);
    }
    let now = committer.clock.now();
    let before = now.checked_sub(SignedDuration::from_millis(left_behind_ms)).unwrap_or(now);
    // A time in the future, by a fast writer's clock, says nothing of a commit's age; publishing twice does no harm.
    let is_young = |commit: &StoredCommit| commit.recorded_at >= before && commit.recorded_at <= now;
    let (mut published, mut unread, mut last): (_, _, Option<StoredCommit>) = (0, None, None);
    for _ in 0..PAGES_MAX {
        let commits = committer.stores.log.unpublished(last.as_ref(), PAGE_COMMITS).await?;
        for commit in commits.iter().filter(|commit| left_behind_ms == 0 || !is_young(commit)) {
            match relay(committer, commit).await {
                Ok(()) => {
                    published += 1;
                    counters.published.add(1);
                }
                Err(SweepError::Stream(CommandError::Quarantined(_))) => {
                    tracing::debug!(stream = %commit.stream, version = commit.version, "left alone: its stream is in quarantine");
                }
                Err(error) if error.is_of_the_stream() => {
                    tracing::error!(stream = %commit.stream, version = commit.version, %error, "a commit cannot be published");
                    unread = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let is_full = commits.len() == PAGE_COMMITS;
        last = commits.into_iter().next_back().filter(|_| is_full);
        if last.is_none() {
            break;
        }
    }
    unread.map_or(Ok(published), Err)
}

/// Projects and publishes one commit. Projects the rows of the whole stream: the store keeps the newest.
async fn relay(committer: &Committer, commit: &StoredCommit) -> Result<(), SweepError> {
    let loaded = committer.load(&commit.stream, None).await?;
    committer.stores.log.project(loaded.state.rows()).await?;
    let events = persisted::decode(commit, None).map_err(CommandError::from)?;
    committer.publish(&events).await?;
    tracing::info!(stream = %commit.stream, version = commit.version, "published a commit that had been left behind");
    Ok(())
}

/// The handle to the relay.
#[derive(Clone)]
pub struct Relay {
    actor: Mailbox<RelayActor>,
    counters: Arc<RelayCounters>,
}

impl Relay {
    /// Starts the relay on the calling thread's arbiter; it sweeps every `interval`, if there is one.
    pub fn start(committer: Arc<Committer>, interval: Option<Duration>, mailbox_capacity: usize) -> Self {
        let counters = Arc::new(RelayCounters::default());
        let sweeping = Arc::new(tokio::sync::Mutex::default());
        let actor = RelayActor { committer, counters: Arc::clone(&counters), interval, mailbox_capacity, sweeping };
        Self { actor: Mailbox::start(actor, mailbox_capacity), counters }
    }

    /// Sweeps now; returns how many commits were published.
    ///
    /// # Errors
    /// When the store or the queue does not answer.
    pub async fn sweep(&self) -> Result<u64, SweepError> {
        ask(&self.actor, |reply| Sweep { reply: Some(reply), left_behind_ms: LEFT_BEHIND_MS }, None).await?
    }

    /// Sweeps every unpublished commit, however young: its writer may have died a moment ago. If the writer is alive, the commit is
    /// published twice, which does no harm.
    ///
    /// # Errors
    /// As [`Relay::sweep`].
    pub async fn sweep_everything(&self) -> Result<u64, SweepError> {
        ask(&self.actor, |reply| Sweep { reply: Some(reply), left_behind_ms: 0 }, None).await?
    }

    /// The present counts.
    pub fn counts(&self) -> RelayCounts {
        self.counters.read()
    }
}
