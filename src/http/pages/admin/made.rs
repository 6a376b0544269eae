//! Keys and tokens that were just made, shown until somebody says that they have kept them. What is kept meanwhile is not the secret but
//! its id, sealed in a cookie for this session alone: the secret follows from it, and is made anew for each look.

use actix_web::http::header::HeaderValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    domain::{
        id::{UserId, hex},
        key::KeyId,
        user::Standing,
    },
    http::{
        Problem,
        cookie::Cookie,
        pages::visit::{Visit, Visitor, bound_to},
        routes::{command_problem, store_problem},
    },
};

/// What the seal is for.
const LABEL: &str = "permitd/made/v1";
/// Seconds for which it is shown.
const LIFE_S: i64 = 600;
/// What stands in place of an owner for an administrator's token.
const TOKEN: &str = "token";

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MadeFor {
    /// A person's key.
    Person(UserId),
    /// An administrator's token.
    Administration,
}

impl MadeFor {
    fn word(self) -> String {
        match self {
            Self::Person(user) => user.to_string(),
            Self::Administration => TOKEN.to_owned(),
        }
    }
}

fn session_of<W: Visitor>(visit: &Visit<W>) -> String {
    let bound = bound_to(&visit.request, &visit.service).unwrap_or_default();
    hex(&Sha256::digest(bound.as_bytes()))
}

/// The cookie that has a secret shown on the next page.
///
/// # Errors
/// Never: what it holds can be written.
pub(super) fn keep<W: Visitor>(visit: &Visit<W>, made_for: MadeFor, id: &str) -> Result<HeaderValue, Problem> {
    let committer = &visit.service.committer;
    let until = committer.clock.now().as_second().saturating_add(LIFE_S);
    let text = format!("{}.{id}.{until}.{}", made_for.word(), session_of(visit));
    Cookie::MADE.set(&committer.secrets.seal(LABEL, &text), LIFE_S, &visit.service.public_url)
}

/// The cookie that ends it.
///
/// # Errors
/// Never.
pub(super) fn kept<W: Visitor>(visit: &Visit<W>) -> Result<HeaderValue, Problem> {
    Cookie::MADE.remove(&visit.service.public_url)
}

/// The secret that this session has made for them, while it is to be shown and works.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn shown<W: Visitor>(visit: &Visit<W>, made_for: MadeFor) -> Result<Option<Value>, Problem> {
    let Some(id) = id_in(visit, made_for) else { return Ok(None) };
    let committer = &visit.service.committer;
    let now = committer.clock.now();
    let secret = match made_for {
        MadeFor::Person(user) => {
            let user = committer.load_user(user).await.map_err(command_problem)?;
            let user = user.filter(|user| user.standing != Standing::Deleted);
            let key = user.as_ref().and_then(|user| user.keys.get(&id)).filter(|key| key.works(now));
            key.and_then(|key| {
                let made = committer.secrets.api_key(key.secret_version, id).ok()?;
                (made.hash() == key.hash).then(|| made.reveal().to_owned())
            })
        }
        MadeFor::Administration => {
            let row = committer.stores.views.admin_token(id).await.map_err(store_problem)?;
            row.filter(|row| row.works(now)).and_then(|row| {
                let made = committer.secrets.admin_token(id).ok()?;
                (made.hash() == row.hash).then(|| made.reveal().to_owned())
            })
        }
    };
    Ok(secret.map(|secret| json!({ "id": id, "secret": secret })))
}

fn id_in<W: Visitor>(visit: &Visit<W>, made_for: MadeFor) -> Option<KeyId> {
    let committer = &visit.service.committer;
    let sealed = Cookie::MADE.read(visit.request.headers(), &visit.service.public_url)?;
    let (_, text) = committer.secrets.open_sealed(LABEL, sealed)?;
    let mut parts = text.split('.');
    let (owner, id, until, session) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let until: i64 = until.parse().ok()?;
    let is_ours = owner == made_for.word() && session == session_of(visit) && committer.clock.now().as_second() < until;
    is_ours.then(|| KeyId::parse(id).ok()).flatten()
}
