//! Notices: what people are told by mail beside their invitations, each once. When one is due, and that it was mailed, stands in
//! the person's stream; nothing is remembered elsewhere.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    event::{Event, Recorded, RevocationReason},
    id::{StreamId, Who},
    key::KeyId,
    user::{Key, User},
};

/// How many days before its end a key's owner is told.
pub const EXPIRY_DAYS: [u8; 3] = [30, 7, 1];
/// The shares of a day's quota, in percent, of which people are told.
pub const QUOTA_PERCENTS: [u8; 2] = [80, 100];

/// The share of a day's quota that is spent, as far as anybody is told of it, when so much is left.
pub fn quota_share(quota: u64, left: u64) -> Option<u8> {
    let spent = u128::from(quota.saturating_sub(left));
    QUOTA_PERCENTS.into_iter().filter(|percent| spent * 100 >= u128::from(quota) * u128::from(*percent)).max()
}

/// What somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Notice {
    /// Somebody else made a key for them.
    KeyMade {
        /// Which.
        key_id: KeyId,
    },
    /// Somebody else revoked a key of theirs.
    KeyRevoked {
        /// Which.
        key_id: KeyId,
    },
    /// A key of theirs expires.
    KeyExpiring {
        /// Which.
        key_id: KeyId,
        /// How many days before its end this is for.
        days: u8,
    },
    /// A share of a day's quota is spent.
    QuotaReached {
        /// The UTC day, counted from 1970-01-01.
        day: i64,
        /// The share.
        percent: u8,
    },
}

/// The notices that a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NoticeChoice {
    /// Before a key of theirs expires.
    pub expiry: bool,
    /// When somebody else makes or revokes a key of theirs.
    pub keys: bool,
    /// When 80 % and 100 % of a day's quota is spent.
    pub quota: bool,
}

impl Default for NoticeChoice {
    fn default() -> Self {
        Self { expiry: true, keys: true, quota: true }
    }
}

impl NoticeChoice {
    /// Whether this one is among them.
    pub fn wants(self, notice: Notice) -> bool {
        match notice {
            Notice::KeyMade { .. } | Notice::KeyRevoked { .. } => self.keys,
            Notice::KeyExpiring { .. } => self.expiry,
            Notice::QuotaReached { .. } => self.quota,
        }
    }
}

/// A change of the notices that a person wants; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeOfNotices", extend("minProperties" = 1))]
pub struct ChosenNotices {
    /// Before a key of theirs expires.
    #[serde(default)]
    pub expiry: Option<bool>,
    /// When somebody else makes or revokes a key of theirs.
    #[serde(default)]
    pub keys: Option<bool>,
    /// When 80 % and 100 % of a day's quota is spent.
    #[serde(default)]
    pub quota: Option<bool>,
}

impl ChosenNotices {
    /// What is wanted afterwards.
    pub fn of(self, before: NoticeChoice) -> NoticeChoice {
        NoticeChoice {
            expiry: self.expiry.unwrap_or(before.expiry),
            keys: self.keys.unwrap_or(before.keys),
            quota: self.quota.unwrap_or(before.quota),
        }
    }
}

/// What was told of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyNotices {
    /// That somebody else made it.
    pub made: bool,
    /// That somebody else revoked it.
    pub revoked: bool,
    /// The fewest days before its end for which it was noticed that it expires.
    pub expiring: Option<u8>,
    /// The fewest days before its end for which its owner was told.
    pub expiring_told: Option<u8>,
}

/// What was told of a day's quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaNotices {
    /// The last UTC day of which anything was noticed.
    pub day: i64,
    /// The largest share of it that was noticed, percent.
    pub reached: u8,
    /// The largest share of it that the person was told of, percent.
    pub told: u8,
}

/// The notice that an event asks for. Who does something to their own keys is not told of it, nor is what permitd does of its own
/// accord.
pub(super) fn asked(recorded: &Recorded) -> Option<Notice> {
    let by_somebody_else = || match &recorded.stream {
        StreamId::User(user) => !recorded.origin.who.is_system() && recorded.origin.who != Who::user(*user),
        StreamId::Plan(_) | StreamId::DataSet(_) | StreamId::AdminTokens => false,
    };
    match recorded.event {
        Event::ApiKeyIssued { key_id, .. } if by_somebody_else() => Some(Notice::KeyMade { key_id }),
        Event::ApiKeyRevoked { key_id, reason: RevocationReason::Requested } if by_somebody_else() => {
            Some(Notice::KeyRevoked { key_id })
        }
        Event::ApiKeyExpiring { key_id, days } => Some(Notice::KeyExpiring { key_id, days }),
        Event::QuotaReached { day, percent } => Some(Notice::QuotaReached { day, percent }),
        _ => None,
    }
}

/// Whether a notice that was asked for is still to be mailed: it was not yet, the person wants it, and it is still so.
pub fn is_open(user: &User, notice: Notice) -> bool {
    let key = |id| user.keys.get(&id);
    user.notices.wants(notice)
        && match notice {
            Notice::KeyMade { key_id } => key(key_id).is_some_and(|key| !key.noticed.made && key.revoked.is_none()),
            // Whoever never got the key of their invitation does not miss it.
            Notice::KeyRevoked { key_id } => key(key_id)
                .is_some_and(|key| !key.noticed.revoked && (key.invitation.is_none() || key.mailed_at.is_some())),
            // A key that has been given another end, another successor, or a later notice since, needs this one no more.
            Notice::KeyExpiring { key_id, days } => key(key_id).is_some_and(|key| {
                key.is_current()
                    && key.noticed.expiring == Some(days)
                    && key.noticed.expiring_told.is_none_or(|told| told > days)
            }),
            Notice::QuotaReached { day, percent } => user.quota.day == day && user.quota.told < percent,
        }
}

/// Writes down that a notice was mailed, or will not be taken.
pub(super) fn told(user: &mut User, notice: Notice) {
    let mut key = |id, tell: fn(&mut KeyNotices, u8), days| {
        if let Some(key) = user.keys.get_mut(&id) {
            tell(&mut key.noticed, days);
        }
    };
    match notice {
        Notice::KeyMade { key_id } => key(key_id, |noticed, _| noticed.made = true, 0),
        Notice::KeyRevoked { key_id } => key(key_id, |noticed, _| noticed.revoked = true, 0),
        Notice::KeyExpiring { key_id, days } => key(
            key_id,
            |noticed, days| noticed.expiring_told = Some(noticed.expiring_told.map_or(days, |told| told.min(days))),
            days,
        ),
        Notice::QuotaReached { day, percent } if day == user.quota.day => {
            user.quota.told = user.quota.told.max(percent);
        }
        Notice::QuotaReached { .. } => {}
    }
}

impl Key {
    /// The notices of its end that are still to come, with the moment of each, the first one first. One whose moment had passed
    /// when the end was set is none.
    fn expiry_notices(&self) -> impl Iterator<Item = (Timestamp, u8)> {
        let end = self.bounds.expires_at.filter(|_| self.is_current());
        let moment = move |days: u8| end?.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok();
        let is_to_come = |days: u8| self.noticed.expiring.is_none_or(|noticed| days < noticed);
        EXPIRY_DAYS
            .into_iter()
            .filter(move |days| is_to_come(*days))
            .filter_map(move |days| moment(days).filter(|at| *at > self.end_set_at).map(|at| (at, days)))
    }

    /// When its owner is to be told next that it expires.
    pub fn notice_at(&self) -> Option<Timestamp> {
        self.expiry_notices().next().map(|(at, _)| at)
    }

    /// The notice of its end that is due now: of several that were missed the last.
    pub(super) fn due_notice(&self, now: Timestamp) -> Option<u8> {
        let works = self.bounds.expires_at.is_some_and(|end| end > now);
        self.expiry_notices().filter(|(at, _)| works && *at <= now).last().map(|(_, days)| days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_quota_is_what_is_spent_of_it() {
        assert_eq!([1000, 201].map(|left| quota_share(1000, left)), [None, None]);
        assert_eq!([200, 1].map(|left| quota_share(1000, left)), [Some(80), Some(80)]);
        assert_eq!(quota_share(1000, 0), Some(100));
        assert_eq!(quota_share(1, 0), Some(100));
        assert_eq!(quota_share(u64::MAX, u64::MAX / 10), Some(80));
    }
}
