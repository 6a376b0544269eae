//! The notices that a person is still to get, and those that they got.

use jiff::{SignedDuration, Timestamp};

use super::person::{Key, User};
use crate::domain::{
    event::{Event, Recorded, RevocationReason},
    id::{StreamId, Who},
    notice::{EXPIRY_DAYS, KeyNotices, Notice},
};

/// The notice that an event asks for. Nobody is notified of what they did to their own keys, nor of what permitd does of its own accord.
pub(in crate::domain) fn asked(recorded: &Recorded) -> Option<Notice> {
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

/// Tells whether a notice is still to be mailed: it was not mailed yet, the person wants it, and it is still true.
pub(in crate::domain) fn is_open(user: &User, notice: Notice) -> bool {
    let key = |id| user.keys.get(&id);
    user.notices.wants(notice)
        && match notice {
            Notice::KeyMade { key_id } => key(key_id).is_some_and(|key| !key.noticed.made && key.revoked.is_none()),
            // A person who never got their invitation's key does not miss it.
            Notice::KeyRevoked { key_id } => key(key_id)
                .is_some_and(|key| !key.noticed.revoked && (key.invitation.is_none() || key.mailed_at.is_some())),
            // A key with a new end, a successor, or a later notice does not need this notice any more.
            Notice::KeyExpiring { key_id, days } => key(key_id).is_some_and(|key| {
                key.is_current()
                    && key.noticed.expiring == Some(days)
                    && key.noticed.expiring_told.is_none_or(|told| told > days)
            }),
            Notice::QuotaReached { day, percent } => user.quota.day == day && user.quota.told < percent,
        }
}

/// Records that a notice was mailed, or was refused for good.
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
    /// The notices of the key's end that are still to come, with the moment of each, earliest first. A moment that had passed when the end
    /// was set gives no notice.
    fn expiry_notices(&self) -> impl Iterator<Item = (Timestamp, u8)> {
        let end = self.bounds.expires_at.filter(|_| self.is_current());
        let moment = move |days: u8| end?.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok();
        let is_to_come = |days: u8| self.noticed.expiring.is_none_or(|noticed| days < noticed);
        EXPIRY_DAYS
            .into_iter()
            .filter(move |days| is_to_come(*days))
            .filter_map(move |days| moment(days).filter(|at| *at > self.end_set_at).map(|at| (at, days)))
    }

    /// When the owner is to be told next that the key expires.
    pub fn notice_at(&self) -> Option<Timestamp> {
        self.expiry_notices().next().map(|(at, _)| at)
    }

    /// The notice of the key's end that is due now; if several were missed, the last.
    pub(super) fn due_notice(&self, now: Timestamp) -> Option<u8> {
        let works = self.bounds.expires_at.is_some_and(|end| end > now);
        self.expiry_notices().filter(|(at, _)| works && *at <= now).last().map(|(_, days)| days)
    }
}
