//! Example values that follow a schema.

use serde_json::{Map, Value, json};

use super::schemas::list_of;

/// How deep nested schemas are filled in.
const DEPTH_MAX: usize = 12;
/// Items that an example has at most.
const ITEMS_MAX: usize = 3;
/// Example texts for patterns.
const OF_PATTERNS: [(&str, &str); 4] =
    [("^[0-9A-Za-z]{16}$", "0Ab1Cd2Ef3Gh4Ij5"), ("^[a-z][a-z0-9_-]{0,39}$", "gold"), ("^[0-9]+$", "1"), ("^/", "/")];

/// An example value for a schema of the document. Endless values, such as an object that holds itself, end with null.
pub(super) fn sample(document: &Value, schema: &Value) -> Value {
    filled(document, schema, 0)
}

fn filled(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    let inner = |schema: &Value| filled(document, schema, depth + 1);
    let given = [schema.pointer("/examples/0"), schema.get("default"), schema.get("const")];
    let given = given.into_iter().flatten().chain(list_of(schema, "enum")).find(|given| !given.is_null());
    if let Some(given) = given {
        return given.clone();
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#')) {
        return document.pointer(target).map_or(Value::Null, inner);
    }
    let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
    if let Some(choice) = ["anyOf", "oneOf"].iter().find_map(|list| list_of(schema, list).find(|one| !is_null(one))) {
        return inner(choice);
    }
    let kinds = schema.get("type");
    let kind = kinds.and_then(Value::as_str).or_else(|| kinds.and_then(|kinds| kinds.get(0)).and_then(Value::as_str));
    match kind {
        Some("string") => text(schema).into(),
        Some("boolean") => true.into(),
        Some("integer") => integer(schema),
        Some("number") => json!(schema.get("minimum").and_then(Value::as_f64).map_or(1.5, |least| least.max(1.5))),
        Some("array") => {
            let count = number(schema, "minItems").unwrap_or(1).clamp(1, ITEMS_MAX as u64);
            let items = schema.get("items").map(&inner).into_iter();
            items.flat_map(|item| (0..count).map(move |_| item.clone())).collect()
        }
        Some("object") => {
            let own = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter);
            let own: Map<String, Value> = own.map(|(name, member)| (name.clone(), inner(member))).collect();
            Value::Object(own)
        }
        _ => Value::Null,
    }
}

fn number(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

fn integer(schema: &Value) -> Value {
    let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(1).max(1);
    schema.get("maximum").and_then(Value::as_i64).map_or(least, |most| least.min(most)).into()
}

fn text(schema: &Value) -> String {
    let of = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some((_, text)) = OF_PATTERNS.iter().find(|(pattern, _)| of("pattern") == Some(pattern)) {
        return (*text).to_owned();
    }
    let text = match of("format") {
        Some("date") => "2026-01-31",
        Some("date-time") => "2026-01-31T09:30:00Z",
        Some("uuid") => "01890a5d-ac96-774b-bcce-b302099a8057",
        Some("email") => "ana@example.org",
        Some("uri") => "https://example.org/",
        Some("uri-reference") => "/",
        _ => "text",
    };
    let length = usize::try_from(number(schema, "minLength").unwrap_or_default()).unwrap_or_default();
    match text.len() >= length {
        true => text.to_owned(),
        false => text.chars().cycle().take(length).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{dataset::Definition, http::openapi};

    const TREES: &str = r#"
        name = "trees"
        title = "Trees"
        record_id = "record_id"
        [key]
        column = "tag"
        [[column]]
        name = "tag"
        headers = ["Tag"]
        [[column]]
        name = "record_id"
        type = "integer"
        import = true
        [[column]]
        name = "worth"
        type = "money"
        headers = ["Worth"]
        [[column]]
        name = "seen"
        type = "timestamp"
        headers = ["Seen"]
    "#;

    #[test]
    fn an_example_is_what_its_schema_describes() {
        let definition = Definition::from_toml(TREES, "trees.toml").unwrap();
        let mut checked = 0;
        for (audience, definitions) in [
            (openapi::Audience::Consumers, vec![Arc::new(definition)]),
            (openapi::Audience::Administrators, Vec::new()),
        ] {
            let document = openapi::document(audience, "x", "https://x.example", "", &definitions);
            for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
                let mut whole = schema.clone();
                whole["components"] = document["components"].clone();
                let validator = jsonschema::validator_for(&whole).unwrap();
                let example = sample(&document, schema);
                assert!(validator.is_valid(&example), "{name}: {example} is none of {schema}");
                checked += 1;
            }
        }
        assert!(checked > 80, "{checked}");
    }

    #[test]
    fn what_holds_itself_ends() {
        let of = json!({ "$ref": "#/components/schemas/Loop" });
        let schemas = json!({ "Loop": { "type": "object", "properties": { "next": of } } });
        let document = json!({ "components": { "schemas": schemas } });
        let mut depth = 0;
        let mut example = &sample(&document, &of);
        while let Some(next) = example.get("next") {
            (example, depth) = (next, depth + 1);
        }
        assert!((2..=DEPTH_MAX).contains(&depth), "{depth}");
    }
}
