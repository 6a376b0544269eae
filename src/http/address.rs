//! Addresses below `public_url`, which clients can use as they are, and the answers to paths without a route.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};

use super::{Problem, ProblemCode, passage::Passage, state::Service};

/// The first segments of paths of the administration and the pages.
const FIXED: [&str; 22] = [
    "users",
    "plans",
    "keys",
    "events",
    "imports",
    "invitations",
    "leaks",
    "mail",
    "datasets",
    "dead-letters",
    "checkpoints",
    "admin",
    "docs",
    "home",
    "problems",
    "openapi.json",
    "openapi-admin.json",
    "links",
    "me",
    "password-resets",
    "sessions",
    "sign-in",
];

/// The server's `public_url`, the base of addresses.
pub(super) fn base(request: &HttpRequest) -> &str {
    request.app_data::<web::Data<Service>>().map_or("", |service| service.public_url.as_str())
}

/// The path of `public_url`, without a slash at its end. A proxy may remove it from the paths of requests.
pub(super) fn prefix(public_url: &str) -> &str {
    let after_scheme = public_url.find("://").map_or(0, |at| at + 3);
    let path = public_url.get(after_scheme..).and_then(|rest| rest.find('/')).map(|at| after_scheme + at);
    path.and_then(|at| public_url.get(at..)).unwrap_or_default().trim_end_matches('/')
}

/// Redirects a path that ends in a slash to the path without it, with its query (308 keeps method and body). Without a configured
/// `public_url` the location is relative to the request's own address: other machines may not reach the address listened at.
pub(super) fn without_slash(request: &HttpRequest) -> HttpResponse {
    let public_url = Passage::explains_below(request);
    let (path, query) = (request.uri().path().trim_end_matches('/'), request.uri().query());
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    match HeaderValue::try_from(format!("{public_url}{path}{query}")) {
        Ok(location) => HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish(),
        Err(error) => Problem::internal(error).respond(request),
    }
}

/// Answers a path that has no route, with or without a slash at its end.
pub(super) fn unknown(request: &HttpRequest) -> HttpResponse {
    let detail = match request.path().contains("//") {
        true => "there is nothing at this path: two slashes stand in a row in it",
        false => "there is nothing at this path",
    };
    Problem::new(ProblemCode::UnknownPath, detail).respond(request)
}

/// Answers what no route took: redirects a known path that ends in a slash, and refuses any other.
pub(super) async fn nowhere(request: HttpRequest) -> HttpResponse {
    let path = request.path();
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let is_known = path.strip_suffix('/').is_some_and(|bare| !bare.ends_with('/')) && FIXED.contains(&first);
    match is_known {
        true => without_slash(&request),
        false => unknown(&request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_the_path_of_the_base() {
        for (url, expected) in [
            ("https://x.example/api/v1", "/api/v1"),
            ("https://x.example", ""),
            ("http://127.0.0.1:8080", ""),
            ("https://[::1]:8/p", "/p"),
            ("", ""),
        ] {
            assert_eq!(prefix(url), expected, "{url}");
        }
    }
}
