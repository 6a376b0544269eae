//! Identifiers.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Error for a text that is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {expected}")]
pub struct IdError {
    given: String,
    expected: &'static str,
}

impl IdError {
    pub(super) fn new(given: &str, expected: &'static str) -> Self {
        Self { given: given.chars().take(80).collect(), expected }
    }
}

/// A person's identifier; it never changes and is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

impl UserId {
    /// Reads the hyphenated form.
    ///
    /// # Errors
    /// When the text is not a UUID.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError::new(text, "a user id (a UUID)"))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stream of the event log: the events of one user, plan or data set in their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamId {
    /// `user#<id>`; keys live in their owner's stream, so that a deletion and a key creation compete for one version.
    User(UserId),
    /// `plan#<name>`
    Plan(String),
    /// `dataset#<name>`
    DataSet(String),
    /// `tokens#admin`: the administrators' tokens, all in one stream.
    AdminTokens,
}

impl StreamId {
    /// Reads the stored form, `kind#name`.
    ///
    /// # Errors
    /// When the kind is unknown.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        const EXPECTED: &str = "a stream such as user#<id>, plan#<name>, dataset#<name> or tokens#admin";
        match text.split_once('#') {
            Some(("user", id)) => Ok(Self::User(UserId::parse(id)?)),
            Some(("plan", name)) if !name.is_empty() => Ok(Self::Plan(name.to_owned())),
            Some(("dataset", name)) if !name.is_empty() => Ok(Self::DataSet(name.to_owned())),
            Some(("tokens", "admin")) => Ok(Self::AdminTokens),
            _ => Err(IdError::new(text, EXPECTED)),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user#{id}"),
            Self::Plan(name) => write!(f, "plan#{name}"),
            Self::DataSet(name) => write!(f, "dataset#{name}"),
            Self::AdminTokens => f.write_str("tokens#admin"),
        }
    }
}

/// The name of a command, by which a retry of an answered command gets the first answer. It is the client's `Idempotency-Key` (hashed
/// together with the client's identity), derived from the consumed message, or random.
///
/// A client's command is found by this id alone, in any stream. The request itself (method, path, body) is stored beside it as an HMAC.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommandId(String);

impl CommandId {
    /// The command that a client names by an idempotency key. Equal keys of two clients make different commands.
    pub fn from_idempotency_key(who: &Who, idempotency_key: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(who.0.as_bytes());
        hash.update([0]);
        hash.update(idempotency_key.as_bytes());
        Self(format!("idem:{}", hex(hash.finalize().as_slice().get(..16).unwrap_or_default())))
    }

    /// A command that is never repeated.
    pub fn unique(id: Uuid) -> Self {
        Self(format!("once:{id}"))
    }

    /// The command that follows from a message: the same for every delivery of the message.
    pub fn from_message(event: Uuid, step: &str) -> Self {
        Self(format!("msg:{event}:{step}"))
    }

    /// The command that records an observation: the same for every node that makes it.
    pub fn from_notice(what: &str) -> Self {
        Self(format!("notice:{what}"))
    }

    /// The command for one part of this command, such as one row of a list: the same for every attempt. `name` must hold no personal data:
    /// the id is in the log.
    pub fn part(&self, name: &str) -> Self {
        let hash = Sha256::new().chain_update(b"part\0").chain_update(self.0.as_bytes()).chain_update([0]);
        let hash = hash.chain_update(name.as_bytes()).finalize();
        Self(format!("part:{}", hex(hash.as_slice().get(..16).unwrap_or_default())))
    }

    /// The command that follows from a mail system's feedback, named by the feedback's own id.
    pub fn from_feedback(id: &str) -> Self {
        Self(format!("feedback:{}", hex(Sha256::digest(id).as_slice().get(..16).unwrap_or_default())))
    }

    /// The command for a step of an import.
    pub fn from_import(import: Uuid, step: &str) -> Self {
        Self(format!("import:{import}:{step}"))
    }

    /// Reads the stored form.
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The person that the command invites: the same for every attempt, so that a retry finds the first attempt's stream.
    pub fn derived_user(&self) -> UserId {
        UserId(uuid_of(&self.derived_bytes("user", None)))
    }

    /// An id for what the command creates in a stream: the same for every attempt, another in every other stream. UUID version 8, RFC 9562
    /// section 5.8.
    pub fn derived_uuid(&self, purpose: &str, stream: &StreamId) -> Uuid {
        uuid_of(&self.derived_bytes(purpose, Some(stream)))
    }

    /// Bytes derived from the command for one purpose.
    pub(super) fn derived_bytes(&self, purpose: &str, stream: Option<&StreamId>) -> [u8; 32] {
        let hash = Sha256::new().chain_update(purpose.as_bytes()).chain_update([0]).chain_update(self.0.as_bytes());
        let hash = match stream {
            Some(stream) => hash.chain_update([0]).chain_update(stream.to_string().as_bytes()),
            None => hash,
        };
        hash.finalize().into()
    }
}

fn uuid_of(bytes: &[u8; 32]) -> Uuid {
    let mut first = [0u8; 16];
    first.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Uuid::new_v8(first)
}

/// The actor of an event: `admin:<token id>`, `user:<id>`, `cli:<account>`, `system:<actor>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Who(pub String);

impl Who {
    /// The user of the administrator's token with this id.
    pub fn token(id: &str) -> Self {
        Self(format!("admin:{id}"))
    }

    /// An actor of permitd itself.
    pub fn system(actor: &str) -> Self {
        Self(format!("system:{actor}"))
    }

    /// A person who has signed in.
    pub fn user(id: UserId) -> Self {
        Self(format!("user:{id}"))
    }

    /// Tells whether permitd acted of its own accord.
    pub fn is_system(&self) -> bool {
        self.0.starts_with("system:")
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(if digit < 10 { b'0' } else { b'a' - 10 } + digit));
    bytes.iter().flat_map(digits).collect()
}

/// Reads lower- or upper-case hexadecimal; `None` for any other text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hexadecimal_reads_back(bytes: Vec<u8>) {
            let text = hex(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
            prop_assert_eq!(unhex(&text), Some(bytes.clone()));
            prop_assert_eq!(unhex(&text.to_uppercase()), Some(bytes));
        }

        #[test]
        fn what_is_no_hexadecimal_is_refused(text in "[0-9a-f]*[^0-9a-fA-F][0-9a-f]*") {
            prop_assert_eq!(unhex(&text), None);
        }
    }

    #[test]
    fn what_a_command_creates_is_its_own_in_each_stream() {
        let command = CommandId::from_idempotency_key(&Who("admin:1".to_owned()), "k");
        let streams = [1, 2].map(|number| StreamId::User(UserId(Uuid::from_u128(number))));
        let [one, other] = streams.each_ref().map(|stream| command.derived_key_id(stream));
        assert_ne!(one, other);
        assert_eq!(one, CommandId::stored(command.as_str()).derived_key_id(&streams[0]), "every try makes the same");
        let [one, other] = streams.each_ref().map(|stream| command.derived_uuid("invitation", stream));
        assert_ne!(one, other);
        assert_ne!(command.derived_user(), CommandId::stored("once:1").derived_user());
    }

    #[test]
    fn half_a_byte_is_refused() {
        assert_eq!(unhex("abc"), None);
    }
}
