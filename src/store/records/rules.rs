//! The common rules of record stores: the checks of a row, when two definitions describe the same records, the size limits of
//! answers, and advice for questions that are too large.

use crate::{
    dataset::{Column, ColumnType, Definition, Record, RecordIdRule, Value},
    store::records::RecordStoreError,
};

/// The largest answer for the records of one key, bytes. A query reaches the rest page by page.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest page, bytes.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longer names make no sensible path segment.
const NAME_BYTES_MAX: usize = 64;

/// Checks the size of an answer to a read by key.
pub(in crate::store) fn check_answer(bytes: usize) -> Result<(), RecordStoreError> {
    if bytes <= ANSWER_BYTES_MAX {
        return Ok(());
    }
    let narrow = "ask for its records page by page, by a filter on the key".to_owned();
    Err(RecordStoreError::TooLarge { bytes_max: ANSWER_BYTES_MAX, narrow })
}

/// Checks the size of a page.
pub(in crate::store) fn check_page(bytes: usize) -> Result<(), RecordStoreError> {
    if bytes <= PAGE_BYTES_MAX {
        return Ok(());
    }
    let narrow = "ask for fewer records with limit, or for fewer columns with select".to_owned();
    Err(RecordStoreError::TooLarge { bytes_max: PAGE_BYTES_MAX, narrow })
}

/// Checks the size of a list of values or groups.
pub(in crate::store) fn check_summary(bytes: usize) -> Result<(), RecordStoreError> {
    if bytes <= PAGE_BYTES_MAX {
        return Ok(());
    }
    let narrow = "ask for fewer with limit, or for columns of shorter texts".to_owned();
    Err(RecordStoreError::TooLarge { bytes_max: PAGE_BYTES_MAX, narrow })
}

/// Checks that a data set can have this name.
pub(in crate::store) fn check_name(name: &str) -> Result<(), RecordStoreError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        return Err(RecordStoreError::BadName { name: name.to_owned() });
    }
    Ok(())
}

/// Advice for a query that takes too long. `counts` tells whether it also asked for the exact count.
pub(in crate::store) fn narrowing(definition: &Definition, counts: bool) -> String {
    let count = if counts { "leave out count=exact, " } else { "" };
    format!("{count}give one value for an indexed column ({}), or a narrower filter", indexed(definition).join(", "))
}

/// The error for a version that is no longer held. `since` is the moment of the earliest one that is.
pub(in crate::store) fn gone(
    definition: &Definition,
    version: u64,
    (held_from, since): (u64, Option<String>),
) -> RecordStoreError {
    RecordStoreError::VersionGone { name: definition.name.clone(), version, held_from, since }
}

/// The key column, and the columns that lead an index.
pub(in crate::store) fn indexed(definition: &Definition) -> Vec<&str> {
    let mut indexed: Vec<&str> = vec![definition.column_name(definition.key)];
    for index in &definition.indexes {
        if !indexed.contains(&index.partition.as_str()) {
            indexed.push(&index.partition);
        }
    }
    indexed
}

/// Tells whether the two definitions have the same columns in the same places.
pub(in crate::store) fn same_columns(left: &Definition, right: &Definition) -> bool {
    same_identity(left, right)
        && (left.key, left.record_id, left.load_date) == (right.key, right.record_id, right.load_date)
        && left.columns.len() == right.columns.len()
        && left
            .columns
            .iter()
            .zip(&right.columns)
            .all(|(left, right)| (&left.name, left.kind) == (&right.name, right.kind))
}

/// Tells whether the two definitions identify a record in the same way.
pub(in crate::store) fn same_identity(left: &Definition, right: &Definition) -> bool {
    let identity = |definition: &Definition| {
        let named = |place: usize| definition.columns.get(place).map(|column| (column.name.clone(), column.kind));
        (named(definition.key), named(definition.record_id), definition.record_id_rule == RecordIdRule::Ordinal)
    };
    identity(left) == identity(right)
}

/// For each column of the new definition, the old column of the same name and type, whose values it keeps.
pub(in crate::store) fn kept_columns(old: &Definition, new: &Definition) -> Vec<Option<usize>> {
    let kept =
        |column: &Column| old.columns.iter().position(|kept| (&kept.name, kept.kind) == (&column.name, column.kind));
    new.columns.iter().map(kept).collect()
}

/// An ordinal as the value of the record id column.
pub(in crate::store) fn ordinal_value(definition: &Definition, ordinal: i64) -> Value {
    match definition.columns.get(definition.record_id).map(|column| column.kind) {
        Some(ColumnType::Integer) => Value::Integer(ordinal),
        _ => Value::Text(ordinal.to_string()),
    }
}

/// The record id of a text, if it is written as published: `1` names a record, `01` and `+1` name none.
pub(in crate::store) fn written_id(definition: &Definition, text: &str) -> Option<Value> {
    match definition.columns.get(definition.record_id)?.kind {
        ColumnType::Integer => text.parse().ok().filter(|id: &i64| id.to_string() == text).map(Value::Integer),
        _ => Some(Value::Text(text.to_owned())),
    }
}

/// Checks that a record fits its definition.
pub(in crate::store) fn check_row(
    definition: &Definition,
    line: u64,
    key: &str,
    record: &Record,
) -> Result<(), RecordStoreError> {
    let bad = |reason: &str| Err(RecordStoreError::BadRow { line, reason: reason.to_owned() });
    if record.values.len() != definition.columns.len() {
        return bad("the record has another number of columns than its definition");
    }
    if !matches!(record.values.get(definition.key), Some(Value::Text(text)) if text == key) {
        return bad("the record's key column does not hold its key");
    }
    let no_id = matches!(record.values.get(definition.record_id), None | Some(Value::Null));
    if no_id && definition.record_id_rule == RecordIdRule::Source {
        return bad("the record has no record id");
    }
    let fits = |(value, column): (&Value, &Column)| value.kind().is_none_or(|kind| kind == column.kind);
    if !record.values.iter().zip(&definition.columns).all(fits) {
        return bad("a value is not of its column's type");
    }
    Ok(())
}

/// Sets a record's value, if there is such a place.
pub(in crate::store) fn set(record: &mut Record, place: Option<usize>, value: Value) {
    if let Some(slot) = place.and_then(|place| record.values.get_mut(place)) {
        *slot = value;
    }
}
