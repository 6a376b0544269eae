//! `/home`: what somebody has here.

use actix_web::web;
use serde_json::json;

use super::{
    route::get,
    visit::{Person, Shown, Visit},
};
use crate::http::{method, routes::me};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/home", "GET, HEAD").route(get(show)));
}

async fn show(visit: Visit<Person>) -> Shown {
    let me = visit.asked(me::shown(&visit.who.0.user, &visit.service)).await?;
    visit.page("home/page.html", &json!({ "me": me }))
}
