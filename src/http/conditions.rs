//! The conditions of a command: the idempotency key and the expected version in its request.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::HeaderMap};

use super::{Problem, ProblemCode, RequestId, state::Service};
use crate::{
    actors::commit::Envelope,
    domain::{
        event::Origin,
        id::{CommandId, Who, hex},
    },
};

/// Longest `Idempotency-Key`, bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// The idempotency key and the expected version of a writing request.
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
    /// The conditions of a form: its id, so that a form sent twice acts once, and the version that it shows.
    pub(super) fn of_form(request: &HttpRequest, once: Option<String>, expected_version: Option<u64>) -> Self {
        Self { idempotency_key: once, expected_version, request_id: RequestId::of(request) }
    }

    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let idempotency_key = text(request.headers(), "idempotency-key")?
            // The draft defines a quoted string; many clients send the key without quotes.
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

    /// The id of `who`'s command in this request; none without an idempotency key.
    pub fn command(&self, who: &Who) -> Option<CommandId> {
        self.idempotency_key.as_ref().map(|key| CommandId::from_idempotency_key(who, key))
    }

    /// Refuses an expected version for a resource that has no version.
    ///
    /// # Errors
    /// 400 with the reason.
    pub fn without_version(&self, reason: &'static str) -> Result<(), Problem> {
        match self.expected_version {
            None => Ok(()),
            Some(_) => Err(Problem::new(ProblemCode::InvalidRequest, format!("leave If-Match out: {reason}"))),
        }
    }

    /// The envelope of `who`'s command in this request; `body` is the body as it was sent.
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
        let (command, request_hash) = match self.command(who) {
            Some(command) => {
                let mut hash = Sha256::new()
                    .chain_update(request.method().as_str())
                    .chain_update([0])
                    .chain_update(request.path())
                    .chain_update([0])
                    .chain_update(body);
                // The hash includes the expected version: under another one the request must not repeat the answer. A body has no zero
                // byte, so none looks like a version.
                if let Some(version) = self.expected_version {
                    hash.update([0]);
                    hash.update(version.to_string());
                }
                (command, Some(hex(&hash.finalize())))
            }
            None => (CommandId::unique(service.committer.new_id().map_err(Problem::internal)?), None),
        };
        let correlation_id = self.correlation_id(service)?;
        let origin = Origin { who: who.clone(), correlation_id, causation_id: None };
        Ok(Envelope { request_hash, expected_version: self.expected_version, ..Envelope::new(command, origin) })
    }

    /// The correlation id of this request's events: the request id if it is a UUID, else a new id. A client may send anything as its
    /// request id, such as a mail address, and events never change. A log line, which is not kept for ever, names both ids.
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
