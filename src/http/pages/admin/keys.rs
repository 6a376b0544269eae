//! A person's keys on their page: an administrator issues, replaces and revokes them. A new key is shown until it was kept.

use actix_web::web;
use serde_json::{Value, json};

use super::{
    super::{
        flash::Flash,
        form::Form,
        handed::{self, Handed},
        visit::{Shown, Staff, Visit, at, put},
    },
    person,
    told::{day_in, not_done, path_of, reason},
};
use crate::{
    domain::id::UserId,
    http::{
        Problem, ProblemCode, method,
        pages::route::post,
        routes::{
            command::Nothing,
            keys::{self, NewKeyBody, RotateBody},
            users,
        },
        session::OfPeople,
    },
};

/// How long a replaced key may go on working, seconds: the choices.
const GRACES_S: [u32; 4] = [0, 3600, 86_400, 604_800];

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/people/{id}/keys", "POST").route(post(issue)))
        .service(method::resource("/admin/people/{id}/keys/kept", "POST").route(post(kept)))
        .service(method::resource("/admin/people/{id}/keys/{key}/rotate", "POST").route(post(rotate)))
        .service(method::resource("/admin/people/{id}/keys/{key}/revoke", "POST").route(post(revoke)));
}

/// `POST /admin/people/{id}/keys`.
pub(super) async fn issue(visit: Visit<Staff<OfPeople>>, form: Form) -> Shown {
    let id = users::user_id(visit.part("id"))?;
    match issued(&visit, id, &form).await {
        Ok(key) => with_key(&visit, id, &key, "person-keys-issued"),
        Err(problem) if problem.code() == ProblemCode::InvalidBody => {
            let told = problem.clone().detailed(reason(visit.language, &problem)?);
            person::page(&visit, &form.again(&told)).await
        }
        Err(problem) => visit.led(&path_of(id), Some(&refused(&visit, id, problem).await?)),
    }
}

async fn issued(visit: &Visit<Staff<OfPeople>>, id: UserId, form: &Form) -> Result<Value, Problem> {
    let mut body = json!({});
    if let Some(label) = form.text("label") {
        put(&mut body, "label", label);
    }
    if let Some(text) = form.text("expires_at") {
        // A day counts to its end.
        let moment = day_in(text).map_or_else(|| text.to_owned(), |day| format!("{day}T23:59:59Z"));
        put(&mut body, "expires_at", json!(moment));
    }
    let command = visit.command::<NewKeyBody>(form, &body)?;
    visit.asked(keys::issue(command, web::Path::from(id.to_string()), visit.service.clone())).await
}

/// `POST /admin/people/{id}/keys/{key}/rotate`.
pub(super) async fn rotate(visit: Visit<Staff<OfPeople>>, form: Form) -> Shown {
    let id = users::user_id(visit.part("id"))?;
    let grace_s = form.text("grace_s").and_then(|text| text.parse().ok()).filter(|grace| GRACES_S.contains(grace));
    let body = json!({ "grace_s": grace_s.unwrap_or(0) });
    let path = web::Path::from((id.to_string(), visit.part("key").to_owned()));
    let rotated = match visit.command::<RotateBody>(&form, &body) {
        Ok(command) => visit.asked(keys::rotate(command, path, visit.service.clone())).await,
        Err(problem) => Err(problem),
    };
    match rotated {
        Ok(key) => with_key(&visit, id, &key, "person-keys-rotated"),
        Err(problem) => visit.led(&path_of(id), Some(&refused(&visit, id, problem).await?)),
    }
}

/// `POST /admin/people/{id}/keys/{key}/revoke`.
pub(super) async fn revoke(visit: Visit<Staff<OfPeople>>, _: Form) -> Shown {
    let id = users::user_id(visit.part("id"))?;
    let path = web::Path::from((id.to_string(), visit.part("key").to_owned()));
    let command = visit.settling::<Nothing>(&json!({}))?;
    let flash = match visit.asked(keys::revoke(command, path, visit.service.clone())).await {
        Ok(_) => Flash::done("person-keys-revoked"),
        Err(problem) => refused(&visit, id, problem).await?,
    };
    visit.led(&path_of(id), Some(&flash))
}

/// `POST /admin/people/{id}/keys/kept`: the new key was kept; stops showing it.
pub(super) async fn kept(visit: Visit<Staff<OfPeople>>, _: Form) -> Shown {
    let id = users::user_id(visit.part("id"))?;
    handed::end(&visit, visit.led(&path_of(id), Some(&Flash::done("person-keys-kept"))))
}

fn with_key(visit: &Visit<Staff<OfPeople>>, id: UserId, key: &Value, message: &str) -> Shown {
    // A form that was sent again late does not show the key any more.
    let message = if key.get("key").is_some() { message } else { "person-keys-late" };
    handed::begin(visit, visit.led(&path_of(id), Some(&Flash::done(message))), &Handed::key(id, key)?)
}

/// The message for a refusal: by the present state of the key and the person.
async fn refused(visit: &Visit<Staff<OfPeople>>, id: UserId, problem: Problem) -> Result<Flash, super::PageRefusal> {
    use crate::domain::view::{UserRow, UserStatus};
    if problem.code() == ProblemCode::Conflict {
        let UserRow { status, name, email, .. } = users::existing(&visit.service, id).await?;
        let named = |flash: Flash| flash.with("name", name.or(email).unwrap_or_default());
        match status {
            UserStatus::Deleted => return Ok(Flash::not_done("person-keys-of-deleted")),
            UserStatus::Disabled => return Ok(named(Flash::not_done("person-is-disabled"))),
            UserStatus::Invited | UserStatus::Active => {}
        }
        let working = visit.asked(keys::list_of(&visit.service, id)).await?;
        let key = visit.part("key");
        let ended = at(&working, "/data")
            .as_array()
            .into_iter()
            .flatten()
            .any(|row| row["id"] == key && !(row["revoked_at"].is_null() && row["replaced_by"].is_null()));
        if ended {
            return Ok(Flash::not_done("person-keys-ended-already"));
        }
    }
    not_done(visit.language, problem)
}
