//! Addresses that a client can use as they stand: those below `public_url`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};

use super::{Problem, ProblemCode, passage::Passage, state::Service};

/// What paths of the administration and the pages begin with.
const FIXED: [&str; 21] = [
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

/// The base of addresses, as the request's server knows it.
pub(super) fn base(request: &HttpRequest) -> &str {
    request.app_data::<web::Data<Service>>().map_or("", |service| service.public_url.as_str())
}

/// The path of the base, without a slash at its end: what a proxy may have taken off the paths of requests.
pub(super) fn prefix(public_url: &str) -> &str {
    let after_scheme = public_url.find("://").map_or(0, |at| at + 3);
    let path = public_url.get(after_scheme..).and_then(|rest| rest.find('/')).map(|at| after_scheme + at);
    path.and_then(|at| public_url.get(at..)).unwrap_or_default().trim_end_matches('/')
}

/// Leads from a path that ends in a slash to the one without (308, which keeps method and body), with its query. Where no
/// `public_url` is set it is understood from the request's own: the address that the server listens at may be nobody else's.
pub(super) fn without_slash(request: &HttpRequest) -> HttpResponse {
    let public_url = Passage::explains_below(request);
    let (path, query) = (request.uri().path().trim_end_matches('/'), request.uri().query());
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    match HeaderValue::try_from(format!("{public_url}{path}{query}")) {
        Ok(location) => HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish(),
        Err(error) => Problem::internal(error).respond(request),
    }
}

/// Nothing is at this path, nor at the one without a slash at its end.
pub(super) fn unknown(request: &HttpRequest) -> HttpResponse {
    let detail = match request.path().contains("//") {
        true => "there is nothing at this path: two slashes stand in a row in it",
        false => "there is nothing at this path",
    };
    Problem::new(ProblemCode::UnknownPath, detail).respond(request)
}

/// What no route took: a path that is known but for a slash at its end, or nothing.
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
