//! Invites a person: within the limits, and once.

use std::{cell::RefCell, sync::Arc};

use jiff::SignedDuration;

use super::{
    plans::KnownPlans,
    window::{Reserved, Window},
};
use crate::{
    actors::{
        commit::{CommandError, Committed, Committer, Envelope},
        person::user_in,
    },
    domain::{
        id::{CommandId, StreamId, UserId},
        pace,
        roster::Invitee,
        user::{Command, User, decide},
        view::State,
    },
};

/// What inviting uses.
pub(super) struct InviteWork {
    pub(super) committer: Arc<Committer>,
    pub(super) per_person: u32,
    pub(super) window: Window,
}

impl InviteWork {
    pub(super) async fn invite(&self, invitee: Invitee, envelope: Envelope) -> Result<Committed, CommandError> {
        let plans = KnownPlans::load(&self.committer, &invitee.plan).await?;
        self.look().await?;
        self.invite_on(&plans, invitee, &envelope).await
    }

    /// Invites a person after a look at others' invitations.
    pub(super) async fn invite_on(
        &self,
        plans: &KnownPlans,
        invitee: Invitee,
        envelope: &Envelope,
    ) -> Result<Committed, CommandError> {
        // The user's id derives from the command's, so that a repeated command finds the first try's stream.
        let user = envelope.command.derived_user();
        let invitation = envelope.command.derived_uuid("invitation", &StreamId::User(user));
        let check = |_: &State| plans.check(&invitee.plan);
        self.run(user, envelope, &invitee.command(invitation), check).await
    }

    pub(super) async fn resend(&self, user: UserId, envelope: Envelope) -> Result<Committed, CommandError> {
        self.look().await?;
        self.resend_on(user, &envelope).await
    }

    /// Mails an invitation again after a look at others' invitations.
    pub(super) async fn resend_on(&self, user: UserId, envelope: &Envelope) -> Result<Committed, CommandError> {
        let invitation = envelope.command.derived_uuid("invitation", &StreamId::User(user));
        self.run(user, envelope, &Command::ResendInvitation { invitation }, |_| Ok(())).await
    }

    /// Reads all invitations since the last look.
    pub(super) async fn look(&self) -> Result<(), CommandError> {
        Ok(self.window.look(&*self.committer.stores.log, self.committer.clock.now()).await?)
    }

    /// Carries out a command that causes a mail, within the limits. A repeated one gets its first answer.
    async fn run(
        &self,
        user: UserId,
        envelope: &Envelope,
        command: &Command,
        check: impl Fn(&State) -> Result<(), CommandError>,
    ) -> Result<Committed, CommandError> {
        let (committer, stream) = (&self.committer, StreamId::User(user));
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

pub(super) fn too_many(whose: String, wait: SignedDuration) -> CommandError {
    // Rounds up to whole seconds.
    let whole = wait.as_secs() + i64::from(wait.subsec_nanos() > 0);
    CommandError::TooManyInvitations { whose, wait_s: u64::try_from(whole).unwrap_or(0).max(1) }
}
