//! Builds schemas (JSON Schema 2020-12, as in OpenAPI 3.1).

use serde_json::{Map, Value, json};

/// A text.
pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// The address of something on this server.
pub(super) fn address() -> Value {
    json!({ "type": "string", "format": "uri" })
}

/// A UUID.
pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// A moment, RFC 3339.
pub(super) fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// A position of the log where it stands beside versions and moments.
pub(super) fn log_position() -> Value {
    json!({ "type": "string", "pattern": "^position:[0-9]{1,20}$" })
}

/// A day.
pub(super) fn date() -> Value {
    json!({ "type": "string", "format": "date" })
}

/// True or false.
pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// A whole number.
pub(super) fn integer(least: u64, most: Option<u64>) -> Value {
    let mut schema = json!({ "type": "integer", "minimum": least });
    if let (Some(most), Value::Object(fields)) = (most, &mut schema) {
        fields.insert("maximum".to_owned(), most.into());
    }
    schema
}

/// One of a few words.
pub(super) fn one_of<T: AsRef<str>>(words: &[T]) -> Value {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    json!({ "type": "string", "enum": words })
}

/// One of a few words, with their names in generated clients.
pub(super) fn one_named<T: AsRef<str>>(words: &[(T, String)]) -> Value {
    let names: Vec<&str> = words.iter().map(|(_, name)| name.as_str()).collect();
    let words: Vec<&str> = words.iter().map(|(word, _)| word.as_ref()).collect();
    json!({ "type": "string", "enum": words, "x-enum-varnames": names })
}

/// A list.
pub(super) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A reference to the schema of that name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Allows null, too.
pub(super) fn nullable(mut schema: Value) -> Value {
    match schema.get_mut("type") {
        Some(kind @ Value::String(_)) => {
            *kind = json!([kind.take(), "null"]);
            // Null must be among the words, too.
            if let Some(Value::Array(words)) = schema.get_mut("enum") {
                words.push(Value::Null);
            }
            schema
        }
        _ => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// Adds a description for people.
pub(super) fn described(mut schema: Value, description: &str) -> Value {
    if let (false, Value::Object(fields)) = (description.is_empty(), &mut schema) {
        fields.insert("description".to_owned(), description.into());
    }
    schema
}

/// An object with these members and no others.
pub(super) fn closed<'n>(
    description: &str,
    required: &[&str],
    members: impl IntoIterator<Item = (&'n str, Value)>,
) -> Value {
    let members: Map<String, Value> = members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let schema = json!({
        "type": "object",
        "required": required,
        "properties": members,
        "additionalProperties": false,
    });
    described(schema, description)
}

/// An object that has all of these members and no others.
pub(super) fn whole<'n>(description: &str, members: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    let members: Vec<(&str, Value)> = members.into_iter().collect();
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    closed(description, &required, members)
}

/// A path without the server's path prefix: behind such a prefix it does not resolve as a reference.
pub(super) fn path() -> Value {
    described(text(), "A path below the address of the server, as in this description.")
}
