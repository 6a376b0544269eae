//! The past of a data set: its versions, and the changes of each.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{
    Connection, OptionalExtension, params_from_iter,
    types::{FromSqlError, Value as Sql, ValueRef},
};

use super::{
    file::unwritable,
    reading::{QuestionFailure, RecordReading},
    render::Rendering,
    schema::{self, count, owned},
    table::RowStatements,
};
use crate::{
    dataset::{
        ColumnType, Definition, Document, Value,
        query::{PageStart, PointInTime, Position},
    },
    store::records::{
        DataSet, FoundRecords, Past, RecordStoreError, Retention, Since,
        past::{self, ChangeKind, Listing, PastState, RecordChange},
        retention::{self, KnownVersion},
        rules,
    },
};

/// Adds a version, and the definition of its values.
pub(super) fn add_version(connection: &Connection, data_set: &DataSet, at: Timestamp) -> rusqlite::Result<()> {
    let result = &data_set.last_import.result;
    let version = data_set.version.cast_signed();
    let changes = (result.inserted + result.updated + result.removed).cast_signed();
    // The records that a data set begins with are not kept as changes.
    let kept = if data_set.changes_from == data_set.version { 0 } else { changes };
    connection.execute(
        "INSERT INTO versions (version, at, changes) VALUES (?1, ?2, ?3)",
        (version, past::moment(at), kept),
    )?;
    add_generation(connection, data_set.generation, &data_set.definition)
}

/// Adds the definition of a generation's values.
pub(super) fn add_generation(
    connection: &Connection,
    generation: u64,
    definition: &Definition,
) -> rusqlite::Result<()> {
    let definition = serde_json::to_string(definition).map_err(unwritable)?;
    connection.execute(
        "INSERT OR REPLACE INTO generations (generation, definition) VALUES (?1, ?2)",
        (generation.cast_signed(), definition),
    )?;
    Ok(())
}

/// The moment of the version that is about to be added.
pub(super) fn next_moment(connection: &Connection, now: Timestamp) -> rusqlite::Result<Timestamp> {
    let mut statement = connection.prepare("SELECT at FROM versions ORDER BY version DESC LIMIT 1")?;
    let before = statement.query_row([], |row| row.get::<_, String>(0)).optional()?;
    let before = before.map(|at| at.parse().map_err(|error: jiff::Error| FromSqlError::other(error))).transpose()?;
    Ok(past::moment_after(now, before))
}

/// Keeps a record's earlier state.
const RECORD_CHANGE: &str = "INSERT INTO changes (version, \"$key\", \"$id\", was, generation, before, remains)
    SELECT ?1, \"$key\", \"$id\", \"$from\", ?2, \"$values\", ?3 FROM records WHERE \"$row\" = ?4";
/// Keeps that a record was inserted.
const RECORD_INSERTION: &str = "INSERT INTO changes (version, \"$key\", \"$id\", remains)
    SELECT ?1, \"$key\", \"$id\", 1 FROM records WHERE \"$row\" = ?2";

/// The circumstances of a record's retirement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retiring {
    /// The version at which the record is no longer in this state.
    pub(super) version: i64,
    /// The generation of columns of its values.
    pub(super) generation: i64,
    /// Whether versions with this state are held.
    pub(super) is_held: bool,
    /// Whether the record continues with other values.
    pub(super) remains: bool,
}

/// Keeps a stored record's state before it is replaced or removed.
pub(super) fn retire(
    connection: &Connection,
    statements: &RowStatements,
    retiring: Retiring,
    row: i64,
) -> rusqlite::Result<()> {
    let Retiring { version, generation, is_held, remains } = retiring;
    connection.prepare_cached(RECORD_CHANGE)?.execute((version, generation, remains, row))?;
    if is_held {
        let change = connection.last_insert_rowid();
        connection.prepare_cached(&statements.retire)?.execute((change, version, row))?;
    }
    Ok(())
}

/// Keeps that a record was inserted at a version.
pub(super) fn note_insertion(connection: &Connection, version: i64, row: i64) -> rusqlite::Result<()> {
    connection.prepare_cached(RECORD_INSERTION)?.execute((version, row)).map(drop)
}

/// Drops the past up to a version, which becomes the earliest that can be read.
pub(super) fn drop_before(connection: &Connection, floor: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM old WHERE \"$to\" <= ?1", [floor])?;
    connection.execute("DELETE FROM changes WHERE version <= ?1", [floor])?;
    connection.execute("DELETE FROM versions WHERE version < ?1", [floor]).map(drop)
}

/// Gives up the part of the past that exceeds the retention.
pub(super) fn give_up(
    connection: &Connection,
    data_set: &mut DataSet,
    retention: Retention,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT version, at, changes FROM versions ORDER BY version")?;
    let known = statement.query_map([], |row| {
        let at: String = row.get(1)?;
        let at = at.parse().map_err(|error: jiff::Error| FromSqlError::other(error))?;
        Ok(KnownVersion { version: count(row, 0)?, at, changes: count(row, 2)? })
    })?;
    let known: Vec<KnownVersion> = known.collect::<rusqlite::Result<_>>()?;
    let Some(given_up) = retention::floor(&known, retention, now) else { return Ok(()) };
    drop_before(connection, given_up.cast_signed())?;
    data_set.held_from = data_set.held_from.max(given_up);
    data_set.changes_from = data_set.changes_from.max(given_up);
    Ok(())
}

/// The changes since a place.
const CHANGES: &str = "SELECT c.version, v.at, c.\"$key\", c.\"$id\", c.generation, c.before, c.remains
    FROM changes AS c INDEXED BY changes_feed LEFT JOIN versions AS v ON v.version = c.version";
/// The record after a change, if it has changed again.
const NEXT_BEFORE: &str = "SELECT before, generation FROM changes INDEXED BY changes_of
    WHERE \"$key\" = ?1 AND \"$id\" = ?2 AND version > ?3 ORDER BY version LIMIT 1";
/// The record after a change, if it has not.
const PRESENT: &str = "SELECT \"$values\" FROM records INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$id\" = ?2";

/// Changes since a version or a change, at most `limit`.
pub(super) fn changes(reading: &RecordReading<'_>, since: &Since, limit: u32) -> Result<Past, QuestionFailure> {
    let definition = &reading.data_set.definition;
    let version = since.whole_version();
    if version < reading.changes_from {
        return Err(reading.gone_before(version, reading.changes_from));
    }
    if version > reading.version {
        let (name, present) = (definition.name.clone(), reading.version);
        return Err(RecordStoreError::NoSuchVersion { name, version, present }.into());
    }
    let (condition, mut params) = match &placed(reading, since)? {
        None => ("c.version > ?", vec![Sql::Integer(version.cast_signed())]),
        Some(position) => {
            let mut params = vec![Sql::Integer(position.version.cast_signed())];
            params.extend(position.values.iter().map(owned));
            ("(c.version, c.\"$key\", c.\"$id\") > (?, ?, ?)", params)
        }
    };
    params.push(Sql::Integer(i64::from(limit) + 1));
    let connection = reading.connection();
    let sql = format!("{CHANGES} WHERE {condition} ORDER BY c.version, c.\"$key\", c.\"$id\" LIMIT ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut next_before = connection.prepare_cached(NEXT_BEFORE)?;
    let mut present = connection.prepare_cached(PRESENT)?;
    let mut shown = ShownPast::new(reading);
    let mut rows = statement.query(params_from_iter(&params))?;
    let mut listing = Listing::new(limit);
    while let Some(row) = rows.next()? {
        if listing.is_full() {
            break;
        }
        let (version, at): (u64, Option<String>) = (count(row, 0)?, row.get(1)?);
        let (key, id): (String, Value) = (row.get(2)?, shown.id(row.get_ref(3)?)?);
        let before: Option<(Vec<u8>, i64)> = match row.get(5)? {
            Some(before) => Some((before, row.get(4)?)),
            None => None,
        };
        let kind = match (&before, row.get(6)?) {
            (None, _) => ChangeKind::Inserted,
            (Some(_), true) => ChangeKind::Updated,
            (Some(_), false) => ChangeKind::Removed,
        };
        let change = RecordChange { version, at: at.as_deref(), kind, key: &key, id: &id };
        let place = Position { version, values: vec![Value::Text(key.clone()), id.clone()] };
        listing.add(place, |out| {
            change.write(out, |was, out| match &before {
                Some((before, generation)) if was => shown.record(before, *generation, out),
                _ => {
                    let left = next_before
                        .query_row((&key, owned(&id), version.cast_signed()), |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()?;
                    let (after, generation): (Vec<u8>, i64) = match left {
                        Some(left) => left,
                        None => {
                            let present = present.query_row((&key, owned(&id)), |row| row.get(0))?;
                            (present, reading.data_set.generation.cast_signed())
                        }
                    };
                    shown.record(&after, generation, out)
                }
            })
        })?;
    }
    Ok(listing.finish(reading.version))
}

/// The changes of a version from a key on.
const FROM_KEY: &str = "SELECT \"$key\", \"$id\" FROM changes INDEXED BY changes_feed
    WHERE version = ?1 AND \"$key\" >= ?2 ORDER BY \"$key\", \"$id\"";

/// The change to continue after, looked up again if its cursor left out its key and record id.
fn placed<'s>(reading: &RecordReading<'_>, since: &'s Since) -> Result<Option<Cow<'s, Position>>, QuestionFailure> {
    let anchor = match since {
        Since::Version(_) => return Ok(None),
        Since::Change(position) => return Ok(Some(Cow::Borrowed(position))),
        Since::Behind(anchor) => anchor,
    };
    let shown = ShownPast::new(reading);
    let mut statement = reading.connection().prepare_cached(FROM_KEY)?;
    let mut rows = statement.query((anchor.version.cast_signed(), anchor.beginning()))?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if !key.starts_with(anchor.beginning()) {
            break;
        }
        let values = vec![Value::Text(key), shown.id(row.get_ref(1)?)?];
        if anchor.is_at(&values) {
            return Ok(Some(Cow::Owned(Position { version: anchor.version, values })));
        }
    }
    Err(reading.gone_before(anchor.version, reading.changes_from))
}

/// The past and present states of a key's records.
const STATES: &str =
    "SELECT \"$id\" AS id, was AS since, version, before, generation FROM changes INDEXED BY changes_of
    WHERE \"$key\" = ?1 AND before IS NOT NULL
    UNION ALL SELECT \"$id\", \"$from\", NULL, \"$values\", NULL FROM records INDEXED BY by_key WHERE \"$key\" = ?1";

/// The states of the records that bear a key, or of one of them, at most `limit`.
pub(super) fn history(
    reading: &RecordReading<'_>,
    key: &str,
    record_id: Option<&str>,
    after: Option<&PageStart>,
    limit: u32,
) -> Result<Option<Past>, QuestionFailure> {
    let mut conditions = String::new();
    let mut params = vec![Sql::Text(key.to_owned())];
    if let Some(text) = record_id {
        let Some(id) = rules::written_id(&reading.data_set.definition, text) else { return Ok(None) };
        conditions.push_str(" AND id = ?");
        params.push(owned(&id));
    }
    if let Some(position) = after.map(|place| placed_state(reading, key, place)).transpose()? {
        conditions.push_str(" AND (id, since) > (?, ?)");
        params.extend(position.values.iter().map(owned));
        params.push(Sql::Integer(position.version.cast_signed()));
    }
    params.push(Sql::Integer(i64::from(limit) + 1));
    let sql = format!("SELECT * FROM ({STATES}) WHERE 1{conditions} ORDER BY id, since LIMIT ?");
    let mut statement = reading.connection().prepare_cached(&sql)?;
    let mut moment = reading.connection().prepare_cached("SELECT at FROM versions WHERE version = ?1")?;
    let mut shown = ShownPast::new(reading);
    let mut rows = statement.query(params_from_iter(&params))?;
    let mut listing = Listing::new(limit);
    while let Some(row) = rows.next()? {
        if listing.is_full() {
            break;
        }
        let (id, since, until): (Value, u64, Option<i64>) = (shown.id(row.get_ref(0)?)?, count(row, 1)?, row.get(2)?);
        let values = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let generation = row.get::<_, Option<i64>>(4)?.unwrap_or(reading.data_set.generation.cast_signed());
        let mut at = |version: i64| moment.query_row([version], |row| row.get::<_, String>(0)).optional();
        let (began, ended) = (at(since.cast_signed())?, until.map(&mut at).transpose()?.flatten());
        let until = until.map(|until| (until.unsigned_abs(), ended.as_deref()));
        let state = PastState { id: &id, from: (since, began.as_deref()), until };
        let place = Position { version: since, values: vec![id.clone()] };
        listing.add(place, |out| state.write(out, |out| shown.record(values, generation, out)))?;
    }
    if listing.is_empty() && after.is_none() {
        return Ok(None);
    }
    Ok(Some(listing.finish(reading.version)))
}

/// The states of a key's records that count in a version.
const STATES_AT: [&str; 2] = [
    "SELECT \"$id\" AS id, before AS held, generation FROM changes INDEXED BY changes_of
    WHERE \"$key\" = ?1 AND before IS NOT NULL AND was <= ?2 AND version > ?2",
    "SELECT \"$id\", \"$values\", NULL FROM records INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$from\" <= ?2",
];

/// The records that bore a key in a version, or one of them; none where there was no such record.
pub(super) fn records_at(
    reading: &RecordReading<'_>,
    key: &str,
    record_id: Option<&str>,
    as_of: PointInTime,
) -> Result<Option<FoundRecords>, QuestionFailure> {
    let version = reading.version_at(as_of)?;
    let mut params = vec![Sql::Text(key.to_owned()), Sql::Integer(version.cast_signed())];
    let mut states = STATES_AT.map(str::to_owned);
    if let Some(text) = record_id {
        let Some(id) = rules::written_id(&reading.data_set.definition, text) else { return Ok(None) };
        params.push(owned(&id));
        states.iter_mut().for_each(|sql| sql.push_str(" AND \"$id\" = ?3"));
    }
    let sql = format!("{} ORDER BY id", states.join(" UNION ALL "));
    let mut statement = reading.connection().prepare_cached(&sql)?;
    let mut shown = ShownPast::new(reading);
    let mut rows = statement.query(params_from_iter(&params))?;
    let mut document = if record_id.is_some() { Document::single() } else { Document::list() };
    while let Some(row) = rows.next()? {
        let values = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let generation = row.get::<_, Option<i64>>(2)?.unwrap_or(reading.data_set.generation.cast_signed());
        shown.record(values, generation, document.next_record())?;
        rules::check_answer(document.bytes())?;
    }
    let count = document.count();
    let document = document.finish(&[], &reading.data_set.definition.name, version);
    Ok((count > 0).then(|| FoundRecords { version, document: Bytes::from(document.into_boxed_slice()), count }))
}

/// The state to continue after, looked up again if its cursor left out its record id.
fn placed_state<'p>(
    reading: &RecordReading<'_>,
    key: &str,
    place: &'p PageStart,
) -> Result<Cow<'p, Position>, QuestionFailure> {
    let anchor = match place {
        PageStart::At(position) => return Ok(Cow::Borrowed(position)),
        PageStart::Behind(anchor) => anchor,
    };
    let shown = ShownPast::new(reading);
    let sql = format!("SELECT id FROM ({STATES}) WHERE id >= ?2 ORDER BY id");
    let mut statement = reading.connection().prepare_cached(&sql)?;
    let mut rows = statement.query((key, anchor.beginning()))?;
    while let Some(row) = rows.next()? {
        let values = vec![shown.id(row.get_ref(0)?)?];
        if anchor.is_at(&values) {
            return Ok(Cow::Owned(Position { version: anchor.version, values }));
        }
    }
    Err(reading.gone_before(anchor.version, reading.changes_from))
}

/// Shows past records with the present columns.
struct ShownPast<'a> {
    reading: &'a RecordReading<'a>,
    adapted: HashMap<i64, Rendering>,
}

impl<'a> ShownPast<'a> {
    fn new(reading: &'a RecordReading<'a>) -> Self {
        Self { reading, adapted: HashMap::new() }
    }

    /// A record id.
    fn id(&self, stored: ValueRef<'_>) -> rusqlite::Result<Value> {
        let definition = &self.reading.data_set.definition;
        let kind = definition.columns.get(definition.record_id).map(|column| column.kind);
        Ok(schema::value(kind.unwrap_or(ColumnType::Text), stored)?)
    }

    /// Appends the record with these values, which were written for that generation of columns.
    fn record(&mut self, values: &[u8], generation: i64, out: &mut Vec<u8>) -> Result<(), QuestionFailure> {
        let data_set = self.reading.data_set;
        if generation == data_set.generation.cast_signed() {
            return Ok(self.reading.shape.rendering.write(values, out).map_err(rusqlite::Error::from)?);
        }
        let rendering = match self.adapted.entry(generation) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let text: String = self.reading.connection().query_row(
                    "SELECT definition FROM generations WHERE generation = ?1",
                    [generation],
                    |row| row.get(0),
                )?;
                let then: Definition = serde_json::from_str(&text).map_err(|error| RecordStoreError::Corrupt {
                    name: data_set.definition.name.clone(),
                    reason: format!("the definition of its generation {generation}: {error}"),
                })?;
                entry.insert(Rendering::adapted(&then, &data_set.definition))
            }
        };
        Ok(rendering.write(values, out).map_err(rusqlite::Error::from)?)
    }
}
