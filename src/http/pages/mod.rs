//! The pages for people. They load nothing from elsewhere, and their policy says so. Each is made by the server from what the handlers
//! of the API answer, works without JavaScript, and does what a form says by the API's own commands.

mod about;
mod admin;
mod assets;
mod chart;
mod counters;
mod docs;
mod events_told;
mod explore;
mod files;
mod flash;
mod form;
mod front;
mod handed;
mod home;
mod language;
pub(super) mod links;
mod look;
mod messages;
mod packed;
pub(in crate::http) mod problem;
mod route;
mod sign_in;
mod templates;
mod token_visit;
mod visit;
mod wording;

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

pub use self::{explore::DataPages, look::Look};
pub(super) use self::{
    form::Form,
    sign_in::{not_let_in, provider_code},
};
use super::method;

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// Adds the pages.
pub fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/", front::show))
        .service(method::readable("/-/{folder}/{file}", assets::show))
        .service(method::readable("/problems", problem::list))
        .service(method::readable("/problems/{code}", problem::show))
        .service(method::readable("/admin/counters", counters::show))
        .service(method::readable("/docs", docs::page))
        .service(method::readable("/docs/{folder}/{file}", docs::asset))
        .configure(sign_in::configure)
        .configure(admin::configure)
        .configure(home::configure);
}

/// The head of a file that is part of the program. It changes with the program, so a browser asks again each time.
fn file(media_type: &'static str, policy: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(media_type)))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)))
        .insert_header((REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .finish()
}
