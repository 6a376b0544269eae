//! Resources with a list of methods: any other method gets 405 with `Allow` (RFC 9110, section 15.5.6).

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard,
    http::{Method, header},
    web,
};

use super::{Problem, ProblemCode};

/// A resource that can only be read: `GET` and `HEAD` go to `handler`.
pub fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path, "GET, HEAD").route(read().to(handler))
}

/// A resource with the methods that `allow` lists (`"GET, HEAD, POST"`); the caller adds a route for each.
pub fn resource(path: &str, allow: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move { other(&request, allow) }))
}

/// The answer to a method without a route: 405, or 204 to an `OPTIONS` that `allow` lists.
pub fn other(request: &HttpRequest, allow: &'static str) -> HttpResponse {
    // The edge has answered preflights already; this `OPTIONS` asks for the methods (RFC 9110, section 9.3.7).
    if request.method() == Method::OPTIONS && allow.contains(Method::OPTIONS.as_str()) {
        return HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish();
    }
    let detail = format!("this resource has no method {}; it has {allow}", request.method());
    Problem::new(ProblemCode::MethodNotAllowed, detail)
        .header(header::ALLOW, header::HeaderValue::from_static(allow))
        .respond(request)
}

/// A route for `GET` and `HEAD`; the server itself leaves out the body of an answer to `HEAD`.
pub fn read() -> Route {
    let is_read = guard::Any(guard::Method(Method::GET)).or(guard::Method(Method::HEAD));
    web::route().guard(is_read)
}
