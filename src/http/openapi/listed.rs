//! The operations of a document under its headings, as the pages of the reference list them.

use serde::Serialize;
use serde_json::{Map, Value};

/// A heading of a document, with its operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::http) struct Heading {
    /// Its name: that of a data set, or a few words.
    pub(in crate::http) name: String,
    /// Its anchor on a page, unique in the document.
    pub(in crate::http) anchor: String,
    /// Its description, in Markdown.
    pub(in crate::http) description: String,
    /// Its operations, in the order of the document.
    pub(in crate::http) operations: Vec<ListedOperation>,
}

/// An operation of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::http) struct ListedOperation {
    /// Its id.
    pub(in crate::http) id: String,
    /// Its method, in capitals.
    pub(in crate::http) method: String,
    /// Its path, with the names of its parameters in braces.
    pub(in crate::http) path: String,
    /// What it does, in a few words.
    pub(in crate::http) summary: String,
}

/// The headings of a document that have operations.
pub(super) fn headings(document: &Value) -> Vec<Heading> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    let mut listed: Vec<(&str, ListedOperation)> = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flat_map(Map::iter) {
            let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or_default();
            let text = |name: &str| text(operation, name).to_owned();
            let (id, summary) = (text("operationId"), text("summary"));
            listed.push((tag, ListedOperation { id, method: method.to_uppercase(), path: path.clone(), summary }));
        }
    }
    let tags = document.get("tags").and_then(Value::as_array).into_iter().flatten();
    let of_tag = |tag: &Value| {
        let name = text(tag, "name");
        let own = listed.iter().filter(|(of, _)| *of == name);
        Heading {
            name: name.to_owned(),
            anchor: anchor(name),
            description: text(tag, "description").to_owned(),
            operations: own.map(|(_, operation)| operation.clone()).collect(),
        }
    };
    tags.map(of_tag).filter(|heading| !heading.operations.is_empty()).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Turns a name into a part of an address. Names of data sets have no hyphens, and stay as they are.
fn anchor(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operation_stands_under_its_heading() {
        let operation = |id: &str, tag: &str| json!({ "operationId": id, "tags": [tag], "summary": "S" });
        let document = json!({
            "tags": [{ "name": "data_sets" }, { "name": "data sets", "description": "D" }, { "name": "none" }],
            "paths": {
                "/a": { "get": operation("one", "data sets"), "post": operation("two", "data_sets") },
                "/b": { "get": operation("three", "data sets") },
            },
        });
        let headings = headings(&document);
        let anchors: Vec<&str> = headings.iter().map(|heading| heading.anchor.as_str()).collect();
        assert_eq!(anchors, ["data_sets", "data-sets"]);
        let ids =
            |place: usize| -> Vec<&str> { headings[place].operations.iter().map(|one| one.id.as_str()).collect() };
        assert_eq!((ids(0), ids(1)), (vec!["two"], vec!["one", "three"]));
        assert_eq!((headings[0].operations[0].method.as_str(), headings[1].description.as_str()), ("POST", "D"));
    }
}
