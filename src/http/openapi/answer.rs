//! The answers of operations: documents with their header fields, and problems.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    caller::Caller,
    schema::{self, closed, integer, list, nullable, reference, text},
};
use crate::http::{ProblemCode, problem};

/// Builds the description of an answer.
#[derive(Debug)]
pub(super) struct AnswerDoc {
    pub(super) status: StatusCode,
    description: &'static str,
    headers: Vec<(HeaderDoc, bool)>,
    content: Vec<(&'static str, Value)>,
}

impl AnswerDoc {
    /// An answer with this status; every one has a request id.
    pub(super) fn new(status: StatusCode, description: &'static str) -> Self {
        Self { status, description, headers: vec![(HeaderDoc::RequestId, true)], content: Vec::new() }
    }

    /// A JSON document.
    pub(super) fn json(status: StatusCode, description: &'static str, schema: Value) -> Self {
        Self::new(status, description).content("application/json", schema)
    }

    /// Adds a form of the answer.
    pub(super) fn content(mut self, media_type: &'static str, schema: Value) -> Self {
        self.content.push((media_type, schema));
        self
    }

    /// Adds a header field that is always present.
    pub(super) fn header(mut self, header: HeaderDoc) -> Self {
        self.headers.push((header, true));
        self
    }

    /// Adds a header field that may be absent.
    pub(super) fn may_have(mut self, header: HeaderDoc) -> Self {
        self.headers.push((header, false));
        self
    }

    pub(super) fn response(&self) -> Value {
        let headers = self.headers.iter().map(|(header, always)| (header.name().to_owned(), header.object(*always)));
        let mut response = json!({ "description": self.description, "headers": headers.collect::<Map<_, _>>() });
        if let (false, Value::Object(fields)) = (self.content.is_empty(), &mut response) {
            let content = self.content.iter().map(|(media, schema)| ((*media).to_owned(), json!({ "schema": schema })));
            fields.insert("content".to_owned(), content.collect::<Map<_, _>>().into());
        }
        response
    }
}

/// The header fields of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderDoc {
    RequestId,
    ETag,
    Link,
    Citation,
    Location,
    RateLimit,
    RateLimitPolicy,
    RetryAfter,
    CacheControl,
    Vary,
    Disposition,
    DataSetVersion,
    Authenticate,
    SetCookie,
}

impl HeaderDoc {
    fn name(self) -> &'static str {
        match self {
            Self::RequestId => "x-request-id",
            Self::ETag => "ETag",
            Self::Link | Self::Citation => "Link",
            Self::Location => "Location",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimit-Policy",
            Self::RetryAfter => "Retry-After",
            Self::CacheControl => "Cache-Control",
            Self::Vary => "Vary",
            Self::Disposition => "Content-Disposition",
            Self::DataSetVersion => "x-dataset-version",
            Self::Authenticate => "WWW-Authenticate",
            Self::SetCookie => "Set-Cookie",
        }
    }

    fn object(self, always: bool) -> Value {
        let described = |description: &str, schema: Value| json!({ "description": description, "required": always, "schema": schema });
        match self {
            Self::RequestId => described(
                "The request's name: the client's own, where it sent a sane one. Log lines and events carry it.",
                text(),
            ),
            Self::ETag => described("What If-None-Match or If-Match takes.", text()),
            Self::Link => described("Where the next page is, as `<…>; rel=\"next\"` (RFC 8288).", text()),
            Self::Citation => described(
                "Where the next page is, as `<…>; rel=\"next\"` (RFC 8288); and the address by which the answer can be cited, as `<…>; \
                 rel=\"cite-as\"` (RFC 8574): the same question `as_of` the version that was answered.",
                text(),
            ),
            Self::Location => described("Where what was made is.", schema::address()),
            Self::RateLimit => described(
                "What is left of the plan's limits: `\"burst\";r=7;t=1, \"daily\";r=412;t=30211`, where `r` are requests and `t` \
                 the seconds until more come.",
                text(),
            ),
            Self::RateLimitPolicy => described(
                "The plan's limits: `\"burst\";q=10;w=2, \"daily\";q=1000;w=86400`, where `q` are requests and `w` seconds.",
                text(),
            ),
            Self::RetryAfter => described("Seconds after which to try again.", integer(0, None)),
            Self::CacheControl => described("Who may keep the answer.", text()),
            Self::Vary => described("The header fields of the request that the answer depends on.", text()),
            Self::Disposition => described("The name of an export's file.", text()),
            Self::DataSetVersion => described("The version that an export is of.", integer(0, None)),
            Self::SetCookie => {
                described("The session's cookie: `HttpOnly`, `SameSite=Lax`, behind TLS `Secure`.", text())
            }
            Self::Authenticate => described("What to send instead.", text()),
        }
    }
}

/// The problems that an operation answers with.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<ProblemCode>);

impl Problems {
    pub(super) fn and(mut self, codes: &[ProblemCode]) -> Self {
        for code in codes {
            if !self.0.contains(code) {
                self.0.push(*code);
            }
        }
        self
    }

    /// One answer for each status, with the name that all operations with the same problems share.
    pub(super) fn responses(&self, caller: Caller, explained_below: &str) -> Vec<(StatusCode, String, Value)> {
        let mut responses: Vec<(StatusCode, String, Value)> = Vec::new();
        for code in ProblemCode::ALL.iter().filter(|code| self.0.contains(code)) {
            if responses.iter().any(|(status, ..)| *status == code.status()) {
                continue;
            }
            let alike = ProblemCode::ALL.iter().filter(|other| other.status() == code.status());
            let alike: Vec<ProblemCode> = alike.copied().filter(|other| self.0.contains(other)).collect();
            let name = alike.iter().map(|code| code.slug()).collect::<Vec<_>>().join(".");
            let counted = counted(code.status(), caller);
            let name = if counted.is_some() { format!("{name}.counted") } else { name };
            responses.push((code.status(), name, response(&alike, counted, explained_below)));
        }
        responses
    }
}

/// Whether the answer has the caller's limits: always (`true`), or only if they were checked (`false`).
fn counted(status: StatusCode, caller: Caller) -> Option<bool> {
    match (caller, status.as_u16()) {
        (Caller::Reader, 404 | 410) => Some(true),
        // The connection's refusals and wrong keys are answered before the limits are checked.
        (Caller::Reader | Caller::Welcome, 400 | 429 | 500 | 503) => Some(false),
        _ => None,
    }
}

/// The answer for these problems, which share one status.
fn response(codes: &[ProblemCode], counted: Option<bool>, explained_below: &str) -> Value {
    let explain =
        |code: &ProblemCode| format!("[{}]({}). {}", code.title(), code.address(explained_below), code.explanation());
    let explained: Vec<String> = codes.iter().map(explain).collect();
    let mut headers = vec![(HeaderDoc::RequestId, true), (HeaderDoc::CacheControl, true)];
    if let Some(always) = counted {
        headers.extend([(HeaderDoc::RateLimit, always), (HeaderDoc::RateLimitPolicy, always)]);
    }
    for code in codes {
        let header = match code {
            ProblemCode::InvalidKey
            | ProblemCode::InvalidToken
            | ProblemCode::MissingPermission
            | ProblemCode::SignInRequired
            | ProblemCode::InvalidCredentials
            | ProblemCode::CodeRequired => HeaderDoc::Authenticate,
            ProblemCode::QuotaExceeded
            | ProblemCode::OwnShare
            | ProblemCode::InvitationLimit
            | ProblemCode::TooManyAttempts
            | ProblemCode::TooManyFromAddress
            | ProblemCode::Overloaded
            | ProblemCode::Unavailable => HeaderDoc::RetryAfter,
            _ => continue,
        };
        headers.push((header, true));
    }
    let headers: Map<String, Value> =
        headers.into_iter().map(|(header, always)| (header.name().to_owned(), header.object(always))).collect();
    let media_type = problem::MEDIA_TYPE.to_str().unwrap_or_default().to_owned();
    let schema = reference("Problem");
    json!({
        "description": explained.join("\n\n"),
        "headers": headers,
        "content": { media_type: { "schema": schema } },
    })
}

/// The schemas of problems.
pub(super) fn schemas(explained_below: &str) -> Vec<(&'static str, Value)> {
    let types = ProblemCode::ALL
        .iter()
        .map(|code| (code.address(explained_below), code.slug().replace('-', "_").to_uppercase()));
    let of_catalogue = schema::described(
        schema::one_named(&types.collect::<Vec<_>>()),
        "The kind of problem; also the address of the page that explains it.",
    );
    let problem = json!({
        "type": "object",
        "description": "Why a request failed (RFC 9457). The members beside the first five belong to some kinds of problems.",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": of_catalogue,
            "title": { "type": "string", "description": "The same for every problem of the kind." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What is wrong with this request, and what to do." },
            "instance": { "type": "string", "description": "The request's id." },
            "invalid_params": list(reference("InvalidParam")),
            "violated-policies": list(schema::one_of(&["burst", "daily"])),
            "current_version": integer(0, None),
            "known_plans": list(text()),
            "existing": {
                "type": "string",
                "description": "What is in the way: a path below the address of the server, as in this description.",
            },
        },
    });
    let param = closed(
        "A parameter, or a field of a body, that is wrong.",
        &["name", "reason"],
        [
            ("name", text()),
            ("reason", json!({ "type": "string", "description": "What is wrong with it and what to write instead." })),
            ("did_you_mean", json!({ "type": "string", "description": "The name or value that was probably meant." })),
            (
                "position",
                json!({
                    "type": "integer", "minimum": 1,
                    "description": "The character of the value that it is about, counted from 1.",
                }),
            ),
        ],
    );
    vec![("InvalidParam", param), ("Problem", problem)]
}

/// The schema of the next page's address: a reference relative to the server, or null.
pub(super) fn next_page() -> Value {
    nullable(json!({ "type": "string", "format": "uri-reference", "description": "Where the next page is." }))
}
