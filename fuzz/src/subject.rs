//! What is fuzzed against: definitions, the secret that cursors are sealed with, records.

use std::sync::LazyLock;

use jiff::{Timestamp, civil::date};

use crate::dataset::{
    ColumnType, Definition, Point, Record, Value,
    cursor::CursorKey,
    place::Area,
    query::{Filter, Test},
    reader::ReadLimits,
};

/// The text of [`everything`].
pub const EVERYTHING: &str = include_str!("everything.toml");

/// The definition of the built-in data set that the documentation uses.
pub fn permits() -> &'static Definition {
    static PERMITS: LazyLock<Definition> = LazyLock::new(|| {
        let builtin = Definition::builtin().expect("the built-in definitions are valid");
        builtin.into_iter().find(|definition| definition.name == "permits").expect("permits is built in")
    });
    &PERMITS
}

/// A definition with a column of every type.
pub fn everything() -> &'static Definition {
    static EVERY_TYPE: LazyLock<Definition> =
        LazyLock::new(|| Definition::from_toml(EVERYTHING, "everything.toml").expect("it is valid"));
    &EVERY_TYPE
}

/// Both of them.
pub fn definitions() -> [&'static Definition; 2] {
    [permits(), everything()]
}

/// The definition that text means, or both where it means none. Each of them by itself takes most of the time.
pub fn definitions_for(bytes: &[u8]) -> Vec<&'static Definition> {
    let names = |word: &[u8]| memchr::memmem::find(bytes, word).is_some();
    match (names(b"STATUS"), names(b"Code")) {
        (true, false) => vec![permits()],
        (false, true) => vec![everything()],
        _ => definitions().to_vec(),
    }
}

/// The secret that the seeds were sealed with. It opens nothing else.
pub fn cursor_key() -> CursorKey {
    CursorKey::new([7; 32])
}

/// Another deployment's secret.
pub fn foreign_cursor_key() -> CursorKey {
    CursorKey::new([8; 32])
}

/// ReadLimits on files that a small input can pass.
pub fn file_limits() -> ReadLimits {
    ReadLimits {
        record_bytes_max: 1_024,
        rows_max: 100,
        columns_max: 60,
        header_rows_max: 10,
        sheets_max: 4,
        parts_max: 24,
        sheet_bytes_max: 64 << 10,
        shared_strings_bytes_max: 32 << 10,
        part_bytes_max: 32 << 10,
        inflation_max: 50,
        xls_bytes_max: 64 << 10,
        xls_cells_max: 64 << 10,
    }
}

/// Records on which a filter can be told from another one: values that differ by type, and those that the filter names.
pub fn records(definition: &Definition, filter: &Filter) -> Vec<Record> {
    const RECORDS_MAX: usize = 24;
    let columns = &definition.columns;
    let mut records = vec![
        Record { values: vec![Value::Null; columns.len()] },
        Record { values: columns.iter().map(|column| ordinary(column.kind)).collect() },
    ];
    let mut named = Vec::new();
    name_values(filter, &mut named);
    for (column, value) in named.into_iter().take(RECORDS_MAX) {
        let mut record = records[1].clone();
        record.values[column] = value;
        records.push(record);
    }
    records
}

fn ordinary(kind: ColumnType) -> Value {
    match kind {
        ColumnType::Text => Value::Text("issued".into()),
        ColumnType::Integer => Value::Integer(1),
        ColumnType::Money => Value::Money(10_000),
        ColumnType::Number => Value::Number(-0.0),
        ColumnType::Date => Value::Date(date(2016, 12, 1)),
        ColumnType::Timestamp => Value::Timestamp(Timestamp::UNIX_EPOCH),
        ColumnType::Point => Value::Point(Point::parse("37.77,-122.42").expect("it is a point")),
    }
}

fn name_values(filter: &Filter, named: &mut Vec<(usize, Value)>) {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().for_each(|filter| name_values(filter, named)),
        Filter::Not(filter) => name_values(filter, named),
        Filter::Words(search) => {
            named.extend(search.columns().iter().map(|column| (*column, Value::Text(search.words().join(" ")))));
        }
        Filter::Term(term) => match &term.test {
            Test::Equal(value)
            | Test::NotEqual(value)
            | Test::Less(value)
            | Test::LessOrEqual(value)
            | Test::Greater(value)
            | Test::GreaterOrEqual(value)
            | Test::Between(_, value) => named.push((term.column, value.clone())),
            Test::In(values) | Test::NotIn(values) => {
                named.extend(values.iter().map(|value| (term.column, value.clone())))
            }
            Test::Contains(text) | Test::StartsWith(text) => {
                named.push((term.column, Value::Text(format!("{text}{}", text.to_uppercase()))));
            }
            Test::Inside(Area::Near(circle)) => named.push((term.column, Value::Point(circle.centre()))),
            Test::Inside(_) | Test::Null(_) => {}
        },
    }
}
