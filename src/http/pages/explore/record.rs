//! A record's page: its values, the other records of its key, and the changes that imports made.

use actix_web::http::{
    StatusCode,
    header::{self, HeaderValue},
};
use serde_json::{Value as Json, json};

use super::{
    address::PageAddress,
    reader::{DataReader, NotShown, trouble},
    wording,
};
use crate::{
    dataset::{
        Definition, Value,
        query::{AS_OF, Filter, InvalidParam, PointInTime, Query, Term, Test},
    },
    http::{
        Problem, ProblemCode,
        pages::{language::Language, visit::Shown},
        routes::data::data_sets::DataSets,
    },
};

const TEMPLATE: &str = "explore/record/page.html";
/// Questions of the page: the records, and their history.
const COST: u64 = 2;
/// Records of one key that are read.
const RECORDS_MAX: u32 = 100;
/// Characters of a value in the history.
const CHANGE_CHARS: usize = 300;

/// `GET /{dataset}/explore/{key}` and `GET /{dataset}/explore/{key}/{record_id}`
pub(super) async fn show(reader: &DataReader<'_>, key: &str, id: Option<&str>) -> Shown {
    let definition = &reader.data_set.definition;
    let key = definition.canonical_key(key);
    let id = id.map(|id| definition.canonical_text(definition.record_id, id).into_owned());
    let mut pass = match reader.admit(COST).await {
        Ok(pass) => pass,
        Err(NotShown::Answered(answered)) => return answered,
        Err(NotShown::Limited(limited)) => {
            let context = json!({
                "dataset": reader.described(), "key": key, "trouble": limited.says,
                "key_label": wording::label(definition.column_name(definition.key)),
                "again": reader.path_of(&key, id.as_deref()),
            });
            let mut response = reader.visit.page_as(ProblemCode::QuotaExceeded.status(), TEMPLATE, &context)?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(limited.retry_after_s));
            return Ok(response);
        }
    };
    let found = found(reader, pass.user, (&key, id.as_deref())).await;
    let (status, kept, found) = match found {
        Ok(Some(found)) => (StatusCode::OK, COST, Ok(found)),
        Ok(None) => (StatusCode::NOT_FOUND, COST, Ok(json!({ "is_unknown": true }))),
        // What is wrong with a question costs nothing.
        Err(problem) if !problem.wrong_params().is_empty() => (problem.code().status(), 0, Err(problem)),
        Err(problem) => (problem.code().status(), DataSets::charged(&problem, 1), Err(problem)),
    };
    let paid = reader.charged(&mut pass, kept, status);
    let mut context = match found {
        Ok(found) => found,
        Err(problem) => match trouble(&problem, reader.request().query_string().contains("cursor=")) {
            Some(says) => json!({ "trouble": says }),
            None => return Err(problem.into()),
        },
    };
    if let Some(context) = context.as_object_mut() {
        let path = reader.path_of(&key, id.as_deref());
        let own = [
            ("dataset", reader.described()),
            ("key", json!(key)),
            ("key_label", json!(wording::label(definition.column_name(definition.key)))),
            ("paid", paid),
            ("again", json!(path)),
        ];
        context.extend(own.map(|(name, value)| (name.to_owned(), value)));
    }
    reader.visit.page_as(status, TEMPLATE, &context)
}

/// Finds the records of a key, and their history.
async fn found(
    reader: &DataReader<'_>,
    who: crate::domain::id::UserId,
    (key, id): (&str, Option<&str>),
) -> Result<Option<Json>, Problem> {
    let definition = &reader.data_set.definition;
    let is_it = Test::Equal(Value::Text(key.to_owned()));
    let filter = Filter::Term(Term { column: definition.key, test: is_it });
    let raw = reader.request().query_string();
    let address = PageAddress::read(raw);
    let as_of = address.get(AS_OF);
    let wrong = |reason| Problem::invalid_params(&[InvalidParam::new(AS_OF, reason, None)]);
    let at = as_of.map(|text| PointInTime::parse(text).map_err(wrong)).transpose()?;
    let query = Query { filter, numbers_as_texts: true, as_of: at, ..Query::everything(RECORDS_MAX) };
    let records = reader.data.rows(who, &reader.data_set, &query).await?.records;
    let id_name = definition.column_name(definition.record_id);
    let id_of = |record: &Json| record.get(id_name).and_then(Json::as_str).unwrap_or_default().to_owned();
    // A single record needs no choice.
    let chosen = match (id, records.as_slice()) {
        (Some(id), records) => records.iter().find(|record| id_of(record) == id),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    // A history is of all versions.
    let of_history: Vec<&str> = raw.split('&').filter(|given| given.split('=').next() != Some(AS_OF)).collect();
    let of_history = of_history.join("&");
    let Some((states, next)) = reader.data.states_of(who, &reader.data_set, (key, id), &of_history).await? else {
        return Ok(None);
    };
    if states.is_empty() && records.is_empty() {
        return Ok(None);
    }
    let language = reader.visit.language;
    let then = |path: &str| as_of_path(path, as_of);
    let listed: Vec<Json> = records
        .iter()
        .map(|record| {
            let id = id_of(record);
            let is_chosen = chosen.is_some_and(|chosen| id_of(chosen) == id);
            json!({ "id": id, "href": then(&reader.path_of(key, Some(&id))), "is_chosen": is_chosen, "summary": summary(definition, record, language) })
        })
        .collect();
    let path = reader.path_of(key, id);
    let of_api = |rest: &str| {
        let api = path.replacen(&reader.base(), &format!("/{}", definition.name), 1);
        format!("{}{api}{rest}", reader.visit.service.public_url)
    };
    let is_first = !raw.contains("cursor=");
    Ok(Some(json!({
        "record": chosen.map(|record| fields(definition, record, language)),
        "id": chosen.map(id_of),
        "is_gone": records.is_empty() || (id.is_some() && chosen.is_none()),
        "records": listed,
        "several_ids": id.is_none() && records.len() != 1,
        "id_label": wording::label(id_name),
        "history": history(definition, &states, next.is_none(), is_first, language),
        "history_next": next.map(|cursor| address.going_on(&cursor).path(&path)),
        "history_first": (!is_first).then(|| then(&path)),
        "as_of": as_of,
        "present": path,
        "request": then(&of_api("")),
        "request_history": of_api("/history"),
    })))
}

/// The address of a page or a request as of the same time.
pub(super) fn as_of_path(path: &str, as_of: Option<&str>) -> String {
    as_of.map_or_else(|| path.to_owned(), |as_of| PageAddress::default().with(AS_OF, as_of).path(path))
}

/// All values of a record.
fn fields(definition: &Definition, record: &Json, language: Language) -> Vec<Json> {
    let field = |column: &crate::dataset::Column| {
        let value = record.get(&column.name).unwrap_or(&Json::Null);
        json!({
            "label": wording::label(&column.name), "name": column.name, "description": column.description,
            "text": wording::shown(column.kind, value, language), "is_empty": value.is_null(),
        })
    };
    definition.columns.iter().map(field).collect()
}

/// The first few values that tell a record from its neighbours.
fn summary(definition: &Definition, record: &Json, language: Language) -> String {
    const NAMED: usize = 3;
    let others = definition.columns.iter().enumerate().filter(|(place, _)| {
        *place != definition.key && *place != definition.record_id && Some(*place) != definition.load_date
    });
    let texts = others.filter_map(|(_, column)| {
        let value = record.get(&column.name).filter(|value| !value.is_null())?;
        Some(wording::cut(&wording::shown(column.kind, value, language), 40).into_owned())
    });
    texts.take(NAMED).collect::<Vec<_>>().join(" · ")
}

/// The history of the records, one entry for each import that changed one. States come record by record, oldest first.
fn history(definition: &Definition, states: &[Json], is_last: bool, is_first: bool, language: Language) -> Vec<Json> {
    let mut entries = Vec::new();
    let mut before: Option<&Json> = None;
    for (nth, state) in states.iter().enumerate() {
        let id = state.get("record_id");
        let of_same = before.filter(|before| before.get("record_id") == id);
        let from = state.get("valid_from");
        let version = |moment: Option<&Json>| moment.and_then(|moment| moment.get("version")).and_then(Json::as_u64);
        let goes_on = of_same.is_some_and(|before| version(before.get("valid_until")) == version(from));
        let entry = |what: &str, moment: Option<&Json>, changes: Vec<Json>| {
            json!({
                "what": what, "at": moment.and_then(|moment| moment.get("at")), "version": version(moment),
                "id": id.map(text_of), "changes": changes,
            })
        };
        // A later page does not know what was before its first state.
        let what = match (goes_on, of_same, nth, is_first) {
            (true, ..) => "changed",
            (false, Some(_), ..) => "returned",
            (false, None, 0, false) => "was",
            (false, None, ..) => "added",
        };
        let changes = match of_same {
            Some(before) if goes_on => differences(definition, before, state, language),
            _ => Vec::new(),
        };
        entries.push(entry(what, from, changes));
        let until = state.get("valid_until").filter(|until| !until.is_null());
        let next = states.get(nth + 1);
        let follows =
            next.is_some_and(|next| next.get("record_id") == id && version(next.get("valid_from")) == version(until));
        if until.is_some() && !follows && (next.is_some() || is_last) {
            entries.push(entry("removed", until, Vec::new()));
        }
        before = Some(state);
    }
    entries
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The columns in which two states of a record differ.
fn differences(definition: &Definition, before: &Json, after: &Json, language: Language) -> Vec<Json> {
    let of = |state: &Json, name: &str| {
        state.get("record").and_then(|record| record.get(name)).cloned().unwrap_or(Json::Null)
    };
    let mut changes = Vec::new();
    for (place, column) in definition.columns.iter().enumerate() {
        let (from, to) = (of(before, &column.name), of(after, &column.name));
        // The load date differs after every change.
        if from == to || Some(place) == definition.load_date {
            continue;
        }
        let shown =
            |value: &Json| wording::cut(&wording::shown(column.kind, value, language), CHANGE_CHARS).into_owned();
        changes.push(json!({ "label": wording::label(&column.name), "from": shown(&from), "to": shown(&to) }));
    }
    changes
}
