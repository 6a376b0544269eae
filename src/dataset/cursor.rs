//! Cursors: a place in an answer, sealed so that only this server can make one and only the query it came from can use it.
//!
//! A cursor is `base64url(format ‖ mac ‖ payload)`. The payload is the data set's version and the values of the last
//! record in the columns of the order, which were published in the answer: it is authenticated, not encrypted. The mac
//! is HMAC-SHA256, cut to 16 bytes, over the data set's name, what was asked (the query's [`Query::scope`]) and the payload.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::{
    Definition, Value,
    query::{Position, Query},
};

const FORMAT: u8 = 1;
const MAC_BYTES: usize = 16;
/// Cursors travel in URLs, which proxies cut at about 8 KiB.
const CURSOR_BYTES_MAX: usize = 6 * 1024;

/// The secret that cursors are sealed with. All servers of a deployment have the same.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

impl CursorKey {
    /// Wraps the secret.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    fn mac(&self, definition: &Definition, scope: &str, payload: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"permitd cursor");
        for part in [&[FORMAT], definition.name.as_bytes(), scope.as_bytes(), payload] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Why a text is no cursor for this query. The message completes "the parameter cursor …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not made by this server, cut or altered, or made for another data set, filter or sort.
    #[error(
        "is not a cursor of this query: take it unchanged from page.next and keep the filter and sort it came with"
    )]
    Foreign,
    /// The same of what has no filter and no sort.
    #[error("is no cursor of this resource: take it unchanged from page.next")]
    ForeignHere,
    /// The columns of the order have changed since.
    #[error("is older than the data set's present definition: begin again at the first page")]
    Outdated,
}

/// Why no cursor can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A value in the order is too long to travel in a URL.
    #[error("the page ends at a record whose sort values are too long for a cursor: sort by a shorter column")]
    TooLong,
}

/// Makes the cursor that continues after `position`.
///
/// # Errors
/// [`SealError::TooLong`] where the sort values do not fit into a URL.
pub fn seal(key: &CursorKey, definition: &Definition, query: &Query, position: &Position) -> Result<String, SealError> {
    seal_for(key, definition, &query.scope(definition), position)
}

/// Makes the cursor that continues after a change: its version, its record's key and record id.
///
/// # Errors
/// As [`seal`].
pub fn seal_change(key: &CursorKey, definition: &Definition, position: &Position) -> Result<String, SealError> {
    seal_for(key, definition, CHANGES, position)
}

/// Makes the cursor that continues after a state of the records of a key, or of one of them.
///
/// # Errors
/// As [`seal`].
pub fn seal_state(
    key: &CursorKey,
    definition: &Definition,
    of: (&str, Option<&str>),
    position: &Position,
) -> Result<String, SealError> {
    seal_for(key, definition, &history_of(of), position)
}

/// What a cursor among changes is bound to: no question about records has such a scope.
const CHANGES: &str = "changes";

fn history_of((key, record_id): (&str, Option<&str>)) -> String {
    format!("history;{key:?};{record_id:?}")
}

fn seal_for(key: &CursorKey, definition: &Definition, scope: &str, position: &Position) -> Result<String, SealError> {
    let mut payload = position.version.to_be_bytes().to_vec();
    for value in &position.values {
        write_value(value, &mut payload);
    }
    if payload.len() > CURSOR_BYTES_MAX * 3 / 4 - MAC_BYTES - 1 {
        return Err(SealError::TooLong);
    }
    // A key of 32 bytes is always accepted.
    let mac = key.mac(definition, scope, &payload).ok_or(SealError::TooLong)?.finalize().into_bytes();
    let mut sealed = vec![FORMAT];
    sealed.extend(mac.iter().take(MAC_BYTES));
    sealed.append(&mut payload);
    Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
}

/// Reads a cursor that was made for this data set, filter and sort.
///
/// # Errors
/// [`OpenError`] for anything else.
pub fn open(key: &CursorKey, definition: &Definition, query: &Query, text: &str) -> Result<Position, OpenError> {
    let columns: Vec<usize> = query.order(definition).iter().map(|term| term.column).collect();
    open_for(key, definition, &query.scope(definition), &columns, text)
}

/// Reads a cursor that was made for changes of this data set.
///
/// # Errors
/// [`OpenError`] for anything else.
pub fn open_change(key: &CursorKey, definition: &Definition, text: &str) -> Result<Position, OpenError> {
    open_here(key, definition, CHANGES, &[definition.key, definition.record_id], text)
}

/// Reads a cursor that was made for the history of this key or record.
///
/// # Errors
/// [`OpenError`] for anything else.
pub fn open_state(
    key: &CursorKey,
    definition: &Definition,
    of: (&str, Option<&str>),
    text: &str,
) -> Result<Position, OpenError> {
    open_here(key, definition, &history_of(of), &[definition.record_id], text)
}

fn open_here(
    key: &CursorKey,
    definition: &Definition,
    scope: &str,
    columns: &[usize],
    text: &str,
) -> Result<Position, OpenError> {
    open_for(key, definition, scope, columns, text).map_err(|error| match error {
        OpenError::Foreign => OpenError::ForeignHere,
        other => other,
    })
}

/// Reads a cursor with a value of each of these columns.
fn open_for(
    key: &CursorKey,
    definition: &Definition,
    scope: &str,
    columns: &[usize],
    text: &str,
) -> Result<Position, OpenError> {
    if text.len() > CURSOR_BYTES_MAX {
        return Err(OpenError::Foreign);
    }
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| OpenError::Foreign)?;
    let Some((&[FORMAT], rest)) = sealed.split_first_chunk::<1>() else { return Err(OpenError::Foreign) };
    let (tag, payload) = rest.split_at_checked(MAC_BYTES).ok_or(OpenError::Foreign)?;
    let mac = key.mac(definition, scope, payload).ok_or(OpenError::Foreign)?;
    mac.verify_truncated_left(tag).map_err(|_| OpenError::Foreign)?;
    // From here on the payload is one that this server wrote; only the definition can have changed.
    let (version, mut rest) = payload.split_first_chunk::<8>().ok_or(OpenError::Outdated)?;
    let mut values = Vec::new();
    for column in columns {
        let value = read_value(&mut rest).ok_or(OpenError::Outdated)?;
        let expected = definition.columns.get(*column).map(|column| column.kind);
        if value.kind().is_some() && value.kind() != expected {
            return Err(OpenError::Outdated);
        }
        values.push(value);
    }
    if !rest.is_empty() {
        return Err(OpenError::Outdated);
    }
    Ok(Position { version: u64::from_be_bytes(*version), values })
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    let (tag, bytes): (u8, Vec<u8>) = match value {
        Value::Null => (0, Vec::new()),
        Value::Text(text) => (1, text.as_bytes().to_vec()),
        Value::Integer(number) => (2, number.to_be_bytes().to_vec()),
        Value::Money(cents) => (3, cents.to_be_bytes().to_vec()),
        Value::Number(number) => (4, number.to_be_bytes().to_vec()),
        Value::Date(date) => (5, date.to_string().into_bytes()),
        Value::Timestamp(moment) => (6, moment.as_nanosecond().to_be_bytes().to_vec()),
    };
    out.push(tag);
    out.extend((bytes.len() as u64).to_be_bytes().iter().skip(4));
    out.extend(bytes);
}

fn read_value(rest: &mut &[u8]) -> Option<Value> {
    let (tag, tail) = rest.split_first()?;
    let (length, tail) = tail.split_first_chunk::<4>()?;
    let (bytes, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = tail;
    Some(match tag {
        0 => Value::Null,
        1 => Value::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
        2 => Value::Integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        3 => Value::Money(i64::from_be_bytes(bytes.try_into().ok()?)),
        4 => Value::Number(f64::from_be_bytes(bytes.try_into().ok()?)),
        5 => Value::Date(std::str::from_utf8(bytes).ok()?.parse().ok()?),
        6 => Value::Timestamp(Timestamp::from_nanosecond(i128::from_be_bytes(bytes.try_into().ok()?)).ok()?),
        _ => return None,
    })
}
