//! Finds keys and tokens in a reported text: the words with the form of a key or token and a matching checksum.

use memchr::memmem;

use super::{
    credential::Credential,
    key::{AdminToken, KEY_CHARS, KeyHash, KeyId},
    link::{LINK_CHARS, PresentedLink},
};

/// The most suspects taken from one report.
pub const SUSPECTS_MAX: usize = 20;

/// A text that may be a key or token of ours. Only its hash is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// The public part.
    pub id: KeyId,
    /// The SHA-256 of the whole text.
    pub hash: KeyHash,
    /// Which kind of secret.
    pub kind: SuspectKind,
}

/// A kind of secret that its form reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspectKind {
    /// An API key.
    ApiKey,
    /// An administrator's token.
    AdminToken,
    /// The token of a session.
    Session,
    /// The token of a link in a mail. Links have no checksum.
    Link(PresentedLink),
}

impl SuspectKind {
    /// The kind's name in answers and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::AdminToken => "admin_token",
            Self::Session => "session",
            Self::Link(_) => "link",
        }
    }
}

/// A leaked key, session or link of a person, which was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaked {
    /// An API key.
    Key(KeyId),
    /// A session.
    Session(KeyId),
    /// A link, by its number.
    Link(u32),
}

impl Leaked {
    /// The id under which mails about the leak are recorded: the key's or session's own, or one derived from the link's number.
    pub fn id(self) -> KeyId {
        match self {
            Self::Key(id) | Self::Session(id) => id,
            Self::Link(number) => link_id(number),
        }
    }

    /// The word for the kind in mail templates.
    pub fn word(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Session(_) => "session",
            Self::Link(_) => "link",
        }
    }
}

fn link_id(number: u32) -> KeyId {
    let mut bytes = [0; 12];
    bytes.iter_mut().rev().zip(number.to_be_bytes().iter().rev()).for_each(|(to, from)| *to = *from);
    KeyId::from_random(bytes)
}

/// The common beginning of all prefixes.
const PREFIXES_BEGIN: &str = "pm";

/// The first suspects in a text, each once, at most `max`.
pub fn suspects(text: &[u8], max: usize) -> Vec<Suspect> {
    let mut found: Vec<Suspect> = Vec::new();
    for at in memmem::find_iter(text, PREFIXES_BEGIN) {
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
    if let Some(of_key_length) = text.get(..KEY_CHARS) {
        let (key, session) = (Credential::key(of_key_length), Credential::session(of_key_length));
        let found = key.map(|key| (key, SuspectKind::ApiKey)).or(session.map(|token| (token, SuspectKind::Session)));
        if let Some((Credential { id, hash, .. }, kind)) = found {
            return Some(Suspect { id, hash, kind });
        }
    }
    let start = |chars| str::from_utf8(text.get(..chars)?).ok();
    if let Some(link) = start(LINK_CHARS).and_then(PresentedLink::parse) {
        return Some(Suspect { id: link_id(link.place.number), hash: link.hash, kind: SuspectKind::Link(link) });
    }
    let token = start(AdminToken::PREFIX.len() + AdminToken::DIGITS)?;
    let id = AdminToken::id_in(token)?;
    Some(Suspect { id, hash: KeyHash::of(token.as_bytes()), kind: SuspectKind::AdminToken })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        id::UserId,
        key::{ApiKey, SECRET_BYTES},
        link::{LINK_SECRET_BYTES, LinkPlace, LinkToken},
        session_token::SessionToken,
    };

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
        fn a_session_and_a_link_are_found_in_any_text(
            before: Vec<u8>, after: Vec<u8>, id: [u8; 12], secret: [u8; SECRET_BYTES], of_link: [u8; LINK_SECRET_BYTES],
            user: u128, number: u32,
        ) {
            let session = SessionToken::new(KeyId::from_random(id), &secret);
            let link = LinkToken::new(LinkPlace { user: UserId(uuid::Uuid::from_u128(user)), number }, &of_link);
            let text = [&before, session.reveal().as_bytes(), &after, link.reveal().as_bytes(), b" ", &before].concat();
            let found = suspects(&text, SUSPECTS_MAX);
            let expected = [session.hash(), link.hash()];
            prop_assert_eq!(found.iter().map(|suspect| suspect.hash).collect::<Vec<_>>(), expected);
            prop_assert_eq!(found[0].kind, SuspectKind::Session);
            prop_assert_eq!(found[1].kind, SuspectKind::Link(PresentedLink::parse(link.reveal()).unwrap()));
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
