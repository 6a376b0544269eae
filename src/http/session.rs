//! Who is asking: what a caller may do is part of a handler's arguments.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap, HeaderValue},
    web,
};

use super::{Problem, ProblemCode, RequestId, state::Service, wire};
use crate::{
    actors::commit::Envelope,
    domain::{
        event::Origin,
        id::{CommandId, Who, hex},
        key::AdminToken,
    },
};

/// Longest `Idempotency-Key`, bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// An administrator, as their token shows: `Authorization: Bearer pmt_admin_…`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Who, for the log: the token's id.
    pub who: Who,
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let service = request.app_data::<web::Data<Service>>();
            let service = service.ok_or_else(|| Problem::internal("the service is not configured"))?;
            if !request.headers().contains_key(header::AUTHORIZATION) {
                return Err(unauthorized());
            }
            let id = match bearer(request.headers()).filter(|token| may_be_token(service, token)) {
                // Only the store knows whether it still works.
                Some(token) => {
                    let tokens = &service.committer.stores.admin_tokens;
                    tokens.find(&AdminToken::stored_hash(token)).await.map_err(super::routes::store_problem)?
                }
                None => None,
            };
            let wrong = || wire::guessed(&request, unauthorized());
            id.map(|id| Self { who: Who(format!("admin:{id}")) }).ok_or_else(wrong)
        })
    }
}

/// Whether the store is to be asked of a token: one that was derived here, or one of the older form that was there when the
/// node started. Whatever else is sent costs no look-up.
fn may_be_token(service: &Service, token: &str) -> bool {
    let is_derived = || service.committer.secrets.recognises_admin_token(token);
    // Whose secret is not the deployment's any more cannot tell a wrong one.
    is_derived()
        || service.committer.secrets.doubted().is_some()
        || service.old_tokens.contains(&AdminToken::stored_hash(token))
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized() -> Problem {
    Problem::new(ProblemCode::InvalidToken, "send the administrator's token as Authorization: Bearer pmt_admin_…")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"permitd\""))
}

/// What a writing request says beside its body: its idempotency key and the version that it expects.
#[derive(Debug, Clone)]
pub struct Conditions {
    idempotency_key: Option<String>,
    expected_version: Option<u64>,
    request_id: Option<RequestId>,
}

impl FromRequest for Conditions {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::read(request))
    }
}

impl Conditions {
    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let idempotency_key = text(request.headers(), "idempotency-key")?
            // The draft has a quoted string; many clients send it bare.
            .map(|key| key.trim().trim_matches('"').to_owned());
        if idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
            let detail = format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters");
            return Err(Problem::new(ProblemCode::InvalidRequest, detail));
        }
        let expected_version = match text(request.headers(), "if-match")?.map(str::trim) {
            None | Some("*") => None,
            Some(etag) => Some(etag.trim_matches('"').parse().map_err(|_| {
                let detail = "If-Match must be the version of an earlier answer, such as \"3\", or *";
                Problem::new(ProblemCode::InvalidRequest, detail)
            })?),
        };
        Ok(Self { idempotency_key, expected_version, request_id: RequestId::of(request) })
    }

    /// The envelope of the command that `who` gives with this request; `body` are the bytes that were sent.
    ///
    /// # Errors
    /// When no identifier can be made.
    pub fn envelope(
        &self,
        service: &Service,
        who: &Who,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<Envelope, Problem> {
        use sha2::{Digest, Sha256};
        let (command, request_hash) = match &self.idempotency_key {
            Some(key) => {
                let mut hash = Sha256::new()
                    .chain_update(request.method().as_str())
                    .chain_update([0])
                    .chain_update(request.path())
                    .chain_update([0])
                    .chain_update(body);
                // Under another condition it is another request: the answer of one does not hold for the other. No body has
                // a zero byte, so that none looks like a condition.
                if let Some(version) = self.expected_version {
                    hash.update([0]);
                    hash.update(version.to_string());
                }
                (CommandId::from_idempotency_key(who, key), Some(hex(&hash.finalize())))
            }
            None => (CommandId::unique(service.committer.new_id().map_err(Problem::internal)?), None),
        };
        let correlation_id = self.correlation_id(service)?;
        let origin = Origin { who: who.clone(), correlation_id, causation_id: None };
        Ok(Envelope { command, request_hash, expected_version: self.expected_version, origin })
    }

    /// What the events of this request are found by. A client may send anything as its request id, an address among others, and
    /// events are never changed: only a UUID is taken over. Another one is told in the log line that names both, which is not
    /// kept for ever.
    pub(super) fn correlation_id(&self, service: &Service) -> Result<String, Problem> {
        if let Some(id) = self.request_id.as_ref().and_then(RequestId::as_uuid) {
            return Ok(id.to_string());
        }
        let made = service.committer.new_id().map_err(Problem::internal)?.to_string();
        tracing::info!(correlation_id = made, "the events of this request bear an id of their own");
        Ok(made)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let detail = format!("the header {name} must be visible ASCII");
    value.to_str().map(Some).map_err(|_| Problem::new(ProblemCode::InvalidRequest, detail))
}
