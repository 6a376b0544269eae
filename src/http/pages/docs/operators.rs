//! The columns of the guide's data set by type, and each type's operators with what they find, where figures tell.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    example::Finds,
    subject::{Subject, SubjectColumn, encoded, encoded_list},
};
use crate::dataset::{ColumnType, query::Operator};

const TYPES: [ColumnType; 7] = [
    ColumnType::Text,
    ColumnType::Integer,
    ColumnType::Money,
    ColumnType::Number,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Point,
];
/// A box and a polygon to ask for.
const BOX: &str = "-122.52,37.7,-122.35,37.83";
const POLYGON: &str = "POLYGON ((-122.43 37.77, -122.41 37.77, -122.41 37.79, -122.43 37.77))";
/// Characters that the condition on the beginning of a text has.
const BEGIN_CHARS: usize = 3;

/// A condition as it is written in an address.
#[derive(Debug, Serialize)]
struct AskedCondition {
    condition: String,
    finds: Option<Finds>,
}

/// The types that the data set has: their columns, and every operator with an example.
pub(super) fn kinds(subject: &Subject) -> Vec<Value> {
    let of = |kind: ColumnType| {
        let example = subject.best(|other| other == kind)?;
        let columns = subject.columns.iter().filter(|column| column.kind == kind);
        let columns: Vec<Value> =
            columns.map(|column| json!({ "name": column.name, "description": column.description })).collect();
        let suiting = Operator::ALL.into_iter().filter(|operator| operator.suits(kind));
        let asked: Vec<AskedCondition> = suiting.map(|operator| asked(subject, example, operator)).collect();
        Some(json!({ "type": kind, "columns": columns, "example": example.name, "asked": asked }))
    };
    TYPES.into_iter().filter_map(of).collect()
}

fn asked(subject: &Subject, column: &SubjectColumn, operator: Operator) -> AskedCondition {
    let (one, other) = column.two_values();
    let name = match operator {
        Operator::Equal => column.name.clone(),
        _ => format!("{}__{}", column.name, operator.name()),
    };
    let value = match operator {
        Operator::Between if one <= other || column.kind != ColumnType::Text => encoded_list(&[&one, &other]),
        Operator::Between => encoded_list(&[&other, &one]),
        Operator::In | Operator::NotIn => encoded_list(&[&one, &other]),
        Operator::Contains => encoded(word(&one)),
        Operator::StartsWith => encoded(begin(&one)),
        Operator::Less => encoded(&other),
        Operator::Near => encoded(&format!("{one},500m")),
        Operator::Bbox => encoded(BOX),
        Operator::Within => encoded(POLYGON),
        Operator::IsNull => "true".to_owned(),
        _ => encoded(&one),
    };
    AskedCondition { condition: format!("{name}={value}"), finds: finds(subject, column, operator) }
}

/// The first word of a text, or all of it.
fn word(text: &str) -> &str {
    text.split(' ').find(|word| !word.is_empty()).unwrap_or(text)
}

/// The first characters of a text.
fn begin(text: &str) -> &str {
    text.char_indices().nth(BEGIN_CHARS).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// What a condition finds, as far as the figures tell.
fn finds(subject: &Subject, column: &SubjectColumn, operator: Operator) -> Option<Finds> {
    let (records, empty) = (subject.records?, column.empty?);
    if operator == Operator::IsNull {
        return Some(Finds::Records(empty));
    }
    if column.kind == ColumnType::Text {
        let count = |place: usize| column.frequent.get(place).and_then(|(_, count)| *count);
        let (one, other) = (count(0)?, count(1));
        return match operator {
            Operator::Equal => Some(Finds::Records(one)),
            Operator::NotEqual => Some(Finds::Records(records.saturating_sub(one))),
            Operator::In => Some(other.map_or(Finds::Some, |other| Finds::Records(one + other))),
            Operator::NotIn => other.map(|other| Finds::Records(records.saturating_sub(one + other))),
            Operator::LessOrEqual
            | Operator::GreaterOrEqual
            | Operator::Contains
            | Operator::StartsWith
            | Operator::Between => Some(Finds::Some),
            Operator::Less
            | Operator::Greater
            | Operator::Near
            | Operator::Bbox
            | Operator::Within
            | Operator::IsNull => None,
        };
    }
    let (least, greatest) = column.range.as_ref()?;
    let all = Finds::Records(records.saturating_sub(empty));
    match operator {
        Operator::GreaterOrEqual | Operator::Between => Some(all),
        Operator::Equal | Operator::LessOrEqual | Operator::In => Some(Finds::Some),
        Operator::NotEqual | Operator::Less | Operator::Greater => (least != greatest).then_some(Finds::Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_every_operator_that_suits_it() {
        let kinds = kinds(&Subject::made_up("https://x.example"));
        assert_eq!(kinds.len(), TYPES.len());
        for kind in kinds {
            let expected = match kind["type"].as_str() {
                Some("text") => 12,
                Some("point") => 8,
                _ => 10,
            };
            assert_eq!(kind["asked"].as_array().unwrap().len(), expected, "{kind}");
        }
    }

    #[test]
    fn texts_are_taken_apart_between_characters() {
        assert_eq!((word("new york"), word("")), ("new", ""));
        assert_eq!((begin("Straße"), begin("éé"), begin("日本語文")), ("Str", "éé", "日本語"));
    }
}
