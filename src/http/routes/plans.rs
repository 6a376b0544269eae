//! Plans: `/plans`, `/plans/{name}`, `/plans/{name}/users`.

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{self, Answer},
    as_of,
    command::{BodyFields, CommandRequest, Nothing},
    params::Params,
    refusal::command_problem,
    users,
};
use crate::{
    actors::commit::{CommandError, Committed},
    domain::{
        bounds::{DATASETS_MAX, LIFE_DAYS_MAX},
        id::StreamId,
        plan::{self, KeyRules, Limits},
        view::PlanRow,
    },
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfPeople, OfPlans},
        state::Service,
        store_problem::store_problem,
    },
    store::UserFilter,
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/plans", list)).service(method::readable("/plans/{name}/users", people)).service(
        method::resource("/plans/{name}", "GET, HEAD, PUT, DELETE")
            .route(method::read().to(show))
            .route(web::method(Method::PUT).to(define))
            .route(web::method(Method::DELETE).to(retire)),
    );
}

fn no_plan(name: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    Problem::new(ProblemCode::NotFound, format!("there is no plan {name:?}"))
}

/// The plan as the commit left it.
fn row(committed: &Committed) -> Result<PlanRow, Problem> {
    committed.state.rows().plans.pop().ok_or_else(|| Problem::internal("a plan's commit left no plan"))
}

pub(in crate::http) async fn list(_: Admin<OfPlans>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["count"])?;
    let views = &service.committer.stores.views;
    let counted = match params.one_of("count", &[("people", ())])? {
        Some(()) => Some(views.people_of_plans().await.map_err(store_problem)?),
        None => None,
    };
    let default = &service.settings.users.default_plan;
    let listed = |plan: PlanRow| {
        let people = counted.as_ref().map(|counted| counted.get(&plan.name).copied().unwrap_or(0));
        ListedPlan { is_default: plan.name == *default, people, plan }
    };
    let listed: Vec<ListedPlan> = views.plans().await.map_err(store_problem)?.into_iter().map(listed).collect();
    Ok(answer::list(&listed))
}

/// A plan of the list.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in crate::http) struct ListedPlan {
    #[serde(flatten)]
    plan: PlanRow,
    /// Whether invitations that name no plan get this one: the setting `users.default_plan`.
    is_default: bool,
    /// How many people have it, with `count=people`.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<u64>,
}

/// Lists the people who have the plan, without deleted ones.
pub(in crate::http) async fn people(
    _: Admin<OfPeople>,
    request: HttpRequest,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let params = Params::read(request.query_string(), &["search", "status", "invitation", "limit", "after"])?;
    let plan = service.committer.stores.views.plan(&name).await.map_err(store_problem)?;
    let plan = Some(plan.ok_or_else(|| no_plan(&name))?.name);
    users::page(&request, &service, &params, UserFilter { plan, ..UserFilter::default() }).await
}

async fn show(_: Admin<OfPlans>, request: HttpRequest, name: web::Path<String>, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["as_of"])?;
    let plan = match params.text("as_of") {
        None => service.committer.stores.views.plan(&name).await.map_err(store_problem)?.ok_or_else(|| no_plan(&name)),
        Some(text) => past(&service, &name, text).await,
    }?;
    Ok(answer::versioned(StatusCode::OK, plan.version, &plan))
}

/// The plan as it was.
async fn past(service: &Service, name: &str, text: &str) -> Result<PlanRow, Problem> {
    // A name that no plan can have is no stream.
    let stream = StreamId::parse(&format!("plan#{name}")).map_err(|_| no_plan(name))?;
    let found = as_of::load(service, &stream, text).await?.state.rows().plans.pop();
    let name: String = name.chars().take(80).collect();
    found.ok_or_else(|| Problem::new(ProblemCode::NotFound, format!("there was no plan {name:?} as of {text}")))
}

/// A plan's limits.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(in crate::http) struct LimitsBody {
    /// Requests per second at which the token bucket fills.
    #[schemars(range(min = plan::RATE_PER_S_MIN, max = plan::RATE_PER_S_MAX))]
    rate_per_s: f64,
    /// Requests that the token bucket holds.
    #[schemars(range(min = 1, max = plan::BURST_MAX))]
    burst: u32,
    /// Requests per UTC day.
    #[schemars(range(min = 1, max = plan::QUOTA_PER_DAY_MAX))]
    quota_per_day: u64,
    /// Days for which a key works after it was issued; null, or nothing, until it is ended.
    #[serde(default)]
    #[schemars(range(min = 1, max = LIFE_DAYS_MAX))]
    key_max_age_days: Option<u32>,
    /// The data sets that the plan's people may read; null, or nothing, for all.
    #[serde(default)]
    #[schemars(length(min = 1, max = DATASETS_MAX))]
    datasets: Option<Vec<String>>,
    /// Most keys of a person that work at the same time; null, or nothing, for 20.
    #[serde(default)]
    #[schemars(range(min = 1, max = plan::KEYS_MAX_MOST))]
    keys_max: Option<u32>,
}

impl BodyFields for LimitsBody {
    const NAMES: &'static [&'static str] =
        &["rate_per_s", "burst", "quota_per_day", "key_max_age_days", "datasets", "keys_max"];
}

pub(in crate::http) async fn define(
    command: CommandRequest<LimitsBody, OfPlans>,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let LimitsBody { rate_per_s, burst, quota_per_day, key_max_age_days, datasets, keys_max } = command.body;
    let limits = Limits { rate_per_s, burst, quota_per_day };
    let rules = KeyRules { key_max_age_days, datasets, keys_max };
    let committed = service.accounts.define_plan(name.into_inner(), limits, rules, command.envelope).await;
    let committed = committed.map_err(command_problem)?;
    let plan = row(&committed)?;
    // The first commit of a plan's stream is its first definition.
    if committed.version == 1 && !committed.events.is_empty() {
        let location = format!("{}/plans/{}", service.public_url, plan.name);
        return Ok(answer::created(&location, plan.version, &plan));
    }
    Ok(answer::versioned(StatusCode::OK, plan.version, &plan))
}

pub(in crate::http) async fn retire(
    command: CommandRequest<Nothing, OfPlans>,
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let retired = service.accounts.retire_plan(name.clone(), command.envelope).await;
    let committed = retired.map_err(|error| match error {
        CommandError::NoPlan { .. } | CommandError::Plan(_) => no_plan(&name),
        other => command_problem(other),
    })?;
    Ok(answer::versioned(StatusCode::OK, committed.version, &row(&committed)?))
}
