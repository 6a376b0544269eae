//! People's own accounts: `/me` and the paths below it.

mod export;
pub(in crate::http) mod second_factor;

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    answer::{self, Answer},
    command::{BodyFields, Nothing},
    keys::{self, ChangeKeyBody, NewKeyBody, Owner, RotateBody, key_id},
    own::Own,
    params::Params,
    refusal::{command_problem, sign_in_done},
    sessions,
    usage::UsageQuery,
    users::existing,
};
use crate::{
    actors::{account::AccountCommand, person::user_in},
    domain::{
        notice::ChosenNotices,
        sign_in::SessionEnd,
        user::{User, UserChanges},
    },
    http::{
        Problem, method,
        signed_in::{Oneself, SignedIn},
        state::Service,
        store_problem::store_problem,
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/me", "GET, HEAD, PATCH")
            .route(method::read().to(show))
            .route(web::method(Method::PATCH).to(change)),
    )
    .service(method::resource("/me/password", "PUT").route(web::method(Method::PUT).to(change_password)))
    .service(
        method::resource("/me/keys", "GET, HEAD, POST")
            .route(method::read().to(list_keys))
            .route(web::method(Method::POST).to(issue_key)),
    )
    .service(
        method::resource("/me/keys/{key_id}", "PATCH, DELETE")
            .route(web::method(Method::PATCH).to(change_key))
            .route(web::method(Method::DELETE).to(revoke_key)),
    )
    .service(method::resource("/me/keys/{key_id}/rotate", "POST").route(web::method(Method::POST).to(rotate_key)))
    .service(method::readable("/me/usage", usage))
    .service(
        method::resource("/me/sessions", "GET, HEAD, DELETE")
            .route(method::read().to(list_sessions))
            .route(web::method(Method::DELETE).to(end_sessions)),
    )
    .service(method::resource("/me/sessions/{key_id}", "DELETE").route(web::method(Method::DELETE).to(end_session)))
    .configure(second_factor::configure)
    .configure(export::configure);
}

async fn show(Oneself(user): Oneself, request: HttpRequest, service: web::Data<Service>) -> Answer {
    Params::read(request.query_string(), &[])?;
    shown(&user, &service).await
}

pub(in crate::http) async fn shown(user: &User, service: &Service) -> Answer {
    let row = existing(service, user.id).await?;
    let plan = service.committer.stores.views.plan(&row.plan).await.map_err(store_problem)?;
    let sign_in = &user.sign_in;
    let body = json!({
        "id": row.id,
        "email": row.email,
        "name": row.name,
        "role": row.role,
        "plan": row.plan,
        "limits": plan.map(|plan| plan.limits),
        "notices": user.notices,
        "invited_at": row.invited_at,
        "has_password": sign_in.password.is_some(),
        "second_factor_since": sign_in.second_factor.as_ref().map(|factor| factor.since),
        "recovery_codes_left": sign_in.second_factor.as_ref().map(|factor| factor.recovery_left()),
    });
    Ok(answer::versioned(StatusCode::OK, row.version, &body))
}

/// A change of what one is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeOfMe")]
pub(in crate::http) struct MeBody {
    /// The notices that one gets by mail; what is absent stays.
    notices: ChosenNotices,
}

impl BodyFields for MeBody {
    const NAMES: &'static [&'static str] = &["notices"];
}

pub(in crate::http) async fn change(own: Own<MeBody>, service: web::Data<Service>) -> Answer {
    let changes = UserChanges { notices: Some(own.body.notices), ..UserChanges::default() };
    let order = AccountCommand::ChangeUser(changes);
    let done = service.accounts.perform(own.who.user.id, order, own.envelope).await.map_err(command_problem)?;
    let changed = user_in(&done.committed.state).ok_or_else(|| Problem::internal("nobody was changed"))?;
    shown(changed, &service).await
}

/// A change of the password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPassword")]
pub(in crate::http) struct PasswordBody {
    /// The present password.
    #[schemars(with = "String")]
    current: Zeroizing<String>,
    /// The new one.
    #[schemars(with = "String")]
    new: Zeroizing<String>,
}

impl BodyFields for PasswordBody {
    const NAMES: &'static [&'static str] = &["current", "new"];
}

pub(in crate::http) async fn change_password(
    own: Own<PasswordBody>,
    request: HttpRequest,
    service: web::Data<Service>,
) -> Answer {
    let PasswordBody { current, new } = &own.body;
    let changed = service.sign_ins.change_password(&own.who, current, new, &own.envelope).await;
    let changed = sign_in_done(changed, &request).await?;
    Ok(answer::versioned(StatusCode::OK, changed.version, &json!({ "password": "set" })))
}

async fn list_keys(SignedIn(who): SignedIn, request: HttpRequest, service: web::Data<Service>) -> Answer {
    Params::read(request.query_string(), &[])?;
    keys::list_of(&service, who.user.id).await
}

fn owner<T>(own: &Own<T>) -> Owner {
    Owner { user: own.who.user.id, path: "/me/keys".to_owned() }
}

pub(in crate::http) async fn issue_key(own: Own<NewKeyBody>, service: web::Data<Service>) -> Answer {
    let owner = owner(&own);
    keys::issue_for(own.body, own.envelope, &owner, &service).await
}

pub(in crate::http) async fn change_key(
    own: Own<ChangeKeyBody>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    keys::change_for(own.body, own.envelope, own.who.user.id, key_id(&id)?, &service).await
}

pub(in crate::http) async fn rotate_key(
    own: Own<RotateBody>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let owner = owner(&own);
    keys::rotate_for(own.body, own.envelope, &owner, key_id(&id)?, &service).await
}

pub(in crate::http) async fn revoke_key(
    own: Own<Nothing>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    keys::revoke_for(own.envelope, own.who.user.id, key_id(&id)?, &service).await
}

async fn usage(Oneself(user): Oneself, request: HttpRequest, service: web::Data<Service>) -> Answer {
    UsageQuery::read(&request)?.answer(&service, user.id).await
}

async fn list_sessions(SignedIn(who): SignedIn, request: HttpRequest, service: web::Data<Service>) -> Answer {
    Params::read(request.query_string(), &[])?;
    sessions::live(&service, who.user.id, Some(who.session)).await
}

async fn end_sessions(own: Own<Nothing>, service: web::Data<Service>) -> Answer {
    sessions::end_all_of(&service, own.who.user.id, SessionEnd::EndedByOwner, &own.envelope).await
}

pub(in crate::http) async fn end_session(
    own: Own<Nothing>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let (user, session) = (own.who.user.id, key_id(&id)?);
    let ended = service.sign_ins.end(user, session, SessionEnd::EndedByOwner, &own.envelope).await;
    let ended = ended.map_err(command_problem)?;
    let row = ended.state.rows().sessions.into_iter().find(|row| row.id == session);
    let body = json!({ "id": session, "ended_at": row.and_then(|row| row.ended_at) });
    Ok(answer::versioned(StatusCode::OK, ended.version, &body))
}
