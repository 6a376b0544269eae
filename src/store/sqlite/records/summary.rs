//! Counts, facets and figures of the records that match a filter.

use super::{
    branch::add_columns,
    columns::ask,
    pool::{QuestionFailure, RecordReading},
};
use crate::{
    dataset::{
        columns,
        query::{Facets, Filter, Stats},
        summary::{Facet, Figures},
    },
    store::records::RecordsSummary,
};

/// The number of records that match a filter, now or at an earlier version.
pub(super) fn count(reading: &RecordReading<'_>, filter: &Filter, at: Option<u64>) -> Result<u64, QuestionFailure> {
    if at.is_none() && filter.parts().is_empty() {
        return Ok(reading.records);
    }
    let version = at.unwrap_or(reading.version);
    ask(reading, version, &needed(filter, &[]), |blocks| columns::count(blocks, filter))
}

/// The values of columns and how often each occurs.
pub(super) fn facets(reading: &RecordReading<'_>, asked: &Facets) -> Result<RecordsSummary<Facet>, QuestionFailure> {
    let (version, Facets { filter, columns, limit, .. }) = (reading.version, asked);
    let (records, columns) =
        ask(reading, version, &needed(filter, columns), |blocks| columns::facets(blocks, filter, columns, *limit))?;
    Ok(RecordsSummary { version, records, columns })
}

/// The figures of columns.
pub(super) fn stats(reading: &RecordReading<'_>, asked: &Stats) -> Result<RecordsSummary<Figures>, QuestionFailure> {
    let (version, Stats { filter, columns, .. }) = (reading.version, asked);
    let (records, columns) = ask(reading, version, &needed(filter, columns), |blocks| {
        columns::stats(blocks, &reading.data_set.definition, filter, columns)
    })?;
    Ok(RecordsSummary { version, records, columns })
}

/// The columns of a filter, and others.
pub(super) fn needed(filter: &Filter, others: &[usize]) -> Vec<usize> {
    let mut needed = others.to_vec();
    add_columns(filter, &mut needed);
    needed
}
