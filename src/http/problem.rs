//! Problem documents (RFC 9457): the answers to failed requests.
//!
//! A handler returns `Err(Problem)`; the edge adds the request's id as `instance` and logs the cause of the server's faults.
//! A handler on the hot path may answer with [`Problem::respond`] itself, which renders only once.

mod catalogue;

use std::{borrow::Cow, collections::HashSet, fmt, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use serde_json::Value;

pub use catalogue::ProblemCode;

use super::{masking, passage::Passage, request_id::RequestId, wants::wants_html};
use crate::dataset::json;
pub use crate::dataset::query::InvalidParam;

/// The media type of problem documents.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Bytes of a document without its detail.
const DOCUMENT_BYTES: usize = 192;

/// The charge of a failed request that passed the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Charged like a success: the work was done.
    Whole,
    /// Charged to the rate and given back to the quota: the fault is the server's.
    Rate,
    /// Not charged: the request was refused before any work was done.
    Nothing,
}

/// Why a request failed, as told to its sender.
#[derive(Clone)]
pub struct Problem(Box<ProblemParts>);

/// Boxed, so that a `Result` with a problem stays small.
#[derive(Clone)]
struct ProblemParts {
    code: ProblemCode,
    detail: Cow<'static, str>,
    members: Vec<(&'static str, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    instance: Option<RequestId>,
    explained_below: Option<Arc<str>>,
    cause: Option<String>,
    charge: Option<Charge>,
    is_no_guess: bool,
}

impl Problem {
    /// A problem of a known kind; `detail` says what is wrong with this request and what to do.
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(ProblemParts {
            code,
            detail: detail.into(),
            members: Vec::new(),
            headers: Vec::new(),
            instance: None,
            explained_below: None,
            cause: None,
            charge: None,
            is_no_guess: false,
        }))
    }

    /// A fault of the server. The cause is logged with the request's id and never sent.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let detail = "something went wrong here, not in the request; it may work again, and the operator can find the cause \
                      under the request's id";
        Self::new(ProblemCode::Internal, detail).because(cause)
    }

    /// Sets the cause for the log; the client never sees it.
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// A refusal because of wrong parameters, all of them named.
    pub fn invalid_params(params: &[InvalidParam]) -> Self {
        // One parameter may be wrong in several places.
        let mut seen = HashSet::new();
        let names: Vec<&str> =
            params.iter().map(|param| param.name.as_str()).filter(|name| seen.insert(*name)).collect();
        let detail = match names.as_slice() {
            // The query as a whole is wrong, or a value without a name is.
            [""] => params.first().map(|param| format!("the query is wrong: {}", param.reason)).unwrap_or_default(),
            names => {
                let shown: Vec<&str> =
                    names.iter().map(|name| if name.is_empty() { "(no name)" } else { name }).collect();
                format!("these parameters are wrong: {}", shown.join(", "))
            }
        };
        let listed = params.iter().map(|param| serde_json::json!(param)).collect();
        Self::new(ProblemCode::InvalidParameters, detail).member("invalid_params", Value::Array(listed))
    }

    /// The parameters that a refusal because of wrong parameters names.
    pub(in crate::http) fn wrong_params(&self) -> Vec<InvalidParam> {
        let listed = self.0.members.iter().find(|(name, _)| *name == "invalid_params").map(|(_, listed)| listed);
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        let text = |param: &Value, name: &str| param.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        listed.map(|param| InvalidParam::new(&text(param, "name"), text(param, "reason"), None)).collect()
    }

    /// The same with another detail.
    #[must_use]
    pub fn detailed(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The same with an extension member.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: Value) -> Self {
        self.0.members.push((name, value));
        self
    }

    /// The same with a header field.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The same with `Retry-After` in whole seconds.
    #[must_use]
    pub fn retry_after(self, delay_s: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(delay_s))
    }

    /// The same with a charge other than the usual one of its status.
    #[must_use]
    pub fn charged(mut self, charge: Charge) -> Self {
        self.0.charge = Some(charge);
        self
    }

    /// The charge of the request: the one set, else [`Charge::Rate`] for faults of the server and [`Charge::Whole`] for others.
    pub fn charge(&self) -> Charge {
        let usual = if self.0.code.status().is_server_error() { Charge::Rate } else { Charge::Whole };
        self.0.charge.unwrap_or(usual)
    }

    /// The same for a request whose key was right once: its sender does not guess.
    #[must_use]
    pub fn no_guess(mut self) -> Self {
        self.0.is_no_guess = true;
        self
    }

    /// Whether the request is known to be no guess.
    pub fn is_no_guess(&self) -> bool {
        self.0.is_no_guess
    }

    /// The same with the request's id and the address below which the server explains problems.
    #[must_use]
    pub(super) fn instance(mut self, id: RequestId, explained_below: Arc<str>) -> Self {
        self.0.instance = Some(id);
        self.0.explained_below = Some(explained_below);
        self
    }

    /// The kind of problem.
    pub fn code(&self) -> ProblemCode {
        self.0.code
    }

    /// The additional header fields of the answer.
    pub(in crate::http) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// Adds the problem's header fields to those of an answer.
    pub(in crate::http) fn headers_into(&self, fields: &mut HeaderMap) {
        for (name, value) in &self.0.headers {
            fields.append(name.clone(), value.clone());
        }
    }

    /// After how many seconds the request can be sent again, if known.
    pub(in crate::http) fn retry_after_s(&self) -> Option<u64> {
        let (_, value) = self.0.headers.iter().find(|(name, _)| *name == header::RETRY_AFTER)?;
        value.to_str().ok()?.parse().ok()
    }

    /// What is wrong with this request and what to do.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Logs the cause, if there is one, under the request's id.
    pub(in crate::http) fn log(&self, id: &dyn fmt::Display) {
        if let Some(cause) = &self.0.cause {
            tracing::error!(request_id = %id, cause, "a request failed by the server's fault");
        }
    }

    /// Logs the cause under the id of `request`.
    pub(in crate::http) fn log_of(&self, request: &HttpRequest) {
        match RequestId::of(request) {
            Some(id) => self.log(&id),
            None => self.log(&"none"),
        }
    }

    /// The answer to `request`.
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        self.log_of(request);
        let id = RequestId::of(request);
        let mut response = self.render(id.as_ref(), &Passage::explains_below(request));
        // The edge sends browsers a page instead: see [`super::edge`].
        if wants_html(request.headers()) {
            response.extensions_mut().insert(self.clone());
        }
        response
    }

    fn render(&self, instance: Option<&RequestId>, explained_below: &str) -> HttpResponse {
        let document = self.document(instance, explained_below);
        let mut response = HttpResponse::with_body(self.0.code.status(), BoxBody::new(document));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in &self.0.headers {
            headers.append(name.clone(), value.clone());
        }
        response
    }

    /// The document, written member by member: refusing a flood of requests must cost less than answering them.
    pub(in crate::http) fn document(&self, instance: Option<&RequestId>, explained_below: &str) -> Vec<u8> {
        let (code, detail) = (self.0.code, self.0.detail.as_ref());
        let mut text = Vec::with_capacity(DOCUMENT_BYTES + explained_below.len() + detail.len());
        text.extend_from_slice(b"{\"type\":");
        if explained_below.is_empty() {
            json::write_string(code.path(), &mut text);
        } else {
            json::write_string(&code.address(explained_below), &mut text);
        }
        text.extend_from_slice(b",\"title\":");
        json::write_string(code.title(), &mut text);
        text.extend_from_slice(b",\"status\":");
        text.extend_from_slice(code.status().as_str().as_bytes());
        text.extend_from_slice(b",\"detail\":");
        json::write_string(detail, &mut text);
        if let Some(instance) = instance {
            text.extend_from_slice(b",\"instance\":");
            json::write_string(instance.as_str(), &mut text);
        }
        for (name, value) in &self.0.members {
            text.push(b',');
            json::write_string(name, &mut text);
            text.push(b':');
            text.extend_from_slice(value.to_string().as_bytes());
        }
        text.push(b'}');
        // The text may repeat what the client sent, and clients keep problems in their logs.
        masking::without_keys(text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.slug(), self.0.detail)
    }
}

/// As [`fmt::Display`], without the members: they may repeat what a client sent.
impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.render(self.0.instance.as_ref(), self.0.explained_below.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;

    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_its_own() {
        let unknown = InvalidParam::new("statsu", "unknown", Some("status"));
        let [first, other] = ["one", "other"].map(|reason| InvalidParam::new("filter", reason, None));
        let response = Problem::invalid_params(&[first, unknown, other]).retry_after(7).error_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
        assert_eq!(response.headers().get("retry-after").unwrap(), "7");
        let body = response.into_body().try_into_bytes().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "type": "/problems/invalid-parameters",
            "title": "A parameter is wrong",
            "status": 400,
            "detail": "these parameters are wrong: filter, statsu",
            "invalid_params": [
                {"name": "filter", "reason": "one"},
                {"name": "statsu", "reason": "unknown", "did_you_mean": "status"},
                {"name": "filter", "reason": "other"},
            ],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn the_cause_of_an_internal_problem_stays_here() {
        let problem = Problem::internal("disk 7 is on fire");
        assert_eq!(problem.0.cause.as_deref(), Some("disk 7 is on fire"));
        let body = problem.error_response().into_body().try_into_bytes().unwrap();
        assert!(!String::from_utf8(body.to_vec()).unwrap().contains("fire"));
    }
}
