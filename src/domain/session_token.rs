//! Session tokens: `pms_<session id>_<secret>_<crc>`, in the form of API keys. Like keys they are derived from a server secret and a random
//! id, so that a forged token is refused without a look-up. Only the SHA-256 is stored.

use std::fmt;

use super::key::{KeyHash, KeyId, SECRET_BYTES, compose, dissect};

/// The prefix of every session token.
pub const SESSION_PREFIX: &str = "pms_";

/// A session's token. `Debug` does not show the token. Its text is overwritten on drop.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct SessionToken {
    text: String,
    #[zeroize(skip)]
    id: KeyId,
}

impl SessionToken {
    /// The token with this id and secret.
    pub fn new(id: KeyId, secret: &[u8; SECRET_BYTES]) -> Self {
        Self { text: compose(SESSION_PREFIX, id, secret), id }
    }

    /// The session's public id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The plaintext token. Call it only to hand the token to the person who signs in.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The hash that is stored.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.text.as_bytes())
    }

    /// The id and hash of a client's text; `None` if its form or checksum is wrong.
    pub fn presented(text: &str) -> Option<(KeyId, KeyHash)> {
        let id = dissect(SESSION_PREFIX, text.as_bytes())?;
        Some((id, KeyHash::of(text.as_bytes())))
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({}…)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::key::{ApiKey, PresentedKey};

    proptest! {
        #[test]
        fn a_token_reads_back_and_is_no_key(id: [u8; 12], secret: [u8; SECRET_BYTES]) {
            let token = SessionToken::new(KeyId::from_random(id), &secret);
            prop_assert_eq!(SessionToken::presented(token.reveal()), Some((token.id(), token.hash())));
            prop_assert!(PresentedKey::parse(token.reveal().as_bytes()).is_none());
            prop_assert_eq!(SessionToken::presented(ApiKey::new(token.id(), &secret).reveal()), None);
            let shown = format!("{token:?}");
            prop_assert!(!shown.contains(&token.reveal()[21..]));
        }
    }
}
