//! Providers of identities (OpenID Connect): where somebody signs in elsewhere, and what the provider then says of them.
//!
//! Guarantees: what a provider says counts only once its signature, issuer, audience, time and nonce are right; nothing of its tokens, and
//! no address, is logged or stands in an error; no request goes anywhere but over TLS, or to this machine; answers are bounded in size and
//! time, and no redirect is followed.

mod fetch;
mod oidc;
pub mod settings;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::{fetch::is_fetchable, oidc::OpenIdProvider};
use crate::{domain::provider::ProviderClaims, secrets::VisitSecrets};

/// What a provider sends a browser back with.
#[derive(Clone, Default)]
pub struct ProviderAnswer {
    /// What is exchanged for a token, once.
    pub code: String,
    /// Who answers (RFC 9207).
    pub issuer: Option<String>,
}

/// Why nothing is known from a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer, or answers nonsense. It may work again.
    #[error("the provider cannot be asked: {0}")]
    Unavailable(String),
    /// What it answered, or what somebody says that it did, does not count. Names what is wrong, and never holds a value of it.
    #[error("the provider's answer does not count: {0}")]
    Untrusted(String),
}

/// A provider of identities. It is asked on the thread of whoever asks.
#[async_trait(?Send)]
pub trait IdentityProvider: Send + Sync {
    /// The address at the provider where a visit begins.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`].
    async fn sign_in_address(&self, visit: &VisitSecrets) -> Result<String, ProviderError>;

    /// What the provider says of whoever it sent back with this answer.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn claims(
        &self,
        answer: &ProviderAnswer,
        visit: &VisitSecrets,
        now: Timestamp,
    ) -> Result<ProviderClaims, ProviderError>;
}
