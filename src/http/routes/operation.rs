//! The port for operators: `/health/live`, `/health/ready`, `/metrics`.

use std::time::Duration;

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
    RETRY_AFTER_S,
    answer::{self, Answer},
    metrics::{MEDIA_TYPE, Snapshot},
    refusal::queue_problem,
};
use crate::http::{Problem, ProblemCode, method, state::Service};

/// How long the store may take to show that it answers.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

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

/// Whether the process works at all; one that does not answer is to be started anew.
async fn live() -> HttpResponse {
    answer::document(StatusCode::OK, &json!({ "status": "live" }))
}

/// Whether requests should be sent here.
async fn ready(service: web::Data<Service>) -> Answer {
    let unavailable = |detail: &'static str| Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S);
    if !service.readiness.get() {
        return Err(unavailable("the server is starting or stopping"));
    }
    let asked = tokio::time::timeout(STORE_PATIENCE, service.committer.stores.admin_tokens.count()).await;
    match asked {
        Ok(Ok(_)) => {
            let losses = service.lineages.losses();
            let lost: Vec<_> = losses
                .iter()
                .map(|loss| json!({ "dataset": loss.data_set(), "reason": loss.to_string(), "remedy": loss.remedy() }))
                .collect();
            // The other data sets are served: requests are to be sent here all the same.
            let document = match lost.is_empty() {
                true => json!({ "status": "ready" }),
                false => json!({ "status": "ready", "not_served": lost }),
            };
            Ok(answer::document(StatusCode::OK, &document))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the store does not answer");
            Err(unavailable("the store does not answer"))
        }
        Err(_) => Err(unavailable("the store does not answer in time")),
    }
}

async fn metrics(service: web::Data<Service>) -> Answer {
    let text = Snapshot::take(&service).await.map_err(queue_problem)?.text().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .body(text))
}
