//! Notices: mails to people besides their invitations, each sent once. The person's stream records when a notice is due and that it was
//! mailed; nothing is kept elsewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::KeyId;

/// The days before a key's end on which its owner is told.
pub const EXPIRY_DAYS: [u8; 3] = [30, 7, 1];
/// The shares of a day's quota, in percent, at which people are told.
pub const QUOTA_PERCENTS: [u8; 2] = [80, 100];

/// The reached share of [`QUOTA_PERCENTS`] when `left` requests of the quota are left; `None` if no share is reached.
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
    /// Tells whether the person wants this notice.
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
    /// The choice after the change.
    pub fn of(self, before: NoticeChoice) -> NoticeChoice {
        NoticeChoice {
            expiry: self.expiry.unwrap_or(before.expiry),
            keys: self.keys.unwrap_or(before.keys),
            quota: self.quota.unwrap_or(before.quota),
        }
    }
}

/// The notices recorded for a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyNotices {
    /// Whether its owner was told that somebody else made the key.
    pub made: bool,
    /// Whether its owner was told that somebody else revoked the key.
    pub revoked: bool,
    /// The fewest days before its end for which a notice became due.
    pub expiring: Option<u8>,
    /// The fewest days before its end for which its owner was told.
    pub expiring_told: Option<u8>,
}

/// The notices recorded for a day's quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaNotices {
    /// The last UTC day on which a notice became due.
    pub day: i64,
    /// The largest share of the quota for which a notice became due, percent.
    pub reached: u8,
    /// The largest share of the quota that the person was told of, percent.
    pub told: u8,
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
