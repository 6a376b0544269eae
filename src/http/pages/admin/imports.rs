//! `/admin/imports`: sending a file, waiting files, held imports, and earlier imports.

use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web,
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::importer;
use crate::{
    actors::import::SentFile,
    dataset::{Definition, infer},
    http::{
        Problem, ProblemCode, method,
        pages::{
            form::{Form, check_source},
            route::{answered, get},
            visit::{PageRefusal, Shown, Staff, Visit},
        },
        routes::{imports::upload as sending, refusal::import_problem},
        session::OfData,
        store_problem::store_problem,
    },
};

const TEMPLATE: &str = "admin/imports/page.html";
/// Imports that are listed.
const LISTED_MAX: usize = 50;
/// Longest form field other than the file, bytes.
const FIELD_BYTES_MAX: usize = 4 * 1024;
/// Form fields other than the file, at most.
const FIELDS_MAX: usize = 20;
/// Bytes of the form without the file.
const FORM_BYTES: u64 = 64 * 1024;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        method::resource("/admin/imports", "GET, HEAD, POST")
            .route(get(show))
            .route(web::method(Method::POST).to(send)),
    );
}

async fn show(visit: Visit<Staff<OfData>>) -> Shown {
    let context = context(&visit, &Value::Null).await?;
    visit.page(TEMPLATE, &context)
}

async fn context(visit: &Visit<Staff<OfData>>, form: &Value) -> Result<Value, Problem> {
    let service = &visit.service;
    let rows = service.committer.stores.views.imports(None, LISTED_MAX).await.map_err(store_problem)?;
    let who = importer::of(visit, &rows).await?;
    let mut listed = Vec::new();
    for row in &rows {
        let mut shown = serde_json::to_value(row).map_err(Problem::internal)?;
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("who".to_owned(), who.get(&row.id).cloned().unwrap_or_default());
        }
        listed.push(shown);
    }
    let mut waiting = Vec::new();
    for sent in service.imports.sent_files().await.map_err(import_problem)? {
        // A file that was imported is done with, unless its import failed, or was cancelled or discarded.
        let status = match sent.import {
            Some(import) => service.imports.status(import).await.map_err(import_problem)?.map(|found| found.status),
            None => None,
        };
        if status.is_none_or(|status| ["failed", "cancelled", "discarded"].contains(&status.as_str())) {
            let who = importer::told(visit, &sent.who).await?;
            waiting.push(json!({ "id": sent.id, "file_name": sent.file_name, "dataset": sent.dataset, "bytes": sent.bytes, "sent_at": sent.sent_at, "who": who }));
        }
    }
    let held = listed.iter().filter(|import| import.get("status").and_then(Value::as_str) == Some("held")).count();
    let max = service.settings.import.file_bytes_max;
    Ok(json!({
        "form": form, "imports": listed, "waiting": waiting, "held": held,
        "data_sets": data_sets(visit)?, "file_bytes_max": max, "listed_max": LISTED_MAX,
    }))
}

/// The data sets that a file can be for: existing ones, and those that are only defined.
///
/// # Errors
/// When the folder of definitions cannot be read.
pub(super) fn data_sets(visit: &Visit<Staff<OfData>>) -> Result<Vec<Value>, Problem> {
    let lineages = &visit.service.lineages;
    let mut shown: Vec<(String, String)> = lineages
        .not_lost()
        .iter()
        .map(|data_set| (data_set.definition.name.clone(), data_set.definition.title.clone()))
        .collect();
    for name in visit.service.imports.defined().unwrap_or_default() {
        if !shown.iter().any(|(known, _)| *known == name)
            && let Ok(definition) = visit.service.imports.definition(&name)
        {
            shown.push((name, definition.title.clone()));
        }
    }
    // An import is what brings a lost one back.
    for loss in lineages.losses() {
        let name = loss.data_set().to_owned();
        if !shown.iter().any(|(known, _)| *known == name) {
            shown.push((name.clone(), name));
        }
    }
    shown.sort();
    Ok(shown.into_iter().map(|(name, title)| json!([name, title])).collect())
}

async fn send(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    answered(&request, sent(&request, payload).await)
}

/// Takes a form with a file at its end. Checks the sender before reading anything, and the form token before reading the file.
async fn sent(request: &HttpRequest, payload: web::Payload) -> Shown {
    let visit: Visit<Staff<OfData>> = Visit::open(request).await?;
    let mut fields: Vec<(String, Zeroizing<String>)> = Vec::new();
    let mut form = Multipart::new(request.headers(), payload.into_inner());
    let patience = Duration::from_millis(visit.service.settings.import.chunk_timeout_ms);
    let taken = loop {
        let part = tokio::time::timeout(patience, form.next()).await.map_err(|_| sending::too_slow(patience))?;
        let Some(part) = part else { break Err(at_file("choose a file first")) };
        let part = part.map_err(|error| sending::wrong_form(&error))?;
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" {
            let csrf = fields.iter().find(|(name, _)| name == "csrf").map_or("", |(_, value)| value.as_str());
            check_source(request, &visit.service, csrf)?;
            break take(&visit, &fields, part, patience).await;
        }
        if fields.len() >= FIELDS_MAX {
            return Err(Problem::new(ProblemCode::InvalidBody, "the form has too many fields before the file").into());
        }
        fields.push((name, Zeroizing::new(text(part, patience).await?)));
    };
    match taken {
        Ok(sent) => visit.led(&format!("/admin/imports/files/{}", sent.id), None),
        Err(problem) => {
            // A form without a file needs the form token, too.
            let form = Form::of(fields);
            check_source(request, &visit.service, form.secret("csrf").unwrap_or_default())?;
            let context = context(&visit, &form.again(&problem)).await?;
            visit.page_as(problem.code().status(), TEMPLATE, &context)
        }
    }
}

async fn text(mut part: Field, patience: Duration) -> Result<String, PageRefusal> {
    let mut bytes = Vec::new();
    loop {
        let chunk = tokio::time::timeout(patience, part.next()).await.map_err(|_| sending::too_slow(patience))?;
        let Some(chunk) = chunk else { break };
        bytes.extend_from_slice(&chunk.map_err(|error| sending::wrong_form(&error))?);
        if bytes.len() > FIELD_BYTES_MAX {
            return Err(Problem::new(ProblemCode::InvalidBody, "a field of the form is too long").into());
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Problem::new(ProblemCode::InvalidBody, "the form is not UTF-8"));
    Ok(text?)
}

fn at_file(reason: &str) -> Problem {
    Problem::new(ProblemCode::InvalidBody, format!("at `file`: {reason}"))
}

async fn take(
    visit: &Visit<Staff<OfData>>,
    fields: &[(String, Zeroizing<String>)],
    part: Field,
    patience: Duration,
) -> Result<SentFile, Problem> {
    let service = &visit.service;
    let of = |name: &str| {
        let value = fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    };
    let given = sending::name_in(&part).unwrap_or_default();
    if given.is_empty() {
        return Err(at_file("choose a file first"));
    }
    let file_name = sending::name_of_file(&given).map_err(|reason: String| at_file(&reason))?;
    let dataset = of("dataset").map(ToOwned::to_owned);
    let new_name = match (&dataset, of("name")) {
        (Some(_), _) => None,
        (None, Some(name)) => {
            let wrong = |reason| Problem::new(ProblemCode::InvalidBody, format!("at `name`: {name:?} {reason}"));
            Definition::check_name(name).map_err(wrong)?;
            Some(name.to_owned())
        }
        (None, None) => {
            let stem = file_name.rsplit_once('.').map_or(file_name.as_str(), |(stem, _)| stem);
            Some(infer::data_set_name(stem))
        }
    };
    if let Some(name) = &dataset {
        service.imports.definition(name).map_err(|error| {
            Problem::new(ProblemCode::InvalidBody, format!("at `dataset`: {error}: choose another one"))
        })?;
    }
    let Staff(admin) = &visit.who;
    let who = &admin.caller.who;
    service.imports.has_room_to_look(who).await.map_err(sending::refused)?;
    let length =
        visit.request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length = length.map(|length: u64| length.saturating_sub(FORM_BYTES));
    let arriving = dataset.as_deref().or(new_name.as_deref()).unwrap_or_default();
    let upload = service.imports.receive(arriving, who, None, length).map_err(sending::refused)?;
    let upload = sending::arrive(sending::chunks(part), upload, patience).await?;
    if upload.is_empty() {
        return Err(at_file("the file is empty: choose another one"));
    }
    let about = SentFile {
        id: service.imports.new_sent_id().map_err(import_problem)?,
        dataset,
        definition: None,
        redefinition: None,
        name: new_name,
        import: None,
        replace: of("mode") == Some("replace"),
        keep_absent: of("absent") == Some("keep"),
        options: Vec::new(),
        file_name,
        bytes: 0,
        sha256: String::new(),
        who: who.clone(),
        sent_at: service.committer.clock.now(),
    };
    service.imports.lay_by(upload, about).await.map_err(sending::refused)
}
