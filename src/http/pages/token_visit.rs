//! Pages with an administrator's token: a browser that has shown one gets a sealed cookie that names it, for some hours. The cookie is not
//! the token: it only opens pages, and ends with the token.

use actix_web::{HttpRequest, http::header::HeaderValue};
use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{id::Who, key::KeyId},
    http::{
        Problem,
        cookie::Cookie,
        session::{self, KnownCaller},
        state::Service,
        store_problem::store_problem,
    },
};

const LABEL: &str = "permitd/token-visit/v1";
/// How long the cookie lasts.
const LIFE: SignedDuration = SignedDuration::from_hours(12);

/// The cookie for a browser that has shown this token; `None` when the token does not work.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn begin(service: &Service, token: &str) -> Result<Option<HeaderValue>, Problem> {
    let Some((id, _)) = session::token_of(service, token).await? else { return Ok(None) };
    let until = service.committer.clock.now().checked_add(LIFE).map_err(Problem::internal)?;
    let sealed = service.committer.secrets.seal(LABEL, &format!("{id}.{}", until.as_second()));
    Cookie::TOKEN.set(&sealed, LIFE.as_secs(), &service.public_url).map(Some)
}

/// The holder of the token that the request's cookie names, if the token still works.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn caller(request: &HttpRequest, service: &Service) -> Result<Option<KnownCaller>, Problem> {
    let committer = &service.committer;
    let sealed = Cookie::TOKEN.read(request.headers(), &service.public_url);
    let Some((_, text)) = sealed.and_then(|sealed| committer.secrets.open_sealed(LABEL, sealed)) else {
        return Ok(None);
    };
    let now = committer.clock.now();
    let Some(id) = read(text, now) else { return Ok(None) };
    if service.rehearsed.as_ref().is_some_and(|rehearsed| rehearsed.token.id == id) {
        return Ok(Some(session::caller_of_run(id)));
    }
    let row = committer.stores.views.admin_token(id).await.map_err(store_problem)?;
    let Some(row) = row.filter(|row| row.works(now)) else { return Ok(None) };
    service.token_uses.note(&*committer.stores.admin_tokens, id, now).await;
    let who = service
        .old_tokens
        .values()
        .find(|old| old.id == id)
        .map_or_else(|| Who::token(id.as_str()), |old| old.who.clone());
    Ok(Some(KnownCaller { who, permissions: row.permissions(), until: row.expires_at }))
}

/// The token's id, if the cookie's time is not over.
fn read(text: &str, now: Timestamp) -> Option<KeyId> {
    let (id, until) = text.split_once('.')?;
    let until: i64 = until.parse().ok()?;
    (now.as_second() < until).then(|| KeyId::parse(id).ok()).flatten()
}
