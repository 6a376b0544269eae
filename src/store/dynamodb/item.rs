//! Items: attributes by name, written and read with errors that name the attribute.

use std::{collections::HashMap, fmt::Display, str::FromStr};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use jiff::Timestamp;

use super::{ITEM_BYTES_MAX, StoreError};

/// An item in the client's form.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A text.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number, in its canonical form.
pub(super) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A moment, in microseconds since the Unix epoch.
pub(super) fn moment(value: Timestamp) -> AttributeValue {
    number(value.as_microsecond())
}

/// Bytes.
pub(super) fn binary(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// An item of these attributes.
pub(super) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Adds an attribute if there is a value.
pub(super) fn put_some(item: &mut Item, name: &str, value: Option<AttributeValue>) {
    if let Some(value) = value {
        item.insert(name.to_owned(), value);
    }
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

/// A moment that the item must have.
pub(super) fn get_moment(item: &Item, name: &str) -> Result<Timestamp, StoreError> {
    find_moment(item, name)?.ok_or_else(|| damaged(name, "it is missing"))
}

/// A moment that the item may have.
pub(super) fn find_moment(item: &Item, name: &str) -> Result<Option<Timestamp>, StoreError> {
    let read = |us| Timestamp::from_microsecond(us).map_err(|error| damaged(name, error));
    find_number(item, name)?.map(read).transpose()
}

/// Bytes that the item must have.
pub(super) fn get_binary<'i>(item: &'i Item, name: &str) -> Result<&'i [u8], StoreError> {
    match item.get(name) {
        Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
        _ => Err(damaged(name, "it is no bytes")),
    }
}

/// Bytes that the item may have.
pub(super) fn find_binary<'i>(item: &'i Item, name: &str) -> Result<Option<&'i [u8]>, StoreError> {
    if item.contains_key(name) { get_binary(item, name).map(Some) } else { Ok(None) }
}

/// Refuses an item that is too large for DynamoDB, before it is sent. `what` names it.
pub(super) fn check_size(what: &str, item: &Item) -> Result<(), StoreError> {
    let bytes = bytes(item);
    if bytes > ITEM_BYTES_MAX {
        return Err(StoreError::Limit(format!(
            "{what} would hold {bytes} bytes; an item of DynamoDB holds {ITEM_BYTES_MAX}: shorten what it is to hold"
        )));
    }
    Ok(())
}

/// An item's size as DynamoDB reckons it, bytes; never an underestimate.
pub(super) fn bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // One byte for two digits, plus at most two.
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

/// The error for a stored attribute of the wrong form.
pub(super) fn damaged(name: &str, error: impl Display) -> StoreError {
    StoreError::Corrupt(format!("the stored attribute {name:?} cannot be read: {error}"))
}
