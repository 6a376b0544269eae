//! Inviting people. One in the process.
//!
//! Guarantees: an invitation that was acknowledged is in the log, and a mail for it will be tried until it was handed over,
//! refused, or given up to the dead letters. The same command, however often, invites once. An address is invited once at a
//! time: the store's claim decides, not a look-up.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr, Context, Handler, Message};

use super::{
    ask::{Reply, ask},
    commit::{CommandError, Committed, Committer, Envelope},
};
use crate::domain::{
    email::Email,
    event::Role,
    id::{StreamId, UserId},
    user::{Command, User, decide},
    view::State,
};

/// Who is to be invited.
#[derive(Debug, Clone)]
pub struct Invitee {
    /// Their address.
    pub email: Email,
    /// Their name.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
    /// The plan of their keys.
    pub plan: String,
}

#[derive(Message)]
#[rtype(result = "()")]
struct InviteUser {
    invitee: Invitee,
    envelope: Envelope,
    reply: Reply<Result<Committed, CommandError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct ResendInvitation {
    user: UserId,
    envelope: Envelope,
    reply: Reply<Result<Committed, CommandError>>,
}

/// The actor.
pub struct InviteActor {
    committer: Arc<Committer>,
    mailbox_capacity: usize,
}

impl Actor for InviteActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<InviteUser> for InviteActor {
    type Result = ();

    fn handle(&mut self, InviteUser { invitee, envelope, reply }: InviteUser, _: &mut Self::Context) {
        let committer = Arc::clone(&self.committer);
        actix::spawn(async move { drop(reply.send(invite(&committer, invitee, envelope).await)) });
    }
}

impl Handler<ResendInvitation> for InviteActor {
    type Result = ();

    fn handle(&mut self, ResendInvitation { user, envelope, reply }: ResendInvitation, _: &mut Self::Context) {
        let committer = Arc::clone(&self.committer);
        actix::spawn(async move {
            let stream = StreamId::User(user);
            let invitation = envelope.command.derived_uuid("invitation", &stream);
            let resend = |state: &State| Ok(decide(user_in(state), Command::ResendInvitation { invitation })?);
            drop(reply.send(committer.run(&stream, &envelope, resend).await));
        });
    }
}

async fn invite(committer: &Committer, invitee: Invitee, envelope: Envelope) -> Result<Committed, CommandError> {
    let plans = KnownPlans::load(committer, &invitee.plan).await?;
    // Whoever repeats the command finds the stream of the first try, by the id that follows from the command's.
    let stream = StreamId::User(envelope.command.derived_user());
    let invitation = envelope.command.derived_uuid("invitation", &stream);
    let Invitee { email, name, role, plan } = invitee;
    let command = Command::Invite { email, name, role, plan: plan.clone(), invitation };
    let invite = |state: &State| {
        plans.check(&plan)?;
        Ok(decide(user_in(state), command.clone())?)
    };
    committer.run(&stream, &envelope, invite).await
}

/// The plans that can be given to somebody. They are checked when a command is decided, not before: a retry gets its first
/// answer even if the plan has been retired since.
pub(super) struct KnownPlans(Vec<String>);

impl KnownPlans {
    /// Those that have to be known for a command that asks for `wanted`: that one, or all, for whoever asked for one that cannot
    /// be given. A list of plans may lack one that has only just come; a plan that is asked for by its name is there.
    pub(super) async fn load(committer: &Committer, wanted: &str) -> Result<Self, CommandError> {
        let views = &committer.stores.views;
        if views.plan(wanted).await?.is_some_and(|plan| !plan.retired) {
            return Ok(Self(vec![wanted.to_owned()]));
        }
        let plans = views.plans().await?.into_iter().filter(|plan| !plan.retired && plan.name != wanted);
        Ok(Self(plans.map(|plan| plan.name).collect()))
    }

    pub(super) fn check(&self, name: &str) -> Result<(), CommandError> {
        if self.0.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(CommandError::NoPlan { name: name.chars().take(80).collect(), known: self.0.clone() })
    }
}

/// The person that a stream's state is of.
pub fn user_in(state: &State) -> Option<&User> {
    match state {
        State::User(user) => user.as_ref(),
        State::Plan(..) | State::DataSet(..) => None,
    }
}

/// How others invite.
#[derive(Clone)]
pub struct Inviting {
    actor: Addr<InviteActor>,
    patience: Duration,
}

impl Inviting {
    /// Starts the actor on the calling thread's arbiter.
    pub fn start(committer: Arc<Committer>, mailbox_capacity: usize, patience: Duration) -> Self {
        Self { actor: InviteActor { committer, mailbox_capacity }.start(), patience }
    }

    /// Invites somebody. The same command invites once and always gets the first answer.
    ///
    /// # Errors
    /// [`CommandError::EmailTaken`] when somebody with that address was invited; [`CommandError::NoPlan`].
    pub async fn invite(&self, invitee: Invitee, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| InviteUser { invitee, envelope, reply }, Some(self.patience)).await?
    }

    /// Has the invitation mailed again, with the same key while that works.
    ///
    /// # Errors
    /// When there is no such person, or they are disabled or deleted.
    pub async fn resend(&self, user: UserId, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| ResendInvitation { user, envelope, reply }, Some(self.patience)).await?
    }
}
