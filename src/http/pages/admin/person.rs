//! `/admin/people/{id}`: a person, their state, and what happened to them; also as of an earlier moment.

use actix_web::web;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::{
        events_told,
        handed::{self, Handed},
        route::get,
        usage_chart,
        visit::{Shown, Staff, Visit, at, put},
    },
    told::{day_in, plans_to_give, roles, say},
};
use crate::{
    domain::{
        id::{StreamId, UserId, Who},
        view::{KeyRow, UserRow},
    },
    http::{
        Problem, ProblemCode, method,
        routes::{
            keys as key_routes,
            params::Params,
            refusal::command_problem,
            sessions,
            users::{self, PastPerson},
        },
        session::OfPeople,
        store_problem::store_problem,
    },
};

const TEMPLATE: &str = "admin/person/page.html";
/// Commits of a person's stream that a page shows.
const COMMITS_SHOWN: u64 = 40;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/people/{id}", "GET, HEAD").route(get(show)));
}

async fn show(visit: Visit<Staff<OfPeople>>) -> Shown {
    page(&visit, &Value::Null).await
}

/// The page; `form` is shown again where it had a mistake.
pub(super) async fn page(visit: &Visit<Staff<OfPeople>>, form: &Value) -> Shown {
    let query = if visit.request.method().is_safe() { visit.request.query_string() } else { "" };
    let params = Params::read(query, &["as_of", "before"])?;
    let id = users::user_id(visit.part("id"))?;
    let as_of = params.text("as_of").map(of_day);
    let now = visit.service.committer.clock.now();
    let is_past = as_of.is_some();
    let (person, keys) = match as_of.as_deref() {
        None => (users::existing(&visit.service, id).await?, keys_now(visit, id, now).await?),
        Some(text) => {
            let PastPerson { user, keys, at } = users::past(&visit.service, id, text).await?;
            (user, keys.iter().map(|key| key_then(key, at)).collect::<Result<_, _>>()?)
        }
    };
    let working = keys.iter().filter(|key| key["state"] == "active" || key["state"] == "grace").count();
    let live = visit.asked(sessions::live(&visit.service, id, None)).await?;
    let live = if is_past { json!([]) } else { at(&live, "/data").clone() };
    let before = params.number::<u64>("before")?;
    let (events, earlier) = timeline(visit, &person, before).await?;
    let sign_in = visit.service.committer.load_admissible(id).await.map_err(command_problem)?;
    let mails = match &sign_in {
        Some(user) if !is_past => visit.service.mailers.kept(user).await.map_err(Problem::internal)?.len(),
        _ => 0,
    };
    let sign_in = sign_in.map(|user| {
        json!({
            "has_password": user.sign_in.password.is_some(),
            "second_factor_since": user.sign_in.second_factor.as_ref().map(|factor| factor.since),
        })
    });
    let is_theirs = |what: &Handed| matches!(what, Handed::Key(owner, _) if *owner == id) && !is_past;
    let context = json!({
        "person": person, "name": called(&person), "keys": keys, "working": working, "sessions": live, "events": events,
        "earlier": earlier, "is_first": before.is_none(), "as_of": as_of, "as_of_typed": params.text("as_of"), "form": form,
        "usage": usage_chart::charts(&visit.service, id, visit.language).await?, "mails": mails, "sign_in": sign_in,
        "made": handed::secret(visit, is_theirs).await?,
        "is_oneself": visit.caller().who == Who::user(id),
        "may_change": visit.caller().may_give(person.role).is_ok(),
        "has_passwords": visit.service.settings.accounts.sign_in,
        "roles": roles(visit.language, visit.caller())?, "plans": plans(visit, &person.plan).await?,
    });
    let status = match form["code"].as_str().and_then(ProblemCode::from_slug) {
        Some(code) => code.status(),
        None => actix_web::http::StatusCode::OK,
    };
    visit.page_as(status, TEMPLATE, &context)
}

/// The person's name on the page.
pub(super) fn called(person: &UserRow) -> Option<&str> {
    person.name.as_deref().or(person.email.as_deref())
}

/// Turns a day into the moment of its end; keeps a moment or a version.
fn of_day(text: &str) -> String {
    match day_in(text) {
        Some(day) => format!("{day}T23:59:59Z"),
        // A browser's field for moments gives no time zone.
        None if text.parse::<jiff::civil::DateTime>().is_ok() && text.parse::<Timestamp>().is_err() => {
            format!("{text}Z")
        }
        None => text.to_owned(),
    }
}

/// The plans to choose from, including the present one even if it was retired.
async fn plans(visit: &Visit<Staff<OfPeople>>, present: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut plans = plans_to_give(&visit.service).await?;
    if !plans.iter().any(|(name, _)| name == present) {
        plans.insert(0, (present.to_owned(), say(visit.language, "person-plan-retired", &[("plan", json!(present))])?));
    }
    Ok(plans)
}

async fn keys_now(visit: &Visit<Staff<OfPeople>>, id: UserId, now: Timestamp) -> Result<Vec<Value>, Problem> {
    let mut listed = visit.asked(key_routes::list_of(&visit.service, id)).await?;
    let rows = visit.service.committer.stores.views.keys(id).await.map_err(store_problem)?;
    let Some(keys) = listed.pointer_mut("/data").and_then(Value::as_array_mut).map(std::mem::take) else {
        return Ok(Vec::new());
    };
    let with_state = keys.into_iter().map(|mut key| {
        let row = rows.iter().find(|row| json!(row.id) == *at(&key, "/id"));
        put(&mut key, "state", row.map_or("ended", |row| state_of(row, now)));
        key
    });
    // Working keys before all others, the newest first.
    let mut keys: Vec<Value> = with_state.collect();
    keys.reverse();
    keys.sort_by_key(|key| !matches!(key["state"].as_str(), Some("active" | "grace")));
    Ok(keys)
}

/// A key as it was.
fn key_then(row: &KeyRow, then: Timestamp) -> Result<Value, Problem> {
    let mut key = serde_json::to_value(row).map_err(Problem::internal)?;
    put(&mut key, "state", state_of(row, then));
    put(&mut key, "last_used_at", Value::Null);
    put(&mut key, "last_used_from", Value::Null);
    Ok(key)
}

/// The state of a key.
fn state_of(key: &KeyRow, now: Timestamp) -> &'static str {
    match key {
        KeyRow { revoked_at: Some(_), .. } => "revoked",
        KeyRow { expires_at: Some(end), .. } if *end <= now => "expired",
        KeyRow { valid_until: Some(until), .. } if *until <= now => "replaced",
        KeyRow { valid_until: Some(_), .. } => "grace",
        _ => "active",
    }
}

/// The person's events, newest first, and where the next page begins.
async fn timeline(
    visit: &Visit<Staff<OfPeople>>,
    person: &UserRow,
    before: Option<u64>,
) -> Result<(Vec<Value>, Option<u64>), Problem> {
    let log = &visit.service.committer.stores.log;
    let end = before.unwrap_or(u64::MAX).min(person.version.saturating_add(1));
    let start = end.saturating_sub(COMMITS_SHOWN).max(1);
    let wanted = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    let commits = log.load(&StreamId::User(person.id), start - 1, wanted).await.map_err(store_problem)?;
    let key = log.personal_key(person.id).await.map_err(store_problem)?;
    let told = events_told::told_all(&visit.service, &commits, key.as_ref(), (visit.language, true), |_| true).await?;
    Ok((told.into_iter().rev().collect(), (start > 1).then_some(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::AsOf;

    #[test]
    fn a_day_is_taken_for_its_end() {
        assert_eq!(of_day("2026-03-01"), "2026-03-01T23:59:59Z");
        assert_eq!(of_day("2026-03-01T10:30"), "2026-03-01T10:30Z");
        assert_eq!(of_day("2026-03-01T10:30:00Z"), "2026-03-01T10:30:00Z");
        assert_eq!(of_day("3"), "3");
        assert!(AsOf::parse(&of_day("2026-03-01T10:30")).is_ok());
    }
}
