//! Cross-origin requests: which pages may read answers in a browser (Fetch standard, CORS protocol). Credentials are never
//! allowed: keys travel in a header that a page has to set itself.

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("x-api-key, authorization, content-type, idempotency-key, if-match, if-none-match");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Link, ETag, RateLimit, RateLimit-Policy, Retry-After, permitd-copy-as-of, x-dataset-version, x-request-id",
);
const PREFLIGHT_MAX_AGE_S: HeaderValue = HeaderValue::from_static("86400");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// The origins that may read answers.
#[derive(Debug, Clone)]
pub struct Cors {
    any: bool,
    origins: Vec<String>,
}

impl Cors {
    /// `origins` as in the setting `http.cors_allowed_origins`.
    pub fn new(origins: &[String]) -> Self {
        Self { any: origins.iter().any(|origin| origin == "*"), origins: origins.to_vec() }
    }

    /// The answer to a preflight request; `None` for any other request.
    pub(super) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let is_preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ORIGIN)
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        is_preflight.then(|| {
            HttpResponse::NoContent()
                .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS))
                .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S))
                .finish()
        })
    }

    /// The CORS headers of an answer to a page of `origin`, as pairs, so that both answers and problems can take them.
    pub(super) fn headers(&self, origin: Option<&HeaderValue>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let allowed = origin.and_then(|origin| match self.any {
            true => Some(ANY),
            false => self.origins.iter().any(|o| o.as_bytes() == origin.as_bytes()).then(|| origin.clone()),
        });
        let exposed = allowed.is_some().then_some((header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS));
        // Caches must keep the answers to different origins apart, also those to requests without one.
        let vary =
            (!self.any && !self.origins.is_empty()).then_some((header::VARY, HeaderValue::from_static("Origin")));
        allowed.map(|value| (header::ACCESS_CONTROL_ALLOW_ORIGIN, value)).into_iter().chain(exposed).chain(vary)
    }
}

/// Adds `pairs` to `headers`: `Vary` is appended, the others replace existing fields.
pub(super) fn extend(headers: &mut HeaderMap, pairs: impl Iterator<Item = (HeaderName, HeaderValue)>) {
    for (name, value) in pairs {
        if name == header::VARY {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
}
