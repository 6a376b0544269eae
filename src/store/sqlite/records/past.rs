//! What a data set was: its versions, and what each changed.

use std::collections::{HashMap, hash_map::Entry};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{
    Connection, OptionalExtension, params_from_iter,
    types::{Value as Sql, ValueRef},
};

use super::{
    pool::{Failure, Reading},
    render::Rendering,
    schema::{self, count, owned},
};
use crate::{
    dataset::{ColumnType, Definition, Document, Value, json, query::Position},
    store::records::{DataSet, Past, RecordStoreError, Retention, Since, rules},
};

/// Hours of a day.
const DAY_HOURS: i64 = 24;

/// Writes down that a version has come to be, and the definition that its values are of.
pub(super) fn add_version(connection: &Connection, data_set: &DataSet, at: Timestamp) -> rusqlite::Result<()> {
    let result = &data_set.last_import.result;
    let version = data_set.version.cast_signed();
    let changes = (result.inserted + result.updated + result.removed).cast_signed();
    // What a data set begins with is not kept as changes.
    let kept = if data_set.changes_from == data_set.version { 0 } else { changes };
    connection.execute(
        "INSERT INTO versions (version, at, changes) VALUES (?1, ?2, ?3)",
        (version, format!("{at:.6}"), kept),
    )?;
    let definition = serde_json::to_string(data_set.definition.as_ref())
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.execute(
        "INSERT OR REPLACE INTO generations (generation, definition) VALUES (?1, ?2)",
        (data_set.generation.cast_signed(), definition),
    )?;
    Ok(())
}

/// Gives up what is kept for longer than it is to be, or is more.
pub(super) fn give_up(
    connection: &Connection,
    data_set: &mut DataSet,
    retention: Retention,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let age = SignedDuration::from_hours(i64::from(retention.days) * DAY_HOURS);
    let horizon = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    // The version that was the present one then is still held; from the next one on, changes are.
    let by_age: Option<i64> =
        connection.query_row("SELECT max(version) FROM versions WHERE at <= ?1", [format!("{horizon:.6}")], |row| {
            row.get(0)
        })?;
    let by_count: Option<i64> = connection
        .query_row(
            "SELECT version FROM (SELECT version, sum(changes) OVER (ORDER BY version DESC) AS kept FROM versions)
             WHERE kept > ?1 AND version < ?2 ORDER BY version DESC LIMIT 1",
            (i64::try_from(retention.changes_max).unwrap_or(i64::MAX), data_set.version.cast_signed()),
            |row| row.get(0),
        )
        .optional()?;
    let Some(floor) = by_age.max(by_count).filter(|floor| *floor > 0) else { return Ok(()) };
    connection.execute("DELETE FROM old WHERE \"$to\" <= ?1", [floor])?;
    connection.execute("DELETE FROM changes WHERE version <= ?1", [floor])?;
    connection.execute("DELETE FROM versions WHERE version < ?1", [floor])?;
    let floor = floor.unsigned_abs();
    data_set.held_from = data_set.held_from.max(floor);
    data_set.changes_from = data_set.changes_from.max(floor);
    Ok(())
}

/// What has changed since then.
const CHANGES: &str = "SELECT c.version, v.at, c.\"$key\", c.\"$id\", c.generation, c.before, c.remains
    FROM changes AS c INDEXED BY changes_feed LEFT JOIN versions AS v ON v.version = c.version";
/// What a change left, if the record has changed again.
const NEXT_BEFORE: &str = "SELECT before, generation FROM changes INDEXED BY changes_of
    WHERE \"$key\" = ?1 AND \"$id\" = ?2 AND version > ?3 ORDER BY version LIMIT 1";
/// What a change left, if not.
const PRESENT: &str = "SELECT \"$values\" FROM records INDEXED BY by_key WHERE \"$key\" = ?1 AND \"$id\" = ?2";

/// Changes since a version or a change: at most so many.
pub(super) fn changes(reading: &Reading<'_>, since: &Since, limit: u32) -> Result<Past, Failure> {
    let definition = &reading.data_set.definition;
    let version = match since {
        Since::Version(version) => *version,
        // Of its own version all changes are still there.
        Since::Change(position) => position.version.saturating_sub(1),
    };
    if version < reading.changes_from {
        return Err(rules::gone(definition, version, reading.changes_from).into());
    }
    if version > reading.version {
        let (name, present) = (definition.name.clone(), reading.version);
        return Err(RecordStoreError::NoSuchVersion { name, version, present }.into());
    }
    let (condition, mut params) = match since {
        Since::Version(version) => ("c.version > ?", vec![Sql::Integer(version.cast_signed())]),
        Since::Change(position) => {
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
    let mut shown = Shown::new(reading);
    let mut rows = statement.query(params_from_iter(&params))?;
    let (mut document, mut last, mut more) = (Document::list(), None, false);
    while let Some(row) = rows.next()? {
        if document.count() == limit {
            more = true;
            break;
        }
        let version = count(row, 0)?;
        let (key, id): (String, Value) = (row.get(2)?, shown.id(row.get_ref(3)?)?);
        let (before, remains): (Option<Vec<u8>>, bool) = (row.get(5)?, row.get(6)?);
        let generation: Option<i64> = row.get(4)?;
        let change = match (&before, remains) {
            (None, _) => "inserted",
            (Some(_), true) => "updated",
            (Some(_), false) => "removed",
        };
        let out = document.next_record();
        out.extend_from_slice(b"{\"version\":");
        json::write_digits(version, out);
        out.extend_from_slice(b",\"at\":");
        write_at(row.get::<_, Option<String>>(1)?.as_deref(), out);
        out.extend_from_slice(b",\"change\":\"");
        out.extend_from_slice(change.as_bytes());
        out.extend_from_slice(b"\",\"key\":");
        json::write_string(&key, out);
        out.extend_from_slice(b",\"record_id\":");
        json::write_value(&id, out);
        out.extend_from_slice(b",\"before\":");
        match (&before, generation) {
            (Some(before), Some(generation)) => shown.record(before, generation, out)?,
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"after\":");
        if remains {
            let place = (&key, owned(&id), version.cast_signed());
            let found: Option<(Vec<u8>, i64)> =
                next_before.query_row(place, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            match found {
                Some((after, generation)) => shown.record(&after, generation, out)?,
                None => {
                    let after: Vec<u8> = present.query_row((&key, owned(&id)), |row| row.get(0))?;
                    shown.record(&after, reading.data_set.generation.cast_signed(), out)?;
                }
            }
        } else {
            out.extend_from_slice(b"null");
        }
        out.push(b'}');
        rules::check_page(document.bytes())?;
        last = Some(Position { version, values: vec![Value::Text(key), id] });
    }
    Ok(Past { version: reading.version, document, next: if more { last } else { None } })
}

/// What the records of a key were, and are.
const STATES: &str =
    "SELECT \"$id\" AS id, was AS since, version, before, generation FROM changes INDEXED BY changes_of
    WHERE \"$key\" = ?1 AND before IS NOT NULL
    UNION ALL SELECT \"$id\", \"$from\", NULL, \"$values\", NULL FROM records INDEXED BY by_key WHERE \"$key\" = ?1";

/// The states of the records that bear a key, or of one of them: at most so many.
pub(super) fn history(
    reading: &Reading<'_>,
    key: &str,
    record_id: Option<&str>,
    after: Option<&Position>,
    limit: u32,
) -> Result<Option<Past>, Failure> {
    let mut conditions = String::new();
    let mut params = vec![Sql::Text(key.to_owned())];
    if let Some(text) = record_id {
        let Some(id) = rules::written_id(&reading.data_set.definition, text) else { return Ok(None) };
        conditions.push_str(" AND id = ?");
        params.push(owned(&id));
    }
    if let Some(position) = after {
        conditions.push_str(" AND (id, since) > (?, ?)");
        params.extend(position.values.iter().map(owned));
        params.push(Sql::Integer(position.version.cast_signed()));
    }
    params.push(Sql::Integer(i64::from(limit) + 1));
    let sql = format!("SELECT * FROM ({STATES}) WHERE 1{conditions} ORDER BY id, since LIMIT ?");
    let mut statement = reading.connection().prepare_cached(&sql)?;
    let mut moment = reading.connection().prepare_cached("SELECT at FROM versions WHERE version = ?1")?;
    let mut shown = Shown::new(reading);
    let mut rows = statement.query(params_from_iter(&params))?;
    let (mut document, mut last, mut more) = (Document::list(), None, false);
    while let Some(row) = rows.next()? {
        if document.count() == limit {
            more = true;
            break;
        }
        let (id, since, until): (Value, u64, Option<i64>) = (shown.id(row.get_ref(0)?)?, count(row, 1)?, row.get(2)?);
        let values = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let generation: Option<i64> = row.get(4)?;
        let out = document.next_record();
        out.extend_from_slice(b"{\"record_id\":");
        json::write_value(&id, out);
        for (name, version) in [("valid_from", Some(since.cast_signed())), ("valid_until", until)] {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            let Some(version) = version else {
                out.extend_from_slice(b"null");
                continue;
            };
            let at: Option<String> = moment.query_row([version], |row| row.get(0)).optional()?;
            out.extend_from_slice(b"{\"version\":");
            json::write_digits(version.unsigned_abs(), out);
            out.extend_from_slice(b",\"at\":");
            write_at(at.as_deref(), out);
            out.push(b'}');
        }
        out.extend_from_slice(b",\"record\":");
        shown.record(values, generation.unwrap_or(reading.data_set.generation.cast_signed()), out)?;
        out.push(b'}');
        rules::check_page(document.bytes())?;
        last = Some(Position { version: since, values: vec![id] });
    }
    if document.count() == 0 && after.is_none() {
        return Ok(None);
    }
    Ok(Some(Past { version: reading.version, document, next: if more { last } else { None } }))
}

fn write_at(at: Option<&str>, out: &mut Vec<u8>) {
    match at {
        Some(at) => json::write_string(at, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Shows records of the past with the columns of the present.
struct Shown<'a> {
    reading: &'a Reading<'a>,
    adapted: HashMap<i64, Rendering>,
}

impl<'a> Shown<'a> {
    fn new(reading: &'a Reading<'a>) -> Self {
        Self { reading, adapted: HashMap::new() }
    }

    /// A record id.
    fn id(&self, stored: ValueRef<'_>) -> rusqlite::Result<Value> {
        let definition = &self.reading.data_set.definition;
        let kind = definition.columns.get(definition.record_id).map(|column| column.kind);
        Ok(schema::value(kind.unwrap_or(ColumnType::Text), stored)?)
    }

    /// Appends the record that has these values, which were written for that generation of columns.
    fn record(&mut self, values: &[u8], generation: i64, out: &mut Vec<u8>) -> Result<(), Failure> {
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
