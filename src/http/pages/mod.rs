//! The pages for people. They load nothing from elsewhere, and their policy says so.

mod admin;
mod docs;
mod home;

use actix_web::{
    HttpResponse,
    body::MessageBody,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

pub(super) use self::home::{escaped, wants_html};
use super::method;

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// Adds the pages.
pub fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/", home::show))
        .service(method::readable("/admin", admin::page))
        .service(method::readable("/admin/app.js", admin::script))
        .service(method::readable("/admin/app.css", admin::style))
        .service(method::readable("/admin/counters", admin::counters))
        .service(method::readable("/docs", docs::page))
        .service(method::readable("/docs/{folder}/{file}", docs::asset));
}

/// A file that is part of the program. It changes with the program, so a browser asks again each time.
fn file(media_type: &'static str, policy: &'static str, text: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(media_type)))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)))
        .insert_header((REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .body(text)
}
