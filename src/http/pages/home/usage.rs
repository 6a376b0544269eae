//! `/home/use`: a person's use in the last days, by data set and by outcome.

use actix_web::web;
use serde_json::json;

use super::facts::today;
use crate::http::{
    method,
    pages::{
        route::get,
        usage_chart,
        visit::{Shown, SignedInPerson, Visit},
    },
    routes::me,
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/home/use", "GET, HEAD").route(get(show)));
}

async fn show(visit: Visit<SignedInPerson>) -> Shown {
    let user = &visit.who.0.user;
    let me = visit.asked(me::shown(user, &visit.service)).await?;
    let today = today(&visit, &me).await?;
    let usage = usage_chart::charts(&visit.service, user.id, visit.language).await?;
    visit.page("home/usage/page.html", &json!({ "today": today, "me": me, "usage": usage }))
}
