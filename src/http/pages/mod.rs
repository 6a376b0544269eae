//! The pages for people. They load nothing from elsewhere, and their policy says so. The server makes them from the answers of the API's
//! handlers; they work without JavaScript, and their forms give the API's own commands.

mod about;
mod admin;
mod again;
mod assets;
mod content;
mod counters;
mod docs;
mod events_told;
mod explore;
mod files;
mod flash;
pub(in crate::http) mod form;
mod front;
mod handed;
mod home;
mod language;
pub(super) mod links;
pub(in crate::http) mod look;
mod messages;
mod packed;
mod packed_file;
pub(in crate::http) mod problem;
mod route;
pub(in crate::http) mod sign_in;
mod templates;
mod token_visit;
mod usage_chart;
mod visit;
mod wording;

use actix_web::web;

pub use self::{explore::DataPages, look::Look};
use super::method;

/// Adds the pages.
pub fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/", front::show))
        .service(method::readable("/-/{folder}/{file}", assets::show))
        .service(method::readable("/problems", problem::list))
        .service(method::readable("/problems/{code}", problem::show))
        .service(method::readable("/admin/counters", counters::show))
        .service(method::readable("/openapi.json", docs::document::for_consumers))
        .service(method::readable("/openapi-admin.json", docs::document::for_administrators))
        .service(method::readable("/docs", docs::guide))
        .service(method::readable("/docs/definitions", docs::definitions))
        .service(method::readable("/docs/reference", docs::reference::for_consumers))
        .service(method::readable("/docs/admin", docs::reference::for_administrators))
        .service(method::readable("/docs/reference/{operation}", docs::reference::of_consumers))
        .service(method::readable("/docs/admin/{operation}", docs::reference::of_administrators))
        .configure(sign_in::configure)
        .configure(admin::configure)
        .configure(home::configure);
}
