//! The actors' counters, for administrators.

use actix_web::{http::StatusCode, web};
use serde_json::json;

use crate::http::{
    Problem,
    routes::{
        answer::{Answer, document},
        refusal::queue_problem,
    },
    session::{Admin, OfServer},
    state::Service,
};

/// `GET /admin/counters`: what the actors have counted since the start.
pub(super) async fn show(_: Admin<OfServer>, service: web::Data<Service>) -> Answer {
    let queue: Result<_, Problem> = service.committer.queue.depth().await.map_err(queue_problem);
    Ok(document(
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
