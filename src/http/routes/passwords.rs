//! Forgotten passwords: `/password-resets`, and an administrator's `/users/{id}/password-resets`.

use actix_web::{
    HttpRequest,
    dev::Payload,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::{self, Answer},
    command::{BodyFields, CommandRequest, Nothing, said},
    refusal::command_problem,
    sessions::offered,
    users::user_id,
};
use crate::{
    domain::{email::Email, id::Who},
    http::{Problem, ProblemCode, method, session::OfPeople, signed_in::own_envelope, state::Service, wire},
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/password-resets", "POST").route(web::method(Method::POST).to(ask)))
        .service(method::resource("/users/{id}/password-resets", "POST").route(web::method(Method::POST).to(mail)));
}

/// Whose password is forgotten.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PasswordResetBody")]
pub(in crate::http) struct ResetBody {
    /// Their e-mail address.
    email: String,
}

impl BodyFields for ResetBody {
    const NAMES: &'static [&'static str] = &["email"];
}

/// The answer is the same for every address, and is given before anything is looked up.
async fn ask(request: HttpRequest, payload: web::Payload, service: web::Data<Service>) -> Answer {
    offered(&service)?;
    let mut payload: Payload = payload.into_inner();
    let (body, _) = said::<ResetBody>(&request, &mut payload).await?;
    asked_for(&request, &service, &body.email).await?;
    let detail = "if somebody with this address was invited here, a link to set a password is on its way to it";
    Ok(answer::document(StatusCode::ACCEPTED, &json!({ "detail": detail })))
}

/// Mails a link to the person who has this address.
///
/// # Errors
/// When the client's address has asked for too much, or too much was asked for at once.
pub(in crate::http) async fn asked_for(request: &HttpRequest, service: &Service, email: &str) -> Result<(), Problem> {
    // The request counts for the client's address, whatever mail address it names.
    let counted = wire::guessed(request, Problem::internal("it was not refused")).await;
    if counted.code() == ProblemCode::TooManyFromAddress {
        return Err(counted);
    }
    let envelope = own_envelope(request, Who::system("password-reset")).await?;
    service.sign_ins.ask_for_reset(Email::parse(email).ok(), envelope).map_err(command_problem)
}

pub(in crate::http) async fn mail(
    command: CommandRequest<Nothing, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    offered(&service)?;
    let user = user_id(&id)?;
    let bound = service.settings.mail.invitations_per_person_per_hour;
    let asked = service.sign_ins.mail_reset(user, Some(bound), &command.envelope).await.map_err(command_problem)?;
    Ok(answer::versioned(StatusCode::ACCEPTED, asked.version, &json!({ "user": user })))
}
