//! A secret that a browser is shown until its owner confirms having it: a new key or token, or a second factor being set up. The browser
//! keeps its sealed name for some minutes, bound to the session; the server derives, or reads, the secret anew each time.

use std::fmt;

use actix_web::http::header::{HeaderValue, SET_COOKIE};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::visit::{Shown, Visit, Visitor, bound_to};
use crate::{
    domain::{
        id::UserId,
        key::KeyId,
        user::{Standing, User},
        view::TokenRow,
    },
    http::{Problem, cookie::Cookie, routes::refusal::command_problem, store_problem::store_problem},
};

const LABEL: &str = "permitd/handed/v1";
/// How long a secret is shown at most.
const LIFE: SignedDuration = SignedDuration::from_mins(10);

/// The secret that is shown. It has no `Debug`, so that recovery codes reach neither logs nor errors.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Handed {
    /// A person's key.
    Key(UserId, KeyId),
    /// An administrator's token.
    Token(KeyId),
    /// The secret of a person's unconfirmed second factor.
    Factor(UserId),
    /// A person's recovery codes, kept sealed by the browser itself: the server stores only their hashes.
    Codes(UserId, Vec<String>),
}

impl fmt::Display for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(user, id) => write!(f, "key.{user}.{id}"),
            Self::Token(id) => write!(f, "token.{id}"),
            Self::Factor(user) => write!(f, "factor.{user}"),
            Self::Codes(user, codes) => write!(f, "codes.{user}.{}", codes.join(".")),
        }
    }
}

impl Handed {
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        match parts.as_slice() {
            ["key", user, id] => Some(Self::Key(UserId::parse(user).ok()?, KeyId::parse(id).ok()?)),
            ["token", id] => Some(Self::Token(KeyId::parse(id).ok()?)),
            ["factor", user] => Some(Self::Factor(UserId::parse(user).ok()?)),
            ["codes", user, codes @ ..] => {
                Some(Self::Codes(UserId::parse(user).ok()?, codes.iter().map(ToString::to_string).collect()))
            }
            _ => None,
        }
    }

    /// A person's new key, from the answer of the command that made it.
    ///
    /// # Errors
    /// When the answer has no id: a fault of ours.
    pub(super) fn key(user: UserId, made: &Value) -> Result<Self, Problem> {
        Ok(Self::Key(user, id_of(made)?))
    }

    /// A new token, from the answer of the command that made it.
    ///
    /// # Errors
    /// When the answer has no id: a fault of ours.
    pub(super) fn token(made: &Value) -> Result<Self, Problem> {
        Ok(Self::Token(id_of(made)?))
    }
}

fn id_of(made: &Value) -> Result<KeyId, Problem> {
    KeyId::parse(made["id"].as_str().unwrap_or_default()).map_err(Problem::internal)
}

/// The label of the seal, which holds for one browser's session alone.
fn label<W: Visitor>(visit: &Visit<W>) -> Option<String> {
    bound_to(&visit.request, &visit.service).map(|bound| format!("{LABEL} {bound}"))
}

/// Makes the next pages show the secret.
///
/// # Errors
/// A fault of ours.
pub(super) fn begin<W: Visitor>(visit: &Visit<W>, led: Shown, what: &Handed) -> Shown {
    let committer = &visit.service.committer;
    let label = label(visit).ok_or_else(|| Problem::internal("a form came without a cookie"))?;
    let until = committer.clock.now().checked_add(LIFE).map_err(Problem::internal)?;
    let sealed = committer.secrets.seal(&label, &format!("{}.{what}", until.as_second()));
    with(led, Cookie::HANDED.set(&sealed, LIFE.as_secs(), &visit.service.public_url)?)
}

/// Makes further pages not show the secret.
///
/// # Errors
/// A fault of ours.
pub(super) fn end<W: Visitor>(visit: &Visit<W>, led: Shown) -> Shown {
    with(led, Cookie::HANDED.remove(&visit.service.public_url)?)
}

fn with(led: Shown, cookie: HeaderValue) -> Shown {
    let mut led = led?;
    led.headers_mut().append(SET_COOKIE, cookie);
    Ok(led)
}

/// The secret that the visitor is being shown.
pub(super) fn present<W: Visitor>(visit: &Visit<W>) -> Option<Handed> {
    let sealed = Cookie::HANDED.read(visit.request.headers(), &visit.service.public_url)?;
    let committer = &visit.service.committer;
    let (_, text) = committer.secrets.open_sealed(&label(visit)?, sealed)?;
    read(text, committer.clock.now())
}

fn read(text: &str, now: Timestamp) -> Option<Handed> {
    let (until, what) = text.split_once('.')?;
    let until: i64 = until.parse().ok()?;
    Handed::parse(what).filter(|_| now.as_second() < until)
}

/// The key or token that the visitor is being shown, if it is asked for and works: its `id` and its `secret`.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn secret<W: Visitor>(
    visit: &Visit<W>,
    is_asked_for: impl FnOnce(&Handed) -> bool,
) -> Result<Option<Value>, Problem> {
    let committer = &visit.service.committer;
    match present(visit).filter(|what| is_asked_for(what)) {
        Some(Handed::Key(user, id)) => {
            let user = committer.load_user(user).await.map_err(command_problem)?;
            Ok(user.and_then(|user| key_of(visit, &user, id)))
        }
        Some(Handed::Token(id)) => {
            let row = committer.stores.views.admin_token(id).await.map_err(store_problem)?;
            Ok(row.and_then(|row| token_of(visit, &row, id)))
        }
        Some(Handed::Factor(_) | Handed::Codes(..)) | None => Ok(None),
    }
}

// Another server secret derives other keys and tokens: then nothing is shown.

fn key_of<W: Visitor>(visit: &Visit<W>, user: &User, id: KeyId) -> Option<Value> {
    let committer = &visit.service.committer;
    let key = user.keys.get(&id).filter(|key| key.works(committer.clock.now()))?;
    let derived = committer.secrets.api_key(key.secret_version, id).ok()?;
    let is_it = user.standing != Standing::Deleted && derived.hash() == key.hash;
    is_it.then(|| json!({ "id": id, "secret": derived.reveal() }))
}

fn token_of<W: Visitor>(visit: &Visit<W>, row: &TokenRow, id: KeyId) -> Option<Value> {
    let committer = &visit.service.committer;
    let derived = committer.secrets.admin_token(id).ok()?;
    let is_it = row.works(committer.clock.now()) && derived.hash() == row.hash;
    is_it.then(|| json!({ "id": id, "secret": derived.reveal() }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn it_is_shown_for_some_minutes() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let (user, id) = (UserId(Uuid::from_u128(7)), KeyId::from_random([3; 12]));
        let codes = Handed::Codes(user, vec!["abcd-efgh".to_owned(), "ijkl-mnop".to_owned()]);
        for what in [Handed::Key(user, id), Handed::Token(id), Handed::Factor(user), codes] {
            let text = format!("{}.{what}", now.as_second() + 1);
            assert!(read(&text, now) == Some(what));
            assert!(read(&text, now.checked_add(SignedDuration::from_secs(1)).unwrap()).is_none());
        }
        for wrong in ["", "..", "x.factor.y", &format!("9999999999.factor.{id}"), &format!("9999999999.key.{user}")] {
            assert!(read(wrong, now).is_none(), "{wrong}");
        }
    }
}
