//! Cursors: a place in an answer, sealed so that only this deployment can make or read one, and only for the question it came from.
//!
//! A cursor is `base64url(format ‖ nonce ‖ sealed)`: XChaCha20-Poly1305 over the payload, authenticated together with the data set's name
//! and the question (the query's [`Query::scope`]). The nonce is an HMAC of all that, so that one place has one cursor and no randomness is
//! needed. The payload holds the data set's version and instance, and the place: the last record's values in the columns of the order if
//! they are short; otherwise the record's key and record id (or the beginning of a long one) and a digest of those values, by which the
//! store finds them again. So a cursor has at most [`PAGE_CURSOR_CHARS_MAX`] characters, whatever a page is sorted by. Cursors of changes
//! and histories are made in the same way: their order is that of keys and record ids.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    Definition, Point, Value,
    query::{Anchor, Filter, PageStart, Position, Query, Term, Test},
};

const FORMAT: u8 = 2;
const NONCE_BYTES: usize = 24;
/// Most characters of a page's cursor.
pub const PAGE_CURSOR_CHARS_MAX: usize = 512;
/// Bytes that a cursor adds to a place: format, nonce, authentication, version and instance.
const ENVELOPE_BYTES: usize = 1 + NONCE_BYTES + 16 + 8 + 16;
/// Longest sort values that a cursor holds in full, bytes.
const VALUES_BYTES_MAX: usize = 128;
/// Longest key and record id that a cursor holds in full, bytes.
const IDENTITY_BYTES_MAX: usize = 256;
/// Bytes kept of a longer key, or of a longer record id of a known key.
const PREFIX_BYTES: usize = 128;

/// The form in which a place is written.
const BY_VALUES: u8 = 0;
const BY_RECORD: u8 = 1;
const BY_PREFIX: u8 = 2;

/// The secret that seals the cursors of one instance of a data set. All servers of a deployment share the secret.
#[derive(Clone)]
pub struct CursorKey {
    secret: Arc<Zeroizing<[u8; 32]>>,
    instance: Uuid,
}

impl CursorKey {
    /// Wraps the secret.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret: Arc::new(Zeroizing::new(secret)), instance: Uuid::nil() }
    }

    /// The same secret, for cursors of that instance of a data set.
    #[must_use]
    pub fn of(&self, instance: Uuid) -> Self {
        Self { secret: Arc::clone(&self.secret), instance }
    }

    /// 32 bytes derived from the secret and these parts.
    fn derived(&self, what: &[u8], parts: &[&[u8]]) -> Option<[u8; 32]> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.as_slice()).ok()?;
        for part in std::iter::once(&what).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }

    fn cipher(&self) -> Option<XChaCha20Poly1305> {
        Some(XChaCha20Poly1305::new(&self.derived(b"permitd cursor cipher", &[])?.into()))
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Why a text is not a valid cursor for this query. The message completes "the parameter cursor …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The cursor was not made by this server, was cut or altered, or belongs to another data set, filter or sort.
    #[error(
        "is not a cursor of this query: take it unchanged from page.next and keep the filter and sort it came with"
    )]
    Foreign,
    /// The same for a resource without filter and sort.
    #[error("is no cursor of this resource: take it unchanged from page.next")]
    ForeignHere,
    /// The columns of the order have changed since the cursor was made.
    #[error("is older than the data set's present definition: begin again at the first page")]
    Outdated,
    /// The data set was begun anew since: the cursor's records are gone.
    #[error("is of records that are gone, since the data set was begun anew: begin again at the first page")]
    Gone,
}

/// Why no cursor can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A record's key and record id are too long to travel in a URL.
    #[error(
        "the page ends at a record whose key and record id are too long for a cursor: ask for fewer or more a page"
    )]
    TooLong,
}

/// The question that a cursor belongs to, and the columns of its order.
struct CursorScope {
    scope: String,
    /// Whether a number of a ranking stands before the values of the columns.
    is_ranked: bool,
    columns: Vec<usize>,
}

impl CursorScope {
    fn query(definition: &Definition, query: &Query) -> Self {
        let columns = query.order(definition).iter().map(|term| term.column).collect();
        Self { scope: query.scope(definition), is_ranked: query.ranking.is_some(), columns }
    }

    /// No question about records or histories has this scope.
    fn changes(definition: &Definition) -> Self {
        Self { scope: "changes".to_owned(), is_ranked: false, columns: vec![definition.key, definition.record_id] }
    }

    fn history(definition: &Definition, (key, record_id): (&str, Option<&str>)) -> Self {
        let scope = format!("history;{key:?};{record_id:?}");
        Self { scope, is_ranked: false, columns: vec![definition.record_id] }
    }
}

/// Makes the cursor that continues after `position`: at most [`PAGE_CURSOR_CHARS_MAX`] characters.
///
/// # Errors
/// [`SealError::TooLong`] if `position` does not have a value for each term of the query's order.
pub fn seal(key: &CursorKey, definition: &Definition, query: &Query, position: &Position) -> Result<String, SealError> {
    seal_within(key, definition, &CursorScope::query(definition, query), position)
}

/// Makes the cursor that continues after a change, given its version and its record's key and record id. It is as short as [`seal`]'s.
///
/// # Errors
/// [`SealError::TooLong`] if `position` does not hold a key and a record id.
pub fn seal_change(key: &CursorKey, definition: &Definition, position: &Position) -> Result<String, SealError> {
    seal_within(key, definition, &CursorScope::changes(definition), position)
}

/// Makes the cursor that continues after a state of one record or of all records of a key. It is as short as [`seal`]'s.
///
/// # Errors
/// [`SealError::TooLong`] if `position` does not hold a record id.
pub fn seal_state(
    key: &CursorKey,
    definition: &Definition,
    of: (&str, Option<&str>),
    position: &Position,
) -> Result<String, SealError> {
    seal_within(key, definition, &CursorScope::history(definition, of), position)
}

fn seal_within(
    key: &CursorKey,
    definition: &Definition,
    within: &CursorScope,
    position: &Position,
) -> Result<String, SealError> {
    let mut place = vec![BY_VALUES];
    position.values.iter().for_each(|value| write_value(value, &mut place));
    let identity = [definition.key, definition.record_id];
    let is_identity = within.columns.iter().all(|column| identity.contains(column));
    if place.len() > 1 + if is_identity { IDENTITY_BYTES_MAX } else { VALUES_BYTES_MAX } {
        place = by_record(definition, within, position).ok_or(SealError::TooLong)?;
    }
    seal_place(key, definition, &within.scope, position.version, &place)
}

/// The place of a record, given by what identifies the record.
fn by_record(definition: &Definition, within: &CursorScope, position: &Position) -> Option<Vec<u8>> {
    let value_of = |column: usize| {
        let place = within.columns.iter().position(|ordered| *ordered == column)?;
        position.values.get(place + usize::from(within.is_ranked))
    };
    let (key, id) = (value_of(definition.key), value_of(definition.record_id)?);
    let mut place = vec![BY_RECORD];
    key.into_iter().chain([id]).for_each(|value| write_value(value, &mut place));
    if place.len() > 1 + IDENTITY_BYTES_MAX || key.is_none() {
        let Value::Text(text) = key.unwrap_or(id) else { return None };
        let prefix = text.get(..text.floor_char_boundary(PREFIX_BYTES))?;
        place = vec![BY_PREFIX];
        write_value(&Value::Text(prefix.to_owned()), &mut place);
    }
    place.extend(digest(&position.values));
    Some(place)
}

/// A digest that distinguishes a record's values in an order from those of other records.
fn digest(values: &[Value]) -> [u8; 16] {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| write_value(value, &mut bytes));
    let mut digest = [0; 16];
    digest.iter_mut().zip(Sha256::digest(&bytes)).for_each(|(to, from)| *to = from);
    digest
}

impl Anchor {
    /// Tells whether these are the record's values in the columns of the order.
    pub fn is_at(&self, values: &[Value]) -> bool {
        digest(values) == self.digest
    }

    /// The beginning of the record's key; for a state, of its record id.
    pub fn beginning(&self) -> &str {
        match self.filter.conjuncts().first().map(|term| &term.test) {
            Some(Test::StartsWith(text) | Test::Equal(Value::Text(text))) => text,
            _ => "",
        }
    }
}

fn seal_place(
    key: &CursorKey,
    definition: &Definition,
    scope: &str,
    version: u64,
    place: &[u8],
) -> Result<String, SealError> {
    if place.len() > PAGE_CURSOR_CHARS_MAX * 3 / 4 - ENVELOPE_BYTES {
        return Err(SealError::TooLong);
    }
    let mut payload = version.to_be_bytes().to_vec();
    payload.extend(key.instance.as_bytes());
    payload.extend(place);
    let bound = bound_to(definition, scope);
    // A key of 32 bytes and a payload of this size are always accepted.
    let sealed = encrypt(key, &bound, &payload).ok_or(SealError::TooLong)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
}

/// The data that is authenticated beside the payload.
fn bound_to(definition: &Definition, scope: &str) -> Vec<u8> {
    let mut bound = vec![FORMAT];
    bound.extend((definition.name.len() as u64).to_be_bytes());
    bound.extend(definition.name.as_bytes());
    bound.extend(scope.as_bytes());
    bound
}

fn encrypt(key: &CursorKey, bound: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let derived = key.derived(b"permitd cursor nonce", &[bound, payload])?;
    let nonce: [u8; NONCE_BYTES] = derived.get(..NONCE_BYTES)?.try_into().ok()?;
    let sealed = key.cipher()?.encrypt(&XNonce::from(nonce), Payload { msg: payload, aad: bound }).ok()?;
    Some([&[FORMAT], nonce.as_slice(), sealed.as_slice()].concat())
}

fn decrypt(key: &CursorKey, bound: &[u8], text: &str) -> Option<Vec<u8>> {
    if text.len() > PAGE_CURSOR_CHARS_MAX {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (&[FORMAT], rest) = bytes.split_first_chunk::<1>()? else { return None };
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
    key.cipher()?.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound }).ok()
}

/// Reads a cursor that was made for this data set, filter and sort.
///
/// # Errors
/// [`CursorError`] for any other text.
pub fn open(key: &CursorKey, definition: &Definition, query: &Query, text: &str) -> Result<PageStart, CursorError> {
    open_within(key, definition, &CursorScope::query(definition, query), text)
}

/// Reads a cursor that was made for changes of this data set.
///
/// # Errors
/// [`CursorError`] for any other text.
pub fn open_change(key: &CursorKey, definition: &Definition, text: &str) -> Result<PageStart, CursorError> {
    open_within(key, definition, &CursorScope::changes(definition), text).map_err(of_no_query)
}

/// Reads a cursor that was made for the history of this key or record.
///
/// # Errors
/// [`CursorError`] for any other text.
pub fn open_state(
    key: &CursorKey,
    definition: &Definition,
    of: (&str, Option<&str>),
    text: &str,
) -> Result<PageStart, CursorError> {
    open_within(key, definition, &CursorScope::history(definition, of), text).map_err(of_no_query)
}

fn of_no_query(error: CursorError) -> CursorError {
    match error {
        CursorError::Foreign => CursorError::ForeignHere,
        other => other,
    }
}

fn open_within(
    key: &CursorKey,
    definition: &Definition,
    within: &CursorScope,
    text: &str,
) -> Result<PageStart, CursorError> {
    let (version, place) = open_place(key, definition, &within.scope, text)?;
    let equal = |column: usize, value: Value| Filter::Term(Term { column, test: Test::Equal(value) });
    let identity = [definition.key, definition.record_id];
    let anchor = |(filter, rest): (Filter, &[u8])| {
        let digest = rest.try_into().map_err(|_| CursorError::Outdated)?;
        Ok(PageStart::Behind(Anchor { version, filter, digest }))
    };
    match place.split_first() {
        Some((&BY_VALUES, rest)) => {
            let (mut values, mut rest) = (Vec::new(), rest);
            if within.is_ranked {
                let number = read_value(&mut rest).filter(|number| matches!(number, Value::Integer(_)));
                values.push(number.ok_or(CursorError::Outdated)?);
            }
            let (of_columns, rest) = read_values(definition, &within.columns, rest)?;
            values.extend(of_columns);
            if rest.is_empty() { Ok(PageStart::At(Position { version, values })) } else { Err(CursorError::Outdated) }
        }
        Some((&BY_RECORD, rest)) => {
            let (values, rest) = read_values(definition, &identity, rest)?;
            let filters = identity.into_iter().zip(values).map(|(column, value)| equal(column, value));
            anchor((Filter::all(filters.collect::<Vec<_>>()), rest))
        }
        Some((&BY_PREFIX, rest)) => {
            let named = identity.into_iter().find(|column| within.columns.contains(column));
            let column = named.ok_or(CursorError::Outdated)?;
            let (values, rest) = read_values(definition, &[column], rest)?;
            let Some(Value::Text(prefix)) = values.into_iter().next() else { return Err(CursorError::Outdated) };
            anchor((Filter::Term(Term { column, test: Test::StartsWith(prefix) }), rest))
        }
        _ => Err(CursorError::Outdated),
    }
}

/// The version and place of a cursor made for this scope.
fn open_place(
    key: &CursorKey,
    definition: &Definition,
    scope: &str,
    text: &str,
) -> Result<(u64, Vec<u8>), CursorError> {
    let payload = decrypt(key, &bound_to(definition, scope), text).ok_or(CursorError::Foreign)?;
    // The payload was written by this deployment; only the data set can have changed.
    let (version, rest) = payload.split_first_chunk::<8>().ok_or(CursorError::Outdated)?;
    let (instance, place) = rest.split_first_chunk::<16>().ok_or(CursorError::Outdated)?;
    if instance != key.instance.as_bytes() {
        return Err(CursorError::Gone);
    }
    Ok((u64::from_be_bytes(*version), place.to_vec()))
}

/// One value for each of these columns, and the remaining bytes.
fn read_values<'b>(
    definition: &Definition,
    columns: &[usize],
    mut rest: &'b [u8],
) -> Result<(Vec<Value>, &'b [u8]), CursorError> {
    let mut values = Vec::new();
    for column in columns {
        let value = read_value(&mut rest).ok_or(CursorError::Outdated)?;
        let expected = definition.columns.get(*column).map(|column| column.kind);
        if value.kind().is_some() && value.kind() != expected {
            return Err(CursorError::Outdated);
        }
        values.push(value);
    }
    Ok((values, rest))
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
        Value::Point(point) => (7, point.packed().to_be_bytes().to_vec()),
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
        7 => Value::Point(Point::unpacked(i64::from_be_bytes(bytes.try_into().ok()?))?),
        _ => return None,
    })
}
