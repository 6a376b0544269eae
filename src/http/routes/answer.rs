//! The administrator's answers: JSON that no cache keeps, tagged with the version that `If-Match` takes.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;
use serde_json::json;

use super::params;
use crate::http::{Problem, address, wants::wants_html};

/// The result of a handler.
pub(in crate::http) type Answer = Result<HttpResponse, Problem>;

fn begin(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    // Answers hold personal data and, once, keys.
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    response
}

/// Turns a problem into a page if the client is a browser.
pub(super) fn for_browser(answer: Answer, request: &HttpRequest) -> Answer {
    answer.or_else(|problem| if wants_html(request.headers()) { Ok(problem.respond(request)) } else { Err(problem) })
}

/// A document without a version.
pub(in crate::http) fn document(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    begin(status).json(body)
}

/// A document of a stream at a version.
pub(super) fn versioned(status: StatusCode, version: u64, body: &impl Serialize) -> HttpResponse {
    begin(status).insert_header((header::ETAG, etag(version))).json(body)
}

/// A document of a new stream.
pub(super) fn created(location: &str, version: u64, body: &impl Serialize) -> HttpResponse {
    begin(StatusCode::CREATED)
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, etag(version)))
        .json(body)
}

/// The answer to work that has only begun, with the address of its progress.
pub(super) fn accepted(location: &str, body: &impl Serialize) -> HttpResponse {
    begin(StatusCode::ACCEPTED).insert_header((header::LOCATION, location)).json(body)
}

fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// A whole list.
pub(super) fn list(items: &impl Serialize) -> HttpResponse {
    document(StatusCode::OK, &json!({ "data": items }))
}

/// A page of a list. The next page begins after `last`, if there may be one.
pub(super) fn page(request: &HttpRequest, items: &impl Serialize, limit: usize, last: Option<String>) -> HttpResponse {
    let next = last.map(|last| params::next_target(request.path(), request.query_string(), &last));
    let mut response = begin(StatusCode::OK);
    if let Some(next) = &next {
        response.insert_header((header::LINK, format!("<{}{next}>; rel=\"next\"", address::base(request))));
    }
    response.json(json!({ "data": items, "page": { "limit": limit, "next": next } }))
}
