//! The credential of a request for data: an API key, or the token of a session.

use super::{
    key::{KeyHash, KeyId, PresentedKey},
    session_token::SessionToken,
};

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// An API key.
    Key,
    /// The token of a session.
    Session,
}

/// A key or token of the right form and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    /// Which kind.
    pub kind: CredentialKind,
    /// The public part.
    pub id: KeyId,
    /// The SHA-256 of the whole key or token.
    pub hash: KeyHash,
}

impl Credential {
    /// Reads an API key.
    pub fn key(text: &[u8]) -> Option<Self> {
        PresentedKey::parse(text).map(Self::from)
    }

    /// Reads a session's token.
    pub fn session(text: &[u8]) -> Option<Self> {
        let (id, hash) = SessionToken::presented(str::from_utf8(text).ok()?)?;
        Some(Self { kind: CredentialKind::Session, id, hash })
    }
}

impl From<PresentedKey<'_>> for Credential {
    fn from(key: PresentedKey<'_>) -> Self {
        Self { kind: CredentialKind::Key, id: key.id(), hash: key.hash() }
    }
}
