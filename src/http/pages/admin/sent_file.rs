//! `/admin/imports/files/{id}`: how a waiting file is read, a definition for a new data set, and the decision about the file.

use actix_web::{http::StatusCode, web};
use serde_json::{Value, json};
use uuid::Uuid;

use super::imports::data_sets;
use crate::{
    actors::import::{Redefinition, SentFile},
    dataset::{Definition, definition::Said, infer},
    http::{
        Problem, ProblemCode, method,
        pages::{
            flash::Flash,
            form::Form,
            route::{get, post},
            visit::{Shown, Staff, Visit},
        },
        routes::{command::Nothing, refusal::import_problem},
        session::OfData,
    },
};

const TEMPLATE: &str = "admin/sent_file/page.html";
/// The longest definition that can be changed in the page, bytes: it fits into a form even with each byte encoded as three.
const CHANGED_BYTES_MAX: usize = 300_000;
type SentFileVisit = Visit<Staff<OfData>>;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/imports/files/{id}", "GET, HEAD").route(get(show)))
        .service(method::resource("/admin/imports/files/{id}/reading", "POST").route(post(read_otherwise)))
        .service(method::resource("/admin/imports/files/{id}/propose", "POST").route(post(propose)))
        .service(method::resource("/admin/imports/files/{id}/definition", "POST").route(post(define)))
        .service(method::resource("/admin/imports/files/{id}/try", "POST").route(post(rehearse)))
        .service(method::resource("/admin/imports/files/{id}/start", "POST").route(post(start)))
        .service(method::resource("/admin/imports/files/{id}/remove", "POST").route(post(remove)));
}

async fn found(visit: &SentFileVisit) -> Result<SentFile, Problem> {
    let missing = || {
        let detail = "this file is not here any more: it was imported or removed, it waited for more than a day, or another server has it. \
                      Send it again";
        Problem::new(ProblemCode::NotFound, detail)
    };
    let id = Uuid::parse_str(visit.part("id")).map_err(|_| missing())?;
    visit.service.imports.sent_file(id).await.map_err(import_problem)?.ok_or_else(missing)
}

async fn show(visit: SentFileVisit) -> Shown {
    let mut sent = found(&visit).await?;
    let mut trouble = None;
    if sent.dataset.is_none() && sent.definition.is_none() {
        match proposed(&visit, &sent).await {
            Ok(text) => {
                sent.definition = Some(text);
                visit.service.imports.change_sent_file(&sent).await.map_err(import_problem)?;
            }
            Err(problem) => trouble = Some(problem),
        }
    }
    page(&visit, &sent, StatusCode::OK, &Value::Null, trouble).await
}

async fn proposed(visit: &SentFileVisit, sent: &SentFile) -> Result<String, Problem> {
    let stem = sent.file_name.rsplit_once('.').map_or(sent.file_name.as_str(), |(stem, _)| stem);
    let name = sent.name.clone().unwrap_or_else(|| infer::data_set_name(stem));
    visit.service.imports.propose(sent, &name).await.map_err(import_problem)
}

async fn page(
    visit: &SentFileVisit,
    sent: &SentFile,
    status: StatusCode,
    form: &Value,
    trouble: Option<Problem>,
) -> Shown {
    let imports = &visit.service.imports;
    // A mistake in the definition is shown at its field.
    let wrong = mistake(visit, sent);
    let (looked, trouble) = match (trouble, &wrong) {
        (Some(problem), _) => (None, Some(problem)),
        (None, Some(_)) => (None, None),
        (None, None) => match imports.look_at(sent).await.map_err(import_problem) {
            Ok(looked) => (Some(looked), None),
            Err(problem) if problem.code().status().is_client_error() => (None, Some(problem)),
            Err(problem) => return Err(problem.into()),
        },
    };
    let form = match (form, wrong) {
        (Value::Null, Some(reason)) => {
            let problem = Problem::new(ProblemCode::InvalidBody, format!("at `definition`: {reason}"));
            crate::http::pages::form::wrong(&problem)
        }
        (form, _) => form.clone(),
    };
    let definition = imports.definition_of(sent).ok();
    let target = sent.dataset.clone().or(definition.as_ref().map(|definition| definition.name.clone()));
    let present = target.as_ref().and_then(|name| visit.service.lineages.unless_lost(name));
    let options: serde_json::Map<String, Value> =
        Said::NAMES.iter().map(|name| ((*name).to_owned(), json!(told(sent, name)))).collect();
    let title = definition.map(|definition| definition.title.clone());
    let context = json!({
        "form": form, "sent": sent, "looked": looked, "present": present_definition(visit, sent), "trouble": trouble.as_ref().map(Problem::detail),
        "data_sets": data_sets(visit)?, "options": options, "target": target,
        "records": present.as_ref().map(|present| present.records), "title": title,
        "shown_at": visit.service.committer.clock.now(),
    });
    visit.page_as(status, TEMPLATE, &context)
}

/// The values of an option, one per line.
fn told(sent: &SentFile, name: &str) -> String {
    let texts = sent.options.iter().filter(|(known, _)| known == name).map(|(_, text)| text.as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// The chosen data set's definition for editing; none where the file is for a new data set.
fn present_definition(visit: &SentFileVisit, sent: &SentFile) -> Option<Value> {
    let found = visit.service.imports.found_definition(sent.dataset.as_deref()?).ok()?;
    let (present, text) = (found.definition.fingerprint(), found.definition.to_toml());
    let fixed = match (found.is_in_file, text.len() > CHANGED_BYTES_MAX) {
        (true, _) => Some("in-file"),
        (false, true) => Some("long"),
        (false, false) => None,
    };
    let (text, of, is_changed) = match &sent.redefinition {
        Some(Redefinition { text, of }) => (text.clone(), of.clone(), true),
        None => (text, present, false),
    };
    Some(json!({ "text": text, "of": of, "is_changed": is_changed, "fixed": fixed }))
}

/// The mistake in a written definition, with its line; none where the definition can be used.
fn mistake(visit: &SentFileVisit, sent: &SentFile) -> Option<String> {
    let text = match &sent.dataset {
        Some(_) => &sent.redefinition.as_ref()?.text,
        None => sent.definition.as_ref()?,
    };
    let own = match Definition::from_toml(text, "") {
        Ok(own) => own,
        Err(error) if error.path.starts_with("line ") => return Some(format!("{}: {}", error.path, error.reason)),
        Err(error) => return Some(format!("{}, {}: {}", line_told(text, &error.path), error.path, error.reason)),
    };
    let imports = &visit.service.imports;
    let told = |id: &str, with: &[(&str, String)]| {
        let reason = visit.say(id, with).unwrap_or_default();
        Some(format!("{}: {reason}", line_told(text, "name")))
    };
    match &sent.dataset {
        Some(name) if own.name != *name => {
            told("sent-file-definition-other-name", &[("name", own.name), ("dataset", name.clone())])
        }
        Some(_) => imports.definition_of(sent).err().map(|error| error.to_string()),
        None => match imports.definition(&own.name) {
            Ok(known) if known.fingerprint() != own.fingerprint() => {
                let choice = visit.say("imports-dataset", &[]).unwrap_or_default();
                told("sent-file-definition-name-taken", &[("name", own.name), ("choice", choice)])
            }
            _ => None,
        },
    }
}

fn line_told(text: &str, path: &str) -> String {
    format!("line {}", line_of(text, path))
}

/// The line of a place such as `column[3].type`, from 1: the key's line, or its table's where the key is missing.
fn line_of(text: &str, path: &str) -> usize {
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    let (name, place) = match table.split_once('[') {
        Some((name, rest)) => (name, rest.trim_end_matches(']').parse().unwrap_or(1)),
        None => (table, 1_usize),
    };
    let headers = [format!("[[{name}]]"), format!("[{name}]")];
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_header = |line: &&str| headers.iter().any(|header| line.starts_with(header.as_str()));
    let begin = match name {
        "" => 0,
        _ => {
            let mut of_name = lines.iter().enumerate().filter(|(_, line)| is_header(line));
            of_name.nth(place.saturating_sub(1)).map_or(0, |(at, _)| at + 1)
        }
    };
    let own = lines.iter().enumerate().skip(begin).take_while(|(_, line)| !line.starts_with('['));
    let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    let found = own.into_iter().find(|(_, line)| is_key(line)).map(|(at, _)| at + 1);
    found.unwrap_or(begin.max(1))
}

/// Keeps the definition from a form, even a wrong one, so that no text is lost.
async fn keep_definition(visit: &SentFileVisit, sent: &mut SentFile, form: &Form) -> Result<Option<Problem>, Problem> {
    let Some(text) = form.secret("definition") else { return Ok(None) };
    let at = |reason: String| Problem::new(ProblemCode::InvalidBody, format!("at `definition`: {reason}"));
    // Browsers end lines with CR LF.
    let text = text.replace("\r\n", "\n");
    match (&sent.dataset, form.text("of")) {
        (None, None) => sent.definition = Some(text),
        (Some(name), Some(of)) => {
            let present = visit.service.imports.definition(name).map_err(|error| at(error.to_string()))?;
            sent.redefinition = is_changed(&present, &text, of).then(|| Redefinition { text, of: of.to_owned() });
        }
        // The file's data set was chosen in another window meanwhile.
        _ => return Ok(Some(at(visit.say("sent-file-definition-of-other", &[]).unwrap_or_default()))),
    }
    visit.service.imports.change_sent_file(sent).await.map_err(import_problem)?;
    Ok(mistake(visit, sent).map(at))
}

/// Whether a text differs in content from the data set's definition, the present one or the one that was shown. Layout alone is no change.
fn is_changed(present: &Definition, text: &str, of: &str) -> bool {
    if text.trim() == present.to_toml().trim() {
        return false;
    }
    let own = Definition::from_toml(text, "").map(|own| own.fingerprint());
    own.map_or(true, |own| own != of && own != present.fingerprint())
}

async fn define(visit: SentFileVisit, form: Form) -> Shown {
    let mut sent = found(&visit).await?;
    match keep_definition(&visit, &mut sent, &form).await? {
        None => visit.led(&place(&sent), Some(&Flash::done("sent-file-definition-kept"))),
        Some(problem) => page(&visit, &sent, problem.code().status(), &form.again(&problem), None).await,
    }
}

fn place(sent: &SentFile) -> String {
    format!("/admin/imports/files/{}", sent.id)
}

/// The parameters for reading the file, from the form.
fn options(form: &Form) -> Result<Vec<(String, String)>, Problem> {
    let mut options = Vec::new();
    for name in Said::NAMES {
        let text = form.text(name).unwrap_or_default();
        if Said::REPEATED.contains(&name) {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            options.extend(lines.map(|line| (name.to_owned(), line.to_owned())));
        } else if !text.is_empty() {
            options.push((name.to_owned(), text.to_owned()));
        }
    }
    let at = |name: &str, reason: String| Problem::new(ProblemCode::InvalidBody, format!("at `{name}`: {reason}"));
    Said::of(options.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        .map_err(|(name, reason)| at(&name, reason))?;
    Ok(options)
}

async fn read_otherwise(visit: SentFileVisit, form: Form) -> Shown {
    let sent = found(&visit).await?;
    match changed(&visit, &sent, &form) {
        Ok(changed) => {
            visit.service.imports.change_sent_file(&changed).await.map_err(import_problem)?;
            visit.led(&place(&sent), Some(&Flash::done("sent-file-read-again")))
        }
        Err(problem) => page(&visit, &sent, problem.code().status(), &form.again(&problem), None).await,
    }
}

fn changed(visit: &SentFileVisit, sent: &SentFile, form: &Form) -> Result<SentFile, Problem> {
    let at = |name: &str, reason: String| Problem::new(ProblemCode::InvalidBody, format!("at `{name}`: {reason}"));
    let options = options(form)?;
    let dataset = form.text("dataset").map(ToOwned::to_owned);
    let said = Said::of(options.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let said = said.map_err(|(name, reason)| at(&name, reason))?;
    if let Some(name) = &dataset {
        let imports = &visit.service.imports;
        let present = imports.definition(name).map_err(|error| at("dataset", error.to_string()))?;
        // A mistake in a changed definition is shown at its field.
        let own = Some(sent).filter(|sent| sent.dataset == dataset).and_then(|sent| imports.definition_of(sent).ok());
        let definition = own.unwrap_or(present);
        let place = if said.fill_down.is_empty() { "decimal" } else { "fill_down" };
        definition.reading_as(&said).map_err(|reason| at(place, reason))?;
    } else {
        said.dialect.check().map_err(|reason| at("decimal", reason))?;
    }
    // A draft made for other parameters is dropped, unless somebody has written it.
    let is_other = options != sent.options;
    Ok(SentFile {
        definition: sent.definition.clone().filter(|_| !is_other || form.has("keep")),
        redefinition: sent.redefinition.clone().filter(|_| dataset == sent.dataset),
        dataset,
        replace: form.text("mode") == Some("replace"),
        keep_absent: form.text("absent") == Some("keep"),
        options,
        ..sent.clone()
    })
}

async fn propose(visit: SentFileVisit, _: Form) -> Shown {
    let sent = found(&visit).await?;
    if sent.dataset.is_some() {
        let sent = SentFile { redefinition: None, ..sent };
        visit.service.imports.change_sent_file(&sent).await.map_err(import_problem)?;
        return visit.led(&place(&sent), Some(&Flash::done("sent-file-definition-undone")));
    }
    let text = match proposed(&visit, &sent).await {
        Ok(text) => text,
        Err(problem) => return page(&visit, &sent, problem.code().status(), &Value::Null, Some(problem)).await,
    };
    let sent = SentFile { definition: Some(text), ..sent };
    visit.service.imports.change_sent_file(&sent).await.map_err(import_problem)?;
    visit.led(&place(&sent), Some(&Flash::done("sent-file-proposed")))
}

async fn rehearse(visit: SentFileVisit, form: Form) -> Shown {
    begin(&visit, &form, true).await
}

async fn start(visit: SentFileVisit, form: Form) -> Shown {
    begin(&visit, &form, false).await
}

async fn begin(visit: &SentFileVisit, form: &Form, dry_run: bool) -> Shown {
    let mut sent = found(visit).await?;
    if let Some(problem) = keep_definition(visit, &mut sent, form).await? {
        return page(visit, &sent, problem.code().status(), &form.again(&problem), None).await;
    }
    let command = visit.command::<Nothing>(form, &json!({}))?;
    let import = match visit.service.imports.import_sent(sent.clone(), dry_run, &command.envelope).await {
        Ok(import) => import,
        Err(error) => {
            let problem = import_problem(error);
            return page(visit, &sent, problem.code().status(), &Value::Null, Some(problem)).await;
        }
    };
    if !dry_run {
        let begun = SentFile { import: Some(import), ..sent.clone() };
        visit.service.imports.change_sent_file(&begun).await.map_err(import_problem)?;
    }
    visit.led(&format!("/admin/imports/{import}?file={}", sent.id), None)
}

async fn remove(visit: SentFileVisit, _: Form) -> Shown {
    // Removing a file that is gone already succeeds.
    let id =
        Uuid::parse_str(visit.part("id")).map_err(|_| Problem::new(ProblemCode::NotFound, "there is no such file"))?;
    visit.service.imports.remove_sent_file(id).await.map_err(import_problem)?;
    visit.led("/admin/imports", Some(&Flash::done("sent-file-removed")))
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_mistake_is_said_with_its_line() {
        let text = "name = \"a\"\n\n[key]\ncolumn = \"b\"\n\n[[column]]\nname = \"b\"\n\n[[column]]\nname = \"c\"\ntype = \"x\"\n";
        for (path, line) in [
            ("name", 1),
            ("key.column", 4),
            ("column[1].name", 7),
            ("column[2].type", 11),
            ("column[2].headers", 9),
            ("title", 1),
            ("", 1),
        ] {
            assert_eq!(line_of(text, path), line, "{path}");
        }
    }
}
