//! `/admin/undone`: the dead letters by kind and reason, to be tried again.

use std::collections::BTreeMap;

use actix_web::web;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    http::{
        Problem, ProblemCode, method,
        pages::{
            flash::Flash,
            form::Form,
            route::{get, post},
            visit::{Shown, Staff, Visit},
        },
        routes::{command::Nothing, dead_letters, refusal::queue_problem},
        session::OfServer,
    },
    queue::{DeadLetter, Message},
};

/// Dead letters that a page shows.
const SHOWN_MAX: usize = 200;
type UndoneVisit = Visit<Staff<OfServer>>;

/// The kinds of dead letters, by the types of the events that ask for something (see `fulfilment::duty`).
const KINDS: [(&str, &[&str]); 5] = [
    ("invitation", &["UserInvited", "InvitationResent"]),
    ("password", &["LinkIssued"]),
    ("deletion", &["UserDeleted"]),
    ("leak", &["SessionEnded", "LinkVoided"]),
    ("notice", &["ApiKeyIssued", "ApiKeyRevoked", "ApiKeyExpiring", "QuotaReached"]),
];

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/undone", "GET, HEAD").route(get(show)))
        .service(method::resource("/admin/undone/again", "POST").route(post(again)))
        .service(method::resource("/admin/undone/all-again", "POST").route(post(all_again)));
}

/// The kind of a dead letter.
fn kind_of(letter: &DeadLetter) -> &'static str {
    let Ok(Message::V1(message)) = serde_json::from_str(&letter.body) else { return "other" };
    let type_name = message.type_name;
    KINDS.iter().find(|(_, types)| types.contains(&type_name.as_str())).map_or("other", |(kind, _)| kind)
}

async fn show(visit: UndoneVisit) -> Shown {
    let letters = visit.service.committer.queue.dead_letters(SHOWN_MAX).await.map_err(queue_problem)?;
    let mut groups: BTreeMap<(&str, String), Vec<Value>> = BTreeMap::new();
    for letter in &letters {
        let shown = json!({
            "id": letter.id, "sent_at": letter.sent_at, "died_at": letter.died_at, "receives": letter.receives, "body": letter.body,
        });
        groups.entry((kind_of(letter), letter.reason.clone())).or_default().push(shown);
    }
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|((kind, reason), letters)| json!({ "kind": kind, "reason": reason, "count": letters.len(), "letters": letters }))
        .collect();
    let context = json!({ "groups": groups, "count": letters.len(), "is_cut": letters.len() >= SHOWN_MAX });
    visit.page("admin/undone/page.html", &context)
}

async fn again(visit: UndoneVisit, form: Form) -> Shown {
    let (mut sent, mut gone) = (0_u64, 0_u64);
    for id in form.all("id").into_iter().take(SHOWN_MAX) {
        // Each letter is a command of its own; a form sent twice gives the same commands.
        let once = form.text("once").map(|once| ("once".to_owned(), Zeroizing::new(format!("{once}.{id}"))));
        let command = visit.command::<Nothing>(&Form::of(once.into_iter().collect()), &json!({}))?;
        match dead_letters::redrive(command, web::Path::from(id.to_owned()), visit.service.clone()).await {
            Ok(_) => sent += 1,
            Err(problem) if problem.code() == ProblemCode::NotFound => gone += 1,
            Err(problem) => return Err(problem.into()),
        }
    }
    visit.led("/admin/undone", Some(&told(sent, gone)))
}

async fn all_again(visit: UndoneVisit, form: Form) -> Shown {
    let command = visit.command::<dead_letters::LettersBody>(&form, &json!({}))?;
    let done = visit.asked(dead_letters::redrive_all(command, visit.service.clone())).await?;
    let sent = done.get("redriven").and_then(Value::as_u64).ok_or_else(|| Problem::internal("no count"))?;
    visit.led("/admin/undone", Some(&told(sent, 0)))
}

fn told(sent: u64, gone: u64) -> Flash {
    match (sent, gone) {
        (0, 0) => Flash::not_done("undone-none-chosen"),
        (0, gone) => Flash::done("undone-gone").with("count", gone),
        (sent, _) => Flash::done("undone-sent").with("count", sent),
    }
}
