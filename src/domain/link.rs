//! Single-use links: `pml_<person and number>_<secret>`.
//!
//! The first part, 27 base-62 digits, holds the person's id and the link's number. The secret is 43 base-62 digits of 32 bytes (256 bits),
//! derived from a server secret and the first part, so that a repeated mail carries the same link and a made-up link is refused without a
//! look-up. Only the SHA-256 of the whole is stored.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    id::UserId,
    key::{KeyHash, read_base62, write_base62},
};

/// The prefix of every link's token.
pub const LINK_PREFIX: &str = "pml_";
/// Digits that hold a person's id and the number of a link.
const PLACE_CHARS: usize = 27;
/// Bytes of a person's id and the number of a link.
const PLACE_BYTES: usize = 20;
/// Digits that hold the secret.
const LINK_SECRET_CHARS: usize = 43;
/// Bytes of the secret.
pub const LINK_SECRET_BYTES: usize = 32;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkPurpose {
    /// To set the first password.
    Invitation,
    /// To set another password.
    PasswordReset,
    /// To see the key.
    ClaimKey,
}

/// The person and number of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkPlace {
    /// The person.
    pub user: UserId,
    /// The link's number for that person, from 1.
    pub number: u32,
}

impl LinkPlace {
    /// The bytes from which the link's secret is derived.
    pub fn to_bytes(self) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        bytes
            .iter_mut()
            .zip(self.user.0.as_bytes().iter().chain(&self.number.to_be_bytes()))
            .for_each(|(to, from)| *to = *from);
        bytes
    }

    fn from_bytes(bytes: &[u8; PLACE_BYTES]) -> Option<Self> {
        let (user, number) = bytes.split_at_checked(PLACE_BYTES - 4)?;
        let user = UserId(Uuid::from_bytes(user.try_into().ok()?));
        Some(Self { user, number: u32::from_be_bytes(number.try_into().ok()?) })
    }
}

/// Length of a link's token.
pub const LINK_CHARS: usize = LINK_PREFIX.len() + PLACE_CHARS + 1 + LINK_SECRET_CHARS;

/// A link's token. `Debug` does not show the token. Its text is overwritten on drop.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct LinkToken(String);

impl LinkToken {
    /// The token of this link with this secret.
    pub fn new(place: LinkPlace, secret: &[u8; LINK_SECRET_BYTES]) -> Self {
        let mut digits = zeroize::Zeroizing::new([b'0'; PLACE_CHARS + LINK_SECRET_CHARS]);
        let (first, last) = digits.split_at_mut(PLACE_CHARS);
        write_base62(&place.to_bytes(), first);
        write_base62(secret, last);
        // The text gets its full capacity at once: a growing text would leave copies of the secret behind.
        let mut token = String::with_capacity(LINK_CHARS);
        token.push_str(LINK_PREFIX);
        token.extend(first.iter().map(|&digit| char::from(digit)));
        token.push('_');
        token.extend(last.iter().map(|&digit| char::from(digit)));
        Self(token)
    }

    /// The plaintext token. Call it only to mail it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash that is stored.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

/// A link's token as somebody presents it: only its form is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentedLink {
    /// The person and number that the token claims.
    pub place: LinkPlace,
    /// The SHA-256 of the presented text.
    pub hash: KeyHash,
}

impl PresentedLink {
    /// Reads a presented text; `None` if its form is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (place, secret) = text.strip_prefix(LINK_PREFIX)?.split_once('_')?;
        let is_secret = secret.len() == LINK_SECRET_CHARS && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if place.len() != PLACE_CHARS || !is_secret {
            return None;
        }
        let place = LinkPlace::from_bytes(&read_base62(place.as_bytes())?)?;
        Some(Self { place, hash: KeyHash::of(text.as_bytes()) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_link_reads_back(user: u128, number: u32, secret: [u8; LINK_SECRET_BYTES]) {
            let place = LinkPlace { user: UserId(Uuid::from_u128(user)), number };
            let token = LinkToken::new(place, &secret);
            prop_assert_eq!(PresentedLink::parse(token.reveal()), Some(PresentedLink { place, hash: token.hash() }));
            let shown = format!("{token:?}");
            prop_assert!(!shown.contains(&token.reveal()[4..]));
        }

        #[test]
        fn another_text_is_another_link_or_none(user: u128, number: u32, at: prop::sample::Index, with in b'0'..=b'z') {
            let token = LinkToken::new(LinkPlace { user: UserId(Uuid::from_u128(user)), number }, &[7; LINK_SECRET_BYTES]);
            let mut text = token.reveal().as_bytes().to_vec();
            let at = at.index(text.len());
            prop_assume!(text[at] != with);
            text[at] = with;
            let presented = PresentedLink::parse(&String::from_utf8(text).unwrap());
            prop_assert!(presented.is_none_or(|other| other.hash != token.hash()));
        }

        #[test]
        fn junk_is_none(text: String) {
            prop_assert_eq!(PresentedLink::parse(&text), None);
            prop_assert_eq!(PresentedLink::parse(&format!("{LINK_PREFIX}{text}")), None);
        }
    }
}
