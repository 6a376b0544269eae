//! Writes whole numbers and amounts as JSON strings, for readers that keep every number as a double: those lose digits beyond 2^53.

use std::collections::HashSet;

use crate::dataset::{ColumnType, Definition, Value};

/// Tells whether values of the type are written as texts on request. A number with a fraction is a double anyway.
pub fn may_be_text(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Integer | ColumnType::Money)
}

/// Appends the JSON of a whole number or an amount as a string; a null stays null.
pub fn write_as_text(number: &[u8], out: &mut Vec<u8>) {
    if number == b"null" {
        return out.extend_from_slice(number);
    }
    out.push(b'"');
    out.extend_from_slice(number);
    out.push(b'"');
}

/// Appends one value, a whole number or an amount as a string if `as_text`.
pub fn write_value_as(value: &Value, as_text: bool, out: &mut Vec<u8>) {
    if !as_text || !value.kind().is_some_and(may_be_text) {
        return super::write_value(value, out);
    }
    out.push(b'"');
    super::write_value(value, out);
    out.push(b'"');
}

/// The kind of the entries in a document's `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    /// Records.
    Records,
    /// Changes or states of records: objects with members `record_id`, and `before`, `after` or `record`.
    Past,
}

/// A document as [`crate::dataset::Document`] makes it, with the whole numbers and amounts of its records as strings.
pub fn numbers_as_texts(definition: &Definition, document: &[u8], entries: Entries) -> Vec<u8> {
    let columns = definition.columns.iter().filter(|column| may_be_text(column.kind));
    let meant: HashSet<&[u8]> = columns.map(|column| column.name.as_bytes()).collect();
    let id = definition.columns.get(definition.record_id).is_some_and(|column| may_be_text(column.kind));
    let is_meant = |path: &[&[u8]]| match (entries, path) {
        (Entries::Records, [b"data", column])
        | (Entries::Past, [b"data", b"before" | b"after" | b"record", column]) => meant.contains(column),
        (Entries::Past, [b"data", b"record_id"]) => id,
        _ => false,
    };
    let mut out = Vec::with_capacity(document.len() + document.len() / 8);
    // The member names on the way to the current position. Lists have none.
    let mut path: Vec<&[u8]> = Vec::new();
    let mut rest = document;
    while let Some(first) = rest.first() {
        let length = token_length(rest);
        let (token, tail) = rest.split_at(length.clamp(1, rest.len()));
        match first {
            b'{' => path.push(b""),
            b'}' => drop(path.pop()),
            b'"' if tail.first() == Some(&b':') => {
                if let Some(name) = path.last_mut() {
                    *name = token.get(1..token.len() - 1).unwrap_or_default();
                }
            }
            b'-' | b'0'..=b'9' if is_meant(&path) => {
                write_as_text(token, &mut out);
                rest = tail;
                continue;
            }
            _ => {}
        }
        out.extend_from_slice(token);
        rest = tail;
    }
    out
}

/// Bytes of the token at the beginning of a text: a string, a number, or one character.
pub(super) fn token_length(text: &[u8]) -> usize {
    match text.first() {
        Some(b'"') => {
            let mut at = 1;
            while let Some(byte) = text.get(at) {
                match byte {
                    b'"' => return at + 1,
                    b'\\' => at += 2,
                    _ => at += 1,
                }
            }
            text.len()
        }
        Some(b'-' | b'0'..=b'9') => {
            let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
            text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len())
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::dataset::{Document, Record, json::write_record, samples};

    fn definition() -> Definition {
        samples::definition(
            "things",
            &[("number", "text"), ("record_id", "integer"), ("cost", "money"), ("size", "number")],
        )
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let whole = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::Integer)];
        let cost = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::Money)];
        let size = prop_oneof![Just(Value::Null), (-9e9..9e9).prop_map(Value::Number)];
        let text = prop_oneof![any::<String>(), Just("\",\"cost\":1,\"".to_owned()), Just("5".to_owned())];
        (text, whole, cost, size)
            .prop_map(|(text, whole, cost, size)| Record { values: vec![Value::Text(text), whole, cost, size] })
    }

    proptest! {
        #[test]
        fn whole_numbers_and_amounts_become_texts_and_nothing_else_changes(
            records in proptest::collection::vec(any_record(), 1..4),
            is_list in any::<bool>(),
        ) {
            let definition = definition();
            let mut document = if is_list { Document::list() } else { Document::single() };
            let shown = if is_list { records.len() } else { 1 };
            for record in &records[..shown] {
                write_record(&definition, record, document.next_record());
            }
            let plain = document.finish(&[("page", "{\"limit\":5,\"cost\":7}")], "things", 3);
            let texts = numbers_as_texts(&definition, &plain, Entries::Records);
            let mut expected: serde_json::Value = serde_json::from_slice(&plain).unwrap();
            let data = match &mut expected["data"] {
                serde_json::Value::Array(list) => list.iter_mut().collect(),
                single => vec![single],
            };
            for (object, record) in data.into_iter().zip(&records) {
                for (place, name) in [(1, "record_id"), (2, "cost")] {
                    if !record.values[place].is_null() {
                        object[name] = record.values[place].to_string().into();
                    }
                }
            }
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&texts).unwrap(), expected);
        }

        #[test]
        fn junk_never_panics(bytes: Vec<u8>, past in any::<bool>()) {
            let entries = if past { Entries::Past } else { Entries::Records };
            numbers_as_texts(&definition(), &bytes, entries);
        }
    }

    #[test]
    fn records_of_the_past_are_told_from_what_is_said_of_them() {
        let record = json!({ "number": "a", "record_id": 1, "cost": 1.5, "size": 2.5 });
        let texts = json!({ "number": "a", "record_id": "1", "cost": "1.5", "size": 2.5 });
        let written = |record: &serde_json::Value, id: serde_json::Value| {
            let change = json!({ "version": 3, "key": "a", "record_id": id, "before": null, "after": record });
            let state = json!({ "record_id": id, "valid_from": { "version": 3, "cost": 1 }, "record": record });
            json!({ "data": [change, state], "page": { "limit": 2 }, "dataset": { "version": 3 } })
        };
        let plain = written(&record, 1.into()).to_string();
        let read = numbers_as_texts(&definition(), plain.as_bytes(), Entries::Past);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&read).unwrap(), written(&texts, "1".into()));
    }
}
