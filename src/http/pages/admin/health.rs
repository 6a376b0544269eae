//! `/admin/health`: the state of everything that this server needs, in words, with what to do.

use actix_web::web;
use serde_json::{Value, json};

use super::super::{
    route::get,
    visit::{Shown, Staff, Visit},
};
use crate::{
    config::Backend,
    http::{method, session::OfServer, state::Service, store_problem::store_problem},
};

const TEMPLATE: &str = "admin/health/page.html";
/// Waiting messages above which the page warns that the server does not keep up.
const WAITING_MANY: u64 = 1000;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/health", "GET, HEAD").route(get(show)));
}

async fn show(visit: Visit<Staff<OfServer>>) -> Shown {
    let service = &visit.service;
    let mut troubles = service.checkup.troubles(service).await;
    troubles.extend(service.readiness.closed().map(ToOwned::to_owned));
    let lost = service.lineages.lost();
    let is_good = troubles.is_empty() && lost.is_empty();
    let quarantines = &service.committer.stores.quarantines;
    let quarantined = quarantines.recent(service.committer.clock.monotonic_us()).await.map_err(store_problem)?;
    let quarantined: Vec<Value> = quarantined.iter().map(|one| json!(one.document())).collect();
    let checks = [queue(service).await, relay(service), ledger(service), mail(service), disk(service)];
    let context = json!({
        "troubles": troubles, "lost": lost, "is_good": is_good, "checks": checks,
        "quarantined": quarantined,
        "backend": if service.settings.backend == Backend::Aws { "aws" } else { "sqlite" },
        "version": env!("CARGO_PKG_VERSION"), "schema": crate::store::sqlite::SCHEMA_VERSION,
        "has_aws": service.aws.is_some(), "imports": service.imports.counts(), "passwords": service.sign_ins.pool().counts(),
    });
    visit.page(TEMPLATE, &context)
}

/// The state of one part: its name, the verdict (good, warn or bad), the message that tells it, and the message's values.
fn check(name: &str, verdict: &str, outcome: &str, with: &Value) -> Value {
    json!({ "name": name, "verdict": verdict, "outcome": outcome, "with": with })
}

async fn queue(service: &Service) -> Value {
    match service.committer.queue.depth().await {
        Err(error) => {
            tracing::warn!(%error, "the queue does not answer");
            check("queue", "bad", "away", &json!({}))
        }
        Ok(depth) => {
            let with = json!({ "waiting": depth.visible, "working": depth.in_flight, "dead": depth.dead });
            match depth {
                _ if depth.dead > 0 => check("queue", "bad", "dead", &with),
                _ if depth.visible > WAITING_MANY => check("queue", "warn", "many", &with),
                _ => check("queue", "good", "good", &with),
            }
        }
    }
}

fn relay(service: &Service) -> Value {
    let (relay, commits) = (service.relay.counts(), service.committer.counts());
    let with = json!({ "failed": relay.failed, "left": commits.publish_failures, "published": relay.published });
    let is_good = relay.failed == 0;
    check("relay", if is_good { "good" } else { "warn" }, if is_good { "good" } else { "failed" }, &with)
}

fn ledger(service: &Service) -> Value {
    let counts = service.book.counts();
    let with = json!({ "failed": counts.failed, "admitted": counts.admitted, "limited": counts.limited });
    match service.book.trouble() {
        Some(_) => check("ledger", "bad", "away", &with),
        None if counts.failed > 0 => check("ledger", "warn", "failed", &with),
        None => check("ledger", "good", "good", &with),
    }
}

fn mail(service: &Service) -> Value {
    let counts = service.mailers.counts();
    let with = json!({ "sent": counts.mails_sent, "rejected": counts.mails_rejected, "back": counts.mails_back });
    let is_good = counts.mails_rejected == 0 && counts.mails_back == 0;
    check("mail", if is_good { "good" } else { "warn" }, if is_good { "good" } else { "failed" }, &with)
}

fn disk(service: &Service) -> Value {
    match service.imports.room_bytes() {
        Err(error) => {
            tracing::warn!(%error, "the room on the disk is not known");
            check("disk", "warn", "unknown", &json!({ "free": 0, "least": 0 }))
        }
        Ok((free, least)) => {
            let with = json!({ "free": free, "least": least });
            let is_good = free > least;
            check("disk", if is_good { "good" } else { "bad" }, if is_good { "good" } else { "full" }, &with)
        }
    }
}
