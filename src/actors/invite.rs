//! Inviting people. One in the process.
//!
//! Guarantees: an invitation that was acknowledged is in the log, and a mail for it will be tried until it was handed over,
//! refused, or given up to the dead letters. The same command, however often, invites once. An address is invited once at a
//! time: the store's claim decides, not a look-up. One person is mailed so many invitations in an hour, and all together so
//! many: the log decides that.

mod window;

use std::{cell::RefCell, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};

use jiff::SignedDuration;

use self::window::{Reserved, Window};
use super::{
    ask::{Mailbox, Reply, ask},
    commit::{CommandError, Committed, Committer, Envelope},
};
use crate::domain::{
    email::Email,
    event::Role,
    id::{CommandId, StreamId, UserId},
    pace::{self, InvitationBounds},
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

/// What inviting needs.
struct InviteWork {
    committer: Arc<Committer>,
    per_person: u32,
    window: Window,
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

impl InviteWork {
    async fn invite(&self, invitee: Invitee, envelope: Envelope) -> Result<Committed, CommandError> {
        let plans = KnownPlans::load(&self.committer, &invitee.plan).await?;
        // Whoever repeats the command finds the stream of the first try, by the id that follows from the command's.
        let user = envelope.command.derived_user();
        let invitation = envelope.command.derived_uuid("invitation", &StreamId::User(user));
        let Invitee { email, name, role, plan } = invitee;
        let command = Command::Invite { email, name, role, plan: plan.clone(), invitation };
        let check = |_: &State| plans.check(&plan);
        self.run(user, &envelope, &command, check).await
    }

    async fn resend(&self, user: UserId, envelope: Envelope) -> Result<Committed, CommandError> {
        let invitation = envelope.command.derived_uuid("invitation", &StreamId::User(user));
        self.run(user, &envelope, &Command::ResendInvitation { invitation }, |_| Ok(())).await
    }

    /// Carries out a command that a mail follows from, if that is within the bounds. A repeated one gets its first answer.
    async fn run(
        &self,
        user: UserId,
        envelope: &Envelope,
        command: &Command,
        check: impl Fn(&State) -> Result<(), CommandError>,
    ) -> Result<Committed, CommandError> {
        let (committer, stream) = (&self.committer, StreamId::User(user));
        self.window.look(&*committer.stores.log, committer.clock.now()).await?;
        let reserved: RefCell<Option<Reserved<'_>>> = RefCell::new(None);
        let decided = |state: &State| {
            check(state)?;
            let events = decide(user_in(state), command.clone())?;
            self.check_person(user_in(state))?;
            if reserved.borrow().is_none() {
                *reserved.borrow_mut() = Some(self.reserve(&envelope.command)?);
            }
            Ok(events)
        };
        let committed = committer.run(&stream, envelope, decided).await?;
        if let (Some(reserved), Some(last)) = (reserved.into_inner(), committed.events.last()) {
            reserved.recorded(last.recorded_at);
        }
        Ok(committed)
    }

    fn check_person(&self, user: Option<&User>) -> Result<(), CommandError> {
        let earlier = user.into_iter().flat_map(|user| user.invitations_at.iter().copied());
        match pace::wait(earlier, self.per_person, self.committer.clock.now()) {
            None => Ok(()),
            Some(wait) => Err(too_many(format!("this person was mailed {} invitations", self.per_person), wait)),
        }
    }

    fn reserve(&self, command: &CommandId) -> Result<Reserved<'_>, CommandError> {
        let whose = || format!("{} invitations were mailed over all", self.window.bound());
        self.window.reserve(command, self.committer.clock.now()).map_err(|wait| too_many(whose(), wait))
    }
}

fn too_many(whose: String, wait: SignedDuration) -> CommandError {
    // A part of a second more is a second more.
    let whole = wait.as_secs() + i64::from(wait.subsec_nanos() > 0);
    CommandError::TooManyInvitations { whose, wait_s: u64::try_from(whole).unwrap_or(0).max(1) }
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
        State::Plan(..) | State::DataSet(..) | State::AdminTokens(_) => None,
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
}
