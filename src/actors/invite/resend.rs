//! Mails again the invitations that did not arrive: their mail was refused, bounced, expired, or not handed over for a while.

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

/// The most invitations that one command mails again.
const RESENT_MAX: usize = 10_000;
/// The states of invitations that did not arrive.
const UNFULFILLED: [InvitationState; 4] =
    [InvitationState::Failed, InvitationState::Bounced, InvitationState::Expired, InvitationState::Invited];
/// People that are read at a time.
const PAGE_PEOPLE: usize = 1000;
/// Invitations that are mailed at the same time.
const AT_ONCE: usize = 64;

/// The result of mailing again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resent {
    /// Invitations that will be mailed.
    pub resent: u64,
    /// Invitations deferred by the hour's limits.
    pub deferred: u64,
    /// Invitations above one command's maximum.
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
                // The person was disabled or deleted meanwhile, or has a role with more permissions.
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

    /// The people whose invitation was refused by the mail system, bounced, expired, or has waited for more than an hour, and the number of
    /// further ones. Leaves out people with a mail stop.
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
