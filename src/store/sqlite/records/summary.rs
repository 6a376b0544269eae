//! Counts, facets and figures of the records that match a filter.

use super::{
    branch::add_columns,
    columns::{ColumnSlot, ask},
    reading::{QuestionFailure, RecordReading},
};
use crate::{
    dataset::{
        Value,
        columns::{self, GroupFailure, GroupRoom, Measured},
        query::{Facets, Filter, Groups, Stats},
        summary::{Facet, Figures},
    },
    store::records::{RecordStoreError, RecordsGroups, RecordsSummary, rules},
};

/// The number of records that match a filter, now or at an earlier version.
pub(super) fn count(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    filter: &Filter,
    at: Option<u64>,
) -> Result<u64, QuestionFailure> {
    if at.is_none() && filter.parts().is_empty() {
        return Ok(reading.records);
    }
    let version = at.unwrap_or(reading.version);
    ask(reading, slot, version, &needed(filter, &[]), |blocks| columns::count(blocks, filter))
}

/// The values of columns and how often each occurs.
pub(super) fn facets(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    asked: &Facets,
) -> Result<RecordsSummary<Facet>, QuestionFailure> {
    let Facets { filter, columns, limit, as_of, .. } = asked;
    let version = reading.earlier(*as_of)?.unwrap_or(reading.version);
    let (records, columns) = ask(reading, slot, version, &needed(filter, columns), |blocks| {
        columns::facets(blocks, filter, columns, *limit)
    })?;
    let texts = columns.iter().flat_map(|facet: &Facet| &facet.values).map(|(value, _)| text_bytes(value));
    rules::check_summary(texts.sum())?;
    Ok(RecordsSummary { version, records, columns })
}

/// The size of a text, bytes.
fn text_bytes(value: &Value) -> usize {
    if let Value::Text(text) = value { text.len() } else { 0 }
}

/// The figures of columns.
pub(super) fn stats(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    asked: &Stats,
) -> Result<RecordsSummary<Figures>, QuestionFailure> {
    let Stats { filter, columns, as_of, .. } = asked;
    let version = reading.earlier(*as_of)?.unwrap_or(reading.version);
    let (records, columns) = ask(reading, slot, version, &needed(filter, columns), |blocks| {
        columns::stats(blocks, &reading.data_set.definition, filter, columns)
    })?;
    Ok(RecordsSummary { version, records, columns })
}

/// The groups of the records that match a filter.
pub(super) fn groups(
    reading: &RecordReading<'_>,
    slot: &ColumnSlot,
    asked: &Groups,
) -> Result<RecordsGroups, QuestionFailure> {
    let version = reading.earlier(asked.as_of)?.unwrap_or(reading.version);
    let keys = asked.by.iter().map(|key| key.column);
    let others: Vec<usize> = keys.chain(asked.measures.iter().filter_map(|measure| measure.column)).collect();
    let found = ask(reading, slot, version, &needed(&asked.filter, &others), |blocks| {
        let found = columns::groups(blocks, &reading.data_set.definition, asked, GroupRoom::default());
        found.map_err(|failure| match failure {
            GroupFailure::Blocks(failure) => failure,
            GroupFailure::TooManyGroups(groups_max) => RecordStoreError::TooManyGroups { groups_max }.into(),
            GroupFailure::TooManyValues => RecordStoreError::TooManyValues.into(),
        })
    })?;
    let values = found.rows.iter().flatten();
    let texts = values.map(|measured| if let Measured::Value(value) = measured { text_bytes(value) } else { 0 });
    rules::check_summary(texts.sum())?;
    Ok(RecordsGroups { version, found })
}

/// The columns of a filter, and others.
pub(super) fn needed(filter: &Filter, others: &[usize]) -> Vec<usize> {
    let mut needed = others.to_vec();
    add_columns(filter, &mut needed);
    needed
}
