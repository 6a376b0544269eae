//! `/home/examples`: lines for curl, Python, R, JavaScript and Excel that need only a key.

use actix_web::web;
use serde_json::json;

use super::facts::{data_sets, rules};
use crate::http::{
    method,
    pages::{
        route::get,
        visit::{Shown, SignedInPerson, Visit},
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/home/examples", "GET, HEAD").route(get(show)));
}

async fn show(visit: Visit<SignedInPerson>) -> Shown {
    let data_sets = data_sets(&visit, &rules(&visit).await?);
    let wanted = form_urlencoded::parse(visit.request.query_string().as_bytes());
    let wanted = wanted.into_owned().find(|(name, _)| name == "dataset").map(|(_, name)| name);
    let chosen = data_sets.iter().find(|set| set["name"].as_str() == wanted.as_deref()).or(data_sets.first());
    let name = chosen.map(|set| set["name"].clone());
    let export_cost = visit.service.settings.records.export_cost;
    visit.page("home/examples/page.html", &json!({ "datasets": data_sets, "name": name, "export_cost": export_cost }))
}
