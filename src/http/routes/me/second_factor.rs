//! The second factor: `/me/second-factor`, and an administrator's `/users/{id}/second-factor`.

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    domain::{id::Who, totp},
    http::{
        Problem, ProblemCode, method,
        routes::{
            answer::{self, Answer},
            command::{BodyFields, CommandRequest, Nothing},
            own::Own,
            refusal::{command_problem, sign_in_done},
            users::user_id,
        },
        session::OfPeople,
        signed_in::SessionHolder,
        state::Service,
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/me/second-factor", "POST, PUT, DELETE")
            .route(web::method(Method::POST).to(begin))
            .route(web::method(Method::PUT).to(confirm))
            .route(web::method(Method::DELETE).to(remove)),
    )
    .service(method::resource("/users/{id}/second-factor", "DELETE").route(web::method(Method::DELETE).to(remove_of)));
}

pub(in crate::http) async fn begin(
    own: Own<Nothing, SessionHolder>,
    request: HttpRequest,
    service: web::Data<Service>,
) -> Answer {
    let user = &own.who.user;
    let begun = service.sign_ins.begin_second_factor(user.id, &own.envelope).await;
    let secret = sign_in_done(begun, &request).await?;
    let account = user.email.known().unwrap_or_default();
    let otpauth = totp::otpauth(&secret, &service.settings.mail.brand, account);
    Ok(answer::document(StatusCode::CREATED, &json!({ "secret": secret.as_str(), "otpauth": otpauth })))
}

/// A code that the authenticator app shows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SecondFactorCode")]
pub(in crate::http) struct CodeBody {
    /// Six digits.
    code: String,
}

impl BodyFields for CodeBody {
    const NAMES: &'static [&'static str] = &["code"];
}

pub(in crate::http) async fn confirm(
    own: Own<CodeBody, SessionHolder>,
    request: HttpRequest,
    service: web::Data<Service>,
) -> Answer {
    let Own { body, envelope, .. } = &own;
    let codes = service.sign_ins.confirm_second_factor(&own.who, &body.code, envelope).await;
    let codes = sign_in_done(codes, &request).await?;
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    Ok(answer::document(StatusCode::OK, &json!({ "recovery_codes": codes })))
}

/// Why the second factor may be removed: whoever has only the session, or the password, may not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SecondFactorRemoval")]
pub(in crate::http) struct RemovalBody {
    /// A code of it, or a recovery code. While it is not confirmed, any text.
    code: String,
    /// The password: if it is sent, it must be right as well.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    password: Option<Zeroizing<String>>,
}

impl BodyFields for RemovalBody {
    const NAMES: &'static [&'static str] = &["code", "password"];
}

pub(in crate::http) async fn remove(
    own: Own<RemovalBody>,
    request: HttpRequest,
    service: web::Data<Service>,
) -> Answer {
    let Own { body, envelope, .. } = &own;
    let password = body.password.as_ref().map(|password| password.as_str());
    let removed = service.sign_ins.remove_second_factor(&own.who, password, &body.code, envelope).await;
    let removed = sign_in_done(removed, &request).await?;
    Ok(answer::versioned(StatusCode::OK, removed.version, &json!({ "second_factor": null })))
}

pub(in crate::http) async fn remove_of(
    command: CommandRequest<Nothing, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let user = user_id(&id)?;
    if command.caller.who == Who::user(user) {
        let detail = "your own second factor is removed with a code of it (DELETE /me/second-factor), or by another administrator";
        return Err(Problem::new(ProblemCode::Conflict, detail));
    }
    let removed = service.sign_ins.drop_second_factor(user, &command.envelope).await.map_err(command_problem)?;
    Ok(answer::versioned(StatusCode::OK, removed.version, &json!({ "user": user, "second_factor": null })))
}
