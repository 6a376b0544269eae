//! The administrator's page. It is the same for everybody: what it shows, its script reads from the API with the token that
//! the administrator gives it. A sign-in link carries the token behind `#`, which browsers never send.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::json;

use super::file;
use crate::http::{
    Problem,
    routes::{self, Answer},
    session::{Admin, OfServer},
    state::Service,
};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /admin`
pub(super) async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", POLICY, include_str!("admin/index.html"))
}

/// `GET /admin/app.js`
pub(super) async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", POLICY, include_str!("admin/app.js"))
}

/// `GET /admin/app.css`
pub(super) async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", POLICY, include_str!("admin/app.css"))
}

/// `GET /admin/counters`: what the actors have counted since the start.
pub(super) async fn counters(_: Admin<OfServer>, service: web::Data<Service>) -> Answer {
    let queue: Result<_, Problem> = service.committer.queue.depth().await.map_err(routes::queue_problem);
    Ok(routes::document(
        StatusCode::OK,
        &json!({
            "gate": service.book.counts(),
            "committer": service.committer.counts(),
            "mailers": service.mailers.counts(),
            "notices": service.notices.counts(),
            "leaks": service.leaks.counts(),
            "relay": service.relay.counts(),
            "importer": service.imports.counts(),
            "passwords": service.sign_ins.pool().counts(),
            "queue": queue?,
        }),
    ))
}
