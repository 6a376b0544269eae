//! Administrators' tokens: `/admin-tokens`, `/admin-tokens/{id}`.

use std::collections::HashMap;

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    answer::{self, Answer},
    command::{BodyFields, CommandRequest, Nothing},
    params::Params,
    refusal::command_problem,
};
use crate::{
    actors::{
        account::{Withheld, WithheldReason},
        tokens::TokenOrder,
    },
    domain::{
        admin_token::{Others, TOKEN_NAME_CHARS_MAX},
        key::KeyId,
        permission::{Permission, Permissions},
        view::TokenRow,
    },
    http::{
        Problem, ProblemCode,
        credentials::beyond,
        method,
        session::{Admin, Needs, OfAll},
        state::Service,
        store_problem::store_problem,
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/admin-tokens", "GET, HEAD, POST")
            .route(method::read().to(list))
            .route(web::method(Method::POST).to(create)),
    )
    .service(
        method::resource("/admin-tokens/{id}", "GET, HEAD, DELETE")
            .route(method::read().to(show))
            .route(web::method(Method::DELETE).to(revoke)),
    );
}

/// A token with when it was used.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::http) struct ShownToken {
    #[serde(flatten)]
    token: TokenRow,
    /// Whether it works, was revoked, or has expired.
    status: TokenStatus,
    /// When it was used last, exact to a minute.
    last_used_at: Option<Timestamp>,
}

/// How a token stands.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TokenStatus {
    Active,
    Expired,
    Revoked,
}

const STATUSES: [(&str, TokenStatus); 3] =
    [("active", TokenStatus::Active), ("expired", TokenStatus::Expired), ("revoked", TokenStatus::Revoked)];

impl ShownToken {
    fn of(token: TokenRow, uses: &HashMap<KeyId, Timestamp>, now: Timestamp) -> Self {
        let status = match token.revoked_at {
            Some(_) => TokenStatus::Revoked,
            None if token.works(now) => TokenStatus::Active,
            None => TokenStatus::Expired,
        };
        Self { status, last_used_at: uses.get(&token.id).copied(), token }
    }
}

async fn uses(service: &Service) -> Result<HashMap<KeyId, Timestamp>, Problem> {
    Ok(service.committer.stores.admin_tokens.uses().await.map_err(store_problem)?.into_iter().collect())
}

/// Lists the tokens, newest first.
pub(in crate::http) async fn list(_: Admin<OfAll>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["status", "limit", "after"])?;
    let (limit, status) = (params.limit()?, params.one_of("status", &STATUSES)?);
    let after = params.text("after").map(KeyId::parse).transpose();
    let after = after.map_err(|error| super::params::refuse("after", error.to_string(), None))?;
    let mut rows = service.committer.stores.views.admin_tokens().await.map_err(store_problem)?;
    rows.sort_by_key(|row| std::cmp::Reverse((row.issued_at, row.id)));
    if let Some(at) = after.and_then(|after| rows.iter().position(|row| row.id == after)) {
        rows.drain(..=at);
    }
    let (uses, now) = (uses(&service).await?, service.committer.clock.now());
    let shown = rows.into_iter().map(|row| ShownToken::of(row, &uses, now));
    let mut shown: Vec<ShownToken> =
        shown.filter(|shown| status.is_none_or(|status| shown.status == status)).take(limit + 1).collect();
    let is_more = shown.len() > limit;
    shown.truncate(limit);
    let last = shown.last().filter(|_| is_more).map(|shown| shown.token.id.to_string());
    Ok(answer::page(&request, &shown, limit, last))
}

fn token_id(text: &str) -> Result<KeyId, Problem> {
    KeyId::parse(text).map_err(|error| Problem::new(ProblemCode::NotFound, error.to_string()))
}

async fn existing(service: &Service, id: KeyId) -> Result<ShownToken, Problem> {
    let found = service.committer.stores.views.admin_token(id).await.map_err(store_problem)?;
    let missing = || Problem::new(ProblemCode::NotFound, format!("there is no administrator's token {id}"));
    Ok(ShownToken::of(found.ok_or_else(missing)?, &uses(service).await?, service.committer.clock.now()))
}

async fn show(_: Admin<OfAll>, request: HttpRequest, id: web::Path<String>, service: web::Data<Service>) -> Answer {
    Params::read(request.query_string(), &[])?;
    Ok(answer::document(StatusCode::OK, &existing(&service, token_id(&id)?).await?))
}

/// A token to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewAdminToken")]
pub(in crate::http) struct TokenBody {
    /// What it is called. No two tokens that work have the same name.
    #[schemars(length(min = 1, max = TOKEN_NAME_CHARS_MAX))]
    name: String,
    /// What it may.
    #[schemars(length(min = 1))]
    scopes: Vec<Permission>,
    /// Whether it may only read.
    #[serde(default)]
    read_only: bool,
    /// When it stops working. Where nothing is said: when the token that makes it does, or never.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

impl BodyFields for TokenBody {
    const NAMES: &'static [&'static str] = &["name", "scopes", "read_only", "expires_at"];
}

pub(in crate::http) async fn create(command: CommandRequest<TokenBody, OfAll>, service: web::Data<Service>) -> Answer {
    let TokenBody { name, scopes, read_only, expires_at } = command.body;
    let until = command.caller.until;
    if let (Some(until), Some(wanted)) = (until, expires_at)
        && wanted > until
    {
        let detail = format!("at `expires_at`: you may make tokens that work until {until}, as long as yours does");
        return Err(beyond(detail, OfAll::PERMISSIONS));
    }
    let permissions = Permissions::of(&scopes).only_reading(read_only);
    let order = TokenOrder { name: Some(name), permissions, expires_at: expires_at.or(until) };
    let made = service.tokens.issue(order, Others::Stay, command.envelope).await.map_err(command_problem)?;
    let made = made.ok_or_else(|| Problem::internal("a token was made but is not there"))?;
    let rows = made.committed.state.rows().tokens;
    let row = rows.into_iter().find(|row| row.id == made.id);
    let row = row.ok_or_else(|| Problem::internal("a token's commit left no such token"))?;
    let shown = ShownToken::of(row, &HashMap::new(), service.committer.clock.now());
    let mut body = serde_json::to_value(shown).map_err(Problem::internal)?;
    if let Some(fields) = body.as_object_mut() {
        let (name, value) = match &made.shown {
            Ok(token) => ("token", token.reveal().to_owned()),
            Err(withheld) => ("token_withheld", advice(*withheld)),
        };
        fields.insert(name.to_owned(), value.into());
    }
    let location = format!("{}/admin-tokens/{}", service.public_url, made.id);
    Ok(answer::created(&location, made.committed.version, &body))
}

/// What to do about a token that is not shown again.
fn advice(Withheld { id, reason }: Withheld) -> String {
    let why = match reason {
        WithheldReason::Late => "was made too long ago to be shown again",
        WithheldReason::Ended => "does not work any more and is not shown again",
        WithheldReason::OtherSecret => "was made under another server secret and cannot be shown again",
    };
    format!("the token {why}: DELETE /admin-tokens/{id}, then POST /admin-tokens under another Idempotency-Key")
}

pub(in crate::http) async fn revoke(
    command: CommandRequest<Nothing, OfAll>,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let id = token_id(&id)?;
    let committed = service.tokens.revoke(id, command.envelope).await.map_err(command_problem)?;
    let revoked_at = committed.state.rows().tokens.into_iter().find(|row| row.id == id).and_then(|row| row.revoked_at);
    Ok(answer::versioned(StatusCode::OK, committed.version, &json!({ "id": id, "revoked_at": revoked_at })))
}
