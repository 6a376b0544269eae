//! Selects columns of the records in a document.

use super::{texts::token_length, write_string};
use crate::dataset::Definition;

/// A document as [`crate::dataset::Document`] makes it, reduced to these columns of its records, by place, in this order.
pub fn selected(definition: &Definition, document: &[u8], columns: &[usize]) -> Vec<u8> {
    let columns = columns.iter().filter_map(|place| definition.columns.get(*place));
    let names: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let mut out = Vec::with_capacity(document.len());
    // The member names on the way to the current position. Lists have none.
    let mut path: Vec<&[u8]> = Vec::new();
    let mut rest = document;
    while let Some(first) = rest.first() {
        if *first == b'{' && path == [b"data"] {
            rest = write_members(rest, &names, &mut out);
            continue;
        }
        let (token, tail) = rest.split_at(token_length(rest).clamp(1, rest.len()));
        match first {
            b'{' => path.push(b""),
            b'}' => drop(path.pop()),
            b'"' if tail.first() == Some(&b':') => {
                if let Some(name) = path.last_mut() {
                    *name = unquoted(token);
                }
            }
            _ => {}
        }
        out.extend_from_slice(token);
        rest = tail;
    }
    out
}

/// Writes some members of the record at the beginning of a text; returns the rest of the text. A record
/// holds texts, numbers, nulls, and objects: points.
fn write_members<'a>(text: &'a [u8], names: &[&str], out: &mut Vec<u8>) -> &'a [u8] {
    let mut members: Vec<(&[u8], &[u8])> = Vec::new();
    let mut rest = text.get(1..).unwrap_or_default();
    while let Some(first) = rest.first() {
        let length = match first {
            b'"' | b'-' | b'0'..=b'9' => token_length(rest),
            b'{' | b'[' => nested_length(rest),
            b'}' | b',' | b':' => 1,
            _ => rest.iter().position(|byte| matches!(byte, b',' | b'}')).unwrap_or(rest.len()),
        };
        let (token, tail) = rest.split_at(length.clamp(1, rest.len()));
        rest = tail;
        match first {
            b'}' => break,
            b',' | b':' => {}
            b'"' if tail.first() == Some(&b':') => members.push((unquoted(token), b"null")),
            _ => {
                if let Some((_, value)) = members.last_mut() {
                    *value = token;
                }
            }
        }
    }
    let value = |name: &str| members.iter().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| *value);
    for (place, name) in names.iter().enumerate() {
        out.push(if place == 0 { b'{' } else { b',' });
        write_string(name, out);
        out.push(b':');
        out.extend_from_slice(value(name).unwrap_or(b"null"));
    }
    out.extend_from_slice(if names.is_empty() { b"{}" } else { b"}" });
    rest
}

/// Bytes of the object or list at the beginning of a text.
fn nested_length(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match rest.first() {
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += token_length(rest).clamp(1, rest.len());
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// A string without its quotes.
fn unquoted(token: &[u8]) -> &[u8] {
    token.get(1..token.len().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{Document, Point, Record, Value, json::write_record, samples};

    fn definition() -> Definition {
        samples::definition(
            "things",
            &[("number", "text"), ("record_id", "integer"), ("cost", "money"), ("place", "point")],
        )
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let text = prop_oneof![any::<String>(), Just("\",\"cost\":1},{".to_owned()), Just("\\".to_owned())];
        let cost = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::Money)];
        let place = prop_oneof![Just(Value::Null), Just(Value::Point(Point::parse("-37.5,122.25").unwrap()))];
        (text, any::<i64>(), cost, place).prop_map(|(text, id, cost, place)| Record {
            values: vec![Value::Text(text), Value::Integer(id), cost, place],
        })
    }

    proptest! {
        #[test]
        fn records_have_the_columns_that_are_selected_in_their_order(
            records in proptest::collection::vec(any_record(), 1..4),
            is_list in any::<bool>(),
            (columns, count) in (Just(vec![0_usize, 1, 2, 3]).prop_shuffle(), 1..=4_usize),
        ) {
            let (definition, columns) = (definition(), &columns[..count]);
            let written = |columns: Option<&[usize]>| {
                let mut document = if is_list { Document::list() } else { Document::single() };
                for record in &records[..if is_list { records.len() } else { 1 }] {
                    let out = document.next_record();
                    let Some(columns) = columns else {
                        write_record(&definition, record, out);
                        continue;
                    };
                    for (place, column) in columns.iter().enumerate() {
                        out.push(if place == 0 { b'{' } else { b',' });
                        write_string(&definition.columns[*column].name, out);
                        out.push(b':');
                        super::super::write_value(&record.values[*column], out);
                    }
                    out.push(b'}');
                }
                document.finish(&[], "things", 3)
            };
            prop_assert_eq!(selected(&definition, &written(None), columns), written(Some(columns)));
        }

        #[test]
        fn junk_never_panics(bytes: Vec<u8>, tail in "[{}\":,a0]{0,20}") {
            selected(&definition(), &bytes, &[0, 2]);
            selected(&definition(), format!("{{\"data\":{{{tail}").as_bytes(), &[1]);
        }
    }
}
