//! Messages that were given up: `/dead-letters`, `/dead-letters/redrive`, `/dead-letters/{id}/redrive`.

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use serde_json::{Value, json};

use super::{
    answer::{self, Answer},
    command::{CommandRequest, Nothing},
    params::Params,
    refusal::{queue_problem, redrive_problem},
};
use crate::{
    http::{
        method,
        session::{Admin, OfServer},
        state::Service,
    },
    queue::DeadLetter,
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/dead-letters", list))
        .service(method::resource("/dead-letters/redrive", "POST").route(web::method(Method::POST).to(redrive_all)))
        .service(method::resource("/dead-letters/{id}/redrive", "POST").route(web::method(Method::POST).to(redrive)));
}

async fn list(_: Admin<OfServer>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["limit"])?;
    let letters = service.committer.queue.dead_letters(params.limit()?).await.map_err(queue_problem)?;
    let shown: Vec<Value> = letters.iter().map(shown).collect();
    Ok(answer::list(&shown))
}

fn shown(letter: &DeadLetter) -> Value {
    let DeadLetter { id, body, receives, reason, sent_at, died_at } = letter;
    // A message that is not JSON is shown as text.
    let message = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone()));
    json!({
        "id": id, "message": message, "receives": receives, "reason": reason, "sent_at": sent_at, "died_at": died_at,
    })
}

pub(in crate::http) async fn redrive_all(
    command: CommandRequest<Nothing, OfServer>,
    service: web::Data<Service>,
) -> Answer {
    let redriven = service.committer.redrive_all(&command.envelope).await.map_err(redrive_problem)?;
    let who = command.envelope.origin.who;
    tracing::info!(redriven, %who, "dead letters were sent again");
    Ok(answer::document(StatusCode::ACCEPTED, &json!({ "redriven": redriven })))
}

/// Puts a dead letter back on the queue. The log shows the outcome.
pub(in crate::http) async fn redrive(
    command: CommandRequest<Nothing, OfServer>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    service.committer.redrive(&id, &command.envelope).await.map_err(redrive_problem)?;
    let (id, who) = (id.into_inner(), command.envelope.origin.who);
    tracing::info!(%id, %who, "a dead letter was sent again");
    Ok(answer::document(StatusCode::ACCEPTED, &json!({ "id": id })))
}
