//! OpenID Connect Core 1.0: the code flow with PKCE (RFC 7636) and discovery. The provider's metadata and keys are kept for an hour, and
//! fetched again when a token has an unknown key: at most once in [`PAUSE_US`], whoever sends tokens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, AuthType, AuthenticationFlow, AuthorizationCode,
    ClaimsVerificationError, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, IdToken, IdTokenClaims, IdTokenFields, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    IdentityProvider, ProviderAnswer, ProviderError,
    fetch::{FetchError, Fetcher, is_fetchable},
    settings::Oidc,
};
use crate::{clock::SharedClock, domain::provider::ProviderClaims, secrets::VisitSecrets};

/// How long the provider's metadata is used.
const KNOWN_FOR_US: i64 = 3600 * 1_000_000;
/// The shortest time between two fetches of the metadata.
const PAUSE_US: i64 = 10 * 1_000_000;
/// The tolerated difference from the provider's clock.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// Signatures that need the provider's own key: neither `none` nor one by the client secret, which this client has, too.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Claims beyond the standard ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OtherClaims(BTreeMap<String, Value>);

impl AdditionalClaims for OtherClaims {}

/// Metadata beyond what the library knows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct AnswersWith {
    /// RFC 9207, section 3.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for AnswersWith {}

type Metadata = ProviderMetadata<
    AnswersWith,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type SignedToken = IdToken<OtherClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type TokenFields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type RefusedToken = StandardErrorResponse<CoreErrorResponseType>;
type OidcClient = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    RefusedToken,
    StandardTokenResponse<TokenFields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider's metadata, and when it was fetched.
struct Discovered {
    client: OidcClient,
    algorithms: Vec<CoreJwsSigningAlgorithm>,
    names_itself: bool,
    asked_us: i64,
}

/// A provider used by discovery.
pub struct OpenIdProvider {
    issuer: IssuerUrl,
    settings: Oidc,
    redirect: RedirectUrl,
    clock: SharedClock,
    fetcher: Fetcher,
    known: Mutex<Option<Arc<Discovered>>>,
    /// When the metadata was last fetched. Locked during a fetch.
    asked: tokio::sync::Mutex<Option<i64>>,
}

impl OpenIdProvider {
    /// The provider of the settings, which returns browsers to `redirect`.
    ///
    /// # Errors
    /// When the issuer or `redirect` is no URL.
    pub fn new(settings: Oidc, redirect: String, clock: SharedClock) -> Result<Self, ProviderError> {
        let wrong = |what: &str| ProviderError::Unavailable(format!("{what} is no URL"));
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|_| wrong("oidc.issuer"))?;
        let redirect = RedirectUrl::new(redirect).map_err(|_| wrong("public_url"))?;
        let fetcher = Fetcher::new(settings.timeout());
        let (known, asked) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { issuer, settings, redirect, clock, fetcher, known, asked })
    }

    fn kept(&self) -> Option<Arc<Discovered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The provider's metadata, fetched again when it is too old.
    async fn known(&self) -> Result<Arc<Discovered>, ProviderError> {
        let now_us = self.clock.monotonic_us();
        match self.kept().filter(|known| now_us - known.asked_us < KNOWN_FOR_US) {
            Some(known) => Ok(known),
            None => self.asked_after(now_us - KNOWN_FOR_US).await,
        }
    }

    /// The provider's metadata fetched after `then_us`; fetches it unless that was tried a moment ago.
    async fn asked_after(&self, then_us: i64) -> Result<Arc<Discovered>, ProviderError> {
        let mut asked = self.asked.lock().await;
        if let Some(known) = self.kept().filter(|known| known.asked_us > then_us) {
            return Ok(known);
        }
        let asked_us = self.clock.monotonic_us();
        if asked.is_some_and(|last_us| asked_us - last_us < PAUSE_US) {
            return Err(ProviderError::Unavailable("it was asked a moment ago".to_owned()));
        }
        *asked = Some(asked_us);
        let known = Arc::new(self.discover(asked_us).await?);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
        Ok(known)
    }

    async fn discover(&self, asked_us: i64) -> Result<Discovered, ProviderError> {
        use openidconnect::DiscoveryError::{Other, Parse, Request, Response, UrlParse, Validation};
        let fetch = |request: HttpRequest| self.fetcher.fetch(request);
        let metadata = Metadata::discover_async(self.issuer.clone(), &fetch).await.map_err(|error| {
            let why = match error {
                Request(FetchError(why)) => why,
                Response(status, ..) => format!("it answers {} where it should describe itself", status.as_u16()),
                Validation(_) => "it says that it is another issuer than oidc.issuer".to_owned(),
                Parse(_) => "its description or its keys cannot be read".to_owned(),
                UrlParse(_) | Other(_) => "its description cannot be asked for".to_owned(),
                _ => "its description is wrong".to_owned(),
            };
            ProviderError::Unavailable(why)
        })?;
        let unavailable = |why: &str| ProviderError::Unavailable(why.to_owned());
        if !is_fetchable(metadata.authorization_endpoint().as_str()) {
            return Err(unavailable("people would sign in at an address without TLS"));
        }
        if metadata.token_endpoint().is_none() {
            return Err(unavailable("it gives no tokens"));
        }
        let algorithms = metadata.id_token_signing_alg_values_supported();
        let algorithms: Vec<_> = ALGORITHMS.into_iter().filter(|known| algorithms.contains(known)).collect();
        if algorithms.is_empty() {
            return Err(unavailable("it signs tokens in no way that counts"));
        }
        let methods = metadata.token_endpoint_auth_methods_supported();
        let names_itself = metadata.additional_metadata().authorization_response_iss_parameter_supported;
        let takes = |method: CoreClientAuthMethod| methods.is_none_or(|methods| methods.contains(&method));
        let in_body = !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost);
        let auth_type = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        let secret = &self.settings.client_secret;
        let secret = (!secret.is_empty()).then(|| ClientSecret::new(secret.expose().to_owned()));
        let id = ClientId::new(self.settings.client_id.clone());
        let client = OidcClient::from_provider_metadata(metadata, id, secret)
            .set_auth_type(auth_type)
            .set_redirect_uri(self.redirect.clone());
        Ok(Discovered { client, algorithms, names_itself, asked_us })
    }

    /// Whether the answer names this provider as its issuer, if it names one.
    fn is_from_here(&self, known: &Discovered, answer: &ProviderAnswer) -> bool {
        match &answer.issuer {
            Some(issuer) => issuer == self.issuer.as_str(),
            None => !known.names_itself,
        }
    }

    async fn token(&self, known: &Discovered, code: &str, visit: &VisitSecrets) -> Result<SignedToken, ProviderError> {
        let untrusted = |why: &str| ProviderError::Untrusted(why.to_owned());
        let fetch = |request: HttpRequest| self.fetcher.fetch(request);
        let exchange = known.client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let exchange = exchange.map_err(|_| ProviderError::Unavailable("it gives no tokens".to_owned()))?;
        let verifier = PkceCodeVerifier::new(visit.verifier.to_string());
        let response =
            exchange.set_pkce_verifier(verifier).request_async(&fetch).await.map_err(|error| match error {
                RequestTokenError::ServerResponse(refusal) => refused(&refusal),
                RequestTokenError::Request(FetchError(why)) => ProviderError::Unavailable(why),
                RequestTokenError::Parse(..) => untrusted("it holds no token that can be read"),
                RequestTokenError::Other(_) => ProviderError::Unavailable("it does not exchange the code".to_owned()),
            })?;
        response.id_token().cloned().ok_or_else(|| untrusted("there is no ID token in it"))
    }

    /// The claims of a token, if its signature and standard claims are valid.
    fn verified(
        &self,
        known: &Discovered,
        token: &SignedToken,
        visit: &VisitSecrets,
        now: Timestamp,
    ) -> Result<IdTokenClaims<OtherClaims, CoreGenderClaim>, ClaimsVerificationError> {
        let (earliest, latest) = (now - LEEWAY, now + LEEWAY);
        let verifier = known
            .client
            .id_token_verifier()
            .set_allowed_algs(known.algorithms.clone())
            .set_time_fn(move || SystemTime::from(earliest).into())
            .set_issue_time_verifier_fn(move |issued| match issued.timestamp() <= latest.as_second() {
                true => Ok(()),
                false => Err("issued in the future".to_owned()),
            });
        let claims = token.claims(&verifier, &Nonce::new(visit.nonce.clone()))?;
        // Core, section 3.1.3.7: the library leaves this check to its callers.
        if claims.authorized_party().is_some_and(|party| party.as_str() != self.settings.client_id) {
            return Err(ClaimsVerificationError::InvalidAudience("another authorized party".to_owned()));
        }
        Ok(claims.clone())
    }

    fn told(&self, claims: &IdTokenClaims<OtherClaims, CoreGenderClaim>) -> ProviderClaims {
        let name = claims.name().and_then(|name| name.get(None)).map(|name| name.to_string());
        let methods = claims.auth_method_refs().into_iter().flatten().map(|method| method.to_string());
        let level = claims.auth_context_ref().map(|level| level.to_string());
        ProviderClaims {
            email: claims.email().map(|email| email.to_string()),
            email_verified: claims.email_verified() == Some(true),
            name,
            roles: claims.additional_claims().0.get(&self.settings.role_claim).map(texts).unwrap_or_default(),
            factors: methods.chain(level).collect(),
        }
    }
}

#[async_trait(?Send)]
impl IdentityProvider for OpenIdProvider {
    async fn sign_in_address(&self, visit: &VisitSecrets) -> Result<String, ProviderError> {
        let known = self.known().await?;
        let verifier = PkceCodeVerifier::new(visit.verifier.to_string());
        let (state, nonce) = (visit.state.clone(), visit.nonce.clone());
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let (address, ..) = known
            .client
            .authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce))
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(address.into())
    }

    async fn claims(
        &self,
        answer: &ProviderAnswer,
        visit: &VisitSecrets,
        now: Timestamp,
    ) -> Result<ProviderClaims, ProviderError> {
        let known = self.known().await?;
        if !self.is_from_here(&known, answer) {
            return Err(ProviderError::Untrusted("it is another provider's".to_owned()));
        }
        let token = self.token(&known, &answer.code, visit).await?;
        let verified = match self.verified(&known, &token, visit, now) {
            // The provider may have changed its keys.
            Err(ClaimsVerificationError::SignatureVerification(error)) if is_of_key(&error) => {
                match self.asked_after(known.asked_us).await {
                    Ok(renewed) => self.verified(&renewed, &token, visit, now),
                    Err(_) => Err(ClaimsVerificationError::SignatureVerification(error)),
                }
            }
            verified => verified,
        };
        verified.map(|claims| self.told(&claims)).map_err(|error| ProviderError::Untrusted(wrong_in(&error).to_owned()))
    }
}

/// Whether another key could make the signature valid.
fn is_of_key(error: &SignatureVerificationError) -> bool {
    use SignatureVerificationError::{AmbiguousKeyId, CryptoError, NoMatchingKey};
    matches!(error, AmbiguousKeyId(_) | CryptoError(_) | NoMatchingKey)
}

/// What is wrong with a token. The library's own message would hold values of it.
fn wrong_in(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "its token has expired, or is of the future",
        ClaimsVerificationError::InvalidAudience(_) => "its token is for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "its token is another issuer's",
        ClaimsVerificationError::InvalidNonce(_) => "its token is of another sign-in",
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            "its token is signed with a key that is not the provider's"
        }
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::DisallowedAlg(_)) => {
            "its token is not signed, or in a way that does not count"
        }
        ClaimsVerificationError::SignatureVerification(_) => "the signature of its token is wrong",
        _ => "its token is wrong",
    }
}

/// Why the provider gave no token. Shows the error code only if it has a valid form.
fn refused(refusal: &RefusedToken) -> ProviderError {
    let code: String =
        refusal.error().as_ref().chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
    match refusal.error() {
        CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
            ProviderError::Unavailable(format!("it refuses oidc.client_id or oidc.client_secret ({code})"))
        }
        _ => ProviderError::Untrusted(format!("its code is not exchanged ({code})")),
    }
}

/// The texts of a claim: a single one or a list.
fn texts(claim: &Value) -> Vec<String> {
    match claim {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        _ => Vec::new(),
    }
}
