//! Messages that were given up: `/dead-letters`, `/dead-letters/redrive`, `/dead-letters/discard`, `/dead-letters/{id}/redrive`.

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{self, Answer},
    command::{BodyFields, CommandRequest, Nothing},
    params::Params,
    refusal::{queue_problem, redrive_problem},
};
use crate::{
    actors::redrive::SettledLetters,
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfServer},
        state::Service,
    },
    queue::{
        DeadLetter,
        letters::{BULK_MAX, LetterAct, LetterFilter, grouped},
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/dead-letters", list))
        .service(method::resource("/dead-letters/redrive", "POST").route(web::method(Method::POST).to(redrive_all)))
        .service(method::resource("/dead-letters/discard", "POST").route(web::method(Method::POST).to(discard_all)))
        .service(method::resource("/dead-letters/{id}/redrive", "POST").route(web::method(Method::POST).to(redrive)));
}

async fn list(_: Admin<OfServer>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["limit", "reason", "type"])?;
    let text = |name| params.text(name).map(ToOwned::to_owned);
    let wanted = LetterFilter { reason: text("reason"), type_name: text("type"), ..LetterFilter::default() };
    let found = service.committer.queue.find_dead(&wanted, params.limit()?).await.map_err(queue_problem)?;
    let shown: Vec<Value> = found.letters.iter().map(shown).collect();
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

/// Which dead letters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LettersBody {
    /// Only those whose reason has this part.
    #[schemars(length(min = 1, max = 1000))]
    reason: Option<String>,
    /// Only those about events of this type, such as `UserInvited`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 100))]
    type_name: Option<String>,
    /// Whether to say only what would be done.
    #[serde(default)]
    dry_run: bool,
}

impl BodyFields for LettersBody {
    const NAMES: &'static [&'static str] = &["reason", "type", "dry_run"];
    const OPTIONAL: bool = true;
}

impl LettersBody {
    fn filter(&self) -> LetterFilter {
        LetterFilter { reason: self.reason.clone(), type_name: self.type_name.clone(), ..LetterFilter::default() }
    }
}

pub(in crate::http) async fn redrive_all(
    command: CommandRequest<LettersBody, OfServer>,
    service: web::Data<Service>,
) -> Answer {
    settle(LetterAct::Redrive, command, &service).await
}

async fn discard_all(command: CommandRequest<LettersBody, OfServer>, service: web::Data<Service>) -> Answer {
    if command.body.filter().takes_all() {
        let detail = "say which to discard: `reason`, `type` or both";
        return Err(Problem::new(ProblemCode::InvalidBody, detail));
    }
    settle(LetterAct::Discard, command, &service).await
}

/// Redrives or discards letters, or says what that would do.
async fn settle(act: LetterAct, command: CommandRequest<LettersBody, OfServer>, service: &Service) -> Answer {
    let wanted = command.body.filter();
    if command.body.dry_run {
        let found = service.committer.queue.find_dead(&wanted, BULK_MAX).await.map_err(queue_problem)?;
        let document = json!({ "dry_run": true, "matching": found.matching, "groups": grouped(&found.letters) });
        return Ok(answer::document(StatusCode::OK, &document));
    }
    let done = service.committer.settle_dead(act, &wanted, &command.envelope).await.map_err(redrive_problem)?;
    let SettledLetters { settled, left } = done;
    let who = command.envelope.origin.who;
    let (reason, type_name) = (wanted.reason.unwrap_or_default(), wanted.type_name.unwrap_or_default());
    match act {
        LetterAct::Redrive => {
            tracing::info!(redriven = settled, left, reason, type_name, %who, "dead letters were sent again");
            Ok(answer::document(StatusCode::ACCEPTED, &json!({ "redriven": settled, "left": left })))
        }
        LetterAct::Discard => {
            tracing::warn!(discarded = settled, left, reason, type_name, %who, "dead letters were discarded");
            Ok(answer::document(StatusCode::OK, &json!({ "discarded": settled, "left": left })))
        }
    }
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
