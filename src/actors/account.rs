//! Changes people, their keys and the plans after the invitation. One in the process.
//!
//! Guarantees: acknowledged changes are in the log. After a deletion, a disabling, a revocation or a rotation the ledger refuses from the
//! commit on, and this node's grants of those keys and sessions have ended before the answer; another process on the same ledger refuses
//! within a grant's life.

use std::{cell::Cell, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};
use jiff::{SignedDuration, Timestamp};

use super::{
    ask::{Mailbox, Reply, ask},
    commit::{CommandError, Committed, Committer, Envelope},
    grants::GrantBook,
    invite::KnownPlans,
    key_rules::KnownRules,
    person::user_in,
};
use crate::domain::{
    bounds::KeyChange,
    event::{Event, Role},
    id::{StreamId, UserId},
    key::{ApiKey, KeyHash, KeyId},
    plan::{self, KeyRules, Limits},
    user::{Command, LeakedAccess, NewKey, Standing, User, UserChanges, decide},
    view::State,
};

/// How long a rotated key may go on working at most, seconds: 30 days.
pub const GRACE_S_MAX: u32 = 30 * 86_400;

/// How long after issuing a key a repeated command still shows it.
pub const KEY_SHOWN_FOR: SignedDuration = SignedDuration::from_secs(3600);

/// How often one command looks up a person's plan when the plan changes meanwhile.
const RULES_TRIES_MAX: u32 = 4;

/// The commands on a person's account.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountCommand {
    /// Delete and erase.
    DeleteUser,
    /// Refuse their keys until further notice.
    DisableUser,
    /// Let their keys work again.
    EnableUser,
    /// Let mail go to their address again.
    AllowMail,
    /// Change their role.
    ChangeRole(Role),
    /// Give their keys another plan.
    AssignPlan(String),
    /// Make several of these changes at once: all or none.
    ChangeUser(UserChanges),
    /// Issue a key with these properties.
    IssueApiKey(KeyChange),
    /// Change a key's name and scopes.
    ChangeApiKey {
        /// The key.
        key: KeyId,
        /// The change.
        change: KeyChange,
    },
    /// Replace a key.
    RotateApiKey {
        /// The old key.
        key: KeyId,
        /// Seconds for which the old key goes on working, at most [`GRACE_S_MAX`].
        grace_s: u32,
    },
    /// Revoke a key.
    RevokeApiKey {
        /// The key.
        key: KeyId,
    },
    /// Revoke a leaked key.
    RevokeLeakedApiKey {
        /// The key's id.
        key: KeyId,
        /// The hash of the found key.
        hash: KeyHash,
    },
    /// End a leaked session, or void a leaked link.
    EndLeaked(LeakedAccess),
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Done {
    /// The commit.
    pub committed: Committed,
    /// The new key in plain: in the first answer, and when the command is repeated within [`KEY_SHOWN_FOR`] while the key works.
    pub key: Option<ApiKey>,
    /// Why the issued key is no longer shown.
    pub withheld: Option<Withheld>,
    /// When every node refuses the keys that the command ended.
    pub effective_at: Timestamp,
    /// How much later that is than this node's refusal.
    pub delay: SignedDuration,
}

/// A key that a repeated command no longer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    /// The key.
    pub id: KeyId,
    /// Why.
    pub reason: WithheldReason,
}

/// Why a key is no longer shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithheldReason {
    /// The key was issued too long ago.
    Late,
    /// The key no longer works: it was revoked, its time after a rotation has run out, or its owner was deleted.
    Ended,
    /// The key cannot be derived: the server secret is not the one that it was issued under.
    OtherSecret,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Perform {
    user: UserId,
    command: AccountCommand,
    envelope: Envelope,
    reply: Reply<Result<Done, CommandError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct ChangePlan {
    name: String,
    /// The plan's limits and key rules; `None` retires the plan.
    says: Option<(Limits, KeyRules)>,
    envelope: Envelope,
    reply: Reply<Result<Committed, CommandError>>,
}

/// The actor.
pub struct AccountActor {
    committer: Arc<Committer>,
    book: Arc<GrantBook>,
    elsewhere: Option<Duration>,
    default_plan: String,
    mailbox_capacity: usize,
}

impl Actor for AccountActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<Perform> for AccountActor {
    type Result = ();

    fn handle(&mut self, Perform { user, command, envelope, reply }: Perform, _: &mut Self::Context) {
        let (committer, book, elsewhere) = (Arc::clone(&self.committer), Arc::clone(&self.book), self.elsewhere);
        reply.answer_later(async move { perform(&committer, &book, elsewhere, user, command, envelope).await });
    }
}

impl Handler<ChangePlan> for AccountActor {
    type Result = ();

    fn handle(&mut self, ChangePlan { name, says, envelope, reply }: ChangePlan, _: &mut Self::Context) {
        let (committer, is_default) = (Arc::clone(&self.committer), name == self.default_plan);
        reply.answer_later(async move { change_plan(&committer, name, is_default, says, envelope).await });
    }
}

async fn perform(
    committer: &Committer,
    book: &GrantBook,
    elsewhere: Option<Duration>,
    user: UserId,
    command: AccountCommand,
    envelope: Envelope,
) -> Result<Done, CommandError> {
    let stream = StreamId::User(user);
    let plan = match &command {
        AccountCommand::AssignPlan(plan) | AccountCommand::ChangeUser(UserChanges { plan: Some(plan), .. }) => {
            Some((KnownPlans::load(committer, plan).await?, plan.clone()))
        }
        _ => None,
    };
    let is_of_a_key = matches!(
        command,
        AccountCommand::IssueApiKey(_) | AccountCommand::ChangeApiKey { .. } | AccountCommand::RotateApiKey { .. }
    );
    let (mut tries, is_moved) = (0, Cell::new(false));
    let committed = loop {
        let known = if is_of_a_key { Some(KnownRules::load(committer, user).await?) } else { None };
        let decide = |state: &State| {
            if let Some((known, plan)) = &plan {
                known.check(plan)?;
            }
            let user = user_in(state);
            let rules = known.as_ref().map_or(Some(KeyRules::default()), |known| known.of(user));
            is_moved.set(rules.is_none());
            let rules = rules.ok_or(CommandError::Contended)?;
            Ok(decide(user, to_domain(committer, &stream, &envelope, command.clone(), rules)?)?)
        };
        tries += 1;
        match committer.run(&stream, &envelope, decide).await {
            // The person's plan changed meanwhile, and may have other key rules.
            Err(CommandError::Contended) if is_moved.get() && tries < RULES_TRIES_MAX => {}
            committed => break committed?,
        }
    };
    let credentials_of =
        |user: &User| user.keys.keys().chain(user.sign_in.sessions.keys()).copied().collect::<Vec<_>>();
    let keys = user_in(&committed.state).map(credentials_of).unwrap_or_default();
    if let Err(error) = book.withdraw(user, keys).await {
        tracing::warn!(user = %user, %error, "the unspent part of grants could not be given back; they have ended");
    }
    let recorded_at = committed.events.last().map_or_else(|| committer.clock.now(), |event| event.recorded_at);
    let delay = elsewhere.and_then(|life| SignedDuration::try_from(life).ok()).unwrap_or(SignedDuration::ZERO);
    let effective_at = recorded_at.checked_add(delay).unwrap_or(recorded_at);
    let (key, withheld) = match issued_key(committer, user, &committed).await? {
        None => (None, None),
        Some(Ok(key)) => (Some(key), None),
        Some(Err(withheld)) => (None, Some(withheld)),
    };
    Ok(Done { committed, key, withheld, effective_at, delay })
}

/// The key of the command. Derived from the command's id and the stream, so that a retry returns the same key.
fn new_key(committer: &Committer, stream: &StreamId, envelope: &Envelope) -> Result<NewKey, CommandError> {
    let secret_version = committer.secrets.current_version();
    let key = committer.secrets.api_key(secret_version, envelope.command.derived_key_id(stream))?;
    Ok(NewKey { id: key.id(), hash: key.hash(), last_four: key.last_four(), secret_version })
}

/// The key that the commit issued, if any: derived again, so that a retry gets it while it may.
async fn issued_key(
    committer: &Committer,
    user: UserId,
    committed: &Committed,
) -> Result<Option<Result<ApiKey, Withheld>>, CommandError> {
    let issued = committed.events.iter().find_map(|recorded| match &recorded.event {
        Event::ApiKeyIssued { key_id, hash, secret_version, .. } => {
            Some((*key_id, *hash, *secret_version, recorded.recorded_at))
        }
        _ => None,
    });
    let Some((id, hash, secret_version, issued_at)) = issued else { return Ok(None) };
    if !committed.repeated {
        return Ok(Some(Ok(committer.secrets.api_key(secret_version, id)?)));
    }
    // A clock that was set back does not reopen the hour: the newest time in the log counts as now at least.
    let newest = committer.stores.log.read_back(None, 1).await?.first().map(|commit| commit.recorded_at);
    let now = newest.map_or(committer.clock.now(), |newest| newest.max(committer.clock.now()));
    let works = committer.load_user(user).await?.is_some_and(|user| works(&user, id, now));
    let reason = if !works {
        WithheldReason::Ended
    } else if now.duration_since(issued_at).abs() > KEY_SHOWN_FOR {
        // Also when the issuing clock was ahead by as much: then the key's age is unknown.
        WithheldReason::Late
    } else {
        match committer.secrets.api_key(secret_version, id) {
            Ok(key) if key.hash() == hash => return Ok(Some(Ok(key))),
            Ok(_) | Err(_) => WithheldReason::OtherSecret,
        }
    };
    Ok(Some(Err(Withheld { id, reason })))
}

/// Whether a key works or will work again, by the person's stream.
fn works(user: &User, id: KeyId, now: Timestamp) -> bool {
    user.standing != Standing::Deleted && user.keys.get(&id).is_some_and(|key| key.works(now))
}

fn to_domain(
    committer: &Committer,
    stream: &StreamId,
    envelope: &Envelope,
    command: AccountCommand,
    rules: KeyRules,
) -> Result<Command, CommandError> {
    let now = committer.clock.now();
    Ok(match command {
        AccountCommand::DeleteUser => Command::Delete,
        AccountCommand::DisableUser => Command::Change(UserChanges { enabled: Some(false), ..UserChanges::default() }),
        AccountCommand::EnableUser => Command::Change(UserChanges { enabled: Some(true), ..UserChanges::default() }),
        AccountCommand::AllowMail => Command::AllowMail,
        AccountCommand::ChangeRole(role) => Command::Change(UserChanges { role: Some(role), ..UserChanges::default() }),
        AccountCommand::AssignPlan(plan) => Command::Change(UserChanges { plan: Some(plan), ..UserChanges::default() }),
        AccountCommand::ChangeUser(changes) => Command::Change(changes),
        AccountCommand::IssueApiKey(wanted) => {
            let key = new_key(committer, stream, envelope)?;
            Command::IssueKey { key, invitation: None, wanted, rules, now }
        }
        AccountCommand::ChangeApiKey { key, change } => Command::ChangeKey { key_id: key, change, rules, now },
        AccountCommand::RotateApiKey { key, grace_s } => {
            let grace = SignedDuration::from_secs(i64::from(grace_s.min(GRACE_S_MAX)));
            let valid_until = now.checked_add(grace).unwrap_or(now);
            let new = new_key(committer, stream, envelope)?;
            Command::RotateKey { key_id: key, new, valid_until, rules, now }
        }
        AccountCommand::RevokeApiKey { key } => Command::RevokeKey { key_id: key },
        AccountCommand::EndLeaked(leaked) => Command::EndLeaked { leaked, now },
        AccountCommand::RevokeLeakedApiKey { key, hash } => Command::RevokeLeakedKey { key_id: key, hash },
    })
}

async fn change_plan(
    committer: &Committer,
    name: String,
    is_default: bool,
    says: Option<(Limits, KeyRules)>,
    envelope: Envelope,
) -> Result<Committed, CommandError> {
    plan::check_name(&name)?;
    let stream = StreamId::Plan(name.clone());
    let no_plan = || CommandError::NoPlan { name: name.clone(), known: Vec::new() };
    let decide = |state: &State| match state {
        State::Plan(_, plan) => match &says {
            Some((limits, rules)) => Ok(plan.define(*limits, rules.clone())?),
            None if plan.limits.is_none() => Err(no_plan()),
            None if is_default && !plan.retired => Err(CommandError::DefaultPlan { name: name.clone() }),
            None => Ok(plan.retire()),
        },
        State::User(_) | State::DataSet(..) | State::AdminTokens(_) => Err(no_plan()),
    };
    committer.run(&stream, &envelope, decide).await
}

/// The handle for changing accounts and plans.
#[derive(Clone)]
pub struct Accounts {
    actor: Mailbox<AccountActor>,
    patience: Duration,
}

impl Accounts {
    /// Starts the actor on the calling thread's arbiter. `elsewhere` is the life of another process's grants, when another process uses the
    /// same ledger. `default_plan` cannot be retired.
    pub fn start(
        committer: Arc<Committer>,
        book: Arc<GrantBook>,
        elsewhere: Option<Duration>,
        default_plan: &str,
        mailbox_capacity: usize,
        patience: Duration,
    ) -> Self {
        let default_plan = default_plan.to_owned();
        let actor = AccountActor { committer, book, elsewhere, default_plan, mailbox_capacity };
        Self { actor: Mailbox::start(actor, mailbox_capacity), patience }
    }

    /// Carries out a command on a person's account.
    ///
    /// # Errors
    /// When the person's state does not allow it, or it could not be written.
    pub async fn perform(
        &self,
        user: UserId,
        command: AccountCommand,
        envelope: Envelope,
    ) -> Result<Done, CommandError> {
        ask(&self.actor, |reply| Perform { user, command, envelope, reply }, Some(self.patience)).await?
    }

    /// Defines or changes a plan: its keys have the new limits within a grant's life.
    ///
    /// # Errors
    /// When the name, the limits or the rules are invalid.
    pub async fn define_plan(
        &self,
        name: String,
        limits: Limits,
        rules: KeyRules,
        envelope: Envelope,
    ) -> Result<Committed, CommandError> {
        let says = Some((limits, rules));
        ask(&self.actor, |reply| ChangePlan { name, says, envelope, reply }, Some(self.patience)).await?
    }

    /// Retires a plan: people who have it keep it, but nobody is assigned it again.
    ///
    /// # Errors
    /// [`CommandError::NoPlan`] when there is none; [`CommandError::DefaultPlan`].
    pub async fn retire_plan(&self, name: String, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| ChangePlan { name, says: None, envelope, reply }, Some(self.patience)).await?
    }
}
