//! The log: `/events`, `/users/{id}/events`. Personal data stays sealed.

use actix_web::{HttpRequest, web};
use serde_json::Value;

use super::{
    answer::{self, Answer},
    params::Params,
    store_problem,
    users::user_id,
};
use crate::{
    domain::{
        id::StreamId,
        persisted::{self, StoredCommit},
    },
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfEvents, OfPeople},
        state::Service,
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/events", all)).service(method::readable("/users/{id}/events", of_user));
}

/// Which end of the log comes first.
#[derive(Clone, Copy)]
enum Order {
    OldestFirst,
    NewestFirst,
}

const ORDERS: [(&str, Order); 2] = [("oldest", Order::OldestFirst), ("newest", Order::NewestFirst)];

/// `limit` bounds the commits of a page, so that the events of one command stay together.
async fn all(_: Admin<OfEvents>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &["order", "after", "limit"])?;
    let (limit, after) = (params.limit()?, params.number::<u64>("after")?);
    let order = params.one_of("order", &ORDERS)?.unwrap_or(Order::OldestFirst);
    let log = &service.committer.stores.log;
    let commits = match order {
        Order::OldestFirst => log.read(after.unwrap_or(0), limit + 1).await,
        Order::NewestFirst => log.read_back(after, limit + 1).await,
    };
    page(&request, commits.map_err(store_problem)?, limit, |commit| commit.position)
}

async fn of_user(
    _: Admin<OfPeople>,
    request: HttpRequest,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let params = Params::read(request.query_string(), &["after", "limit"])?;
    let (limit, after) = (params.limit()?, params.number::<u64>("after")?.unwrap_or(0));
    let user = user_id(&id)?;
    let commits = service.committer.stores.log.load(&StreamId::User(user), after, limit + 1).await;
    let commits = commits.map_err(store_problem)?;
    if commits.is_empty() && after == 0 {
        return Err(Problem::new(ProblemCode::NotFound, format!("there is no user {user}")));
    }
    page(&request, commits, limit, |commit| commit.version)
}

fn page(
    request: &HttpRequest,
    mut commits: Vec<StoredCommit>,
    limit: usize,
    place: impl Fn(&StoredCommit) -> u64,
) -> Answer {
    let more = commits.len() > limit;
    commits.truncate(limit);
    let last = commits.last().filter(|_| more).map(|commit| place(commit).to_string());
    let mut events: Vec<Value> = Vec::new();
    for commit in &commits {
        events.extend(persisted::documents(commit).map_err(Problem::internal)?);
    }
    Ok(answer::page(request, &events, limit, last))
}
