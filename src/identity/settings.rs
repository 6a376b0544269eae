//! `[oidc]`: the provider of identities where people sign in.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    domain::provider::{ProviderPolicy, RoleClaims},
    secret_string::SecretString,
};

/// The provider, and the people whom it may admit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// `oidc.issuer`; empty for no provider.
    pub issuer: String,
    /// `oidc.client_id`
    pub client_id: String,
    /// `oidc.client_secret`; empty for a client without one.
    pub client_secret: SecretString,
    /// `oidc.label`
    pub label: String,
    /// `oidc.scopes`, beside `openid`.
    pub scopes: Vec<String>,
    /// `oidc.role_claim`; empty when the provider does not assign roles.
    pub role_claim: String,
    /// `oidc.admin_values`
    pub admin_values: Vec<String>,
    /// `oidc.manager_values`
    pub manager_values: Vec<String>,
    /// `oidc.second_factor_values`
    pub second_factor_values: Vec<String>,
    /// `oidc.create`
    pub create: bool,
    /// `oidc.create_domains`
    pub create_domains: Vec<String>,
    /// `oidc.timeout_s`
    pub timeout_s: u64,
}

impl Oidc {
    /// Whether there is a provider.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }

    /// The people whom the provider may admit.
    pub fn policy(&self) -> ProviderPolicy {
        let roles = RoleClaims { admin: self.admin_values.clone(), manager: self.manager_values.clone() };
        ProviderPolicy {
            roles: (!self.role_claim.is_empty()).then_some(roles),
            second_factors: self.second_factor_values.clone(),
            creates_in: if self.create { self.create_domains.clone() } else { Vec::new() },
        }
    }

    /// The timeout of one request to the provider.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}
