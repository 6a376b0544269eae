//! Keys in a text that somebody has found: which of its words have the form of one, and the checksum that belongs to it.

use memchr::memmem;

use super::key::{AdminToken, KEY_CHARS, KeyHash, KeyId, PREFIX, PresentedKey};

/// Most of them that are taken from one report.
pub const SUSPECTS_MAX: usize = 20;

/// What may be one of ours: only its hash is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// The public part.
    pub id: KeyId,
    /// The SHA-256 of the whole.
    pub hash: KeyHash,
    /// Which kind of secret.
    pub kind: SuspectKind,
}

/// A kind of secret that is known by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspectKind {
    /// An API key.
    ApiKey,
    /// An administrator's token.
    AdminToken,
}

/// The first of them in a text, each once, at most `max`.
pub fn suspects(text: &[u8], max: usize) -> Vec<Suspect> {
    let mut found: Vec<Suspect> = Vec::new();
    for at in memmem::find_iter(text, PREFIX) {
        if found.len() >= max {
            break;
        }
        if let Some(suspect) = text.get(at..).and_then(begins_with)
            && !found.contains(&suspect)
        {
            found.push(suspect);
        }
    }
    found
}

fn begins_with(text: &[u8]) -> Option<Suspect> {
    if let Some(key) = text.get(..KEY_CHARS).and_then(PresentedKey::parse) {
        return Some(Suspect { id: key.id(), hash: key.hash(), kind: SuspectKind::ApiKey });
    }
    let token = str::from_utf8(text.get(..AdminToken::PREFIX.len() + AdminToken::DIGITS)?).ok()?;
    let id = AdminToken::id_in(token)?;
    Some(Suspect { id, hash: KeyHash::of(token.as_bytes()), kind: SuspectKind::AdminToken })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::key::{ApiKey, SECRET_BYTES};

    proptest! {
        #[test]
        fn a_key_is_found_in_any_text(before: Vec<u8>, after: Vec<u8>, id: [u8; 12], secret: [u8; SECRET_BYTES]) {
            let id = KeyId::from_random(id);
            let (key, token) = (ApiKey::new(id, &secret), AdminToken::new(id, &secret));
            let text = [&before, key.reveal().as_bytes(), &after, token.reveal().as_bytes(), &before, key.reveal().as_bytes()];
            let expected = [
                Suspect { id, hash: key.hash(), kind: SuspectKind::ApiKey },
                Suspect { id, hash: token.hash(), kind: SuspectKind::AdminToken },
            ];
            prop_assert_eq!(suspects(&text.concat(), SUSPECTS_MAX), expected);
        }

        #[test]
        fn a_near_miss_is_none(secret: [u8; SECRET_BYTES], at in 0..KEY_CHARS, with in b'0'..=b'z') {
            let key = ApiKey::new(KeyId::from_random([7; 12]), &secret);
            let mut text = key.reveal().as_bytes().to_vec();
            prop_assume!(text[at] != with);
            text[at] = with;
            prop_assert!(suspects(&text, SUSPECTS_MAX).is_empty());
        }
    }

    #[test]
    fn so_many_are_taken_and_no_more() {
        let key = |of: u8| ApiKey::new(KeyId::from_random([of; 12]), &[of; SECRET_BYTES]).reveal().to_owned();
        let text: String = (0..50).map(key).collect();
        assert_eq!(suspects(text.as_bytes(), SUSPECTS_MAX).len(), SUSPECTS_MAX);
        let cut = key(1);
        assert!(suspects(&cut.as_bytes()[..KEY_CHARS - 1], SUSPECTS_MAX).is_empty());
    }
}
