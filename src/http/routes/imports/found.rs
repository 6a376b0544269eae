//! Finds the import that a request names, and answers a request that began one.

use actix_web::HttpResponse;
use uuid::Uuid;

use crate::{
    actors::import::ImportStatus,
    http::{
        Problem, ProblemCode,
        routes::{answer, refusal::import_problem},
        state::Service,
    },
};

pub(super) fn no_import() -> Problem {
    Problem::new(ProblemCode::NotFound, "there is no such import")
}

pub(super) fn import_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| no_import())
}

pub(super) async fn status(service: &Service, import: Uuid) -> Result<ImportStatus, Problem> {
    service.imports.status(import).await.map_err(import_problem)?.ok_or_else(no_import)
}

/// The answer to a request that began an import: its status, and the address of its progress.
pub(super) fn accepted(service: &Service, status: &ImportStatus) -> HttpResponse {
    let location = format!("{}/imports/{}", service.public_url, status.id);
    answer::accepted(&location, status)
}
