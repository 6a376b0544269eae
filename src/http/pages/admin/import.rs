//! `/admin/imports/{id}`: an import's progress, what it would change or has changed, and the decisions about it.

use std::{fs::File, path::Path};

use actix_web::web;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{importer, told::not_done};
use crate::{
    actors::import::ImportStatus,
    domain::view::HELD,
    http::{
        Problem, ProblemCode, method,
        pages::{
            flash::Flash,
            form::Form,
            route::{get, post},
            visit::{Shown, Staff, Visit},
        },
        routes::{command::Nothing, imports, refusal::import_problem},
        session::OfData,
        store_problem::store_problem,
    },
    private,
};

const TEMPLATE: &str = "admin/import/page.html";
/// Rejected cells that are shown.
const REJECTS_SHOWN: usize = 100;
/// Characters of a cell that are shown.
const CELL_CHARS_MAX: usize = 200;
type ImportVisit = Visit<Staff<OfData>>;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/imports/{id}", "GET, HEAD").route(get(show)))
        .service(method::resource("/admin/imports/{id}/rejects", "GET, HEAD").route(get(rejects)))
        .service(method::resource("/admin/imports/{id}/approve", "POST").route(post(approve)))
        .service(method::resource("/admin/imports/{id}/discard", "POST").route(post(discard)))
        .service(method::resource("/admin/imports/{id}/cancel", "POST").route(post(cancel)));
}

async fn found(visit: &ImportVisit) -> Result<ImportStatus, Problem> {
    let missing = || {
        let detail =
            "there is no such import: one that only tried a file out is kept for some days, by the server that did it";
        Problem::new(ProblemCode::NotFound, detail)
    };
    let id = Uuid::parse_str(visit.part("id")).map_err(|_| missing())?;
    visit.service.imports.status(id).await.map_err(import_problem)?.ok_or_else(missing)
}

async fn show(visit: ImportVisit) -> Shown {
    let import = found(&visit).await?;
    let service = &visit.service;
    let row = service.committer.stores.views.import(import.id).await.map_err(store_problem)?;
    let who = match row {
        Some(row) => importer::of(&visit, &[row]).await?.remove(&import.id),
        None => None,
    };
    let rejects = match service.imports.rejects(import.id).await.map_err(import_problem)? {
        Some(path) => web::block(move || first_rejects(&path)).await.map_err(Problem::internal)??,
        None => Vec::new(),
    };
    let records = service.lineages.unless_lost(&import.dataset).map(|data_set| data_set.records);
    let why = match (&import.held, &import.report) {
        (Some(held), _) => json!(held.why),
        (None, Some(report)) if import.dry_run => json!(report.exceeds),
        _ => json!([]),
    };
    let percent = import.progress.as_ref().and_then(|progress| {
        let total = progress.bytes_total.filter(|total| *total > 0)?;
        Some(progress.bytes.min(total).saturating_mul(100) / total)
    });
    let opened = service.imports.opened_by(import.id).await.map_err(import_problem)?;
    let context = json!({
        "opened": opened, "import": import, "who": who, "rejects": rejects, "rejects_shown": REJECTS_SHOWN, "records": records, "why": why,
        "is_settled": import.is_settled(), "percent": percent, "sent": sent_file(&visit, &import).await?,
    });
    visit.page(TEMPLATE, &context)
}

async fn rejects(visit: ImportVisit) -> Shown {
    let Staff(admin) = visit.who.clone();
    let id = web::Path::from(visit.part("id").to_owned());
    Ok(imports::rejected_rows(admin, visit.request.clone(), id, visit.service.clone()).await?)
}

/// The file that an import was made of, while the file waits.
async fn sent_file(visit: &ImportVisit, import: &ImportStatus) -> Result<Value, Problem> {
    let query = form_urlencoded::parse(visit.request.query_string().as_bytes());
    let id = query.into_iter().find(|(name, _)| name == "file").and_then(|(_, id)| Uuid::parse_str(&id).ok());
    let Some(id) = id else { return Ok(Value::Null) };
    let sent = visit.service.imports.sent_file(id).await.map_err(import_problem)?;
    let sent = sent.filter(|sent| Some(&sent.file_name) == import.file_name.as_ref());
    Ok(sent.map_or(Value::Null, |sent| json!({ "id": sent.id })))
}

/// The first rejected cells: line, column, text, reason.
fn first_rejects(path: &Path) -> Result<Vec<Vec<String>>, Problem> {
    let file: File = private::open_to_read(path).map_err(Problem::internal)?;
    let mut reader = csv::Reader::from_reader(file);
    let rows = reader.records().take(REJECTS_SHOWN);
    rows.map(|row| Ok(row.map_err(Problem::internal)?.iter().map(cut).collect())).collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Leads back to the import, keeping the file that it was made of in the address.
fn led(visit: &ImportVisit, form: &Form, flash: &Flash) -> Shown {
    let id = visit.part("id");
    let id = Uuid::parse_str(id).map_err(|_| Problem::new(ProblemCode::NotFound, "there is no such import"))?;
    let file = form.text("file").and_then(|file| Uuid::parse_str(file).ok());
    let query = file.map_or(String::new(), |file| format!("?file={file}"));
    visit.led(&format!("/admin/imports/{id}{query}"), Some(flash))
}

/// Reports a decision: made now, made before, or refused with the reason.
async fn decided(visit: &ImportVisit, form: &Form, done: Result<Value, Problem>, wanted: &str, id: &str) -> Shown {
    let flash = match done {
        Ok(_) => Flash::done(id),
        Err(problem) if problem.code() == ProblemCode::Conflict && found(visit).await?.status == wanted => {
            Flash::done(&format!("{id}-before"))
        }
        Err(problem) if problem.code() == ProblemCode::NotFound => return Err(problem.into()),
        Err(problem) => not_done(visit.language, problem)?,
    };
    led(visit, form, &flash)
}

async fn approve(visit: ImportVisit, form: Form) -> Shown {
    let import = found(&visit).await?;
    if import.status != HELD && !import.is_settled() {
        return led(&visit, &form, &Flash::done("import-approved-before"));
    }
    let command = visit.command::<Nothing>(&form, &json!({}))?;
    let id = web::Path::from(visit.part("id").to_owned());
    let done = visit.asked(imports::approve(command, id, visit.service.clone())).await;
    decided(&visit, &form, done, "completed", "import-approved").await
}

async fn discard(visit: ImportVisit, form: Form) -> Shown {
    let command = visit.command::<Nothing>(&form, &json!({}))?;
    let id = web::Path::from(visit.part("id").to_owned());
    let done = visit.asked(imports::discard(command, id, visit.service.clone())).await;
    decided(&visit, &form, done, "discarded", "import-discarded").await
}

async fn cancel(visit: ImportVisit, form: Form) -> Shown {
    let command = visit.command::<Nothing>(&form, &json!({}))?;
    let id = web::Path::from(visit.part("id").to_owned());
    let done = visit.asked(imports::cancel(command, id, visit.service.clone())).await;
    decided(&visit, &form, done, "cancelled", "import-cancelled").await
}
