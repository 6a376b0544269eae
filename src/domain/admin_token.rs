//! The administrators' tokens: the state machine of the one stream `tokens#admin`. Sharing one stream makes the first start of several
//! nodes, and a token that replaces the others, one append each; and the log says who made and revoked which token.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    event::{Event, Fact},
    key::{KeyHash, KeyId},
    permission::Permissions,
    text::{HiddenCharacter, one_line},
};

/// The most tokens that work at the same time.
pub const TOKENS_MAX: usize = 100;
/// Longest name of a token, characters.
pub const TOKEN_NAME_CHARS_MAX: usize = 80;
/// The name of the token that the first start makes, and of those that were made before tokens had names.
pub const FIRST_TOKEN: &str = "first";

/// A token that is about to be issued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewToken {
    /// Its public id.
    pub id: KeyId,
    /// The SHA-256 of the token.
    pub hash: KeyHash,
    /// The token's name; a token without one gets a name of its own.
    pub name: Option<String>,
    /// The token's permissions.
    pub permissions: Permissions,
    /// When the token stops working, if ever.
    pub expires_at: Option<Timestamp>,
}

/// What happens to the other tokens when a token is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// The other tokens go on working.
    Stay,
    /// The other tokens are revoked.
    End,
    /// No token may have been issued before: of several nodes that start at once, one makes the first.
    MustBeNone,
}

/// A token as its stream records it.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuedToken {
    /// Version of the last commit that changed the token.
    pub version: u64,
    /// The SHA-256 of the token.
    pub hash: KeyHash,
    /// The token's name.
    pub name: String,
    /// The token's permissions.
    pub permissions: Permissions,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When the token stops working, if ever.
    pub expires_at: Option<Timestamp>,
    /// When the token was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl IssuedToken {
    /// Tells whether the token is neither revoked nor expired.
    pub fn works(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|until| now < until)
    }
}

/// Why a command on the tokens is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// There is no such token.
    #[error("there is no administrator's token {0}")]
    NoToken(KeyId),
    /// A token with this id exists: it may have been revoked, and must not come to life again.
    #[error("there is an administrator's token {0} already")]
    Exists(KeyId),
    /// A token that works has this name already.
    #[error("the administrator's token {id} is called {name:?} already: choose another name, or revoke that one first")]
    NameTaken {
        /// The name.
        name: String,
        /// The token with that name.
        id: KeyId,
    },
    /// The limit of [`TOKENS_MAX`] working tokens is reached.
    #[error("there are {TOKENS_MAX} administrators' tokens that work, which is the most: revoke one first")]
    TooMany,
    /// The name is too long.
    #[error("name is longer than {TOKEN_NAME_CHARS_MAX} characters")]
    LongName,
    /// The name holds a character that could make it look like another name.
    #[error("name holds {0}, which could make it look like something else: write it as one line of plain letters")]
    Hidden(HiddenCharacter),
    /// The token has no permissions.
    #[error("a token needs at least one scope")]
    NoScope,
    /// The token would never have worked.
    #[error("expires_at is not in the future: the token would never work")]
    Past,
}

/// All tokens, as their stream records them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenLog {
    /// Version of the last commit.
    pub version: u64,
    /// The tokens.
    pub tokens: BTreeMap<KeyId, IssuedToken>,
}

impl TokenLog {
    /// Applies one event of the stream.
    pub fn apply(&mut self, fact: Fact<'_>) {
        self.version = fact.version;
        match fact.event {
            Event::AdminTokenIssued { token, name, hash, permissions, expires_at } => {
                let issued = IssuedToken {
                    version: fact.version,
                    hash: *hash,
                    name: name.clone(),
                    permissions: *permissions,
                    issued_at: fact.recorded_at,
                    expires_at: *expires_at,
                    revoked_at: None,
                };
                self.tokens.entry(*token).or_insert(issued);
            }
            Event::AdminTokenRevoked { token } => {
                if let Some(token) = self.tokens.get_mut(token) {
                    token.version = fact.version;
                    token.revoked_at = token.revoked_at.or(Some(fact.recorded_at));
                }
            }
            _ => {}
        }
    }

    /// Decides the issue of a token. Returns no event if the token was to be the first and another exists.
    ///
    /// # Errors
    /// The reason why the token cannot be issued.
    pub fn issue(&self, new: NewToken, others: Others, now: Timestamp) -> Result<Vec<Event>, TokenRefusal> {
        let NewToken { id, hash, name, permissions, expires_at } = new;
        if others == Others::MustBeNone && self.version > 0 {
            return Ok(Vec::new());
        }
        let name = match name.as_deref().map(one_line).transpose().map_err(TokenRefusal::Hidden)?.flatten() {
            Some(name) => name.to_owned(),
            None => format!("token-{id}"),
        };
        if name.chars().count() > TOKEN_NAME_CHARS_MAX {
            return Err(TokenRefusal::LongName);
        }
        if permissions.is_empty() {
            return Err(TokenRefusal::NoScope);
        }
        if expires_at.is_some_and(|until| until <= now) {
            return Err(TokenRefusal::Past);
        }
        if self.tokens.contains_key(&id) {
            return Err(TokenRefusal::Exists(id));
        }
        let issued = Event::AdminTokenIssued { token: id, name: name.clone(), hash, permissions, expires_at };
        if others == Others::End {
            let ended = self.tokens.iter().filter(|(_, token)| token.revoked_at.is_none());
            let ended = ended.map(|(token, _)| Event::AdminTokenRevoked { token: *token });
            return Ok(ended.chain([issued]).collect());
        }
        let working = || self.tokens.iter().filter(|(_, token)| token.works(now));
        if let Some((id, _)) = working().find(|(_, token)| token.name == name) {
            return Err(TokenRefusal::NameTaken { name, id: *id });
        }
        if working().count() >= TOKENS_MAX {
            return Err(TokenRefusal::TooMany);
        }
        Ok(vec![issued])
    }

    /// Decides a revocation. Returns no event for a token that was revoked before.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn revoke(&self, id: KeyId) -> Result<Vec<Event>, TokenRefusal> {
        let token = self.tokens.get(&id).ok_or(TokenRefusal::NoToken(id))?;
        Ok(if token.revoked_at.is_some() { Vec::new() } else { vec![Event::AdminTokenRevoked { token: id }] })
    }

    /// Takes over tokens issued before the log recorded tokens, of which only id and hash are known. Tokens that the stream knows stay as
    /// they are.
    pub fn take_over(&self, earlier: &[(KeyId, KeyHash)]) -> Vec<Event> {
        let is_new = |(id, hash): &&(KeyId, KeyHash)| {
            !self.tokens.contains_key(id) && !self.tokens.values().any(|token| token.hash == *hash)
        };
        let issued = |(id, hash): &(KeyId, KeyHash)| Event::AdminTokenIssued {
            token: *id,
            name: FIRST_TOKEN.to_owned(),
            hash: *hash,
            permissions: Permissions::ALL,
            expires_at: None,
        };
        earlier.iter().filter(is_new).map(issued).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{id::StreamId, permission::Permission};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn new(number: u8) -> NewToken {
        NewToken {
            id: KeyId::from_random([number; 12]),
            hash: KeyHash::of(&[number]),
            name: Some(format!("token {number}")),
            permissions: Permissions::of(&[Permission::Data]),
            expires_at: None,
        }
    }

    fn take(log: &mut TokenLog, events: &[Event], now: Timestamp) {
        let version = log.version + 1;
        for event in events {
            log.apply(Fact { stream: &StreamId::AdminTokens, version, recorded_at: now, event });
        }
    }

    #[derive(Debug, Clone)]
    enum Deed {
        Issue(u8, Others, Option<i64>),
        Revoke(u8),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let others = prop_oneof![Just(Others::Stay), Just(Others::End), Just(Others::MustBeNone)];
        let issue = (0..8u8, others, proptest::option::of(-5..20i64))
            .prop_map(|(n, others, life)| Deed::Issue(n, others, life));
        proptest::collection::vec(prop_oneof![issue, (0..8u8).prop_map(Deed::Revoke)], 0..30)
    }

    proptest! {
        #[test]
        fn what_was_revoked_never_works_again_and_names_are_one_token_s(deeds in deeds()) {
            let mut log = TokenLog::default();
            let mut revoked = std::collections::BTreeSet::new();
            for (second, deed) in (1i64..).zip(deeds) {
                let now = at(second);
                let events = match deed {
                    Deed::Issue(number, others, life) => {
                        let expires_at = life.map(|life| at((second + life).max(0)));
                        let first = log.version == 0;
                        let decided = log.issue(NewToken { expires_at, ..new(number) }, others, now);
                        prop_assert!(others != Others::MustBeNone || first || decided == Ok(Vec::new()));
                        let events = decided.unwrap_or_default();
                        if others == Others::End && !events.is_empty() {
                            revoked.extend(log.tokens.keys().copied());
                        }
                        events
                    }
                    Deed::Revoke(number) => {
                        let id = new(number).id;
                        let decided = log.revoke(id);
                        prop_assert_eq!(decided.is_err(), !log.tokens.contains_key(&id));
                        if decided.is_ok() { revoked.insert(id); }
                        decided.unwrap_or_default()
                    }
                };
                take(&mut log, &events, now);
                let working: Vec<_> = log.tokens.iter().filter(|(_, token)| token.works(now)).collect();
                prop_assert!(working.iter().all(|(id, _)| !revoked.contains(*id)));
                let names: std::collections::BTreeSet<_> = working.iter().map(|(_, token)| &token.name).collect();
                prop_assert_eq!(names.len(), working.len());
                prop_assert!(log.tokens.values().all(|token| token.expires_at.is_none_or(|until| until > token.issued_at)));
            }
        }
    }

    #[test]
    fn a_token_works_until_the_moment_at_which_it_expires() {
        let mut log = TokenLog::default();
        let events = log.issue(NewToken { expires_at: Some(at(10)), ..new(1) }, Others::MustBeNone, at(1)).unwrap();
        take(&mut log, &events, at(1));
        let token = log.tokens.values().next().unwrap();
        assert!(token.works(at(9)) && !token.works(at(10)));
        // The name of a revoked token is free again.
        let again = NewToken { id: new(2).id, hash: new(2).hash, ..new(1) };
        assert!(matches!(log.issue(again.clone(), Others::Stay, at(9)), Err(TokenRefusal::NameTaken { .. })));
        assert_eq!(log.issue(again, Others::Stay, at(10)).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let log = TokenLog::default();
        let refused = |new| log.issue(new, Others::Stay, at(5)).unwrap_err();
        assert_eq!(refused(NewToken { expires_at: Some(at(5)), ..new(1) }), TokenRefusal::Past);
        assert_eq!(refused(NewToken { permissions: Permissions::NONE, ..new(1) }), TokenRefusal::NoScope);
        assert_eq!(refused(NewToken { name: Some("x".repeat(81)), ..new(1) }), TokenRefusal::LongName);
        assert!(matches!(refused(NewToken { name: Some("a\nb".to_owned()), ..new(1) }), TokenRefusal::Hidden(_)));
        let named = log.issue(NewToken { name: Some("  ".to_owned()), ..new(1) }, Others::Stay, at(5)).unwrap();
        assert!(matches!(&named[..], [Event::AdminTokenIssued { name, .. }] if name.starts_with("token-")));
    }

    #[test]
    fn there_are_no_more_than_the_most_and_those_that_end_make_room() {
        let mut log = TokenLog::default();
        for number in 0..100 {
            let events = log.issue(new(number), Others::Stay, at(1)).unwrap();
            take(&mut log, &events, at(1));
        }
        assert_eq!(log.issue(new(100), Others::Stay, at(2)), Err(TokenRefusal::TooMany));
        let events = log.revoke(new(7).id).unwrap();
        take(&mut log, &events, at(3));
        assert_eq!(log.issue(new(100), Others::Stay, at(4)).unwrap().len(), 1);
        assert_eq!(log.issue(new(101), Others::End, at(4)).unwrap().len(), 100);
    }

    #[test]
    fn tokens_of_before_are_taken_over_once_and_do_not_come_back() {
        let earlier = [(new(1).id, new(1).hash), (new(2).id, new(2).hash)];
        let mut log = TokenLog::default();
        let events = log.take_over(&earlier);
        assert_eq!(events.len(), 2);
        take(&mut log, &events, at(1));
        assert!(log.tokens.values().all(|token| token.name == FIRST_TOKEN && token.permissions == Permissions::ALL));
        let events = log.revoke(new(1).id).unwrap();
        take(&mut log, &events, at(2));
        assert!(log.take_over(&earlier).is_empty());
        assert!(!log.tokens[&new(1).id].works(at(3)));
        assert!(log.issue(new(3), Others::MustBeNone, at(3)).unwrap().is_empty(), "there was a first one");
    }
}
