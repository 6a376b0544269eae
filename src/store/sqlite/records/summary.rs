//! Counts, facets and figures of the records that match a filter.

use rusqlite::{params_from_iter, types::Value as Sql};

use super::{
    pool::{QuestionFailure, RecordReading},
    schema::{self, RecordTable},
    way,
};
use crate::{
    dataset::{
        ColumnType, Value,
        query::{Facets, Filter, Stats},
        summary::{Facet, Figures, Sum},
    },
    store::records::RecordsSummary,
};

/// The number of records that match a filter, now or at an earlier version.
pub(super) fn count(reading: &RecordReading<'_>, filter: &Filter, at: Option<u64>) -> Result<u64, QuestionFailure> {
    if at.is_none() && filter.parts().is_empty() {
        return Ok(reading.records);
    }
    let mut sum = 0;
    for table in
        if at.is_some() { [RecordTable::Records, RecordTable::Old].as_slice() } else { &[RecordTable::Records] }
    {
        let matching = way::matching(&reading.data_set.definition, reading.shape, filter, &[], (*table, at));
        let mut statement = reading.connection().prepare_cached(&format!("SELECT count(*){}", matching.sql))?;
        sum += statement.query_row(params_from_iter(&matching.params), |row| schema::count(row, 0))?;
    }
    Ok(sum)
}

/// The values of columns and how often each occurs.
pub(super) fn facets(reading: &RecordReading<'_>, asked: &Facets) -> Result<RecordsSummary<Facet>, QuestionFailure> {
    let definition = &reading.data_set.definition;
    let mut columns = Vec::with_capacity(asked.columns.len());
    // Every record has a value in each column, perhaps null.
    let mut records = 0;
    for column in &asked.columns {
        let (name, kind) = (reading.shape.name(*column), definition.column_kind(*column));
        let matching =
            way::matching(definition, reading.shape, &asked.filter, &[*column], (RecordTable::Records, None));
        let sql = format!(
            "SELECT {name}, count(*), sum(count(*)) OVER (){} GROUP BY 1 ORDER BY 2 DESC, {name} IS NULL, {name} LIMIT ?",
            matching.sql
        );
        let mut statement = reading.connection().prepare_cached(&sql)?;
        // One more than requested shows whether there are more.
        let limit = Sql::Integer(i64::from(asked.limit) + 1);
        let mut rows = statement.query(params_from_iter(matching.params.iter().chain([&limit])))?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            let mut value = schema::value(kind, row.get_ref(0)?).map_err(rusqlite::Error::from)?;
            if let Value::Number(number) = &mut value {
                // Turns a negative zero into zero.
                *number += 0.0;
            }
            values.push((value, schema::count(row, 1)?));
            records = schema::count(row, 2)?;
        }
        let complete = values.len() <= asked.limit as usize;
        values.truncate(asked.limit as usize);
        columns.push(Facet { column: *column, values, complete });
    }
    Ok(RecordsSummary { version: reading.version, records, columns })
}

/// The figures of columns.
pub(super) fn stats(reading: &RecordReading<'_>, asked: &Stats) -> Result<RecordsSummary<Figures>, QuestionFailure> {
    let definition = &reading.data_set.definition;
    let mut results = String::from("count(*)");
    for column in &asked.columns {
        let name = reading.shape.name(*column);
        // In halves, a sum of whole numbers is exact and never overflows.
        let sums = match definition.column_kind(*column) {
            ColumnType::Integer | ColumnType::Money => format!("sum({name} >> 32), sum({name} & 4294967295)"),
            ColumnType::Number => format!("exact_sum({name}), NULL"),
            ColumnType::Text | ColumnType::Date | ColumnType::Timestamp => "NULL, NULL".to_owned(),
        };
        results.push_str(&format!(", count({name}), min({name}), max({name}), {sums}"));
    }
    let matching =
        way::matching(definition, reading.shape, &asked.filter, &asked.columns, (RecordTable::Records, None));
    let mut statement = reading.connection().prepare_cached(&format!("SELECT {results}{}", matching.sql))?;
    let mut rows = statement.query(params_from_iter(&matching.params))?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let mut columns = Vec::with_capacity(asked.columns.len());
    for (nth, column) in asked.columns.iter().enumerate() {
        let (first, kind) = (1 + nth * 5, definition.column_kind(*column));
        let value = |place: usize| Ok::<_, rusqlite::Error>(schema::value(kind, row.get_ref(place)?)?);
        let halves = || -> rusqlite::Result<Option<i128>> {
            let (high, low): (Option<i64>, Option<i64>) = (row.get(first + 3)?, row.get(first + 4)?);
            Ok(high.zip(low).map(|(high, low)| (i128::from(high) << 32) + i128::from(low)))
        };
        columns.push(Figures {
            column: *column,
            count: schema::count(row, first)?,
            min: value(first + 1)?,
            max: value(first + 2)?,
            sum: match kind {
                ColumnType::Integer => halves()?.map(Sum::Integer),
                ColumnType::Money => halves()?.map(Sum::Money),
                ColumnType::Number => row.get::<_, Option<f64>>(first + 3)?.map(Sum::Number),
                ColumnType::Text | ColumnType::Date | ColumnType::Timestamp => None,
            },
        });
    }
    Ok(RecordsSummary { version: reading.version, records: schema::count(row, 0)?, columns })
}
