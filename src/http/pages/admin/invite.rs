//! `/admin/people/invite`: invites one person, or everybody on a list, which is checked before anything is sent.

use actix_web::{http::StatusCode, web};
use serde_json::{Value, json};

use super::{
    super::{
        flash::Flash,
        form::Form,
        route::{get, post},
        visit::{Shown, Staff, Visit, at, put},
    },
    told::{again, path_of, plans_to_give, roles, wrong_field},
};
use crate::{
    actors::invite::{RosterMode, RosterOrder},
    domain::email::Email,
    http::{
        Problem, ProblemCode, method,
        routes::{
            invitations::{ShownRoster, rows_of},
            refusal::command_problem,
            users::{self, InviteBody},
        },
        session::OfPeople,
        store_problem::store_problem,
    },
};

const TEMPLATE: &str = "admin/invite/page.html";
/// Rows of a list that a page shows.
const ROWS_SHOWN_MAX: usize = 500;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/people/invite", "GET, HEAD, POST").route(get(show)).route(post(invite)))
        .service(method::resource("/admin/people/invite/list", "POST").route(post(invite_list)));
}

async fn context(visit: &Visit<Staff<OfPeople>>) -> Result<Value, Problem> {
    Ok(json!({
        "form": null, "list": null, "existing": null, "roster": null, "left": 0,
        "roles": roles(visit.language, visit.caller())?, "plans": plans_to_give(&visit.service).await?,
        "default_plan": visit.service.settings.users.default_plan,
    }))
}

async fn show(visit: Visit<Staff<OfPeople>>) -> Shown {
    visit.page(TEMPLATE, &context(&visit).await?)
}

async fn invite(visit: Visit<Staff<OfPeople>>, form: Form) -> Shown {
    match invited(&visit, &form).await {
        Ok(user) => {
            let email = at(&user, "/email").as_str().unwrap_or_default().to_owned();
            let id = at(&user, "/id").as_str().unwrap_or_default();
            visit.led(&format!("/admin/people/{id}"), Some(&Flash::done("invite-done").with("email", email)))
        }
        Err(problem) => {
            let mut context = context(&visit).await?;
            if problem.code() == ProblemCode::Conflict
                && let Some(email) = form.text("email").and_then(|email| Email::parse(email).ok())
            {
                let views = &visit.service.committer.stores.views;
                let known = views.user_by_email(email.as_str()).await.map_err(store_problem)?;
                if let Some(known) = known {
                    let problem = wrong_field(visit.language, "email", "invite-exists", &[])?;
                    let existing = json!({ "path": path_of(known.id), "name": known.name.or(known.email) });
                    put(&mut context, "existing", existing);
                    return again(&visit, &form, &problem, TEMPLATE, context);
                }
            }
            again(&visit, &form, &problem, TEMPLATE, context)
        }
    }
}

async fn invited(visit: &Visit<Staff<OfPeople>>, form: &Form) -> Result<Value, Problem> {
    let email = form.text("email").unwrap_or_default();
    if Email::parse(email).is_err() {
        return Err(wrong_field(visit.language, "email", "invite-no-address", &[])?);
    }
    let body = json!({
        "email": email, "name": form.text("name"), "role": form.text("role"), "plan": form.text("plan"),
    });
    let command = visit.command::<InviteBody>(form, &body)?;
    visit.asked(users::invite(command, visit.service.clone())).await
}

async fn invite_list(visit: Visit<Staff<OfPeople>>, form: Form) -> Shown {
    let dry_run = !form.has("send");
    let mut page = context(&visit).await?;
    put(&mut page, "list", form.text("list").unwrap_or_default());
    match listed(&visit, &form, dry_run).await {
        Ok(roster) => {
            let rows = at(&roster, "/data").as_array().map_or(0, Vec::len);
            put(&mut page, "left", rows.saturating_sub(ROWS_SHOWN_MAX));
            put(&mut page, "roster", roster);
            if let Some(Value::Array(rows)) = page.pointer_mut("/roster/data") {
                // Wrong rows come first: they have to be corrected.
                rows.sort_by_key(|row| (row["action"] != "wrong", row["line"].as_u64()));
                rows.truncate(ROWS_SHOWN_MAX);
            }
            visit.page_as(StatusCode::OK, TEMPLATE, &page)
        }
        Err(problem) => {
            let problem = match problem.code() {
                ProblemCode::InvalidBody => problem.clone().detailed(format!("at `list`: {}", problem.detail())),
                _ => problem,
            };
            again(&visit, &form, &problem, TEMPLATE, page)
        }
    }
}

/// The result of each line; in a dry run, the expected result.
async fn listed(visit: &Visit<Staff<OfPeople>>, form: &Form, dry_run: bool) -> Result<Value, Problem> {
    let Some(list) = form.text("list") else {
        return Err(Problem::new(ProblemCode::InvalidBody, super::say(visit.language, "invite-list-empty", &[])?));
    };
    let rows = rows_of(list.as_bytes(), visit.caller(), &visit.service)?;
    let envelope = visit.envelope(form, &[if dry_run { b"dry\n" } else { b"all\n" }, list.as_bytes()].concat())?;
    let order = RosterOrder { rows, mode: RosterMode::Good, dry_run };
    let outcome = visit.service.inviting.invite_all(order, envelope).await.map_err(command_problem)?;
    serde_json::to_value(ShownRoster::of(outcome, dry_run)).map_err(Problem::internal)
}
