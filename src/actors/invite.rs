//! Inviting people. One in the process.
//!
//! Guarantees: an invitation that was acknowledged is in the log, and a mail for it will be tried until it was handed over,
//! refused, or given up to the dead letters. The same command, however often, invites once. An address is invited once at a
//! time: the store's claim decides, not a look-up. One person is mailed so many invitations in an hour, and all together so
//! many: the log decides that.

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

/// How others invite.
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

    /// Invites somebody. The same command invites once and always gets the first answer.
    ///
    /// # Errors
    /// [`CommandError::EmailTaken`] when somebody with that address was invited; [`CommandError::NoPlan`];
    /// [`CommandError::TooManyInvitations`].
    pub async fn invite(&self, invitee: Invitee, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| InviteUser { invitee, envelope, reply }, Some(self.patience)).await?
    }

    /// Has the invitation mailed again, with the same key while that works.
    ///
    /// # Errors
    /// When there is no such person, or they are disabled or deleted; [`CommandError::TooManyInvitations`].
    pub async fn resend(&self, user: UserId, envelope: Envelope) -> Result<Committed, CommandError> {
        ask(&self.actor, |reply| ResendInvitation { user, envelope, reply }, Some(self.patience)).await?
    }

    /// Invites everybody on a list, or says what would come of it. The same command, after a crash too, does the rest and invites
    /// nobody twice.
    ///
    /// # Errors
    /// [`CommandError::TooManyInvitations`] where all are to be invited and the hour has no room for all of them; when a store does
    /// not answer: then the command may have done a part.
    pub async fn invite_all(&self, order: RosterOrder, envelope: Envelope) -> Result<RosterOutcome, CommandError> {
        ask(&self.actor, |reply| InviteRoster { order, envelope, reply }, None).await?
    }

    /// Has the invitations mailed again whose mails have not been handed over. The same command does so once.
    ///
    /// # Errors
    /// When a store does not answer: then the command may have done a part.
    pub async fn resend_unfulfilled(&self, envelope: Envelope) -> Result<Resent, CommandError> {
        ask(&self.actor, |reply| ResendUnfulfilled { envelope, reply }, None).await?
    }
}
