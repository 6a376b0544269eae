//! `/admin/plans` and `/admin/plans/{name}`: the plans' limits, their rules for keys, and their people.

use actix_web::{http::StatusCode, web};
use serde_json::{Value, json};

use super::{
    super::{
        flash::Flash,
        form::Form,
        route::{get, post},
        visit::{Shown, Staff, Visit, put},
    },
    people::with_last_uses,
    told::{not_done, reason, wrong_field},
};
use crate::{
    domain::{
        permission::{AccessKind, Permission, Permissions},
        plan::{self, KEYS_MAX_DEFAULT, Limits},
        view::PlanRow,
    },
    http::{
        Problem, ProblemCode, method,
        routes::{
            command::Nothing,
            plans::{self, LimitsBody},
            users,
        },
        session::OfPlans,
        store_problem::store_problem,
    },
    store::UserFilter,
};

const LIST: &str = "admin/plans/page.html";
const ONE: &str = "admin/plan/page.html";
/// People whom the page of a plan shows.
const PEOPLE_SHOWN: usize = 100;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/plans", "GET, HEAD, POST").route(get(list)).route(post(create)))
        .service(method::resource("/admin/plans/{name}", "GET, HEAD, POST").route(get(show)).route(post(change)))
        .service(method::resource("/admin/plans/{name}/retire", "POST").route(post(retire)));
}

type PlansVisit = Visit<Staff<OfPlans>>;

async fn list(visit: PlansVisit) -> Shown {
    list_page(&visit, &Value::Null, StatusCode::OK).await
}

async fn list_page(visit: &PlansVisit, form: &Value, status: StatusCode) -> Shown {
    let views = &visit.service.committer.stores.views;
    let people = views.people_of_plans().await.map_err(store_problem)?;
    let default = &visit.service.settings.users.default_plan;
    let plans = views.plans().await.map_err(store_problem)?;
    let listed: Vec<Value> = plans
        .iter()
        .map(|row| {
            let people = people.get(&row.name).copied().unwrap_or(0);
            json!({ "plan": row, "people": people, "is_default": row.name == *default })
        })
        .collect();
    let mut start = json!(Limits::default());
    put(&mut start, "rate_per_s", plainly(Limits::default().rate_per_s));
    let context = json!({
        "plans": listed, "form": form, "datasets": datasets(visit, &[]), "start": start,
        "keys_default": KEYS_MAX_DEFAULT,
    });
    visit.page_as(status, LIST, &context)
}

/// The data sets to choose from: existing ones, and those that are chosen already.
fn datasets(visit: &PlansVisit, chosen: &[String]) -> Vec<(String, String)> {
    let there = visit.service.records.data_sets();
    let mut names: Vec<(String, String)> = there
        .iter()
        .map(|set| {
            let definition = &set.definition;
            (definition.name.clone(), format!("{} ({})", definition.title, definition.name))
        })
        .collect();
    for name in chosen {
        if !names.iter().any(|(known, _)| known == name) {
            names.push((name.clone(), name.clone()));
        }
    }
    names
}

/// The body of a plan, read from the form.
fn body_of(visit: &PlansVisit, form: &Form) -> Result<Value, Problem> {
    let language = visit.language;
    let typed = |field: &str| form.text(field).unwrap_or_default().replace(',', ".");
    let number = |field: &str| typed(field).parse::<u64>().ok();
    let wrong = |field: &str, id: &str| -> Result<Problem, Problem> { wrong_field(language, field, id, &[]) };
    let rate = typed("rate_per_s").parse::<f64>().ok().filter(|rate| rate.is_finite());
    let Some(rate) = rate else { return Err(wrong("rate_per_s", "plans-no-number")?) };
    let mut body = json!({ "rate_per_s": rate });
    for (field, most) in [("burst", u64::from(plan::BURST_MAX)), ("quota_per_day", plan::QUOTA_PER_DAY_MAX)] {
        let Some(value) = number(field).filter(|value| (1..=most).contains(value)) else {
            return Err(wrong_field(language, field, "plans-no-whole", &[("most", json!(most))])?);
        };
        put(&mut body, field, json!(value));
    }
    for (field, most) in [("key_max_age_days", crate::domain::bounds::LIFE_DAYS_MAX), ("keys_max", plan::KEYS_MAX_MOST)]
    {
        if form.text(field).is_none() {
            continue;
        }
        let Some(value) = number(field).filter(|value| (1..=u64::from(most)).contains(value)) else {
            return Err(wrong_field(language, field, "plans-no-whole", &[("most", json!(most))])?);
        };
        put(&mut body, field, json!(value));
    }
    if form.text("reach") == Some("some") {
        let chosen = form.all("datasets");
        if chosen.is_empty() {
            return Err(wrong("datasets", "plans-no-dataset")?);
        }
        put(&mut body, "datasets", json!(chosen));
    }
    Ok(body)
}

async fn define(visit: &PlansVisit, form: &Form, name: &str) -> Result<Value, Problem> {
    let body = body_of(visit, form)?;
    let command = visit.command::<LimitsBody>(form, &body)?;
    let defined = plans::define(command, web::Path::from(name.to_owned()), visit.service.clone());
    visit.asked(defined).await.map_err(|problem| match problem.detail().split_whitespace().next() {
        // The domain's message begins with the wrong field.
        Some(field) if body.get(field).is_some() && problem.code() == ProblemCode::InvalidBody => {
            let detail = format!("at `{field}`: {}", problem.detail());
            problem.detailed(detail)
        }
        _ => problem,
    })
}

async fn create(visit: PlansVisit, form: Form) -> Shown {
    let created = async {
        let name = form.text("name").unwrap_or_default();
        if plan::check_name(name).is_err() {
            let most = json!(plan::PLAN_NAME_CHARS_MAX);
            return Err(wrong_field(visit.language, "name", "plans-no-name", &[("most", most)])?);
        }
        let known = visit.service.committer.stores.views.plan(name).await.map_err(store_problem)?;
        if known.is_some_and(|known| !known.retired) {
            return Err(wrong_field(visit.language, "name", "plans-exists", &[])?);
        }
        define(&visit, &form, name).await?;
        Ok(name.to_owned())
    };
    match created.await {
        Ok(name) => visit.led(&format!("/admin/plans/{name}"), Some(&Flash::done("plans-created").with("plan", name))),
        Err(problem) if problem.code() == ProblemCode::Internal => Err(problem.into()),
        Err(problem) => {
            let told = problem.clone().detailed(reason(visit.language, &problem)?);
            list_page(&visit, &form.again(&told), problem.code().status()).await
        }
    }
}

async fn existing(visit: &PlansVisit) -> Result<PlanRow, Problem> {
    let name = visit.part("name");
    let found = visit.service.committer.stores.views.plan(name).await.map_err(store_problem)?;
    found.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no plan of this name"))
}

async fn show(visit: PlansVisit) -> Shown {
    one_page(&visit, &Value::Null, StatusCode::OK, false).await
}

/// A plan's page. In a conflict it shows the stored plan beside the typed values, and the form continues from the stored one.
async fn one_page(visit: &PlansVisit, form: &Value, status: StatusCode, is_conflict: bool) -> Shown {
    let plan = existing(visit).await?;
    let views = &visit.service.committer.stores.views;
    let count = views.people_of_plans().await.map_err(store_problem)?.get(&plan.name).copied().unwrap_or(0);
    let may_see = visit.permissions().may(Permissions::of(&[Permission::People]), AccessKind::Read);
    let people = if may_see { Some(people_of(visit, &plan.name).await?) } else { None };
    let chosen = plan.rules.datasets.clone().unwrap_or_default();
    let mut shown = json!(plan);
    put(&mut shown, "rate_per_s", plainly(plan.limits.rate_per_s));
    let context = json!({
        "plan": shown, "count": count, "people": people, "form": form, "is_conflict": is_conflict,
        "is_default": plan.name == visit.service.settings.users.default_plan,
        "datasets": datasets(visit, &chosen), "keys_default": KEYS_MAX_DEFAULT,
        "default_plan": visit.service.settings.users.default_plan,
    });
    visit.page_as(status, ONE, &context)
}

/// A rate as people type it: a whole number without a decimal point.
fn plainly(rate: f64) -> Value {
    json!(rate.to_string())
}

async fn people_of(visit: &PlansVisit, name: &str) -> Result<Value, Problem> {
    let query = if visit.request.method().is_safe() { visit.request.query_string() } else { "" };
    let after = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "after");
    let after = after.map(|(_, id)| users::user_id(&id)).transpose()?;
    let filter = UserFilter { plan: Some(name.to_owned()), after, limit: PEOPLE_SHOWN + 1, ..UserFilter::default() };
    let rows = visit.service.committer.stores.views.users(filter).await.map_err(store_problem)?;
    let now = visit.service.committer.clock.now();
    let more = rows.len() > PEOPLE_SHOWN;
    let rows: Vec<_> = rows.into_iter().take(PEOPLE_SHOWN).map(|row| row.at(now)).collect();
    let next = rows.last().filter(|_| more).map(|last| format!("/admin/plans/{name}?after={}", last.id));
    let first = after.map(|_| format!("/admin/plans/{name}"));
    let mut listed = json!({ "data": rows, "next": next, "first": first });
    with_last_uses(&visit.service, &mut listed).await?;
    Ok(listed)
}

async fn change(visit: PlansVisit, form: Form) -> Shown {
    let plan = existing(&visit).await?;
    match define(&visit, &form, &plan.name).await {
        Ok(_) => {
            let flash = Flash::done("plans-changed").with("plan", plan.name.clone());
            visit.led(&format!("/admin/plans/{}", plan.name), Some(&flash))
        }
        Err(problem) if problem.code() == ProblemCode::Internal => Err(problem.into()),
        Err(problem) => {
            let is_conflict = problem.code() == ProblemCode::PreconditionFailed;
            let mut again = form.again(&problem.clone().detailed(reason(visit.language, &problem)?));
            if is_conflict {
                // The typed values will replace the version that is shown beside them.
                put(&mut again, "reason", Value::Null);
            }
            let status = if is_conflict { StatusCode::CONFLICT } else { problem.code().status() };
            one_page(&visit, &again, status, is_conflict).await
        }
    }
}

async fn retire(visit: PlansVisit, _: Form) -> Shown {
    let plan = existing(&visit).await?;
    let path = format!("/admin/plans/{}", plan.name);
    let flash = if plan.retired {
        Flash::done("plans-retired-already")
    } else if plan.name == visit.service.settings.users.default_plan {
        Flash::not_done("plans-is-default")
    } else {
        let command = visit.settling::<Nothing>(&json!({}))?;
        let retired = plans::retire(command, web::Path::from(plan.name.clone()), visit.service.clone());
        match visit.asked(retired).await {
            Ok(_) => Flash::done("plans-retired"),
            Err(problem) => not_done(visit.language, problem)?,
        }
    };
    visit.led(&path, Some(&flash.with("plan", plan.name)))
}
