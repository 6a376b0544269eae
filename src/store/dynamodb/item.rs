//! Items: attributes by name, written and read with errors that name what is wrong.

use std::{collections::HashMap, fmt::Display, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;

use super::StoreError;

/// An item as the client has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A text.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number, in its canonical form.
pub(super) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A text that the item must have.
pub(super) fn get_text<'i>(item: &'i Item, name: &str) -> Result<&'i str, StoreError> {
    find_text(item, name)?.ok_or_else(|| damaged(name, "it is missing"))
}

/// A text that the item may have.
pub(super) fn find_text<'i>(item: &'i Item, name: &str) -> Result<Option<&'i str>, StoreError> {
    match item.get(name) {
        None | Some(AttributeValue::Null(_)) => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        Some(_) => Err(damaged(name, "it is no text")),
    }
}

/// A number that the item must have.
pub(super) fn get_number<T: FromStr<Err: Display>>(item: &Item, name: &str) -> Result<T, StoreError> {
    find_number(item, name)?.ok_or_else(|| damaged(name, "it is missing"))
}

/// A number that the item may have.
pub(super) fn find_number<T: FromStr<Err: Display>>(item: &Item, name: &str) -> Result<Option<T>, StoreError> {
    match item.get(name) {
        None | Some(AttributeValue::Null(_)) => Ok(None),
        Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|error| damaged(name, error)),
        Some(_) => Err(damaged(name, "it is no number")),
    }
}

/// An item's size as DynamoDB reckons it, bytes; never less.
pub(super) fn bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // One byte for two digits, and at most two more.
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| value_bytes(value) + 1).sum::<usize>(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| name.len() + value_bytes(value) + 1).sum::<usize>()
        }
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => 3 + set.iter().map(String::len).sum::<usize>(),
        _ => 1,
    }
}

/// What a stored attribute should have been.
pub(super) fn damaged(name: &str, error: impl Display) -> StoreError {
    StoreError::Corrupt(format!("the stored attribute {name:?} cannot be read: {error}"))
}
