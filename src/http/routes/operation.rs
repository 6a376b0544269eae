//! The port for operators: `/health/live`, `/health/ready`, `/metrics`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use serde_json::json;

use super::{
    answer::{self, Answer},
    metrics::{MEDIA_TYPE, Snapshot},
    refusal::queue_problem,
};
use crate::http::{
    Problem, ProblemCode, method,
    state::Service,
    store_problem::{RETRY_AFTER_S, store_problem},
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/health/live", live))
        .service(method::readable("/health/ready", ready))
        .service(method::readable("/metrics", metrics))
        .default_service(web::to(not_found));
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    let detail = "this port has /health/live, /health/ready and /metrics";
    Problem::new(ProblemCode::UnknownPath, detail).respond(&request)
}

/// Whether the process works at all: a process that does not answer must be restarted.
async fn live() -> HttpResponse {
    answer::document(StatusCode::OK, &json!({ "status": "live" }))
}

/// Whether requests should be sent here: the server takes them, and everything they need works. Otherwise the body says what does not.
async fn ready(service: web::Data<Service>) -> Answer {
    let unavailable = |detail: String| Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S);
    if let Some(why) = service.readiness.closed() {
        return Err(unavailable(why.to_owned()));
    }
    if !service.readiness.get() {
        return Err(unavailable("the server is starting or stopping".to_owned()));
    }
    let troubles = service.checkup.troubles(&service).await;
    if !troubles.is_empty() {
        return Err(unavailable(troubles.join("; ")));
    }
    let lost = service.lineages.lost();
    // The server is ready all the same: it serves the other data sets.
    let mut document = match lost.is_empty() {
        true => json!({ "status": "ready" }),
        false => json!({ "status": "ready", "not_served": lost }),
    };
    let committer = &service.committer;
    let quarantined =
        committer.stores.quarantines.recent(committer.clock.monotonic_us()).await.map_err(store_problem)?;
    if let Some(fields) = document.as_object_mut().filter(|_| quarantined.iter().len() > 0) {
        let streams: Vec<String> = quarantined.iter().map(|one| one.stream.to_string()).collect();
        fields.insert("quarantined".to_owned(), json!(streams));
    }
    if let (Some(rehearsed), Some(fields)) = (&service.rehearsed, document.as_object_mut()) {
        fields.insert("copy".to_owned(), json!({ "of": rehearsed.of, "as_of": rehearsed.as_of, "read_only": true }));
    }
    Ok(answer::document(StatusCode::OK, &document))
}

async fn metrics(service: web::Data<Service>) -> Answer {
    let text = Snapshot::take(&service).await.map_err(queue_problem)?.text().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .body(text))
}
