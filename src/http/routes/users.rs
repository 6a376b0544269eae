//! People: `/users`, `/users/{id}` (also as they were), `/users/{id}/invitations`.

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::{self, Answer},
    as_of,
    command::{BodyFields, CommandRequest, Nothing},
    params::{self, Params},
    refusal::command_problem,
};
use crate::{
    actors::{account::AccountCommand, commit::Committed},
    domain::{
        email::Email,
        event::Role,
        id::{StreamId, UserId},
        notice::ChosenNotices,
        roster::Invitee,
        user::{NAME_CHARS_MAX, UserChanges},
        view::{InvitationState, KeyRow, UserRow, UserStatus},
    },
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfPeople},
        state::Service,
        store_problem::store_problem,
    },
    store::UserFilter,
};

/// Longest text that is searched for, characters.
pub(in crate::http) const SEARCH_CHARS_MAX: usize = 200;

const STATUSES: [(&str, UserStatus); 4] = [
    (UserStatus::Invited.as_str(), UserStatus::Invited),
    (UserStatus::Active.as_str(), UserStatus::Active),
    (UserStatus::Disabled.as_str(), UserStatus::Disabled),
    (UserStatus::Deleted.as_str(), UserStatus::Deleted),
];

const INVITATIONS: [(&str, InvitationState); InvitationState::ALL.len()] = {
    let [invited, mailed, opened, used, expired, bounced, failed] = InvitationState::ALL;
    [
        (invited.as_str(), invited),
        (mailed.as_str(), mailed),
        (opened.as_str(), opened),
        (used.as_str(), used),
        (expired.as_str(), expired),
        (bounced.as_str(), bounced),
        (failed.as_str(), failed),
    ]
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/users", "GET, HEAD, POST")
            .route(method::read().to(list))
            .route(web::method(Method::POST).to(invite)),
    )
    .service(
        method::resource("/users/{id}", "GET, HEAD, PATCH, DELETE")
            .route(method::read().to(show))
            .route(web::method(Method::PATCH).to(change))
            .route(web::method(Method::DELETE).to(delete)),
    )
    .service(method::resource("/users/{id}/invitations", "POST").route(web::method(Method::POST).to(resend_invitation)))
    .service(method::resource("/users/{id}/mail/allow", "POST").route(web::method(Method::POST).to(allow_mail)));
}

/// The user that a path names.
///
/// # Errors
/// 404 when it is not an id at all.
pub(in crate::http) fn user_id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|error| Problem::new(ProblemCode::NotFound, error.to_string()))
}

/// A person as the view shows them.
///
/// # Errors
/// 404 when there is none with this id.
pub(in crate::http) async fn existing(service: &Service, id: UserId) -> Result<UserRow, Problem> {
    let found = service.committer.stores.views.user(id).await.map_err(store_problem)?;
    let found = found.ok_or_else(|| Problem::new(ProblemCode::NotFound, format!("there is no user {id}")))?;
    Ok(found.at(service.committer.clock.now()))
}

/// The person as the commit left them.
fn row(service: &Service, committed: &Committed) -> Result<UserRow, Problem> {
    let left = committed.state.rows().users.pop().ok_or_else(|| Problem::internal("a user's commit left no user"))?;
    Ok(left.at(service.committer.clock.now()))
}

/// An invitation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Invitation")]
pub(in crate::http) struct InviteBody {
    /// Their e-mail address, which the invitation goes to.
    #[schemars(email)]
    email: String,
    /// Their name.
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    name: Option<String>,
    /// What they may do; `reader` where nothing is said.
    #[serde(default)]
    #[schemars(extend("enum" = ["reader", "manager", "admin", null]))]
    role: Option<String>,
    /// The plan of their keys; the setting `users.default_plan` where nothing is said.
    #[serde(default)]
    plan: Option<String>,
}

/// The role that a request gives somebody.
fn given(role: Option<&str>) -> Result<Option<Role>, Problem> {
    let named = |name| {
        let wrong = || Problem::new(ProblemCode::InvalidBody, "at `role`: a role is `reader`, `manager` or `admin`");
        Role::named(name).ok_or_else(wrong)
    };
    role.map(named).transpose()
}

impl BodyFields for InviteBody {
    const NAMES: &'static [&'static str] = &["email", "name", "role", "plan"];
}

pub(in crate::http) async fn invite(
    command: CommandRequest<InviteBody, OfPeople>,
    service: web::Data<Service>,
) -> Answer {
    let CommandRequest { body, envelope, caller, .. } = command;
    let email = Email::parse(&body.email)
        .map_err(|error| Problem::new(ProblemCode::InvalidBody, format!("at `email`: {error}")))?;
    let plan = body.plan.unwrap_or_else(|| service.settings.users.default_plan.clone());
    let role = given(body.role.as_deref())?.unwrap_or(Role::Reader);
    caller.may_give(role)?;
    let invitee = Invitee { email, name: body.name, role, plan };
    let committed = service.inviting.invite(invitee, envelope).await.map_err(command_problem)?;
    let user = row(&service, &committed)?;
    Ok(answer::created(&format!("{}/users/{}", service.public_url, user.id), committed.version, &user))
}

pub(in crate::http) async fn list(_: Admin<OfPeople>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["search", "status", "invitation", "plan", "limit", "after"])?;
    let plan = params.text("plan").map(ToOwned::to_owned);
    page(&request, &service, &params, UserFilter { plan, ..UserFilter::default() }).await
}

/// A page of the people who match the parameters and the filter.
pub(super) async fn page(request: &HttpRequest, service: &Service, params: &Params<'_>, filter: UserFilter) -> Answer {
    let limit = params.limit()?;
    let search: Option<String> = params.text("search").map(|text| text.chars().take(SEARCH_CHARS_MAX).collect());
    let after = params.text("after").map(UserId::parse).transpose();
    let after = after.map_err(|error| params::refuse("after", error.to_string(), None))?;
    // One person more than the page holds tells whether another page follows.
    let (status, invitation) = (params.one_of("status", &STATUSES)?, params.one_of("invitation", &INVITATIONS)?);
    let now = service.committer.clock.now();
    let invitation = invitation.map(|state| (state, now));
    let filter = UserFilter { search, status, invitation, after, limit: limit + 1, ..filter };
    let users = service.committer.stores.views.users(filter).await.map_err(store_problem)?;
    let more = users.len() > limit;
    let users: Vec<UserRow> = users.into_iter().take(limit).map(|user| user.at(now)).collect();
    let last = users.last().filter(|_| more).map(|user| user.id.to_string());
    Ok(answer::page(request, &users, limit, last))
}

async fn show(_: Admin<OfPeople>, request: HttpRequest, id: web::Path<String>, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["as_of"])?;
    let id = user_id(&id)?;
    let user = match params.text("as_of") {
        None => existing(&service, id).await?,
        Some(as_of) => past(&service, id, as_of).await?.user,
    };
    Ok(answer::versioned(StatusCode::OK, user.version, &user))
}

/// A person as they were.
pub(in crate::http) struct PastPerson {
    /// The person.
    pub(in crate::http) user: UserRow,
    /// Their keys.
    pub(in crate::http) keys: Vec<KeyRow>,
    /// When that was, for what ends by itself.
    pub(in crate::http) at: Timestamp,
}

/// A person as they were, with their keys.
///
/// # Errors
/// 400 where `as_of` names no point in the past; 404 when there was no such person then.
pub(in crate::http) async fn past(service: &Service, id: UserId, as_of: &str) -> Result<PastPerson, Problem> {
    let past = as_of::load(service, &StreamId::User(id), as_of).await?;
    let no_user = || Problem::new(ProblemCode::NotFound, format!("there was no user {id} as of {as_of}"));
    let (user, keys) = past.person().ok_or_else(no_user)?;
    Ok(PastPerson { user, keys, at: past.at })
}

/// What may be changed of a person.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeOfUser", extend("minProperties" = 1))]
pub(in crate::http) struct ChangeUserBody {
    /// Whether their keys work.
    #[serde(default)]
    status: Option<NewStatus>,
    /// What they may do.
    #[serde(default)]
    #[schemars(extend("enum" = ["reader", "manager", "admin", null]))]
    role: Option<String>,
    /// The plan of their keys.
    #[serde(default)]
    plan: Option<String>,
    /// The notices that they get by mail; what is absent stays.
    #[serde(default)]
    notices: Option<ChosenNotices>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NewStatus {
    Active,
    Disabled,
}

impl BodyFields for ChangeUserBody {
    const NAMES: &'static [&'static str] = &["status", "role", "plan", "notices"];
}

impl ChangeUserBody {
    fn changes(self) -> Result<UserChanges, Problem> {
        let enabled = self.status.map(|status| matches!(status, NewStatus::Active));
        let role = given(self.role.as_deref())?;
        Ok(UserChanges { plan: self.plan, role, enabled, notices: self.notices })
    }
}

pub(in crate::http) async fn change(
    command: CommandRequest<ChangeUserBody, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let user = user_id(&id)?;
    let changes = command.body.changes()?;
    if changes == UserChanges::default() {
        let detail = format!("nothing to change: send one or more of {}", ChangeUserBody::NAMES.join(", "));
        return Err(Problem::new(ProblemCode::InvalidBody, detail));
    }
    changes.role.map_or(Ok(()), |role| command.caller.may_give(role))?;
    let done = service.accounts.perform(user, AccountCommand::ChangeUser(changes), command.envelope).await;
    let committed = done.map_err(command_problem)?.committed;
    Ok(answer::versioned(StatusCode::OK, committed.version, &row(&service, &committed)?))
}

pub(in crate::http) async fn delete(
    command: CommandRequest<Nothing, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let user = user_id(&id)?;
    let done = service.accounts.perform(user, AccountCommand::DeleteUser, command.envelope).await;
    let done = done.map_err(command_problem)?;
    let user = row(&service, &done.committed)?;
    let body = json!({ "id": user.id, "deleted_at": user.deleted_at, "effective_at": done.effective_at });
    Ok(answer::versioned(StatusCode::OK, done.committed.version, &body))
}

pub(in crate::http) async fn resend_invitation(
    command: CommandRequest<Nothing, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let committed = service.inviting.resend(user_id(&id)?, command.envelope).await.map_err(command_problem)?;
    Ok(answer::versioned(StatusCode::ACCEPTED, committed.version, &row(&service, &committed)?))
}

pub(in crate::http) async fn allow_mail(
    command: CommandRequest<Nothing, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let done = service.accounts.perform(user_id(&id)?, AccountCommand::AllowMail, command.envelope).await;
    let committed = done.map_err(command_problem)?.committed;
    Ok(answer::versioned(StatusCode::OK, committed.version, &row(&service, &committed)?))
}
