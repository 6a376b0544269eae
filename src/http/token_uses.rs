//! The last uses of administrators' tokens: noted in the store, beside the log, once a minute for each token and node.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{domain::key::KeyId, store::AdminTokens};

/// The shortest time between two noted uses of a token.
const NOTED_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// The uses that this node has noted. They are few, since only tokens that work get here.
#[derive(Debug, Default)]
pub struct TokenUses(Mutex<HashMap<KeyId, Timestamp>>);

impl TokenUses {
    /// Notes that a token is used now, unless a use was noted within the last minute. A use that cannot be noted is logged, and the
    /// request goes on.
    pub(super) async fn note(&self, store: &dyn AdminTokens, token: KeyId, now: Timestamp) {
        if !self.is_due(token, now) {
            return;
        }
        if let Err(error) = store.note_use(token, now).await {
            tracing::warn!(%token, %error, "the use of an administrator's token was not noted");
        }
    }

    /// Whether to note a use now. Marks it as noted at once, so that concurrent requests do not note it again.
    fn is_due(&self, token: KeyId, now: Timestamp) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // `abs`: a clock that was set back must not stop the noting until it has caught up.
        let is_recent = noted.get(&token).is_some_and(|last| now.duration_since(*last).abs() < NOTED_EVERY);
        if !is_recent {
            // Forgets tokens that were not used for a while: they may have ended.
            noted.retain(|_, last| now.duration_since(*last).abs() < NOTED_EVERY);
            noted.insert(token, now);
        }
        !is_recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_noted_once_a_minute() {
        let uses = TokenUses::default();
        let [one, other] = [1, 2].map(|number| KeyId::from_random([number; 12]));
        let at = |second: i64| Timestamp::from_second(1_000 + second).unwrap();
        assert!(uses.is_due(one, at(0)) && !uses.is_due(one, at(59)) && uses.is_due(other, at(59)));
        assert!(uses.is_due(one, at(60)) && !uses.is_due(one, at(61)));
        assert!(uses.is_due(one, at(-10)), "a clock that was set back");
        assert!(uses.0.lock().unwrap().len() <= 2);
    }
}
