//! The components of a document: only those that the document names.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Kind and name of a component.
type Named = (String, String);

/// Keeps the components and tags that a document's paths name, directly or through other components, and drops the others.
pub(super) fn keep_used(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut tags = BTreeSet::new();
    let mut left = Vec::new();
    if let Some(paths) = document.get("paths") {
        named_in(paths, &mut left);
        for operation in operations(paths) {
            let of = |name: &str| operation.get(name).and_then(Value::as_array).into_iter().flatten();
            tags.extend(of("tags").filter_map(Value::as_str).map(ToOwned::to_owned));
            let ways = of("security").filter_map(Value::as_object).flat_map(Map::keys);
            left.extend(ways.map(|way| ("securitySchemes".to_owned(), way.clone())));
        }
    }
    while let Some(name) = left.pop() {
        if let Some(component) = document.pointer(&format!("/components/{}/{}", name.0, name.1))
            && !used.contains(&name)
        {
            named_in(component, &mut left);
            used.insert(name);
        }
    }
    if let Some(Value::Object(kinds)) = document.get_mut("components") {
        for (kind, components) in kinds.iter_mut() {
            if let Value::Object(components) = components {
                components.retain(|name, _| used.contains(&(kind.clone(), name.clone())));
            }
        }
    }
    if let Some(Value::Array(listed)) = document.get_mut("tags") {
        listed.retain(|tag| tag.get("name").and_then(Value::as_str).is_some_and(|name| tags.contains(name)));
    }
}

fn operations(paths: &Value) -> impl Iterator<Item = &Value> {
    let methods = paths.as_object().into_iter().flat_map(Map::values);
    methods.filter_map(Value::as_object).flat_map(Map::values)
}

/// Appends the components that a part of the document names.
fn named_in(part: &Value, found: &mut Vec<Named>) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && let Some((kind, name)) =
                    reference.strip_prefix("#/components/").and_then(|place| place.split_once('/'))
            {
                found.push((kind.to_owned(), name.to_owned()));
            }
            members.values().for_each(|member| named_in(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| named_in(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nothing_leads_to_is_left_out() {
        let refer = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let mut document = json!({
            "tags": [{ "name": "a" }, { "name": "b" }],
            "paths": { "/x": { "get": { "tags": ["a"], "security": [{ "key": [] }], "responses": { "200": refer("One") } } } },
            "components": {
                "schemas": {
                    "One": { "properties": { "of": refer("Two") } },
                    "Two": { "items": refer("One") },
                    "Three": refer("Two"),
                },
                "securitySchemes": { "key": {}, "token": {} },
            },
        });
        keep_used(&mut document);
        assert_eq!(document["tags"], json!([{ "name": "a" }]));
        let names =
            |kind: &str| -> Vec<String> { document["components"][kind].as_object().unwrap().keys().cloned().collect() };
        assert_eq!(
            (names("schemas"), names("securitySchemes")),
            (vec!["One".into(), "Two".into()], vec!["key".into()])
        );
    }
}
