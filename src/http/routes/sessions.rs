//! Sessions: `/sessions`, `/sessions/current`, and a person's: `/users/{id}/sessions`.

use actix_web::{
    HttpRequest,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    answer::{self, Answer},
    command::{BodyFields, CommandRequest, Nothing, said},
    keys::used,
    own::Own,
    params::Params,
    refusal::{command_problem, sign_in_done},
    users::{existing, user_id},
};
use crate::{
    actors::{
        commit::Envelope,
        sign_in::{Credentials, Started},
    },
    domain::{
        email::Email,
        id::{UserId, Who},
        key::KeyId,
        network::network_of,
        sign_in::SessionEnd,
    },
    http::{
        Problem, ProblemCode,
        cookie::Cookie,
        method,
        session::{Admin, OfPeople},
        signed_in::{SessionHolder, is_cross_origin, own_envelope},
        state::Service,
        store_problem::store_problem,
        wire,
    },
    store::last_use::UsedSession,
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/sessions", "POST").route(web::method(Method::POST).to(start)))
        .service(method::resource("/sessions/current", "DELETE").route(web::method(Method::DELETE).to(sign_out)))
        .service(
            method::resource("/users/{id}/sessions", "GET, HEAD, DELETE")
                .route(method::read().to(list))
                .route(web::method(Method::DELETE).to(end_all)),
        );
}

/// What somebody signs in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SignInBody")]
pub(in crate::http) struct SignInBody {
    /// Their e-mail address.
    email: String,
    /// Their password.
    #[schemars(with = "String")]
    password: Zeroizing<String>,
    /// A code of their second factor, or a recovery code.
    #[serde(default)]
    code: Option<String>,
}

impl BodyFields for SignInBody {
    const NAMES: &'static [&'static str] = &["email", "password", "code"];
}

/// Whether people sign in here at all.
///
/// # Errors
/// 404 when the setting says that they do not.
pub(in crate::http) fn offered(service: &Service) -> Result<(), Problem> {
    if service.settings.accounts.sign_in {
        return Ok(());
    }
    let detail = "nobody signs in here: keys alone are given out (accounts.sign_in)";
    Err(Problem::new(ProblemCode::NotFound, detail))
}

async fn start(request: HttpRequest, payload: web::Payload, service: web::Data<Service>) -> Answer {
    offered(&service)?;
    let mut payload: Payload = payload.into_inner();
    let (body, _) = said::<SignInBody>(&request, &mut payload).await?;
    let SignInBody { email, password, code } = body;
    begun(&request, &service, given(&request, &email, password, code)).await
}

/// The credentials of a sign-in, with the client's network.
pub(in crate::http) fn given(
    request: &HttpRequest,
    email: &str,
    password: Zeroizing<String>,
    code: Option<String>,
) -> Credentials {
    Credentials { email: Email::parse(email).ok(), password, code, network: network_from(request) }
}

/// Begins a session, and sets its cookie.
///
/// # Errors
/// As [`SignIns::start`](crate::actors::sign_in::SignIns::start).
pub(in crate::http) async fn begun(request: &HttpRequest, service: &Service, given: Credentials) -> Answer {
    let envelope = own_envelope(request, Who::system("sign-in")).await?;
    let started = service.sign_ins.start(given, &envelope).await;
    let started = sign_in_done(started, request).await?;
    let (body, age_s) = started_body(service, &started)?;
    let mut response = answer::document(StatusCode::CREATED, &body);
    // A page of another site must not put a cookie into the browser.
    if !is_cross_origin(request, &service.public_url) {
        let token = started.token.reveal();
        response.headers_mut().insert(header::SET_COOKIE, Cookie::SESSION.set(token, age_s, &service.public_url)?);
    }
    Ok(response)
}

/// The cookie of a new session.
///
/// # Errors
/// On an internal error only.
pub(in crate::http) fn session_cookie(service: &Service, started: &Started) -> Result<HeaderValue, Problem> {
    let (_, age_s) = started_body(service, started)?;
    Cookie::SESSION.set(started.token.reveal(), age_s, &service.public_url)
}

/// The network that a request comes from; empty if it is unknown.
pub(in crate::http) fn network_from(request: &HttpRequest) -> String {
    wire::client_of(request).map(network_of).unwrap_or_default()
}

/// The document of a new session, and the most seconds that the session lasts.
pub(super) fn started_body(service: &Service, started: &Started) -> Result<(serde_json::Value, i64), Problem> {
    let Started { user, token, committed } = started;
    let row = committed.state.rows().sessions.into_iter().find(|row| row.id == token.id());
    let row = row.ok_or_else(|| Problem::internal("a sign-in left no session"))?;
    let age_s = row.expires_at.duration_since(row.started_at).as_secs();
    let must_set_up = must_set_up_second_factor(service, &committed.state, token.id());
    let body = json!({
        "token": token.reveal(),
        "id": row.id,
        "user": user,
        "expires_at": row.expires_at,
        "idle_at": row.idle_at,
        "method": row.method,
        "second_factor_required": must_set_up,
    });
    Ok((body, age_s))
}

/// Whether the session may only set up a second factor.
fn must_set_up_second_factor(service: &Service, state: &crate::domain::view::State, session: KeyId) -> bool {
    use crate::{config::accounts::SecondFactorDemand, domain::event::Role};
    let user = crate::actors::person::user_in(state);
    service.settings.accounts.second_factor == SecondFactorDemand::Administrators
        && user.is_some_and(|user| user.role == Role::Admin && !user.sign_in.has_factor_in(session))
}

async fn sign_out(own: Own<Nothing, SessionHolder>, service: web::Data<Service>) -> Answer {
    let (user, session) = (own.who.user.id, own.who.session);
    let ended = service.sign_ins.end(user, session, SessionEnd::SignedOut, &own.envelope).await;
    let ended = ended.map_err(command_problem)?;
    let row = ended.state.rows().sessions.into_iter().find(|row| row.id == session);
    let mut response =
        answer::document(StatusCode::OK, &json!({ "id": session, "ended_at": row.and_then(|row| row.ended_at) }));
    response.headers_mut().insert(header::SET_COOKIE, Cookie::SESSION.remove(&service.public_url)?);
    Ok(response)
}

/// A person's working sessions, newest first. `current` is the session of the request.
pub(in crate::http) async fn live(service: &Service, user: UserId, current: Option<KeyId>) -> Answer {
    let user = existing(service, user).await?;
    let now = service.committer.clock.now();
    let mut sessions = used(service, user.id).await?.used_sessions(user.id).await.map_err(store_problem)?;
    sessions.retain(|session| session.row.ended_at.is_none() && now < session.row.idle_at);
    sessions.reverse();
    let shown = |session: &UsedSession| {
        let mut shown = serde_json::to_value(session).map_err(Problem::internal)?;
        if let (Some(current), Some(fields)) = (current, shown.as_object_mut()) {
            fields.insert("current".to_owned(), (session.row.id == current).into());
        }
        Ok(shown)
    };
    let shown: Vec<_> = sessions.iter().map(shown).collect::<Result<_, Problem>>()?;
    Ok(answer::versioned(StatusCode::OK, user.version, &json!({ "data": shown })))
}

async fn list(_: Admin<OfPeople>, request: HttpRequest, id: web::Path<String>, service: web::Data<Service>) -> Answer {
    Params::read(request.query_string(), &[])?;
    live(&service, user_id(&id)?, None).await
}

pub(in crate::http) async fn end_all(
    command: CommandRequest<Nothing, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let user = user_id(&id)?;
    end_all_of(&service, user, SessionEnd::EndedByAdministrator, &command.envelope).await
}

/// Ends all sessions of a person.
pub(super) async fn end_all_of(service: &Service, user: UserId, reason: SessionEnd, envelope: &Envelope) -> Answer {
    let ended = service.sign_ins.end_all(user, reason, envelope).await.map_err(command_problem)?;
    let body = json!({ "ended": ended.events.len() });
    Ok(answer::versioned(StatusCode::OK, ended.version, &body))
}
