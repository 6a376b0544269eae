//! `POST /imports`: a file, as the body or as the one part of a form, written to disk as it arrives.

use std::{rc::Rc, time::Duration};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{HttpMessage, HttpRequest, error::PayloadError, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::found::{accepted, status};
use crate::{
    actors::import::{Upload, UploadRefusal, WantedImport},
    dataset::definition::Said,
    domain::{data_set::name_to_keep, text::one_line},
    http::{
        Problem, ProblemCode,
        conditions::Conditions,
        routes::{
            answer::Answer,
            params::{Params, refuse},
            refusal::import_problem,
        },
        session::{Admin, OfData},
        state::Service,
        store_problem::RETRY_AFTER_S,
        wire::Connection,
    },
};

/// Whether a file replaces the data set or is merged into it.
pub(in crate::http) const MODES: [(&str, bool); 2] = [("merge", false), ("replace", true)];
/// Whether stored values are emptied or kept in columns that the file does not have.
pub(in crate::http) const ON_ABSENT: [(&str, bool); 2] = [("empty", false), ("keep", true)];
const FLAGS: [(&str, bool); 2] = [("true", true), ("false", false)];
const OWN: [&str; 5] = ["dataset", "mode", "dry_run", "absent", "filename"];
/// Bytes that are written at once, and that must arrive within `import.chunk_timeout_ms`.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of a form besides its file.
const FORM_BYTES: u64 = 64 * 1024;
/// Longest name of a file that is read, characters.
const NAME_CHARS_MAX: usize = 1000;

/// Media types of files, with the ending of a file name for each.
const ENDINGS: [(&str, &str); 6] = [
    ("text/csv", "csv"),
    ("text/tab-separated-values", "tsv"),
    ("application/x-ndjson", "ndjson"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.ms-excel", "xls"),
    ("text/plain", "txt"),
];

pub(super) async fn send(
    admin: Admin<OfData>,
    conditions: Conditions,
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Answer {
    conditions.without_version("an import has no version to be expected")?;
    let (mut wanted, given_name) = wanted(&request, &service)?;
    let is_form = is_form(&request)?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length = length.map(|length: u64| if is_form { length.saturating_sub(FORM_BYTES) } else { length });
    let command = conditions.command(&admin.caller.who);
    let upload =
        service.imports.receive(&wanted.dataset, &admin.caller.who, command.as_ref(), length).map_err(refused)?;
    let patience = Duration::from_millis(service.settings.import.chunk_timeout_ms);
    let (upload, name) = if is_form {
        from_form(Multipart::new(request.headers(), payload.into_inner()), upload, patience).await
    } else {
        let chunks = payload.map(|chunk| chunk.map_err(|error| broken_off(&error)));
        arrive(chunks, upload, patience).await.map(|upload| (upload, None))
    }
    .map_err(|problem| {
        // The connection's refusal says more exactly what was wrong with the body's bytes.
        let connection = request.conn_data::<Rc<Connection>>();
        connection.and_then(|connection| connection.refusal()).map_or(problem, |refusal| refusal.problem())
    })?;
    if upload.is_empty() {
        return Err(wrong_body("the file is empty"));
    }
    let name = given_name.or(name).unwrap_or_else(|| named_after(&request));
    wanted.file_name = file_name(&name)?;
    let of_request = (&wanted.dataset, wanted.replace, wanted.dry_run, wanted.keep_absent, &wanted.options);
    let hashed = serde_json::to_vec(&(of_request, &wanted.file_name, upload.sha256())).map_err(Problem::internal)?;
    let envelope = conditions.administering(&service, &admin.caller, &request, &hashed)?;
    let import = service.imports.accept(upload, wanted, &envelope).await.map_err(import_problem)?;
    Ok(accepted(&service, &status(&service, import).await?))
}

/// Reads the query, all of which is known before the file arrives.
fn wanted(request: &HttpRequest, service: &Service) -> Result<(WantedImport, Option<String>), Problem> {
    let known: Vec<&str> = OWN.into_iter().chain(Said::NAMES).collect();
    let params = Params::read_with(request.query_string(), &known, &Said::REPEATED)?;
    let dataset = params
        .text("dataset")
        .ok_or_else(|| refuse("dataset", "name the data set that the file is imported into".to_owned(), None))?;
    let options: Vec<(String, String)> = params
        .all()
        .filter(|(name, text)| Said::NAMES.contains(name) && !text.is_empty())
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    let wanted = WantedImport {
        dataset: dataset.to_owned(),
        replace: params.one_of("mode", &MODES)?.unwrap_or(false),
        dry_run: params.one_of("dry_run", &FLAGS)?.unwrap_or(false),
        keep_absent: params.one_of("absent", &ON_ABSENT)?.unwrap_or(false),
        options,
        definition: None,
        redefines: None,
        file_name: String::new(),
    };
    let said = Said::of(wanted.options.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let said = said.map_err(|(name, reason)| refuse(&name, reason, None))?;
    let definition = service.imports.definition(dataset).map_err(import_problem)?;
    definition.reading_as(&said).map_err(|reason| {
        let name = if said.fill_down.is_empty() { "decimal" } else { "fill_down" };
        refuse(name, reason, None)
    })?;
    Ok((wanted, params.text("filename").map(ToOwned::to_owned)))
}

fn essence(request: &HttpRequest) -> String {
    request.content_type().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the file is in a form. Refuses the media types that clients send by default.
fn is_form(request: &HttpRequest) -> Result<bool, Problem> {
    match essence(request).as_str() {
        "multipart/form-data" => Ok(true),
        kind @ ("application/x-www-form-urlencoded" | "application/json") => {
            let detail = format!(
                "a body of the type {kind} is no file: send it as it is, with the header content-type: text/csv or that of its format, \
                 or as the one part of multipart/form-data"
            );
            Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
        }
        _ => Ok(false),
    }
}

/// A name for a file that has none.
fn named_after(request: &HttpRequest) -> String {
    let essence = essence(request);
    let ending = ENDINGS.iter().find(|(kind, _)| *kind == essence).map(|(_, ending)| *ending);
    ending.map_or_else(|| "upload".to_owned(), |ending| format!("upload.{ending}"))
}

/// A file's name as it is kept: without folders, on one line, and without personal data.
fn file_name(given: &str) -> Result<String, Problem> {
    name_of_file(given).map_err(|reason| refuse("filename", reason, None))
}

/// As [`file_name`], with the reason alone as the error.
///
/// # Errors
/// What is wrong with the name.
pub(in crate::http) fn name_of_file(given: &str) -> Result<String, String> {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(format!("a file's name may have at most {NAME_CHARS_MAX} characters"));
    }
    match one_line(name) {
        Ok(Some(_)) if !["", ".", ".."].contains(&name) => Ok(name_to_keep(name)),
        Ok(_) => Err("the name of the file shows nothing: give it one with filename=".to_owned()),
        Err(found) => {
            Err(format!("the name of the file holds {found}, which could make it look like another: rename it"))
        }
    }
}

/// The file name of a form's part. Decodes the three characters that browsers encode in names (HTML, "multipart/form-data").
pub(in crate::http) fn name_in(part: &Field) -> Option<String> {
    let name = part.content_disposition()?.get_filename()?;
    Some(name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"))
}

/// Takes the one file of a form.
async fn from_form(
    mut form: Multipart,
    mut upload: Upload,
    patience: Duration,
) -> Result<(Upload, Option<String>), Problem> {
    let mut name: Option<Option<String>> = None;
    loop {
        let part = tokio::time::timeout(patience, form.next()).await.map_err(|_| too_slow(patience))?;
        let Some(part) = part else { break };
        let part = part.map_err(|error| wrong_form(&error))?;
        let given = name_in(&part);
        if given.is_none() && part.name() != Some("file") {
            return Err(wrong_body(
                "a part of the form is no file: what is to be said of the file stands in the query, and the form has the file alone",
            ));
        }
        if name.is_some() {
            return Err(wrong_body("the form has more than one part: send each file in a request of its own"));
        }
        name = Some(given);
        upload = arrive(chunks(part), upload, patience).await?;
    }
    let name = name.ok_or_else(|| wrong_body("the form has no part: send the file in it"))?;
    Ok((upload, name))
}

pub(in crate::http) fn chunks(part: Field) -> impl Stream<Item = Result<Bytes, Problem>> {
    part.map(|chunk| chunk.map_err(|error| wrong_form(&error)))
}

/// Writes what arrives to disk, block by block.
pub(in crate::http) async fn arrive(
    chunks: impl Stream<Item = Result<Bytes, Problem>>,
    mut upload: Upload,
    patience: Duration,
) -> Result<Upload, Problem> {
    let mut chunks = std::pin::pin!(chunks);
    loop {
        let mut block = BytesMut::with_capacity(BLOCK_BYTES);
        let fill = async {
            while block.len() < BLOCK_BYTES {
                let Some(chunk) = chunks.next().await else { return Ok(true) };
                block.extend_from_slice(&chunk?);
            }
            Ok::<_, Problem>(false)
        };
        let is_end = tokio::time::timeout(patience, fill).await.map_err(|_| too_slow(patience))??;
        let written = web::block(move || upload.write(&block).map(|()| upload)).await.map_err(Problem::internal)?;
        upload = written.map_err(refused)?;
        if is_end {
            return Ok(upload);
        }
    }
}

pub(in crate::http) fn too_slow(patience: Duration) -> Problem {
    let detail =
        format!("a mebibyte of the file did not arrive within {} ms (import.chunk_timeout_ms)", patience.as_millis());
    Problem::new(ProblemCode::RequestTimeout, detail)
}

fn wrong_body(detail: &'static str) -> Problem {
    Problem::new(ProblemCode::InvalidBody, detail)
}

fn broken_off(error: &PayloadError) -> Problem {
    let detail = match error {
        PayloadError::Incomplete(_) => "the connection ended before the file did".to_owned(),
        error => format!("the file could not be read to its end: {error}"),
    };
    Problem::new(ProblemCode::InvalidRequest, detail)
}

pub(in crate::http) fn wrong_form(error: &MultipartError) -> Problem {
    match error {
        MultipartError::Payload(error) => broken_off(error),
        MultipartError::Incomplete => {
            Problem::new(ProblemCode::InvalidBody, "the form ended before the file did, or the body is no form")
        }
        error => Problem::new(ProblemCode::InvalidBody, format!("the body is no form that can be read: {error}")),
    }
}

/// The problem of a refused upload.
pub(in crate::http) fn refused(refusal: UploadRefusal) -> Problem {
    let text = refusal.to_string();
    match refusal {
        UploadRefusal::TooMany(_) | UploadRefusal::TooManyOfCaller(_) | UploadRefusal::Waiting => {
            Problem::new(ProblemCode::Overloaded, text).retry_after(RETRY_AFTER_S)
        }
        UploadRefusal::TooLarge(_) => Problem::new(ProblemCode::BodyTooLarge, text),
        UploadRefusal::NoRoom(_) => Problem::new(ProblemCode::InsufficientStorage, text),
        UploadRefusal::Cancelled | UploadRefusal::TooManyLookedAt(_) => Problem::new(ProblemCode::Conflict, text),
        UploadRefusal::Io(_) => Problem::internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_is_one_line_without_folders_and_without_a_person() {
        for (given, kept) in [
            ("trees.csv", "trees.csv"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ana\\trees 2026.xlsx", "trees 2026.xlsx"),
            ("bäume.csv", "bäume.csv"),
            ("ana@example.org.csv", "(a name with an address in it)"),
            ("/home/ana@example.org/trees.csv", "trees.csv"),
        ] {
            assert_eq!(file_name(given).ok().as_deref(), Some(kept), "{given}");
        }
        for wrong in ["", "  ", "..", "a/", "a\nb.csv", "a\u{202e}vsc.csv", "\u{0}", &"x".repeat(1001)] {
            assert_eq!(file_name(wrong).unwrap_err().code(), ProblemCode::InvalidParameters, "{wrong:?}");
        }
    }
}
