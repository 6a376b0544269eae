//! `/home`: a person's plan, keys, and what is left of the day. Below it: their keys, their use, examples, and how they sign in.

mod examples;
mod facts;
mod key;
mod security;
mod usage;

use actix_web::web;
use serde_json::{Value, json};

use self::facts::{data_sets, is_live, keys, rules, today};
use super::{
    route::get,
    visit::{Shown, SignedInPerson, Visit},
};
use crate::http::{method, routes::me};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/home", "GET, HEAD").route(get(show)))
        .configure(key::configure)
        .configure(usage::configure)
        .configure(examples::configure)
        .configure(security::configure);
}

async fn show(visit: Visit<SignedInPerson>) -> Shown {
    let me = visit.asked(me::shown(&visit.who.0.user, &visit.service)).await?;
    let rules = rules(&visit).await?;
    let today = today(&visit, &me).await?;
    let keys = keys(&visit).await?;
    let (live, ended): (Vec<Value>, Vec<Value>) = keys.into_iter().partition(is_live);
    let data_sets = data_sets(&visit, &rules);
    visit.page(
        "home/page.html",
        &json!({ "me": me, "today": today, "keys": live, "ended": ended, "datasets": data_sets, "rules": rules }),
    )
}
