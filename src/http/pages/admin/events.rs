//! `/admin/events`: the whole log in sentences, newest first.

use std::borrow::Cow;

use actix_web::{http::StatusCode, web};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::{
        events_told,
        form::wrong,
        route::get,
        visit::{Shown, Staff, Visit, put},
    },
    told::{day_in, say, wrong_field},
};
use crate::{
    actors::log::{EventReading, ReadingOrder, Sieve},
    domain::{
        id::{StreamId, UserId},
        permission::{AccessKind, Permission, Permissions},
        persisted,
    },
    http::{Problem, ProblemCode, method, session::OfEvents, store_problem::store_problem},
};

const TEMPLATE: &str = "admin/events/page.html";
/// Commits on a page.
const COMMITS_SHOWN: usize = 50;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/events", "GET, HEAD").route(get(show)));
}

type EventsVisit = Visit<Staff<OfEvents>>;

async fn show(visit: EventsVisit) -> Shown {
    let query = visit.request.query_string().to_owned();
    let given = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value).filter(|value| !value.trim().is_empty())
    };
    let mut types: Vec<(String, String)> = Vec::new();
    for name in persisted::types() {
        let id = events_told::message_of(name).replacen("event-", "events-type-", 1);
        types.push((name.to_owned(), say(visit.language, &id, &[])?));
    }
    types.sort_by_key(|(_, words)| words.to_lowercase());
    types.insert(0, (String::new(), say(visit.language, "events-filter-any", &[])?));
    let names = ["type", "since", "until", "person", "correlation"];
    let values: serde_json::Map<String, Value> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), json!(given(name)?)))).collect();
    let is_filtered = !values.is_empty();
    let after = given("after").map(|text| text.parse::<u64>());
    let after = after.transpose().map_err(|_| Problem::new(ProblemCode::NotFound, "there is no such page"))?;
    let (page, form, status) = match sieve(&visit, given)? {
        Ok(sieve) => (Some(read(&visit, sieve, after).await?), json!({ "values": values }), StatusCode::OK),
        Err(problem) => {
            let mut form = wrong(&problem);
            put(&mut form, "values", Value::Object(values));
            (None, form, StatusCode::BAD_REQUEST)
        }
    };
    let target = |after: Option<&str>| {
        let mut target = form_urlencoded::Serializer::new(String::new());
        target.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after"));
        after.map(|after| target.append_pair("after", after));
        format!("/admin/events?{}", target.finish())
    };
    let (events, next) = page.unwrap_or_default();
    let context = json!({
        "events": events, "types": types, "form": form, "is_filtered": is_filtered,
        "next": next.map(|next| target(Some(&next.to_string()))), "first": after.map(|_| target(None)),
        "may_see": visit.permissions().may(Permissions::of(&[Permission::People]), AccessKind::Read),
    });
    visit.page_as(status, TEMPLATE, &context)
}

/// The filter of the log that the address asks for; or the field that cannot be read.
fn sieve<'q>(
    visit: &EventsVisit,
    given: impl Fn(&str) -> Option<Cow<'q, str>>,
) -> Result<Result<Sieve, Problem>, Problem> {
    let moment = |text: &str| match day_in(text) {
        Some(day) => format!("{day}T00:00:00Z").parse::<Timestamp>().ok(),
        None => text.parse().ok(),
    };
    let mut wanted = Sieve { type_name: given("type").map(Cow::into_owned), ..Sieve::default() };
    if wanted.type_name.as_deref().is_some_and(|name| !persisted::is_type(name)) {
        return Ok(Err(wrong_field(visit.language, "type", "events-no-type", &[])?));
    }
    for (field, place) in [("since", &mut wanted.since), ("until", &mut wanted.until)] {
        let Some(text) = given(field) else { continue };
        *place = moment(text.trim());
        if place.is_none() {
            return Ok(Err(wrong_field(visit.language, field, "events-no-moment", &[])?));
        }
    }
    if let Some(text) = given("person") {
        let Ok(person) = UserId::parse(text.trim()) else {
            return Ok(Err(wrong_field(visit.language, "person", "events-no-person", &[])?));
        };
        wanted.stream = Some(StreamId::User(person));
    }
    wanted.correlation = given("correlation").map(|text| text.trim().to_owned());
    Ok(Ok(wanted))
}

/// A page of the log, and where the next one begins.
async fn read(visit: &EventsVisit, sieve: Sieve, after: Option<u64>) -> Result<(Vec<Value>, Option<u64>), Problem> {
    let log = visit.service.committer.stores.log.clone();
    let reading = EventReading { log, sieve, direction: ReadingOrder::NewestFirst };
    let page = reading.page(after, COMMITS_SHOWN).await.map_err(store_problem)?;
    let with_people = visit.permissions().may(Permissions::of(&[Permission::People]), AccessKind::Read);
    let wants = |name: &str| reading.sieve.wants_type(name);
    // The events of a commit in their order, the newest commit first.
    let read = (visit.language, with_people);
    let events = events_told::told_all(&visit.service, &page.commits, None, read, wants).await?;
    Ok((events, page.next))
}
