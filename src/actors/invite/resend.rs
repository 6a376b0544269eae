//! Mailing again what was not delivered: the invitations whose mail was refused, came back, has expired, or was not handed over for
//! a while.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{CommandError, Envelope, InviteWork};
use crate::{
    domain::{
        id::UserId,
        pace,
        view::{InvitationState, UserRow, UserStatus},
    },
    store::UserFilter,
};

/// Invitations that one command mails again at most.
const RESENT_MAX: usize = 10_000;
/// How far an invitation has come that nobody has got.
const UNFULFILLED: [InvitationState; 4] =
    [InvitationState::Failed, InvitationState::Bounced, InvitationState::Expired, InvitationState::Invited];
/// People that are read at once.
const PAGE_PEOPLE: usize = 1000;
/// Invitations that are worked on at the same time.
const AT_ONCE: usize = 64;

/// What was mailed again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resent {
    /// Invitations that will be mailed.
    pub resent: u64,
    /// Invitations that the bounds of an hour put off.
    pub deferred: u64,
    /// Invitations beyond those that one command takes.
    pub left: u64,
}

impl InviteWork {
    pub(super) async fn resend_unfulfilled(&self, envelope: Envelope) -> Result<Resent, CommandError> {
        if let Some(counts) = self.committer.begin_many(&envelope).await? {
            let count = |name: &str| counts.get(name).copied().unwrap_or(0);
            return Ok(Resent { resent: count("resent"), deferred: count("deferred"), left: count("left") });
        }
        let (people, left) = self.unfulfilled().await?;
        self.look().await?;
        let resend = async |user: UserId| {
            let command = envelope.command.part(&user.to_string());
            let of_user = Envelope { command, request_hash: None, expected_version: None, ..envelope.clone() };
            match self.resend_on(user, &of_user).await {
                Ok(_) => Ok((1, 0)),
                Err(CommandError::TooManyInvitations { .. }) => Ok((0, 1)),
                // Disabled or deleted meanwhile, or somebody who may more.
                Err(CommandError::Refused(_) | CommandError::Beyond { .. }) => Ok((0, 0)),
                Err(error) => Err(error),
            }
        };
        let done: Vec<(u64, u64)> = stream::iter(people).map(resend).buffer_unordered(AT_ONCE).try_collect().await?;
        let (resent, deferred) =
            done.iter().fold((0, 0), |(resent, deferred), done| (resent + done.0, deferred + done.1));
        let counts = [("resent", resent), ("deferred", deferred), ("left", left)];
        self.committer
            .end_many(&envelope, BTreeMap::from(counts.map(|(name, count)| (name.to_owned(), count))))
            .await?;
        Ok(Resent { resent, deferred, left })
    }

    /// Whose invitation was refused by the mail system, came back, has expired, or waits for longer than an hour; and how many there
    /// are beyond. Where mail is stopped nothing is mailed again.
    async fn unfulfilled(&self) -> Result<(Vec<UserId>, u64), CommandError> {
        let now = self.committer.clock.now();
        let waits = |user: &UserRow| {
            let age = now.duration_since(user.invitation.since);
            user.status != UserStatus::Disabled
                && user.mail_stop.is_none()
                && (user.invitation.state != InvitationState::Invited || age >= pace::HOUR)
        };
        let (mut found, mut left) = (Vec::new(), 0);
        for state in UNFULFILLED {
            let mut after = None;
            loop {
                let invitation = Some((state, now));
                let filter = UserFilter { invitation, after, limit: PAGE_PEOPLE, ..UserFilter::default() };
                let page = self.committer.stores.views.users(filter).await?;
                after = page.last().map(|user| user.id);
                for user in page.iter().filter(|user| user.status != UserStatus::Deleted && waits(user)) {
                    if found.len() < RESENT_MAX { found.push(user.id) } else { left += 1 }
                }
                if page.len() < PAGE_PEOPLE {
                    break;
                }
            }
        }
        Ok((found, left))
    }
}
