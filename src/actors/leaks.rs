//! Handles leak reports: revokes every key, token, session and link of ours in them. One in the process.
//!
//! Guarantees: only a complete key can revoke it, since its hash is compared with the stored one. The reporter learns nothing: the work
//! follows the answer. Reports are handled one after the other, with a limited number of look-ups a second, fewer for keys not derived
//! here: so a flood of forged keys costs the store nothing. Mails follow from the revocation's event, also after a crash. A report that was
//! answered but not yet handled is lost with the process.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};
use tokio::sync::Mutex;

use super::{
    account::{AccountCommand, Accounts},
    ask::{Busy, Mailbox, Reply, tell},
    commit::{CommandError, Committer, Envelope},
    counting::counters,
    tokens::Tokens,
};
use crate::domain::{
    attempts::Pace,
    id::{CommandId, UserId},
    key::{KeyHash, KeyId},
    leak::{Suspect, SuspectKind},
    user::LeakedAccess,
};

/// Look-ups in the store per second, in the long run.
const LOOKUPS_PER_S: u32 = 5;
/// The burst of look-ups after a pause: as many as belong to this time.
const AT_ONCE_US: i64 = 10_000_000;
/// How often revoking a key is tried, and the first pause between tries, which doubles.
const TRIES_MAX: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

counters! {
    /// The counters of leak reports.
    LeakCounters read as LeakCounts {
        /// Reports with a text in the form of a key or token.
        reports,
        /// Keys, sessions, links and administrators' tokens revoked.
        revoked,
        /// Texts that were not looked up: too many were not derived here.
        passed_over,
    }
}

/// The result for a text in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeakOutcome {
    /// It was ours and worked: it is revoked now. Has the owner, unless it is an administrator's token.
    Revoked(Option<UserId>),
    /// It was ours and had ended.
    HadEnded(Option<UserId>),
    /// It is not ours.
    Unknown,
}

struct LeakWork {
    committer: Arc<Committer>,
    accounts: Accounts,
    tokens: Tokens,
    lookups: Pace,
    /// Reports are handled one after the other.
    turn: Mutex<()>,
    counters: LeakCounters,
}

#[derive(Message)]
#[rtype(result = "()")]
struct HandleReport {
    suspects: Vec<Suspect>,
    envelope: Envelope,
    reply: Reply<()>,
}

/// The actor.
pub struct LeakActor {
    work: Arc<LeakWork>,
    mailbox_capacity: usize,
}

impl Actor for LeakActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<HandleReport> for LeakActor {
    type Result = ();

    fn handle(&mut self, HandleReport { suspects, envelope, reply }: HandleReport, _: &mut Self::Context) {
        let work = Arc::clone(&self.work);
        reply.answer_later(async move {
            let _turn = work.turn.lock().await;
            for suspect in suspects {
                work.see_to(&suspect, &envelope).await;
            }
        });
    }
}

impl LeakWork {
    /// Revokes a key, with retries when the store does not answer.
    async fn see_to(&self, suspect: &Suspect, envelope: &Envelope) {
        let key = suspect.id;
        if !self.has_turn(self.is_derived(suspect)).await {
            self.counters.passed_over.add(1);
            return;
        }
        let mut pause = FIRST_PAUSE;
        for last_try in (0..TRIES_MAX).rev() {
            match self.end(suspect, envelope).await {
                Ok(LeakOutcome::Revoked(Some(user))) => {
                    tracing::warn!(%key, %user, what = suspect.kind.word(), "something was reported as leaked and revoked");
                    return;
                }
                Ok(LeakOutcome::Revoked(None)) => {
                    tracing::error!(
                        token = %key,
                        "an administrator's token was reported as leaked and revoked: `permitd admin-token new` makes another"
                    );
                    return;
                }
                Ok(LeakOutcome::HadEnded(_) | LeakOutcome::Unknown) => return,
                Err(error) if last_try == 0 => {
                    tracing::error!(%key, %error, what = suspect.kind.word(), "what may have leaked could not be revoked: do so by hand");
                }
                Err(error) => {
                    tracing::warn!(%key, %error, what = suspect.kind.word(), "what may have leaked could not be revoked yet");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2);
                }
            }
        }
    }

    /// Whether it was derived from this deployment's server secret.
    fn is_derived(&self, Suspect { id, hash, kind }: &Suspect) -> bool {
        let secrets = &self.committer.secrets;
        match kind {
            SuspectKind::ApiKey => secrets.recognises(*id, hash),
            SuspectKind::Session => secrets.recognises_session(*id, hash),
            SuspectKind::AdminToken => secrets.derived_admin_token(*id, hash),
            SuspectKind::Link(link) => secrets.recognises_link(link),
        }
    }

    /// Revokes it, if it is ours.
    async fn end(&self, suspect: &Suspect, envelope: &Envelope) -> Result<LeakOutcome, CommandError> {
        let Suspect { id, hash, kind } = *suspect;
        // Each is a separate command.
        let envelope = Envelope { command: CommandId::unique(self.committer.new_id()?), ..envelope.clone() };
        let views = &self.committer.stores.views;
        let (user, command) = match kind {
            SuspectKind::AdminToken => return self.end_token(id, hash, envelope).await,
            SuspectKind::ApiKey => match views.key(id).await?.filter(|stored| stored.hash == hash) {
                None => return Ok(LeakOutcome::Unknown),
                Some(stored) if stored.revoked_at.is_some() => return Ok(LeakOutcome::HadEnded(Some(stored.user))),
                Some(stored) => (stored.user, AccountCommand::RevokeLeakedApiKey { key: id, hash }),
            },
            SuspectKind::Session => match views.session(id).await?.filter(|stored| stored.hash == hash) {
                None => return Ok(LeakOutcome::Unknown),
                Some(stored) if stored.ended_at.is_some() => return Ok(LeakOutcome::HadEnded(Some(stored.user))),
                Some(stored) => (stored.user, AccountCommand::EndLeaked(LeakedAccess::Session { id, hash })),
            },
            SuspectKind::Link(link) => {
                let user = link.place.user;
                if !self.is_derived(suspect) || views.user(user).await?.is_none() {
                    return Ok(LeakOutcome::Unknown);
                }
                (user, AccountCommand::EndLeaked(LeakedAccess::Link(link)))
            }
        };
        let done = self.accounts.perform(user, command, envelope).await?;
        if done.committed.repeated || done.committed.events.is_empty() {
            return Ok(LeakOutcome::HadEnded(Some(user)));
        }
        self.counters.revoked.add(1);
        Ok(LeakOutcome::Revoked(Some(user)))
    }

    /// Revokes an administrator's token, even the last one: an operator can make another.
    async fn end_token(&self, id: KeyId, hash: KeyHash, envelope: Envelope) -> Result<LeakOutcome, CommandError> {
        let stored = self.committer.stores.views.admin_token(id).await?.filter(|stored| stored.hash == hash);
        match stored {
            None => return Ok(LeakOutcome::Unknown),
            Some(stored) if !stored.works(self.committer.clock.now()) => return Ok(LeakOutcome::HadEnded(None)),
            Some(_) => {}
        }
        let revoked = self.tokens.revoke(id, envelope).await?;
        if revoked.repeated || revoked.events.is_empty() {
            return Ok(LeakOutcome::HadEnded(None));
        }
        self.counters.revoked.add(1);
        Ok(LeakOutcome::Revoked(None))
    }

    /// Waits for the turn of a look-up. What was not derived here, and is most probably nobody's, does not wait: it is passed over.
    async fn has_turn(&self, is_derived: bool) -> bool {
        let wait_max_us = if is_derived { i64::MAX } else { 0 };
        let Some(wait_us) = self.lookups.turn(self.committer.clock.monotonic_us(), wait_max_us) else { return false };
        tokio::time::sleep(Duration::from_micros(u64::try_from(wait_us).unwrap_or(0))).await;
        true
    }
}

/// The handle for reporting leaks.
#[derive(Clone)]
pub struct Leaks {
    actor: Mailbox<LeakActor>,
    work: Arc<LeakWork>,
}

impl Leaks {
    /// Starts the actor on the calling thread's arbiter.
    pub fn start(committer: Arc<Committer>, accounts: Accounts, tokens: Tokens, mailbox_capacity: usize) -> Self {
        let work = Arc::new(LeakWork {
            committer,
            accounts,
            tokens,
            lookups: Pace::new(LOOKUPS_PER_S, AT_ONCE_US),
            turn: Mutex::default(),
            counters: LeakCounters::default(),
        });
        let actor = LeakActor { work: Arc::clone(&work), mailbox_capacity };
        Self { actor: Mailbox::start(actor, mailbox_capacity), work }
    }

    /// Accepts a report; it is handled later.
    ///
    /// # Errors
    /// When too many reports wait.
    pub fn report(&self, suspects: Vec<Suspect>, envelope: Envelope) -> Result<(), Busy> {
        if suspects.is_empty() {
            return Ok(());
        }
        self.work.counters.reports.add(1);
        tell(&self.actor, |reply| HandleReport { suspects, envelope, reply }).map(drop)
    }

    /// Revokes what is ours, and returns the result of each: for callers who may know.
    ///
    /// # Errors
    /// When a key could not be revoked. Those before it are revoked.
    pub async fn revoke(&self, suspects: &[Suspect], envelope: &Envelope) -> Result<Vec<LeakOutcome>, CommandError> {
        let mut outcomes = Vec::with_capacity(suspects.len());
        for suspect in suspects {
            outcomes.push(self.work.end(suspect, envelope).await?);
        }
        Ok(outcomes)
    }

    /// The present counts.
    pub fn counts(&self) -> LeakCounts {
        self.work.counters.read()
    }
}
