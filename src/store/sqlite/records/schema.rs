//! The layout of a data set's file:
//!
//! - `records`: the records as they are. It has one typed column for each published one, and the JSON of all values, ready for
//!   answers. `$from` is the version that wrote the row.
//! - `changes`: one row for each record that an import inserted, updated or removed, with the values before. The values after are not
//!   kept: they are those before the next change of the record, or the record itself.
//! - `old`: the typed columns of replaced and removed records. A row has the number of its change. An earlier version consists of
//!   the rows of `records` that were written by then, and the rows of `old` that were written by then and replaced later.
//! - `versions`: the moment of each version; `generations`: the definitions of stored values.
//! - `state`: one row that says what the table is: a JSON document, and beside it what statements about records need.
//! - `replica` and `epochs`: only in a copy of a data set whose truth is elsewhere (`epochs.rs`).

use jiff::{Timestamp, civil::Date};
use rusqlite::{
    Connection, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Type, Value as Sql, ValueRef},
};
use uuid::Uuid;

use crate::{
    dataset::{ColumnType, Definition, Point, Value, columns::ChunkBuilder},
    store::sqlite::functions,
};

/// The layout that this code reads and writes.
pub(super) const FORMAT: i64 = 5;

pub(super) const CREATE: &str = "CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    held_from INTEGER NOT NULL,
    changes_from INTEGER NOT NULL,
    records INTEGER NOT NULL,
    instance TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    changes INTEGER NOT NULL
) STRICT;
CREATE TABLE generations (generation INTEGER PRIMARY KEY, definition TEXT NOT NULL) STRICT;
CREATE TABLE changes (
    n INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    \"$key\" TEXT NOT NULL,
    \"$id\" ANY NOT NULL,
    was INTEGER,
    generation INTEGER,
    before BLOB,
    remains INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX changes_feed ON changes (version, \"$key\", \"$id\");
CREATE INDEX changes_of ON changes (\"$key\", \"$id\", version)";

/// A table that holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordTable {
    /// Their present state.
    Records,
    /// Their state before they were replaced or removed.
    Old,
}

impl RecordTable {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Old => "old",
        }
    }

    /// The SQL expression of a record's values in the form of answers.
    pub(super) fn values(self) -> &'static str {
        match self {
            Self::Records => "\"$values\"",
            Self::Old => "(SELECT before FROM changes WHERE n = old.\"$row\")",
        }
    }
}

/// The unique index that finds a record.
pub(super) const BY_KEY: &str = "by_key";

/// An index of the table of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexShape {
    pub(super) name: String,
    /// Places in the definition's columns. The last ones are always the key and the record id, so that the index gives a total
    /// order and a page can continue in the middle.
    pub(super) columns: Vec<usize>,
}

/// The indexes of a data set: the unique one, and the declared ones, each ending in key and record id.
pub(super) fn indexes(definition: &Definition) -> Vec<IndexShape> {
    let identity = [definition.key, definition.record_id];
    let mut indexes = vec![IndexShape { name: BY_KEY.to_owned(), columns: identity.to_vec() }];
    for declared in &definition.indexes {
        let mut columns: Vec<usize> = Vec::new();
        let named = [Some(&declared.partition), declared.sort.as_ref()].into_iter().flatten();
        for column in named.filter_map(|name| definition.column_index(name)).chain(identity) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        if indexes.iter().any(|index| index.columns == columns) {
            continue;
        }
        let names = columns.iter().filter_map(|column| definition.columns.get(*column));
        let name = names.fold(String::from("by"), |name, column| format!("{name}:{}", column.name));
        indexes.push(IndexShape { name, columns });
    }
    indexes
}

/// The statement that makes a table of records. The key and the record id have fixed names, so that statements about them are the
/// same for every data set.
pub(super) fn create_table(definition: &Definition, table: RecordTable) -> String {
    let columns = definition.columns.iter().enumerate().map(|(place, column)| {
        let required = if place == definition.key || place == definition.record_id { " NOT NULL" } else { "" };
        format!(", {} {}{required}", column_name(definition, place), storage(column.kind))
    });
    let columns = String::from_iter(columns);
    let (until, values) = match table {
        RecordTable::Records => ("", ", \"$values\" BLOB NOT NULL"),
        RecordTable::Old => (", \"$to\" INTEGER NOT NULL", ""),
    };
    let name = table.name();
    format!(
        "CREATE TABLE {name} (\"$row\" INTEGER PRIMARY KEY, \"$from\" INTEGER NOT NULL{until}{columns}{values}) STRICT"
    )
}

/// The statement that makes an index.
pub(super) fn create_index(definition: &Definition, index: &IndexShape) -> String {
    let unique = if index.name == BY_KEY { "UNIQUE " } else { "" };
    let columns: Vec<String> = index.columns.iter().map(|place| column_name(definition, *place)).collect();
    format!("CREATE {unique}INDEX {} ON records ({})", quoted(&index.name), columns.join(", "))
}

/// A column's name in SQL.
pub(super) fn column_name(definition: &Definition, place: usize) -> String {
    if place == definition.key {
        return "\"$key\"".to_owned();
    }
    if place == definition.record_id {
        return "\"$id\"".to_owned();
    }
    quoted(definition.column_name(place))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn storage(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text | ColumnType::Timestamp => "TEXT",
        ColumnType::Integer | ColumnType::Money | ColumnType::Date | ColumnType::Point => "INTEGER",
        ColumnType::Number => "REAL",
    }
}

/// The smallest value of the type: the start of an index after its nulls.
pub(super) fn smallest(kind: ColumnType) -> Sql {
    match kind {
        ColumnType::Text | ColumnType::Timestamp => Sql::Text(String::new()),
        ColumnType::Integer | ColumnType::Money | ColumnType::Date | ColumnType::Point => Sql::Integer(i64::MIN),
        ColumnType::Number => Sql::Real(f64::NEG_INFINITY),
    }
}

/// A value to be bound in SQL, borrowed where possible.
pub(super) struct Stored<'a>(pub(super) &'a Value);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            other => ToSqlOutput::Owned(owned(other)),
        })
    }
}

/// A value in its SQL form. Timestamps have nine decimals each, so that their texts sort as the moments do; dates are the numbers
/// of their digits, which are shorter and quicker to compare than text.
pub(super) fn owned(value: &Value) -> Sql {
    match value {
        Value::Null => Sql::Null,
        Value::Text(text) => Sql::Text(text.clone()),
        Value::Integer(number) | Value::Money(number) => Sql::Integer(*number),
        Value::Number(number) => Sql::Real(*number),
        Value::Date(date) => Sql::Integer(number_of_date(*date)),
        Value::Point(point) => Sql::Integer(point.packed()),
        Value::Timestamp(moment) => Sql::Text(format!("{moment:.9}")),
    }
}

/// Reads a value back.
pub(super) fn value(kind: ColumnType, stored: ValueRef<'_>) -> FromSqlResult<Value> {
    if matches!(stored, ValueRef::Null) {
        return Ok(Value::Null);
    }
    Ok(match kind {
        ColumnType::Text => Value::Text(String::column_result(stored)?),
        ColumnType::Integer => Value::Integer(i64::column_result(stored)?),
        ColumnType::Money => Value::Money(i64::column_result(stored)?),
        ColumnType::Number => Value::Number(f64::column_result(stored)?),
        ColumnType::Date => Value::Date(date_of_number(i64::column_result(stored)?)?),
        ColumnType::Timestamp => Value::Timestamp(stored.as_str()?.parse().map_err(FromSqlError::other)?),
        ColumnType::Point => {
            let packed = i64::column_result(stored)?;
            Value::Point(Point::unpacked(packed).ok_or(FromSqlError::OutOfRange(packed))?)
        }
    })
}

/// Appends a stored value to a column.
pub(super) fn push(column: &mut ChunkBuilder, kind: ColumnType, stored: ValueRef<'_>) -> FromSqlResult<()> {
    if matches!(stored, ValueRef::Null) {
        column.push_null();
        return Ok(());
    }
    match kind {
        ColumnType::Text => column.push_text(stored.as_str()?),
        ColumnType::Integer | ColumnType::Money | ColumnType::Point => column.push_whole(stored.as_i64()?),
        ColumnType::Number => column.push_real(stored.as_f64()?),
        ColumnType::Date => column.push_date(date_of_number(stored.as_i64()?)?),
        ColumnType::Timestamp => {
            let moment: Timestamp = stored.as_str()?.parse().map_err(FromSqlError::other)?;
            column.push_moment(moment.as_nanosecond());
        }
    }
    Ok(())
}

/// 20161201 for 2016-12-01; before the year 0, too, a later day has a greater number.
fn number_of_date(date: Date) -> i64 {
    i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day())
}

fn date_of_number(number: i64) -> FromSqlResult<Date> {
    let (year, day_of_year) = (number.div_euclid(10_000), number.rem_euclid(10_000));
    let out_of_range = |_| FromSqlError::OutOfRange(number);
    let year = i16::try_from(year).map_err(out_of_range)?;
    let month = i8::try_from(day_of_year / 100).map_err(out_of_range)?;
    let day = i8::try_from(day_of_year % 100).map_err(out_of_range)?;
    Date::new(year, month, day).map_err(FromSqlError::other)
}

/// Reads a number that is never negative.
pub(super) fn count(row: &rusqlite::Row<'_>, place: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(place)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(place, number))
}

/// Reads an identifier.
pub(super) fn uuid(row: &rusqlite::Row<'_>, place: usize) -> rusqlite::Result<Uuid> {
    let written = row.get_ref(place)?.as_str()?;
    Uuid::try_parse(written).map_err(|error| rusqlite::Error::FromSqlConversionFailure(place, Type::Text, error.into()))
}

/// Adds the SQL functions for statements about records.
pub(super) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    functions::add_contains_folded(connection)?;
    functions::add_has_words(connection)?;
    functions::add_point_inside(connection)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_date() -> impl Strategy<Value = Date> {
        (-9999_i16..=9999, 1_i8..=12, 1_i8..=31).prop_filter_map("exists", |(y, m, d)| Date::new(y, m, d).ok())
    }

    proptest! {
        #[test]
        fn dates_are_numbers_in_the_same_order(a in any_date(), b in any_date()) {
            prop_assert_eq!(number_of_date(a).cmp(&number_of_date(b)), a.cmp(&b));
            prop_assert_eq!(date_of_number(number_of_date(a)).ok(), Some(a));
        }

        #[test]
        fn a_number_that_is_no_date_is_an_error(number in any::<i64>()) {
            prop_assert!(date_of_number(number).map_or(true, |date| number_of_date(date) == number));
        }
    }
}
