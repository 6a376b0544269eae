//! `/admin/people`: the people who were invited, and their states.

use actix_web::web;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::{
        route::get,
        visit::{Shown, Staff, Visit, at},
    },
    told::{plans_to_give, say},
};
use crate::{
    domain::{
        id::UserId,
        view::{InvitationState, UserStatus},
    },
    http::{Problem, method, routes::users, session::OfPeople, state::Service, store_problem::store_problem},
};

const TEMPLATE: &str = "admin/people/page.html";
/// People whose last uses are looked up at the same time.
const USES_AT_ONCE: usize = 16;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/people", "GET, HEAD").route(get(show)));
}

async fn show(visit: Visit<Staff<OfPeople>>) -> Shown {
    let Staff(admin) = &visit.who;
    let listed = users::list(admin.clone(), visit.request.clone(), visit.service.clone());
    let mut listed = visit.asked(listed).await?;
    with_last_uses(&visit.service, &mut listed).await?;
    let query = visit.request.query_string();
    let given = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.into_owned())
    };
    let names = ["search", "status", "invitation", "plan"];
    let values: serde_json::Map<String, Value> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), json!(given(name)?)))).collect();
    let is_filtered = !values.is_empty();
    let any = (String::new(), say(visit.language, "people-any", &[])?);
    let mut statuses = vec![any.clone()];
    for status in UserStatus::ALL.map(UserStatus::as_str) {
        statuses.push((status.to_owned(), say(visit.language, &format!("admin-status-{status}"), &[])?));
    }
    let mut invitations = vec![any.clone()];
    for state in InvitationState::ALL.map(InvitationState::as_str) {
        invitations.push((state.to_owned(), say(visit.language, &format!("admin-invitation-{state}"), &[])?));
    }
    let mut plans = vec![any];
    plans.extend(plans_to_give(&visit.service).await?);
    if let Some(plan) = given("plan").filter(|plan| !plans.iter().any(|(known, _)| known == plan)) {
        plans.push((plan.clone(), plan));
    }
    let context = json!({
        "people": at(&listed, "/data"), "next": at(&listed, "/page/next"),
        "first": given("after").map(|_| first_page(query)),
        "form": { "values": values }, "is_filtered": is_filtered,
        "statuses": statuses, "invitations": invitations, "plans": plans,
    });
    visit.page(TEMPLATE, &context)
}

/// The first page of the list with the same filter.
fn first_page(query: &str) -> String {
    let mut target = form_urlencoded::Serializer::new(String::new());
    target.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after"));
    format!("/admin/people?{}", target.finish())
}

/// Adds to each listed person the last use of their keys and sessions.
pub(super) async fn with_last_uses(service: &Service, listed: &mut Value) -> Result<(), Problem> {
    let Some(people) = listed.get_mut("data").and_then(Value::as_array_mut) else { return Ok(()) };
    let ids: Vec<Option<UserId>> = people
        .iter()
        .map(|person| person.get("id").and_then(Value::as_str).and_then(|id| UserId::parse(id).ok()))
        .collect();
    let last_use = async |id: Option<UserId>| -> Result<Option<Timestamp>, Problem> {
        let Some(id) = id else { return Ok(None) };
        let uses = service.committer.stores.ledger.last_uses(id).await.map_err(store_problem)?;
        Ok(uses.into_iter().map(|told| told.at).max())
    };
    let uses: Vec<Option<Timestamp>> = stream::iter(ids).map(last_use).buffered(USES_AT_ONCE).try_collect().await?;
    for (person, at) in people.iter_mut().zip(uses) {
        if let Some(fields) = person.as_object_mut() {
            fields.insert("last_used_at".to_owned(), json!(at));
        }
    }
    Ok(())
}
