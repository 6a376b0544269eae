//! Keys: `/users/{id}/keys`, `/users/{id}/keys/{key_id}`, `/users/{id}/keys/{key_id}/rotate`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    answer::{self, Answer},
    command::{BodyFields, CommandRequest, Nothing},
    params::Params,
    refusal::command_problem,
    users::{PastPerson, existing, past, user_id},
};
use crate::{
    actors::{
        account::{AccountCommand, Done, GRACE_S_MAX, KEY_SHOWN_FOR, Withheld, WithheldReason},
        commit::Envelope,
    },
    domain::{
        bounds::{DATASETS_MAX, DataAction, KeyChange, KeyScopes, NETWORKS_MAX},
        id::UserId,
        key::KeyId,
        user::LABEL_CHARS_MAX,
        view::KeyRow,
    },
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfPeople},
        state::Service,
        store_problem::store_problem,
    },
    store::{
        Stores,
        last_use::{UsedKey, UsedLast},
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/users/{id}/keys", "GET, HEAD, POST")
            .route(method::read().to(list))
            .route(web::method(Method::POST).to(issue)),
    )
    .service(
        method::resource("/users/{id}/keys/{key_id}", "GET, HEAD, PATCH, DELETE")
            .route(method::read().to(show))
            .route(web::method(Method::PATCH).to(change))
            .route(web::method(Method::DELETE).to(revoke)),
    )
    .service(method::resource("/users/{id}/keys/{key_id}/rotate", "POST").route(web::method(Method::POST).to(rotate)));
}

fn path_of(path: &(String, String)) -> Result<(UserId, KeyId), Problem> {
    let key = key_id(&path.1)?;
    Ok((user_id(&path.0)?, key))
}

/// The key as the commit left it.
fn row(done: &Done, id: KeyId) -> Result<KeyRow, Problem> {
    let found = done.committed.state.rows().keys.into_iter().find(|key| key.id == id);
    found.ok_or_else(|| Problem::internal("a key's commit left no such key"))
}

async fn list(_: Admin<OfPeople>, request: HttpRequest, id: web::Path<String>, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["as_of"])?;
    let user = user_id(&id)?;
    let Some(as_of) = params.text("as_of") else { return list_of(&service, user).await };
    let PastPerson { user, keys, .. } = past(&service, user, as_of).await?;
    let keys: Vec<UsedKey> = keys.into_iter().map(unused).collect();
    Ok(answer::versioned(StatusCode::OK, user.version, &json!({ "data": keys })))
}

/// A key as it was: the log does not tell of single uses.
fn unused(row: KeyRow) -> UsedKey {
    UsedKey { row, used: UsedLast::default() }
}

/// A person's keys.
pub(in crate::http) async fn list_of(service: &Service, user: UserId) -> Answer {
    let user = existing(service, user).await?;
    let keys = used(service, user.id).await?.used_keys(user.id).await.map_err(store_problem)?;
    Ok(answer::versioned(StatusCode::OK, user.version, &json!({ "data": keys })))
}

/// The stores, once the ledger has this node's tally of a person's requests.
///
/// # Errors
/// When the ledger cannot be reached.
pub(super) async fn used(service: &Service, user: UserId) -> Result<&Stores, Problem> {
    service.book.settle(user).await.map_err(store_problem)?;
    Ok(&service.committer.stores)
}

/// The owner of the keys that a request is about, and the path of those keys.
pub(super) struct Owner {
    pub(super) user: UserId,
    /// The path before a key's id.
    pub(super) path: String,
}

impl Owner {
    fn of(user: UserId) -> Self {
        Self { user, path: format!("/users/{user}/keys") }
    }
}

/// The key that a path names.
///
/// # Errors
/// 404 when it is not an id at all.
pub(in crate::http) fn key_id(text: &str) -> Result<KeyId, Problem> {
    KeyId::parse(text).map_err(|error| Problem::new(ProblemCode::NotFound, error.to_string()))
}

async fn show(
    _: Admin<OfPeople>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> Answer {
    let params = Params::read(request.query_string(), &["as_of"])?;
    let (user, id) = path_of(&path)?;
    if let Some(as_of) = params.text("as_of") {
        let found = past(&service, user, as_of).await?.keys.into_iter().find(|key| key.id == id);
        let no_key = || Problem::new(ProblemCode::NotFound, format!("the user had no key {id} as of {as_of}"));
        let key = found.ok_or_else(no_key)?;
        return Ok(answer::versioned(StatusCode::OK, key.version, &unused(key)));
    }
    let key = service.committer.stores.views.key(id).await.map_err(store_problem)?;
    let key = key.filter(|key| key.user == user);
    let key = key.ok_or_else(|| Problem::new(ProblemCode::NotFound, format!("the user has no key {id}")))?;
    let version = key.version;
    let shown = used(&service, user).await?.with_uses(user, vec![key]).await.map_err(store_problem)?;
    Ok(answer::versioned(StatusCode::OK, version, &shown.first()))
}

/// What is wanted of a key; what is absent stays, and null takes away what was said.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeOfKey", extend("minProperties" = 1))]
pub(in crate::http) struct ChangeKeyBody {
    /// What its owner calls it.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(length(max = LABEL_CHARS_MAX))]
    label: Option<Option<String>>,
    /// When it stops working; null for as long as its owner's plan allows.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<Option<String>>,
    /// The addresses and networks (CIDR) that it may be used from; null for any.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(length(min = 1, max = NETWORKS_MAX))]
    allowed_ips: Option<Option<Vec<String>>>,
    /// What it may be used for; null for all that its owner's plan allows.
    #[serde(default, deserialize_with = "sent")]
    scopes: Option<Option<ScopesBody>>,
}

/// A key to issue: what is absent is as the plan has it, or without bounds.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "NewKey", transparent, extend("minProperties" = 0))]
pub(in crate::http) struct NewKeyBody(ChangeKeyBody);

/// What a key may be used for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewKeyScopes")]
struct ScopesBody {
    /// The data sets; null, or nothing, for all.
    #[serde(default)]
    #[schemars(length(min = 1, max = DATASETS_MAX))]
    datasets: Option<Vec<String>>,
    /// What it may do with them; null, or nothing, for all.
    #[serde(default)]
    #[schemars(length(min = 1, max = DataAction::ALL.len()))]
    actions: Option<Vec<DataAction>>,
}

/// A field that was sent, also if it is null.
fn sent<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

impl BodyFields for ChangeKeyBody {
    const NAMES: &'static [&'static str] = &["label", "expires_at", "allowed_ips", "scopes"];
}

impl BodyFields for NewKeyBody {
    const NAMES: &'static [&'static str] = ChangeKeyBody::NAMES;
    const OPTIONAL: bool = true;
}

impl ChangeKeyBody {
    fn change(self) -> Result<KeyChange, Problem> {
        let moment = |text: String| {
            let expected = "at `expires_at`: a moment such as 2027-01-31T00:00:00Z is expected";
            text.parse().map_err(|_| Problem::new(ProblemCode::InvalidBody, expected))
        };
        let scopes = |body: ScopesBody| {
            let actions = body.actions.unwrap_or_else(|| DataAction::ALL.to_vec());
            KeyScopes { datasets: body.datasets, actions }
        };
        Ok(KeyChange {
            label: self.label,
            expires_at: self.expires_at.map(|expires_at| expires_at.map(moment).transpose()).transpose()?,
            allowed_ips: self.allowed_ips,
            scopes: self.scopes.map(|body| body.map(scopes)),
        })
    }
}

pub(in crate::http) async fn issue(
    command: CommandRequest<NewKeyBody, OfPeople>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    issue_for(command.body, command.envelope, &Owner::of(user_id(&id)?), &service).await
}

/// Issues a key to somebody.
pub(super) async fn issue_for(body: NewKeyBody, envelope: Envelope, owner: &Owner, service: &Service) -> Answer {
    let issue = AccountCommand::IssueApiKey(body.0.change()?);
    let done = service.accounts.perform(owner.user, issue, envelope).await;
    issued(service, owner, &done.map_err(command_problem)?, None)
}

async fn change(
    command: CommandRequest<ChangeKeyBody, OfPeople>,
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> Answer {
    let (user, key) = path_of(&path)?;
    change_for(command.body, command.envelope, user, key, &service).await
}

/// Changes what somebody's key is called and what it may.
pub(super) async fn change_for(
    body: ChangeKeyBody,
    envelope: Envelope,
    user: UserId,
    key: KeyId,
    service: &Service,
) -> Answer {
    let change = body.change()?;
    if change == KeyChange::default() {
        let detail = format!("nothing to change: send one or more of {}", ChangeKeyBody::NAMES.join(", "));
        return Err(Problem::new(ProblemCode::InvalidBody, detail));
    }
    let done = service.accounts.perform(user, AccountCommand::ChangeApiKey { key, change }, envelope).await;
    let done = done.map_err(command_problem)?;
    Ok(answer::versioned(StatusCode::OK, done.committed.version, &row(&done, key)?))
}

/// A rotation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rotation")]
pub(in crate::http) struct RotateBody {
    /// Seconds for which the old key still works.
    #[serde(default)]
    #[schemars(range(max = GRACE_S_MAX))]
    grace_s: u32,
}

impl BodyFields for RotateBody {
    const NAMES: &'static [&'static str] = &["grace_s"];
    const OPTIONAL: bool = true;
}

pub(in crate::http) async fn rotate(
    command: CommandRequest<RotateBody, OfPeople>,
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> Answer {
    let (user, key) = path_of(&path)?;
    rotate_for(command.body, command.envelope, &Owner::of(user), key, &service).await
}

/// Replaces somebody's key.
pub(super) async fn rotate_for(
    RotateBody { grace_s }: RotateBody,
    envelope: Envelope,
    owner: &Owner,
    key: KeyId,
    service: &Service,
) -> Answer {
    if grace_s > GRACE_S_MAX {
        let detail = format!("at `grace_s`: at most {GRACE_S_MAX} seconds");
        return Err(Problem::new(ProblemCode::InvalidBody, detail));
    }
    let rotation = AccountCommand::RotateApiKey { key, grace_s };
    let done = service.accounts.perform(owner.user, rotation, envelope).await.map_err(command_problem)?;
    let old = row(&done, key)?;
    issued(service, owner, &done, Some(json!({ "id": key, "valid_until": old.valid_until })))
}

/// The answer with the key itself, or with the reason why it is withheld: the command is repeated late, or its key has ended.
fn issued(service: &Service, owner: &Owner, done: &Done, replaces: Option<Value>) -> Result<HttpResponse, Problem> {
    let (id, name, value) = match (&done.key, done.withheld) {
        (Some(key), _) => (key.id(), "key", key.reveal().to_owned()),
        (None, Some(withheld)) => (withheld.id, "key_withheld", advice(&owner.path, withheld)),
        (None, None) => return Err(Problem::internal("a key was issued but cannot be shown")),
    };
    let mut body = serde_json::to_value(row(done, id)?).map_err(Problem::internal)?;
    if let Value::Object(fields) = &mut body {
        fields.insert(name.to_owned(), value.into());
        if let Some(replaces) = replaces {
            fields.insert("replaces".to_owned(), replaces);
        }
    }
    let location = format!("{}{}/{id}", service.public_url, owner.path);
    Ok(answer::created(&location, done.committed.version, &body))
}

/// What to do about a key that is not shown again.
fn advice(keys: &str, Withheld { id, reason }: Withheld) -> String {
    let issue = format!("POST {keys}, under another Idempotency-Key, issues a new one");
    let rotate = format!("POST {keys}/{id}/rotate, under another Idempotency-Key, replaces it by a new one");
    match reason {
        WithheldReason::Late => {
            let minutes = KEY_SHOWN_FOR.as_mins();
            format!("the key was issued more than {minutes} minutes ago and is not shown again: {rotate}")
        }
        WithheldReason::Ended => format!("the key does not work any more and is not shown again: {issue}"),
        WithheldReason::OtherSecret => {
            format!("the key was issued under another server secret and cannot be shown again: {rotate}")
        }
    }
}

pub(in crate::http) async fn revoke(
    command: CommandRequest<Nothing, OfPeople>,
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> Answer {
    let (user, key) = path_of(&path)?;
    revoke_for(command.envelope, user, key, &service).await
}

/// Revokes somebody's key.
pub(super) async fn revoke_for(envelope: Envelope, user: UserId, key: KeyId, service: &Service) -> Answer {
    let done = service.accounts.perform(user, AccountCommand::RevokeApiKey { key }, envelope).await;
    let done = done.map_err(command_problem)?;
    let revoked_at = row(&done, key)?.revoked_at;
    // A key that was revoked before keeps the time of its first revocation.
    let effective_at = revoked_at.and_then(|at| at.checked_add(done.delay).ok());
    let body = json!({ "id": key, "user": user, "revoked_at": revoked_at, "effective_at": effective_at });
    Ok(answer::versioned(StatusCode::OK, done.committed.version, &body))
}
