//! `POST /leaks`: takes reports of leaked keys. The sender learns nothing about the keys.

use actix_web::{
    HttpMessage, HttpRequest,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::{self, Answer},
    params::Params,
    refusal::busy_problem,
};
use crate::{
    actors::commit::Envelope,
    domain::{
        event::Origin,
        id::{CommandId, Who},
        leak::{SUSPECTS_MAX, suspects},
    },
    http::{Problem, ProblemCode, body, method, request_id::RequestId, state::Service, wire},
};

/// The longest report, bytes.
pub(in crate::http) const REPORT_BYTES_MAX: usize = 64 * 1024;
const LIMITED: &str = "this address has sent as many reports as it may for now";

/// Adds the route.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/leaks", "POST").route(web::method(Method::POST).to(report)));
}

/// A report.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeakReport")]
pub(in crate::http) struct ReportBody {
    /// The text with the keys in it. Of more than twenty the first are looked at.
    #[schemars(length(max = REPORT_BYTES_MAX))]
    text: String,
}

async fn report(request: HttpRequest, payload: web::Payload, service: web::Data<Service>) -> Answer {
    if let Some(wait_s) = wire::reported(&request) {
        return Err(Problem::new(ProblemCode::TooManyFromAddress, LIMITED).retry_after(wait_s));
    }
    Params::read(request.query_string(), &[])?;
    let bytes = body::bytes_of(&request, payload.into_inner(), REPORT_BYTES_MAX).await?;
    let media_type = request.content_type().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let found = match media_type.as_str() {
        "text/plain" => suspects(&bytes, SUSPECTS_MAX),
        json if body::is_json(json) => suspects(body::parse::<ReportBody>(&bytes)?.text.as_bytes(), SUSPECTS_MAX),
        _ => {
            let detail =
                "the body must be a text, or JSON such as {\"text\": \"…\"}, and say so: content-type: text/plain";
            return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
        }
    };
    let id = service.committer.new_id().map_err(Problem::internal)?;
    let asked = RequestId::of(&request).and_then(|id| id.as_uuid()).unwrap_or(id);
    let origin = Origin { who: Who::system("leak-report"), correlation_id: asked.to_string(), causation_id: None };
    let envelope = Envelope::new(CommandId::unique(id), origin);
    service.leaks.report(found, envelope).map_err(busy_problem)?;
    Ok(answer::document(StatusCode::ACCEPTED, &json!({ "status": "received" })))
}
