//! What somebody was given and is shown until they say that they have it: a new key, or the secret of a second factor that they set up. The
//! browser keeps its sealed name for some minutes, bound to the session; the secret itself is derived, or read, anew each time.

use actix_web::http::header::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::visit::{Visit, Visitor, bound_to};
use crate::{
    domain::{
        id::UserId,
        key::KeyId,
        user::{Standing, User},
    },
    http::{Problem, cookie::Cookie, routes::command_problem},
};

const LABEL: &str = "permitd/handed/v1";
/// How long it is shown at the most.
const LIFE: SignedDuration = SignedDuration::from_mins(10);

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handed {
    /// A key.
    Key(KeyId),
    /// The secret of a second factor that is not confirmed yet.
    Factor,
}

impl Handed {
    fn to_text(self) -> String {
        match self {
            Self::Key(id) => id.to_string(),
            Self::Factor => "factor".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "factor" => Some(Self::Factor),
            id => KeyId::parse(id).ok().map(Self::Key),
        }
    }
}

/// The label of a seal that holds for one browser's session alone.
fn label<W: Visitor>(visit: &Visit<W>) -> Option<String> {
    bound_to(&visit.request, &visit.service).map(|bound| format!("{LABEL} {bound}"))
}

/// The cookie by which this is shown to the visitor.
///
/// # Errors
/// A fault of ours.
pub(super) fn begin<W: Visitor>(visit: &Visit<W>, user: UserId, what: Handed) -> Result<HeaderValue, Problem> {
    let committer = &visit.service.committer;
    let label = label(visit).ok_or_else(|| Problem::internal("a form came without a cookie"))?;
    let until = committer.clock.now().checked_add(LIFE).map_err(Problem::internal)?;
    let text = format!("{user}.{}.{}", what.to_text(), until.as_second());
    Cookie::HANDED.set(&committer.secrets.seal(&label, &text), LIFE.as_secs(), &visit.service.public_url)
}

/// The field that ends it.
///
/// # Errors
/// Never.
pub(super) fn end<W: Visitor>(visit: &Visit<W>) -> Result<HeaderValue, Problem> {
    Cookie::HANDED.remove(&visit.service.public_url)
}

/// What the visitor is being shown, and whose it is.
pub(super) fn present<W: Visitor>(visit: &Visit<W>) -> Option<(UserId, Handed)> {
    let sealed = Cookie::HANDED.read(visit.request.headers(), &visit.service.public_url)?;
    let committer = &visit.service.committer;
    let label = label(visit)?;
    let (_, text) = committer.secrets.open_sealed(&label, sealed)?;
    read(text, committer.clock.now())
}

fn read(text: &str, now: Timestamp) -> Option<(UserId, Handed)> {
    let parts: Vec<&str> = text.split('.').collect();
    let [user, what, until] = parts.as_slice() else { return None };
    let until: i64 = until.parse().ok()?;
    let found = (UserId::parse(user).ok()?, Handed::parse(what)?);
    (now.as_second() < until).then_some(found)
}

/// The key that the visitor is being shown, if it works: its id and its text.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn key<W: Visitor>(visit: &Visit<W>) -> Result<Value, Problem> {
    let Some((user, Handed::Key(id))) = present(visit) else { return Ok(Value::Null) };
    let user = visit.service.committer.load_user(user).await.map_err(command_problem)?;
    Ok(user.filter(|user| user.standing == Standing::Enabled).map_or(Value::Null, |user| shown(visit, &user, id)))
}

fn shown<W: Visitor>(visit: &Visit<W>, user: &User, id: KeyId) -> Value {
    let committer = &visit.service.committer;
    let Some(key) = user.keys.get(&id).filter(|key| key.works(committer.clock.now())) else { return Value::Null };
    // Under another server secret it would be another key.
    match committer.secrets.api_key(key.secret_version, id) {
        Ok(derived) if derived.hash() == key.hash => json!({ "id": id, "key": derived.reveal() }),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn it_is_shown_for_some_minutes() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let (user, id) = (UserId(Uuid::from_u128(7)), KeyId::from_random([3; 12]));
        for what in [Handed::Key(id), Handed::Factor] {
            let text = format!("{user}.{}.{}", what.to_text(), now.as_second() + 1);
            assert_eq!(read(&text, now), Some((user, what)));
            assert_eq!(read(&text, now.checked_add(SignedDuration::from_secs(1)).unwrap()), None);
        }
        for wrong in ["", "..", "x.factor.9999999999", &format!("{user}.factor"), &format!("{user}.key.9999999999")] {
            assert_eq!(read(wrong, now), None, "{wrong}");
        }
    }
}
