//! The signed checkpoints of the log: `/checkpoints` and `/checkpoints/{number}`.

use actix_web::{HttpRequest, http::StatusCode, web};
use serde_json::Value;

use super::{
    answer::{self, Answer},
    params::Params,
};
use crate::{
    domain::checkpoint::LogCheckpoint,
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfEvents},
        state::Service,
        store_problem::store_problem,
    },
    store::KeptCheckpoint,
};

/// The path of the list.
pub(super) const PATH: &str = "/checkpoints";

/// Adds the routes of the administrator. Sessions and keys get theirs from the routes of data.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/checkpoints", list)).service(method::readable("/checkpoints/{number}", show));
}

async fn list(_: Admin<OfEvents>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    told(&request, &service).await
}

async fn show(_: Admin<OfEvents>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    told(&request, &service).await
}

/// Whether a path asks for checkpoints.
pub(super) fn is_asked(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The list, the latest first, or the one that the path names.
pub(super) async fn told(request: &HttpRequest, service: &Service) -> Answer {
    let checkpoints = &service.committer.stores.checkpoints;
    let number = request.path().strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/'));
    if let Some(number) = number {
        Params::read(request.query_string(), &[])?;
        let absent =
            || Problem::new(ProblemCode::NotFound, "there is no such checkpoint: /checkpoints lists them".to_owned());
        let number: u64 = number.parse().map_err(|_| absent())?;
        let found = checkpoints.checkpoints(number.checked_add(1), 1).await.map_err(store_problem)?;
        let found = found.into_iter().find(|kept| kept.number == number).ok_or_else(absent)?;
        return Ok(answer::document(StatusCode::OK, &document(&found)?));
    }
    let params = Params::read(request.query_string(), &["after", "limit"])?;
    let (limit, before) = (params.limit()?, params.number::<u64>("after")?);
    let mut found = checkpoints.checkpoints(before, limit + 1).await.map_err(store_problem)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|last| last.number.to_string());
    let listed: Vec<Value> = found.iter().map(document).collect::<Result<_, _>>()?;
    Ok(answer::page(request, &listed, limit, last))
}

/// The document of a checkpoint.
pub(super) fn document(kept: &KeptCheckpoint) -> Result<Value, Problem> {
    let said = LogCheckpoint::parse(&kept.signed.text).map_err(Problem::internal)?;
    Ok(kept.document(&said))
}
