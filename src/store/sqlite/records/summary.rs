//! Counts, facets and figures of the records that a filter means.

use rusqlite::params_from_iter;

use super::{
    plan,
    pool::{Failure, Reading},
    schema::{self, Table},
};
use crate::dataset::query::Filter;

/// How many records a filter means, now or at an earlier version.
pub(super) fn count(reading: &Reading<'_>, filter: &Filter, at: Option<u64>) -> Result<u64, Failure> {
    if at.is_none() && filter.parts().is_empty() {
        return Ok(reading.records);
    }
    let mut sum = 0;
    for table in if at.is_some() { [Table::Records, Table::Old].as_slice() } else { &[Table::Records] } {
        let matching = plan::matching(&reading.data_set.definition, reading.shape, filter, &[], (*table, at));
        let mut statement = reading.connection().prepare_cached(&format!("SELECT count(*){}", matching.sql))?;
        sum += statement.query_row(params_from_iter(&matching.params), |row| schema::count(row, 0))?;
    }
    Ok(sum)
}
