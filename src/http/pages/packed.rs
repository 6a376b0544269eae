//! Files of the program and pages, compressed for browsers.

use super::packed_file::with_body;

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    http::header::{self, HeaderValue},
    web,
};

use crate::http::{
    Problem,
    coding::{self, Coding},
    cookie::Cookie,
    state::Service,
};

/// The request headers that a page's answer depends on.
const VARY_OF_PAGE: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding, Accept-Language, Cookie");

/// A page in the coding that the browser prefers. A page that may show a secret stays uncompressed: its compressed length tells something
/// of its content to those who see the length and choose a part of the address.
///
/// # Errors
/// A fault of ours: when it cannot be compressed.
pub(super) async fn page(request: &HttpRequest, response: HttpResponse) -> Result<HttpResponse, Problem> {
    let is_page = response.extensions().get::<Problem>().is_none()
        && response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page || !request.method().is_safe() || may_show_secret(request) {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let bytes = body.try_into_bytes().map_err(|_| Problem::internal("a page is no document"))?;
    let (bytes, coding) = coding::encoded(bytes, Coding::accepted(request)).await?;
    Ok(with_body(head.set_body(BoxBody::new(())), bytes, coding, VARY_OF_PAGE))
}

/// Whether this browser's pages show a secret until its owner confirms having it.
fn may_show_secret(request: &HttpRequest) -> bool {
    let Some(service) = request.app_data::<web::Data<Service>>() else { return true };
    Cookie::HANDED.read(request.headers(), &service.public_url).is_some()
}
