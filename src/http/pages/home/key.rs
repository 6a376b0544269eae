//! A person's keys: making one (`/home/keys/new`); showing, changing, replacing and revoking one (`/home/keys/{id}`).

use actix_web::{http::StatusCode, web};
use jiff::{civil::Date, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::facts::{data_sets, keys, rules};
use crate::http::{
    Problem, ProblemCode, method,
    pages::{
        flash::Flash,
        form::Form,
        handed::{self, Handed},
        route::{get, post},
        visit::{Shown, SignedInPerson, Visit, at},
    },
    routes::{
        command::Nothing,
        keys::{ChangeKeyBody, NewKeyBody, RotateBody},
        me,
    },
};

const TEMPLATE: &str = "home/key/page.html";
/// How long a replaced key may go on working, seconds: the choices.
const GRACES: [u32; 4] = [0, 3600, 86_400, 604_800];

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/home/keys/new", "GET, HEAD, POST").route(get(offer)).route(post(make)))
        .service(method::resource("/home/keys/{key_id}", "GET, HEAD, POST").route(get(show)).route(post(change)))
        .service(method::resource("/home/keys/{key_id}/rotate", "POST").route(post(rotate)))
        .service(method::resource("/home/keys/{key_id}/revoke", "POST").route(post(revoke)))
        .service(method::resource("/home/keys/{key_id}/kept", "POST").route(post(kept)));
}

async fn offer(visit: Visit<SignedInPerson>) -> Shown {
    new_page(&visit, StatusCode::OK, &Value::Null).await
}

/// The form for a new key.
async fn new_page(visit: &Visit<SignedInPerson>, status: StatusCode, form: &Value) -> Shown {
    let rules = rules(visit).await?;
    let latest = rules.key_max_age_days.and_then(|days| {
        let now = visit.service.committer.clock.now();
        now.checked_add(jiff::SignedDuration::from_hours(24 * i64::from(days))).ok()
    });
    let context = json!({
        "key": null, "form": form, "datasets": data_sets(visit, &rules), "rules": rules, "new_key": null,
        "latest": latest.map(|at| at.to_zoned(TimeZone::UTC).date().to_string()),
    });
    visit.page_as(status, TEMPLATE, &context)
}

/// The form as the body of a key's command. `present` is the key that it changes.
fn body(visit: &Visit<SignedInPerson>, form: &Form, present: Option<&Value>) -> Result<Value, Problem> {
    let mut body = Map::new();
    body.insert("label".to_owned(), json!(form.text("label")));
    let shown = present.and_then(|key| key["last_day"].as_str());
    // An end within a day stays as it is unless the form names another day.
    if present.is_none() || form.text("expires_at") != shown {
        let end = form.text("expires_at").map(|day| end_of(visit, day)).transpose()?;
        body.insert("expires_at".to_owned(), json!(end));
    }
    let networks = form.text("allowed_ips").unwrap_or_default();
    let networks: Vec<&str> =
        networks.split(|c: char| c.is_whitespace() || c == ',').filter(|one| !one.is_empty()).collect();
    body.insert("allowed_ips".to_owned(), json!(Some(networks).filter(|networks| !networks.is_empty())));
    let chosen = Some(form.all("datasets")).filter(|chosen| !chosen.is_empty());
    let actions = present.map(|key| at(key, "/scopes/actions").clone());
    body.insert("scopes".to_owned(), json!({ "datasets": chosen, "actions": actions }));
    Ok(Value::Object(body))
}

/// The end of a day (UTC).
fn end_of(visit: &Visit<SignedInPerson>, day: &str) -> Result<String, Problem> {
    let end = day.parse::<Date>().ok().and_then(|day| day.tomorrow().ok());
    let end = end.and_then(|day| day.to_zoned(TimeZone::UTC).ok()).map(|day| day.timestamp().to_string());
    end.ok_or_else(|| {
        let said = visit.say("home-key-day", &[]).unwrap_or_default();
        Problem::new(ProblemCode::InvalidBody, format!("at `expires_at`: {said}"))
    })
}

/// The form again, with the same boxes ticked.
fn again(form: &Form, problem: &Problem) -> Value {
    let mut again = form.again(problem);
    if let Some(values) = again.get_mut("values").and_then(Value::as_object_mut) {
        values.insert("datasets".to_owned(), json!(form.all("datasets")));
    }
    again
}

/// A mistake about a key, at its field and in the reader's language.
fn placed(visit: &Visit<SignedInPerson>, problem: Problem) -> Problem {
    let detail = problem.detail();
    let latest = detail.rsplit_once("expires_at must be").map_or("", |(_, rest)| rest);
    let latest = latest.split_whitespace().find(|word| word.parse::<jiff::Timestamp>().is_ok()).map(|word| {
        let day = word.split('T').next().unwrap_or(word);
        day.to_owned()
    });
    let found = match () {
        () if detail.starts_with("at `") => return problem,
        () if problem.code() == ProblemCode::IdempotencyKeyReused => {
            let said = visit.say("home-key-sent", &[]).unwrap_or_default();
            return problem.detailed(said);
        }
        () if problem.code() == ProblemCode::Conflict => {
            let said = visit.say("home-key-conflict", &[]).unwrap_or_default();
            return problem.detailed(said);
        }
        () if detail.contains("must be in the future") => Some(("expires_at", visit.say("home-key-past", &[]))),
        () if latest.is_some() => {
            let latest = latest.unwrap_or_default();
            Some(("expires_at", visit.say("home-key-far", &[("day", latest)])))
        }
        () if detail.starts_with("allowed_ips") => Some(("allowed_ips", visit.say("home-key-network", &[]))),
        () if detail.starts_with("label") => Some(("label", visit.say("home-key-long", &[]))),
        () => None,
    };
    match found {
        Some((field, Some(said))) => problem.detailed(format!("at `{field}`: {said}")),
        _ => problem,
    }
}

async fn make(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let made = async {
        let body = body(&visit, &form, None)?;
        visit.asked(me::issue_key(visit.own::<NewKeyBody>(&form, &body)?, visit.service.clone())).await
    };
    match made.await {
        Ok(made) => led_to_new(&visit, &made, None),
        Err(problem) => {
            let problem = placed(&visit, problem);
            new_page(&visit, problem.code().status(), &again(&form, &problem)).await
        }
    }
}

/// Leads to the page of a new key, which shows the key until its owner has it.
fn led_to_new(visit: &Visit<SignedInPerson>, made: &Value, flash: Option<&Flash>) -> Shown {
    let id = made["id"].as_str().unwrap_or_default();
    let led = visit.led(&format!("/home/keys/{id}"), flash);
    if made.get("key").is_none() {
        return led;
    }
    handed::begin(visit, led, &Handed::key(visit.who.0.user.id, made)?)
}

async fn show(visit: Visit<SignedInPerson>) -> Shown {
    page_of(&visit, StatusCode::OK, &Value::Null).await
}

/// The person's key that the path names.
async fn named(visit: &Visit<SignedInPerson>) -> Result<Value, Problem> {
    let id = visit.part("key_id");
    let found = keys(visit).await?.into_iter().find(|key| key["id"] == id);
    found.ok_or_else(|| Problem::new(ProblemCode::NotFound, "you have no such key"))
}

async fn page_of(visit: &Visit<SignedInPerson>, status: StatusCode, form: &Value) -> Shown {
    let key = named(visit).await?;
    let rules = rules(visit).await?;
    let mut data_sets = data_sets(visit, &rules);
    let is_this = |what: &Handed| matches!(what, Handed::Key(_, id) if json!(id) == *at(&key, "/id"));
    let new_key = handed::secret(visit, is_this).await?;
    // Data sets of the key that are not served now stay ticked.
    let named: Vec<&str> =
        at(&key, "/scopes/datasets").as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for name in &named {
        if !data_sets.iter().any(|set| set["name"] == **name) {
            data_sets.push(json!({ "name": name, "title": name, "records": null }));
        }
    }
    let first = named.first().map(|name| json!(name)).or_else(|| data_sets.first().map(|set| set["name"].clone()));
    let context = json!({
        "key": key, "form": form, "datasets": data_sets, "rules": rules, "new_key": new_key, "example": first,
        "graces": GRACES, "latest": null,
    });
    visit.page_as(status, TEMPLATE, &context)
}

async fn change(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let key = named(&visit).await?;
    let id = web::Path::from(visit.part("key_id").to_owned());
    let changed = async {
        let body = body(&visit, &form, Some(&key))?;
        visit.asked(me::change_key(visit.own::<ChangeKeyBody>(&form, &body)?, id, visit.service.clone())).await
    };
    match changed.await {
        Ok(_) => visit.led(&path_of(&visit), Some(&Flash::done("home-key-changed"))),
        Err(problem) => {
            let problem = placed(&visit, problem);
            page_of(&visit, problem.code().status(), &again(&form, &problem)).await
        }
    }
}

fn path_of(visit: &Visit<SignedInPerson>) -> String {
    format!("/home/keys/{}", visit.part("key_id"))
}

async fn rotate(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let grace_s = form.text("grace_s").and_then(|text| text.parse::<u32>().ok());
    let grace_s = grace_s.filter(|grace_s| GRACES.contains(grace_s));
    let Some(grace_s) = grace_s else {
        return visit.led(&path_of(&visit), Some(&Flash::not_done("home-key-grace-missing")));
    };
    let id = web::Path::from(visit.part("key_id").to_owned());
    let own = visit.own::<RotateBody>(&form, &json!({ "grace_s": grace_s }))?;
    match visit.asked(me::rotate_key(own, id, visit.service.clone())).await {
        Ok(made) => {
            let told = Flash::done(&format!("home-key-rotated-{grace_s}"));
            led_to_new(&visit, &made, Some(&told))
        }
        // The key has ended meanwhile: its page says how.
        Err(problem) if problem.code() == ProblemCode::Conflict => {
            visit.led(&path_of(&visit), Some(&Flash::not_done("home-key-not-rotated")))
        }
        Err(problem) => Err(problem.into()),
    }
}

async fn revoke(visit: Visit<SignedInPerson>, form: Form) -> Shown {
    let last_four = at(&named(&visit).await?, "/last_four").clone();
    let id = web::Path::from(visit.part("key_id").to_owned());
    let own = visit.own::<Nothing>(&form, &json!({}))?;
    visit.asked(me::revoke_key(own, id, visit.service.clone())).await?;
    visit.led("/home", Some(&Flash::done("home-key-revoked").with("last_four", last_four)))
}

async fn kept(visit: Visit<SignedInPerson>, _: Form) -> Shown {
    handed::end(&visit, visit.led(&path_of(&visit), Some(&Flash::done("home-key-kept-done"))))
}
