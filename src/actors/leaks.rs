//! Reports of leaked keys: each key of ours that is in one is revoked. One in the process.
//!
//! Guarantees: a key is revoked only by who has the whole of it, since its hash is compared with what is stored. Whoever reports learns
//! nothing of it: the work is done after the answer. It is done one report after the other, so many look-ups a second at most, and for
//! what was not derived here, fewer: so a flood of forged keys costs the store nothing. What follows from a revocation, the mails, hangs
//! on its event, and is done after a crash as well. A report that was answered and not yet worked on is lost with the process.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};
use tokio::sync::Mutex;

use super::{
    account::{AccountCommand, Accounts},
    ask::{Busy, Mailbox, Reply, tell},
    commit::{CommandError, Committer, Envelope},
    counting::counters,
};
use crate::domain::{
    attempts::Pace,
    id::{CommandId, UserId},
    leak::{Suspect, SuspectKind},
};

/// Look-ups of the store a second, in the long run.
const LOOKUPS_PER_S: u32 = 5;
/// Those that may come at once after a pause: as many as belong to this time.
const AT_ONCE_US: i64 = 10_000_000;
/// How often a key is tried to be revoked, and the first pause in between, which doubles.
const TRIES_MAX: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

counters! {
    /// What was counted of leaks.
    LeakCounters read as LeakCounts {
        /// Reports with something in them that has the form of a key.
        reports,
        /// Keys revoked.
        revoked,
        /// What was not looked up, because too much came that was not derived here.
        passed_over,
    }
}

/// What became of something that a report holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was ours, and worked: it is revoked now.
    Revoked(UserId),
    /// It was ours, and did not work any more.
    HadEnded(UserId),
    /// An administrator's token of this deployment. Another one has to replace it by hand.
    AdminToken,
    /// Nothing of ours.
    Unknown,
}

struct LeakWork {
    committer: Arc<Committer>,
    accounts: Accounts,
    lookups: Pace,
    /// One report is worked on after the other.
    turn: Mutex<()>,
    counters: LeakCounters,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Report {
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

impl Handler<Report> for LeakActor {
    type Result = ();

    fn handle(&mut self, Report { suspects, envelope, reply }: Report, _: &mut Self::Context) {
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
    /// Sees that a key is revoked, also where the store does not answer at once.
    async fn see_to(&self, suspect: &Suspect, envelope: &Envelope) {
        let key = suspect.id;
        let is_derived = self.committer.secrets.recognises(key, &suspect.hash);
        if suspect.kind == SuspectKind::ApiKey && !self.has_turn(is_derived).await {
            self.counters.passed_over.add(1);
            return;
        }
        let mut pause = FIRST_PAUSE;
        for last_try in (0..TRIES_MAX).rev() {
            match self.end(suspect, envelope).await {
                Ok(Outcome::Revoked(user)) => {
                    tracing::warn!(%key, %user, "a key was reported as leaked and revoked");
                    return;
                }
                Ok(Outcome::AdminToken) => {
                    tracing::error!(
                        "an administrator's token was reported as leaked: `permitd admin-token new --replace`"
                    );
                    return;
                }
                Ok(Outcome::HadEnded(_) | Outcome::Unknown) => return,
                Err(error) if last_try == 0 => {
                    tracing::error!(%key, %error, "a key that may have leaked could not be revoked: `permitd keys revoke` does so");
                }
                Err(error) => {
                    tracing::warn!(%key, %error, "a key that may have leaked could not be revoked yet");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2);
                }
            }
        }
    }

    /// Revokes a key, if it is one of ours.
    async fn end(&self, suspect: &Suspect, envelope: &Envelope) -> Result<Outcome, CommandError> {
        let secrets = &self.committer.secrets;
        if suspect.kind == SuspectKind::AdminToken {
            return Ok(if secrets.derived_admin_token(suspect.id, &suspect.hash) {
                Outcome::AdminToken
            } else {
                Outcome::Unknown
            });
        }
        let stored = self.committer.stores.views.key(suspect.id).await?;
        let Some(stored) = stored.filter(|stored| stored.hash == suspect.hash) else { return Ok(Outcome::Unknown) };
        if stored.revoked_at.is_some() {
            return Ok(Outcome::HadEnded(stored.user));
        }
        let revoke = AccountCommand::RevokeLeakedApiKey { key: suspect.id, hash: suspect.hash };
        // Each key's is a command of its own.
        let command = CommandId::unique(self.committer.new_id()?);
        let done = self.accounts.perform(stored.user, revoke, Envelope { command, ..envelope.clone() }).await?;
        if done.committed.repeated || done.committed.events.is_empty() {
            return Ok(Outcome::HadEnded(stored.user));
        }
        self.counters.revoked.add(1);
        Ok(Outcome::Revoked(stored.user))
    }

    /// Waits for the turn of a look-up. What was not derived here, and most probably is nobody's, does not wait.
    async fn has_turn(&self, is_derived: bool) -> bool {
        let wait_max_us = if is_derived { i64::MAX } else { 0 };
        let Some(wait_us) = self.lookups.turn(self.committer.clock.monotonic_us(), wait_max_us) else { return false };
        tokio::time::sleep(Duration::from_micros(u64::try_from(wait_us).unwrap_or(0))).await;
        true
    }
}

/// How others report leaks.
#[derive(Clone)]
pub struct Leaks {
    actor: Mailbox<LeakActor>,
    work: Arc<LeakWork>,
}

impl Leaks {
    /// Starts the actor on the calling thread's arbiter.
    pub fn start(committer: Arc<Committer>, accounts: Accounts, mailbox_capacity: usize) -> Self {
        let work = Arc::new(LeakWork {
            committer,
            accounts,
            lookups: Pace::new(LOOKUPS_PER_S, AT_ONCE_US),
            turn: Mutex::default(),
            counters: LeakCounters::default(),
        });
        let actor = LeakActor { work: Arc::clone(&work), mailbox_capacity };
        Self { actor: Mailbox::start(actor, mailbox_capacity), work }
    }

    /// Takes a report; what it leads to is done later.
    ///
    /// # Errors
    /// When too many wait.
    pub fn report(&self, suspects: Vec<Suspect>, envelope: Envelope) -> Result<(), Busy> {
        if suspects.is_empty() {
            return Ok(());
        }
        self.work.counters.reports.add(1);
        tell(&self.actor, |reply| Report { suspects, envelope, reply }).map(drop)
    }

    /// Revokes what is ours, and says what became of each: for whoever may know.
    ///
    /// # Errors
    /// When a key could not be revoked. Those before it are.
    pub async fn revoke(&self, suspects: &[Suspect], envelope: &Envelope) -> Result<Vec<Outcome>, CommandError> {
        let mut outcomes = Vec::with_capacity(suspects.len());
        for suspect in suspects {
            outcomes.push(self.work.end(suspect, envelope).await?);
        }
        Ok(outcomes)
    }

    /// What was counted.
    pub fn counts(&self) -> LeakCounts {
        self.work.counters.read()
    }
}
