//! Inviting people. One in the process.
//!
//! Guarantees: an acknowledged invitation is in the log, and its mail is tried until it was handed over, refused, or became a dead letter.
//! The same command invites once, however often it comes. An address has one invitation at a time: the store's claim decides, not a
//! look-up. The mails of an hour are limited, for each person and in total: the log decides.

mod plans;
mod resend;
mod roster;
mod window;
mod work;

use std::{sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};

pub(super) use self::plans::KnownPlans;
pub use self::{
    resend::Resent,
    roster::{ListedRow, RosterMode, RosterOrder, RosterOutcome, RowAction},
};
use self::{window::Window, work::InviteWork};
use super::{
    ask::{Mailbox, Reply, ask},
    commit::{CommandError, Committed, Committer, Envelope},
};
pub use crate::domain::roster::Invitee;
use crate::domain::{id::UserId, pace::InvitationBounds};

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

#[derive(Message)]
#[rtype(result = "()")]
struct InviteRoster {
    order: RosterOrder,
    envelope: Envelope,
    reply: Reply<Result<RosterOutcome, CommandError>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct ResendUnfulfilled {
    envelope: Envelope,
    reply: Reply<Result<Resent, CommandError>>,
}

/// The actor.
pub struct InviteActor {
    work: Arc<InviteWork>,
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
        let work = Arc::clone(&self.work);
        reply.answer_later(async move { work.invite(invitee, envelope).await });
    }
}

impl Handler<ResendInvitation> for InviteActor {
    type Result = ();

    fn handle(&mut self, ResendInvitation { user, envelope, reply }: ResendInvitation, _: &mut Self::Context) {
        let work = Arc::clone(&self.work);
        reply.answer_later(async move { work.resend(user, envelope).await });
    }
}

impl Handler<InviteRoster> for InviteActor {
    type Result = ();

    fn handle(&mut self, InviteRoster { order, envelope, reply }: InviteRoster, _: &mut Self::Context) {
        let work = Arc::clone(&self.work);
        reply.answer_later(async move { work.invite_all(order, envelope).await });
    }
}

impl Handler<ResendUnfulfilled> for InviteActor {
    type Result = ();

    fn handle(&mut self, ResendUnfulfilled { envelope, reply }: ResendUnfulfilled, _: &mut Self::Context) {
        let work = Arc::clone(&self.work);
        reply.answer_later(async move { work.resend_unfulfilled(envelope).await });
    }
}

/// The handle for inviting.
#[derive(Clone)]
pub struct Inviting {
    actor: Mailbox<InviteActor>,
    patience: Duration,
}

impl Inviting {
    /// Starts the actor on the calling thread's arbiter.
    pub fn start(
        committer: Arc<Committer>,
        bounds: InvitationBounds,
        mailbox_capacity: usize,
        patience: Duration,
    ) -> Self {
        let InvitationBounds { per_person, over_all } = bounds;
        let work = Arc::new(InviteWork { committer, per_person, window: Window::new(over_all) });
        Self { actor: Mailbox::start(InviteActor { work, mailbox_capacity }, mailbox_capacity), patience }
    }

    /// Invites a person. A repeated command invites once and always gets the first answer.
    ///
    /// # Errors
    /// [`CommandError::EmailTaken`] when the address was invited already; [`CommandError::NoPlan`]; [`CommandError::TooManyInvitations`].
    pub async fn invite(&self, invitee: Invitee, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| InviteUser { invitee, envelope, reply }, Some(self.patience)).await?
    }

    /// Mails the invitation again, with the same key while that works.
    ///
    /// # Errors
    /// When the person does not exist, is disabled or deleted; [`CommandError::TooManyInvitations`].
    pub async fn resend(&self, user: UserId, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| ResendInvitation { user, envelope, reply }, Some(self.patience)).await?
    }

    /// Invites everybody on a list, or does a dry run. A repeated command, also after a crash, does the rest and invites nobody twice.
    ///
    /// # Errors
    /// [`CommandError::TooManyInvitations`] when all are to be invited and the hour has no room for all; when a store does not answer: then
    /// a part may be done.
    pub async fn invite_all(&self, order: RosterOrder, envelope: Envelope) -> Result<RosterOutcome, CommandError> {
        ask(&self.actor, |reply| InviteRoster { order, envelope, reply }, None).await?
    }

    /// Mails again the invitations whose mails were not handed over. A repeated command does so once.
    ///
    /// # Errors
    /// When a store does not answer: then a part may be done.
    pub async fn resend_unfulfilled(&self, envelope: Envelope) -> Result<Resent, CommandError> {
        ask(&self.actor, |reply| ResendUnfulfilled { envelope, reply }, None).await?
    }
}
