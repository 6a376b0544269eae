//! Detects what people are to be told, expiring keys and used shares of quotas, and what administrators are to see: a person's first
//! request. One in the process.
//!
//! Guarantees: a notice is recorded in the person's stream before it is mailed, once for each key and time, or each day and share, however
//! many nodes look; the mail follows from that event. Keys are found by an index: a sweep reads only those that are due, page by page. Two
//! sweeps at once do no harm.

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use futures_util::{StreamExt, stream};
use jiff::SignedDuration;
use tracing::{Instrument, Span};

use super::{
    ask::{Busy, Mailbox, Reply, ask},
    commit::{CommandError, Committer, Envelope},
    counting::counters,
    person::user_in,
};
use crate::{
    domain::{
        event::Origin,
        id::{CommandId, StreamId, UserId, Who},
        notice::EXPIRY_DAYS,
        user::{Command, CommandRefusal, decide},
        view::State,
    },
    failpoint::crash_point,
    store::{DueFilter, DueNotice, StoreError},
};

/// Keys in a page of a sweep.
const PAGE_KEYS: usize = 100;
/// Of these, how many are recorded at the same time.
const PARALLEL: usize = 8;
/// The pause between two pages, which leaves room for the node's other work.
const PAGE_PAUSE: Duration = Duration::from_millis(20);

/// Why a sweep ended early. The next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stream cannot be read or written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl NoticeError {
    /// Whether the error concerns one stream only, so that other notices can go on.
    fn is_of_the_stream(&self) -> bool {
        use StoreError::{Corrupt, Incompatible};
        matches!(
            self,
            Self::Command(
                CommandError::Codec(_)
                    | CommandError::Quarantined(_)
                    | CommandError::Contended
                    | CommandError::Store(Corrupt(_) | Incompatible(_))
            )
        )
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct SweepKeys {
    reply: Reply<Result<u64, NoticeError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct NoteQuota {
    user: UserId,
    day: i64,
    percent: u8,
    reply: Reply<Result<(), CommandError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct NoteUse {
    user: UserId,
    reply: Reply<Result<(), CommandError>>,
}

counters! {
    /// The counters of notices.
    NoticeCounters read as NoticeCounts {
        /// Sweeps of keys that expire.
        sweeps,
        /// Keys whose expiry was noticed.
        expiring,
        /// Used shares of quotas that were noticed.
        quotas,
        /// People whose first request was noticed.
        first_requests,
        /// Notices that could not be recorded.
        failed,
    }
}

/// The actor.
pub struct NoticeActor {
    committer: Arc<Committer>,
    counters: Arc<NoticeCounters>,
    interval: Option<Duration>,
    mailbox_capacity: usize,
    /// Allows one sweep at a time.
    sweeping: Arc<tokio::sync::Mutex<()>>,
}

impl Actor for NoticeActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
        if let Some(interval) = self.interval {
            self.start_sweep(None);
            context.run_interval(interval, |notices, _| notices.start_sweep(None));
        }
    }
}

impl Handler<SweepKeys> for NoticeActor {
    type Result = ();

    fn handle(&mut self, SweepKeys { reply }: SweepKeys, _: &mut Self::Context) {
        self.start_sweep(Some(reply));
    }
}

impl Handler<NoteQuota> for NoticeActor {
    type Result = ();

    fn handle(&mut self, NoteQuota { user, day, percent, reply }: NoteQuota, _: &mut Self::Context) {
        let (committer, counters) = (Arc::clone(&self.committer), Arc::clone(&self.counters));
        reply.answer_later(async move {
            let what = format!("quota:{day}:{percent}");
            let noted = note(&committer, user, &what, Command::NoteQuota { day, percent }).await;
            count(&noted, &counters.quotas, &counters);
            noted.map(|_| ())
        });
    }
}

impl Handler<NoteUse> for NoticeActor {
    type Result = ();

    fn handle(&mut self, NoteUse { user, reply }: NoteUse, _: &mut Self::Context) {
        let (committer, counters) = (Arc::clone(&self.committer), Arc::clone(&self.counters));
        reply.answer_later(async move {
            // For nearly everybody the view shows that it was recorded long ago.
            let row = committer.stores.views.user(user).await?;
            if row.is_some_and(|row| row.first_request_at.is_some()) {
                return Ok(());
            }
            crash_point("first-request-before");
            let noted = write_down(&committer, user, "first-request", Command::NoteFirstRequest).await;
            crash_point("first-request-after");
            count(&noted, &counters.first_requests, &counters);
            noted.map(|_| ())
        });
    }
}

impl NoticeActor {
    fn start_sweep(&self, reply: Option<Reply<Result<u64, NoticeError>>>) {
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
            let swept = sweep(&committer, &counters).await;
            if let Err(error) = &swept {
                tracing::warn!(%error, "looking for keys that expire ended early; the next look begins anew");
            }
            if let Some(reply) = reply {
                reply.send(swept);
            }
        };
        actix::spawn(sweeping.instrument(span));
    }
}

/// Notices the keys that are due, page by page; returns how many there were.
async fn sweep(committer: &Committer, counters: &NoticeCounters) -> Result<u64, NoticeError> {
    counters.sweeps.add(1);
    let until = committer.clock.now();
    // Keys that were due earlier have expired.
    let longest = EXPIRY_DAYS.into_iter().max().unwrap_or_default();
    let from = until.checked_sub(SignedDuration::from_hours(24 * i64::from(longest))).unwrap_or(until);
    let (mut noticed, mut after) = (0, None);
    loop {
        let due = committer.stores.views.due_notices(DueFilter { from, until, after, limit: PAGE_KEYS }).await?;
        let noting = due.iter().map(|due| note_expiring(committer, counters, due));
        let noted: Vec<_> = stream::iter(noting).buffered(PARALLEL).collect().await;
        for noted in noted {
            match noted.map_err(NoticeError::from) {
                Ok(is_news) => noticed += u64::from(is_news),
                Err(error) if error.is_of_the_stream() => {
                    tracing::error!(%error, "it cannot be written down that a key expires");
                }
                Err(error) => return Err(error),
            }
        }
        if due.len() < PAGE_KEYS {
            return Ok(noticed);
        }
        after = due.last().copied();
        tokio::time::sleep(PAGE_PAUSE).await;
    }
}

async fn note_expiring(
    committer: &Committer,
    counters: &NoticeCounters,
    due: &DueNotice,
) -> Result<bool, CommandError> {
    let now = committer.clock.now();
    // The time tells apart the notices of different expiry dates.
    let what = format!("expiring:{}:{}", due.key, due.at.as_microsecond());
    let noted = note(committer, due.user, &what, Command::NoteExpiring { key_id: due.key, now }).await;
    count(&noted, &counters.expiring, counters);
    noted
}

fn count(noted: &Result<bool, CommandError>, news: &super::counting::Counter, counters: &NoticeCounters) {
    match noted {
        Ok(is_news) => news.add(u64::from(*is_news)),
        Err(_) => counters.failed.add(1),
    }
}

async fn note(committer: &Committer, user: UserId, what: &str, command: Command) -> Result<bool, CommandError> {
    crash_point("notice-before");
    let noted = write_down(committer, user, what, command).await?;
    crash_point("notice-after");
    Ok(noted)
}

/// Records a fact in a person's stream, if it is new.
async fn write_down(committer: &Committer, user: UserId, what: &str, command: Command) -> Result<bool, CommandError> {
    let id = committer.new_id()?.to_string();
    let envelope = Envelope::new(
        CommandId::from_notice(what),
        Origin { who: Who::system("notices"), correlation_id: id, causation_id: None },
    );
    let noted = |state: &State| match decide(user_in(state), command.clone()) {
        // Nobody needs to be told any more.
        Err(CommandRefusal::Deleted | CommandRefusal::NoUser) => Ok(Vec::new()),
        decided => Ok(decided?),
    };
    let committed = committer.run(&StreamId::User(user), &envelope, noted).await?;
    Ok(!committed.repeated && !committed.events.is_empty())
}

/// The handle to the actor.
#[derive(Clone)]
pub struct Notices {
    actor: Mailbox<NoticeActor>,
    counters: Arc<NoticeCounters>,
}

impl Notices {
    /// Starts the actor on the calling thread's arbiter. It looks for expiring keys every `interval`; without one only on request
    /// ([`Self::sweep`]).
    pub fn start(committer: Arc<Committer>, interval: Option<Duration>, mailbox_capacity: usize) -> Self {
        let counters = Arc::new(NoticeCounters::default());
        let sweeping = Arc::new(tokio::sync::Mutex::default());
        let actor = NoticeActor { committer, counters: Arc::clone(&counters), interval, mailbox_capacity, sweeping };
        Self { actor: Mailbox::start(actor, mailbox_capacity), counters }
    }

    /// Looks for expiring keys now; returns how many were new.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sweep(&self) -> Result<u64, NoticeError> {
        ask(&self.actor, |reply| SweepKeys { reply }, None).await?
    }

    /// Records that this share of a person's quota of a UTC day is used, which leads to a mail, once a day for each share.
    ///
    /// # Errors
    /// When it could not be recorded: the caller repeats it with the next grant.
    pub async fn quota_reached(&self, user: UserId, day: i64, percent: u8) -> Result<(), CommandError> {
        ask(&self.actor, |reply| NoteQuota { user, day, percent, reply }, None).await?
    }

    /// Records that a person has made a request, unless that is recorded.
    ///
    /// # Errors
    /// When it could not be recorded: the caller repeats it with the next grant.
    pub async fn has_made_requests(&self, user: UserId) -> Result<(), CommandError> {
        ask(&self.actor, |reply| NoteUse { user, reply }, None).await?
    }

    /// The present counts.
    pub fn counts(&self) -> NoticeCounts {
        self.counters.read()
    }
}
