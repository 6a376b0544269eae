//! One operation, as its page shows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    line::{Call, line},
    sample::sample,
    schemas::{Schemas, list_of},
};
use crate::http::{openapi::listed::ListedOperation, pages::docs::prose::Home};

/// The media type of problems; one table of the page has their members.
const PROBLEM: &str = "application/problem+json";
/// The member that a parameter has if it is a condition on a column: the column's name.
const COLUMN: &str = "x-column";

/// The page's context: who may call the operation, what it takes and what it answers. None where the document has no such operation.
pub(super) fn described(document: &Value, listed: &ListedOperation, home: Home<'_>) -> Option<Value> {
    let methods = document.get("paths")?.get(&listed.path)?;
    let operation = methods.get(listed.method.to_lowercase())?;
    let mut schemas = Schemas::of(document, home);
    let parameters: Vec<&Value> = list_of(operation, "parameters").map(|one| component(document, one)).collect();
    let (conditions, others): (Vec<&Value>, Vec<&Value>) =
        parameters.iter().partition(|parameter| parameter.get(COLUMN).is_some());
    let others: Vec<Value> = others.into_iter().map(|parameter| taken(&mut schemas, home, parameter)).collect();
    let body = operation.get("requestBody").map(|body| self::body(&mut schemas, document, body));
    let answers = answers(&mut schemas, document, operation, home);
    let heading = list_of(operation, "tags").next().and_then(Value::as_str).unwrap_or_default();
    Some(json!({
        "id": listed.id,
        "method": listed.method,
        "path": listed.path,
        "summary": listed.summary,
        "description": home.html(text(operation, "description")),
        "callers": callers(document, operation, home),
        "call": call(document, listed, operation, &parameters, home),
        "parameters": others,
        "operators": operators(&conditions, home),
        "columns": columns(&mut schemas, document, heading, &conditions),
        "body": body,
        "answers": answers,
        "header_fields": header_fields(document, operation, home),
        "objects": schemas.objects(),
    }))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_true(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|flag| *flag == true)
}

/// The members of the object under that name.
fn members<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = (&'v String, &'v Value)> + use<'v> {
    value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The component that a reference points to; any other value as it is.
fn component<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// The ways to authenticate, each once, with the scopes that it needs: none if it also works without any.
fn callers(document: &Value, operation: &Value, home: Home<'_>) -> Vec<Value> {
    let mut ways: Vec<(&String, Vec<&str>)> = Vec::new();
    for (way, scopes) in list_of(operation, "security").filter_map(Value::as_object).flatten() {
        let scopes: Vec<&str> = scopes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match ways.iter_mut().find(|(known, _)| *known == way) {
            Some((_, known)) if scopes.is_empty() => known.clear(),
            Some(_) => {}
            None => ways.push((way, scopes)),
        }
    }
    let of = |(way, scopes): (&String, Vec<&str>)| {
        let scheme = document.pointer(&format!("/components/securitySchemes/{way}")).unwrap_or(&Value::Null);
        let sent = match (text(scheme, "type"), text(scheme, "in"), text(scheme, "scheme")) {
            ("apiKey", "cookie", _) => format!("Cookie: {}=…", text(scheme, "name")),
            ("apiKey", ..) => format!("{}: …", text(scheme, "name")),
            (_, _, "basic") => "Authorization: Basic …".to_owned(),
            _ => "Authorization: Bearer …".to_owned(),
        };
        json!({ "sent": sent, "meaning": home.html(text(scheme, "description")), "scopes": scopes })
    };
    ways.into_iter().map(of).collect()
}

/// The line to copy, and the blanks in it.
fn call(document: &Value, listed: &ListedOperation, operation: &Value, parameters: &[&Value], home: Home<'_>) -> Value {
    let security = list_of(operation, "security").filter_map(Value::as_object);
    let ways: Vec<&str> = security.flat_map(|way| way.keys().map(String::as_str)).collect();
    let contents = operation.pointer("/requestBody/content").and_then(Value::as_object);
    let first = contents.and_then(|contents| contents.iter().next());
    let body = first.map(|(media, content)| (media, least_example(document, content)));
    let (parts, blanks) = line(&Call {
        public_url: home.public_url,
        method: &listed.method,
        path: &listed.path,
        parameters,
        ways: &ways,
        body: body.as_ref().map(|(media, example)| (media.as_str(), example)),
    });
    let blanks: Vec<Value> = blanks
        .into_iter()
        .map(|blank| {
            let meaning = home.html(&blank.meaning);
            json!({ "name": blank.name, "proof": blank.proof, "meaning": meaning })
        })
        .collect();
    json!({ "parts": parts, "blanks": blanks })
}

/// A parameter that is not a condition.
fn taken(schemas: &mut Schemas<'_>, home: Home<'_>, parameter: &Value) -> Value {
    let schema = parameter.get("schema").unwrap_or(&Value::Null);
    json!({
        "name": text(parameter, "name"),
        "place": text(parameter, "in"),
        "is_required": is_true(parameter, "required"),
        "allowed": schemas.allowed(schema),
        "meaning": home.html(text(parameter, "description")),
    })
}

/// The operators of all conditions: the suffix after a column's name, and its meaning.
fn operators(conditions: &[&Value], home: Home<'_>) -> Vec<Value> {
    let mut operators: Vec<(&str, &str)> = Vec::new();
    for condition in conditions {
        let column = text(condition, COLUMN);
        let mark = text(condition, "name").strip_prefix(column).unwrap_or_default();
        let said = text(condition, "description");
        let said = said.strip_prefix(&format!("`{column}` ")).unwrap_or(said);
        match operators.iter_mut().find(|(known, _)| *known == mark) {
            // Some types have a longer description: that one is kept.
            Some((_, known)) if known.len() < said.len() => *known = said,
            Some(_) => {}
            None => operators.push((mark, said)),
        }
    }
    operators.into_iter().map(|(mark, said)| json!({ "mark": mark, "meaning": home.html(said) })).collect()
}

/// The columns that have conditions, each with the names of its conditions.
fn columns(schemas: &mut Schemas<'_>, document: &Value, heading: &str, conditions: &[&Value]) -> Vec<Value> {
    let record = document.pointer(&format!("/components/schemas/{heading}_record/properties")).unwrap_or(&Value::Null);
    let mut columns: Vec<(&str, Vec<&str>)> = Vec::new();
    for condition in conditions {
        let (column, name) = (text(condition, COLUMN), text(condition, "name"));
        match columns.last_mut().filter(|(last, _)| *last == column) {
            Some((_, names)) => names.push(name),
            None => columns.push((column, vec![name])),
        }
    }
    let described = |(column, names): (&str, Vec<&str>)| {
        let schema = record.get(column).unwrap_or(&Value::Null);
        let (allowed, meaning) = (schemas.allowed(schema), schemas.meaning(schema));
        json!({ "name": column, "allowed": allowed, "meaning": meaning, "conditions": names })
    };
    columns.into_iter().map(described).collect()
}

/// An example of a body or an answer.
fn example(document: &Value, content: &Value) -> Value {
    let given = content.get("example").cloned();
    given.unwrap_or_else(|| sample(document, content.get("schema").unwrap_or(&Value::Null)))
}

/// An example with the required members only, if there are any.
fn least_example(document: &Value, content: &Value) -> Value {
    let mut example = example(document, content);
    let schema = component(document, content.get("schema").unwrap_or(&Value::Null));
    let required: Vec<&str> = list_of(schema, "required").filter_map(Value::as_str).collect();
    if let (false, Value::Object(members)) = (required.is_empty(), &mut example) {
        members.retain(|name, _| required.contains(&name.as_str()));
    }
    example
}

/// The contents of a body or an answer, by media type.
fn contents(schemas: &mut Schemas<'_>, document: &Value, holder: &Value) -> Vec<Value> {
    let mut contents = Vec::new();
    for (media_type, content) in members(holder, "content") {
        let schema = content.get("schema").unwrap_or(&Value::Null);
        if media_type == PROBLEM {
            contents.push(json!({ "media_type": media_type, "allowed": schemas.allowed(schema) }));
            continue;
        }
        let members = schemas.members(schema);
        // A value with members is described by these.
        let allowed = members.is_empty().then(|| schemas.allowed(schema));
        let is_shown = media_type.ends_with("json") && !members.is_empty();
        let shown = is_shown.then(|| example(document, content));
        let shown = shown.and_then(|example| serde_json::to_string_pretty(&example).ok());
        contents.push(json!({
            "media_type": media_type,
            "allowed": allowed,
            "meaning": schemas.meaning(schema),
            "members": members,
            "example": shown,
        }));
    }
    contents
}

fn body(schemas: &mut Schemas<'_>, document: &Value, body: &Value) -> Value {
    json!({ "is_required": is_true(body, "required"), "contents": contents(schemas, document, body) })
}

/// The answers in the order of their status: successes first, then failures.
fn answers(schemas: &mut Schemas<'_>, document: &Value, operation: &Value, home: Home<'_>) -> Vec<Value> {
    let mut answers: Vec<(&String, &Value)> =
        members(operation, "responses").map(|(status, answer)| (status, component(document, answer))).collect();
    answers.sort_by(|one, other| one.0.cmp(other.0));
    let shown = |(status, answer): (&String, &Value)| {
        let header_fields: Vec<Value> = members(answer, "headers")
            .map(|(name, field)| json!({ "name": name, "is_always": is_true(field, "required") }))
            .collect();
        json!({
            "status": status,
            "is_problem": answer.get("content").is_some_and(|content| content.get(PROBLEM).is_some()),
            "meaning": home.html(text(answer, "description")),
            "header_fields": header_fields,
            "contents": contents(schemas, document, answer),
        })
    };
    answers.into_iter().map(shown).collect()
}

/// The header fields of all answers, each once.
fn header_fields(document: &Value, operation: &Value, home: Home<'_>) -> Vec<Value> {
    let mut fields = BTreeMap::new();
    for (_, answer) in members(operation, "responses") {
        for (name, field) in members(component(document, answer), "headers") {
            fields.entry(name).or_insert_with(|| home.html(text(field, "description")));
        }
    }
    fields.into_iter().map(|(name, meaning)| json!({ "name": name, "meaning": meaning })).collect()
}
