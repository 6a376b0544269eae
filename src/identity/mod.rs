//! Providers of identities (OpenID Connect): people sign in there, and the provider then vouches for them.
//!
//! Guarantees: a provider's token counts only if its signature, issuer, audience, time and nonce are right; no token content and no address
//! is logged or in an error; requests go only over TLS or to this machine; answers are bounded in size and time, and no redirect is
//! followed.

mod fetch;
mod oidc;
pub mod settings;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::{fetch::is_fetchable, oidc::OpenIdProvider};
use crate::{domain::provider::ProviderClaims, secrets::VisitSecrets};

/// The provider's parameters in the browser's return.
#[derive(Clone, Default)]
pub struct ProviderAnswer {
    /// The code, which is exchanged for a token, once.
    pub code: String,
    /// The answering issuer (RFC 9207).
    pub issuer: Option<String>,
}

/// Why a provider gave no claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider does not answer, or answers nonsense. A retry may work.
    #[error("the provider cannot be asked: {0}")]
    Unavailable(String),
    /// The provider's answer, or what claims to be one, is invalid. Names the problem, but no value of the answer.
    #[error("the provider's answer does not count: {0}")]
    Untrusted(String),
}

/// A provider of identities. Calls run on the caller's thread.
#[async_trait(?Send)]
pub trait IdentityProvider: Send + Sync {
    /// The address at the provider where a visit begins.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`].
    async fn sign_in_address(&self, visit: &VisitSecrets) -> Result<String, ProviderError>;

    /// The provider's claims about the person whom it sent back with this answer.
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
